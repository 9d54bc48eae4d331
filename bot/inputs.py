"""What people type → values: option numbers and the words that work everywhere."""

import re
import unicodedata

UNIVERSAL = frozenset({"帮助", "菜单", "返回", "上一步", "取消", "更多", "人工", "为什么", "提醒设置", "我的"})
_SAME = {"?": "帮助", "？": "帮助", "help": "帮助", "主菜单": "菜单", "退出": "取消", "算了": "取消", "转人工": "人工"}

_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩"
_NUMBER = re.compile(r"第?([0-9]{1,2}|[一二三四五六七八九十])(?:个|项|条)?[.、。]?")


def universal(text: str) -> str | None:
    """The universal word that the whole message equals, else None."""
    word = text.strip(" 　。.!！“”\"'‘’")
    word = _SAME.get(word.lower(), word)
    return word if word in UNIVERSAL else None


def option_number(text: str) -> int | None:
    """1, １, 一, ①, 第1个 → 1; None for anything else."""
    text = text.strip()
    if len(text) == 1 and text in _CIRCLED:
        return _CIRCLED.index(text) + 1
    match = _NUMBER.fullmatch(unicodedata.normalize("NFKC", text))
    if not match:
        return None
    return int(match[1]) if match[1].isdigit() else "一二三四五六七八九十".index(match[1]) + 1
