"""A notice from outside → a draft: read, warned about, stored beside the shipped notices, confirmed, compared."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import rjieba

from knowledge.importing.deadlines import Deadline, Reader
from knowledge.importing.figures import Figure, Prohibition, amounts, percentages, prohibitions
from knowledge.importing.header import (
    ADDRESSEE,
    canonical_number,
    find_addressee,
    find_date,
    find_issuer,
    find_number,
    find_title,
    find_year,
)
from knowledge.importing.layout import restore
from knowledge.importing.readers import check_length, read_file, refusal
from knowledge.model import Clause, KnowledgeError, Notice
from knowledge.notices import DATED, NUMERAL, header_of, load_notices, parse_clauses, parse_notice
from knowledge.text import number as read_number
from knowledge.validity import problems

_ENDS_ANOTHER = re.compile(r"[^。；，\n]{0,80}(?:》|号[)）]?)[^。；\n]{0,24}(?:废止|停止执行|不再执行|不再适用)")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What was read out of a file. `lines` is the text, a paragraph a line; `returning` see parse_clauses."""

    number: str | None
    title: str
    issuer: str
    issued_on: date | None
    lines: tuple[str, ...]
    returning: tuple[str, ...]
    clauses: tuple[Clause, ...]
    deadlines: tuple[Deadline, ...]
    percentages: tuple[Figure, ...]
    amounts: tuple[Figure, ...]
    prohibitions: tuple[Prohibition, ...]
    warnings: tuple[str, ...]


def read_draft(path: Path) -> Draft:
    """Read a notice from a file. Raises KnowledgeError with the remedy."""
    reading = read_file(path)
    return draft_of(reading.text, path.name, reading.unread)


def draft_of(text: str, name: str = "粘贴的正文", unread: Sequence[str] = ()) -> Draft:
    """Read a notice from its text; `unread` warns of what its file holds besides. Raises KnowledgeError when there is nothing to read."""
    check_length(name, text)
    lines = restore(text)
    check_length(name, "\n".join(lines))
    if not lines or len(re.findall(r"[\u4e00-\u9fff]", text)) < 20:
        raise refusal(name, "没有读到中文正文", "请粘贴通知全文")
    returning = _returning(lines)
    clauses = parse_clauses("draft", "\n".join(lines), returning)
    head = [line for line in lines[:12] if not line.startswith("附件")]
    title, number = find_title(head), find_number(head)
    issued = find_date(lines, clauses)
    issuer = find_issuer(title, head, clauses)
    basis = issued or find_year(number, title)
    reader = Reader(basis, find_addressee(clauses))
    binding = [one for one in clauses if not _is_frame(one, title)]
    deadlines = tuple(due for one in binding for due in reader.read(one.label, one.full))
    return Draft(
        number=number,
        title=title,
        issuer=issuer,
        issued_on=issued,
        lines=tuple(lines),
        returning=returning,
        clauses=clauses,
        deadlines=deadlines,
        percentages=tuple(figure for one in binding for figure in percentages(one.label, one.full)),
        amounts=tuple(figure for one in binding for figure in amounts(one.label, one.full)),
        prohibitions=tuple(found for one in binding for found in prohibitions(one.label, one.full)),
        warnings=(*unread, *_warnings(number, title, issuer, issued, basis, clauses, deadlines, returning, text)),
    )


def _is_frame(clause: Clause, title: str) -> bool:
    """True for letterhead, number, title, addressee, signature and date, which bind nothing."""
    text = clause.full
    named = (
        re.sub(r"\s", "", text) == title or canonical_number(text) is not None or ADDRESSEE.fullmatch(text) is not None
    )
    return (clause.label.startswith("导语") and (named or len(text) < 24)) or bool(
        DATED.fullmatch(text.removesuffix("印发"))
    )


# --- structure -----------------------------------------------------------------------------------------------------


def _returning(lines: list[str]) -> tuple[str, ...]:
    """Openings of paragraphs after the last item of a list that speak of the whole section again.

    They follow a list whose other items have one paragraph each, and share more words with the section's heading
    than with the item's.
    """
    clauses = parse_clauses("draft", "\n".join(lines))
    spread = Counter(word for one in clauses for word in set(rjieba.cut(one.full)))
    by_label = {one.label: one for one in clauses}
    found: list[str] = []
    for item in _last_of_even_lists(list(by_label)):
        section = item.rpartition("(")[0]
        heads = [
            by_label[name].heading or by_label[name].text.split("。")[0] if name in by_label else ""
            for name in (section, item)
        ]
        returned = False
        for label in (label for label in by_label if label.startswith(f"{item}¶")):
            text = by_label[label].text
            of_section, of_item = (_shared(head, text, spread, len(clauses)) for head in heads)
            returned |= of_section > of_item and not text.startswith("附件")
            if returned and not text.startswith("附件"):
                found.append(text[:12])
    return tuple(found)


def _last_of_even_lists(labels: list[str]) -> list[str]:
    """The last items of lists of which only the last has more than one paragraph."""
    lists: dict[str, list[str]] = {}
    for label in labels:
        if match := re.fullmatch(rf"([^¶()]+)\({NUMERAL}\)", label):
            lists.setdefault(match[1], []).append(label)
    long = {label.partition("¶")[0] for label in labels if "¶" in label}
    return [items[-1] for items in lists.values() if len(items) > 1 and long & set(items) == {items[-1]}]


def _shared(heading: str, text: str, spread: Counter[str], size: int) -> float:
    words = {word for word in rjieba.cut(heading) if len(word) > 1 and word in text}
    return sum(1 - spread[word] / size for word in words)


def _warnings(
    number: str | None, title: str, issuer: str, issued: date | None, basis: date | None,
    clauses: Sequence[Clause], deadlines: Sequence[Deadline], returning: tuple[str, ...], text: str,
) -> list[str]:  # fmt: skip
    out: list[str] = []
    out += [] if number else ["没有读到文号：正文里的其他文号是引用，未采用；请核对印发件。"]
    out += [] if title else ["没有读到标题。"]
    out += [] if issuer else ["没有读到发文机关。"]
    if issued is None:
        year = f"，期限的年份暂按{basis.year}年推算" if basis else "，未写年份的期限没有推算"
        out.append(f"没有读到发文日期{year}。")
    out += [
        f"{label}：“{said}”，如取代库中的文件或条款，请在确认时写明（命令行用 --supersedes）。"
        for label, said in endings(clauses)
    ]
    out += _gaps(clauses)
    out += _loose(clauses, text)
    out += [f"“{start}…”按内容归到上一级条款，请核对。" for start in returning]
    out += [
        f"{due.clause}：“{due.text}”没有写年份，也推算不出。"
        for due in deadlines
        if due.on is None and not due.recurring and due.granularity not in ("period", "event")
    ]
    return out


def endings(clauses: Sequence[Clause]) -> list[tuple[str, str]]:
    """What a notice says of others that end: label and words."""
    return [(one.label, said) for one in clauses for said in _ENDS_ANOTHER.findall(one.full)]


_RUNS = (
    ("章", re.compile(rf"^第({NUMERAL})章$")),
    ("条", re.compile(rf"^第({NUMERAL})条$")),
    ("大项", re.compile(rf"^({NUMERAL})$")),
)


def _gaps(clauses: Sequence[Clause]) -> list[str]:
    """Numbers that are left out or come twice, at every level."""
    out: list[str] = []
    labels = [one.label for one in clauses]
    runs: dict[str, list[tuple[int, str]]] = {}
    for label in labels:
        for name, pattern in _RUNS:
            if match := pattern.match(label):
                runs.setdefault(name, []).append((read_number(match[1]), label))
        if match := re.fullmatch(rf"(.+?)\(({NUMERAL})\)", label):
            runs.setdefault(match[1] + "之下", []).append((read_number(match[2]), label))
        elif (match := re.fullmatch(r"([^¶]*[^¶\d.-])(\d{1,2})", label)) and match[1] != "附件":
            runs.setdefault(match[1] + "之下", []).append((int(match[2]), label))
    for name, run in runs.items():
        for place, (value, label) in enumerate(run, 1):
            if value != place:
                out.append(f"{name}的编号不连续：到“{label}”时应为第{place}个，可能漏了一条或编号有误。")
                break
    return out


def _loose(clauses: Sequence[Clause], text: str) -> list[str]:
    """Levels out of place, tables without a head, text too long for one clause, marks of revision."""
    out: list[str] = []
    numbered = [one for one in clauses if not one.label.startswith(("导语", "尾段"))]
    if not numbered:
        out.append("没有读到编号条款，全文按段落列出。")
    if any(re.match(r"导语\(", one.label) for one in clauses):
        out.append("有（一）这样的条款出现在第一个“一、”之前，层次可能有误。")
    kinds = {
        bool(re.match(r"第.+条", one.label)) for one in numbered if re.match(rf"第{NUMERAL}条|{NUMERAL}$", one.label)
    }
    if len(kinds) > 1:
        out.append("正文混用“第X条”和“一、”两种编号，层次可能有误。")
    rows = [one for one in clauses if "\t" in one.text]
    if rows and not any(_is_table_head(one.text) for one in rows):
        out.append(f"{rows[0].label}的表格没有表头。")
    out += [f"{one.label}长{len(one.full)}字，可能丢失了分段，请核对。" for one in clauses if len(one.full) > 1200]
    twice = [label for label, count in Counter(one.label for one in clauses).items() if count > 1]
    out += [f"条款“{label}”出现了不止一次。" for label in twice]
    if re.search(r"�|□{3}", text):
        out.append("有无法识别的字符，请对照原件。")
    return out


def _is_table_head(text: str) -> bool:
    cells = text.split("\n")[0].split("\t")
    return len(cells) > 1 and all(
        len(cell.strip()) <= 16 and not re.search(r"[。；]|^\d+$", cell.strip()) for cell in cells
    )


# --- as JSON -------------------------------------------------------------------------------------------------------


def as_json(draft: Draft) -> dict[str, Any]:  # Any: JSON
    """The draft as `notice import --json` prints it; an import is unverified until a person confirms it."""
    return {
        "number": draft.number,
        "title": draft.title,
        "issuer": draft.issuer,
        "issued": draft.issued_on.isoformat() if draft.issued_on else None,
        "text_status": "unverified",
        "clauses": [{"label": one.label, "text": one.full} for one in draft.clauses],
        "deadlines": [_due(one) for one in draft.deadlines],
        "percentages": [asdict(one) for one in draft.percentages],
        "amounts": [asdict(one) for one in draft.amounts],
        "prohibitions": [asdict(one) for one in draft.prohibitions],
        "warnings": list(draft.warnings),
    }


def _due(one: Deadline) -> dict[str, Any]:  # Any: JSON
    row = asdict(one)
    on = row.pop("on")
    return (
        {"text": one.text, "date": on.isoformat() if on else None}
        | row
        | {"time": one.time or None, "every": one.every or None}
    )


# --- storing -------------------------------------------------------------------------------------------------------


def identity(draft: Draft, taken: Sequence[Notice]) -> str:
    """A new notice's id: number and year, 144-2020. Raises KnowledgeError when the notice is there already."""
    for known in taken:
        same = known.number == draft.number if draft.number else known.title == draft.title
        if same:
            raise KnowledgeError(
                [f"{known.name}已在库中（{known.id}），没有覆盖。请用 notice diff {known.id} 文件 比较两份文本。"]
            )
    found = canonical_number(draft.number or "")
    year = draft.issued_on.year if draft.issued_on else (find_year(None, draft.title) or date(1, 1, 1)).year
    base = f"{found[1]}-{found[2] or year}" if found else f"notice-{year}" if year > 1 else "notice"
    names = {known.id for known in taken}
    return next(name for name in (base, *(f"{base}-{n}" for n in range(2, 10_000))) if name not in names)


def store(draft: Draft, folder: Path, taken: Sequence[Notice], source: str, by: str = "") -> Path:
    """Keep a draft as a notice file with who imported it; nothing is overwritten.

    Raises KnowledgeError when it cannot be kept.
    """
    if not draft.title or not draft.issuer:
        missing = "、".join(name for name, value in (("标题", draft.title), ("发文机关", draft.issuer)) if not value)
        raise KnowledgeError([f"没有读到{missing}，不能入库。请在正文第一行写标题、文末写发文机关后再导入。"])
    name = identity(draft, taken)
    content = _file(draft, name, source, by)
    parse_notice(content, f"{name}.txt")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.txt"
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(content)
    except FileExistsError:
        raise KnowledgeError([f"{path} 已存在，没有覆盖。"]) from None
    return path


def _file(draft: Draft, name: str, source: str, by: str) -> str:
    header = {
        "id": name,
        "number": draft.number or "",
        "title": draft.title,
        "issuer": draft.issuer,
        "issued": draft.issued_on.isoformat() if draft.issued_on else "",
        "text_status": "unverified",
        "section_paragraphs": " | ".join(draft.returning),
        "source": re.sub(r"[\x00-\x1f]", "", source),
        "imported_by": re.sub(r"[\x00-\x1f]", "", by),
    }
    return (
        "".join(f"{key}: {value}\n" for key, value in header.items() if value) + "---\n" + "\n".join(draft.lines) + "\n"
    )


def confirmed(
    name: str, number: str, reason: str, *, shipped: Path, folder: Path, on: date, by: str = "", supersedes: str = "",
    effective: str = "",
) -> str:  # fmt: skip
    """A notice's file with its text official under its number, as `confirm` would keep it.

    `supersedes` is what it takes out of force, `effective` the day from which, both as in the header. Raises
    KnowledgeError for an unknown notice, a number of another shape, a text that is confirmed already, what it cannot
    supersede, or when whoever imported it would confirm it.
    """
    stored = re.fullmatch(r"[\w.-]{1,80}", name) and next(
        (path for path in (folder / f"{name}.txt", shipped / f"{name}.txt") if path.is_file()), None
    )
    if not stored:
        raise KnowledgeError([f"没有文件“{name}”，请用 notice list 查看文件标识。"])
    if canonical_number(number) is None:
        raise KnowledgeError([f"文号“{number}”无法识别，请写成 商办建函〔2020〕144号 这样的形式。"])
    if not reason.strip():
        raise KnowledgeError(["请写明核对依据（命令行用 --reason），例如 与印发件逐字核对一致。"])
    content = stored.read_text(encoding="utf-8")
    fields, text = header_of(content), content.partition("\n---\n")[2]
    if fields["text_status"] == "official":
        raise KnowledgeError([f"{name} 已是正式文本，无须再次确认。"])
    if fields.get("number") and fields["number"] != number:
        raise KnowledgeError([f"文本所标文号是{fields['number']}，与“{number}”不一致，请核对。"])
    importer = fields.get("imported_by")
    if importer and by in ("", importer):
        raise KnowledgeError([f"{name} 由{importer}导入，须由另一人核对（命令行用 --by 写明确认人）。"])
    reason = re.sub(r"\s+", " ", reason).strip()
    fields |= {"number": number, "text_status": "official", "confirmed": f"{on.isoformat()} {reason}"}
    given = {"confirmed_by": by, "supersedes": supersedes, "effective": effective}
    fields |= {key: re.sub(r"\s+", " ", value) for key, value in given.items() if value}
    content = "".join(f"{key}: {value}\n" for key, value in fields.items()) + "---\n" + text
    made = parse_notice(content, f"{name}.txt")
    if made.supersedes:
        others = [*load_notices(folder), *load_notices(shipped)] if folder.is_dir() else load_notices(shipped)
        if wrong := problems([made, *(one for one in others if one.id != name)]):
            raise KnowledgeError([f"{of}：{remedy}" for of, remedy in wrong])
    return content


def confirm(name: str, number: str, reason: str, *, folder: Path, **given: Any) -> Path:  # Any: see confirmed
    """Make a notice's text official under its number, in a copy that stands before the shipped one; see `confirmed`."""
    content = confirmed(name, number, reason, folder=folder, **given)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{name}.tmp"
    fresh.write_text(content, encoding="utf-8")
    return fresh.replace(folder / f"{name}.txt")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A clause that two texts do not share; `marked` is the new text with 〔-out-〕 and 〔+in+〕."""

    label: str
    kind: str  # added, removed or changed
    marked: str


def compare(old: Sequence[Clause], new: Sequence[Clause]) -> list[Change]:
    """What the second text adds, leaves out or words otherwise, clause by clause in its order."""
    before = {one.label: one.full for one in old}
    after = {one.label: one.full for one in new}
    changes = [Change(label=label, kind="removed", marked=text) for label, text in before.items() if label not in after]
    for label, text in after.items():
        if label not in before:
            changes.append(Change(label=label, kind="added", marked=text))
        elif _bare(before[label]) != _bare(text):
            changes.append(Change(label=label, kind="changed", marked=_marked(before[label], text)))
    return changes


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _marked(old: str, new: str) -> str:
    out: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            out.append(old[a:b] if b - a <= 24 else f"{old[a : a + 10]}……{old[b - 10 : b]}")
            continue
        out.append(f"〔-{old[a:b]}-〕" if b > a else "")
        out.append(f"〔+{new[c:d]}+〕" if d > c else "")
    return "".join(out)
