"""Channels: each translates its platform's messages into Inbound and replies back."""

from typing import Protocol

from fastapi import APIRouter

from bot.messages import Media, Reply, plain

__all__ = ["Channel", "Platform", "plain"]


class Channel(Protocol):
    """What the machine needs of a platform. Incoming messages come through each channel's own router.

    `limit` is the most that one message holds, in UTF-8 bytes; 0 when the platform sets none that matters.
    """

    name: str
    limit: int

    def push(self, address: str, reply: Reply, key: str) -> str:
        """Send to an address; the platform's message id, or "" when it gives none.

        The same `key` sent again must not reach the person twice where the platform can prevent it.
        Raises TemporaryFailure, Undeliverable or ChannelStopped (bot.messages).
        """

    def fetch(self, media: Media) -> bytes:
        """The bytes of something that was sent. Raises TemporaryFailure, or Undeliverable when it is gone or too big."""


class Platform(Channel, Protocol):
    """A channel that hears from its platform over HTTP and may have work of its own beside it."""

    def router(self) -> APIRouter:
        """Where the platform calls."""

    def start(self) -> None:
        """Begin what goes on in the background. It holds nothing up, whether or not the platform can be reached."""

    def stop(self) -> None:
        """End it."""
