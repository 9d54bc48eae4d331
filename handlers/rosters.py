"""Who takes part: the roster to fill in, and the bodies, facts, people and invitations that it becomes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from bot import templates
from bot.texts import say
from bot.workbooks import Column, Outcome, Problem, Row, Sheet, one_for_each_cell, read, required
from bot.workdays import LOCAL, after
from storage import audit, bodies, facts, invitations, people
from storage.models import Body, Person
from storage.scope import COUNTY, ROLES

OPERATOR = "operator"
VALID_DAYS = 10  # working days of an invitation
WHOLE_PROVINCE = "全省"
_ROLE = {name: role for role, name in ROLES.items()}
BODIES = Sheet(
    name="示范县",
    columns=(
        Column(
            key="code", title="行政区划代码", note="六位代码；团场等填所在地的代码", example="620522", required=True, width=14
        ),
        Column(key="name", title="名称", note="实施主体全称", example="秦安县", required=True, width=20),
        Column(key="years", title="示范年度", note="有几个年度的用顿号分开", example="2016、2019", required=True),
        Column(key="office", title="主管单位", note="当地主管单位的名称", example="工信商务局", width=24),
        Column(key="poverty", title="是否贫困县", note="填“是”或“否”，不清楚可以不填", example="是", choices="truth", width=12),
    ),
)  # fmt: skip
PEOPLE = Sheet(
    name="人员",
    columns=(
        Column(key="name", title="姓名", note="真实姓名", example="张三", required=True, width=12),
        Column(key="role", title="角色", note="从下拉列表选择", example="县级经办人", required=True, choices="roles", width=18),
        Column(
            key="place", title="所在地", required=True, choices="places", width=20, example="秦安县",
            note="县级角色填“示范县”表中的名称或代码；市级联系人填市州名称或代码；省级、热线和管理员填“全省”",
        ),
        Column(key="unit", title="单位", note="所在单位全称", example="秦安县工信商务局", width=28),
        Column(key="title", title="职务", note="可以不填", example="电商办主任", width=16),
        Column(key="phone", title="手机号", note="可以不填；保存时加密", example="13800000000"),
    ),
)  # fmt: skip
CODES = Sheet(
    name="邀请码",
    columns=tuple(
        Column(key=key, title=title, note=note, example="", width=width)
        for key, title, note, width in (
            ("place", "所在地", "", 20),
            ("name", "姓名", "", 12),
            ("role", "角色", "", 18),
            ("code", "邀请码", "", 16),
            ("until", "有效期至", "", 14),
            ("how", "用法", "", 44),
        )
    ),
)


@dataclass(frozen=True, kw_only=True)
class Code:
    """An invitation as it is handed to a person."""

    place: str
    name: str
    role: str
    code: str
    until: date


@dataclass(kw_only=True)
class Roster(Outcome):
    """What importing a roster did; the codes are known only now."""

    codes: list[Code] = field(default_factory=list)


def template(db: Session, path: Path) -> None:
    """Write the empty roster, with the roles and the known bodies to pick from."""
    templates.write(
        path,
        [BODIES, PEOPLE],
        choices={
            "truth": ["是", "否"],
            "roles": list(ROLES.values()),
            "places": [WHOLE_PROVINCE, *(body.name for body in bodies.visible(db, 5000))],
        },
        version="people-1",
        instructions=say("rosters.instructions").split("\n"),
    )


def write_codes(path: Path, codes: Sequence[Code]) -> None:
    """Write the codes to a workbook, to be handed out."""
    rows = [
        (one.place, one.name, one.role, one.code, one.until.isoformat(), say("rosters.how", code=one.code))
        for one in codes
    ]
    templates.write(path, [CODES], rows={CODES.name: rows})


def load(db: Session, path: Path, now: datetime) -> Roster:
    """Read a roster and store what is new in it; nothing is to be kept when any row has a fault.

    Raises Unreadable. The session must serve the program itself, and be rolled back when there are problems: rows are
    stored as they are read, so that later ones can refer to them.
    """
    tables = read(path, [BODIES, PEOPLE])
    outcome = Roster()
    for table in tables.values():
        outcome.problems += [*table.problems, *required(table.rows)]
        outcome.ignored += table.ignored
    named = [
        replace(row, texts={**row.texts, "name": people.read_name(row["name"])}) for row in tables[PEOPLE.name].rows
    ]
    _twice(tables[BODIES.name].rows, ("code", "name"), outcome)
    _twice(named, ("name", "role", "place", "phone"), outcome)
    for row in tables[BODIES.name].rows:
        _body(db, row, path.name, now, outcome)
    for row in named:
        _person(db, row, now, outcome)
    outcome.problems = one_for_each_cell(outcome.problems)
    return outcome


def _twice(rows: Sequence[Row], keys: tuple[str, ...], outcome: Roster) -> None:
    first: dict[tuple[str, ...], int] = {}
    for row in rows:
        found = tuple(row[key] for key in keys)
        if found in first:
            outcome.problems.append(row.problem(keys[0], say("rosters.twice", row=first[found])))
        first.setdefault(found, row.number)


# --- 示范县 --------------------------------------------------------------------------------------------------------------


def _years(row: Row, problems: list[Problem]) -> list[int]:
    parts = [part for part in re.split(r"[、,，;；/\s]+", row["years"]) if part]
    found = [re.fullmatch(r"(20[1-3]\d)(?:年度?)?(?:示范县)?", part) for part in parts]
    if not all(found):
        problems.append(row.problem("years", say("rosters.years", typed=row["years"])))
        return []
    return sorted({int(match[1]) for match in found if match})


def _body(db: Session, row: Row, file: str, now: datetime, outcome: Roster) -> None:
    faults: list[Problem] = []
    years = _years(row, faults)
    if row["code"] and not bodies.is_code(row["code"]):
        faults.append(row.problem("code", say("rosters.code", typed=row["code"])))
    if row["poverty"] not in ("是", "否", ""):
        faults.append(row.problem("poverty", say("rosters.truth", typed=row["poverty"])))
    if len(row["name"]) > 64:
        faults.append(row.problem("name", say("rosters.too_long")))
    outcome.problems += faults
    if faults or not (row["code"] and row["name"] and years):
        return
    known = bodies.published().get(row["code"])
    if known and known != row["name"] and row["name"] in bodies.published().values():
        outcome.problems.append(row.problem("name", say("rosters.other_name", code=row["code"], known=known)))
        return
    before = [body for body in bodies.named(db, row["name"]) if body.division_code == row["code"]]
    held = {"office": before[0].office, "years": bodies.batch_years(db, before[0].id)} if before else {}
    body, new = bodies.find_or_add(
        db, name=row["name"], division_code=row["code"], years=years, office=row["office"][:128]
    )
    holds = {"office": body.office, "years": bodies.batch_years(db, body.id)}
    if new or holds != held:
        audit.record(
            db, "body.import", f"body:{body.id}", now=now, role=OPERATOR, body_id=body.id, before=held, after=holds,
            reason=file,
        )  # fmt: skip
    fact = _poverty(db, row, body, file, now)
    outcome.added += new
    outcome.changed += not new and (holds != held or fact)
    outcome.unchanged += not new and holds == held and not fact


def _poverty(db: Session, row: Row, body: Body, file: str, now: datetime) -> bool:
    """Store whether a body is a poverty county; whether that was news."""
    value = {"是": "yes", "否": "no"}.get(row["poverty"])
    held = facts.newest(db, body.id, None).get("poverty_county")
    if value is None or (held is not None and held.value == value):
        return False
    facts.add(
        db,
        body.id,
        "poverty_county",
        value,
        batch_year=None,
        as_of=now.astimezone(LOCAL).date(),
        source=say("rosters.source", file=file)[:128],
        now=now,
        role=OPERATOR,
    )
    return True


# --- 人员 ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Place:
    name: str
    body_id: int | None = None
    division_code: str | None = None


def _person(db: Session, row: Row, now: datetime, outcome: Roster) -> None:
    role = _ROLE.get(row["role"])
    if row["role"] and role is None:
        outcome.problems.append(row.problem("role", say("rosters.role", typed=row["role"], roles=list(_ROLE))))
    for key in ("name", "title"):
        if len(row[key]) > 64:
            outcome.problems.append(row.problem(key, say("rosters.too_long")))
            return
    place = _place(db, row, role, outcome.problems) if role and row["place"] else None
    if role is None or place is None or not row["name"]:
        return
    try:
        person, new = people.find_or_add(
            db,
            name=row["name"],
            body_id=place.body_id,
            unit=row["unit"][:128],
            title=row["title"],
            phone=row["phone"],
            now=now,
        )
    except ValueError:
        outcome.problems.append(row.problem("phone", say("rosters.phone")))
        return
    if new:
        audit.record(
            db, "person.import", f"person:{person.id}", now=now, role=OPERATOR, body_id=place.body_id,
            after={"name": people.masked_name(person.name), "role": role},
        )  # fmt: skip
    invited = _invite(db, person, role, place, now, outcome)
    outcome.added += new
    outcome.changed += not new and invited
    outcome.unchanged += not new and not invited


def _place(db: Session, row: Row, role: str, problems: list[Problem]) -> _Place | None:
    """Where a role holds: a body for the county's people, a city, or the province; None, and a fault, otherwise."""
    typed = row["place"]
    if role in COUNTY:
        found = bodies.named(db, typed)
        if len(found) == 1:
            return _Place(name=found[0].name, body_id=found[0].id)
        problems.append(
            row.problem("place", say("rosters.several", typed=typed) if found else say("rosters.no_body", typed=typed))
        )
        return None
    provinces = {f"{body.division_code[:2]}0000" for body in bodies.visible(db, 5000)}
    if role == "city":
        cities = [typed] if bodies.is_code(typed) else bodies.codes_of(typed)
        cities = [code for code in cities if code.endswith("00") and f"{code[:2]}0000" in provinces]
        if len(cities) == 1:
            return _Place(name=bodies.division(db, cities[0]).name, division_code=cities[0])
        problems.append(row.problem("place", say("rosters.no_city", typed=typed)))
        return None
    wanted = provinces if typed == WHOLE_PROVINCE else provinces & {typed, *bodies.codes_of(typed)}
    if len(wanted) == 1:
        code = wanted.pop()
        return _Place(name=bodies.division(db, code).name, division_code=code)
    problems.append(row.problem("place", say("rosters.no_province", typed=typed)))
    return None


def _invite(db: Session, person: Person, role: str, place: _Place, now: datetime, outcome: Roster) -> bool:
    """Invite a person to a role; False when they hold it, or have an invitation to it that is still good."""
    where = (role, place.body_id, place.division_code)
    held = {(one.role, one.body_id, one.division_code) for one in people.roles(db, person.id)}
    waiting = {
        (one.role, one.body_id, one.division_code) for one in invitations.waiting(db, person.id) if one.expires_at > now
    }
    if where in held | waiting:
        return False
    made, code = invitations.make(
        db,
        person=person,
        role=role,
        body_id=place.body_id,
        division_code=place.division_code,
        now=now,
        expires_at=after(now, VALID_DAYS),
    )
    audit.record(
        db, "invite", f"invitation:{made.id}", now=now, role=OPERATOR, body_id=place.body_id,
        after={"person": person.id, "name": people.masked_name(person.name), "role": role},
    )  # fmt: skip
    until = made.expires_at.astimezone(LOCAL).date()
    outcome.codes.append(Code(place=place.name, name=person.name, role=ROLES[role], code=code, until=until))
    return True
