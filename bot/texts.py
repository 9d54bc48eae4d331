"""Words for the screen: one Jinja2 macro per message, in x.j2 beside x.py."""

import os
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined

from knowledge import cache as kept

_ROOT = Path(__file__).parent.parent


def label_text(label: str) -> str:
    """A clause label as printed: 四¶3 → 四第3段, 三(一) → 三（一）."""
    label, _, paragraph = label.partition("¶")
    shown = label.replace("(", "（").replace(")", "）")
    return f"{shown}第{paragraph}段" if paragraph else shown


def _compiled() -> FileSystemBytecodeCache | None:
    """Where compiled templates are kept, so that a command need not compile them again; None where nothing can be kept."""
    folder = kept.folder() / "templates"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None
    return FileSystemBytecodeCache(str(folder)) if os.access(folder, os.W_OK) else None


@cache
def environment() -> Environment:
    """The templates of handlers/ and bot/; an undefined value is an error."""
    made = Environment(
        loader=ChoiceLoader([FileSystemLoader(_ROOT / "handlers"), FileSystemLoader(_ROOT / "bot")]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # plain text for chat; pages have an environment of their own
        bytecode_cache=_compiled(),
    )
    made.filters["label"] = label_text
    return made


@cache
def _module(stem: str) -> Any:  # Any: a Jinja2 module has its macros as attributes
    return environment().get_template(f"{stem}.j2").module


def say(name: str, /, **values: Any) -> str:  # Any: macros take what their message needs
    """Render the message `stem.part`: macro `part` of stem.j2. Raises on an unknown message or a missing value."""
    return _rendered(name, **values) if values else _fixed(name)


def _rendered(name: str, /, **values: Any) -> str:  # Any: as above
    stem, _, part = name.partition(".")
    return str(getattr(_module(stem), part)(**values)).strip()


@cache
def _fixed(name: str) -> str:
    """A message without values, which is always the same."""
    return _rendered(name)
