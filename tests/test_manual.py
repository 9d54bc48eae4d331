"""The manual names every setting and every error code that the program knows, and no other."""

import re

from bot.channels.errors import ERRORS
from bot.settings import Settings
from tests.conftest import ROOT

MANUAL = (ROOT / "docs" / "手册" / "安装与运维.md").read_text("utf-8")


def test_the_table_of_settings_is_the_programs() -> None:
    told = re.findall(r"^\| `\[(\w+)\]` \| `(\w+)` \|", MANUAL, re.MULTILINE)
    known = [
        (section, key)
        for section, field in Settings.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]  # every section is a model
    ]
    assert sorted(told) == sorted(known)


def test_the_table_of_error_codes_is_the_programs() -> None:
    rows = re.findall(r"^\| (-?\d[\d、-]*) \|", MANUAL.split("## 8.")[1], re.MULTILINE)
    assert sorted(int(code) for row in rows for code in row.split("、")) == sorted(ERRORS)
