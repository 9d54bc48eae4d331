"""Draws for follow-up checks: what must be looked at, and a random rest that anybody can draw again.

What was not drawn stays unchecked and counts as confirmed nowhere. A draw is an option: 日常监督检查 confirms as well.
Source: 商办建函〔2020〕144号 三(二), 五.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from math import comb

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from storage import audit, flags, scope
from storage.models import Body, Evidence, File, Item, ItemEvent, Sample

SHARES = (20, 10, 5)  # per cent of bad ones that a draw would notice with 95 % certainty
_MISSED = 0.05
_AT_ONCE = 500  # ids of one statement


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What would be drawn: the lines of the whole list, how many at random, and who with which reason."""

    year: int | None
    share: int
    seed: str
    listed: tuple[tuple[int, str], ...]  # item's number and its line, in the order of the lines
    certain: int
    random: int
    drawn: tuple[tuple[int, str], ...]  # item's number and why, in the order of drawing


def size(count: int, share: int) -> int:
    """How many of `count` to check so that, were `share` per cent bad, one is found with 95 % certainty.

    Hypergeometric, and none may fail: 100 with 10 per cent bad → 25.
    """
    bad = -(-count * share // 100)
    missed = (comb(count - bad, number) / comb(count, number) for number in range(count + 1))
    return next(number for number, chance in enumerate(missed) if chance <= _MISSED) if count else 0


def order(seed: str, line: str) -> str:
    """What lines are sorted by for a draw: the SHA-256 of `seed:line`."""
    return sha256(f"{seed}:{line}".encode()).hexdigest()


def prepare(db: Session, on: date, year: int | None, share: int) -> Draw:
    """Draw from what is closed and not confirmed, of one year or all; nothing is stored.

    First whatever must be looked at, then the random rest, then one for each body and year that has none yet.
    """
    found = _closed(db, year)
    lines = {item.id: line_of(body, item) for item, body in found}
    places = {item.id: (item.body_id, item.batch_year) for item, _ in found}
    listed = tuple(sorted(lines.items(), key=lambda one: one[1]))
    digest = sha256("\n".join(line for _, line in listed).encode()).hexdigest()
    seed = f"{on.isoformat()} {digest}"
    why = _certain(db, [item for item, _ in found])
    rest = sorted((one for one in lines if one not in why), key=lambda one: order(seed, lines[one]))
    number = min(len(rest), size(len(rest), share) * (2 if _failed_before(db, year) else 1))
    drawn = [(one, why[one]) for one, _ in listed if one in why] + [(one, "random") for one in rest[:number]]
    seen = {places[one] for one, _ in drawn}
    for one in rest[number:]:
        if places[one] not in seen:
            seen.add(places[one])
            drawn.append((one, "body"))
    return Draw(
        year=year, share=share, seed=seed, listed=listed, certain=len(why), random=number, drawn=tuple(drawn)
    )  # fmt: skip


def line_of(body: Body, item: Item) -> str:
    """The line that stands for an item in a draw: 620522 秦安县 2016 Q1."""
    return f"{body.division_code} {body.name} {item.batch_year} {item.number}"


def _closed(db: Session, year: int | None) -> list[tuple[Item, Body]]:
    wanted = select(Item, Body).join(Body, Body.id == Item.body_id).where(Item.state == "closed")
    if year is not None:
        wanted = wanted.where(Item.batch_year == year)
    return [(item, body) for item, body in db.execute(wanted)]


def _certain(db: Session, found: Sequence[Item]) -> dict[int, str]:
    """What must be looked at, by item's number, with the reason that weighs most."""
    doubled, papers, failed = _doubled(db, found), _papers_only(db, found), _failed(db)
    reasons = (
        ("failed", lambda item: (item.body_id, item.category) in failed),
        ("reported", lambda item: item.source == "举报"),
        ("doubled", lambda item: item.id in doubled),
        ("funds", lambda item: item.category == "资金"),
        ("returned", lambda item: item.returns >= 2),
        ("burst", flags.burst),
        ("papers", lambda item: item.id in papers),
    )
    why = {item.id: next((reason for reason, holds in reasons if holds(item)), "") for item in found}
    return {one: reason for one, reason in why.items() if reason}


def _portions(found: Sequence[Item]) -> Iterable[list[int]]:
    return ([item.id for item in found[at : at + _AT_ONCE]] for at in range(0, len(found), _AT_ONCE))


def _failed(db: Session) -> set[tuple[int, str]]:
    """The bodies and categories in which a follow-up check has failed: all of those are looked at."""
    wanted = select(Item.body_id, Item.category).where(Item.round > 1).distinct()
    return {(body_id, category) for body_id, category in db.execute(wanted)}


def _doubled(db: Session, found: Sequence[Item]) -> set[int]:
    """Items with a file that stands as evidence of another one too."""
    other, same = aliased(Evidence), aliased(File)
    doubled: set[int] = set()
    for ids in _portions(found):
        wanted = (
            select(Evidence.item_id)
            .join(File, File.id == Evidence.file_id)
            .join(same, or_(same.id == File.id, same.sha256 == File.sha256))
            .join(other, other.file_id == same.id)
            .where(Evidence.item_id.in_(ids), other.item_id != Evidence.item_id)
            .where(Evidence.withdrawn_at.is_(None), other.withdrawn_at.is_(None))
        )
        doubled |= set(db.scalars(wanted.distinct()))
    return doubled


def _papers_only(db: Session, found: Sequence[Item]) -> set[int]:
    """Items that were closed on the strength of papers alone."""
    methods: dict[int, str] = {}
    for ids in _portions(found):
        wanted = select(ItemEvent.item_id, ItemEvent.said).where(
            ItemEvent.event == "propose", ItemEvent.item_id.in_(ids)
        )
        methods |= {one: said["method"] for one, said in db.execute(wanted.order_by(ItemEvent.version))}
    return {one for one, method in methods.items() if method == "材料审核"}


def _failed_before(db: Session, year: int | None) -> bool:
    """Whether the draw before found something: then twice as many are drawn."""
    before = next((one for one in listed(db) if one.batch_year == year), None)
    if before is None:
        return False
    drawn = [one for one, _ in before.drawn]
    wanted = select(ItemEvent.id).where(ItemEvent.event == "reopen", ItemEvent.at > before.at)
    return any(
        db.scalars(wanted.where(ItemEvent.item_id.in_(drawn[at : at + _AT_ONCE]))).first()
        for at in range(0, len(drawn), _AT_ONCE)
    )


# --- kept draws ----------------------------------------------------------------------------------------------------


def keep(db: Session, draw: Draw, division: str, now: datetime) -> Sample:
    """Keep a draw of a province, with its audit row."""
    viewer = scope.viewer_of(db)
    made = Sample(
        division_code=division, batch_year=draw.year, share=draw.share, seed=draw.seed, person_id=viewer.person_id, at=now,
        listed=[list(one) for one in draw.listed], drawn=[list(one) for one in draw.drawn],
    )  # fmt: skip
    db.add(made)
    db.flush()
    audit.record(
        db, "sample.draw", f"sample:{made.id}", now=now, role=viewer.role_for("check"),
        after={"seed": draw.seed, "listed": len(draw.listed), "drawn": len(draw.drawn)},
    )  # fmt: skip
    return made


def listed(db: Session) -> list[Sample]:
    """The draws that the viewer sees, the newest first."""
    return list(db.scalars(select(Sample).order_by(Sample.id.desc()).limit(20)))


def numbered(db: Session, number: int) -> Sample | None:
    """A draw; None outside scope."""
    return db.scalars(select(Sample).where(Sample.id == number)).one_or_none()


def found(db: Session, item_ids: Collection[int]) -> dict[int, Item]:
    """Items by their numbers, of those the viewer sees."""
    ids = list(item_ids)
    made: dict[int, Item] = {}
    for at in range(0, len(ids), _AT_ONCE):
        made |= {item.id: item for item in db.scalars(select(Item).where(Item.id.in_(ids[at : at + _AT_ONCE])))}
    return made


def results(db: Session, sample: Sample) -> dict[int, str]:
    """The event that each drawn item was checked with, confirm or reopen; "" while nobody has checked it since."""
    outcome = {one: "" for one, _ in sample.drawn}
    ids = list(outcome)
    for at in range(0, len(ids), _AT_ONCE):
        wanted = select(ItemEvent.item_id, ItemEvent.event).where(
            ItemEvent.item_id.in_(ids[at : at + _AT_ONCE]), ItemEvent.event.in_(("confirm", "reopen"))
        )
        for item_id, event in db.execute(wanted.where(ItemEvent.at >= sample.at).order_by(ItemEvent.version.desc())):
            outcome[item_id] = event  # the first check after the draw is its result: the others come later
    return outcome
