"""Question → Answer: candidates from rules, expenses and entries; then answer, clarify or abstain.

Nothing here writes a conclusion: statements come from curated files, numbers from rules, words in quotation marks
from clauses.
"""

import re
from dataclasses import replace
from datetime import date

from knowledge.base import KnowledgeBase, remembered
from knowledge.candidates import Asked, Before, best_match, confidence, holder, ranked, rival_of, twin_of
from knowledge.judging import judge_both_rates, judge_expense, judge_rule, judge_unlisted
from knowledge.matching import Match, gives
from knowledge.model import NOT_WRITTEN, OUTSIDE, Answer, Citation, Cite, Entry, Facts, Related, Verdict
from knowledge.past import answer_by_name, as_of_day, once_in_force
from knowledge.question import HARD_SLOTS, Question, is_yes_no, small_talk, wants_a_value
from knowledge.rules import Rule
from knowledge.search import best
from knowledge.uncurated import answer_from_clauses

SHORT_CLAUSE, LONG_CLAUSE = 120, 320  # characters; up to here a clause is quoted whole, always or when less sure
SHORTEST_PART = 4  # characters of one of two questions in a message
CONCLUDING_MARGIN = 0.08  # an entry of the same clause this close may speak where the best one cannot conclude
CLAUSE_FROM = 0.30  # a clause this near is shown with a refusal
__all__ = ["Before", "answer", "answer_entry", "apply_rule"]


def answer(
    kb: KnowledgeBase, text: str, *, facts: Facts | None = None, on: date, before: Before | None = None
) -> Answer:
    """Answer one question as of `on`, with facts known earlier and the turn before for what is left unsaid.

    Answers are remembered: the same question with the same facts on the same day is answered once an edition.
    """
    key = (text, frozenset((facts or {}).items()), on, before)
    found: Answer = remembered(kb.answered, key, lambda: _answer(kb, text, facts or {}, on, before))
    return found


def _answer(kb: KnowledgeBase, text: str, facts: Facts, on: date, before: Before | None) -> Answer:
    if (dated := as_of_day(text)) is not None:
        return replace(_answer(kb, dated[1], facts, dated[0], before), question=text)
    question = kb.understand(text, on.year)
    if before and before.yes_no and re.search(r"呢[？?]?$", question.text):
        question = replace(question, yes_no=True)
    if question.wordless or small_talk(text):
        return Answer(
            kind="chat", question=text, as_of=on, edition=kb.edition, route="chat", modal=small_talk(text) or "empty"
        )
    if (both := _two_questions(kb, question, facts, on, before)) is not None:
        return both
    asked = Asked(kb=kb.as_of(on), question=question, remembered=facts, on=on, before=before)
    found = answer_by_name(asked, kb) or _decide(asked)
    if found.route == "unknown" and asked.kb is not kb:
        found = once_in_force(asked, kb, _decide(replace(asked, kb=kb))) or found
    return replace(found, notes=(*found.notes, *_standing(kb, found)))


_UNWRITTEN = re.compile(r"未写|没有写|未规定|未单列|未列")  # a statement that says itself what its clause does not
_BREAK = re.compile(r"[？?；;]|[，,]\s*(?=(?:还有|另外|再就是|再问|顺便|同时)[^，,]{3,})")


def _two_questions(
    kb: KnowledgeBase, question: Question, facts: Facts, on: date, before: Before | None
) -> Answer | None:
    """Both answers to a message that asks two things, the second as a follow-up of the first; None for other messages."""
    parts = [part.strip("，, 。") for part in _BREAK.split(question.text)]
    parts = [part for part in parts if len(part) >= SHORTEST_PART and (wants_a_value(part) or is_yes_no(part))]
    if len(parts) != 2:
        return None
    first = _answer(kb, parts[0], facts, on, before)
    if first.kind != "answer":
        return None
    said = kb.understand(parts[0], on.year)
    clauses = tuple((citation.notice_id, citation.clause) for citation in first.citations)
    leaning_on = Before(question=said.official, route=first.route, yes_no=said.yes_no, clauses=clauses)
    second = _answer(kb, parts[1], {**facts, **first.facts}, on, leaning_on)
    if second.kind not in ("answer", "abstain") or second.statement == first.statement:
        return replace(first, question=question.raw)
    citation = second.citations[0] if second.citations else None
    notes = tuple(dict.fromkeys((*first.notes, *second.notes)))
    related = Related(statement=second.statement.split("\n")[0], citation=citation, second=True)
    return replace(first, question=question.raw, related=related, notes=notes)


def answer_entry(kb: KnowledgeBase, match: Match, question: Question, on: date) -> Answer:
    """The answer that one entry gives to a question, for lists of candidates."""
    asked = Asked(kb=kb.as_of(on), question=question, remembered={}, on=on, before=None)
    entry = match.entry
    found = _absence(asked, entry, match.score) if entry.absent else _entry(asked, match)
    return replace(found, notes=(*found.notes, *_standing(kb, found)))


def apply_rule(kb: KnowledgeBase, rule: Rule, facts: Facts, *, on: date, question: Question) -> Answer:
    """What a rule says to stated facts, for a form that has asked them one by one."""
    asked = Asked(kb=kb.as_of(on), question=replace(question, yes_no=True), remembered=facts, on=on, before=None)
    entry = kb.by_id[rule.entries[0]]
    match = Match(entry=entry, score=1.0, form=entry.forms[0], nearness=1.0)
    found = judge_rule(asked, rule, match) or _entry(asked, match)
    found = once_in_force(asked, kb, found) or found
    return replace(found, notes=(*found.notes, *_standing(kb, found)))


def _decide(asked: Asked) -> Answer:
    matches = ranked(asked)
    top = best_match(asked, matches)
    weights = top.weights
    if (both := judge_both_rates(asked, top)) is not None:
        return both
    if (judged := judge_expense(asked, top) or judge_unlisted(asked, top)) is not None:
        return judged
    if (top.entry.absent or not top.sure) and (quoted := answer_from_clauses(asked)) is not None:
        return quoted
    if top.entry.absent:
        return _absence(asked, top.entry, top.score) if top.score >= weights.refuse_from else _unknown(asked, top)
    rule = asked.kb.rule_of.get(top.entry.id)
    ruled = judge_rule(asked, rule, top) if rule else None
    told = rule is not None and bool(set(asked.question.facts) & {*rule.facts, "rate"})
    if confidence(asked, top, matches) < weights.answer_from and not (
        told and ruled and top.score >= weights.refuse_from
    ):
        return _unknown(asked, top)
    if ruled is not None:
        return ruled
    hard = asked.question.slots & HARD_SLOTS
    unwritten = not top.sure or bool(_UNWRITTEN.search(top.entry.statement))
    if hard and hard == asked.question.slots and not hard & gives(top.entry) and unwritten:
        other = holder(matches, top, hard)
        return _entry(asked, other) if other else _near_miss(asked, top, sorted(hard)[0])
    top = _concluding(asked, matches, top)
    found = _entry(asked, top, twin := twin_of(matches, top))
    rival = None if twin else rival_of(matches, top)
    return replace(found, related=_related(asked, rival)) if rival else found


def _standing(kb: KnowledgeBase, found: Answer) -> tuple[str, ...]:
    """Lines on the standing of the texts that are quoted."""
    unverified = [citation for citation in found.citations if citation.text_status == "unverified"]
    numbered = "unchecked" if all(citation.number for citation in unverified) else "unverified"
    return (kb.phrases[numbered],) if unverified else ()


# --- entries -----------------------------------------------------------------------------------------------------


def _verdict(asked: Asked, match: Match) -> Verdict:
    if asked.question.yes_no or (match.form.verdict != "info" and match.sure):
        return asked.kb.matcher.verdict(asked.question, match)
    return "info"


def _concluding(asked: Asked, matches: list[Match], top: Match) -> Match:
    """The best entry, or for a yes/no question that stands alone one of the same clause about as near that can say yes or no."""
    if asked.before or not asked.question.yes_no or top.form.verdict != "info" or _verdict(asked, top) != "info":
        return top
    own = {(cite.notice, cite.clause) for cite in top.entry.cites}
    for match in matches:
        near = match.score > top.score - CONCLUDING_MARGIN and match.form.verdict != "info"
        if near and own & {(c.notice, c.clause) for c in match.entry.cites} and _verdict(asked, match) != "info":
            return match
    return top


def _quoted(asked: Asked, match: Match) -> tuple[Cite, ...]:
    """An entry's citations; the main clause whole when it is short, or when the match is less sure."""
    cites = match.entry.cites
    if not 1 <= len(cites) <= 2:
        return cites  # an overview quotes each of its clauses as curated
    text = asked.kb.clauses[cites[0].notice, cites[0].clause].text
    unsure = not match.sure
    if "\t" in text or len(text) > (LONG_CLAUSE if unsure else SHORT_CLAUSE):
        return cites
    return (replace(cites[0], quote=text), *cites[1:])


def _entry(asked: Asked, match: Match, twin: Entry | None = None) -> Answer:
    """The answer of an entry; with its twin when the question does not say which of the two is meant."""
    entry = match.entry
    statement, cites, verdict = entry.statement, _quoted(asked, match), _verdict(asked, match)
    if twin is not None:
        statement, cites = f"{statement}\n{twin.statement}", (*entry.cites, *twin.cites)
        verdict = verdict if _verdict(asked, replace(match, entry=twin)) == verdict else "info"
    return asked.reply(
        status=entry.status,
        verdict=verdict,
        statement=statement,
        citations=asked.cited(cites),
        binds=entry.binds,
        sums=(entry.derive,) if entry.derive else (),
        notes=asked.passed(entry.deadline if twin is None else None),
        score=match.score,
        route=entry.id,
    )


def _related(asked: Asked, rival: Match) -> Related:
    """A near fact of another clause, for a question that may mean it as well."""
    return Related(statement=rival.entry.statement, citation=asked.cited(rival.entry.cites[:1])[0])


def _absence(asked: Asked, entry: Entry, score: float) -> Answer:
    return asked.reply(
        kind="abstain",
        status=entry.status,
        statement=entry.statement,
        citations=asked.cited(tuple(cite for cite in entry.cites if asked.kb.are_in_force([cite], asked.on))),
        onward=asked.cited((entry.onward,))[0] if entry.onward else None,
        ask_whom=entry.ask_whom,
        score=score,
        route=entry.id,
    )


def _near_miss(asked: Asked, match: Match, slot: str) -> Answer:
    """The topic is in the notices, the asked value is not."""
    said = match.entry.statement
    return asked.reply(
        kind="abstain",
        status=NOT_WRITTEN,
        statement=said if _UNWRITTEN.search(said) else asked.say("near_miss", slot=asked.kb.phrases[f"slot_{slot}"]),
        citations=asked.cited(match.entry.cites[:1]),
        **asked.onward(),
        score=match.score,
        route=f"near-miss:{match.entry.id}",
    )


def _unknown(asked: Asked, match: Match) -> Answer:
    """Nothing curated is near: show the nearest clause if there is one, and say that the texts do not answer."""
    kb = asked.kb
    hits = best(kb.clause_index.scores(asked.question.text) * kb.clauses_in_force, 1)
    near: tuple[Citation, ...] = ()
    if hits and hits[0].score >= CLAUSE_FROM:
        clause = kb.clause_list[hits[0].place]
        near = asked.cited((Cite(notice=clause.notice_id, clause=clause.label, quote=clause.text.split("\n")[0]),))
    return asked.reply(
        kind="abstain",
        status=NOT_WRITTEN if near else OUTSIDE,
        statement=asked.say("unknown"),
        citations=near,
        **(asked.onward() if near else {}),
        score=match.score,
        route="unknown",
    )
