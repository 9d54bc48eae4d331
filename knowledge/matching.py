"""Question → curated entries, ranked by how near their question forms are."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import rjieba

from knowledge.model import Entry, Form, Verdict
from knowledge.question import HARD_SLOTS, INFERS, Leaning, Question, leaning, slots
from knowledge.search import Bm25, GramIndex, Hit, Vector, best, sound_grams
from knowledge.semantic import SemanticIndex
from knowledge.text import normalise, squeeze
from knowledge.wording import Sides, Wording, swapped

CONSIDERED = 16


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How much each kind of nearness counts. Fitted on the development questions, see benchmarks/README.md."""

    written: float
    spoken: float
    meant: float
    body: float
    refuse_from: float  # from this score a refusal that names what is missing is near enough
    alone_from: float  # from this score a short question needs no other to be understood
    answer_from: float  # from this confidence an answer is near enough
    sure: float  # from this nearness a form is the same question in other words
    yes_from: float  # from this nearness forms may conclude "yes"; a farther one is no ground for 可以


LEXICAL = Weights(
    written=0.75,
    spoken=0.25,
    meant=0.0,
    body=0.60,
    refuse_from=0.42,
    alone_from=0.70,
    answer_from=0.20,
    sure=0.72,
    yes_from=0.10,
)
SEMANTIC = Weights(
    written=0.20,
    spoken=0.10,
    meant=0.70,
    body=0.40,
    refuse_from=0.62,
    alone_from=1.05,
    answer_from=0.40,
    sure=0.76,
    yes_from=0.45,
)
PLAIN, PLAIN_LEAD = 0.55, 0.10  # a lexical score and lead from which the encoder changes nothing
MEANT_LENGTH = 40  # characters given to the encoder, the last ones: its time grows with the length
MEANT_ZERO = 0.78  # the cosine at which two questions have nothing in common
TOP_FORMS = (0.60, 0.25, 0.15)  # an entry's three nearest forms speak for it
OTHER_SLOT, EXTRA_SLOT = 0.72, 0.86  # a form that asks for another value; for a value where none is asked
VOTERS, LOUDNESS, MAJORITY = 12, 6, 0.68
OTHERWISE, SUFFICES, UNRELATED = 0.40, 0.50, 0.05  # how much a form of another force says, see `bearing`
STRANGE = 0.50  # from this share of foreign words a question is about something else, no ground for 可以
OPPOSED = 0.80  # the nearest form is the reverse of the question (收费 against 免费)

_GIVES = {
    "ratio": re.compile(r"\d%|1/3|百分之|高于全国平均|持平"),
    "money": re.compile(r"\d(?:万|亿)?元"),
    "date": re.compile(r"\d{1,2}月(?:\d{1,2}日|底|中旬|初)|上半年|年底|当年|季度|不做统一要求"),
    "duration": re.compile(r"\d+天"),
    "frequency": re.compile(r"定期"),
    "consequence": re.compile(r"取消|收回|自动放弃|不得验收|督促其整改|责任"),
    "phone": re.compile(r"\d{6,}|zhxcfwyy"),
    "count": re.compile(r"\d+-?\d*个|一名|\d+名|\d+家|[二三四五六七八九]项|[两二三四五六七八九]条"),
}


@dataclass(frozen=True, kw_only=True)
class Match:
    """An entry with its score, the nearest form, how near that form alone is (1 is identical), and the scale."""

    entry: Entry
    score: float
    form: Form
    nearness: float
    weights: Weights = LEXICAL

    @property
    def sure(self) -> bool:
        """The nearest form is the same question in other words."""
        return self.nearness >= self.weights.sure


@dataclass(frozen=True, kw_only=True)
class Words:
    """How near the forms' characters and sounds are to each spelling of a question, and how near the entries are."""

    forms: tuple[tuple[Vector, Vector], ...]
    body: Vector


def gives(entry: Entry) -> frozenset[str]:
    """The values an entry's statement and quotations hold, beside those it declares."""
    return entry.gives | holds(entry.statement + "".join(cite.quote for cite in entry.cites))


def holds(text: str) -> frozenset[str]:
    """The kinds of values that a text holds."""
    return frozenset(slot for slot, pattern in _GIVES.items() if pattern.search(text))


def _mask(found: frozenset[str]) -> int:
    return sum(1 << number for number, slot in enumerate(sorted(HARD_SLOTS - {"consequence"})) if slot in found)


def bearing(asked: Leaning, form: Leaning) -> tuple[float, bool]:
    """How much a form's answer says about a question, and whether turned round.

    Within one entry the force decides, nearness hardly: what one must do is seldom what one asks whether one may, so
    an answer about a duty says nothing about a permission; forms of one force agree in nine of ten pairs.
    """
    turned = asked.turned != form.turned
    if asked.force == form.force:
        return 1.0, turned
    forces = {asked.force, form.force}
    return OTHERWISE if "is" in forces else SUFFICES if forces == {"may", "enough"} else UNRELATED, turned


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
        self.sides = [wording.sides(text) for text in self.official]
        self.masks = np.array([_mask(slots(text)) for text in plain], dtype=np.int32)
        self.leanings = [leaning(text) for text in plain]
        self.exact = {squeeze(text): number for number, text in enumerate(plain)}
        self.meant = semantic(plain) if semantic else None
        self.written = GramIndex(self.official)
        self.spoken = GramIndex(self.official, sound_grams)
        self.spreads: dict[str, int] = {}
        self.words: tuple[tuple[str, ...], Words] | None = None
        self.recent: tuple[tuple[str, Weights], Vector] | None = None
        self.left_out = np.zeros(len(self.entries), dtype=bool)
        self.texts = [self._body(entry) for entry in self.entries]
        self.bodies = Bm25(self.texts)

    def _body(self, entry: Entry) -> str:
        parts = [entry.title, entry.statement, *(form.text for form in entry.forms), *(c.quote for c in entry.cites)]
        return self.wording.rewrite(normalise(" ".join(parts)))

    def _words(self, question: Question, context: str) -> Words:
        """How near the words of a question are, alike on every scale. What was just matched is not compared again."""
        texts = tuple(f"{context} {text}".strip() for text in dict.fromkeys([question.official, question.repaired]))
        recent = self.words  # read once: other threads look things up as well
        if recent is None or recent[0] != texts:
            forms = tuple((self.written.scores(text), self.spoken.scores(text)) for text in texts)
            body = np.maximum.reduce([self.bodies.scores(text) for text in texts])
            recent = self.words = texts, Words(forms=forms, body=body)
        return recent[1]

    def nearness(self, question: Question, context: str = "", weights: Weights = LEXICAL) -> Vector:
        """How near each form is to the question, or to the question with the one before it."""
        near = np.zeros(len(self.forms), dtype=np.float32)
        for written, spoken in self._words(question, context).forms:
            near = np.maximum(near, weights.written * written + weights.spoken * spoken)
        if weights.meant and self.meant is not None:
            cosine = self.meant.scores(f"{context} {question.text}".strip()[-MEANT_LENGTH:])
            near += weights.meant * np.clip((cosine - MEANT_ZERO) / (1 - MEANT_ZERO), 0, 1)
        return near

    def _nearness_again(self, question: Question, weights: Weights) -> Vector:
        """The nearness of a question alone; ranking, verdict and a list of answers ask for it, once an entry."""
        key = (question.text, weights)
        recent = self.recent  # read once, as above
        if recent is None or recent[0] != key:
            recent = self.recent = key, self.nearness(question, weights=weights)
        return recent[1]

    def match(self, question: Question, context: str = "", *, thorough: bool = False) -> list[Match]:
        """The best entries, best first. `context` is the question before, for one that cannot stand alone.

        Where words alone leave no doubt the encoder is not asked, half of all questions at no loss, unless `thorough`.
        """
        found = self._ranked(question, context, LEXICAL)
        plain = found[0].score >= PLAIN and found[0].score - found[1].score >= PLAIN_LEAD
        if self.meant is None or (plain and not thorough):
            return found
        return self._ranked(question, context, SEMANTIC)

    def _ranked(self, question: Question, context: str, weights: Weights) -> list[Match]:
        near = self.nearness(question, context, weights) if context else self._nearness_again(question, weights)
        weighted = near * self._slot_factors(question)
        exact = None if context else self.exact.get(squeeze(question.text))
        if exact is not None:
            near = near.copy()
            near[exact], weighted[exact] = 1.0, 1.6
        body = self._words(question, context).body
        total = np.where(self.left_out, -1, self._per_entry(weighted) + weights.body * body)
        sides = self.wording.sides(question.official)
        found = [self._match(sides, hit, weighted, near, weights) for hit in best(total, CONSIDERED)]
        return sorted(found, key=lambda match: -match.score)

    def among(self, entries: Collection[Entry]) -> "Matcher":
        """The same indexes with only these entries to be found."""
        fewer, kept = copy(self), {entry.id for entry in entries}
        fewer.left_out = np.array([entry.id not in kept for entry in self.entries])
        return fewer

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
        total = np.zeros(len(self.entries), dtype=np.float32)
        rest = weighted
        for share in TOP_FORMS:
            top = np.maximum.reduceat(rest, self.starts[:-1])
            total += share * np.maximum(top, 0)
            rest = np.where(rest == top[self.owner], -1, rest)
        return total

    def _match(self, sides: Sides, hit: Hit, weighted: Vector, near: Vector, weights: Weights) -> Match:
        first = self.starts[hit.place]
        own = weighted[first : self.starts[hit.place + 1]]
        ranked = (first + np.argsort(-own, kind="stable")[:4]).tolist()
        straight = [n for n in ranked if not swapped(sides, self.sides[n])]
        nearest = next((n for n in straight if weighted[n] > 0.8 * weighted[ranked[0]]), None)
        number = ranked[0] if nearest is None else nearest
        return Match(
            entry=self.entries[hit.place],
            score=hit.score * (OPPOSED if nearest is None else 1.0),
            form=self.forms[number],
            nearness=float(near[number]),
            weights=weights,
        )

    def verdict(self, question: Question, match: Match) -> Verdict:
        """The answer to a yes/no question as asked: the entry's yes/no forms vote, each as far as it bears on it.

        Forms answered "conditional" speak when one of them is nearest of all, else those of yes and no decide alone.
        Without a clear majority the answer is "info": the statement stands alone.
        """
        weights = SEMANTIC if self.meant is not None else match.weights
        near = self._nearness_again(question, weights)
        place, sides = self.place[match.entry.id], self.wording.sides(question.official)
        votes: list[tuple[float, Verdict]] = []
        bears = False  # a form of the question's own force has a say; that something is so is no ground for 可以
        for n in range(self.starts[place], self.starts[place + 1]):
            verdict = self.forms[n].verdict
            if verdict == "info" or swapped(sides, self.sides[n]):
                continue
            weight, turned = bearing(question.leaning, self.leanings[n])
            bears |= weight >= SUFFICES and float(near[n]) >= weights.yes_from
            votes.append(
                (weight * max(float(near[n]), 0) ** LOUDNESS, _FLIP.get(verdict, verdict) if turned else verdict)
            )
        plain = max((weight for weight, verdict in votes if verdict != "conditional"), default=0.0)
        depends = max((weight for weight, verdict in votes if verdict == "conditional"), default=0.0)
        tally: defaultdict[Verdict, float] = defaultdict(float)
        for weight, verdict in sorted(votes, key=lambda vote: -vote[0])[:VOTERS]:
            if verdict != "conditional" or depends >= plain:
                tally[verdict] += weight
        if not tally:
            return "info"
        winner = max(tally, key=lambda verdict: tally[verdict])
        if winner == "yes" and (plain < weights.yes_from**LOUDNESS or not bears or INFERS.search(question.text)):
            return "info"
        permits = winner == "yes" and question.leaning.force in ("may", "enough") and not question.leaning.turned
        if permits and self.foreign(question, match.entry) >= STRANGE:
            return "info"
        return winner if tally[winner] >= MAJORITY * sum(tally.values()) else "info"

    def foreign(self, question: Question, entry: Entry) -> float:
        """The share of a question's words, by rarity, that belong to other entries and never occur in this one.

        Words that no entry knows say nothing: they are everyday language.
        """
        body = self.texts[self.place[entry.id]]
        words = {word for word in rjieba.cut(question.official) if len(word) > 1 and word not in _ASKING}
        weights = {word: math.log(1 + len(self.texts) / (1 + self._spread(word))) for word in words}
        strange = (weights[word] for word in words if word not in body and self._spread(word))
        return sum(strange) / (sum(weights.values()) or 1.0)

    def _spread(self, word: str) -> int:
        """In how many entries a word occurs: only those with its first two characters side by side can hold it."""
        if word not in self.spreads:
            whole = _CHARACTERS.fullmatch(word)
            among = self.bodies.postings.holding(word[:2]) if whole else range(len(self.texts))
            self.spreads[word] = sum(word in self.texts[n] for n in among)
        return self.spreads[word]


_CHARACTERS = re.compile(r"[\u3400-\u9fff]{2,}")
_FLIP: dict[Verdict, Verdict] = {"yes": "no", "no": "yes"}
_ASKING = frozenset(
    [
        "什么",
        "怎么",
        "多少",
        "哪些",
        "哪个",
        "可以",
        "能不能",
        "我们",
        "你们",
        "是不是",
        "有没有",
        "要不要",
        "需要",
        "就是",
        "这个",
        "那个",
        "一个",
        "没有",
        "还是",
        "现在",
        "今年",
        "进行",
        "关于",
        "以及",
        "或者",
        "如何",
        "是否",
        "还要",
        "不能",
        "不会",
        "不是",
        "应该",
        "必须",
        "一下",
        "这样",
        "怎样",
        "什么时候",
    ]
)
