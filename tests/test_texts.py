"""Every message that code says exists, and every message that exists is said."""

import re
from pathlib import Path

import pytest

from bot.texts import label_text, say
from tests.commands import ROOT

TEMPLATES = sorted([*ROOT.glob("handlers/*.j2"), *ROOT.glob("bot/*.j2")])
CODE = "\n".join(path.read_text("utf-8") for folder in ("bot", "handlers") for path in (ROOT / folder).rglob("*.py"))
SAID = set(re.findall(r"""say\(\s*["']([a-z]+\.[a-z_]+)["']""", CODE))
SAID |= {f"ask.{part}" for part in re.findall(r'_chat\(turn, "([a-z_]+)"', CODE)}
SAID |= {
    f"ask.{part}" for pair in re.findall(r'_chat\(turn, "([a-z_]+)" if [^"]+ else "([a-z_]+)"', CODE) for part in pair
}
SAID |= {"ask.greeting", "ask.thanks", "ask.abuse", "ask.empty"}  # small talk is said by its kind


def macros(path: Path) -> list[str]:
    return re.findall(r"{% macro ([a-z_]+)\(", path.read_text("utf-8"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_message_is_said(path: Path) -> None:
    text = path.read_text("utf-8")
    for name in macros(path):
        used_inside = len(re.findall(rf"\b{name}\(", text)) > 1
        assert f"{path.stem}.{name}" in SAID or used_inside, name


def test_everything_said_is_a_message() -> None:
    known = {f"{path.stem}.{name}" for path in TEMPLATES for name in macros(path)}
    assert known >= SAID


def test_a_missing_value_or_message_is_an_error() -> None:
    with pytest.raises(Exception, match="limit"):
        say("ask.too_long")
    with pytest.raises(AttributeError):
        say("ask.no_such_message")


@pytest.mark.parametrize(
    ("label", "shown"),
    [("四¶3", "四第3段"), ("三(一)", "三（一）"), ("附件1-6.1", "附件1-6.1"), ("二(一)¶2", "二（一）第2段")],
)
def test_labels_are_shown_as_printed(label: str, shown: str) -> None:
    assert label_text(label) == shown
