"""What an item of each category is to be proved with, drawn from the review points; each line has its clause."""

from dataclasses import dataclass
from pathlib import Path

from knowledge.files import Problems, items, read_cite
from knowledge.model import Cite


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a checklist. `id` is what evidence refers to."""

    id: str
    text: str
    cite: Cite


Checklists = dict[str, tuple[Line, ...]]


def load_checklists(path: Path, problems: Problems) -> Checklists:
    """Read the lines of every category; a category is named in Chinese, as items name it."""
    found: dict[str, list[Line]] = {}
    ids: set[str] = set()
    for item in items(path, problems) if path.exists() else ():
        name = item["id"]
        if unknown := sorted(set(item) - {"id", "category", "text", "cite"}):
            problems.add(path.name, name, f"项目 {'、'.join(unknown)} 无法识别，请改正或删去。")
        if missing := [key for key in ("category", "text") if not isinstance(item.get(key), str) or not item[key]]:
            problems.add(path.name, name, f"缺少 {'、'.join(missing)}。")
            continue
        if name in ids:
            problems.add(path.name, name, "id 重复，请改名。")
        ids.add(name)
        cite = read_cite(item.get("cite"), path.name, name, problems)
        if cite is not None:
            found.setdefault(item["category"], []).append(Line(id=name, text=item["text"], cite=cite))
    return {category: tuple(lines) for category, lines in found.items()}
