"""Channels: each translates its platform's messages into Inbound and replies back."""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

from fastapi import APIRouter
from sqlalchemy.orm import Session, sessionmaker

from bot.dialogue import IDLE
from bot.messages import Inbound, Media, Reply, plain
from bot.texts import say
from storage import conversations, deliveries
from storage.db import transaction

__all__ = ["Channel", "Platform", "defer", "picked", "pieces", "plain"]


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


def pieces(text: str, most: int, size: Callable[[str], int]) -> list[str]:
    """Cut a text into pieces of at most `most`, at the end of a line where there is one.

    `size` measures one character in the platform's unit.
    """
    found: list[str] = []
    start, used, line_end = 0, 0, 0
    for at, character in enumerate(text):
        if used + size(character) > most:
            end = line_end if line_end > start else at
            found.append(text[start:end].rstrip("\n"))
            start, used = end, sum(size(one) for one in text[end:at])
        used += size(character)
        if character == "\n":
            line_end = at + 1
    return [one for one in (*found, text[start:]) if one]


def picked(sessions: sessionmaker[Session], inbound: Inbound, origin: str, number: int) -> str | None:
    """What the button `number` under the reply to message `origin` sends; None when it is out of date.

    A button is out of date once something else has been said. A press seen before has its reply already.
    """
    with transaction(sessions) as db:
        if conversations.stored_reply(db, inbound.channel, inbound.message_id) is not None:
            return inbound.text
        offered = conversations.offered(db, inbound.channel, inbound.address, origin, inbound.at - IDLE)
    return offered[number - 1]["value"] if 0 < number <= len(offered) else None


def defer(sessions: sessionmaker[Session], inbound: Inbound, reply: Reply, now: datetime, wait_s: float) -> None:
    """Leave to the ledger a reply that could not be sent; it may arrive twice, which is better than never."""
    with transaction(sessions) as db:
        deliveries.put(
            db,
            source=f"reply:{sha256(inbound.message_id.encode()).hexdigest()[:32]}",
            recipient=deliveries.address(inbound.channel, inbound.address),
            lane="reply",
            reply=reply.to_json(),
            why=say("channels.deferred"),
            now=now,
            not_before=now + timedelta(seconds=wait_s),
        )
