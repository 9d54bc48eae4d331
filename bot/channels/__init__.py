"""Channels: each translates its platform's messages into Inbound and replies back."""

from typing import Protocol

from bot.messages import Media, Reply


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


def plain(reply: Reply) -> str:
    """A reply as text alone: options numbered, links written out."""
    lines = [reply.text]
    lines += [f"{number}. {option.label}" for number, option in enumerate(reply.options, 1)]
    lines += [f"{link.label}：{link.url}" for link in reply.links]
    return "\n".join(lines)
