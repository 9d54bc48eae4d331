"""Audiences in words: conditions typed or picked → a value, and back into one canonical sentence.

A sentence is read piece by piece against fixed patterns; what fits none is refused by name.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from bot.inputs import numbers
from bot.texts import say
from knowledge.text import normalise
from storage import bodies
from storage.audiences import COUNTY, Audience, Rate
from storage.scope import ROLES, prefix_of

_ROLES = {name: role for role, name in ROLES.items()} | {
    "经办人": "county_officer",
    "县经办人": "county_officer",
    "分管负责人": "county_head",
    "负责人": "county_head",
    "承办单位": "contractor",
    "市级": "city",
    "市州": "city",
}
_RATES = {"拨付率": "disbursement_rate", "使用率": "use_rate"}
_EVERYBODY = re.compile(r"全省|所有县|全部县|全部")
_YEARS = re.compile(r"(?:示范)?(?:年度|年)?(?:为)?((?:20\d\d(?:年度?)?[、,和及至到\-—~]?)+)(?:示范县)?")
_POOR = re.compile(r"(非)?(?:国家级)?贫困县")
_ITEMS = re.compile(r"(没有|无|有)?(?:未完成|没完成)的?(?:整改)?事项")
_RATE = re.compile(r"(拨付率|使用率)(低于|小于|不到|<|不低于|达到|>=)(\d{1,3}(?:\.\d{1,2})?)%")
_SILENT = re.compile(r"(?:未|没有|还没)签收n?(\d{1,9})")
_HOLDERS = re.compile(r"(?:已发|收过)n?(\d{1,9})(?:的单位)?")
_APART = re.compile(r"[；;\n。]|，|且")


class Unclear(Exception):
    """A piece of a sentence is no condition."""

    def __init__(self, piece: str) -> None:
        super().__init__(piece)
        self.piece = piece


def read(text: str, province: str, onto: Audience | None = None) -> Audience:
    """The audience of a sentence such as 年度为2016、2017；地区为天水市；贫困县, added to an earlier one. Raises Unclear.

    Regions are looked for within the province, by name or code.
    """
    found = onto or Audience(roles=())
    for piece in filter(None, (piece.strip() for piece in _APART.split(text))):
        plain = normalise(piece).replace(" ", "").lower()
        if not _EVERYBODY.fullmatch(plain):
            found = _joined(found, _condition(plain, province) or _named(piece, province))
    return found if found.roles else replace(found, roles=COUNTY)


def _joined(first: Audience, more: Audience) -> Audience:
    """Both conditions: of roles, regions and years all that either names."""
    rates = {one.rate: one for one in (*first.rates, *more.rates)}
    return Audience(
        roles=tuple(role for role in ROLES if role in first.roles or role in more.roles),
        regions=tuple(sorted({*first.regions, *more.regions})),
        years=tuple(sorted({*first.years, *more.years})),
        poverty=first.poverty if more.poverty is None else more.poverty,
        open_items=first.open_items if more.open_items is None else more.open_items,
        rates=tuple(rates[key] for key in sorted(rates)),
        silent_of=more.silent_of or first.silent_of,
        holders_of=more.holders_of or first.holders_of,
    )


def _condition(plain: str, province: str) -> Audience | None:
    """The condition that a piece states by its form; None for what may be names."""
    readers: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Audience]], ...] = (
        (_YEARS, lambda match: Audience(roles=(), years=_years(match[1]))),
        (_POOR, lambda match: Audience(roles=(), poverty=not match[1])),
        (_ITEMS, lambda match: Audience(roles=(), open_items=match[1] not in ("没有", "无"))),
        (_RATE, lambda match: Audience(roles=(), rates=(_rate(match),))),
        (_SILENT, lambda match: Audience(roles=(), silent_of=int(match[1]))),
        (_HOLDERS, lambda match: Audience(roles=(), holders_of=int(match[1]))),
    )
    for pattern, made in readers:
        if match := pattern.fullmatch(plain):
            return made(match)
    return None


def _years(text: str) -> tuple[int, ...]:
    found = sorted(numbers(re.sub("年度?", "", text)))
    if not found or not all(2014 <= year <= 2035 for year in found):
        raise Unclear(text)
    return tuple(found)


def _rate(match: re.Match[str]) -> Rate:
    below = match[2] in ("低于", "小于", "不到", "<")
    return Rate(rate=_RATES[match[1]], below=below, line=Decimal(match[3]) / 100)


def _named(piece: str, province: str) -> Audience:
    """Roles or regions by their names. Raises Unclear."""
    bare = re.sub(r"[（(]\d{6}[）)]", "", piece)
    names = [name.strip() for name in re.split(r"[、,和及]", re.sub(r"^(?:角色|地区|发给)(?:为|：|:)?", "", bare))]
    if all(name in _ROLES for name in names):
        return Audience(roles=tuple(_ROLES[name] for name in names))
    codes = [_region(name, province) for name in names]
    if not names or not all(codes):
        raise Unclear(next((name for name, code in zip(names, codes, strict=True) if not code), piece))
    return Audience(roles=(), regions=tuple(str(code) for code in codes))


def _region(name: str, province: str) -> str | None:
    within = province[:2]
    if bodies.is_code(name):
        return name if name.startswith(within) else None
    found = bodies.codes_of(name, within)
    return found[0] if len(found) == 1 else None


def canonical(audience: Audience) -> str:
    """The one sentence for an audience; reading it gives the same audience."""
    regions = [(bodies.published().get(code, code), code) for code in audience.regions]
    return say("audiences.canonical", audience=audience, roles=[ROLES[one] for one in audience.roles], regions=regions)


def above(code: str) -> str:
    """The name of the city, or else the province, that a division lies in: for counting."""
    city = f"{code[:4]}00"
    prefix = prefix_of(code)
    return bodies.published().get(city if len(prefix) > 2 else code, bodies.published().get(f"{code[:2]}0000", code))
