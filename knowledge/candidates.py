"""Which curated entry a question is about: ranking, follow-ups, and how sure the choice is."""

from dataclasses import dataclass, replace
from datetime import date

from knowledge.base import KnowledgeBase
from knowledge.facts import known_for
from knowledge.matching import Match, gives
from knowledge.model import Answer, Citation, Cite, Entry, Facts
from knowledge.question import HARD_SLOTS, Question, is_yes_no, leans_on_before, slots
from knowledge.text import normalise

PROVINCE_DECIDES = "duty-prov-standard"  # the entry on who details directions and standards
RULE_BONUS = 0.10  # for an entry whose rule can use a number that the question states
FULL_LENGTH = 16  # characters; a shorter follow-up leans more on the question before
CLAUSE_BONUS = 0.15  # for a follow-up that stays within the clause of the answer before
ASKED_MARGIN = 0.14  # how far behind a refusal a fact may be that alone answers in kind what is asked
FOREIGN_MARGIN = 0.05  # the same of foreign words
LEAD, GAP, FOREIGN, LACKING = 1.9, 3.8, 1.1, 1.1  # weights of the confidence, its score counting 1
BESIDE = 0.30  # the same within one clause
NEIGHBOUR = 0.15  # how far behind an entry may be that holds the value asked for
RIVAL_MARGIN = 0.08  # another clause's fact this close is shown too
TWIN_MARGIN = 0.12  # twins this close are both shown


@dataclass(frozen=True, kw_only=True)
class Before:
    """The turn before in the same conversation: its question in official words and what answered it."""

    question: str
    route: str
    yes_no: bool = False
    clauses: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Asked:
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
            modal="denied" if self.question.denied else self.question.modal,
            as_of=self.on,
            edition=self.kb.edition,
        )
        return replace(blank, **parts)  # type: ignore[arg-type]  # the parts are fields of Answer, checked by replace

    def cited(self, cites: tuple[Cite, ...]) -> tuple[Citation, ...]:
        return tuple(self.kb.citation(cite, self.on) for cite in cites)

    def say(self, phrase: str, **values: str) -> str:
        """One of the fixed sentences of phrases.yaml."""
        return self.kb.phrases[phrase].format_map(values)

    def onward(self) -> dict[str, object]:
        """Where a refusal points when nothing curated says better: the clause that lets the province set standards."""
        decides = self.kb.by_id.get(PROVINCE_DECIDES)
        if decides is None:
            return {}
        return {"onward": self.kb.citation(decides.cites[0], self.on), "ask_whom": self.say("ask_province")}

    def passed(self, deadline: date | None) -> tuple[str, ...]:
        """The line that a deadline has passed, if it has."""
        if deadline is None or self.on <= deadline:
            return ()
        return (self.say("passed", on=f"{deadline.year}年{deadline.month}月{deadline.day}日"),)


def twin_of(matches: list[Match], top: Match) -> Entry | None:
    """The entry easily confused with the best one, when it is about as near to the question."""
    return next((m.entry for m in matches if m.entry.id == top.entry.twin and m.score > top.score - TWIN_MARGIN), None)


def _clauses(entry: Entry) -> set[tuple[str, str]]:
    return {(cite.notice, cite.clause) for cite in entry.cites}


def rival_of(matches: list[Match], top: Match) -> Match | None:
    """A fact of another clause about as near to the question as the best one, to be shown beside it."""
    if top.sure:
        return None
    own = {(cite.notice, cite.clause) for cite in top.entry.cites}
    for match in matches:
        apart = not own & {(cite.notice, cite.clause) for cite in match.entry.cites}
        if apart and not match.entry.absent and match.score > top.score - RIVAL_MARGIN:
            return match
    return None


def ranked(asked: Asked) -> list[Match]:
    """Candidates for the question alone and, when it leans on the one before, for both together."""
    kb, question, before = asked.kb, asked.question, asked.before
    alone = kb.matcher.match(question)
    if before is None:
        return alone
    if (rule := kb.rules.get(before.route.removeprefix("rule:"))) and set(question.facts) & {*rule.facts, "rate"}:
        again = kb.by_id[rule.entries[0]]
        return [Match(entry=again, score=2.0, form=again.forms[0], nearness=0.5), *alone]
    stands_alone = alone[0].score >= alone[0].weights.alone_from or kb.wording.named(question.official) >= 2
    if not leans_on_before(question.text, stands_alone):
        return alone
    return _blended(asked, before)


def _blended(asked: Asked, before: Before) -> list[Match]:
    """The question alone and both questions together, the shorter the question the more by the latter.

    Staying in the clause of the answer before earns a bonus, repeating that answer costs one.
    """
    matcher, question = asked.kb.matcher, asked.question
    alone = matcher.match(question, thorough=True)
    together = matcher.match(question, before.question, thorough=True)
    share = min(0.5, len(question.text) / FULL_LENGTH)
    own = {match.entry.id: match for match in alone}
    both = {match.entry.id: match for match in together}
    blended: list[Match] = []
    for name in {**own, **both}:
        alone_score = own[name].score if name in own else alone[-1].score
        both_score = both[name].score if name in both else together[-1].score
        score = share * alone_score + (1 - share) * both_score
        match = own.get(name) or both[name]
        if {(cite.notice, cite.clause) for cite in match.entry.cites} & set(before.clauses) and not match.entry.absent:
            score += CLAUSE_BONUS
        if name == before.route:
            score -= CLAUSE_BONUS
        blended.append(replace(match, score=score))
    return sorted(blended, key=lambda match: -match.score)


def confidence(asked: Asked, top: Match, matches: list[Match]) -> float:
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


def _rule_bonus(asked: Asked, match: Match, told: set[str]) -> float:
    """More for an entry whose rule can use the numbers told, again when they decide it, again when it is named."""
    rule = asked.kb.rule_of.get(match.entry.id)
    how = asked.question.slots == {"form"} and not asked.question.yes_no  # 多出的钱咋处理 is decided by no number
    if rule is None or how or not told & set(rule.facts):
        return 0.0
    known = known_for(rule.facts, asked.question.facts, asked.remembered)
    named = any(word in asked.question.official for word in rule.words)
    return RULE_BONUS * (1 + (len(rule.possible(known)) == 1) + named)


def _asked_of(question: Question, rival: Match, refusal: Match) -> bool:
    """True when a fact answers in kind what a refusal does not: yes or no, or the value asked for."""
    concludes = question.yes_no and rival.form.verdict != "info" and not is_yes_no(refusal.form.text)
    hard = question.slots & HARD_SLOTS
    return concludes or bool(hard & gives(rival.entry)) and not hard & slots(normalise(refusal.form.text))


def best_match(asked: Asked, matches: list[Match]) -> Match:
    """The match to act on: what a rule can decide with the numbers given comes first.

    A refusal that is nearest gives way only to a fact that answers in kind.
    """
    question, matcher = asked.question, asked.kb.matcher
    told = set(question.facts) & (_TELLING | ({"submitted_on", "done_on"} if question.yes_no else set()))
    if "rate" in told:
        told |= {"disbursement_rate", "use_rate"}
    lifted = [replace(match, score=match.score + _rule_bonus(asked, match, told)) for match in matches]
    lifted.sort(key=lambda match: -match.score)
    top = lifted[0]
    if top.entry.absent:
        rival = next((match for match in lifted if not match.entry.absent), None)
        hard = question.slots & HARD_SLOTS
        near = rival is not None and rival.score > top.score - ASKED_MARGIN
        if rival and near and _asked_of(question, rival, top) and (not hard or hard & gives(rival.entry)):
            fits = matcher.foreign(question, rival.entry) <= matcher.foreign(question, top.entry) + FOREIGN_MARGIN
            return rival if fits else top
    return top


def holder(matches: list[Match], top: Match, hard: frozenset[str]) -> Match | None:
    """A close runner-up that holds the value asked for; one of the same clause may be less close."""
    own = _clauses(top.entry)
    return next(
        (
            match
            for match in matches
            if hard & gives(match.entry)
            and not match.entry.absent
            and match.score > top.score - (BESIDE if own & _clauses(match.entry) else NEIGHBOUR)
        ),
        None,
    )
