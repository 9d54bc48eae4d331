"""What changes from one edition of the knowledge to another: notices, curated facts, rules, and answers to questions."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from typing import Any, Literal

from knowledge.answer import answer
from knowledge.base import NOTICES, KnowledgeBase, is_imported
from knowledge.importing.draft import compare
from knowledge.model import Answer, Citation
from knowledge.notices import header_of


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A thing that one edition has and the other has not, or has otherwise. `detail` counts the clauses of a notice."""

    what: Literal["notice", "entry", "rule", "expense"]
    kind: Literal["added", "removed", "changed"]
    id: str
    title: str
    detail: int = 0


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Reminders of one thing that a publication adds, cancels or moves: how many, and the legal dates."""

    kind: Literal["added", "cancelled", "moved"]
    what: str
    count: int
    was: date | None = None
    due_on: date | None = None


@dataclass(frozen=True, kw_only=True)
class Impact:
    """The differences, and the questions that are answered otherwise: (question, before, after).

    `stale` is what is curated upon clauses that are now out of force, or will be: id and citation.
    """

    differences: tuple[Difference, ...]
    answers: tuple[tuple[str, Answer, Answer], ...]
    stale: tuple[tuple[str, Citation], ...] = ()
    reminders: tuple[Shift, ...] = ()


def impact(
    before: KnowledgeBase, after: KnowledgeBase, questions: Sequence[str], on: date, reminders: Sequence[Shift] = ()
) -> Impact:
    """Compare two editions, also by the answers to `questions` as of a day; `reminders` see bot.planner.shifts."""
    found: list[Difference] = []
    for what, old, new in (
        ("notice", before.notices, after.notices),
        ("entry", before.entries, after.entries),
        ("rule", before.rules.values(), after.rules.values()),
        ("expense", before.expenses, after.expenses),
    ):
        found += _differences(what, old, new)
    answered = ((text, answer(before, text, on=on), answer(after, text, on=on)) for text in questions)
    known = before.stale(date.max)
    return Impact(
        differences=tuple(found),
        answers=tuple(one for one in answered if _said(one[1]) != _said(one[2])),
        stale=tuple(one for one in after.stale(date.max) if one not in known),
        reminders=tuple(reminders),
    )


def unreviewed(files: Mapping[str, bytes], current: KnowledgeBase, by: str) -> list[str]:
    """The notices that are new, not confirmed, and that nobody but their importer has looked at.

    `by` is who would publish them; empty for nobody in particular.
    """
    held = {notice.id for notice in current.notices}
    headers = [
        header_of(content.decode())
        for name, content in files.items()
        if name.startswith(NOTICES) and is_imported(name, content)
    ]
    new = [one for one in headers if one["id"] not in held and "confirmed" not in one and one.get("imported_by")]
    return [one["id"] for one in new if by in ("", one["imported_by"])]


def _differences(
    what: Any, before: Iterable[Any], after: Iterable[Any]
) -> list[Difference]:  # Any: dataclasses with id
    old, new = ({one.id: one for one in group} for group in (before, after))
    found = []
    for name in sorted({*old, *new}):
        one = new.get(name) or old[name]
        kind: Any = "added" if name not in old else "removed" if name not in new else "changed"
        if kind == "changed" and shape(old[name]) == shape(new[name]):
            continue
        clauses = 0
        if what == "notice":
            clauses = len(compare(old[name].clauses, new[name].clauses)) if kind == "changed" else len(one.clauses)
        found.append(Difference(what=what, kind=kind, id=name, title=one.title, detail=clauses))
    return found


def shape(value: Any) -> Any:  # Any: a value of the knowledge, however nested
    """A value in a form that is equal for what reads the same: parsed expressions are not equal by themselves."""
    if isinstance(value, ast.AST):
        return ast.dump(value)
    if is_dataclass(value):
        return tuple((one.name, shape(getattr(value, one.name))) for one in fields(value))
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), shape(one)) for key, one in value.items()))
    if isinstance(value, tuple | list):
        return tuple(shape(one) for one in value)
    return value


def _said(found: Answer) -> tuple[object, ...]:
    cited = tuple((one.notice_id, one.clause, one.quote, one.validity) for one in found.citations)
    return (found.kind, found.status, found.verdict, found.statement, cited)
