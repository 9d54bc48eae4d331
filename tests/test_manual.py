"""The manual names every setting and error code that the program knows, and only commands and addresses it has."""

import re
import tomllib
from configparser import ConfigParser

import typer.main
from click import Group

from bot.__main__ import app
from bot.app import Desk
from bot.channels.errors import ERRORS
from bot.files import MOST_BYTES
from bot.inputs import universal
from bot.settings import Settings
from tests.commands import ROOT

DURING_FORMS = ("更多", "返回", "上一步", "取消", "为什么")  # words that every conversation understands
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


def block(first: str) -> str:
    """The fenced block that begins with some words."""
    return next(one for one in re.findall(r"```\n(.*?)```", MANUAL, re.DOTALL) if one.startswith(first))


def test_every_command_that_is_named_exists() -> None:
    root = typer.main.get_command(app)
    said = re.findall(r"countydesk ((?:[a-z]+ ?)+)", MANUAL)
    assert len(said) > 15
    for words in said:
        command = root
        for word in words.split():
            if not isinstance(command, Group):
                break
            assert word in command.commands, words
            command = command.commands[word]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"make ([a-z]+)", MANUAL.split("apt-get", 1)[1].split("\n", 1)[1])) <= set(targets)


def test_the_extras_that_are_installed_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = [one for some in re.findall(r"'\.\[([a-z,]+)\]'", MANUAL) for one in some.split(",")]
    assert named and set(named) <= set(extras)


def test_the_unit_and_the_proxies_fit_each_other() -> None:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys of a unit are written as they are
    unit.read_string(block("[Unit]"))
    service = unit["Service"]
    assert service["ExecStart"] == f"{service['WorkingDirectory']}/.venv/bin/countydesk serve"
    assert service["WorkingDirectory"].startswith(service["ReadWritePaths"])
    nginx = block("server {")
    assert nginx.count("{") == nginx.count("}")
    assert int(re.findall(r"client_max_body_size (\d+)m", nginx)[0]) * 2**20 > MOST_BYTES
    addresses = re.findall(r"(?:proxy_pass http://|reverse_proxy )([\d.:]+)", nginx + block("desk.example"))
    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]  # a group
    ours = {one.name: one.default for one in serve.params}
    assert set(addresses) == {f"{ours['host']}:{ours['port']}"}


def test_what_the_county_manual_tells_to_type_is_understood(running: Desk) -> None:
    manual = (ROOT / "docs" / "手册" / "县级用户手册.md").read_text("utf-8")
    routes = running.turns._assistant.handlers.routes
    told = re.findall("「([^」]+)」", manual)
    assert len(told) > 40
    for phrase in told:
        word = universal(phrase) or phrase
        assert word in DURING_FORMS or any(route.match(word) for route in routes), phrase


def test_what_the_manuals_of_the_console_name_is_on_its_pages(running: Desk) -> None:
    province = (ROOT / "docs" / "手册" / "省级用户手册.md").read_text("utf-8").split("## 工作台")[1]
    hotline = (ROOT / "docs" / "手册" / "热线坐席手册.md").read_text("utf-8")
    pages = ROOT / "bot" / "console"
    files = [
        *pages.glob("*.py"),
        *(pages / "pages").rglob("*.html"),
        ROOT / "bot" / "items.j2",
        ROOT / "storage" / "calllog.py",
    ]
    written = "\n".join(file.read_text("utf-8") for file in files)
    shown = re.sub(r"<[^>]+>", "", written)
    routes = running.turns._assistant.handlers.routes
    told = re.findall("「([^」]+)」", province + hotline)
    assert len(told) > 90
    for label in told:
        assert label in shown or any(route.match(label) for route in routes), label
    for key in {*re.findall(r"\b(?:Alt|Ctrl)\+(?:[A-Z]\b|\d|Enter)", province + hotline)} - {"Ctrl+C"}:
        first, _, second = key.partition("+")
        assert f"<kbd>{first}</kbd>+<kbd>{second}</kbd>" in written or f"<kbd>{key}</kbd>" in written, key


def test_the_pictures_of_the_manuals_are_there() -> None:
    for manual in (ROOT / "docs" / "手册").glob("*.md"):
        for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", manual.read_text("utf-8")):
            assert 0 < (manual.parent / picture).stat().st_size <= 200_000, picture
