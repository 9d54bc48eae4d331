"""The list of items as a workbook: the template, what its rows become, and the 整改台账 that is printed from the data."""

import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from rapidfuzz import fuzz, process
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bot import templates
from bot.inputs import amount, day, stages
from bot.texts import say
from bot.workbooks import Column, Outcome, Problem, Row, Sheet, clean, day_number, one_for_each_cell, read, required
from bot.workdays import LOCAL
from storage import drafts
from storage.db import among
from storage.drafts import Draft
from storage.flags import overdue_days
from storage.items import CATEGORIES, KINDS, SOURCES, STATES
from storage.models import Body, BodyYear, Evidence, Item, ItemEvent, ItemUnit, Milestone, Unit

ALIKE = 90  # per cent of two problems' texts, from which they may be the same item
TELLS_EVERY = 1000  # rows
_AT_ONCE = 500  # ids of one statement
_CHOICES = {"source": SOURCES, "category": CATEGORIES, "kind": KINDS}
_LONGEST = {"number": 32, "basis": 64, "person": 64}
SHEET = Sheet(
    name="整改事项",
    columns=(
        Column(key="number", title="编号", note="同一县同一年度内不重复", example="2016-01", required=True, width=12),
        Column(
            key="body", title="实施主体", note="从下拉列表选择；也可以写县名或六位区划代码", example="秦安县（620522）",
            required=True, choices="bodies", width=20,
        ),
        Column(key="year", title="示范年度", note="该县登记的示范年度", example="2016", required=True, width=10),
        Column(key="source", title="问题来源", note="从下拉列表选择", example="绩效评价", required=True, choices="source"),
        Column(key="found_on", title="检查日期", note="可以不填", example="2019-11-20", width=12),
        Column(key="category", title="类别", note="从下拉列表选择", example="站点", required=True, choices="category"),
        Column(key="problem", title="问题描述", note="一行一个问题", example="三个站点停止运营", required=True, width=40),
        Column(key="basis", title="依据条款", note="文号和条款，可以不填", example="附件1-3.2", width=16),
        Column(key="standard", title="整改标准", note="做到什么算整改完成", example="站点恢复运营", required=True, width=30),
        Column(key="kind", title="整改类型", note="从下拉列表选择", example="立行立改", required=True, choices="kind", width=12),
        Column(key="measure", title="整改措施", note="可以由县签收时填写", example="逐站核对，限期恢复", width=30),
        Column(
            key="units", title="责任单位", note="几个单位用顿号分开，牵头单位写在最前", example="秦安县工信商务局",
            required=True, width=24,
        ),
        Column(key="person", title="责任人", note="牵头单位的责任人，可以不填", example="张三", width=10),
        Column(key="due_on", title="完成时限", note="写明年份；可以不填，下发前必须定", example="2020-06-30", width=12),
        Column(key="amount", title="涉及资金（万元）", note="可以不填", example="12.5", width=12),
        Column(
            key="stages", title="阶段安排", note="分阶段整改的可以写：每步日期和内容，几步之间用分号",
            example="2020-05-31 完成选址；2020-06-20 完成装修", width=30,
        ),
        Column(
            key="recurs_of", title="再次发生的原编号", note="回头看通过后又出现的，写原来的编号；其他不填", example="2016-01",
            width=12,
        ),
    ),
)  # fmt: skip
_TOLD = (
    ("now_due", "现完成时限"), ("extensions", "延期次数"), ("progress", "进展（%）"), ("evidence", "佐证份数"),
    ("state", "状态"), ("submitted", "提交日"), ("method", "核查方式"), ("closed", "销号日"), ("check", "回头看结果"),
    ("rebounds", "反弹次数"), ("late_first", "原超期天数"), ("late", "现超期天数"),
)  # fmt: skip
LEDGER = Sheet(
    name=SHEET.name,
    columns=(*SHEET.columns, *(Column(key=key, title=title, note="", example="", width=12) for key, title in _TOLD)),
)
_ONCE_ISSUED = (
    "measure",
    "due_on",
    "stages",
)  # the county's, and the transitions': a list does not touch them any more


@dataclass(kw_only=True)
class Loaded(Outcome):
    """What importing a list did: which items may be the same as others, and the token that takes it back."""

    suspected: list[Problem] = field(default_factory=list)
    token: str = ""


def template(db: Session, path: Path) -> None:
    """Write the empty list, with the known bodies and the words to pick from."""
    templates.write(
        path,
        [SHEET],
        choices={"bodies": [_shown(body) for body in _bodies(db)], **_CHOICES},
        version="items-1",
        instructions=say("itemlists.instructions").split("\n"),
    )


def _bodies(db: Session) -> list[Body]:
    return list(db.scalars(select(Body).order_by(Body.division_code, Body.id)))


def _shown(body: Body) -> str:
    return f"{body.name}（{body.division_code}）"


# --- import --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What rows are checked against, read once."""

    places: dict[str, list[Body]]
    years: dict[int, set[int]]
    held: dict[tuple[int, int, str], tuple[Item, list[str]]]  # of the rows' numbers: the item and its cells
    problems: dict[tuple[int, int], list[tuple[str, str]]]  # body, year → number and problem of every item
    today: date


def load(db: Session, path: Path, now: datetime, told: Callable[[int, int], None] = lambda done, of: None) -> Loaded:
    """Read a list and put its new items on their bodies' lists; nothing is stored when any row has a fault.

    `told` gets the rows checked and their number now and then. Raises Unreadable.
    """
    table = read(path, [SHEET])[SHEET.name]
    outcome = Loaded(
        problems=[*table.problems, *required(table.rows)], ignored=table.ignored, token=uuid.uuid4().hex[:10]
    )
    numbers = {row[key] for row in table.rows for key in ("number", "recurs_of")}
    known = _known(db, numbers, now.astimezone(LOCAL).date())
    new: list[tuple[Row, Draft]] = []
    amended: list[tuple[Item, Draft, dict[str, list[str]]]] = []
    first: dict[tuple[int, int, str], int] = {}
    for count, row in enumerate(table.rows, 1):
        draft = _draft(row, known, outcome.problems)
        if draft is not None:
            key = (draft.values["body_id"], draft.values["batch_year"], draft.values["number"])
            if key in first:
                outcome.problems.append(row.problem("number", say("itemlists.twice", row=first[key])))
            elif key in known.held:
                amended += _compare(row, draft, *known.held[key], outcome)
            else:
                new.append((row, draft))
            first.setdefault(key, row.number)
        if count % TELLS_EVERY == 0:
            told(count, len(table.rows))
    outcome.suspected = _alike(new, known)
    outcome.problems = one_for_each_cell(outcome.problems)
    if not outcome.problems:
        drafts.add(db, [draft for _, draft in new], outcome.token, now)
        for item, draft, changed in amended:
            drafts.amend(db, item, draft, changed, outcome.token, now)
        outcome.added, outcome.changed = len(new), len(amended)
    return outcome


def _known(db: Session, numbers: Collection[str], today: date) -> _Known:
    places: dict[str, list[Body]] = defaultdict(list)
    for body in _bodies(db):
        for name in (body.name, body.division_code, _shown(body), f"{body.name}({body.division_code})"):
            places[name].append(body)
    years: dict[int, set[int]] = defaultdict(set)
    for one in db.scalars(select(BodyYear)):
        years[one.body_id].add(one.batch_year)
    problems: dict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
    named: list[int] = []
    listed = select(Item.id, Item.body_id, Item.batch_year, Item.number, Item.problem).order_by(Item.id)
    for id_, body_id, year, number, problem in db.execute(listed):
        problems[body_id, year].append((number, problem))
        if number in numbers:
            named.append(id_)
    found = list(db.scalars(select(Item).where(among(db, Item.id, named))))
    cells = _cells(db, found, places={body.id: body for listed in places.values() for body in listed})
    held = {(item.body_id, item.batch_year, item.number): (item, row) for item, row in zip(found, cells, strict=True)}
    return _Known(places=places, years=years, held=held, problems=problems, today=today)


def _draft(row: Row, known: _Known, problems: list[Problem]) -> Draft | None:
    """What a row says; None, and its faults, when it cannot be used."""
    faults: list[Problem] = []
    body = _body(row, known, faults)
    year = re.fullmatch(r"(20\d\d)(?:年度?)?", row["year"])
    if body is not None and row["year"] and (year is None or int(year[1]) not in known.years[body.id]):
        years = sorted(known.years[body.id])
        faults.append(row.problem("year", say("itemlists.no_year", body=body.name, typed=row["year"], years=years)))
    for key, words in _CHOICES.items():
        if row[key] and row[key] not in words:
            faults.append(row.problem(key, say("itemlists.no_choice", typed=row[key], words=words)))
    faults += [
        row.problem(key, say("itemlists.too_long", most=most)) for key, most in _LONGEST.items() if len(row[key]) > most
    ]
    units = tuple(dict.fromkeys(part for part in re.split(r"[、;；,，\n]\s*", row["units"]) if part))
    if any(len(unit) > 128 for unit in units):
        faults.append(row.problem("units", say("itemlists.too_long", most=128)))
    found_on, due_on = (_day(row, key, known.today, faults) for key in ("found_on", "due_on"))
    money = _money(row, faults)
    planned = _stages(row, due_on, known.today, faults)
    recurs_of = _recurs_of(row, body, year, known, faults)
    problems += faults
    if faults or body is None or year is None or not all(row[one.key] for one in SHEET.columns if one.required):
        return None
    texts = {
        key: row[key] for key in ("number", "source", "category", "problem", "basis", "standard", "kind", "measure")
    }
    dates = {"found_on": found_on, "due_on": due_on}
    values = {**texts, **dates, "body_id": body.id, "batch_year": int(year[1]), "amount": money, "recurs_of": recurs_of}
    return Draft(values=values, units=units, person=row["person"], stages=planned)


def _stages(row: Row, due_on: date | None, today: date, faults: list[Problem]) -> tuple[tuple[date, str], ...]:
    """The stages of an item, each with its year written out, none after the deadline."""

    def read(typed: str) -> date:
        if not typed.startswith("20"):
            raise ValueError("no year")
        return day(typed, today)

    try:
        found = tuple(stages(row["stages"], read)) if row["stages"] else ()
    except ValueError:
        faults.append(row.problem("stages", say("itemlists.stages")))
        return ()
    if found and due_on is not None and found[-1][0] > due_on:
        faults.append(row.problem("stages", say("itemlists.stage_late", due=due_on)))
    return found


def _recurs_of(
    row: Row, body: Body | None, year: re.Match[str] | None, known: _Known, faults: list[Problem]
) -> int | None:
    """The item that was confirmed and whose problem has come back."""
    if not row["recurs_of"] or body is None or year is None:
        return None
    found = known.held.get((body.id, int(year[1]), row["recurs_of"]))
    if found is None or found[0].state != "confirmed":
        faults.append(row.problem("recurs_of", say("itemlists.no_recurrence", typed=row["recurs_of"])))
        return None
    return found[0].id


def _body(row: Row, known: _Known, faults: list[Problem]) -> Body | None:
    typed = row["body"]
    found = known.places.get(typed, [])
    if typed and len(found) != 1:
        wrong = say("itemlists.several", typed=typed) if found else say("itemlists.unknown_body", typed=typed)
        faults.append(row.problem("body", wrong))
    return found[0] if len(found) == 1 else None


def _day(row: Row, key: str, today: date, faults: list[Problem]) -> date | None:
    """A day with its year: of a deadline nobody must guess which year is meant."""
    typed = row[key]
    if not typed:
        return None
    try:
        if (found := day_number(typed)) is None:
            if not typed.startswith("20"):
                raise ValueError("no year")
            found = day(typed, today)
    except ValueError:
        faults.append(row.problem(key, say("itemlists.day", typed=typed)))
        return None
    if key == "found_on" and found > today:
        faults.append(row.problem(key, say("itemlists.day_to_come", typed=found)))
    return found


def _money(row: Row, faults: list[Problem]) -> Decimal | None:
    try:
        return amount(row["amount"]) if row["amount"] else None
    except ValueError:
        faults.append(row.problem("amount", say("itemlists.amount", typed=row["amount"])))
        return None


def _compare(
    row: Row, draft: Draft, item: Item, cells: Sequence[str], outcome: Loaded
) -> list[tuple[Item, Draft, dict[str, list[str]]]]:
    """What a row changes of an item on the list: of a draft anything, of one that has been issued nothing."""
    values = {
        **draft.values,
        "year": draft.values["batch_year"],
        "units": "、".join(draft.units),
        "person": draft.person,
        "stages": _staged(draft.stages),
        "recurs_of": row["recurs_of"],
    }
    changed = {
        column.key: [held, _text(values[column.key])]
        for column, held in zip(SHEET.columns, cells, strict=False)
        if column.key != "body"
        and not (column.key in _ONCE_ISSUED and item.state != "draft")
        and _bare(_text(values[column.key])) != _bare(held)
    }
    outcome.unchanged += not changed
    if changed and item.state == "draft":
        return [(item, draft, changed)]
    for key in changed:
        outcome.problems.append(row.problem(key, say("itemlists.held", state=STATES[item.state])))  # type: ignore[index]  # the column holds a State
    return []


def _staged(planned: Iterable[tuple[date, str]]) -> str:
    return "；".join(f"{due} {text}" for due, text in planned)


def _bare(text: str) -> str:
    return " ".join(clean(text).split())


def _alike(new: Iterable[tuple[Row, Draft]], known: _Known) -> list[Problem]:
    """New items whose problem reads like that of another item of the body and year; shown, never merged."""
    texts: dict[tuple[int, int], list[str]] = defaultdict(list)
    names: dict[tuple[int, int], list[str]] = defaultdict(list)
    for key in {(draft.values["body_id"], draft.values["batch_year"]) for _, draft in new}:
        texts[key] = [_bare(problem) for _, problem in known.problems[key]]
        names[key] = [number for number, _ in known.problems[key]]
    found = []
    for row, draft in new:
        key = (draft.values["body_id"], draft.values["batch_year"])
        best = process.extractOne(_bare(row["problem"]), texts[key], scorer=fuzz.ratio, score_cutoff=ALIKE)
        if best is not None:
            found.append(
                row.problem("problem", say("itemlists.alike", number=names[key][best[2]], problem=best[0][:40]))
            )
        texts[key].append(_bare(row["problem"]))
        names[key].append(row["number"])
    return found


# --- export --------------------------------------------------------------------------------------------------------------


def export(
    db: Session,
    path: Path,
    on: date,
    body_id: int | None = None,
    year: int | None = None,
    also: Mapping[Sheet, Sequence[Sequence[str]]] | None = None,
) -> int:
    """Write the 整改台账 of what the viewer sees, by body, year and number; how many items. `on` decides what is overdue.

    `also` are further sheets with their rows.
    """
    wanted = select(Item).join(Body, Body.id == Item.body_id)
    if body_id is not None:
        wanted = wanted.where(Item.body_id == body_id)
    if year is not None:
        wanted = wanted.where(Item.batch_year == year)
    found = list(db.scalars(wanted.order_by(Body.division_code, Body.id, Item.batch_year, Item.number)))
    cells = _cells(db, found, {body.id: body for body in _bodies(db)})
    rows = [[*row, *told] for row, told in zip(cells, _told(db, found, on), strict=True)]
    more = {sheet.name: cells for sheet, cells in (also or {}).items()}
    templates.write(path, [LEDGER, *(also or ())], rows={LEDGER.name: rows, **more})
    return len(found)


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "" if value is None else str(value)


def _cells(db: Session, found: Sequence[Item], places: dict[int, Body]) -> list[list[str]]:
    """The cells of items in the template's columns."""
    units: dict[int, list[str]] = defaultdict(list)
    people: dict[int, str] = {}
    for ids in _portions(found):
        listed = select(ItemUnit.item_id, Unit.name, ItemUnit.person, ItemUnit.leads).join(
            Unit, Unit.id == ItemUnit.unit_id
        )
        for item_id, name, person, leads in db.execute(
            listed.where(ItemUnit.item_id.in_(ids)).order_by(ItemUnit.leads.desc(), ItemUnit.id)
        ):
            units[item_id].append(name)
            if leads:
                people[item_id] = person
    planned: dict[int, list[tuple[date, str]]] = defaultdict(list)
    for ids in _portions(found):
        wanted = select(Milestone.item_id, Milestone.due_on, Milestone.text).where(Milestone.item_id.in_(ids))
        for item_id, due_on, text in db.execute(wanted.order_by(Milestone.due_on, Milestone.id)):
            planned[item_id].append((due_on, text))
    numbers = {item.id: item.number for item in found}
    own = ("source", "found_on", "category", "problem", "basis", "standard", "kind", "measure")
    return [
        [
            item.number, _shown(places[item.body_id]), str(item.batch_year), *(_text(getattr(item, key)) for key in own),
            "、".join(units[item.id]), people.get(item.id, ""), _text(item.first_due_on), _text(item.amount),
            _staged(planned[item.id]), numbers.get(item.recurs_of or 0, ""),
        ]
        for item in found
    ]  # fmt: skip


def _portions(found: Sequence[Item]) -> Iterable[list[int]]:
    return ([item.id for item in found[at : at + _AT_ONCE]] for at in range(0, len(found), _AT_ONCE))


def _told(db: Session, found: Sequence[Item], on: date) -> Iterable[list[str]]:
    """The cells that only the transitions change."""
    files: dict[int, int] = {}
    methods: dict[int, str] = {}
    for ids in _portions(found):
        standing = select(Evidence.item_id, func.count(Evidence.id)).where(Evidence.withdrawn_at.is_(None))
        files |= {
            one: count
            for one, count in db.execute(standing.where(Evidence.item_id.in_(ids)).group_by(Evidence.item_id))
        }
        proposed = select(ItemEvent.item_id, ItemEvent.said).where(
            ItemEvent.event == "propose", ItemEvent.item_id.in_(ids)
        )
        methods |= {one: said["method"] for one, said in db.execute(proposed.order_by(ItemEvent.version))}
    for item in found:
        check = say("itemlists.check", state=item.state, round=item.round)
        days = [overdue_days(item, on, original=original) for original in (True, False)]
        yield [
            _text(item.due_on), str(item.extensions), str(item.progress), str(files.get(item.id, 0)),
            STATES[item.state],  # type: ignore[index]  # the column holds a State
            _local(item.submitted_at), methods.get(item.id, ""), _local(item.closed_at), check,
            str(item.round - 1), *map(str, days),
        ]  # fmt: skip


def _local(at: datetime | None) -> str:
    return at.astimezone(LOCAL).date().isoformat() if at else ""
