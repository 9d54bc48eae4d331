"""Everyday words → official words, and repair of homophones and input-method slips."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from knowledge.files import Problems, read_yaml, strings
from knowledge.text import normalise, pinyin

_CHINESE = re.compile(r"[\u3400-\u9fff]+")
Sides = tuple[int, int]  # two sets of antonyms, a bit each


def _alternation(words: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(set(words), key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


@dataclass(frozen=True, kw_only=True)
class Wording:
    """The word lists of synonyms.yaml, compiled.

    `topics` are the official words of the field; `expected` are the regressions: question → official word.
    """

    official: dict[str, str] = field(default_factory=dict)
    topics: frozenset[str] = frozenset()
    confusions: dict[str, str] = field(default_factory=dict)
    antonyms: tuple[tuple[str, str], ...] = ()
    expected: tuple[tuple[str, str], ...] = ()
    rewriting: re.Pattern[str] = re.compile(r"(?!)")
    confusing: re.Pattern[str] = re.compile(r"(?!)")

    def rewrite(self, text: str) -> str:
        """Replace everyday words by official ones in one pass, longest first, so that no two rewrites chain."""
        text = self.confusing.sub(lambda match: self.confusions[match.group()], text)
        return self.rewriting.sub(lambda match: self.official[match.group()], text)

    def named(self, text: str) -> int:
        """How many official words of the field a rewritten text names."""
        return sum(topic in text for topic in self.topics)

    def explain(self, text: str) -> str:
        """Which everyday words were read as which official ones: 买流量 → 购买流量."""
        pairs = {match.group(): self.official[match.group()] for match in self.rewriting.finditer(text)}
        return "，".join(f"{word} → {official}" for word, official in pairs.items() if word != official)

    def sides(self, text: str) -> Sides:
        """The antonyms of which a text has only the one word, and those of which it has only the other."""
        one = other = 0
        for number, (a, b) in enumerate(self.antonyms):
            has_a, has_b = a in text.replace(b, "") if a in b else a in text, b in text  # 非贫困县 is no 贫困县
            if has_a != has_b:
                one, other = one | has_a << number, other | has_b << number
        return one, other

    def opposed(self, one: str, other: str) -> bool:
        """True when the texts differ by swapping an antonym, which turns an answer round."""
        return swapped(self.sides(one), self.sides(other))


def swapped(one: Sides, other: Sides) -> bool:
    """True when one text has only the one word of an antonym and the other only the other."""
    return bool(one[0] & other[1] | one[1] & other[0])


def load_wording(path: Path, problems: Problems) -> Wording:
    """Read synonyms.yaml and check it: no word with two meanings, every regression holds."""
    raw = read_yaml(path, problems) if path.exists() else {}
    if not isinstance(raw, dict):
        problems.add(path.name, "全文", "应分为 terms、ask、antonyms、confusions、regressions 几部分。")
        return Wording()
    official: dict[str, str] = {}
    for part in ("terms", "ask"):
        for word, everyday in (raw.get(part) or {}).items():
            official[word] = word
            for one in map(normalise, strings(everyday, path.name, word, problems)):
                if official.get(one, word) != word and official[one] != one:
                    problems.add(path.name, one, f"同时归入“{official[one]}”和“{word}”，请只留一处。")
                official.setdefault(one, word)
    confusions = {str(wrong): str(right) for wrong, right in (raw.get("confusions") or {}).items()}
    wording = Wording(
        official=official,
        topics=frozenset(raw.get("terms") or {}),
        confusions=confusions,
        antonyms=tuple((pair[0], pair[1]) for pair in raw.get("antonyms") or [] if len(pair) == 2),
        expected=tuple((line["q"], line["has"]) for line in raw.get("regressions") or []),
        rewriting=_alternation(official),
        confusing=_alternation(confusions),
    )
    for question, word in wording.expected:
        if word not in wording.rewrite(normalise(question)):
            problems.add(path.name, f"regressions“{question}”", f"换词后没有出现“{word}”。")
    return wording


class Repairer:
    """Finds stretches of a question that sound like a known word but are written otherwise.

    A stretch is left alone when it occurs anywhere in the known texts: 验手 is repaired, 公式 in a text that
    knows 公式 is not. Nor is a stretch that cuts into a known word: 验收已经 holds 验收, so 收已 is not 受益.
    """

    def __init__(self, vocabulary: Iterable[str], corpus: str) -> None:
        self.corpus = corpus
        self.words = {word for word in set(vocabulary) if 2 <= len(word) <= 8 and _CHINESE.fullmatch(word)}
        alike: dict[tuple[str, ...], list[str]] = {}
        for word in self.words:
            alike.setdefault(tuple(pinyin(word)), []).append(word)
        self.by_sound = {  # of words that sound alike, the most frequent one
            sound: words[0] if len(words) == 1 else max(words, key=lambda word: (corpus.count(word), word))
            for sound, words in alike.items()
        }
        self.lengths = sorted({len(sound) for sound in self.by_sound}, reverse=True)

    def repair(self, text: str) -> str:
        """The text with each odd stretch replaced by the word it sounds like; unchanged when nothing is odd."""
        return _CHINESE.sub(lambda match: self._stretch(match.group()), text)

    def _stretch(self, text: str) -> str:
        sounds = pinyin(text)
        if len(sounds) != len(text):
            return text
        done: list[str] = []
        place = 0
        while place < len(text):
            length = next((n for n in self.lengths if self._odd(text, sounds, place, n)), 0)
            done.append(self.by_sound[tuple(sounds[place : place + length])] if length else text[place])
            place += length or 1
        return "".join(done)

    def _odd(self, text: str, sounds: list[str], place: int, length: int) -> bool:
        stretch = text[place : place + length]
        word = self.by_sound.get(tuple(sounds[place : place + length]))
        if not word or len(stretch) < length or word == stretch or stretch in self.corpus:
            return False
        return not (self._known_across(text, place) or self._known_across(text, place + length))

    def _known_across(self, text: str, place: int) -> bool:
        """True when a known word begins before a place in the text and ends after it."""
        return any(
            text[start:end] in self.words
            for start in range(max(0, place - 7), place)
            for end in range(place + 1, min(start + 8, len(text)) + 1)
        )
