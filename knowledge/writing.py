"""Entries written in the office: drafted by one person, reviewed by another, and in use with the next edition.

A draft lies beside the imported notices as own-3.draft. A review makes it own-3.yaml, which a publication takes in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from knowledge.base import KnowledgeBase, check_quote
from knowledge.files import Item, Problems, items, read_entry
from knowledge.model import KnowledgeError
from knowledge.text import normalise, squeeze

_NAME = re.compile(r"own-[1-9]\d{0,5}")


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Who drafts or reviews: their name, and the number of the person where it is known."""

    name: str
    id: int | None = None

    def wrote(self, draft: Item) -> bool:
        """Whether a draft is theirs: by the number, or by the name where a number is not known."""
        if draft.get("author_id") and self.id is not None:
            return str(self.id) == str(draft["author_id"])
        return self.name == str(draft.get("author", ""))


@dataclass(frozen=True, kw_only=True)
class Written:
    """An entry of the office's own: the draft that waits, if any, and what has been reviewed, if anything."""

    name: str
    draft: Item | None
    reviewed: Item | None

    @property
    def item(self) -> Item:
        """The newest text."""
        found = self.draft or self.reviewed
        assert found is not None
        return found


def listed(folder: Path) -> list[Written]:
    """All that were written here, those that wait for a review first, the newest first."""
    names = {path.stem for path in folder.glob("own-*") if path.suffix in (".draft", ".yaml")}
    found = [one for name in names if (one := find(folder, name)) is not None]
    return sorted(found, key=lambda one: (one.draft is None, -_number(one.name)))


def find(folder: Path, name: str) -> Written | None:
    """An entry by its name, own-3; None when there is none."""
    if not _NAME.fullmatch(name):
        return None
    draft, reviewed = (_read(folder / f"{name}{ending}") for ending in (".draft", ".yaml"))
    return Written(name=name, draft=draft, reviewed=reviewed) if draft or reviewed else None


def _read(path: Path) -> Item | None:
    problems = Problems()
    found = next(items(path, problems), None) if path.exists() else None
    problems.stop_if_any()
    return found


def _number(name: str) -> int:
    return int(name.partition("-")[2])


def save(folder: Path, content: Mapping[str, Any], author: Writer, name: str = "") -> str:
    """Keep a draft, a new one when it has no name yet; its name. What is wrong in it may still be mended (`troubles`)."""
    folder.mkdir(parents=True, exist_ok=True)
    if not name:
        highest = max((_number(path.stem) for path in folder.glob("own-*") if _NAME.fullmatch(path.stem)), default=0)
        name = f"own-{highest + 1}"
        (folder / f"{name}.draft").touch(exist_ok=False)  # so that two people do not take the same name
    number = {"author_id": str(author.id)} if author.id is not None else {}
    _write(folder / f"{name}.draft", {**content, "id": name, "author": author.name, **number})
    return name


def _write(path: Path, item: Mapping[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(yaml.safe_dump([dict(item)], allow_unicode=True, sort_keys=False, width=1000), encoding="utf-8")
    part.replace(path)


def troubles(kb: KnowledgeBase, item: Item) -> list[str]:
    """What keeps an entry from being published beside what is known: each with its remedy."""
    problems = Problems()
    entry = read_entry(item, "", problems)
    if entry is not None:
        if not entry.forms:
            problems.add("", entry.id, "没有问法，请至少写一种。")
        for cite in (*entry.cites, *filter(None, (entry.onward,))):
            check_quote(kb, entry.id, cite, problems)
        for form in entry.forms:
            number = kb.matcher.exact.get(squeeze(normalise(form.text)))
            other = kb.matcher.entries[kb.matcher.owner[number]].id if number is not None else entry.id
            if other != entry.id:
                problems.add("", entry.id, f"问法“{form.text}”也在 {other}，请只留一处。")
    return [line.partition(f"{item['id']}：")[2] or line for line in problems.lines]


def review(folder: Path, kb: KnowledgeBase, name: str, by: Writer) -> None:
    """Let a draft into the next edition, on the word of another person than its author.

    Raises KnowledgeError with what is in the way.
    """
    draft = _waiting(folder, name, by)
    if wrong := troubles(kb, draft):
        raise KnowledgeError(wrong)
    _write(folder / f"{name}.yaml", {**draft, "reviewer": by.name})
    (folder / f"{name}.draft").unlink()


def send_back(folder: Path, name: str, by: Writer, reason: str) -> None:
    """Return a draft to its author, who changes and saves it for the next review. Raises KnowledgeError."""
    draft = _waiting(folder, name, by)
    if not reason.strip():
        raise KnowledgeError(["请写明退回的原因。"])
    _write(folder / f"{name}.draft", {**draft, "returned": " ".join(reason.split()), "returned_by": by.name})


def _waiting(folder: Path, name: str, by: Writer) -> Item:
    """The draft that waits for the review of somebody else than its author. Raises KnowledgeError."""
    found = find(folder, name)
    if found is None or found.draft is None:
        raise KnowledgeError(["没有这条草稿，可能已审核或删去。"])
    if not by.name or by.wrote(found.draft):
        raise KnowledgeError(["草稿是您写的，须由另一人审核。"])
    if found.draft.get("returned"):
        raise KnowledgeError(["这条草稿已退回，修改后再审核。"])
    return found.draft


def drop(folder: Path, name: str) -> None:
    """Take away a draft; where there is none, what was reviewed, which the next edition then leaves out."""
    found = find(folder, name)
    if found is not None:
        (folder / f"{name}{'.draft' if found.draft else '.yaml'}").unlink()
