"""Question → Answer: candidates from rules, expenses and entries; then answer, clarify or abstain.

Nothing here writes a conclusion: statements come from curated files, numbers from rules, words in quotation marks
from clauses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from knowledge.base import KnowledgeBase
from knowledge.expense import BOTH, FORBIDDEN, Expense, asks_to_do, find_expense, is_about_spending
from knowledge.facts import KINDS, known_for
from knowledge.matching import Match, gives
from knowledge.model import (
    CLEAR,
    MORE_NEEDED,
    NOT_WRITTEN,
    OUTSIDE,
    PRINCIPLE,
    Answer,
    Choice,
    Citation,
    Cite,
    Entry,
    Fact,
    Facts,
    Verdict,
)
from knowledge.question import HARD_SLOTS, Question, leans_on_before, small_talk, wants_a_value
from knowledge.rules import Case, Rule
from knowledge.search import best

RULE_BONUS = 0.10  # for an entry whose rule can use a number that the question states
CLAUSE_BONUS = 0.15  # for a follow-up that stays within the clause of the answer before
ABSENT_MARGIN, FOREIGN_MARGIN = 0.06, 0.05  # a refusal must be so much nearer than an answer that fits as well
LEAD, GAP, FOREIGN, LACKING = 1.9, 3.8, 1.1, 1.1  # weights of the confidence, its score counting 1
NEIGHBOUR = 0.15  # how far behind an entry may be that holds the value asked for
TWIN_MARGIN = 0.12  # twins this close are both shown
STATED_CASES = 3  # up to so many possible cases are all stated
SHORT_CLAUSE, LONG_CLAUSE = 120, 320  # characters; up to here a clause is quoted whole, always or when less sure

SLOT_NAMES = {
    "money": "金额", "ratio": "比例", "count": "数量", "date": "时间", "duration": "期限", "phone": "联系方式",
}  # fmt: skip
UNVERIFIED = "文本未标文号，尚未与印发件核对"
_CENTRAL_ONLY = "仅指中央财政资金"
_FLIP: dict[Verdict, Verdict] = {"yes": "no", "no": "yes"}


@dataclass(frozen=True, kw_only=True)
class Before:
    """The turn before in the same conversation: its question in official words and what answered it."""

    question: str
    route: str
    yes_no: bool = False
    clauses: tuple[tuple[str, str], ...] = ()


def answer(
    kb: KnowledgeBase, text: str, *, facts: Facts | None = None, on: date, before: Before | None = None
) -> Answer:
    """Answer one question as of `on`, with facts known earlier and the turn before for what is left unsaid."""
    question = kb.understand(text, on.year)
    if before and before.yes_no and re.search(r"呢[？?]?$", question.text):
        question = replace(question, yes_no=True)
    if question.wordless or small_talk(text):
        return Answer(
            kind="chat", question=text, as_of=on, edition=kb.edition, route="chat", modal=small_talk(text) or "empty"
        )
    found = _decide(_Asked(kb=kb, question=question, remembered=facts or {}, on=on, before=before))
    return replace(found, notes=(*found.notes, *_standing(found.citations)))


def answer_entry(kb: KnowledgeBase, match: Match, question: Question, on: date) -> Answer:
    """The answer that one entry gives to a question, for lists of candidates."""
    asked = _Asked(kb=kb, question=question, remembered={}, on=on, before=None)
    entry = match.entry
    found = _absence(asked, entry, match.score) if entry.absent else _entry(asked, match)
    return replace(found, notes=(*found.notes, *_standing(found.citations)))


def apply_rule(kb: KnowledgeBase, rule: Rule, facts: Facts, *, on: date, question: Question) -> Answer:
    """What a rule says to stated facts, for a form that has asked them one by one."""
    asked = _Asked(kb=kb, question=replace(question, yes_no=True), remembered=facts, on=on, before=None)
    entry = kb.by_id[rule.entries[0]]
    match = Match(entry=entry, score=1.0, form=entry.forms[0], nearness=1.0)
    found = _rule(asked, rule, match) or _entry(asked, match)
    return replace(found, notes=(*found.notes, *_standing(found.citations)))


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One question with all it is answered from."""

    kb: KnowledgeBase
    question: Question
    remembered: Facts
    on: date
    before: Before | None

    def reply(self, **parts: object) -> Answer:
        blank = Answer(
            kind="answer",
            question=self.question.raw,
            modal=_modal(self.question),
            as_of=self.on,
            edition=self.kb.edition,
        )
        return replace(blank, **parts)  # type: ignore[arg-type]  # the parts are fields of Answer, checked by replace

    def cited(self, cites: tuple[Cite, ...]) -> tuple[Citation, ...]:
        return tuple(map(self.kb.citation, cites))


def _modal(question: Question) -> str:
    return "denied" if question.denied else question.modal


def _decide(asked: _Asked) -> Answer:
    weights = asked.kb.matcher.weights
    matches = _matches(asked)
    top = _best(asked, matches)
    if (both := _both_rates(asked)) is not None:
        return both
    if (judged := _expense(asked, top)) is not None:
        return judged
    if top.entry.absent:
        return _absence(asked, top.entry, top.score) if top.score >= weights.refuse_from else _unknown(asked, top)
    if _confidence(asked, top, matches) < weights.answer_from:
        return _unknown(asked, top)
    if (rule := asked.kb.rule_of.get(top.entry.id)) and (ruled := _rule(asked, rule, top)) is not None:
        return ruled
    hard = asked.question.slots & HARD_SLOTS
    if hard and hard == asked.question.slots and not hard & gives(top.entry) and top.nearness < weights.sure:
        holder = _holder(matches, top, hard)
        return _entry(asked, holder) if holder else _near_miss(asked, top, sorted(hard)[0])
    return _entry(asked, top, _twin(matches, top))


def _twin(matches: list[Match], top: Match) -> Entry | None:
    """The entry easily confused with the best one, when it is about as near to the question."""
    return next((m.entry for m in matches if m.entry.id == top.entry.twin and m.score > top.score - TWIN_MARGIN), None)


def _matches(asked: _Asked) -> list[Match]:
    """Candidates for the question alone and, when it leans on the one before, for both together."""
    kb, question, before = asked.kb, asked.question, asked.before
    alone = kb.matcher.match(question)
    if before is None:
        return alone
    if (rule := kb.rules.get(before.route.removeprefix("rule:"))) and set(question.facts) & {*rule.facts, "rate"}:
        again = kb.by_id[rule.entries[0]]
        return [Match(entry=again, score=2.0, form=again.forms[0], nearness=0.5), *alone]
    if not leans_on_before(question.text, alone[0].nearness >= kb.matcher.weights.sure):
        return alone
    return _blended(asked, before, alone, kb.matcher.match(question, before.question))


def _blended(asked: _Asked, before: Before, alone: list[Match], together: list[Match]) -> list[Match]:
    """Half the question's own score, half that of both questions, and a bonus for staying in the clause."""
    floors = alone[-1].score, together[-1].score
    own = {match.entry.id: match for match in alone}
    both = {match.entry.id: match for match in together}
    blended: list[Match] = []
    for name in {**own, **both}:
        match = own.get(name) or both[name]
        score = (
            sum(side[name].score if name in side else floor for side, floor in zip((own, both), floors, strict=True))
            / 2
        )
        clauses = {(cite.notice, cite.clause) for cite in match.entry.cites}
        if clauses & set(before.clauses) and not match.entry.absent:
            score += CLAUSE_BONUS
        if name == before.route:
            score -= CLAUSE_BONUS
        blended.append(replace(match, score=score))
    return sorted(blended, key=lambda match: -match.score)


def _confidence(asked: _Asked, top: Match, matches: list[Match]) -> float:
    """How sure an answer is, fitted by logistic regression (benchmarks/README.md).

    Its score, its lead over the nearest refusal and over the next fact of another clause, less the words that belong
    to other facts and a value asked for that it does not hold.
    """
    own = {(cite.notice, cite.clause) for cite in top.entry.cites}
    refusal = max((match.score for match in matches if match.entry.absent), default=0.0)
    others = (
        m.score for m in matches if not m.entry.absent and not own & {(c.notice, c.clause) for c in m.entry.cites}
    )
    hard = asked.question.slots & HARD_SLOTS
    lacking = bool(hard) and not hard & gives(top.entry)
    foreign = 0.0 if asked.before else asked.kb.matcher.foreign(asked.question, top.entry)
    lead, gap = top.score - refusal, top.score - max(others, default=0.0)
    return top.score + LEAD * lead + GAP * gap - FOREIGN * foreign - LACKING * lacking


_TELLING = {"rate", "disbursement_rate", "use_rate", "pre_allocated", "poverty_applied", "delivery_days"}


def _best(asked: _Asked, matches: list[Match]) -> Match:
    """The match to act on: what a rule can decide with the numbers given comes first, a refusal only when ahead."""
    question, kb = asked.question, asked.kb
    told = set(question.facts) & _TELLING
    if "rate" in told:
        told |= {"disbursement_rate", "use_rate"}
    lifted = [
        replace(match, score=match.score + RULE_BONUS)
        if (rule := kb.rule_of.get(match.entry.id)) and told & set(rule.facts)
        else match
        for match in matches
    ]
    lifted.sort(key=lambda match: -match.score)
    top = lifted[0]
    if top.entry.absent:
        rival = next((match for match in lifted if not match.entry.absent), None)
        hard = question.slots & HARD_SLOTS
        if rival and rival.score > top.score - ABSENT_MARGIN and (not hard or hard & gives(rival.entry)):
            matcher = kb.matcher
            fits = matcher.foreign(question, rival.entry) <= matcher.foreign(question, top.entry) + FOREIGN_MARGIN
            return rival if fits else top
    return top


def _holder(matches: list[Match], top: Match, hard: frozenset[str]) -> Match | None:
    """A close runner-up that holds the value asked for."""
    return next(
        (
            match
            for match in matches
            if hard & gives(match.entry) and not match.entry.absent and match.score > top.score - NEIGHBOUR
        ),
        None,
    )


def _standing(citations: tuple[Citation, ...]) -> tuple[str, ...]:
    unverified = any(citation.text_status == "unverified" for citation in citations)
    repealed = any(citation.validity == "已废止" for citation in citations)
    return ((UNVERIFIED,) if unverified else ()) + (("所引文件已废止",) if repealed else ())


def _passed(on: date, deadline: date | None) -> tuple[str, ...]:
    if deadline is None or on <= deadline:
        return ()
    return (f"时限已过（{deadline.year}年{deadline.month}月{deadline.day}日）",)


# --- entries -----------------------------------------------------------------------------------------------------


def _verdict(asked: _Asked, match: Match) -> Verdict:
    if asked.question.yes_no or (match.form.verdict != "info" and match.nearness > asked.kb.matcher.weights.sure):
        return asked.kb.matcher.verdict(asked.question, match.entry)
    return "info"


def _quoted(asked: _Asked, match: Match) -> tuple[Cite, ...]:
    """An entry's citations; the main clause whole when it is short, or when the match is less sure."""
    cites = match.entry.cites
    if not cites:
        return ()
    text = asked.kb.clauses[cites[0].notice, cites[0].clause].text
    unsure = match.nearness < asked.kb.matcher.weights.sure
    if "\t" in text or len(text) > (LONG_CLAUSE if unsure else SHORT_CLAUSE):
        return cites
    return (replace(cites[0], quote=text), *cites[1:])


def _entry(asked: _Asked, match: Match, twin: Entry | None = None) -> Answer:
    """The answer of an entry; with its twin when the question does not say which of the two is meant."""
    entry = match.entry
    statement, cites = entry.statement, _quoted(asked, match)
    if twin is not None:
        statement, cites = f"{statement}\n{twin.statement}", (*entry.cites, *twin.cites)
    return asked.reply(
        status=entry.status,
        verdict=_verdict(asked, match) if twin is None else "info",
        statement=statement,
        citations=asked.cited(cites),
        binds=entry.binds,
        sums=(entry.derive,) if entry.derive else (),
        notes=_passed(asked.on, entry.deadline if twin is None else None),
        score=match.score,
        route=entry.id,
    )


def _absence(asked: _Asked, entry: Entry, score: float) -> Answer:
    return asked.reply(
        kind="abstain",
        status=entry.status,
        statement=entry.statement,
        citations=asked.cited(entry.cites),
        onward=asked.kb.citation(entry.onward) if entry.onward else None,
        ask_whom=entry.ask_whom,
        score=score,
        route=entry.id,
    )


def _near_miss(asked: _Asked, match: Match, slot: str) -> Answer:
    """The topic is in the notices, the asked value is not."""
    return asked.reply(
        kind="abstain",
        status=NOT_WRITTEN,
        statement=f"所收文件没有写明您问的{SLOT_NAMES[slot]}。",
        citations=asked.cited(match.entry.cites[:1]),
        score=match.score,
        route=f"near-miss:{match.entry.id}",
    )


def _unknown(asked: _Asked, match: Match) -> Answer:
    """Nothing curated is near: show the nearest clause if there is one, and say that the texts do not answer."""
    kb = asked.kb
    hits = best(kb.clause_index.scores(asked.question.text), 1)
    near: tuple[Citation, ...] = ()
    if hits and hits[0].score >= 0.30:
        clause = kb.clause_list[hits[0].place]
        near = asked.cited((Cite(notice=clause.notice_id, clause=clause.label, quote=clause.text.split("\n")[0]),))
    return asked.reply(
        kind="abstain",
        status=NOT_WRITTEN if near else OUTSIDE,
        statement="所收文件中没有找到对这个问题的规定。",
        citations=near,
        score=match.score,
        route="unknown",
    )


# --- expenses ----------------------------------------------------------------------------------------------------


def _expense(asked: _Asked, top: Match) -> Answer | None:
    """Judge an expense when the question is about spending and names one; else None."""
    question, before = asked.question, asked.before
    if question.slots & HARD_SLOTS or top.nearness >= asked.kb.matcher.weights.sure:
        return None
    found = find_expense(asked.kb.expenses, question.text) or find_expense(asked.kb.expenses, question.repaired)
    if found is None:
        return None
    continued = before is not None and before.route.startswith("rule:expense") and leans_on_before(question.text, False)
    doing = asks_to_do(question.text) and found[0].outcome == FORBIDDEN
    return _judged(asked, found[0]) if continued or doing or is_about_spending(question.text) else None


def _judged(asked: _Asked, row: Expense) -> Answer:
    verdicts: dict[str, Verdict] = {FORBIDDEN: "no", BOTH: "conditional"}
    verdict = verdicts.get(row.outcome, "yes")
    verdict = _FLIP.get(verdict, verdict) if asked.question.denied else verdict
    return asked.reply(
        status=PRINCIPLE if row.outcome == BOTH else CLEAR,
        verdict=verdict,
        statement=row.statement,
        modal="denied" if asked.question.denied else "support" if asked.question.modal == "support" else "may",
        scope=_CENTRAL_ONLY,
        citations=asked.cited(row.cites),
        score=1.0,
        route=f"rule:expense:{row.id}",
    )


# --- rules -------------------------------------------------------------------------------------------------------


def _rule(asked: _Asked, rule: Rule, match: Match) -> Answer | None:
    """Apply a rule to the known facts; None when nothing is known that the rule could use."""
    question = asked.question
    known = known_for(rule.facts, question.facts, asked.remembered)
    if not known or "money" in question.slots:
        return None
    cases = rule.possible(known)
    if not cases:
        return _uncovered(asked, rule, match, known)
    if len(cases) > STATED_CASES:
        return _clarify(asked, rule, match, known)
    return _stated(asked, rule, match, cases, known)


def _stated(asked: _Asked, rule: Rule, match: Match, cases: list[Case], known: Mapping[str, Fact]) -> Answer | None:
    """State the one case that applies, or the up to three that still can, offering the fact that decides."""
    missing = rule.missing(known)
    usable = [case for case in cases if _fillable(rule, case, known)]
    statements = [case.statement for case in usable]
    sums = [case.sum for case in usable if len(usable) == 1]
    if len(cases) > 1 and rule.outline is not None:
        if any(key not in known for key in rule.outline.needs):
            return None
        statements, sums = [rule.outline.statement], [rule.outline.sum]
    written = cases[0].status != NOT_WRITTEN
    verdict, modal = _rule_verdict(asked.question, rule, cases)
    return asked.reply(
        kind="answer" if written else "abstain",
        modal=modal,
        status=cases[0].status,
        verdict=verdict if written else None,
        statement="\n".join(rule.fill(text, known) for text in statements),
        citations=asked.cited(tuple(dict.fromkeys(cite for case in cases for cite in case.cites))),
        binds=rule.binds,
        sums=tuple(rule.fill(text, known) for text in sums if text),
        notes=_passed(asked.on, cases[0].deadline),
        choices=_offer(missing[0]) if missing else (),
        missing=tuple(missing),
        score=match.score,
        route=f"rule:{rule.id}",
        facts=known,
    )


_NAMES_A_RATE = re.compile(r"验收|申报|再报|拨付|使用|支付|花")


def _both_rates(asked: _Asked) -> Answer | None:
    """A rate that could be either of the two 90 % figures is judged by both rules, side by side."""
    question, kb = asked.question, asked.kb
    rules = [rule for rule in kb.rules.values() if any(KINDS[key].type == "rate" for key in rule.facts)]
    if "rate" not in question.facts or _NAMES_A_RATE.search(question.text) or len(rules) != 2:
        return None
    if asked.before is not None and asked.before.route not in ("unknown", "chat"):
        return None
    entries = [kb.by_id[rule.entries[0]] for rule in rules]
    matches = [Match(entry=entry, score=1.0, form=entry.forms[0], nearness=1.0) for entry in entries]
    found = [_rule(asked, rule, match) for rule, match in zip(rules, matches, strict=True)]
    if found[0] is None or found[1] is None:
        return None
    verdicts = {one.verdict for one in found if one is not None}
    return replace(
        found[0],
        verdict=found[0].verdict if len(verdicts) == 1 else "conditional",
        statement=f"{found[0].statement}\n{found[1].statement}",
        citations=found[0].citations + found[1].citations,
        sums=found[0].sums + found[1].sums,
        binds="",
        facts={},
        choices=(),
        missing=tuple(key for rule in rules for key in rule.facts if KINDS[key].type == "rate"),
        route="rule:two-rates",
    )


def _fillable(rule: Rule, case: Case, known: Mapping[str, Fact]) -> bool:
    try:
        rule.fill(case.statement, known)
    except KeyError:
        return False
    return True


def _rule_verdict(question: Question, rule: Rule, cases: list[Case]) -> tuple[Verdict, str]:
    """The verdict as asked and the word it opens with; 超没超 and 算不算晚 ask the other way round."""
    told = bool(question.facts) and not wants_a_value(question.text)  # 我们只有88%呢 waits for a verdict too
    if not (question.yes_no or told):
        return "info", "is"
    turned = any(word in question.text for word in rule.inverse)
    word = (
        "denied"
        if question.denied
        else "is"
        if turned or question.modal != "may" and rule.modal == "is"
        else rule.modal
    )
    if len({case.verdict for case in cases}) > 1:
        return "conditional", word
    verdict = cases[0].verdict
    return (_FLIP.get(verdict, verdict) if turned != question.denied else verdict), word


def _offer(key: str) -> tuple[Choice, ...]:
    """Choices that state a missing fact; a fact without fixed values is asked by its form."""
    kind = KINDS[key]
    return tuple(Choice(label=f"{kind.label}：{option}", value=f"{key}={option}") for option in kind.options)


def _clarify(asked: _Asked, rule: Rule, match: Match, known: Mapping[str, Fact]) -> Answer:
    key = rule.missing(known)[0]
    return asked.reply(
        kind="clarify",
        status=MORE_NEEDED,
        statement=KINDS[key].ask,
        citations=asked.cited(rule.cases[0].cites),
        choices=_offer(key),
        missing=tuple(rule.missing(known)),
        score=match.score,
        route=f"rule:{rule.id}",
        facts=known,
    )


def _uncovered(asked: _Asked, rule: Rule, match: Match, known: Mapping[str, Fact]) -> Answer:
    return asked.reply(
        kind="abstain",
        status=NOT_WRITTEN,
        statement=f"所收文件的“{rule.title}”没有写到这种情况。",
        citations=asked.cited(rule.cases[0].cites),
        score=match.score,
        route=f"rule:{rule.id}",
        facts=known,
    )
