"""Questions about what is not in force: on another day, by the name of a notice, or about what once was a rule."""

import re
import unicodedata
from datetime import date

import numpy as np

from knowledge.base import KnowledgeBase
from knowledge.candidates import Asked
from knowledge.model import CLEAR, REPEALED, Answer, Cite, Clause, Notice
from knowledge.text import normalise, sentences
from knowledge.validity import covers

LONGEST_QUOTE = 320  # characters; of a longer clause the first sentence is quoted
_DAY = re.compile(
    r"(?:按照?|依照?|根据|截至)?(\d{4})年(\d{1,2})月(\d{1,2})日(?:当时|那时|时)?(?:有效|施行|执行|适用)?的(?:规定|政策|要求)[，,：:]?"
)


def as_of_day(text: str) -> tuple[date, str] | None:
    """The day whose rules are asked for and the question without it: 按2021年3月1日的规定，什么时候报送; else None."""
    plain = unicodedata.normalize("NFKC", text)
    match = _DAY.search(plain)
    if match is None:
        return None
    try:
        day = date(*map(int, match.groups()))
    except ValueError:
        return None
    return day, plain[: match.start()] + plain[match.end() :]


def answer_by_name(asked: Asked, whole: KnowledgeBase) -> Answer | None:
    """The clause of a named notice that is out of force, with what took its place; None when none is asked about."""
    if asked.kb is whole:
        return None
    for notice in whole.notices:
        if (rest := _after_name(notice, asked.question.raw)) is None:
            continue
        clause = _named_clause(notice, rest) or _nearest(whole, notice, asked.question.text)
        if clause is not None and not whole.spans[notice.id, clause.label].holds(asked.on):
            return out_of_force(asked, whole, clause)
    return None


def once_in_force(asked: Asked, whole: KnowledgeBase, found: Answer) -> Answer | None:
    """What took the place of the clauses that an answer of all times rests on; None when they are in force."""
    for cited in found.citations if found.kind == "answer" else ():
        if whole.spans[cited.notice_id, cited.clause].is_over(asked.on):
            return out_of_force(asked, whole, whole.clauses[cited.notice_id, cited.clause])
    return None


def out_of_force(asked: Asked, whole: KnowledgeBase, clause: Clause) -> Answer:
    """Show a clause that is not in force, marked, with the clause that took its place."""
    span = whole.spans[clause.notice_id, clause.label]
    over, since = span.is_over(asked.on), span.until if span.is_over(asked.on) else span.since
    assert since is not None
    by = _successor(whole, clause, asked.on) if over else None
    values = {
        "clause": whole.source(clause.notice_id, clause.label),
        "on": f"{since.year}年{since.month}月{since.day}日",
    }
    phrase = "not_yet_clause" if not over else "repealed_for" if by else "repealed_clause"
    cites = [_quoted(whole, clause.notice_id, clause.label), *([_quoted(whole, *by)] if by and by[1] else [])]
    return asked.reply(
        status=REPEALED if over else CLEAR,
        verdict="info",
        statement=asked.say(phrase, by=whole.source(*by) if by else "", **values),
        citations=tuple(whole.citation(cite, asked.on) for cite in cites),
        score=1.0,
        route=f"{'repealed' if over else 'not-yet'}:{clause.id}",
    )


def _after_name(notice: Notice, text: str) -> str | None:
    """What follows a notice's name in a question, else None; the longest name counts."""
    plain = _plain(text)
    names = (_plain(name) for name in (notice.number or "", notice.title, *notice.aliases, notice.id) if name)
    places = [(len(name), at + len(name)) for name in names if (at := plain.find(name)) >= 0]
    return plain[max(places)[1] :] if places else None


def _plain(text: str) -> str:
    return re.sub(r"[\s《》]", "", unicodedata.normalize("NFKC", text).replace("[", "〔").replace("]", "〕"))


def _named_clause(notice: Notice, rest: str) -> Clause | None:
    """The clause that is named by its label, the longest: 三(一) anywhere, a bare 三 only right after the name."""
    rest = re.sub(r"第([一二三四五六七八九十]+)(?:部分|大项|点)|第(?=[(])|(?<=[)\d])项|(?<=条)第(?=[(])", r"\1", rest)
    begins = re.sub(r"^(?:号?文件?|[)》的中里,，])*", "", rest)
    labels = sorted(notice.clauses, key=lambda one: -len(one.label))
    return next(
        (one for one in labels if begins.startswith(one.label) or (len(one.label) > 1 and one.label in rest)), None
    )


def _nearest(whole: KnowledgeBase, notice: Notice, text: str) -> Clause | None:
    names = (name for name in (notice.number or "", notice.title, *notice.aliases) if name)
    for name in sorted(map(normalise, names), key=len, reverse=True):
        text = text.replace(name, "")
    own = np.array([one.notice_id == notice.id for one in whole.clause_list])
    scores = np.where(own, whole.clause_index.scores(text), -1.0)
    return whole.clause_list[int(np.argmax(scores))] if own.any() else None


def _successor(whole: KnowledgeBase, clause: Clause, on: date) -> tuple[str, str] | None:
    """The notice and label that took a clause's place, and their place in turn, as of a day."""
    by, seen = whole.spans[clause.notice_id, clause.label].by, set[tuple[str, str]]()
    while by is not None and by not in seen and (span := whole.spans.get(by)) and span.is_over(on) and span.by:
        seen.add(by)
        by = span.by
    return by


def _quoted(whole: KnowledgeBase, notice_id: str, label: str) -> Cite:
    """A clause with its words; of a bare heading the first clause under it."""
    clause = whole.clauses[notice_id, label]
    if not clause.text:
        under = (one for (of, other), one in whole.clauses.items() if of == notice_id and covers(label, other))
        clause = next((one for one in under if one.text), clause)
    quote = clause.text or clause.heading
    if len(quote) > LONGEST_QUOTE:
        quote = sentences(quote)[0]
    return Cite(notice=notice_id, clause=clause.label, quote=quote)
