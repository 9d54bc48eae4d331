"""Notices with their gold, and each of them in the layouts that files come in.

`samples/` are made up; the importer was written beside them. `unseen/` are official texts that stand public, and notices of
other forms, all given their gold before the importer read them: the two groups are scored apart.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SAMPLES, UNSEEN = (sorted((Path(__file__).parent / group).glob("*.yaml")) for group in ("samples", "unseen"))
LEAST = 0.95
KINDS: dict[str, Callable[[list[Any], Any], bool]] = {
    "deadlines": lambda gold, found: (gold[1] in found.text or found.text in gold[1]) and gold[2] == found.on,
    "percentages": lambda gold, found: abs(gold[1] - found.value) < 0.01 and gold[2] == found.op,
    "amounts": lambda gold, found: gold[1] == found.value and gold[2] == found.op,
    "prohibitions": lambda gold, found: gold[1] in found.text,
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A notice: its lines with their labels, and the gold of what stands in them."""

    name: str
    header: dict[str, Any]
    labelled: tuple[tuple[str, str], ...]
    gold: dict[str, list[list[Any]]]

    @property
    def lines(self) -> list[str]:
        return [line for _, line in self.labelled]

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(label for label, _ in self.labelled))


def load_sample(path: Path) -> Sample:
    """Read one sample."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = tuple((label, line) for label, _, line in (row.partition("|") for row in content["text"].splitlines()))
    kinds = ("deadlines", "percentages", "amounts", "prohibitions")
    return Sample(
        name=path.stem, header=content["header"], labelled=rows, gold={kind: content.get(kind, []) for kind in kinds}
    )


def layouts(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The same text as it is found: as printed, on one line, wrapped at a width, at changing widths, indented."""
    yield "printed", "\n".join(lines)
    yield "blank lines between", "\n\n".join(lines)
    yield "breaks lost", "".join(lines)
    yield "breaks became spaces", " ".join(lines)
    for width in (30, 35, 40):
        yield f"wrapped at {width}", "\n".join(_wrapped(lines, [width]))
    yield "wrapped at 30 to 40", "\n".join(_wrapped(lines, random.Random(7).choices(range(30, 41), k=200)))
    yield "wrapped and indented", "\n".join(_wrapped(["\u3000\u3000" + line for line in lines], [36]))
    yield "breaks lost, then wrapped", "\n".join(_wrapped(["".join(lines)], [35]))


def _wrapped(lines: list[str], widths: list[int]) -> Iterator[str]:
    count = 0
    for line in lines:
        place = 0
        while place < len(line):
            width = widths[count % len(widths)]
            yield line[place : place + width]
            place, count = place + width, count + 1


def base(label: str) -> str:
    return label.partition("¶")[0]


def score(pairs: Iterable[tuple[int, int, int]]) -> tuple[float, float]:
    """Precision and recall of (right, found, wanted)."""
    right, found, wanted = (sum(column) for column in zip(*pairs, strict=True))
    return right / found, right / wanted


def hits(gold: list[list[Any]], found: Iterable[Any], same: Callable[[list[Any], Any], bool]) -> int:
    left = list(found)
    count = 0
    for row in gold:
        match = next((one for one in left if base(row[0]) == base(one.clause) and same(row, one)), None)
        if match is not None:
            left.remove(match)
            count += 1
    return count
