"""The expense judge: may the programme's central funds pay for this?

Four outcomes: 禁止 (an item of the negative list), 支持 (a supported direction), 两边都沾 (both quotes, the province
decides), and 未写 for an item nobody listed; the negative list ends in 等, so absence from it is no permission.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge.files import Problems, items, read_cites, strings
from knowledge.model import Cite
from knowledge.text import normalise

FORBIDDEN, SUPPORTED, BOTH = "禁止", "支持", "两边都沾"
_STRICTNESS = (FORBIDDEN, BOTH, SUPPORTED)

_FUND = re.compile(
    r"资金|经费|专项|项目款|这笔?钱|的钱|财政|款子|项目里|账上|钱(?:能|可)|用.{0,4}钱|掏钱|从这里|里列|里出|里走|里支"
    r"|列支|报销|报账|入账|走账|开支|能列|可列|列不列|能报|可以报|报不报|报得了|够得着"
)
_SPEND = re.compile(
    r"花|列|报|支付|支出|开支|走账|入账|买|购|租|修|盖|建|装|充值|投入|出钱|发|付|补|支持|覆盖|提|请|雇|聘|招|吃饭|做|搞|弄|用|够"
)
_DEED = re.compile(
    r"列支|报销|报账|开支|走账|(?:采?购置?|买)(?!了?的)|(?<!出)租(?!金|出)|修(?!改)|盖|建(?!档|立|账|议)|装修|充值|投入|出钱|发(?:放|钱|工资|奖)|雇|聘|提取"
)
_FRAME = re.compile(
    r"能不能|可不可以|能|可以|可否|行不行|行吗|行不|允许|算不算|属不属于|支持|合规|够得着|给补|补不补|列不列|报不报|吗|不$|么$|呢"
)


@dataclass(frozen=True, kw_only=True)
class Expense:
    """A row of the judge's list: everyday names of an expense and its outcome."""

    id: str
    outcome: str
    title: str
    names: tuple[str, ...]
    statement: str
    cites: tuple[Cite, ...]


# What a question compares its object with is not the object: 拍视频算不算买流量.
_COMPARED = re.compile(
    r"(?:(?<!不)算不?算|属不属于|是否属于|(?<![不预])算(?:是|成|作)?|属于)(?!数|了|达标|合规|完)[^，。？]+$"
)
_FEE = re.compile(r"[一-龥]{2}费(?!用|县|时)")


def is_about_spending(text: str) -> bool:
    """True when a question asks whether the funds may pay for something."""
    return bool(_FRAME.search(text)) and bool(_FUND.search(text)) and bool(_SPEND.search(text))


def asks_to_do(text: str) -> bool:
    """True when a question asks whether something may be bought, built or paid, without naming the funds."""
    return bool(_FRAME.search(text)) and bool(_DEED.search(text))


def load_expenses(path: Path, problems: Problems) -> list[Expense]:
    """Read the judge's list; a name in two rows is a problem."""
    rows: list[Expense] = []
    seen: dict[str, str] = {}
    for item in items(path, problems) if path.exists() else ():
        name = item["id"]
        if item.get("outcome") not in (FORBIDDEN, SUPPORTED, BOTH):
            problems.add(path.name, name, f"outcome 只能是 {FORBIDDEN}、{SUPPORTED}、{BOTH}。")
            continue
        names = tuple(map(normalise, strings(item.get("items"), path.name, name, problems)))
        for one in names:
            if seen.setdefault(one, name) != name:
                problems.add(path.name, name, f"“{one}”已列在 {seen[one]}，请只留一处。")
        cites = read_cites(item.get("cite"), path.name, name, problems)
        if item["outcome"] == BOTH and len(cites) < 2:
            problems.add(path.name, name, "两边都沾的须给出两处原文。")
        rows.append(
            Expense(
                id=name,
                outcome=item["outcome"],
                title=item.get("title", ""),
                names=names,
                statement=item.get("statement", ""),
                cites=cites,
            )
        )
    return rows


def find_expense(rows: Sequence[Expense], text: str) -> tuple[Expense, str] | None:
    """The row that judges a text, with the name it was found by.

    Of names that overlap the longest counts; of several expenses the strictest outcome (司机工资 for a supported
    distribution centre is still wages).
    """
    text = text.replace("政府网站", "")  # where things are made public, nothing that is bought
    text = _COMPARED.sub("", text) or text
    hits = sorted(
        ((text.find(name), name, row) for row in rows for name in row.names if name in text),
        key=lambda hit: -len(hit[1]),
    )
    kept: list[tuple[int, str, Expense]] = []
    for start, name, row in hits:
        if all(start + len(name) <= other or other + len(longer) <= start for other, longer, _ in kept):
            kept.append((start, name, row))
    if not kept:
        return None
    start, name, row = min(kept, key=lambda hit: (_STRICTNESS.index(hit[2].outcome), -len(hit[1])))
    if row.outcome != FORBIDDEN and (fee := _FEE.search(text, start + len(name))) and not _overlaps(fee.span(), kept):
        return None  # 学员考直播销售员证，报名费: the fee is the expense, and no row names it
    return row, name


def _overlaps(span: tuple[int, int], hits: Sequence[tuple[int, str, Expense]]) -> bool:
    return any(start < span[1] and span[0] < start + len(name) for start, name, _ in hits)
