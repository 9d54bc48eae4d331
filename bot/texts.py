"""Words for the screen: one Jinja2 macro per message, in x.j2 beside x.py."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

_ROOT = Path(__file__).parent.parent


def label_text(label: str) -> str:
    """A clause label as printed: 四¶3 → 四第3段, 三(一) → 三（一）."""
    label, _, paragraph = label.partition("¶")
    shown = label.replace("(", "（").replace(")", "）")
    return f"{shown}第{paragraph}段" if paragraph else shown


@cache
def environment() -> Environment:
    """The templates of handlers/ and bot/; an undefined value is an error."""
    made = Environment(
        loader=ChoiceLoader([FileSystemLoader(_ROOT / "handlers"), FileSystemLoader(_ROOT / "bot")]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # plain text for chat; pages have an environment of their own
    )
    made.filters["label"] = label_text
    return made


@cache
def _module(stem: str) -> Any:  # Any: a Jinja2 module has its macros as attributes
    return environment().get_template(f"{stem}.j2").module


def say(name: str, /, **values: Any) -> str:  # Any: macros take what their message needs
    """Render the message `stem.part`: macro `part` of stem.j2. Raises on an unknown message or a missing value."""
    stem, _, part = name.partition(".")
    return str(getattr(_module(stem), part)(**values)).strip()
