"""What goes in and out of a turn. Frozen values; no channel, no database row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # a turn carries these; the values below must not depend on them at run time
    from sqlalchemy.orm import Session

    from knowledge.base import KnowledgeBase
    from storage.models import Conversation, Person
    from storage.scope import Viewer

InboundKind = Literal["text", "event", "image", "voice", "file", "location", "other"]
ReplyKind = Literal["answer", "clarify", "abstain", "chat", "flow"]


@dataclass(frozen=True, kw_only=True)
class Media:
    """A picture, voice or file that somebody sent. `id` is what the platform calls it; it is fetched later.

    With `sha256` its bytes are stored already and `mime` is what they are.
    """

    id: str
    name: str = ""
    mime: str = ""  # as the platform says; the bytes decide
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Inbound:
    """One message from a person. (channel, message_id) is its identity: a retry carries the same.

    An event's `text` is what happened: `subscribe`, `unsubscribe`, `view`, or `sent` with the platform's message id and
    result. A menu button or a scanned binding code comes as the text it stands for ("我的事项", "绑定 CODE"), spoken
    words as text.
    """

    channel: str
    message_id: str
    address: str
    text: str
    at: datetime
    kind: InboundKind = "text"
    media: tuple[Media, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Option:
    """A numbered choice: what is shown, and what picking it sends."""

    label: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Link:
    """A page to open."""

    label: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is said back. `rest` waits for 更多; `answer` is the answer as programs get it (CONTRACTS, `ask`)."""

    text: str
    options: tuple[Option, ...] = ()
    links: tuple[Link, ...] = ()
    kind: ReplyKind = "chat"
    rest: str = ""
    answer: Mapping[str, Any] | None = None  # Any: the JSON of one answer
    route: str = ""

    def to_json(self) -> dict[str, Any]:
        """The reply as stored with its exchange."""
        return {
            "text": self.text,
            "options": [{"label": option.label, "value": option.value} for option in self.options],
            "links": [{"label": link.label, "url": link.url} for link in self.links],
            "kind": self.kind,
            "rest": self.rest,
            "answer": dict(self.answer) if self.answer is not None else None,
            "route": self.route,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Reply":
        """A stored reply, word for word."""
        return cls(
            text=stored["text"],
            options=tuple(Option(**option) for option in stored["options"]),
            links=tuple(Link(**link) for link in stored["links"]),
            kind=stored["kind"],
            rest=stored["rest"],
            answer=stored["answer"],
            route=stored["route"],
        )


def plain(reply: Reply) -> str:
    """A reply as text alone: options numbered, links written out."""
    lines = [reply.text] if reply.text else []
    lines += [f"{number}. {option.label}" for number, option in enumerate(reply.options, 1)]
    lines += [f"{link.label}：{link.url}" for link in reply.links]
    return "\n".join(lines)


def cut(text: str, limit: int) -> tuple[str, str]:
    """Split a text so that its head has at most `limit` UTF-8 bytes: at a line's end, a sentence's, or a character's.

    The tail is empty when nothing had to be cut.
    """
    if len(text.encode()) <= limit:
        return text, ""
    head = text.encode()[: max(limit, 0)].decode(errors="ignore")
    for marks in ("\n", "。；！？"):
        end = max(head.rfind(mark) for mark in marks) + 1
        if end > len(head) // 2:
            return head[:end].rstrip(), text[end:].lstrip("\n")
    return head, text[len(head) :]


def fitted(reply: Reply, limit: int, hint: str) -> tuple[Reply, str]:
    """A reply that fits into one message of `limit` UTF-8 bytes, options and links whole, and the text left over.

    `hint` says how to get what is left over. 0 is no limit.
    """
    if not limit or len(plain(reply).encode()) <= limit:
        return reply, ""
    aside = len(plain(replace(reply, text="-")).encode()) - 1
    if reply.options and aside > limit // 2:  # the choices alone fill the message: shorten them alike
        most = max(limit // 2 // len(reply.options) - 6, 6)
        options = tuple(replace(option, label=cut(option.label, most)[0]) for option in reply.options)
        reply = replace(reply, options=options)
        aside = len(plain(replace(reply, text="-")).encode()) - 1
    head, tail = cut(reply.text, limit - aside - len(hint.encode()) - 1)
    return replace(reply, text=f"{head}\n{hint}"), tail


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Everything a handler may look at. `text` is the message after an option number became its value.

    `user` is None for somebody who is not bound; `viewer` says what they may see and do. `last_at` is when the
    conversation's last words were said, None in a new one.
    """

    inbound: Inbound
    text: str
    user: "Person | None"
    viewer: "Viewer"
    conversation: "Conversation"
    db: "Session"
    kb: "KnowledgeBase"
    now: datetime
    last_at: datetime | None = None
    given: Mapping[str, Any] = field(default_factory=dict)  # Any: facts stated with the message (`ask --fact`)


class Invalid(Exception):
    """What was typed cannot be used; the message says in Chinese what to type instead, and the step is asked again."""


class Refused(Exception):
    """The person may not do this; the message says why."""


class TemporaryFailure(Exception):
    """The platform could not take a message now. `sure` is False when it may have taken it all the same."""

    def __init__(self, code: str, *, retry_after_s: float = 0, sure: bool = True) -> None:
        super().__init__(code)
        self.code, self.retry_after_s, self.sure = code, retry_after_s, sure


class Undeliverable(Exception):
    """This channel cannot reach the person; another may. `gone` says that the address itself is of no more use."""

    def __init__(self, code: str, *, gone: bool = False) -> None:
        super().__init__(code)
        self.code, self.gone = code, gone


class ChannelStopped(Exception):
    """The channel itself is unusable (credentials, permission, quota) until a person or a later hour mends it."""

    def __init__(self, code: str, reason: str, *, retry_after_s: float = 60) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason, self.retry_after_s = code, reason, retry_after_s
