"""Rules and expenses applied to a question: the case, the arithmetic, and the verdict as asked."""

import re
from collections.abc import Mapping
from dataclasses import replace

from knowledge.candidates import Asked
from knowledge.expense import BOTH, FORBIDDEN, SUPPORTED, Expense, asks_to_do, find_expense, is_about_spending
from knowledge.facts import KINDS, known_for
from knowledge.matching import Match
from knowledge.model import CLEAR, MORE_NEEDED, NOT_WRITTEN, PRINCIPLE, Answer, Choice, Fact, Verdict
from knowledge.question import HARD_SLOTS, Question, leans_on_before, wants_a_value
from knowledge.rules import Case, Rule

STATED_CASES = 3  # up to so many possible cases are all stated
PLAIN_QUESTION = 24  # characters
KNOWN_FROM = 1.1  # from this score an entry knows the question better than a list of expenses
_FLIP: dict[Verdict, Verdict] = {"yes": "no", "no": "yes"}

# --- expenses ----------------------------------------------------------------------------------------------------


def judge_expense(asked: Asked, top: Match) -> Answer | None:
    """Judge an expense when the question is about spending and names one; else None."""
    question, before = asked.question, asked.before
    spending = is_about_spending(question.text)
    refused = top.entry.absent and question.yes_no and spending  # a missing amount does not answer 审计费能列吗
    if question.slots & HARD_SLOTS or ((top.sure or top.score >= KNOWN_FROM) and not refused):
        return None
    found = find_expense(asked.kb.expenses, question.text)
    if found is None:
        found = find_expense(asked.kb.expenses, question.repaired)
        if found is None or found[0].outcome == SUPPORTED:  # a guess at the word is no ground for 可以
            return None
    continued = before is not None and before.route.startswith("rule:expense") and leans_on_before(question.text, False)
    short = len(question.text) <= PLAIN_QUESTION  # an essay that mentions a building asks about something else
    doing = short and asks_to_do(question.text) and found[0].outcome != SUPPORTED
    return _judged(asked, found[0]) if continued or doing or spending else None


def judge_unlisted(asked: Asked, top: Match) -> Answer | None:
    """The negative list ends in 等: a purchase that no row names is neither forbidden by it nor allowed."""
    question, rows = asked.question, asked.kb.expenses
    if not question.yes_no or question.slots or top.sure or question.leaning.force == "must":
        return None
    if not (asks_to_do(question.text) and is_about_spending(question.text)):
        return None
    if find_expense(rows, question.text) or find_expense(rows, question.repaired):
        return None
    return asked.reply(
        kind="abstain",
        status=NOT_WRITTEN,
        statement=asked.say("unlisted_expense"),
        citations=asked.cited(next((row.cites[-1:] for row in rows if row.outcome == FORBIDDEN), ())),
        **asked.onward(),
        score=top.score,
        route="expense-unlisted",
    )


def _judged(asked: Asked, row: Expense) -> Answer:
    verdicts: dict[str, Verdict] = {FORBIDDEN: "no", BOTH: "conditional"}
    verdict = verdicts.get(row.outcome, "yes")
    verdict = _FLIP.get(verdict, verdict) if asked.question.denied else verdict
    return asked.reply(
        status=PRINCIPLE if row.outcome == BOTH else CLEAR,
        verdict=verdict,
        statement=row.statement,
        modal="denied" if asked.question.denied else "support" if asked.question.modal == "support" else "may",
        scope=asked.say("central_only"),
        binds=asked.say("expense_binds"),
        citations=asked.cited(row.cites),
        score=1.0,
        route=f"rule:expense:{row.id}",
    )


# --- rules -------------------------------------------------------------------------------------------------------


def judge_rule(asked: Asked, rule: Rule, match: Match) -> Answer | None:
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


def _stated(asked: Asked, rule: Rule, match: Match, cases: list[Case], known: Mapping[str, Fact]) -> Answer | None:
    """State the one case that applies, or the up to three that still can, offering the fact that decides."""
    missing = rule.missing(known)
    usable = [case for case in cases if _fillable(rule, case, known)]
    statements = [case.statement for case in usable]
    sums = [case.sum for case in usable if len(usable) == 1]
    if len(cases) > 1 and rule.outline is not None:
        if any(key not in known for key in rule.outline.needs):
            return None
        statements, sums = [rule.outline.statement], [rule.outline.sum]
    if not statements:
        return None
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
        notes=asked.passed(cases[0].deadline),
        choices=_offer(missing[0]) if missing else (),
        missing=tuple(missing),
        score=match.score,
        route=f"rule:{rule.id}",
        facts=known,
    )


_NAMES_A_RATE = re.compile(r"验收|申报|再报|拨付|使用|支付|花")
_MONEY_RATE = re.compile(r"资金|钱|款|率|进度|我们|才|只有|刚到|^\d+(?:\.\d+)?%\W*$|不对")
_OTHER_RATE = re.compile(
    r"覆盖|自筹|自己出|完成\d|完工|监理|付\d|付[^，。]{0,4}款|增速|增长|提取?\d|补助|补贴|经费|配套|占比|满意|质保|预付|利率|贫困"
)


def judge_both_rates(asked: Asked, top: Match) -> Answer | None:
    """A rate that could be either of the two 90 % figures is judged by both rules, side by side."""
    question, kb = asked.question, asked.kb
    rules = [rule for rule in kb.rules.values() if any(KINDS[key].type == "rate" for key in rule.facts)]
    if "rate" not in question.facts or _NAMES_A_RATE.search(question.text) or len(rules) != 2:
        return None
    if top.sure or _OTHER_RATE.search(question.text) or not _MONEY_RATE.search(question.text):
        return None
    if asked.before is not None and asked.before.route not in ("unknown", "chat"):
        return None
    entries = [kb.by_id[rule.entries[0]] for rule in rules]
    matches = [Match(entry=entry, score=1.0, form=entry.forms[0], nearness=1.0) for entry in entries]
    found = [judge_rule(asked, rule, match) for rule, match in zip(rules, matches, strict=True)]
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
    numbers = any(KINDS[key].type not in ("date", "year") for key in question.facts if key in KINDS)
    told = (numbers or "rate" in question.facts) and not wants_a_value(
        question.text
    )  # 我们只有88%呢 waits for a verdict
    if not (question.yes_no or told):
        return "info", "is"
    inverse = [word for word in rule.inverse if re.search(rf"(?<![没不未])(?<!没有){word}", question.text)]  # 没超
    turned = bool(inverse)
    denied = question.denied and not any(
        word.startswith("不") for word in inverse
    )  # 不用交 is turned, not turned twice
    word = "denied" if denied else "is" if turned or question.modal != "may" and rule.modal == "is" else rule.modal
    if len({case.verdict for case in cases}) > 1:
        return "conditional", word
    verdict = cases[0].verdict
    return (_FLIP.get(verdict, verdict) if turned != denied else verdict), word


def _offer(key: str) -> tuple[Choice, ...]:
    """Choices that state a missing fact; a fact without fixed values is asked by its form."""
    kind = KINDS[key]
    return tuple(Choice(label=f"{kind.label}：{option}", value=f"{key}={option}") for option in kind.options)


def _clarify(asked: Asked, rule: Rule, match: Match, known: Mapping[str, Fact]) -> Answer:
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


def _uncovered(asked: Asked, rule: Rule, match: Match, known: Mapping[str, Fact]) -> Answer:
    return asked.reply(
        kind="abstain",
        status=NOT_WRITTEN,
        statement=asked.say("uncovered_case", title=rule.title),
        citations=asked.cited(rule.cases[0].cites),
        score=match.score,
        route=f"rule:{rule.id}",
        facts=known,
    )
