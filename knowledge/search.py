"""Lexical search in memory: question against question forms, entries and clauses.

Characters and adjacent pairs weighted by rarity carry the meaning; syllables carry what a homophone or an input
method spoilt. Scores lie between 0 and 1.
"""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge.text import grams, pinyin

Vector = NDArray[np.float32]
_LONE = 0.4  # a lone character says less than a pair or a number


def sound_grams(text: str) -> list[str]:
    """Adjacent pairs of syllables."""
    sounds = pinyin(text)
    return [f"{one} {two}" for one, two in zip(sounds, sounds[1:], strict=False)]


class Postings:
    """Token → the texts it occurs in and its value there, packed into three arrays."""

    def __init__(self, rows: Iterable[tuple[str, int, float]], size: int) -> None:
        self.size = size
        self.tokens: dict[str, int] = {}
        token_of, text_of, value_of = array("i"), array("i"), array("f")
        for token, text, value in rows:
            token_of.append(self.tokens.setdefault(token, len(self.tokens)))
            text_of.append(text)
            value_of.append(value)
        which = np.frombuffer(token_of, dtype=np.int32) if token_of else np.zeros(0, dtype=np.int32)
        order = np.argsort(which, kind="stable")
        self.texts = np.frombuffer(text_of, dtype=np.int32)[order] if text_of else which
        self.values = np.frombuffer(value_of, dtype=np.float32)[order] if value_of else np.zeros(0, dtype=np.float32)
        self.bounds = np.searchsorted(which[order], np.arange(len(self.tokens) + 1))
        self.highest = np.maximum.reduceat(self.values, self.bounds[:-1]) if self.tokens else self.values

    def add(self, token: str, factor: float, total: Vector) -> float:
        """Add a token's values times `factor` to `total`; the highest value, 0 for an unknown token."""
        row = self.tokens.get(token)
        if row is None:
            return 0.0
        part = slice(self.bounds[row], self.bounds[row + 1])
        total[self.texts[part]] += self.values[part] * factor
        return float(self.highest[row])

    def holding(self, token: str) -> NDArray[np.int32]:
        """The texts that a token occurs in."""
        row = self.tokens.get(token)
        found: NDArray[np.int32] = (
            self.texts[:0] if row is None else self.texts[self.bounds[row] : self.bounds[row + 1]]
        )
        return found


class GramIndex:
    """Cosine similarity of short texts over weighted grams."""

    def __init__(self, texts: Sequence[str], split: Callable[[str], list[str]] = grams) -> None:
        self.split = split
        self.size = len(texts)
        split_texts = [sorted(set(split(text))) for text in texts]
        frequency = Counter(token for tokens in split_texts for token in tokens)
        self.weights = {token: self._weight(token, n) for token, n in frequency.items()}
        self.postings = Postings(self._rows(split_texts), self.size)

    def _rows(self, split_texts: list[list[str]]) -> Iterator[tuple[str, int, float]]:
        for number, tokens in enumerate(split_texts):
            values = [self.weights[token] for token in tokens]
            length = math.sqrt(sum(value * value for value in values)) or 1.0
            yield from ((token, number, value / length) for token, value in zip(tokens, values, strict=True))

    def _weight(self, token: str, frequency: int) -> float:
        rarity = math.log(1 + (self.size + 1) / (frequency + 0.5))
        return rarity * (_LONE if len(token) == 1 else 1.0)

    def scores(self, text: str) -> Vector:
        """The similarity of `text` to each indexed text, in their order."""
        values = {token: self.weights.get(token) or self._weight(token, 0) for token in set(self.split(text))}
        length = math.sqrt(sum(value * value for value in values.values())) or 1.0
        total = np.zeros(self.size, dtype=np.float32)
        for token, value in values.items():
            self.postings.add(token, value / length, total)
        return total


class Bm25:
    """BM25 over longer texts: an entry with all its forms and quotations, a clause with its headings."""

    def __init__(self, texts: Iterable[str], k: float = 1.2, b: float = 0.6) -> None:
        counted = [Counter(grams(text)) for text in texts]
        self.size = len(counted)
        lengths = [sum(counts.values()) for counts in counted]
        average = sum(lengths) / self.size if self.size else 1.0
        frequency = Counter(token for counts in counted for token in counts)
        rarity = {token: self._rarity(token, n) for token, n in frequency.items()}
        self.postings = Postings(
            (
                (token, number, rarity[token] * tf * (k + 1) / (tf + k * (1 - b + b * lengths[number] / average)))
                for number, counts in enumerate(counted)
                for token, tf in counts.items()
            ),
            self.size,
        )

    def _rarity(self, token: str, frequency: int) -> float:
        return math.log(1 + (self.size - frequency + 0.5) / (frequency + 0.5)) * (_LONE if len(token) == 1 else 1.0)

    def scores(self, text: str) -> Vector:
        """Scores of all texts, as a share of the best possible for this question."""
        total = np.zeros(self.size, dtype=np.float32)
        best_possible = 0.0
        for token in set(grams(text)):
            best_possible += self.postings.add(token, 1.0, total) or self._rarity(token, 0) / 2
        return total / best_possible if best_possible else total


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A place in an index with its score."""

    place: int
    score: float


def best(scores: Vector, count: int) -> list[Hit]:
    """The `count` best places, highest first."""
    order = np.argsort(-scores, kind="stable")[:count]
    return [Hit(place=int(n), score=float(scores[n])) for n in order]
