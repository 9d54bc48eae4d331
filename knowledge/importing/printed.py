"""Lines as a page shows them; the lines of a table's cells → its rows, whatever the cells' wraps."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import NamedTuple

from knowledge.importing.wrapping import ENDED, glue

_LEADING = 0.9  # of a character's height: the most between two lines of a cell
_REACH = 12  # lines of a cell above or below the row's number, which stands in the middle
_HEAD = 60  # words of a head that is still looked for its end


class Word(NamedTuple):
    """Characters without a space between, and their box in points from the left and the bottom of the page."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    page: int = 0


class Line(NamedTuple):
    """A printed line with its words; a table's row has tabs in its text and no place."""

    text: str
    words: tuple[Word, ...] = ()

    @property
    def left(self) -> float:
        return self.words[0].left

    @property
    def right(self) -> float:
        return self.words[-1].right


@dataclass
class _Column:
    left: float
    right: float
    head: str

    def holds(self, word: Word) -> bool:
        return word.left < self.right and self.left < word.right

    def take(self, word: Word) -> None:
        self.left, self.right = min(self.left, word.left), max(self.right, word.right)


@dataclass
class _Row:
    number: Word
    texts: list[str]
    last: dict[int, Word] = field(default_factory=dict)  # by column, the word that came last

    def add(self, column: int, word: Word) -> None:
        self.texts[column] += glue(self.texts[column], word.text) + word.text
        self.last[column] = word

    def continues(self, column: int, word: Word) -> bool:
        """True where a word stands where the next one of a cell would, cells being printed from left to right."""
        if column < max(self.last, default=0) or column == 0:
            return False
        height = word.top - word.bottom
        before = self.last.get(column)
        if word.page != (before or self.number).page:
            return before is not None and not ENDED.search(before.text)
        if before is None:
            return abs(word.top - self.number.top) < _REACH * height
        return before.bottom - word.top < _LEADING * height and word.top < before.top + height / 2


def with_rows(lines: Sequence[Line]) -> list[Line]:
    """The lines, each table that has a head 序号 … and numbered rows given as a line a row, with tabs between cells."""
    out: list[Line] = []
    place = 0
    while place < len(lines):
        line = lines[place]
        words = (word for n in range(place, len(lines)) for word in lines[n].words)
        opening = list(islice(words, _HEAD)) if _opens_table(line) else []
        head = _head(opening)
        rows, taken = _rows(chain(opening[head[1] :], words), head[0]) if head else ([], 0)
        if not head or not rows:
            out.append(line)
            place += 1
            continue
        out += [Line("\t".join(column.head for column in head[0])), *(Line("\t".join(row.texts)) for row in rows)]
        taken += head[1]
        while taken >= len(lines[place].words):
            taken -= len(lines[place].words)
            place += 1
            if place == len(lines):
                return out
        if taken:
            rest = lines[place].words[taken:]
            out.append(Line(" ".join(word.text for word in rest), rest))
            place += 1
    return out


def _opens_table(line: Line) -> bool:
    return bool(re.match(r"序\s?号?(?:\s|$)", line.text))


def _head(words: Sequence[Word]) -> tuple[list[_Column], int] | None:
    """The columns by the words of the head, and how many words those are; None where no row 1 follows."""
    columns: list[_Column] = []
    for count, word in enumerate(words):
        if len(columns) > 1 and word.text == "1" and columns[0].holds(word):
            return (columns, count) if columns[0].head == "序号" else None
        held = [column for column in columns if column.holds(word)]
        letter = len(word.text) == 1 and columns and len(columns[-1].head) < 4 and _spaced(columns[-1], word)
        if len(held) > 1 or not held and columns and word.left < columns[-1].right:
            return None
        if held or letter:
            column = held[0] if held else columns[-1]
            column.take(word)
            column.head += word.text
        else:
            columns.append(_Column(word.left, word.right, word.text))
    return None


def _spaced(column: _Column, word: Word) -> bool:
    """True for the next letter of a head set wide: 备 注."""
    return len(column.head) == 1 and word.left - column.right < 2.5 * (word.right - word.left)


def _rows(words: Iterable[Word], columns: list[_Column]) -> tuple[list[_Row], int]:
    """The rows that the words after a head fill, and how many words they take."""
    rows: list[_Row] = []
    heads, page, count = "".join(column.head for column in columns), 0, 0
    for word in words:
        held = [place for place, column in enumerate(columns) if column.holds(word)] or _nearest(columns, word)
        if held == [0] and word.text == str(len(rows) + 1):
            rows.append(_Row(word, [word.text, *[""] * (len(columns) - 1)]))
        elif rows and word.page > page and word.text in heads:
            count += 1
            continue  # the head again on the next page
        elif rows and len(held) == 1 and rows[-1].continues(held[0], word):
            rows[-1].add(held[0], word)
        else:
            return rows, count
        columns[held[0]].take(word)
        page = word.page
        count += 1
    return rows, count


def _nearest(columns: Sequence[_Column], word: Word) -> list[int]:
    """The column beside a word that stands under no head: cells are wider than their heads."""
    apart = [max(column.left - word.right, word.left - column.right) for column in columns]
    return [min(range(len(columns)), key=lambda place: apart[place])]
