"""Question → curated entries, ranked by how near their question forms are."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge.model import Entry, Form, Verdict
from knowledge.question import HARD_SLOTS, Question, is_denied, is_yes_no, slots
from knowledge.search import Bm25, GramIndex, Vector, best, sound_grams
from knowledge.semantic import SemanticIndex
from knowledge.text import normalise, squeeze
from knowledge.wording import Wording

CONSIDERED = 16


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How much each kind of nearness counts. Fitted on the development questions, see benchmarks/README.md."""

    written: float
    spoken: float
    meant: float
    body: float
    answer_from: float  # below this score nothing curated is near
    sure: float  # from this nearness a form is the same question in other words


LEXICAL = Weights(written=0.75, spoken=0.25, meant=0.0, body=0.60, answer_from=0.34, sure=0.72)
SEMANTIC = Weights(written=0.20, spoken=0.10, meant=0.70, body=0.40, answer_from=0.50, sure=0.76)
MEANT_ZERO = 0.78  # the cosine at which two questions have nothing in common
TOP_FORMS = (0.60, 0.25, 0.15)  # an entry's three nearest forms speak for it
OTHER_SLOT, EXTRA_SLOT = 0.72, 0.86  # a form that asks for another value; for a value where none is asked
OPPOSED = 0.80  # the nearest form is the reverse of the question (收费 against 免费)

_GIVES = {
    "ratio": re.compile(r"\d%|1/3|百分之|高于全国平均|持平"),
    "money": re.compile(r"\d(?:万|亿)?元"),
    "date": re.compile(r"\d{1,2}月(?:\d{1,2}日|底|中旬|初)|上半年|年底|当年|季度|不做统一要求"),
    "duration": re.compile(r"\d+天"),
    "phone": re.compile(r"\d{6,}|zhxcfwyy"),
    "count": re.compile(r"\d+-?\d*个|一名|\d+名|\d+家|[二三四五六七八九]项|[两二三四五六七八九]条"),
}


@dataclass(frozen=True, kw_only=True)
class Match:
    """An entry with its score, the nearest form, and how near that form alone is (1 is identical)."""

    entry: Entry
    score: float
    form: Form
    nearness: float


def gives(entry: Entry) -> frozenset[str]:
    """The values an entry's statement and quotations hold, beside those it declares."""
    text = entry.statement + "".join(cite.quote for cite in entry.cites)
    return entry.gives | {slot for slot, pattern in _GIVES.items() if pattern.search(text)}


def _mask(found: frozenset[str]) -> int:
    return sum(1 << number for number, slot in enumerate(sorted(HARD_SLOTS)) if slot in found)


class Matcher:
    """All entries indexed by their question forms."""

    def __init__(
        self,
        entries: Sequence[Entry],
        wording: Wording,
        semantic: Callable[[Sequence[str]], SemanticIndex] | None = None,
    ) -> None:
        self.entries = list(entries)
        self.place = {entry.id: number for number, entry in enumerate(self.entries)}
        self.wording = wording
        self.forms = [form for entry in self.entries for form in entry.forms]
        self.owner = np.array([n for n, entry in enumerate(self.entries) for _ in entry.forms], dtype=np.int32)
        self.starts = np.searchsorted(self.owner, np.arange(len(self.entries) + 1))
        plain = [normalise(form.text) for form in self.forms]
        self.official = [wording.rewrite(text) for text in plain]
        self.masks = np.array([_mask(slots(text)) for text in plain], dtype=np.int32)
        self.yes_no = [is_yes_no(text) for text in plain]
        self.denied = [is_denied(text) for text in plain]
        self.exact = {squeeze(text): number for number, text in enumerate(plain)}
        self.meant = semantic(plain) if semantic else None
        self.weights = SEMANTIC if semantic else LEXICAL
        self.written = GramIndex(self.official)
        self.spoken = GramIndex(self.official, sound_grams)
        self.bodies = Bm25(self._body(entry) for entry in self.entries)

    def _body(self, entry: Entry) -> str:
        parts = [entry.title, entry.statement, *(form.text for form in entry.forms), *(c.quote for c in entry.cites)]
        return self.wording.rewrite(normalise(" ".join(parts)))

    def nearness(self, question: Question, context: str = "") -> Vector:
        """How near each form is to the question, or to the question with the one before it."""
        weights = self.weights
        near = np.zeros(len(self.forms), dtype=np.float32)
        for text in dict.fromkeys([question.official, question.repaired]):
            full = f"{context} {text}".strip()
            lexical = weights.written * self.written.scores(full) + weights.spoken * self.spoken.scores(full)
            near = np.maximum(near, lexical)
        if self.meant is not None:
            cosine = self.meant.scores(f"{context} {question.text}".strip())
            near += weights.meant * np.clip((cosine - MEANT_ZERO) / (1 - MEANT_ZERO), 0, 1)
        return near

    def match(self, question: Question, context: str = "") -> list[Match]:
        """The best entries, best first. `context` is the question before, for one that cannot stand alone."""
        near = self.nearness(question, context)
        weighted = near * self._slot_factors(question)
        exact = None if context else self.exact.get(squeeze(question.text))
        if exact is not None:
            near[exact], weighted[exact] = 1.0, 1.6
        body = np.zeros(len(self.entries), dtype=np.float32)
        for text in dict.fromkeys([question.official, question.repaired]):
            body = np.maximum(body, self.bodies.scores(f"{context} {text}".strip()))
        total = self._per_entry(weighted) + self.weights.body * body
        found = [self._match(question, hit.place, hit.score, weighted, near) for hit in best(total, CONSIDERED)]
        return sorted(found, key=lambda match: -match.score)

    def _slot_factors(self, question: Question) -> Vector:
        asked = _mask(question.slots)
        factors = np.ones(len(self.forms), dtype=np.float32)
        if asked:
            factors[(self.masks != 0) & (self.masks & asked == 0)] = OTHER_SLOT
            factors[self.masks == 0] = EXTRA_SLOT
        else:
            factors[self.masks != 0] = EXTRA_SLOT
        return factors

    def _per_entry(self, weighted: Vector) -> Vector:
        """The weighted mean of each entry's three nearest forms."""
        order: NDArray[np.intp] = np.lexsort((-weighted, self.owner))
        owners, values = self.owner[order], weighted[order]
        rank = np.arange(len(values)) - self.starts[owners]
        total = np.zeros(len(self.entries), dtype=np.float32)
        for place, share in enumerate(TOP_FORMS):
            chosen = rank == place
            total[owners[chosen]] += share * values[chosen]
        return total

    def _match(self, question: Question, place: int, score: float, weighted: Vector, near: Vector) -> Match:
        own = range(self.starts[place], self.starts[place + 1])
        ranked = sorted(own, key=lambda n: -weighted[n])[:4]
        straight = [n for n in ranked if not self.wording.opposed(question.official, self.official[n])]
        nearest = next((n for n in straight if weighted[n] > 0.8 * weighted[ranked[0]]), None)
        number = ranked[0] if nearest is None else nearest
        factor = OPPOSED if nearest is None else 1.0
        return Match(
            entry=self.entries[place], score=score * factor, form=self.forms[number], nearness=float(near[number])
        )

    def verdict(self, question: Question, entry: Entry) -> Verdict:
        """The answer to a yes/no question as asked: the entry's yes/no forms vote, the nearest loudest.

        A form's answer is turned round when the question denies what the form asks, or the reverse.
        """
        near = self.nearness(question)
        place = self.place[entry.id]
        votes: defaultdict[Verdict, float] = defaultdict(float)
        for n in range(self.starts[place], self.starts[place + 1]):
            form = self.forms[n]
            if form.verdict == "info" or self.wording.opposed(question.official, self.official[n]):
                continue
            turned = self.denied[n] != question.denied
            votes[_FLIP.get(form.verdict, form.verdict) if turned else form.verdict] += float(near[n]) ** 3
        return max(votes, key=lambda verdict: votes[verdict]) if votes else "info"


_FLIP: dict[Verdict, Verdict] = {"yes": "no", "no": "yes"}
