"""What a guided check came to: worked out from its kept answers, in words and as a document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from bot import documents, projects
from bot.documents import Table, Text
from bot.items import today
from bot.messages import Refused, Turn
from bot.texts import say
from bot.workdays import LOCAL
from knowledge.checks import Check, Outcome, Point, outcome
from knowledge.facts import KINDS, show_fact
from storage.models import Body, CheckResult

CARD_LIMIT = 600  # characters
LABELS = {"yes": "有", "no": "没有", "unclear": "不清楚", "na": "不适用"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A kept result with all that is said of it."""

    result: CheckResult
    check: Check
    found: Outcome
    body: str
    on: date
    headline: str  # what the rule says to the county's facts
    dated: str
    passed: str
    notes: tuple[str, ...]


def seen_of(turn: Turn, result: CheckResult) -> Seen:
    """Work out a kept result on the day of a turn. Raises Refused when its check is no more."""
    check = turn.kb.checks.get(result.name)
    if check is None:
        raise Refused(say("results.gone"))
    kb, on = turn.kb, today(turn)
    found = outcome(check, kb.rules, {**result.answers, "batch_year": str(result.batch_year)})
    rule = kb.rules.get(check.rule)
    dated = kb.rules[check.dated].possible({"batch_year": result.batch_year}) if check.dated else []
    by = dated[0] if len(dated) == 1 else None
    passed = by.deadline if by and by.deadline and by.deadline < on else None
    cited = [kb.citation(point.cite, on) for point in check.within(result.answers.get("area", ""))]
    loose = dict.fromkeys(one.title for one in cited if one.text_status == "unverified")
    return Seen(
        result=result,
        check=check,
        found=found,
        body=turn.db.get_one(Body, result.body_id).name,
        on=result.at.astimezone(LOCAL).date(),
        headline=rule.fill(found.case.statement, found.known) if rule and found.case else "",
        dated=kb.rules[check.dated].fill(by.statement, {"batch_year": result.batch_year}) if by else "",
        passed=kb.phrases["passed"].format(on=f"{passed.year}年{passed.month}月{passed.day}日") if passed else "",
        notes=tuple(say("results.unverified", title=title, phrase=kb.phrases["unverified"]) for title in loose),
    )


def lines(turn: Turn, seen: Seen) -> list[str]:
    """What is missing, what is not clear and what was set aside, each with its clause."""
    groups = (("no", seen.found.missing), ("unclear", seen.found.unclear), ("na", seen.found.aside))
    found = []
    for answer, points in groups:
        told: set[str] = set()  # a meaning that several points share is told once
        for place, point in enumerate(points, 1):
            meaning = point.answers.get(answer, "")
            more = _more(point, seen) if answer == "no" else []
            citation = turn.kb.citation(point.cite, today(turn))
            found.append(
                say(
                    "results.line", answer=answer, first=place == 1, place=place, text=point.text,
                    meaning="" if meaning in told else meaning, citation=citation, more=more,
                )
            )  # fmt: skip
            told.add(meaning)
    return found


def _more(point: Point, seen: Seen) -> list[str]:
    """What stands behind a missing point: the fact as it is, or the projects that lack something."""
    if point.fact:
        return [say("results.fact", label=KINDS[point.fact].label, value=said(point.fact, seen))]
    if not point.table:
        return []
    wanted = {"matched": ("unit", "amount"), "informed": ("informed",)}[point.table]
    rows = [(row["project"], [one for one in projects.lacking(row) if one in wanted]) for row in rows_of(seen)]
    return [say("results.row_lacks", project=project, lacks=lacks) for project, lacks in rows if lacks]


def rows_of(seen: Seen) -> list[projects.Project]:
    """The table of projects, as far as there is one."""
    return list(seen.result.answers.get("rows") or [])


def said(key: str, seen: Seen) -> str:
    """A fact in words, and where it comes from when it is what is recorded."""
    source = seen.result.answers.get("sources", {}).get(key, "")
    return f"{show_fact(key, seen.found.known[key])}{f'（{source}）' if source else ''}"


def conclusion(seen: Seen) -> str:
    """How much is there, missing and unclear; when nothing is, what the check may say at the most."""
    found = seen.found
    counts = {"met": len(found.met), "missing": len(found.missing), "unclear": len(found.unclear)}
    whole = seen.check.complete if found.whole else ""
    left = [one for one in seen.check.areas if seen.result.answers.get("area") not in ("", None, one)]
    return say("results.conclusion", aside=len(found.aside), whole=whole, left=left, **counts)


def parted(head: str, listed: Sequence[str]) -> tuple[str, str]:
    """A first message with as many whole pieces as it holds, and what 更多 brings."""
    kept = 0
    while kept < len(listed) and len("\n".join((head, *listed[: kept + 1]))) <= CARD_LIMIT:
        kept += 1
    first, rest = "\n".join((head, *listed[:kept])), "\n".join(listed[kept:])
    return (f"{first}\n{say('dialogue.rest_follows')}" if rest else first), rest


def paper(turn: Turn, seen: Seen) -> bytes:
    """The result as a .docx: body, year and day, every point with answer, clause and quotation, the table of projects."""
    year = seen.result.batch_year
    blocks: list[Text | Table] = [
        Text(text=line, size=12) for line in say("results.paper_head", seen=seen, year=year, conclusion=conclusion(seen)).split("\n")
    ]  # fmt: skip
    header = say("results.paper_columns").split("|")
    blocks.append(Table(header=header, rows=_paper_rows(turn, seen), widths=(1.2, 4.1, 2.8, 3.3, 4.2)))
    if rows := rows_of(seen):
        shown = [
            (str(place), row["project"], row["unit"], row["amount"], say("results.informed", informed=row["informed"]))
            for place, row in enumerate(rows, 1)
        ]
        blocks.append(Text(text=say("results.paper_table")))
        blocks.append(
            Table(header=say("results.paper_project_columns").split("|"), rows=shown, widths=(1.2, 4.7, 4.7, 2.4, 2.6))
        )
    notes = say("results.paper_foot", notes=seen.notes, edition=seen.result.edition)
    blocks += [Text(text=line, size=12) for line in notes.split("\n")]
    return documents.write(say("results.paper_title", seen=seen, year=year), blocks)


def _paper_rows(turn: Turn, seen: Seen) -> list[tuple[str, ...]]:
    """Every point with its answer, its clause and the quotation, in the check's order."""
    found = seen.found
    groups: Mapping[str, tuple[Point, ...]] = {
        "yes": found.met, "no": found.missing, "unclear": found.unclear, "na": found.aside,
    }  # fmt: skip
    given = {point.id: answer for answer, points in groups.items() for point in points}
    rows: list[tuple[str, ...]] = []
    for place, point in enumerate((one for one in seen.check.points if one.id in given), 1):
        answer, citation = given[point.id], turn.kb.citation(point.cite, today(turn))
        more = said(point.fact, seen) if point.fact in found.known else ""
        meaning = "" if answer == "yes" else point.answers.get(answer, "")
        shown = say("results.paper_answer", answer=answer, label=LABELS[answer], meaning=meaning, fact=more)
        rows.append((str(place), point.text, shown, say("results.source", citation=citation), f"“{citation.quote}”"))
    return rows
