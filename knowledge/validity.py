"""From when until when a clause is in force: notices take effect, are repealed, and supersede others or single clauses.

A passed deadline ends nothing. Only an official text supersedes; what an unverified one says waits for a person.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from knowledge.model import Clause, Notice, Supersession


@dataclass(frozen=True, kw_only=True)
class Span:
    """The days on which a clause is in force: from `since` on, before `until`. Empty ends are open.

    `by` is the notice that ended it with the label of the clause that took its place, which may be empty.
    """

    since: date | None
    until: date | None
    by: tuple[str, str] | None = None

    def holds(self, on: date) -> bool:
        """Whether the clause is in force on a day."""
        return (self.since is None or self.since <= on) and (self.until is None or on < self.until)

    def is_over(self, on: date) -> bool:
        """Whether it was in force and is so no more."""
        return self.until is not None and self.until <= on


Spans = Mapping[tuple[str, str], Span]


def is_called(notice: Notice, name: str) -> bool:
    """Whether a notice goes by a name: its id, number, title or one of its aliases."""
    return name in (notice.id, notice.number, notice.title, *notice.aliases)


def covers(label: str, other: str) -> bool:
    """Whether a clause is another one or holds it: 三 holds 三(一)1 and 三¶2, 附件1 does not hold 附件10."""
    if not other.startswith(label):
        return False
    rest = other[len(label) :]
    return not rest or rest[0] in "(¶.-" or (rest[0].isdigit() and not label[-1:].isdigit())


def begins(notice: Notice) -> date | None:
    """The day from which a notice is in force."""
    return notice.effective_on or notice.issued_on


def spans(notices: Iterable[Notice]) -> dict[tuple[str, str], Span]:
    """The span of every clause, by notice and label."""
    listed = list(notices)
    found = {
        (notice.id, clause.label): Span(since=begins(notice), until=notice.repealed_on)
        for notice in listed
        for clause in notice.clauses
    }
    for notice in listed:
        on = begins(notice)
        if on is None or notice.text_status != "official":
            continue
        for one in notice.supersedes:
            for old in (old for old in listed if old.id != notice.id and is_called(old, one.notice)):
                for clause in old.clauses:
                    _end(found, clause, one, notice, on)
    return found


def _end(found: dict[tuple[str, str], Span], clause: Clause, one: Supersession, notice: Notice, on: date) -> None:
    """End a clause's span on a day, unless it ended before or another clause is meant."""
    span = found[clause.notice_id, clause.label]
    if not covers(one.clause, clause.label) and one.clause or (span.until is not None and span.until < on):
        return
    found[clause.notice_id, clause.label] = Span(since=span.since, until=on, by=(notice.id, one.by))


def ends(notice: Notice, others: Iterable[Notice]) -> list[tuple[Clause, Span]]:
    """The clauses of others that a notice takes out of force, each with its span."""
    listed = [one for one in others if one.id != notice.id]
    before, after = spans(listed), spans([*listed, notice])
    clauses = (clause for one in listed for clause in one.clauses)
    return [
        (clause, span) for clause in clauses if (span := after[at := (clause.notice_id, clause.label)]) != before[at]
    ]


def waiting(notices: Iterable[Notice]) -> list[tuple[Notice, Supersession]]:
    """What is said to supersede without effect yet: the text is not official, or the other notice is not there."""
    listed = list(notices)
    return [
        (notice, one)
        for notice in listed
        for one in notice.supersedes
        if notice.text_status != "official" or not any(is_called(old, one.notice) for old in listed)
    ]


def problems(notices: Iterable[Notice]) -> list[tuple[str, str]]:
    """What is wrong in the supersessions: the notice's id and the remedy."""
    listed, found = list(notices), []
    for notice in listed:
        if notice.supersedes and begins(notice) is None:
            found.append((notice.id, "取代别的文件，须写明施行日期（effective）或发文日期（issued），取代从哪天起。"))
        own = {clause.label for clause in notice.clauses}
        for one in notice.supersedes:
            if is_called(notice, one.notice):
                found.append((notice.id, f"所取代的“{one.notice}”指向自身。"))
            if one.by and one.by not in own:
                found.append((notice.id, f"写明由“{one.by}”取代，本文没有这一条。"))
            for old in (old for old in listed if is_called(old, one.notice)):
                if one.clause and one.clause not in {clause.label for clause in old.clauses}:
                    found.append((notice.id, f"所取代的{old.id}没有条款“{one.clause}”，请核对条款号。"))
    return found


_PART = re.compile(r"(?P<notice>[^#|]+?)\s*(?:#\s*(?P<clause>\S+?))?(?:\s+by\s+(?P<by>\S+))?")


def read_supersessions(text: str) -> tuple[Supersession, ...]:
    """Read `8-2020 | 9-2020#三(一) by 二`: notices, clauses of notices, and what takes a place. Raises ValueError."""
    found = []
    for part in filter(None, (part.strip() for part in text.split("|"))):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(part)
        found.append(Supersession(notice=match["notice"], clause=match["clause"] or "", by=match["by"] or ""))
    return tuple(found)
