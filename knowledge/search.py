"""Lexical search in memory: question against question forms, entries and clauses.

Characters and adjacent pairs weighted by rarity carry the meaning; syllables carry what a homophone or an input
method spoilt. Scores are cosines between 0 and 1.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge.text import grams, pinyin

Vector = NDArray[np.float32]


def sound_grams(text: str) -> list[str]:
    """Adjacent pairs of syllables."""
    sounds = pinyin(text)
    return [f"{one} {two}" for one, two in zip(sounds, sounds[1:], strict=False)]


class GramIndex:
    """Cosine similarity of short texts over weighted grams."""

    def __init__(self, texts: Sequence[str], split: Callable[[str], list[str]] = grams) -> None:
        self.split = split
        self.size = len(texts)
        counted = [Counter(split(text)) for text in texts]
        frequency: Counter[str] = Counter(token for counts in counted for token in counts)
        self.weights = {token: self._weight(token, n) for token, n in frequency.items()}
        self.unseen = self._weight("未见", 0)
        rows: dict[str, list[tuple[int, float]]] = {}
        for number, counts in enumerate(counted):
            vector = self._vector(counts)
            length = math.sqrt(sum(value * value for value in vector.values())) or 1.0
            for token, value in vector.items():
                rows.setdefault(token, []).append((number, value / length))
        self.postings = {
            token: (np.array([n for n, _ in row], dtype=np.int32), np.array([v for _, v in row], dtype=np.float32))
            for token, row in rows.items()
        }

    def _weight(self, token: str, frequency: int) -> float:
        """Rarity; a lone character says less than a pair or a number."""
        rarity = math.log(1 + (self.size + 1) / (frequency + 0.5))
        return rarity * (0.4 if len(token) == 1 else 1.0)

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        return {token: self.weights.get(token, self.unseen) for token in counts}

    def scores(self, text: str) -> Vector:
        """The similarity of `text` to each indexed text, in their order."""
        vector = self._vector(Counter(self.split(text)))
        length = math.sqrt(sum(value * value for value in vector.values())) or 1.0
        total = np.zeros(self.size, dtype=np.float32)
        for token, value in vector.items():
            if (posting := self.postings.get(token)) is not None:
                total[posting[0]] += posting[1] * (value / length)
        return total

    def mass(self, text: str) -> dict[str, float]:
        """The weight of each gram of a text, the rare ones heaviest."""
        return self._vector(Counter(self.split(text)))


class Bm25:
    """BM25 over longer texts: an entry with all its forms and quotations, a clause with its headings."""

    def __init__(self, texts: Iterable[str], k: float = 1.2, b: float = 0.6) -> None:
        counted = [Counter(grams(text)) for text in texts]
        self.size = len(counted)
        lengths = np.array([sum(counts.values()) for counts in counted], dtype=np.float32)
        average = float(lengths.mean()) if self.size else 1.0
        rows: dict[str, list[tuple[int, int]]] = {}
        for number, counts in enumerate(counted):
            for token, n in counts.items():
                rows.setdefault(token, []).append((number, n))
        self.postings: dict[str, tuple[NDArray[np.int32], Vector]] = {}
        for token, row in rows.items():
            where = np.array([n for n, _ in row], dtype=np.int32)
            tf = np.array([n for _, n in row], dtype=np.float32)
            rarity = math.log(1 + (self.size - len(row) + 0.5) / (len(row) + 0.5)) * (0.4 if len(token) == 1 else 1.0)
            self.postings[token] = where, rarity * tf * (k + 1) / (tf + k * (1 - b + b * lengths[where] / average))

    def scores(self, text: str) -> Vector:
        """Scores of all texts, as a share of the best possible for this question (0 to 1)."""
        total = np.zeros(self.size, dtype=np.float32)
        best = 0.0
        for token in set(grams(text)):
            if (posting := self.postings.get(token)) is not None:
                total[posting[0]] += posting[1]
                best += float(posting[1].max())
            else:
                best += 3.0 if len(token) > 1 else 1.0
        return total / best if best else total


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A place in an index with its score."""

    place: int
    score: float


def best(scores: Vector, count: int) -> list[Hit]:
    """The `count` best places, highest first."""
    if not len(scores):
        return []
    order = np.argsort(-scores, kind="stable")[:count]
    return [Hit(place=int(n), score=float(scores[n])) for n in order]
