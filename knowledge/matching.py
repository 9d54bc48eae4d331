"""Question → curated entries, ranked. Scores say how near the nearest way of asking is, between 0 and about 1."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from knowledge.model import Entry, Form
from knowledge.question import HARD_SLOTS, Question, is_yes_no, slots
from knowledge.search import Bm25, GramIndex, Vector, best, sound_grams
from knowledge.text import grams, normalise, squeeze
from knowledge.wording import Wording

# How much the characters, the sounds and the entry's whole text count. Fitted on the development questions.
FORM, SOUND, BODY = 0.62, 0.18, 0.20
# A form that asks for another value, or for a value where the question asks none, counts less.
OTHER_SLOT, EXTRA_SLOT, OPPOSED = 0.72, 0.86, 0.80
CONSIDERED = 12

_GIVES = {
    "ratio": re.compile(r"\d%|1/3|百分之"),
    "money": re.compile(r"\d(?:万|亿)?元"),
    "date": re.compile(r"\d{1,2}月(?:\d{1,2}日|底|中旬|初)|上半年|年底|当年|季度|不做统一要求"),
    "duration": re.compile(r"\d+天"),
    "phone": re.compile(r"\d{6,}|zhxcfwyy"),
    "count": re.compile(r"\d+-?\d*个|一名|\d+名|\d+家"),
}


@dataclass(frozen=True, kw_only=True)
class Match:
    """An entry with its score, the nearest form, and how near that form alone is."""

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

    def __init__(self, entries: Sequence[Entry], wording: Wording) -> None:
        self.entries = list(entries)
        self.wording = wording
        self.forms = [form for entry in self.entries for form in entry.forms]
        self.owner = np.array([n for n, entry in enumerate(self.entries) for _ in entry.forms], dtype=np.int32)
        plain = [normalise(form.text) for form in self.forms]
        self.official = [wording.rewrite(text) for text in plain]
        self.masks = np.array([_mask(slots(text)) for text in plain], dtype=np.int32)
        self.asks_yes_no = np.array([is_yes_no(text) for text in plain], dtype=bool)
        self.exact = {squeeze(text): number for number, text in enumerate(plain)}
        self.written = GramIndex(self.official)
        self.spoken = GramIndex(self.official, sound_grams)
        bodies = [self._body(entry) for entry in self.entries]
        self.bodies = Bm25(bodies)
        self.words = [frozenset(grams(body)) for body in bodies]

    def _body(self, entry: Entry) -> str:
        parts = [entry.title, entry.statement, *(form.text for form in entry.forms), *(c.quote for c in entry.cites)]
        return self.wording.rewrite(normalise(" ".join(parts)))

    def match(self, question: Question, context: str = "") -> list[Match]:
        """The best entries, best first. `context` is the question before, for one that cannot stand alone."""
        texts = dict.fromkeys([question.official, question.repaired])
        nearness = np.zeros(len(self.forms), dtype=np.float32)
        body = np.zeros(len(self.entries), dtype=np.float32)
        for text in texts:
            full = f"{context} {text}".strip()
            near = (FORM * self.written.scores(full) + SOUND * self.spoken.scores(full)) / (FORM + SOUND)
            nearness = np.maximum(nearness, near)
            body = np.maximum(body, self.bodies.scores(full))
        exact = self.exact.get(squeeze(question.text)) if not context else None
        if exact is not None:
            nearness[exact] = 1.0
        weighted = nearness * self._slot_factors(question, nearness)
        if exact is not None:
            weighted[exact] = 1.2
        return self._entries(question, weighted, nearness, body)

    def _slot_factors(self, question: Question, nearness: Vector) -> Vector:
        asked = _mask(question.slots)
        shared = self.masks & asked
        factors = np.ones(len(self.forms), dtype=np.float32)
        if asked:
            factors[(self.masks != 0) & (shared == 0)] = OTHER_SLOT
            factors[self.masks == 0] = EXTRA_SLOT
        else:
            factors[self.masks != 0] = EXTRA_SLOT
        return factors

    def _entries(self, question: Question, weighted: Vector, nearness: Vector, body: Vector) -> list[Match]:
        top = np.zeros(len(self.entries), dtype=np.float32)
        np.maximum.at(top, self.owner, weighted)
        total = (FORM + SOUND) * top + BODY * body
        found: list[Match] = []
        for hit in best(total, CONSIDERED):
            entry = self.entries[hit.place]
            number, opposed = self._nearest(question, hit.place, weighted)
            score = hit.score * (OPPOSED if opposed else 1.0)
            found.append(Match(entry=entry, score=score, form=self.forms[number], nearness=float(nearness[number])))
        return sorted(found, key=lambda match: -match.score)

    def _nearest(self, question: Question, place: int, weighted: Vector) -> tuple[int, bool]:
        """The entry's nearest form, one that is not the reverse of the question if it can be."""
        own = np.flatnonzero(self.owner == place)
        ranked = sorted((int(n) for n in own), key=lambda n: -weighted[n])[:4]
        straight = [n for n in ranked if not self.wording.opposed(question.official, self.official[n])]
        close = [n for n in straight if weighted[n] > 0.8 * weighted[ranked[0]]]
        return (close[0], False) if close else (ranked[0], True)

    def stance(self, question: Question, entry: Entry, floor: float) -> Form | None:
        """The entry's yes/no form nearest to a yes/no question; None when none is near enough."""
        own = [n for n in np.flatnonzero(self.owner == self.entries.index(entry)) if self.forms[int(n)].verdict != "info"]
        near = self.written.scores(question.repaired)
        ranked = sorted((int(n) for n in own), key=lambda n: -near[n])
        straight = [n for n in ranked if not self.wording.opposed(question.official, self.official[n])]
        return self.forms[straight[0]] if straight and near[straight[0]] >= floor else None
