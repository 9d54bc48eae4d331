"""Policy questions: answer from the knowledge, compose the card, keep what the next question leans on."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from bot.dialogue import Route
from bot.flows import Answers, Flow, Step
from bot.inputs import asks
from bot.messages import Invalid, Option, Reply, Turn
from bot.places import Known, OfBody, recorded
from bot.texts import say
from knowledge.answer import Before, answer, apply_rule
from knowledge.base import KnowledgeBase
from knowledge.facts import KINDS, parse_fact, plain, show_fact
from knowledge.model import Answer, Choice, Citation, Fact
from knowledge.rules import Rule
from storage import bodies, questions

LONGEST_QUESTION = 500
CARD_LIMIT = 600
ALOUD_LIMIT = 80
LOCAL = ZoneInfo("Asia/Shanghai")

# --- the card ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Card:
    """An answer in words: its first line, the first message, and what 更多 brings."""

    headline: str
    text: str
    more: str = ""


def headline(found: Answer) -> str:
    """The conclusion, opened by the word that a yes/no question waits for."""
    denied = found.modal == "denied"
    modal = "is" if denied else found.modal
    opening = say("ask.lead", verdict=found.verdict, modal=modal, denied=denied) if found.kind == "answer" else ""
    return say("ask.headline", opening=opening, scope=found.scope if opening else "", statement=found.statement)


def compose(found: Answer, of_body: OfBody | None = None) -> Card:
    """Write the card of an answer; what goes beyond one message waits for 更多."""
    if found.kind == "chat":
        text = say(f"ask.{found.modal}")
        return Card(headline=text, text=text)
    return _cut(headline(found), found, of_body or {})


def _written(found: Answer, first: str, citations: tuple[Citation, ...], of_body: OfBody) -> str:
    ours = {key: of_body[key] for key, value in found.facts.items() if _from_body(of_body, key, value)}
    known = "，".join(_stated(key, value) for key, value in found.facts.items() if key not in ours)
    stated = {"ours": [(_stated(key, one.value), one.source) for key, one in ours.items()], "known": known}
    if found.kind == "abstain":
        ask_whom = found.ask_whom
        return say(
            "ask.refusal",
            headline=first,
            citations=citations,
            onward=found.onward,
            ask_whom=ask_whom,
            notes=found.notes,
            **stated,
        )
    if found.kind == "clarify":
        return say("ask.clarify", headline=first, citations=citations, notes=found.notes)
    text = say(
        "ask.card",
        related=found.related,
        headline=first,
        citations=citations,
        binds=found.binds,
        sums=found.sums,
        notes=found.notes,
        **stated,
    )
    if not found.missing:
        return text
    labels = [KINDS[key].label for key in found.missing]
    return f"{text}\n{say('ask.offer', label=labels[0], others='、'.join(labels[1:]))}"


def _from_body(of_body: OfBody, key: str, value: Fact) -> bool:
    return key in of_body and of_body[key].value == value


def _stated(key: str, value: Fact) -> str:
    """A fact in words: 资金拨付率88%, 项目验收是否基本完成：是."""
    return f"{KINDS[key].label}{'：' if isinstance(value, bool) else ''}{show_fact(key, value)}"


def _cut(first: str, found: Answer, of_body: OfBody) -> Card:
    """Keep a card within one message; further citations go to 更多."""
    text = _written(found, first, found.citations, of_body)
    if len(text) <= CARD_LIMIT:
        return Card(headline=first.split("\n")[0], text=text)
    kept = found.citations
    while len(kept) > 1 and len(text) > CARD_LIMIT - 20:
        kept = kept[:-1]
        text = _written(found, first, kept, of_body)
    left = found.citations[len(kept) :]
    more = "\n".join(say("ask.quoted", citation=citation) for citation in left)
    return Card(headline=first.split("\n")[0], text=f"{text}\n{say('ask.rest_follows')}" if more else text, more=more)


def aloud(found: Answer) -> str:
    """A line to read to a caller: the conclusion without brackets, at most 80 characters."""
    text = re.sub(r"[（(][^）)]*[）)]", "", headline(found).split("\n")[0]).replace("“", "").replace("”", "")
    if len(text) <= ALOUD_LIMIT:
        return text
    cut = max(text.rfind(mark, 0, ALOUD_LIMIT) for mark in "，。；")
    return f"{text[:cut]}。" if cut > 20 else text[: ALOUD_LIMIT - 1] + "…"


def copies(found: Answer) -> dict[str, str]:
    """The answer for pasting: a text message, a chat message, and formal wording with numbered sources."""
    on = f"{found.as_of.year}年{found.as_of.month}月{found.as_of.day}日"
    first, cited = headline(found), found.citations
    source = say("ask.source", citation=cited[0]) if cited else ""
    formal = found.statement.replace("不可以", "不得")
    return {
        "sms": say("ask.short_message", headline=first.split("\n")[0], source=source) if source else first,
        "wechat": say("ask.chat_message", headline=first, citations=cited, notes=found.notes, on=on),
        "formal": say("ask.formal", statement=formal, citations=cited, notes=found.notes, on=on),
    }


def cited(found: Answer) -> tuple[Citation, ...]:
    """Every citation of an answer, the main one first."""
    return (*found.citations, *((found.related.citation,) if found.related and found.related.citation else ()))


def as_json(found: Answer, of_body: OfBody | None = None) -> dict[str, Any]:
    """The answer as programs get it; the shape is CONTRACTS' `ask` line without its id."""
    card = compose(found, of_body)
    return {
        "question": found.question,
        "kind": found.kind,
        "status": found.status,
        "verdict": found.verdict if found.kind == "answer" else None,
        "headline": card.headline,
        "text": card.text,
        "more": card.more,
        "citations": [dict(vars(citation)) for citation in cited(found)],
        "choices": [
            {"label": choice.label, "citations": [dict(vars(citation)) for citation in choice.citations]}
            for choice in found.choices
        ],
        "missing": list(found.missing),
        "as_of": found.as_of.isoformat(),
        "edition": found.edition,
        "score": round(found.score, 4),
        "route": found.route,
    }


# --- the conversation --------------------------------------------------------------------------------------------


# What a question is about, which need not be true of the asker: 边远地区也要持平吗.
_OF_THE_QUESTION = {"submitted_on", "done_on", "province", "remote_area", "central_funded"}


def _told(turn: Turn) -> dict[str, Fact]:
    """What the asker has said: earlier in the conversation, or with the message."""
    stored = {key: parse_fact(key, kept["value"]) for key, kept in turn.conversation.facts.items()}
    return {**stored, **{key: value for key, value in turn.given.items() if key in KINDS}}


def _of_body(turn: Turn, batch_year: int | None) -> dict[str, Known]:
    """What is recorded of the body the asker speaks for, in one of its years."""
    assert turn.user is not None and turn.user.body_id is not None
    return recorded(turn, turn.user.body_id, batch_year)


def _years(turn: Turn, text: str) -> list[int]:
    """The demonstration years a question may mean: the one that was said, else all of the body's; none without a body."""
    if turn.user is None or turn.user.body_id is None:
        return []
    years = bodies.batch_years(turn.db, turn.user.body_id)
    said = turn.kb.understand(text, turn.now.year).facts.get("batch_year") or _told(turn).get("batch_year")
    return years if said is None else [year for year in years if year == said]


def _known(turn: Turn, text: str) -> dict[str, Known]:
    """What is recorded of the asker's body and holds for a question; of several years, what does not depend on one."""
    if turn.user is None or turn.user.body_id is None:
        return {}
    years = _years(turn, text)
    return _of_body(turn, years[0] if len(years) == 1 else None)


def _facts(turn: Turn, known: OfBody) -> dict[str, Fact]:
    """The facts that a question is answered with: what the asker says comes before what is recorded."""
    return {**{key: one.value for key, one in known.items()}, **_told(turn)}


def _answered(turn: Turn, text: str, before: Before | None = None) -> tuple[Answer, OfBody]:
    """Answer a question from the facts of the asker's body; which of several years is asked only where it matters."""
    on, known = turn.now.astimezone(LOCAL).date(), _known(turn, text)
    plain = answer(turn.kb, text, facts=_facts(turn, known), on=on, before=before)
    years = _years(turn, text)
    if len(years) < 2 or plain.kind == "chat":
        return plain, known
    each = [_of_body(turn, year) for year in years]
    found = [answer(turn.kb, text, facts=_facts(turn, one), on=on, before=before) for one in each]
    if len({one.statement for one in found}) == 1:
        same = {key: one for key, one in each[0].items() if all(other.get(key) == one for other in each)}
        return (found[0] if found[0].facts.keys() <= same.keys() else plain), same
    choices = tuple(Choice(label=say("ask.year", year=year), value=f"batch_year={year}") for year in years)
    missing = ("batch_year", *(key for key in plain.missing if key != "batch_year"))
    return replace(plain, choices=choices, missing=missing), known


def _store_facts(turn: Turn, facts: Mapping[str, Fact]) -> None:
    said_on = turn.now.astimezone(LOCAL).date().isoformat()
    kept = {key: {"value": plain(value), "said_on": said_on} for key, value in facts.items()}
    turn.conversation.facts = {**turn.conversation.facts, **kept}


def _before(turn: Turn) -> Before | None:
    kept = turn.conversation.before
    if not kept:
        return None
    clauses = tuple((notice, label) for notice, label in kept["clauses"])
    return Before(question=kept["question"], route=kept["route"], yes_no=kept["yes_no"], clauses=clauses)


def _remember(turn: Turn, text: str, found: Answer) -> None:
    """Keep what a follow-up leans on. A short follow-up keeps the subject of the question before it."""
    question = turn.kb.understand(text, found.as_of.year)
    turn.conversation.before = {
        "question": question.official,
        "said": text,
        "route": found.route,
        "yes_no": question.yes_no,
        "clauses": [[citation.notice_id, citation.clause] for citation in found.citations],
        "edition": found.edition,
    }


_WRITTEN: WeakKeyDictionary[Answer, dict[str, Any]] = WeakKeyDictionary()  # answers are remembered, see answer()


def _written_once(found: Answer) -> dict[str, Any]:
    if (written := _WRITTEN.get(found)) is None:
        written = _WRITTEN[found] = as_json(found)
    return written


def reply_to(turn: Turn, found: Answer, of_body: OfBody) -> Reply:
    """Turn an answer into a reply and remember it, with what the asker said; what is recorded is not said."""
    written = as_json(found, of_body) if of_body else _written_once(found)
    options = [Option(label=choice.label, value=choice.value) for choice in found.choices]
    rule = turn.kb.rule_of.get(found.route)
    if rule is not None and not options:
        options = [Option(label=say("ask.judge", title=rule.title), value=f"判断 {rule.id}")]
    if found.kind != "chat":
        _remember(turn, found.question, found)  # a choice is no question: what it decides is
        own = {key: value for key, value in found.facts.items() if key not in _OF_THE_QUESTION}
        _store_facts(turn, {key: value for key, value in own.items() if not _from_body(of_body, key, value)})
    return Reply(
        text=written["text"],
        options=tuple(options),
        kind=found.kind,
        rest=written["more"],
        answer=written,
        route=found.route,
    )


def ask(turn: Turn) -> Reply:
    """Answer whatever no other route took."""
    text = turn.text.strip()
    if len(text) > LONGEST_QUESTION:
        return _chat(turn, "too_long", limit=LONGEST_QUESTION)
    if re.search(r"[A-Za-zÀ-ÿЀ-ӿ぀-ヿ가-힣]{3,}", text) and not re.search(r"[一-鿿]", text) and len(text.split()) > 2:
        return _chat(turn, "foreign")
    return reply_to(turn, *_answered(turn, text, _before(turn)))


def _chat(turn: Turn, part: str, **values: object) -> Reply:
    text = say(f"ask.{part}", **values)
    blank = Answer(
        kind="chat", question=turn.text, as_of=turn.now.astimezone(LOCAL).date(), edition=turn.kb.edition, route=part
    )
    written = {**as_json_chat(blank, text)}
    return Reply(text=text, answer=written, route=part)


def as_json_chat(found: Answer, text: str) -> dict[str, Any]:
    """The program's view of a reply that is no answer."""
    return {
        "question": found.question, "kind": "chat", "status": None, "verdict": None, "headline": text.split("\n")[0],
        "text": text, "more": "", "citations": [], "choices": [], "missing": [], "as_of": found.as_of.isoformat(),
        "edition": found.edition, "score": 0.0, "route": found.route,
    }  # fmt: skip


def state_fact(turn: Turn) -> Reply:
    """A fact picked from the choices under an answer: keep it and answer the question again."""
    key, _, value = turn.text.partition("=")
    try:
        fact = parse_fact(key, value)
    except (KeyError, ValueError) as error:
        raise Invalid(say("ask.empty")) from error
    _store_facts(turn, {key: fact})
    kept = turn.conversation.before
    if not kept:
        return _chat(turn, "nothing_before")
    on = turn.now.astimezone(LOCAL).date()
    rule = turn.kb.rules.get(kept["route"].removeprefix("rule:"))
    if rule is None:
        return reply_to(turn, *_answered(turn, kept["said"]))
    said, known = turn.kb.understand(kept["said"], on.year), _known(turn, kept["said"])
    return reply_to(turn, apply_rule(turn.kb, rule, _facts(turn, known), on=on, question=said), known)


def forward(turn: Turn) -> Reply:
    """The last answer in a form to send on."""
    kept = turn.conversation.before
    if not kept:
        return _chat(turn, "nothing_to_forward")
    found, _ = _answered(turn, kept["said"])
    return Reply(text=say("ask.forwarded", text=copies(found)["sms"]), route="forward")


def wrong(turn: Turn) -> Reply:
    """答得不对: the last question goes on the list of open questions."""
    last = questions.last_question(turn.db, turn.inbound.channel, turn.inbound.address)
    if last is None:
        return _chat(turn, "nothing_before")
    questions.dispute(turn.db, last.exchange_id)
    return _chat(turn, "noted_wrong")


def why(turn: Turn) -> Reply:
    """为什么 after an answer: from which clauses and which edition it came."""
    kept = turn.conversation.before
    if not kept or not kept["clauses"]:
        return _chat(turn, "nothing_to_explain")
    names = []
    for notice_id, label in kept["clauses"]:
        notice = turn.kb.notice(notice_id)
        if notice is not None:
            names.append(say("ask.source", citation={"number": notice.number, "title": notice.title, "clause": label}))
    return Reply(text=say("ask.why", edition=kept["edition"], sources="、".join(names)), route="why")


def report(turn: Turn) -> Reply:
    """我要举报: the province's channel at once; nothing is queued or shown to a county."""
    return Reply(text=say("ask.report_channel", channel=turn.given.get("report_channel", "")), route="report")


# --- forms: a rule's facts, asked one by one ---------------------------------------------------------------------


def _step(rule: Rule, key: str) -> Step:
    kind = KINDS[key]

    def parse(turn: Turn, text: str) -> str:
        if asks(text):  # 二次申报要什么条件 is no rate of two per cent
            raise Invalid(kind.ask)
        try:
            return plain(parse_fact(key, text, year=turn.now.year))
        except ValueError:
            raise Invalid(kind.ask) from None

    def applies(answers: Answers) -> bool:
        return key in rule.missing({fact: parse_fact(fact, value) for fact, value in answers.items()})

    return Step(
        key=key, ask=kind.ask, parse=parse, options=tuple(Option(label=o, value=o) for o in kind.options), when=applies
    )


def _judged(rule: Rule) -> Callable[[Turn, Answers], Reply]:
    def done(turn: Turn, answers: Answers) -> Reply:
        facts = {key: parse_fact(key, value) for key, value in answers.items()}
        question, on = turn.kb.understand(rule.title, turn.now.year), turn.now.astimezone(LOCAL).date()
        found = apply_rule(turn.kb, rule, facts, on=on, question=question)
        return reply_to(turn, found, _known(turn, rule.title))

    return done


def _remembered(rule: Rule) -> Callable[[Turn], Answers]:
    def start(turn: Turn) -> Answers:
        facts = _facts(turn, _known(turn, rule.title))
        return {key: plain(value) for key, value in facts.items() if key in rule.facts}

    return start


def flows(kb: KnowledgeBase) -> list[Flow]:
    """One form for each rule: it asks the facts that still matter and ends with the rule's answer."""
    return [
        Flow(
            name=rule.id,
            title=rule.title,
            steps=tuple(_step(rule, key) for key in rule.facts),
            done=_judged(rule),
            start=_remembered(rule),
        )
        for rule in kb.rules.values()
    ]


ROUTES = [
    Route(name="ask.fact", pattern=r"[a-z_]+=.+", run=state_fact, examples=("batch_year=2016年度", "evaluated=是")),
    Route(name="ask.judge", pattern=r"判断 (?P<flow>[a-z-]+)", flow=True, examples=("判断 acceptance",)),
    Route(name="ask.forward", pattern=r"转发领导|转发", run=forward, examples=("转发领导",)),
    Route(name="ask.wrong", pattern=r"答得不对|不对|答错了", run=wrong, examples=("答得不对",)),
    Route(name="ask.report", pattern=r"(?:我要|我想|怎么|在哪)?(?:里)?(?:举报|投诉举报)(?:电话|渠道)?", run=report,
          examples=("我要举报", "举报")),
]  # fmt: skip
