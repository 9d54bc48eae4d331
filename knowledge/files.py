"""Curated YAML files → entries, expenses, word lists.

Every scalar is read as a string (YAML would turn 4-30 into a date and 是 into nothing good) and converted by
its declared type. Nothing stops at the first mistake: all problems are collected, each with file, item, remedy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, get_args

import yaml

from knowledge.model import CLEAR, NOT_WRITTEN, OUTSIDE, PRINCIPLE, Cite, Entry, Form, KnowledgeError, Verdict

SLOTS = frozenset(
    [
        "date",
        "duration",
        "ratio",
        "count",
        "money",
        "phone",
        "consequence",
        "who",
        "where",
        "form",
        "document",
        "list",
        "reason",
    ]
)  # what a question can ask for
_STANCES: tuple[Verdict, ...] = get_args(Verdict)
_ENTRY_KEYS = {
    "id", "title", "statement", "basis", "status", "binds", "cite", "gives", "deadline", "derive", "asks",
    "twin", "nearest", "onward", "ask_whom", "author", "author_id", "returned", "returned_by", "reviewer",
}  # fmt: skip

# The C parser is ten times as fast; wheels of PyYAML carry it, a source build may not.
_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

# A YAML item as the loader gives it; its shape is checked field by field below.
Item = dict[str, Any]


@dataclass
class Problems:
    """Collects what is wrong, so that an editor sees everything at once."""

    lines: list[str] = field(default_factory=list)

    def add(self, file: str, item: str, trouble: str) -> None:
        self.lines.append(f"{file}：{item}：{trouble}")

    def stop_if_any(self) -> None:
        if self.lines:
            raise KnowledgeError(self.lines)


def read_yaml(path: Path, problems: Problems) -> Any:  # Any: YAML has no fixed shape
    """Read a YAML file with every scalar a string; None after a problem."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        problems.add(path.name, f"第{line}行", "不是有效的 YAML，请检查缩进、引号和冒号后的空格。")
    except UnicodeDecodeError:
        problems.add(path.name, "全文", "不是 UTF-8 编码，请另存为 UTF-8。")
    return None


def items(path: Path, problems: Problems) -> Iterator[Item]:
    """The items of a file that is a list of mappings, each with an id."""
    content = read_yaml(path, problems)
    if content is None:
        return
    if not isinstance(content, list):
        problems.add(path.name, "全文", "应为列表，每项以“- id:”开头。")
        return
    for number, item in enumerate(content, 1):
        if isinstance(item, dict) and isinstance(item.get("id"), str) and item["id"]:
            yield item
        else:
            problems.add(path.name, f"第{number}项", "缺少 id，请以“- id: 英文短名”开头。")


def read_cite(raw: object, file: str, name: str, problems: Problems) -> Cite | None:
    """Read {notice, clause, quote}; the quotation itself is checked against the notice later."""
    if isinstance(raw, dict) and all(
        isinstance(raw.get(key), str) and raw[key] for key in ("notice", "clause", "quote")
    ):
        return Cite(notice=raw["notice"], clause=raw["clause"], quote=raw["quote"])
    problems.add(file, name, '出处应写成 {notice: 文件, clause: 条款, quote: "原文"}，三项都不能空。')
    return None


def read_cites(raw: object, file: str, name: str, problems: Problems) -> tuple[Cite, ...]:
    listed = raw if isinstance(raw, list) else [raw]
    return tuple(cite for one in listed if (cite := read_cite(one, file, name, problems)))


def strings(raw: object, file: str, name: str, problems: Problems) -> tuple[str, ...]:
    """Read a list of strings; a single string counts as a list of one."""
    listed = [raw] if isinstance(raw, str) else raw or []
    if isinstance(listed, list) and all(isinstance(one, str) for one in listed):
        return tuple(one for one in listed if one)
    problems.add(file, name, "此处应为文字列表，如 [甲, 乙]。")
    return ()


def read_date(raw: str, file: str, name: str, problems: Problems) -> date | None:
    try:
        return date.fromisoformat(raw) if raw else None
    except ValueError:
        problems.add(file, name, f"日期“{raw}”无法识别，请写成 2020-04-30 这样的形式。")
        return None


def read_forms(raw: object, file: str, name: str, problems: Problems) -> tuple[Form, ...]:
    """Read question forms: a plain list, or lists under info, yes, no, conditional."""
    by_stance = raw if isinstance(raw, dict) else {"info": raw}
    if strange := sorted(set(by_stance) - set(_STANCES)):
        problems.add(file, name, f"asks 下的“{'、'.join(strange)}”无法识别，可用 {'、'.join(_STANCES)}。")
    return tuple(
        Form(text=text, verdict=stance)
        for stance in _STANCES
        for text in strings(by_stance.get(stance), file, name, problems)
    )


def read_entry(item: Item, file: str, problems: Problems) -> Entry | None:
    """Read one entry; None when it has too little to be one."""
    name = item["id"]
    unknown = sorted(set(item) - _ENTRY_KEYS)
    absent = [key for key in ("title", "statement", "asks") if not item.get(key)]
    if unknown:
        problems.add(file, name, f"项目 {'、'.join(unknown)} 无法识别，请改正或删去。")
    if absent:
        problems.add(file, name, f"缺少 {'、'.join(absent)}。")
        return None
    status = item.get("basis") or item.get("status") or ""
    if status not in (CLEAR, PRINCIPLE, NOT_WRITTEN, OUTSIDE):
        problems.add(file, name, f"状态“{status}”无法识别，可用 {CLEAR}、{PRINCIPLE}、{NOT_WRITTEN}、{OUTSIDE}。")
        return None
    gives = frozenset(strings(item.get("gives"), file, name, problems))
    if gives - SLOTS:
        problems.add(file, name, f"gives 中的 {'、'.join(sorted(gives - SLOTS))} 无法识别。")
    proof = item.get("cite") or item.get("nearest")
    if not proof and status in (CLEAR, PRINCIPLE):
        problems.add(file, name, "缺少 cite：每条答复都须引用条款原文。")
    onward = item.get("onward")
    return Entry(
        id=name,
        title=item["title"],
        statement=item["statement"],
        status=status,
        forms=read_forms(item["asks"], file, name, problems),
        cites=read_cites(proof, file, name, problems) if proof else (),
        binds=item.get("binds", ""),
        gives=gives & SLOTS,
        deadline=read_date(item.get("deadline", ""), file, name, problems),
        derive=item.get("derive", ""),
        twin=item.get("twin", ""),
        onward=read_cite(onward, file, name, problems) if onward else None,
        ask_whom=item.get("ask_whom", ""),
        reviewer=item.get("reviewer"),
    )


def load_entries(folder: Path, problems: Problems, pattern: str = "*.yaml") -> list[Entry]:
    """Read every entry of a folder's YAML files, in file order."""
    found: list[Entry] = []
    for path in sorted(folder.glob(pattern)):
        found += [entry for item in items(path, problems) if (entry := read_entry(item, path.name, problems))]
    return found
