"""Guided checks: what a county goes through point by point before others do, each point with its clause.

A check never says more than its clauses: at the best that everything listed is there, and who decides.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge import expressions
from knowledge.facts import KINDS, parse_fact
from knowledge.files import Item, Problems, items, read_cite, strings
from knowledge.model import Cite, Fact
from knowledge.rules import Case, Rule

ANSWERS = ("yes", "no", "unclear", "na")  # 有, 没有, 不清楚, 不适用
_NEEDED = ANSWERS[:3]  # 不适用 is offered only where a file says what it means
_PROVINCIAL = "provincial"  # a condition may also ask whether somebody of the province goes through the check
_TABLES = ("matched", "informed")
_CHECK_KEYS = {"id", "title", "about", "answers", "areas", "points", "complete", "rule", "dated"}
_POINT_KEYS = {"id", "area", "text", "cite", "when", "fact", "table", "no", "na"}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point: what there should be, the clause, and what each answer to "is it there" means.

    `when` says to whom it applies. A point with a `fact` is decided by the check's rule from that fact, one with a
    `table` by the table of projects; the others are asked.
    """

    id: str
    text: str
    cite: Cite
    answers: Mapping[str, str]
    area: str = ""
    when: ast.expr | None = None
    fact: str = ""
    table: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check: its points by area, what it comes to when nothing is missing, and the rules that it leans on.

    `rule` decides the points with facts and gives the headline, `dated` the date that goes with it.
    """

    id: str
    title: str
    about: str
    points: tuple[Point, ...]
    complete: str
    areas: tuple[str, ...] = ()
    rule: str = ""
    dated: str = ""

    def within(self, area: str) -> tuple[Point, ...]:
        """The points of an area; all of them for none."""
        return tuple(point for point in self.points if not area or point.area == area)

    @property
    def facts(self) -> tuple[str, ...]:
        """The facts that are asked before the points, each once."""
        used = [name for point in self.points if point.when for name in expressions.names(point.when)]
        used += [point.fact for point in self.points if point.fact]
        return tuple(dict.fromkeys(name for name in used if name != _PROVINCIAL))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the answers come to. What is not answered or not known is `unclear` and never counts as `met`."""

    met: tuple[Point, ...]
    missing: tuple[Point, ...]
    unclear: tuple[Point, ...]
    aside: tuple[Point, ...]  # answered 不适用
    case: Case | None  # what the rule says to the facts, once they decide it
    known: Mapping[str, Fact]

    @property
    def whole(self) -> bool:
        """Whether nothing that was gone through is missing or unclear, and something is there."""
        return bool(self.met) and not self.missing and not self.unclear


def stated(check: Check, answers: Mapping[str, Any]) -> dict[str, Fact]:  # Any: JSON values of a form
    """The facts among the answers; an empty text is a fact that was said not to be known."""
    known: dict[str, Fact] = {key: parse_fact(key, answers[key]) for key in check.facts if answers.get(key)}
    return {_PROVINCIAL: bool(answers.get(_PROVINCIAL)), **known}


def applies(point: Point, known: Mapping[str, Fact]) -> bool | None:
    """Whether a point concerns whoever has these facts; None while that is not known."""
    return True if point.when is None else expressions.value(point.when, known)


def outcome(check: Check, rules: Mapping[str, Rule], answers: Mapping[str, Any]) -> Outcome:
    """Judge the answers of a check, keyed by point, fact and `rows`; `area` limits it to one area."""
    known = stated(check, answers)
    sorted_out: dict[str, list[Point]] = {answer: [] for answer in ANSWERS}
    for point in check.within(answers.get("area", "")):
        concerns = applies(point, known)
        if concerns is not False:
            given = _given(check, rules, point, known, answers) if concerns else "unclear"
            sorted_out[given if given in ANSWERS else "unclear"].append(point)
    possible = rules[check.rule].possible(known) if check.rule else []
    return Outcome(
        met=tuple(sorted_out["yes"]),
        missing=tuple(sorted_out["no"]),
        unclear=tuple(sorted_out["unclear"]),
        aside=tuple(sorted_out["na"]),
        case=possible[0] if len(possible) == 1 else None,
        known=known,
    )


def _given(
    check: Check, rules: Mapping[str, Rule], point: Point, known: Mapping[str, Fact], answers: Mapping[str, Any]
) -> str:
    if point.fact:
        if point.fact not in known:
            return "unclear"
        cases = rules[check.rule].possible({point.fact: known[point.fact]})
        return "no" if all(case.verdict == "no" for case in cases) else "yes"
    if point.table:
        return _of_rows(point.table, answers.get("rows"))
    return str(answers.get(point.id, "unclear"))


def _of_rows(table: str, rows: list[dict[str, str]] | None) -> str:
    """What the table of projects says: every row whole, or every row's information complete."""
    if not rows:
        return "unclear" if rows is None else "no"
    if table == "matched":
        return "yes" if all(row["project"] and row["unit"] and row["amount"] for row in rows) else "no"
    said = {row["informed"] for row in rows}
    return "no" if "no" in said else "unclear" if said - {"yes"} else "yes"


# --- reading ---------------------------------------------------------------------------------------------------------


def load_checks(folder: Path, rules: Mapping[str, Rule], problems: Problems) -> dict[str, Check]:
    """Read the checks of a folder's YAML files, by id."""
    found: dict[str, Check] = {}
    for path in sorted(folder.glob("*.yaml")):
        for item in items(path, problems):
            if item["id"] in found:
                problems.add(path.name, item["id"], "id 重复，请改名。")
            check = _check(item, path.name, rules, problems)
            if check is not None:
                found[check.id] = check
    return found


def _check(item: Item, file: str, rules: Mapping[str, Rule], problems: Problems) -> Check | None:
    name = item["id"]
    if absent := [key for key in ("title", "about", "complete", "answers", "points") if not item.get(key)]:
        problems.add(file, name, f"缺少 {'、'.join(absent)}。")
        return None
    if unknown := sorted(set(item) - _CHECK_KEYS):
        problems.add(file, name, f"项目 {'、'.join(unknown)} 无法识别，请改正或删去。")
    meanings = _meanings(item["answers"], file, name, problems)
    for key in ("rule", "dated"):
        if item.get(key) and item[key] not in rules:
            problems.add(file, name, f"{key} 指向的规则“{item[key]}”不存在。")
            return None
    listed = item["points"] if isinstance(item["points"], list) else []
    points = [point for raw in listed if (point := _point(raw, meanings, file, name, problems))]
    check = Check(
        id=name,
        title=item["title"],
        about=item["about"],
        points=tuple(points),
        complete=item["complete"],
        areas=strings(item.get("areas"), file, name, problems),
        rule=item.get("rule", ""),
        dated=item.get("dated", ""),
    )
    _fits(check, rules, file, problems)
    return check


def _meanings(raw: object, file: str, name: str, problems: Problems) -> dict[str, str]:
    said = {key: str(text) for key, text in raw.items()} if isinstance(raw, dict) else {}
    if set(said) - set(ANSWERS) or any(not said.get(key) for key in _NEEDED):
        problems.add(file, name, f"answers 应写明 {'、'.join(_NEEDED)}（可另有 na）各是什么意思。")
    return said


def _point(raw: object, meanings: dict[str, str], file: str, check: str, problems: Problems) -> Point | None:
    name = f"{check} 的 {raw.get('id', '（缺 id）')}" if isinstance(raw, dict) else check
    if not isinstance(raw, dict) or not all(isinstance(raw.get(key), str) and raw[key] for key in ("id", "text")):
        problems.add(file, name, "每个要点都要有 id、text、cite。")
        return None
    if unknown := sorted(set(raw) - _POINT_KEYS):
        problems.add(file, name, f"项目 {'、'.join(unknown)} 无法识别，请改正或删去。")
    cite = read_cite(raw.get("cite"), file, name, problems)
    try:
        when = expressions.parse(raw["when"]) if raw.get("when") else None
    except ValueError as error:
        problems.add(file, name, f"{error}。")
        when = None
    if cite is None:
        return None
    said = {**meanings, **{key: raw[key] for key in ("no", "na") if raw.get(key)}}
    said = {key: said[key] for key in ANSWERS if key in said}  # in the order of the choices
    return Point(
        id=raw["id"],
        text=raw["text"],
        cite=cite,
        answers=said,
        area=raw.get("area", ""),
        when=when,
        fact=raw.get("fact", ""),
        table=raw.get("table", ""),
    )


def _fits(check: Check, rules: Mapping[str, Rule], file: str, problems: Problems) -> None:
    """What its points name must exist: areas, facts, tables, and a rule that uses their facts."""
    ids = [point.id for point in check.points]
    used = rules[check.rule].facts if check.rule else ()
    for point in check.points:
        name = f"{check.id} 的 {point.id}"
        if ids.count(point.id) > 1 or point.id in KINDS:
            problems.add(file, name, "id 重复或与事实同名，请改名。")
        if (point.area or check.areas) and point.area not in check.areas:
            problems.add(file, name, f"area“{point.area}”不在 areas 中。")
        if point.fact and point.fact not in used:
            problems.add(file, name, f"规则“{check.rule}”不用事实“{point.fact}”。")
        if point.table and point.table not in _TABLES:
            problems.add(file, name, f"table 只能是 {'、'.join(_TABLES)}。")
    if strange := [key for key in check.facts if key not in KINDS]:
        problems.add(file, check.id, f"条件用了无法识别的事实 {'、'.join(strange)}；可用 {'、'.join(KINDS)}。")
    for area in check.areas:
        if not check.within(area):
            problems.add(file, check.id, f"area“{area}”没有要点。")


def cites(checks: Mapping[str, Check]) -> list[tuple[str, Cite]]:
    """Every citation of the checks with the point it belongs to."""
    return [(f"{check.id} 的 {point.id}", point.cite) for check in checks.values() for point in check.points]
