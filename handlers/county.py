"""A body's own business: 本县情况, the form for its funds, the form for its facts, and what is due today."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from bot import places
from bot.dialogue import Route
from bot.flows import Answered, Answers, Flow, Step
from bot.inputs import amount, day
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL
from knowledge.answer import apply_rule
from knowledge.base import KnowledgeBase
from knowledge.facts import KINDS, parse_fact, plain, show_fact
from knowledge.model import Answer, Citation, Fact
from storage import bodies, facts, funds
from storage.funds import Sums
from storage.models import Body, Fund
from storage.scope import ROLES, reaches

CARD_LIMIT = 600  # characters
DATED = "rectification-date"  # the rule that sets a county's own date
ASKED_NEXT = {"rect-accept-deadline": range(2014, 2018)}  # 商办建函〔2020〕144号 四(二): 2014—2017年度示范县


def _today(turn: Turn) -> date:
    return turn.now.astimezone(LOCAL).date()


# --- 填报资金 ----------------------------------------------------------------------------------------------------------


def _before(turn: Turn, answers: Answers) -> Fund | None:
    return funds.newest(turn.db, answers["body"]["id"], places.year_of(answers))


def _amount(_turn: Turn, text: str) -> str:
    try:
        return f"{amount(text).normalize():f}"
    except ValueError:
        raise Invalid(say("county.amount_unclear")) from None


def _day(turn: Turn, text: str) -> str:
    today = _today(turn)
    try:
        found = day(text, today)
    except ValueError:
        raise Invalid(say("county.day_unclear")) from None
    if found > today:
        raise Invalid(say("county.day_to_come", today=today))
    return found.isoformat()


def _asked(key: str) -> Callable[[Turn, Answers], str]:
    def ask(turn: Turn, answers: Answers) -> str:
        before = _before(turn, answers)
        last = {"before": funds.sums(before) if before else None}
        return say("county.ask_amount", key=key, body=answers["body"]["name"], year=places.year_of(answers), **last)

    return ask


def _same_as_before(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    before = _before(turn, answers)
    if before is None:
        return ()
    shown = say("county.wan", amount=before.allocated)
    return (Option(label=say("county.unchanged", amount=before.allocated), value=shown),)


def _days(turn: Turn, _answers: Answers) -> tuple[Option, ...]:
    return tuple(Option(label=word, value=word) for word in ("今天", "上月底"))


def _reported(answers: Answers) -> Sums:
    return Sums(
        allocated=Decimal(answers["allocated"]),
        disbursed=Decimal(answers["disbursed"]),
        used=Decimal(answers["used"]),
        as_of=date.fromisoformat(answers["as_of"]),
    )


def _confirm_funds(turn: Turn, answers: Answers) -> str:
    before, after = _before(turn, answers), _reported(answers)
    return say(
        "county.confirm_funds",
        body=answers["body"]["name"],
        year=places.year_of(answers),
        before=funds.sums(before) if before else None,
        after=after,
        strange=funds.strange(after),
    )


def _confirmations(_turn: Turn, answers: Answers) -> tuple[Option, ...]:
    word = "数字属实，确认" if funds.strange(_reported(answers)) else "确认"
    return (Option(label=word, value=word), Option(label="取消", value="取消"))


_CHANGE = re.compile(
    r"(?:把|将)?(?:已)?(?P<what>下达|拨付|使用|截至日?|截止日?)(?:数|额|资金)?(?:改为|改成|应为|应该是|是|为|[:：])?\s*(?P<value>.+)"
)
_CHANGED = {"下": "allocated", "拨": "disbursed", "使": "used", "截": "as_of"}


def _confirmed(turn: Turn, text: str) -> str | Answered:
    """A confirmation, or a correction of one number: 拨付 880万元. Strange numbers need their own confirmation."""
    if match := _CHANGE.fullmatch(text.strip()):
        key = _CHANGED[match["what"][0]]
        return Answered(key=key, value=(_day if key == "as_of" else _amount)(turn, match["value"]))
    expected = _confirmations(turn, dict(turn.conversation.answers))[0].value
    if text.strip("。！! ") not in (expected, *(("是", "对", "确认无误", "好") if expected == "确认" else ())):
        raise Invalid(say("county.confirm_or_change", word=expected))
    return "yes"


def _store_funds(turn: Turn, answers: Answers) -> Reply:
    body, after = answers["body"], _reported(answers)
    places.guard(turn, "report_funds", body["id"])
    role = turn.viewer.role_for("report_funds")
    fund = funds.report(
        turn.db,
        body["id"],
        places.year_of(answers),
        after,
        source=say("county.by_chat", role=ROLES[role]),
        now=turn.now,
        role=role,
    )
    if fund is None:
        return Reply(text=say("county.funds_same", body=body["name"], after=after), kind="flow", route="county.funds")
    holds = _before(turn, answers)
    text = say("county.funds_stored", body=body["name"], year=places.year_of(answers), after=after, holds=holds is fund)
    return Reply(text=text, kind="flow", route="county.funds", options=(Option(label="本县情况", value="本县情况"),))


def take_back(turn: Turn) -> Reply:
    """撤回填报: the person's last report of the day no longer holds."""
    assert turn.user is not None
    fund = funds.last_by(turn.db, turn.user.id, turn.now)
    if fund is None or not reaches(turn.db, turn.viewer, "report_funds", fund.body_id):
        raise Refused(say("county.nothing_to_take_back"))
    funds.withdraw(turn.db, fund, turn.now, turn.viewer.role_for("report_funds"))
    holds = funds.newest(turn.db, fund.body_id, fund.batch_year)
    text = say(
        "county.taken_back",
        body=turn.db.get_one(Body, fund.body_id).name,
        year=fund.batch_year,
        gone=funds.sums(fund),
        holds=funds.sums(holds) if holds else None,
    )
    return Reply(text=text, route="county.take_back")


# --- 更新本县信息 --------------------------------------------------------------------------------------------------------


def _fact_key(turn: Turn, text: str) -> str:
    found = [key for key in (*facts.OF_BODY, *facts.OF_YEAR) if text.strip() in (key, KINDS[key].label)]
    if not found:
        raise Invalid(say("county.which_fact"))
    return found[0]


def _fact_value(turn: Turn, text: str) -> str:
    key = dict(turn.conversation.answers)["fact"]
    try:
        value = parse_fact(key, text, year=_today(turn).year)
    except ValueError:
        raise Invalid(KINDS[key].ask) from None
    return plain(value)


def _confirm_fact(turn: Turn, answers: Answers) -> str:
    key = answers["fact"]
    year = None if key in facts.OF_BODY else places.year_of(answers)
    before = facts.newest(turn.db, answers["body"]["id"], year).get(key)
    return say(
        "county.confirm_fact",
        body=answers["body"]["name"],
        year=year,
        label=KINDS[key].label,
        before=show_fact(key, parse_fact(key, before.value)) if before else "",
        after=show_fact(key, parse_fact(key, answers["value"])),
        as_of=date.fromisoformat(answers["as_of"]),
    )


def _fact_confirmed(_turn: Turn, text: str) -> str:
    if text.strip("。！! ") not in ("确认", "是", "对", "好", "确认无误"):
        raise Invalid(say("county.confirm_or_cancel"))
    return "yes"


def _store_fact(turn: Turn, answers: Answers) -> Reply:
    body, key = answers["body"], answers["fact"]
    places.guard(turn, "report_facts", body["id"])
    role = turn.viewer.role_for("report_facts")
    stored = facts.add(
        turn.db,
        body["id"],
        key,
        answers["value"],
        batch_year=None if key in facts.OF_BODY else places.year_of(answers),
        as_of=date.fromisoformat(answers["as_of"]),
        source=say("county.by_chat", role=ROLES[role]),
        now=turn.now,
        role=role,
    )
    turn.conversation.facts = {name: kept for name, kept in turn.conversation.facts.items() if name != key}
    shown = f"{KINDS[key].label}：{show_fact(key, parse_fact(key, answers['value']))}"
    if stored is None:
        return Reply(text=say("county.fact_same", body=body["name"], fact=shown), kind="flow", route="county.fact")
    text = say("county.fact_stored", body=body["name"], fact=shown)
    return Reply(text=text, kind="flow", route="county.fact")


# --- 本县情况 ----------------------------------------------------------------------------------------------------------


def _known(turn: Turn, body_id: int, year: int) -> dict[str, Fact]:
    held = facts.newest(turn.db, body_id, year).items()
    known: dict[str, Fact] = {key: parse_fact(key, fact.value) for key, fact in held}
    return {"batch_year": year, **known}


def _dated(turn: Turn, body_id: int, year: int) -> Answer:
    """The date by which a year's problems are to be put right, by rule."""
    rule = turn.kb.rules[DATED]
    question = turn.kb.understand(rule.title, _today(turn).year)
    return apply_rule(turn.kb, rule, _known(turn, body_id, year), on=_today(turn), question=question)


def _next(kb: KnowledgeBase, year: int, on: date) -> list[dict[str, Any]]:
    """What the notices ask of a year's bodies besides: statement, clause, and the date when it has passed."""
    found = []
    for name, bound in ASKED_NEXT.items():
        entry = kb.by_id[name]
        if year in bound:
            passed = entry.deadline if entry.deadline and entry.deadline < on else None
            found.append({"statement": entry.statement, "citation": kb.citation(entry.cites[0], on), "passed": passed})
    return found


def _year_lines(turn: Turn, body_id: int, year: int) -> dict[str, Any]:
    fund = funds.newest(turn.db, body_id, year)
    dated = _dated(turn, body_id, year)
    return {
        "year": year,
        "fund": fund,
        "sums": funds.sums(fund) if fund else None,
        "facts": [
            (KINDS[key].label, show_fact(key, parse_fact(key, fact.value)), fact.as_of)
            for key, fact in facts.newest(turn.db, body_id, year).items()
            if key not in facts.OF_BODY
        ],
        "dated": dated.statement,
        "dated_source": dated.citations[0],
        "notes": [note for note in dated.notes if note != turn.kb.phrases["unverified"]],
        "next": _next(turn.kb, year, _today(turn)),
    }


def _card(turn: Turn, answers: Answers) -> Reply:
    body_id = answers["body"]["id"]
    seen = places.numbered(turn, body_id)
    if not seen:
        raise Refused(say("places.no_body"))
    general = facts.newest(turn.db, body_id, None).items()
    years = [_year_lines(turn, body_id, year) for year in answers["body"]["years"]]
    text = say(
        "county.card",
        body=seen[0],
        general=[(KINDS[key].label, show_fact(key, parse_fact(key, fact.value)), fact.as_of) for key, fact in general],
        years=years,
        lines=_lines(turn.kb, _today(turn)) if any(year["sums"] for year in years) else None,
    )
    first, rest = _cut(text)
    mine = turn.user is not None and reaches(turn.db, turn.viewer, "report_funds", body_id)
    words = ("填报资金", "更新本县信息") if mine else ()
    options = tuple(Option(label=word, value=word) for word in words)
    return Reply(text=first, rest=rest, options=options, route="county.card")


def _cut(text: str) -> tuple[str, str]:
    """A card within one message, and what 更多 brings: whole years, never half of one."""
    parts = re.split(r"\n(?=【)", text)
    kept = parts[:2]
    while len(kept) < len(parts) and len("\n".join((*kept, parts[len(kept)]))) <= CARD_LIMIT:
        kept.append(parts[len(kept)])
    rest = "\n".join(parts[len(kept) :])
    first = "\n".join(kept)
    return (f"{first}\n{say('county.rest_follows')}" if rest else first), rest


def _lines(kb: KnowledgeBase, on: date) -> Mapping[str, Citation]:
    """The clauses of the two 90 % lines."""
    return {name: kb.citation(kb.rules[name].cases[0].cites[0], on) for name in ("reapplication", "acceptance")}


def opening(turn: Turn) -> str:
    """What falls due today for the body somebody speaks for; empty when nothing does."""
    if turn.user is None or turn.user.body_id is None:
        return ""
    rule, today = turn.kb.rules[DATED], _today(turn)
    due = []
    for year in bodies.batch_years(turn.db, turn.user.body_id):
        cases = rule.possible(_known(turn, turn.user.body_id, year))
        if len(cases) == 1 and cases[0].deadline == today:
            due.append({"year": year, "title": rule.title, "citation": turn.kb.citation(cases[0].cites[0], today)})
    return say("county.due_today", today=today, due=due) if due else ""


# --- forms and routes --------------------------------------------------------------------------------------------------


FLOWS = [
    Flow(name="本县情况", title="本县情况", steps=(places.which(None),), done=_card, start=places.own(None)),
    Flow(
        name="填报资金",
        title="填报资金",
        steps=(
            places.which("report_funds"),
            places.year_step(),
            Step(key="allocated", ask=_asked("allocated"), parse=_amount, options=_same_as_before),
            Step(key="disbursed", ask=_asked("disbursed"), parse=_amount),
            Step(key="used", ask=_asked("used"), parse=_amount),
            Step(key="as_of", ask=say("county.ask_day"), parse=_day, options=_days),
            Step(key="confirm", ask=_confirm_funds, parse=_confirmed, options=_confirmations),
        ),
        done=_store_funds,
        start=places.own("report_funds"),
    ),
    Flow(
        name="更新本县信息",
        title="更新本县信息",
        steps=(
            places.which("report_facts"),
            Step(
                key="fact",
                ask=say("county.which_fact"),
                parse=_fact_key,
                options=tuple(Option(label=KINDS[key].label, value=key) for key in (*facts.OF_BODY, *facts.OF_YEAR)),
            ),
            places.year_step(lambda answers: answers.get("fact") not in facts.OF_BODY),
            Step(
                key="value",
                ask=lambda turn, answers: KINDS[answers["fact"]].ask,
                parse=_fact_value,
                options=lambda turn, answers: tuple(
                    Option(label=word, value=word) for word in KINDS[answers["fact"]].options
                ),
            ),
            Step(key="as_of", ask=say("county.ask_fact_day"), parse=_day, options=_days),
            Step(
                key="confirm",
                ask=_confirm_fact,
                parse=_fact_confirmed,
                options=(Option(label="确认", value="确认"), Option(label="取消", value="取消")),
            ),
        ),
        done=_store_fact,
        start=places.own("report_facts"),
    ),
]
ROUTES = [
    Route(name="county.card", pattern=r"(?P<flow>本县情况)", flow=True, member=True, examples=("本县情况",)),
    Route(name="county.funds", pattern=r"(?P<flow>填报资金)", flow=True, member=True, examples=("填报资金",)),
    Route(name="county.fact", pattern=r"(?P<flow>更新本县信息)", flow=True, member=True, examples=("更新本县信息",)),
    Route(name="county.take_back", pattern=r"撤回填报", run=take_back, member=True, examples=("撤回填报",)),
]
