"""Divisions by their GB/T 2260 codes, implementing bodies and their demonstration years."""

from collections.abc import Collection, Iterable
from functools import cache
from importlib.resources import files

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import scope
from storage.db import among
from storage.models import Body, BodyYear, Division

MILITARY = "660000"  # 新疆生产建设兵团 has no divisions of its own in GB/T 2260


@cache
def published() -> dict[str, str]:
    """The published names: code → name (storage/divisions.txt)."""
    text = files("storage").joinpath("divisions.txt").read_text(encoding="utf-8")
    pairs = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return {code: name for code, name in pairs} | {MILITARY: "新疆生产建设兵团"}


def parents(code: str) -> tuple[str, ...]:
    """The codes of the province and the city above a division: 620522 → 620000, 620500."""
    above = dict.fromkeys((f"{code[:2]}0000", f"{code[:4]}00"))
    return tuple(one for one in above if one != code)


def is_code(text: str) -> bool:
    """Whether this has the form of a division's code: six digits that begin with a province's."""
    return len(text) == 6 and text.isascii() and text.isdigit() and f"{text[:2]}0000" in published()


def province_of(office: str) -> str | None:
    """The code of the province that an office's name begins with: 甘肃省商务厅 is of 620000. None when with none."""
    provinces = ((code, name) for code, name in published().items() if code.endswith("0000"))
    return next((code for code, name in provinces if office.startswith(name)), None)


def codes_of(name: str, within: str = "") -> list[str]:
    """The codes of the published divisions of this name, of those that begin with `within`."""
    return [code for code, known in published().items() if known == name and code.startswith(within)]


def division(db: Session, code: str, name: str = "") -> Division:
    """A division and those above it, added when missing. Raises ValueError on a code that is none, or has no name."""
    if not is_code(code):
        raise ValueError(code)
    for above in parents(code):
        if above in published() and db.get(Division, above) is None:
            db.add(Division(code=above, name=published()[above]))
    found = db.get(Division, code)
    if found is None:
        name = name or published().get(code, "")
        if not name:
            raise ValueError(code)
        found = Division(code=code, name=name)
        db.add(found)
    db.flush()
    return found


def find_or_add(
    db: Session, *, name: str, division_code: str, years: Iterable[int] = (), office: str = ""
) -> tuple[Body, bool]:
    """The body of this name in a division, with these demonstration years, and whether it is new.

    A division that is not published under its code takes the body's name. Raises ValueError on a code that is none.
    The session must serve the program itself (storage.scope.SYSTEM).
    """
    division(db, division_code, published().get(division_code, name))
    wanted = select(Body).where(Body.name == name, Body.division_code == division_code)
    body = db.scalars(wanted).one_or_none()
    new = body is None
    if body is None:
        body = Body(name=name, division_code=division_code, office=office)
        db.add(body)
        db.flush()
    elif office:
        body.office = office
    known = set(batch_years(db, body.id))
    db.add_all(BodyYear(body_id=body.id, batch_year=year) for year in sorted(set(years) - known))
    db.flush()
    return body, new


def codes(db: Session, ids: Collection[int]) -> dict[int, str]:
    """The division's code of each of the bodies, asked by the program itself."""
    with scope.serving(db, scope.SYSTEM):
        rows = db.execute(select(Body.id, Body.division_code).where(among(db, Body.id, ids)))
        return {number: code for number, code in rows}


def names(db: Session, ids: Collection[int]) -> dict[int, str]:
    """The name of each of the bodies, asked by the program itself."""
    with scope.serving(db, scope.SYSTEM):
        wanted = select(Body.id, Body.name).where(among(db, Body.id, ids))
        return {number: name for number, name in db.execute(wanted)}


def batch_years(db: Session, body_id: int) -> list[int]:
    """A body's demonstration years, the first one first."""
    wanted = select(BodyYear.batch_year).where(BodyYear.body_id == body_id)
    return list(db.scalars(wanted.order_by(BodyYear.batch_year)))


def named(db: Session, name: str) -> list[Body]:
    """The bodies of this name, or this code, that the viewer sees."""
    wanted = select(Body).where((Body.name == name) | (Body.division_code == name))
    return list(db.scalars(wanted.order_by(Body.id)))


def like(db: Session, part: str) -> list[Body]:
    """The bodies whose name contains this, that the viewer sees, by code."""
    wanted = select(Body).where(Body.name.contains(part, autoescape=True))
    return list(db.scalars(wanted.order_by(Body.division_code, Body.id)))


def visible(db: Session, limit: int) -> list[Body]:
    """The bodies that the viewer sees, by code."""
    return list(db.scalars(select(Body).order_by(Body.division_code, Body.id).limit(limit)))


def place(db: Session, body_id: int | None, division_code: str | None) -> str:
    """What a body or a division is called, for somebody who holds or is offered a role there."""
    with scope.serving(db, scope.SYSTEM):
        if body_id is not None:
            return db.get_one(Body, body_id).name
        return db.get_one(Division, division_code).name


def years_and_cities(db: Session, province: str) -> tuple[list[int], list[str]]:
    """The demonstration years of a province's bodies, and the codes of the cities that these lie in, in order."""
    within = Body.division_code.startswith(province[:2])
    years = db.scalars(select(BodyYear.batch_year).join(Body, Body.id == BodyYear.body_id).where(within).distinct())
    codes = db.scalars(select(Body.division_code).where(within).distinct())
    return sorted(years), sorted({f"{code[:4]}00" for code in codes})
