"""The knowledge calendar: the deadlines that the notices state, each with its clause and with how its date was read."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, cast

from knowledge.files import Item, Problems, items, read_cite, read_date, strings
from knowledge.model import Cite

Granularity = Literal["day", "period"]
_NEEDED = ("what", "who", "whom", "date", "read", "granularity", "roles", "cite")
_ROLES = frozenset(["province_officer", "province_approver", "county_officer", "county_head"])


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """The last day of something that a notice asks for: who owes it to whom, and which roles are reminded.

    `years` limits county roles to counties of these batch years. A date of an official text may start reminders unless
    `confirmed` is False; any other date waits for a person who confirms it (None: the file leaves it to the text).
    """

    id: str
    what: str
    who: str
    whom: str
    due_on: date
    read: str  # how the date was read from the text
    granularity: Granularity
    roles: tuple[str, ...]
    cite: Cite
    years: tuple[int, ...] = ()
    confirmed: bool | None = None


def load_deadlines(folder: Path, problems: Problems) -> list[Deadline]:
    """Read the deadlines of a folder's YAML files, in file order."""
    found: list[Deadline] = []
    for path in sorted(folder.glob("*.yaml")):
        for item in items(path, problems):
            deadline = _deadline(item, path.name, problems)
            if deadline is None:
                continue
            if any(deadline.id == other.id for other in found):
                problems.add(path.name, deadline.id, "id 重复，请改名。")
            found.append(deadline)
    return found


def _deadline(item: Item, file: str, problems: Problems) -> Deadline | None:
    name, before = item["id"], len(problems.lines)
    if absent := [key for key in _NEEDED if not item.get(key)]:
        problems.add(file, name, f"缺少 {'、'.join(absent)}。")
        return None
    if unknown := sorted(set(item) - {"id", "years", "confirmed", *_NEEDED}):
        problems.add(file, name, f"项目 {'、'.join(unknown)} 无法识别，请改正或删去。")
    if item["granularity"] not in ("day", "period"):
        problems.add(file, name, "granularity 只能是 day（具体日期）或 period（某月底、中旬之类）。")
    if item.get("confirmed", "no") not in ("yes", "no"):
        problems.add(file, name, "confirmed 只能是 yes 或 no。")
    roles = strings(item["roles"], file, name, problems)
    if strange := sorted(set(roles) - _ROLES):
        problems.add(file, name, f"roles 中的 {'、'.join(strange)} 无法识别，可用 {'、'.join(sorted(_ROLES))}。")
    years = strings(item.get("years"), file, name, problems)
    if not all(year.isdigit() for year in years):
        problems.add(file, name, 'years 应为年份，如 ["2016"]。')
    due_on = read_date(item["date"], file, name, problems)
    cite = read_cite(item["cite"], file, name, problems)
    if due_on is None or cite is None or len(problems.lines) > before:
        return None
    return Deadline(
        id=name,
        what=item["what"],
        who=item["who"],
        whom=item["whom"],
        due_on=due_on,
        read=item["read"],
        granularity=cast(Granularity, item["granularity"]),
        roles=roles,
        cite=cite,
        years=tuple(int(year) for year in years),
        confirmed=item["confirmed"] == "yes" if "confirmed" in item else None,
    )
