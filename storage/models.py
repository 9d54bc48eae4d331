"""Every table, top to bottom."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.db import UTCDateTime


class Base(DeclarativeBase):
    """The tables of countydesk. Constraints are named, so that a migration can change them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime, dict[str, Any]: JSON, list[Any]: JSON}


class OfBody:
    """Mixed into tables whose rows belong to one implementing body: scope (storage.scope) filters and guards them."""

    body_id: Mapped[int] = mapped_column(ForeignKey("body.id"), index=True)


class MaybeOfBody:
    """Mixed into tables whose rows belong to a body, to a division itself (a province's own), or to the program."""

    body_id: Mapped[int | None] = mapped_column(ForeignKey("body.id"), index=True)
    division_code: Mapped[str | None] = mapped_column(ForeignKey("division.code"))


# --- who ---------------------------------------------------------------------------------------------------------


class Division(Base):
    """An administrative division by its GB/T 2260 code: 620000 province, 620500 city, 620522 county."""

    __tablename__ = "division"

    code: Mapped[str] = mapped_column(String(6), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))


class Body(Base):
    """An implementing body of the programme: usually a county, also a 团场, a whole district or city."""

    __tablename__ = "body"
    __table_args__ = (UniqueConstraint("division_code", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    division_code: Mapped[str] = mapped_column(ForeignKey("division.code"), index=True)
    office: Mapped[str] = mapped_column(String(128), default="")  # what the office in charge is called there


class BodyYear(OfBody, Base):
    """A demonstration year of a body: 2016年度示范县. Rules and items hold per (body, batch year)."""

    __tablename__ = "body_year"
    __table_args__ = (UniqueConstraint("body_id", "batch_year"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_year: Mapped[int]


class Fact(OfBody, Base):
    """Something known of a body (and of a batch year, where it depends on it). The newest row of a key holds."""

    __tablename__ = "fact"
    __table_args__ = (Index("ix_fact_key", "body_id", "batch_year", "key", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_year: Mapped[int | None]
    key: Mapped[str] = mapped_column(String(32))  # a key of knowledge/data/rules/facts.yaml
    value: Mapped[str] = mapped_column(String(64))
    as_of: Mapped[date]
    source: Mapped[str] = mapped_column(String(128))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[datetime]


class Fund(OfBody, Base):
    """The money of a body's batch year on a day, in 万元. A correction is a new row; the newest day's last row holds."""

    __tablename__ = "fund"
    __table_args__ = (Index("ix_fund_year", "body_id", "batch_year", "as_of"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_year: Mapped[int]
    allocated: Mapped[Decimal] = mapped_column(Numeric(14, 4))  # 下达
    disbursed: Mapped[Decimal] = mapped_column(Numeric(14, 4))  # 拨付
    used: Mapped[Decimal] = mapped_column(Numeric(14, 4))  # 使用
    as_of: Mapped[date]
    source: Mapped[str] = mapped_column(String(128))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]  # taken back by whoever reported it; the row stays


class Unit(MaybeOfBody, Base):
    """Where people work: a county's office or department, a contractor, a provincial division, the hotline."""

    __tablename__ = "unit"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(128))


class Person(Base):
    """Somebody who is bound or invited. After 注销 only the number stays: `erased_at` is set, personal values go."""

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(64), default="")
    unit_id: Mapped[int | None] = mapped_column(ForeignKey("unit.id"))
    # A column marked `encrypted` holds storage.secrets.encrypt, NULL or nothing; one marked `digest_of` the digest of another.
    phone: Mapped[str | None] = mapped_column(Text, info={"encrypted": True})
    phone_digest: Mapped[str | None] = mapped_column(String(64), index=True, info={"digest_of": "phone"})
    body_id: Mapped[int | None] = mapped_column(ForeignKey("body.id"))  # the body being spoken for (切换县)
    consent: Mapped[str | None] = mapped_column(String(16))  # version of the privacy notice agreed to
    consent_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    renamed_at: Mapped[datetime | None]  # when they gave themselves their name: nobody who invites means them by it
    at: Mapped[datetime]


class Role(MaybeOfBody, Base):
    """What a person may do and where: for one body, or for all bodies of a division (a city, a province)."""

    __tablename__ = "role"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    role: Mapped[str] = mapped_column(String(24))  # storage.scope.ROLES
    at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Binding(Base):
    """A person's address on a channel. An address speaks for one person at a time."""

    __tablename__ = "binding"
    __table_args__ = (
        Index(
            "uq_binding_live",
            "channel",
            "address",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    channel: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_why: Mapped[str] = mapped_column(String(64), default="")


class Invitation(MaybeOfBody, Base):
    """A one-use code that binds an address to a person, a role and a body. Only the code's digest is kept."""

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    code_digest: Mapped[str] = mapped_column(String(64), unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    role: Mapped[str] = mapped_column(String(24))
    made_by: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    succeeds: Mapped[int | None] = mapped_column(ForeignKey("person.id"))  # whose role ends when the code is used
    binding_id: Mapped[int | None] = mapped_column(ForeignKey("binding.id"))  # what it made, to be revoked with it
    at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Attempt(Base):
    """A code that was not accepted, kept to slow down guessing."""

    __tablename__ = "attempt"
    __table_args__ = (Index("ix_attempt_address", "channel", "address", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime] = mapped_column(index=True)


# --- what was said -----------------------------------------------------------------------------------------------


class Conversation(Base):
    """Where somebody is: the form being filled, the choices offered, what was said and known.

    A bound person has one conversation for all channels, under the channel `person` and the person's number.
    """

    __tablename__ = "conversation"
    __table_args__ = (UniqueConstraint("channel", "address"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(128))
    flow: Mapped[str | None] = mapped_column(String(64))
    answers: Mapped[list[Any]] = mapped_column(default=list)  # [key, value] pairs in the order of answering
    options: Mapped[list[Any]] = mapped_column(default=list)  # {label, value} of the numbered list shown last
    rest: Mapped[str] = mapped_column(Text, default="", info={"encrypted": True})  # after a line on for whom it is
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)  # the last question and what answered it
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # fact key → {value, said_on}
    touched_at: Mapped[datetime]


class Exchange(Base):
    """A message and the reply it got, both encrypted: a code, a link or a phone stands in them as it was shown.

    A repeated message gets the stored reply. Written and read by storage.conversations.
    """

    __tablename__ = "exchange"
    __table_args__ = (
        UniqueConstraint("channel", "message_id"),
        Index("ix_exchange_address", "channel", "address", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(16))
    message_id: Mapped[str] = mapped_column(String(128))
    address: Mapped[str] = mapped_column(String(128))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)
    said: Mapped[str] = mapped_column(Text, info={"encrypted": True})
    reply: Mapped[str] = mapped_column(Text, info={"encrypted": True})  # the JSON of bot.messages.Reply
    route: Mapped[str] = mapped_column(String(128))
    edition: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    took_ms: Mapped[int]


class Question(MaybeOfBody, Base):
    """A policy question with how it was answered, reproducible from its edition and date.

    It belongs to the body that its asker speaks for, else to their division, else to the installation's province.
    """

    __tablename__ = "question"

    id: Mapped[int] = mapped_column(primary_key=True)
    exchange_id: Mapped[int] = mapped_column(ForeignKey("exchange.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16), index=True)
    status: Mapped[str | None] = mapped_column(String(16))
    verdict: Mapped[str | None] = mapped_column(String(16))
    score: Mapped[float]
    edition: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(index=True)
    ruling_id: Mapped[int | None] = mapped_column(ForeignKey("ruling.id"), index=True)


class Ruling(Base):
    """An officer's answer to open questions, with the clause it rests on."""

    __tablename__ = "ruling"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    notice_id: Mapped[str] = mapped_column(String(64))
    clause: Mapped[str] = mapped_column(String(32))
    quote: Mapped[str] = mapped_column(Text)
    officer: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


# --- rectification -----------------------------------------------------------------------------------------------


class Item(OfBody, Base):
    """A rectification item: one problem of one body and batch year. Its state changes only by `storage.items.apply`."""

    __tablename__ = "item"
    __table_args__ = (
        UniqueConstraint("body_id", "batch_year", "number"),
        Index("ix_item_state", "body_id", "state", "due_on"),
        Index("ix_item_queue", "state", "submitted_at"),
        Index(
            "ix_item_numbers",
            "body_id",
            "batch_year",
            "state",
            "due_on",
            "first_due_on",
            "returns",
            "round",
            "recurs_of",
            "county_s",
            "province_s",
            "changed_at",
        ),  # fmt: skip  # all that storage.numbers counts: the rows themselves are not read
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_year: Mapped[int]
    number: Mapped[str] = mapped_column(String(32))  # 编号, as in the list
    source: Mapped[str] = mapped_column(String(16))  # storage.items.SOURCES
    found_on: Mapped[date | None]
    category: Mapped[str] = mapped_column(String(24))  # storage.items.CATEGORIES
    problem: Mapped[str] = mapped_column(Text)
    basis: Mapped[str] = mapped_column(String(64), default="")  # the clause it offends
    standard: Mapped[str] = mapped_column(Text, default="")  # when it counts as rectified
    kind: Mapped[str] = mapped_column(String(16))  # 立行立改, 分阶段, 持续
    measure: Mapped[str] = mapped_column(Text, default="")
    amount: Mapped[Decimal | None] = mapped_column(Numeric(14, 4))  # 涉及资金, 万元
    first_due_on: Mapped[date | None]  # as issued; never overwritten
    due_on: Mapped[date | None]  # with extensions
    state: Mapped[str] = mapped_column(String(16))  # storage.items.STATES
    waiting: Mapped[str] = mapped_column(String(16), default="")  # whose second signature is asked for: head, approver
    version: Mapped[int] = mapped_column(default=1)  # counts events; a change names the version it saw
    progress: Mapped[int] = mapped_column(default=0)  # per cent, as the county reports it
    holder_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)  # who has claimed it
    round: Mapped[int] = mapped_column(default=1)  # grows when a follow-up check fails
    returns: Mapped[int] = mapped_column(default=0)
    extensions: Mapped[int] = mapped_column(default=0)
    asked_due_on: Mapped[date | None]  # the extension that is asked for
    county_s: Mapped[int] = mapped_column(default=0, server_default="0")  # how long the county has held it, up to
    province_s: Mapped[int] = mapped_column(default=0, server_default="0")  # changed_at; and how long the province
    recurs_of: Mapped[int | None] = mapped_column(ForeignKey("item.id"))  # confirmed, and the problem came back
    duplicate_of: Mapped[int | None] = mapped_column(ForeignKey("item.id"))
    issued_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]
    at: Mapped[datetime]


class ItemUnit(OfBody, Base):
    """A unit responsible for an item. One leads; the others assist."""

    __tablename__ = "item_unit"

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), index=True)
    unit_id: Mapped[int] = mapped_column(ForeignKey("unit.id"), index=True)
    leads: Mapped[bool] = mapped_column(default=True)
    person: Mapped[str] = mapped_column(String(64), default="")  # the responsible person's name, as in the list


class Milestone(OfBody, Base):
    """A step of an item that is rectified in stages, with a date of its own."""

    __tablename__ = "milestone"

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    due_on: Mapped[date]
    done_on: Mapped[date | None]


class Evidence(OfBody, Base):
    """A file that proves a line of an item's checklist; withdrawn rather than deleted."""

    __tablename__ = "evidence"
    __table_args__ = (UniqueConstraint("item_id", "file_id", "round"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), index=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("file.id"), index=True)
    line: Mapped[str] = mapped_column(String(32), default="")  # the checklist line it proves
    round: Mapped[int]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class ItemEvent(OfBody, Base):
    """What happened to an item, in order. The item's row can be rebuilt from its events."""

    __tablename__ = "item_event"
    __table_args__ = (UniqueConstraint("item_id", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), index=True)
    version: Mapped[int]  # the item's version after it
    event: Mapped[str] = mapped_column(String(24))  # storage.items.TRANSITIONS
    before: Mapped[str] = mapped_column(String(16))
    after: Mapped[str] = mapped_column(String(16))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    role: Mapped[str] = mapped_column(String(24))
    channel: Mapped[str] = mapped_column(String(16))
    said: Mapped[dict[str, Any]]  # the fields given with it
    evidence: Mapped[list[Any]] = mapped_column(default=list)  # sha256 of the files that stood then
    at: Mapped[datetime] = mapped_column(index=True)


class Sample(MaybeOfBody, Base):
    """A draw for a follow-up check, kept so that anybody can repeat it (storage.samples)."""

    __tablename__ = "sample"

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_year: Mapped[int | None]  # None: all years
    share: Mapped[int]  # per cent: so many bad ones would be noticed
    seed: Mapped[str] = mapped_column(String(128))
    listed: Mapped[list[Any]]  # [item's number, the line that stands for it], in the order of the lines
    drawn: Mapped[list[Any]]  # [item's number, why], in the order of the draw
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[datetime]


class CheckResult(OfBody, Base):
    """The answers of a guided check that somebody went through; what they come to is worked out from them again."""

    __tablename__ = "check_result"

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_year: Mapped[int]
    name: Mapped[str] = mapped_column(String(32))  # an id of knowledge/data/checks
    answers: Mapped[dict[str, Any]]  # by point and fact; `area`, `rows` and where recorded facts came from, `sources`
    edition: Mapped[str] = mapped_column(String(32))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[datetime]


# --- notices sent down -------------------------------------------------------------------------------------------------


class Broadcast(MaybeOfBody, Base):
    """A message of the province to many. It changes only by `storage.broadcasts`; what was approved is what is sent."""

    __tablename__ = "broadcast"
    __table_args__ = (CheckConstraint("approved_by <> author_id AND approved_by <> submitted_by", name="two_people"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(default=1)  # counts changes; a change names the version it saw
    state: Mapped[str] = mapped_column(String(16))  # storage.broadcasts.STATES
    title: Mapped[str] = mapped_column(String(120))
    text: Mapped[str] = mapped_column(Text)
    notice_id: Mapped[str | None] = mapped_column(String(64))  # the notice it hands on
    clauses: Mapped[list[Any]] = mapped_column(default=list)  # {label, quote} of that notice
    files: Mapped[list[Any]] = mapped_column(default=list)  # {sha256, name, mime, size}
    audience: Mapped[dict[str, Any]]  # storage.audiences.Audience as JSON
    acknowledgement: Mapped[str] = mapped_column(String(16))  # none, county (one person for each body), each
    acknowledge_why: Mapped[str] = mapped_column(Text, default="")
    due_on: Mapped[date | None]
    delay_s: Mapped[int] = mapped_column(default=0)  # between the approval and the sending, to recall it
    send_at: Mapped[datetime | None]  # not before
    begins_at: Mapped[datetime | None]  # set by the approval
    corrects_id: Mapped[int | None] = mapped_column(ForeignKey("broadcast.id"), index=True)
    change: Mapped[str] = mapped_column(Text, default="")  # what a correction changes, in quotations
    content_digest: Mapped[str] = mapped_column(String(64), default="")  # of what was submitted
    audience_digest: Mapped[str] = mapped_column(String(64), default="")
    author_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    submitted_by: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    changed_by: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    nudges: Mapped[int] = mapped_column(default=0)
    nudged_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text, default="")  # why it was returned, recalled or dropped
    changed_at: Mapped[datetime]
    at: Mapped[datetime]


class Recipient(MaybeOfBody, Base):
    """A line of an audience as it was submitted: who, of which body, and why not where the message does not go there."""

    __tablename__ = "recipient"
    __table_args__ = (
        Index("ix_recipient_broadcast", "broadcast_id", "excluded", "body_id", "division_code", "person_id"),
    )  # all that an audience's numbers are made of

    id: Mapped[int] = mapped_column(primary_key=True)
    broadcast_id: Mapped[int] = mapped_column(ForeignKey("broadcast.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)
    role: Mapped[str] = mapped_column(String(24))
    excluded: Mapped[str] = mapped_column(String(16))  # storage.audiences.EXCLUSIONS; empty for whom it goes to


class Acknowledgement(MaybeOfBody, Base):
    """That a body, or a person where each one is asked, has a broadcast. The first one counts."""

    __tablename__ = "acknowledgement"
    __table_args__ = (UniqueConstraint("broadcast_id", "party"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    broadcast_id: Mapped[int] = mapped_column(ForeignKey("broadcast.id"))
    party: Mapped[str] = mapped_column(String(24))  # body:5 or person:9
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)
    name: Mapped[str] = mapped_column(String(64), default="")  # who said so on the phone
    way: Mapped[str] = mapped_column(String(16))  # card, text, link, phone
    recorded_by: Mapped[int | None] = mapped_column(ForeignKey("person.id"))  # the hotline, on somebody's behalf
    at: Mapped[datetime]


# --- what is sent, stored and recorded -------------------------------------------------------------------------------


class Delivery(Base):
    """One message to one recipient. (source, version, recipient) is its identity: the same thing is sent once.

    `recipient` is `person:5`, or `wechat:openid` for somebody who is not bound.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("source", "version", "recipient"),
        Index("ix_delivery_due", "state", "lane", "not_before", "id"),
        Index("ix_delivery_recipient", "recipient", "state"),
        Index("ix_delivery_source", "source", "state"),  # a broadcast's are counted without their text
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(String(64))  # what it is about: ruling:5, broadcast:7, item:12
    version: Mapped[int] = mapped_column(default=1)
    recipient: Mapped[str] = mapped_column(String(160))
    lane: Mapped[int]  # storage.deliveries.LANES: the lower, the sooner
    reply: Mapped[dict[str, Any]]  # bot.messages.Reply as JSON
    why: Mapped[str] = mapped_column(Text)  # what 为什么 answers
    not_before: Mapped[datetime]
    not_after: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(16))  # storage.deliveries.STATES
    fence: Mapped[int] = mapped_column(default=0)  # counts claims: only the holder of the newest may finish
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    channel: Mapped[str | None] = mapped_column(String(16))  # the channel it was handed to last
    platform_id: Mapped[str | None] = mapped_column(String(128))
    code: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime]
    handed_at: Mapped[datetime | None]  # of what is queued: since when a platform may have it all the same
    accepted_at: Mapped[datetime | None]
    acked_at: Mapped[datetime | None]


class Pace(Base):
    """What all processes together have used of a channel: when its next call may be made, and a day's calls."""

    __tablename__ = "pace"

    channel: Mapped[str] = mapped_column(String(16), primary_key=True)
    free_s: Mapped[float]  # seconds of Unix time
    on: Mapped[date]  # the local day that `used` counts
    used: Mapped[int]


MADE = "made"  # the channel of a file that the program made for a person


class File(MaybeOfBody, Base):
    """A file that somebody sent, or that was made for them. `body_id` is the body spoken for then.

    The bytes lie under their hash.
    """

    __tablename__ = "file"
    __table_args__ = (Index("ix_file_sender", "channel", "address", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)
    channel: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(128))
    media_id: Mapped[str | None] = mapped_column(String(256))  # what the platform calls it, until it is fetched
    state: Mapped[str] = mapped_column(String(16), index=True)  # pending, stored, refused, lost
    purpose: Mapped[str] = mapped_column(
        String(16), default=""
    )  # what it was sent for: table; else it may become evidence
    name: Mapped[str] = mapped_column(String(255), default="")
    mime: Mapped[str] = mapped_column(String(128), default="")  # as sniffed from the bytes
    size: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    reason: Mapped[str] = mapped_column(String(128), default="")
    attempts: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime]


class UploadLink(Base):
    """A short-lived page through which somebody sends files into the conversation. Only the token's digest is kept."""

    __tablename__ = "upload_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    channel: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(128))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Audit(MaybeOfBody, Base):
    """A change, who made it and why, written in the same transaction (storage.audit.record, and nothing else).

    Rows are never changed: triggers see to it (storage.audit.GUARDS). `mac` proves that the program wrote the row.
    """

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_subject", "subject", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)
    role: Mapped[str] = mapped_column(String(24))  # the role that allowed it; `system` and `operator` have no person
    channel: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(48))
    subject: Mapped[str] = mapped_column(String(64))  # person:5, fund:12
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    reason: Mapped[str] = mapped_column(Text, default="")
    mac: Mapped[str] = mapped_column(String(64))


class Seal(Base):
    """A link of the chain over the audit: HMAC of the link before and of one row. Appended by the sealer."""

    __tablename__ = "seal"

    position: Mapped[int] = mapped_column(primary_key=True)
    audit_id: Mapped[int] = mapped_column(unique=True)
    digest: Mapped[str] = mapped_column(String(64))


class Anchor(Base):
    """Where a trim of the audit ended: positions up to here are gone, and the chain goes on from `digest`.

    `mac` proves that the program trimmed.
    """

    __tablename__ = "anchor"

    position: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int]
    at: Mapped[datetime]
    mac: Mapped[str] = mapped_column(String(64))


class Switch(Base):
    """A setting that is changed while running: `sending` on or off, with the reason."""

    __tablename__ = "switch"

    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime]


# --- reminders -------------------------------------------------------------------------------------------------------


class CalendarDay(Base):
    """A day on which people work or rest other than the shipped calendar says."""

    __tablename__ = "calendar_day"

    on: Mapped[date] = mapped_column("day", primary_key=True)
    works: Mapped[bool]
    source: Mapped[str] = mapped_column(String(128))  # the document that says so
    at: Mapped[datetime]


class Occurrence(Base):
    """One reminder to one person, once: its key carries the deadline it counts from (bot.ladder.Planned.key)."""

    __tablename__ = "occurrence"
    __table_args__ = (
        Index("ix_occurrence_due", "state", "planned_on"),
        Index("ix_occurrence_person", "person_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(128), unique=True)
    subject: Mapped[str] = mapped_column(String(64))
    due_on: Mapped[date]
    step: Mapped[str] = mapped_column(String(16))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    planned_on: Mapped[date]
    last_on: Mapped[date]
    state: Mapped[str] = mapped_column(String(16))  # planned, merged, superseded, cancelled, missed
    reason: Mapped[str] = mapped_column(String(64), default="")
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("delivery.id"), index=True)  # the digest it is part of
    at: Mapped[datetime]


class Mute(Base):
    """Somebody knows of a subject, or wants to hear of it again on a day. The newest row of a person holds."""

    __tablename__ = "mute"
    __table_args__ = (UniqueConstraint("subject", "person_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(64))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    until: Mapped[date]
    snooze: Mapped[bool]
    at: Mapped[datetime]


class OwnReminder(Base):
    """What somebody asked to be reminded of."""

    __tablename__ = "own_reminder"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    due_on: Mapped[date]
    at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Preference(Base):
    """How somebody wants to be reminded: when in the day, not before a day, by which channels first."""

    __tablename__ = "preference"

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    slot: Mapped[str] = mapped_column(String(5), default="")  # 10:15; empty for the usual time
    paused_until: Mapped[date | None]
    channels: Mapped[list[Any]] = mapped_column(default=list)  # names, the first one first
    at: Mapped[datetime]


class Chain(Base):
    """Who is told when a subject stays overdue, as it was when it became so."""

    __tablename__ = "chain"
    __table_args__ = (UniqueConstraint("subject", "due_on"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(64))
    due_on: Mapped[date]
    people: Mapped[dict[str, Any]]  # level → numbers of people
    at: Mapped[datetime]


class DeadlineMark(Base):
    """A person's word on a date that a notice states: it starts reminders, or it does not."""

    __tablename__ = "deadline_mark"
    __table_args__ = (UniqueConstraint("deadline", "due_on"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    deadline: Mapped[str] = mapped_column(String(64))  # its id in the knowledge calendar
    due_on: Mapped[date]
    confirmed: Mapped[bool]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[datetime]


class CallTask(OfBody, Base):
    """A county to be called because its people cannot be reached: one call a day for everything."""

    __tablename__ = "call_task"
    __table_args__ = (UniqueConstraint("body_id", "called_on"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    called_on: Mapped[date]
    # {person, delivery, text}: whom to tell what, and which message could not be brought or was not acknowledged, if
    # any; {broadcast} for the latter
    lines: Mapped[list[Any]]
    due_on: Mapped[date]  # the first legal date among them: the most urgent county is called first
    outcome: Mapped[str] = mapped_column(String(16), default="")  # storage.calls.OUTCOMES
    attempts: Mapped[int] = mapped_column(default=0)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))  # who called
    at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class Pulse(Base):
    """When a job of the program last ran to its end."""

    __tablename__ = "pulse"

    job: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime]


class Edition(Base):
    """A published set of knowledge files, kept whole so that every process and every later day can load it."""

    __tablename__ = "edition"

    number: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    files: Mapped[bytes] = mapped_column(LargeBinary)
    published_at: Mapped[datetime]
    published_by: Mapped[str] = mapped_column(String(64), default="", server_default="")  # empty for the program itself
    note: Mapped[str] = mapped_column(Text, default="", server_default="")


# --- who sits at the console -----------------------------------------------------------------------------------------


class Credential(Base):
    """What somebody signs in with at a desk: a name, a password and a one-time code. `locked_until` follows failures."""

    __tablename__ = "credential"

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password: Mapped[str] = mapped_column(String(256))  # argon2id
    totp: Mapped[str | None] = mapped_column(Text, info={"encrypted": True})
    step: Mapped[int] = mapped_column(default=0)  # the newest 30-second step whose code was used: none is used twice
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    changed_at: Mapped[datetime]


class Visit(Base):
    """Somebody signed in at the console. Only the digests of the cookie and of the link that began it are kept."""

    __tablename__ = "visit"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    ticket_digest: Mapped[str | None] = mapped_column(String(64), unique=True)  # a link begins one visit only
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    said: Mapped[str] = mapped_column(Text, default="")  # what the next page tells of the last act
    at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Call(MaybeOfBody, Base):
    """A call that the hotline took, saved while it is written down. It belongs to the province: no county sees it.

    `county_id` is the body that the caller spoke for; `ended_at` is empty until the call is finished.
    """

    __tablename__ = "call"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)  # whose desk took it
    caller_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    county_id: Mapped[int | None] = mapped_column(ForeignKey("body.id"))
    name: Mapped[str] = mapped_column(Text, default="", info={"encrypted": True})
    phone: Mapped[str | None] = mapped_column(Text, info={"encrypted": True})
    phone_digest: Mapped[str | None] = mapped_column(String(64), index=True, info={"digest_of": "phone"})
    question: Mapped[str] = mapped_column(Text, default="")
    used: Mapped[str] = mapped_column(Text, default="")  # the answer that was given, with its source
    outcome: Mapped[str] = mapped_column(String(16), default="")  # storage.calllog.OUTCOMES
    note: Mapped[str] = mapped_column(Text, default="")
    question_id: Mapped[int | None] = mapped_column(ForeignKey("question.id"), index=True)  # what it was passed on as
    at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
