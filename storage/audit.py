"""The trail of changes: one row in the same transaction as each change, never altered afterwards.

Each row carries a MAC, so that nobody else can write one. A sealer, apart from the turns, links the committed rows
into a chain, so that none can be taken out or moved. Triggers keep everybody from changing rows by mistake.
"""

import hmac
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from sqlalchemy import Connection, MetaData, delete, event, exists, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from storage.db import transaction
from storage.models import Anchor, Audit, Base, Seal
from storage.scope import SYSTEM, serving, viewer_of

KEPT_DAYS = 400  # a year with a margin, for 等保 and 网络安全法 第二十一条
LATE = timedelta(hours=1)  # after this a row that is not sealed means that no sealer runs
_BATCH = 500
_RECORD = insert(Base.metadata.tables["audit"]).inline()
ALL = 2**62  # for `behind`
_BEHIND = 1_000  # how far below the newest sealed row the sealer looks for rows that were committed late
_TRIES = 5
_MOST_FLAWS = 100


def record(
    db: Session,
    action: str,
    subject: str,
    *,
    now: datetime,
    role: str,
    body_id: int | None = None,
    before: Mapping[str, Any] | None = None,  # Any: JSON values, personal ones masked by the caller
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Write down a change by the session's viewer. `subject` is `table:id`; `role` is the one that allowed it."""
    change = Change(subject=subject, body_id=body_id, before=before, after=after)
    record_all(db, action, [change], now=now, role=role, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One of many changes alike: `table:id`, the body whose row it is, and what the row said."""

    subject: str
    body_id: int | None
    before: Mapping[str, Any] | None = None  # Any: JSON values, as above
    after: Mapping[str, Any] | None = None


def record_all(
    db: Session, action: str, changes: Iterable[Change], *, now: datetime, role: str, reason: str = ""
) -> None:
    """Write down many changes alike by the session's viewer, a row for each."""
    viewer = viewer_of(db)
    rows = [
        SimpleNamespace(
            at=now, person_id=viewer.person_id, role=role, channel=viewer.channel, action=action, subject=one.subject,
            body_id=one.body_id, division_code=viewer.division if one.body_id is None else None,
            before=_as_stored(one.before), after=_as_stored(one.after), reason=reason,
        )
        for one in changes
    ]  # fmt: skip
    for row in rows:
        row.mac = _mac(db, "row", _content(row))
    if rows:  # at once and without their numbers: whoever makes a change need not see the trail (storage.policies)
        db.connection().execute(_RECORD, [vars(row) for row in rows])


# --- the chain -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest link of the chain; position 0 before the first."""

    position: int
    digest: str


FlawKind = Literal["altered", "foreign", "missing", "broken", "gap", "unsealed", "anchor", "cut"]


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """What is wrong with the trail, and where: a row of the audit, a position of the chain, or both."""

    kind: FlawKind
    audit_id: int | None = None
    position: int | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `verify` found: how many rows are sealed, the newest link, and the flaws in the order of the chain."""

    rows: int
    head: Head
    flaws: tuple[Flaw, ...]


def head(db: Session) -> Head:
    """The newest link: of a seal, or of the anchor after which nothing has been sealed."""
    links: list[Head] = [
        Head(position=position, digest=digest)
        for table in (Seal, Anchor)
        for position, digest in db.execute(
            select(table.position, table.digest).order_by(table.position.desc()).limit(1)
        ).all()
    ]
    return max(links, key=lambda one: one.position, default=Head(position=0, digest=""))


def seal(sessions: sessionmaker[Session], remember: Path | None = None, *, behind: int = _BEHIND) -> int:
    """Link committed rows that are not sealed yet into the chain; how many.

    A row that was committed after newer ones were sealed gets a later position. Sealers of several processes cannot
    fork the chain: a position is taken once, and whoever comes second tries again. The newest link is remembered in
    a file outside the database, so that a chain cut off at its end does not pass for whole.
    """
    sealed, tries, count = 0, 0, _BATCH
    while count == _BATCH and tries < _TRIES:
        try:
            with transaction(sessions) as db:
                count = _append(db, behind)
                last = head(db)
        except IntegrityError:
            tries += 1
        else:
            sealed += count
            if remember is not None:
                _remember(remember, last)
    return sealed


def remembered(path: Path) -> Head | None:
    """The newest link that `seal` wrote down outside the database; None when there is none."""
    try:
        position, digest = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    return Head(position=int(position), digest=digest)


def _remember(path: Path, last: Head) -> None:
    before = remembered(path)
    if last.position > (before.position if before else 0):
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="ascii", delete=False) as file:
            file.write(f"{last.position} {last.digest}\n")
        os.replace(file.name, path)


def _append(db: Session, behind: int) -> int:
    with serving(db, SYSTEM):
        last = head(db)
        newest = db.scalar(select(func.max(Seal.audit_id))) or 0
        waiting = (
            select(Audit)
            .where(Audit.id > newest - behind, ~exists().where(Seal.audit_id == Audit.id))
            .order_by(Audit.id)
            .limit(_BATCH)
        )
        rows = db.scalars(waiting).all()
        position, digest = last.position, last.digest
        for row in rows:
            position, digest = position + 1, _link(db, digest, row)
            db.add(Seal(position=position, audit_id=row.id, digest=digest))
        return len(rows)


def verify(db: Session, now: datetime, known: Head | None = None) -> Report:
    """Check every row and every link. `known` is a link remembered outside the database: the chain must reach it."""
    with serving(db, SYSTEM):
        anchor = db.scalars(select(Anchor).order_by(Anchor.position.desc()).limit(1)).first()
        flaws: list[Flaw] = []
        if anchor is not None and anchor.mac != _anchor_mac(db, anchor):
            flaws.append(Flaw(kind="anchor", position=anchor.position))
        rows = 0
        last = Head(position=anchor.position, digest=anchor.digest) if anchor else Head(position=0, digest="")
        reached = known is None or known.position <= last.position
        for link, row in _links(db, last.position):
            rows += 1
            if link.position != last.position + 1:
                flaws.append(Flaw(kind="gap", position=last.position + 1))
            elif (kind := _flaw(db, last.digest, link, row)) is not None:
                flaws.append(Flaw(kind=kind, audit_id=link.audit_id, position=link.position))
            last = Head(position=link.position, digest=link.digest)
            reached = reached or last == known
            if len(flaws) >= _MOST_FLAWS:
                return Report(rows=rows, head=last, flaws=tuple(flaws))
        if not reached and known is not None:
            flaws.append(Flaw(kind="cut", position=known.position))
        flaws += _unsealed(db, now)
        return Report(rows=rows, head=last, flaws=tuple(flaws))


def _links(db: Session, after: int) -> Iterator[tuple[Seal, Audit | None]]:
    """Every seal above a position with its row, in order."""
    while True:
        page = (
            select(Seal, Audit)
            .outerjoin(Audit, Audit.id == Seal.audit_id)
            .where(Seal.position > after)
            .order_by(Seal.position)
            .limit(_BATCH)
        )
        found = db.execute(page).all()
        for link, row in found:
            yield link, row
            after = link.position
            db.expunge(link)
            if row is not None:
                db.expunge(row)
        if len(found) < _BATCH:
            return


def _flaw(db: Session, before: str, link: Seal, row: Audit | None) -> FlawKind | None:
    if row is None:
        return "missing"
    if not hmac.compare_digest(row.mac, _mac(db, "row", _content(row))):
        return "altered"
    return None if hmac.compare_digest(link.digest, _link(db, before, row)) else "broken"


def _unsealed(db: Session, now: datetime) -> Iterator[Flaw]:
    waiting = select(Audit).where(~exists().where(Seal.audit_id == Audit.id)).order_by(Audit.id).limit(_MOST_FLAWS)
    for row in db.scalars(waiting):
        if not hmac.compare_digest(row.mac, _mac(db, "row", _content(row))):
            yield Flaw(kind="foreign", audit_id=row.id)
        elif now - row.at > LATE:
            yield Flaw(kind="unsealed", audit_id=row.id)


def trim(db: Session, now: datetime, days: int = KEPT_DAYS) -> int:
    """Remove sealed rows older than `days` from the beginning of the chain, leaving an anchor; how many.

    Raises ValueError below 400 days. The caller has verified the chain: what is removed can prove nothing any more.
    """
    if days < KEPT_DAYS:
        raise ValueError(f"the audit is kept for {KEPT_DAYS} days")
    with serving(db, SYSTEM):
        sealed = select(Seal.position).join(Audit, Audit.id == Seal.audit_id)
        kept = db.scalar(sealed.where(Audit.at >= now - timedelta(days=days)).order_by(Seal.position).limit(1))
        end = kept - 1 if kept is not None else head(db).position
        last = db.get(Seal, end)
        if last is None:
            return 0
        count = db.scalar(select(func.count()).where(Seal.position <= end)) or 0
        anchor = Anchor(position=end, digest=last.digest, rows=count, at=now)
        anchor.mac = _anchor_mac(db, anchor)
        db.add(anchor)
        db.flush()
        old = select(Seal.audit_id).where(Seal.position <= end)
        db.execute(delete(Audit).where(Audit.id.in_(old)), execution_options={"synchronize_session": False})
        db.execute(delete(Seal).where(Seal.position <= end), execution_options={"synchronize_session": False})
        db.expunge_all()
        record(
            db, "audit.trim", f"anchor:{end}", now=now, role="operator", after={"rows": count, "digest": anchor.digest}
        )
    return count


def _as_stored(values: Mapping[str, Any] | None) -> dict[str, Any]:  # Any: JSON values
    """Values as the database gives them back: keys are strings, tuples lists."""
    stored: dict[str, Any] = json.loads(json.dumps(dict(values or {})))
    return stored


def _content(row: Audit | SimpleNamespace) -> list[Any]:  # Any: JSON values
    at = row.at.astimezone(UTC).isoformat(timespec="microseconds")
    who = [row.person_id, row.role, row.channel]
    about = [row.action, row.subject, row.body_id, row.division_code]
    return [at, *who, *about, row.before, row.after, row.reason]


def _link(db: Session, before: str, row: Audit) -> str:
    return _mac(db, "seal", [before, row.id, row.mac, *_content(row)])


def _anchor_mac(db: Session, anchor: Anchor) -> str:
    at = anchor.at.astimezone(UTC).isoformat(timespec="microseconds")
    return _mac(db, "anchor", [anchor.position, anchor.digest, anchor.rows, at])


def _mac(db: Session, purpose: str, values: list[Any]) -> str:  # Any: JSON values
    text = json.dumps([purpose, *values], sort_keys=True, separators=(",", ":"))
    return hmac.new(db.info["audit_key"], text.encode(), sha256).hexdigest()


# --- append-only -----------------------------------------------------------------------------------------------------

_SAYS = "the audit is append-only"
_ANCHORED = {  # when a row may go: an anchor covers its position
    "audit": "EXISTS (SELECT 1 FROM seal JOIN anchor ON seal.position <= anchor.position WHERE seal.audit_id = OLD.id)",
    "seal": "EXISTS (SELECT 1 FROM anchor WHERE OLD.position <= anchor.position)",
    "anchor": "1 = 0",
}
_TAKEN = {  # on SQLite INSERT OR REPLACE deletes without firing a trigger of DELETE
    "audit": "EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)",
    "seal": "EXISTS (SELECT 1 FROM seal WHERE position = NEW.position OR audit_id = NEW.audit_id)",
    "anchor": "EXISTS (SELECT 1 FROM anchor WHERE position = NEW.position)",
}


def _sqlite(table: str) -> Iterator[str]:
    for name, when in (
        ("update", "UPDATE ON {0}"),
        ("delete", f"DELETE ON {{0}} WHEN NOT ({_ANCHORED[table]})"),
        ("replace", f"INSERT ON {{0}} WHEN {_TAKEN[table]}"),
    ):
        yield (
            f"CREATE TRIGGER IF NOT EXISTS {table}_{name} BEFORE {when.format(table)} "
            f"BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END"
        )


def _postgresql(table: str) -> Iterator[str]:
    yield (
        f"CREATE OR REPLACE FUNCTION {table}_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'DELETE' THEN IF {_ANCHORED[table]} THEN RETURN OLD; END IF; END IF; "
        f"RAISE EXCEPTION '{_SAYS}'; END $$"
    )
    for name, when in (("kept", "UPDATE OR DELETE ON {0} FOR EACH ROW"), ("whole", "TRUNCATE ON {0}")):
        yield f"DROP TRIGGER IF EXISTS {table}_{name} ON {table}"
        yield f"CREATE TRIGGER {table}_{name} BEFORE {when.format(table)} EXECUTE FUNCTION {table}_kept()"


def guard(connection: Connection) -> None:
    """Make the triggers that refuse every change of the audit, its seals and its anchors, save an anchored trim."""
    statements = _sqlite if connection.dialect.name == "sqlite" else _postgresql
    for table in _ANCHORED:
        for statement in statements(table):
            connection.exec_driver_sql(statement)


def guarded(connection: Connection) -> bool:
    """Whether all the triggers are there; a table that was made anew has lost them."""
    if connection.dialect.name == "sqlite":
        names = {f"{table}_{name}" for table in _ANCHORED for name in ("update", "delete", "replace")}
        found = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        names = {f"{table}_{name}" for table in _ANCHORED for name in ("kept", "whole")}
        found = "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'"
    return names <= set(connection.exec_driver_sql(found).scalars())


@event.listens_for(Base.metadata, "after_create")
def _guard(_metadata: MetaData, connection: Connection, **_: object) -> None:
    guard(connection)
