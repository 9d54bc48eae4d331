"""Lexical search in memory: question against question forms, entries and clauses.

Characters and adjacent pairs weighted by rarity carry the meaning; syllables carry what a homophone or an input
method spoilt. Scores lie between 0 and 1.
"""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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

    def __init__(
        self, tokens: dict[str, int], token_of: "array[int]", text_of: NDArray[np.int32], values: Vector
    ) -> None:
        """Pack each token's place in `tokens`, its text and its value, given side by side in the order of the texts."""
        self.tokens = tokens
        which = np.array(token_of, dtype=np.int32)
        order = np.argsort(which, kind="stable")
        self.texts, self.values = text_of[order], values[order]
        self.bounds = np.searchsorted(which[order], np.arange(len(tokens) + 1))
        self.highest = np.maximum.reduceat(self.values, self.bounds[:-1]) if tokens else self.values

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
        places: dict[str, int] = {}
        token_of, text_of, values = array("i"), array("i"), array("f")
        for number, tokens in enumerate(split_texts):
            weights = [self.weights[token] for token in tokens]
            length = math.sqrt(sum(value * value for value in weights)) or 1.0
            token_of.extend([places.setdefault(token, len(places)) for token in tokens])
            text_of.extend([number] * len(tokens))
            values.extend([value / length for value in weights])
        self.postings = Postings(places, token_of, np.array(text_of, np.int32), np.array(values, np.float32))

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
        tokens: dict[str, int] = {}
        token_of, times, kinds, lengths = array("i"), array("i"), array("i"), array("i")
        for text in texts:
            counts = Counter(grams(text))
            token_of.extend([tokens.setdefault(token, len(tokens)) for token in counts])
            times.extend(counts.values())
            kinds.append(len(counts))
            lengths.append(counts.total())
        self.size = len(lengths)
        average = sum(lengths) / self.size if self.size else 1.0
        which, tf = np.array(token_of, np.int32), np.array(times, np.float64)
        frequency = np.bincount(which, minlength=len(tokens)).tolist()
        rarity = np.array([self._rarity(token, n) for token, n in zip(tokens, frequency, strict=True)], np.float64)
        text_of = np.repeat(np.arange(self.size, dtype=np.int32), np.array(kinds, np.int32))
        values = (
            rarity[which] * tf * (k + 1) / (tf + k * (1 - b + b * np.array(lengths, np.float64)[text_of] / average))
        )
        self.postings = Postings(tokens, token_of, text_of, values.astype(np.float32))

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
