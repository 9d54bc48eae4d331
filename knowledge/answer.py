"""Question → Answer: candidates from rules, expenses and entries; then answer, clarify or abstain.

Nothing here writes a conclusion: statements come from curated files, numbers from rules, words in quotation marks
from clauses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from knowledge.base import KnowledgeBase
from knowledge.expense import BOTH, FORBIDDEN, Expense, find_expense, is_about_spending
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
from knowledge.question import HARD_SLOTS, Question, leans_on_before, small_talk
from knowledge.rules import Case, Rule
from knowledge.search import best

# Calibrated on the development questions and frozen; see benchmarks/README.md.
ANSWER_FROM = 0.24
ABSENT_FROM = 0.20
SURE = 0.72
STANCE_FROM = 0.35
STATED_CASES = 3

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
    clauses: tuple[tuple[str, str], ...] = ()


def answer(
    kb: KnowledgeBase, text: str, *, facts: Facts | None = None, on: date, before: Before | None = None
) -> Answer:
    """Answer one question as of `on`, with facts known earlier and the turn before for what is left unsaid."""
    question = kb.understand(text, on.year)
    if question.wordless or small_talk(text):
        return Answer(kind="chat", question=text, as_of=on, edition=kb.edition, route="chat", modal=small_talk(text) or "empty")
    found = _decide(_Asked(kb=kb, question=question, remembered=facts or {}, on=on, before=before))
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
            kind="answer", question=self.question.raw, modal=self.question.modal, as_of=self.on, edition=self.kb.edition
        )
        return replace(blank, **parts)  # type: ignore[arg-type]  # the parts are fields of Answer, checked by replace

    def cited(self, cites: tuple[Cite, ...]) -> tuple[Citation, ...]:
        return tuple(map(self.kb.citation, cites))


def _decide(asked: _Asked) -> Answer:
    matches = _matches(asked)
    top = matches[0]
    if (judged := _expense(asked, top)) is not None:
        return judged
    if top.entry.absent and top.score >= ABSENT_FROM:
        return _absence(asked, top.entry, top.score)
    if top.score < ANSWER_FROM:
        return _unknown(asked, top)
    missing = asked.question.slots & HARD_SLOTS - gives(top.entry)
    if missing and not top.entry.absent and top.nearness < SURE:
        return _near_miss(asked, top, sorted(missing)[0])
    if top.entry.rule:
        ruled = _rule(asked, asked.kb.rules[top.entry.rule], top)
        if ruled is not None:
            return ruled
    return _entry(asked, top)


def _matches(asked: _Asked) -> list[Match]:
    """Candidates for the question alone and, when it leans on the one before, for both together."""
    kb, question, before = asked.kb, asked.question, asked.before
    alone = kb.matcher.match(question)
    if before is None:
        return alone
    has_topic = alone[0].nearness >= 0.6
    if not leans_on_before(question.text, has_topic) and alone[0].score >= ANSWER_FROM:
        return alone
    together = kb.matcher.match(question, before.question)
    near = {label for label in before.clauses}
    scored: dict[str, Match] = {}
    for match in (*alone, *together):
        clauses = {(cite.notice, cite.clause) for cite in match.entry.cites}
        bonus = (0.12 if clauses & near else 0.0) - (0.10 if match.entry.id == before.route and not match.entry.rule else 0.0)
        lifted = replace(match, score=match.score + bonus)
        if lifted.score > scored.get(match.entry.id, replace(lifted, score=-1.0)).score:
            scored[match.entry.id] = lifted
    return sorted(scored.values(), key=lambda match: -match.score)


def _standing(citations: tuple[Citation, ...]) -> tuple[str, ...]:
    unverified = any(citation.text_status == "unverified" for citation in citations)
    repealed = any(citation.validity == "已废止" for citation in citations)
    return ((UNVERIFIED,) if unverified else ()) + (("所引文件已废止",) if repealed else ())


def _passed(on: date, deadline: date | None) -> tuple[str, ...]:
    if deadline is None or on <= deadline:
        return ()
    return (f"时限已过（{deadline.year}年{deadline.month}月{deadline.day}日）",)


# --- entries -----------------------------------------------------------------------------------------------------


def _as_asked(verdict: Verdict, question: Question, form_denied: bool) -> Verdict:
    """Turn a curated verdict round when the question denies what the form asks, or the reverse."""
    return _FLIP.get(verdict, verdict) if question.denied != form_denied else verdict


def _verdict(asked: _Asked, match: Match) -> Verdict:
    kb, question = asked.kb, asked.question
    form = match.form
    if form.verdict == "info" and question.yes_no:
        form = kb.matcher.stance(question, match.entry, STANCE_FROM) or form
    read = kb.understand(form.text, asked.on.year)
    if form.verdict == "info" or not (question.yes_no or (not read.yes_no and match.nearness > 0.6)):
        return "info"
    return _as_asked(form.verdict, question, read.denied)


def _entry(asked: _Asked, match: Match) -> Answer:
    entry = match.entry
    twin = asked.kb.by_id.get(entry.twin)
    statement, cites = entry.statement, entry.cites
    if twin is not None:
        statement, cites = f"{statement}\n{twin.statement}", cites + twin.cites
    return asked.reply(
        status=entry.status,
        verdict=_verdict(asked, match),
        statement=statement,
        citations=asked.cited(cites),
        binds=entry.binds,
        sums=(entry.derive,) if entry.derive else (),
        notes=_passed(asked.on, entry.deadline),
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
    if question.slots & HARD_SLOTS:
        return None
    spending = is_about_spending(question.text)
    continued = before is not None and before.route.startswith("rule:expense") and leans_on_before(question.text, False)
    found = find_expense(asked.kb.expenses, question.text) or find_expense(asked.kb.expenses, question.repaired)
    if found is None or top.nearness >= SURE or not (spending or continued or len(found[1]) >= 4 and question.yes_no):
        return None
    if top.score > 0.5 and not continued and not spending:
        return None
    return _judged(asked, found[0])


def _judged(asked: _Asked, row: Expense) -> Answer:
    verdicts: dict[str, Verdict] = {FORBIDDEN: "no", BOTH: "conditional"}
    verdict = _as_asked(verdicts.get(row.outcome, "yes"), asked.question, False)
    return asked.reply(
        status=PRINCIPLE if row.outcome == BOTH else CLEAR,
        verdict=verdict,
        statement=row.statement,
        modal="may" if not asked.question.denied else "is",
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
    if not known or any(key not in known for key in rule.needs):
        return None
    cases = rule.possible(known)
    if not cases:
        return _uncovered(asked, rule, match, known)
    if len(cases) > STATED_CASES:
        return _clarify(asked, rule, match, known)
    return _stated(asked, rule, match, cases, known)


def _stated(asked: _Asked, rule: Rule, match: Match, cases: list[Case], known: Mapping[str, Fact]) -> Answer:
    """State the one case that applies, or the up to three that still can, offering the fact that decides."""
    missing = rule.missing(known)
    verdict = _rule_verdict(asked.question, rule, cases) if asked.question.yes_no else "info"
    usable = [case for case in cases if "{" not in case.statement or _fillable(rule, case, known)]
    statements = [rule.fill(case.statement, known) for case in usable]
    sums = [rule.fill(case.sum, known) for case in usable if case.sum and (len(usable) == 1 or "{" not in case.sum)]
    cites = tuple(dict.fromkeys(cite for case in usable for cite in case.cites))
    return asked.reply(
        kind="abstain" if cases[0].status == NOT_WRITTEN else "answer",
        status=cases[0].status,
        verdict=None if cases[0].status == NOT_WRITTEN else verdict,
        statement="\n".join(statements),
        citations=asked.cited(cites),
        binds=rule.binds,
        sums=tuple(dict.fromkeys(sums)),
        notes=_passed(asked.on, cases[0].deadline),
        choices=_offer(missing[0]) if missing else (),
        missing=tuple(missing),
        score=match.score,
        route=f"rule:{rule.id}",
        facts=known,
    )


def _fillable(rule: Rule, case: Case, known: Mapping[str, Fact]) -> bool:
    try:
        rule.fill(case.statement, known)
    except KeyError:
        return False
    return True


def _rule_verdict(question: Question, rule: Rule, cases: list[Case]) -> Verdict:
    if len({case.verdict for case in cases}) > 1:
        return "conditional"
    verdict = cases[0].verdict
    turned = any(word in question.text for word in rule.inverse)
    return _FLIP.get(verdict, verdict) if turned != question.denied else verdict


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
