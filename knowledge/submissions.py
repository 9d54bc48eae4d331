"""What a province hands in to the ministries: what, by whom, to whom and until when, each with its clause."""

from dataclasses import dataclass
from pathlib import Path

from knowledge.files import Problems, items, read_cite
from knowledge.model import Cite

_TEXTS = ("what", "who", "whom", "until")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One thing to hand in. `until` says when in the notice's words; `entry` is the curated fact with the date."""

    id: str
    what: str
    who: str
    whom: str
    until: str
    cite: Cite
    entry: str = ""
    note: str = ""


def load_submissions(path: Path, problems: Problems) -> list[Submission]:
    """Read the list, in its own order."""
    found: list[Submission] = []
    for item in items(path, problems) if path.exists() else ():
        name = item["id"]
        if unknown := sorted(set(item) - {"id", "cite", "entry", "note", *_TEXTS}):
            problems.add(path.name, name, f"项目 {'、'.join(unknown)} 无法识别，请改正或删去。")
        if missing := [key for key in _TEXTS if not isinstance(item.get(key), str) or not item[key]]:
            problems.add(path.name, name, f"缺少 {'、'.join(missing)}。")
            continue
        if any(name == other.id for other in found):
            problems.add(path.name, name, "id 重复，请改名。")
        cite = read_cite(item.get("cite"), path.name, name, problems)
        if cite is not None:
            texts = {key: item[key] for key in _TEXTS}
            found.append(
                Submission(id=name, cite=cite, entry=item.get("entry", ""), note=item.get("note", ""), **texts)
            )
    return found
