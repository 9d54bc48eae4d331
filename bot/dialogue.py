"""The path of every message: stored reply, option, universal word, form, route, question.

One turn is one transaction: what was said, what is answered and what is remembered commit together, so that a
retried message finds its stored reply.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import Any

import structlog
from sqlalchemy.orm import Session

from bot.flows import Answered, Flow, Step
from bot.inputs import asks, option_number, universal
from bot.messages import Inbound, Invalid, Option, Refused, Reply, Turn, fitted
from bot.texts import say
from knowledge.base import KnowledgeBase
from storage import bindings, conversations, deliveries, scope, secrets
from storage.conversations import Arrival
from storage.models import Conversation

IDLE = timedelta(minutes=30)
LEANS_FOR = timedelta(minutes=10)
KEEPS_REST = ("more", "result")  # routes that show what was said before: what waits for 更多 goes on waiting
WAITS = "waits"  # the key, among a form's answers, of the form that goes on when it is done: its name and answers
AS_ANSWER, AS_COMMAND = "本步内容", "另办"  # how a choice says what was meant by a sentence
_MEANT = re.compile(rf"({AS_ANSWER}|{AS_COMMAND})：(.+)", re.DOTALL)
SHORT = 20  # characters up to which a sentence of somebody's work may be meant as a command
_HAN = re.compile(r"[一-鿿]")
_INQUIRES = re.compile(
    r"啥|哪|谁|还是|如何|为何|为什么|要求$|条件$"
)  # beside what bot.inputs.asks takes for a question
OPENS_AFTER = timedelta(hours=12)
KEPT = 4096  # messages whose route is remembered
OFFERED_FOR = timedelta(days=3)  # how long the choices of a message wait for somebody who has never written
log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Route:
    """What a whole message can mean. `examples` prove that no two routes claim the same words."""

    name: str
    pattern: str
    examples: tuple[str, ...]
    run: Callable[[Turn], Reply] | None = None
    flow: bool | str = False  # begins the form of this name, or that of the match's group `flow`, or of its own name
    member: bool = False  # only for people who are bound; others learn how to bind
    sentence: bool = False  # what people say of their work as well: it may be the answer to a `prose` step of a form

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def match(self, text: str) -> re.Match[str] | None:
        return self._compiled.fullmatch(text)

    def begins(self, match: re.Match[str]) -> str | None:
        """The form that a match begins."""
        own = self.flow if isinstance(self.flow, str) else self.name
        return (match.groupdict().get("flow") or own) if self.flow else None


@dataclass(frozen=True, kw_only=True)
class Handlers:
    """What the machine is given: routes, forms, and the functions for what no route takes.

    `events` are keyed by the first word of an event; an event without a function gets no reply.
    """

    routes: Sequence[Route]
    flows: Mapping[str, Flow]
    ask: Callable[[Turn], Reply]
    why: Callable[[Turn], Reply]
    received: Callable[[Turn], Reply]  # pictures, files, and what cannot be used
    events: Mapping[str, Callable[[Turn], Reply]]
    after: Callable[[Turn, Reply], Reply] = lambda turn, reply: reply  # a last look at what is said to a person
    opening: Callable[[Turn], str] = lambda turn: ""  # what a conversation begins with after a long pause

    @cached_property
    def route(self) -> Callable[[str], tuple[Route, str | None] | None]:
        """Find the route that takes a whole message, and the form that it begins. Questions come again."""

        @lru_cache(maxsize=KEPT)
        def find(text: str) -> tuple[Route, str | None] | None:
            found = ((route, route.match(text)) for route in self.routes)
            return next(((route, route.begins(match)) for route, match in found if match), None)

        return find


@dataclass(frozen=True, kw_only=True)
class Assistant:
    """Answers one message at a time within the transaction it is given."""

    kb: KnowledgeBase
    handlers: Handlers
    given: Mapping[str, Any] = field(default_factory=dict)  # Any: settings that texts need, such as the province's name
    limits: Mapping[str, int] = field(default_factory=dict)  # channel → the most that one message holds, in bytes
    guards: Mapping[str, deliveries.Guard] = field(default_factory=dict)  # as those of the dispatcher

    def handle(self, db: Session, inbound: Inbound, given: Mapping[str, Any] | None = None) -> Reply:
        """Answer a message and store the exchange; a message seen before gets its stored reply."""
        started = time.perf_counter()
        arrived = conversations.arrival(db, inbound.channel, inbound.address, inbound.message_id)
        if arrived.reply is not None:
            return Reply.from_json(arrived.reply)
        turn = self._turn(db, inbound, given, arrived)
        user, conversation = turn.user, turn.conversation
        opening = self.handlers.opening(turn) if inbound.at - conversation.touched_at >= OPENS_AFTER else ""
        reply = self._reply(turn)
        if reply.text:  # nothing is said after an event that wants no answer
            reply = self.handlers.after(turn, reply)
            if user is not None or arrived.waits or db.info.get(deliveries.PUT):
                reply = self._with_owed(turn, reply)
            reply = self._fitted(turn, replace(reply, text=f"{opening}\n\n{reply.text}") if opening else reply)
        conversation.touched_at = inbound.at
        conversations.close_conversation(db, conversation)
        exchange = {
            "channel": inbound.channel,
            "message_id": inbound.message_id,
            "address": inbound.address,
            "person_id": user.id if user else None,
            "route": reply.route,
            "edition": self.kb.edition,
            "at": inbound.at,
            "took_ms": round((time.perf_counter() - started) * 1000),
        }
        said = secrets.without_phones(inbound.text)
        conversations.record_exchange(db, exchange, said, reply.to_json(), user, self.given.get("home"))
        return reply

    def knows(self, inbound: Inbound) -> bool:
        """Whether a message is no question in words that are new: it takes little time then."""
        text = inbound.text.strip()
        return (
            inbound.kind != "text"
            or (text, inbound.at.year) in self.kb.understood
            or option_number(text) is not None
            or self.handlers.route(universal(text) or text) is not None
        )

    def prepare(self, db: Session, inbound: Inbound, given: Mapping[str, Any] | None = None) -> None:
        """Work out the answer to a question, which the knowledge remembers. What this changes is not to be committed."""
        arrived = conversations.arrival(db, inbound.channel, inbound.address, inbound.message_id)
        if arrived.reply is not None:
            return
        with db.no_autoflush:
            turn = self._turn(db, inbound, given, arrived)
            if turn.conversation.flow in self.handlers.flows and not _inquires(turn):
                return
            if self.handlers.route(universal(turn.text) or turn.text) is None:
                self._ask(turn)

    def _turn(self, db: Session, inbound: Inbound, given: Mapping[str, Any] | None, arrived: Arrival) -> Turn:
        """A message with the conversation it belongs to, which forgets what has waited too long."""
        user = bindings.person(db, arrived.person_id)
        viewer = scope.enter(db, user, inbound.channel)
        conversation = conversations.open_conversation(db, arrived, inbound.channel, inbound.address, user, inbound.at)
        last_at = None if conversation.id is None else conversation.touched_at
        if inbound.at - conversation.touched_at > LEANS_FOR:
            conversation.before = {}
        if inbound.at - conversation.touched_at > IDLE:
            conversation.flow, conversation.answers, conversation.options = None, [], []
        return Turn(
            inbound=inbound,
            text=inbound.text.strip(),
            user=user,
            viewer=viewer,
            conversation=conversation,
            db=db,
            kb=self.kb,
            now=inbound.at,
            last_at=last_at,
            given={**self.given, **(given or {})},
        )

    def _reply(self, turn: Turn) -> Reply:
        if turn.inbound.kind == "event":
            return self._event(turn)
        if turn.inbound.kind != "text":
            return self.handlers.received(turn)
        try:
            reply = self._dispatch(self._picked(turn))
        except (Invalid, Refused) as trouble:
            return Reply(
                text=str(trouble),
                options=_offered(turn.conversation),
                kind="flow" if turn.conversation.flow else "chat",
            )
        turn.conversation.options = [{"label": o.label, "value": o.value} for o in reply.options]
        if reply.route not in KEEPS_REST:
            _keep_rest(turn, reply.rest)
        return reply

    def _event(self, turn: Turn) -> Reply:
        handle = self.handlers.events.get(turn.text.partition(" ")[0])
        reply = handle(turn) if handle else Reply(text="", route="event")
        if reply.options:
            turn.conversation.options = [{"label": o.label, "value": o.value} for o in reply.options]
        return reply

    def _fitted(self, turn: Turn, reply: Reply) -> Reply:
        """Keep a reply within what the channel carries at once; the rest waits for 更多."""
        limit = self.limits.get(turn.inbound.channel, 0)
        reply, rest = fitted(reply, limit, say("dialogue.rest_follows"))
        if rest:
            _keep_rest(turn, "\n".join(part for part in (rest, _rest(turn)) if part))
        return reply

    def _with_owed(self, turn: Turn, reply: Reply) -> Reply:
        """Put before a reply what the person is still to be told."""
        waiting = deliveries.collect(turn.db, _recipients(turn), turn.inbound.channel, turn.now, self.guards)
        texts = [Reply.from_json(one.reply).text for one in waiting]
        return replace(reply, text="\n\n".join((*texts, reply.text))) if texts else reply

    def _picked(self, turn: Turn) -> Turn:
        """Turn an option number, or an option's label, into what the option sends."""
        number = option_number(turn.text)
        if number is not None and not turn.conversation.flow:
            _offer_pushed(turn)
        offered = _offered(turn.conversation)
        for option in offered:
            if turn.text == option.label:
                return replace(turn, text=option.value)
        if number is None or not offered or _step(self.handlers.flows, turn.conversation) and not offered:
            return turn
        if number > len(offered):
            raise Invalid(say("dialogue.no_such_option", number=number, count=len(offered)))
        return replace(turn, text=offered[number - 1].value)

    def _dispatch(self, turn: Turn) -> Reply:
        flow = self.handlers.flows.get(turn.conversation.flow or "")
        if flow is not None:
            return self._in_flow(turn, flow, universal(turn.text))
        return self._route(turn) or self._ask(turn)

    def _ask(self, turn: Turn) -> Reply:
        text = secrets.without_phones(turn.text)
        return self.handlers.ask(turn if text == turn.text else replace(turn, text=text))

    def _route(self, turn: Turn) -> Reply | None:
        word = universal(turn.text)
        if word in ("更多", "为什么"):
            return _more(turn) if word == "更多" else self.handlers.why(turn)
        found = self.handlers.route(word or turn.text)
        if found is None:
            return None
        route, flow = found
        if route.member and turn.user is None:
            return Reply(text=say("dialogue.members_only"), route="members-only")
        if flow is not None:
            return self._begin(turn, flow)
        assert route.run is not None
        return route.run(turn)

    # --- forms -------------------------------------------------------------------------------------------------

    def _begin(self, turn: Turn, name: str) -> Reply:
        flow = self.handlers.flows.get(name)
        if flow is None:
            raise Invalid(say("dialogue.no_such_form"))
        began = [[key, value] for key, value in flow.start(turn).items()]
        turn.conversation.answers = [*self._set_aside(turn, flow, began), *began]
        turn.conversation.flow = flow.name
        return self._advance(turn, flow)

    def _set_aside(self, turn: Turn, flow: Flow, began: list[Any]) -> list[Any]:  # Any: pairs of key and answer
        """What is kept of an open form when another one begins: all of it, unless nothing has been said in it yet.

        The form goes on when the other is done. Raises Invalid when one waits already: nobody keeps three in mind.
        """
        answers = turn.conversation.answers
        waiting = [pair for pair in answers if pair[0] == WAITS]
        before = self.handlers.flows.get(turn.conversation.flow or "")
        step = before.next_step(_given(answers)) if before else None
        if before is None or step is None or before is flow and all(pair in answers for pair in began):
            return waiting  # none was open, or the same one begins anew
        if not step.prose and len({one.key for one in before.steps} & _given(answers).keys()) < 2:
            return waiting
        if waiting:
            raise Invalid(say("dialogue.another_form", title=before.title, said=turn.text))
        return [[WAITS, [before.name, answers]]]

    def _go_on(self, turn: Turn, answers: Sequence[Any], reply: Reply) -> Reply:
        """After a form, go on with the one that waits for its end, if one does. `answers` are those of the form."""
        name, kept = dict(answers).get(WAITS, (None, []))
        flow = self.handlers.flows.get(name or "")
        step = flow.next_step(_given(kept)) if flow else None
        if flow is None or step is None or turn.conversation.flow:
            return reply
        turn.conversation.flow, turn.conversation.answers = flow.name, kept
        try:
            return self._resume(turn, flow, step, reply)
        except (Invalid, Refused) as trouble:  # what it is about has changed meanwhile
            turn.conversation.flow, turn.conversation.answers = None, []
            return replace(
                reply, text=f"{reply.text}\n{say('dialogue.no_way_on', title=flow.title, trouble=str(trouble))}"
            )

    def _in_flow(self, turn: Turn, flow: Flow, word: str | None) -> Reply:
        answers = turn.conversation.answers
        if word == "取消":
            turn.conversation.flow, turn.conversation.answers = None, []
            return self._go_on(turn, answers, Reply(text=say("dialogue.cancelled", title=flow.title), route="cancel"))
        if word in ("返回", "上一步"):
            turn.conversation.answers = flow.back(answers)
            return self._advance(turn, flow)
        step = flow.next_step(_given(answers))
        assert step is not None  # a form without an open step has ended
        meant = _MEANT.fullmatch(turn.text) if step.prose else None
        turn = replace(turn, text=meant[2]) if meant else turn
        if meant and meant[1] == AS_COMMAND or word:
            aside = self._elsewhere(turn)
        else:
            aside = self._command(turn, flow) if step.prose and not meant else None
        if aside is None and word is None:
            try:
                value = step.parse(turn, turn.text)
            except Invalid as trouble:
                short = len(turn.text) < 4 and self.handlers.route(turn.text) is None
                if short or meant or not _HAN.search(turn.text):
                    raise  # no question has so little, and what was said to be the answer is none
                aside = self._elsewhere(turn) or (self._ask(turn) if _inquires(turn) else None)
                if aside is None:  # an answer that was mistyped: the form says what it needs
                    raise Invalid(say("dialogue.mistyped", trouble=str(trouble))) from None
            else:
                given = value if isinstance(value, tuple) else (value,)
                new = [[one.key, one.value] if isinstance(one, Answered) else [step.key, one] for one in given]
                kept = [pair for pair in turn.conversation.answers if pair[0] not in [key for key, _ in new]]
                turn.conversation.answers = [*kept, *new]
                return self._advance(turn, flow)
        return (
            self._resume(turn, flow, step, aside)
            if aside and turn.conversation.flow == flow.name and aside.route != f"flow:{flow.name}"
            else aside or self._advance(turn, flow)
        )

    def _command(self, turn: Turn, flow: Flow) -> Reply | None:
        """What is said to a command where a form waits for a sentence; None to what is its answer.

        What may be either is asked: a short sentence that people say of their work, as “3号改完了”.
        """
        route, _ = self.handlers.route(turn.text) or (None, None)
        if route is None or route.sentence and len(turn.text) > SHORT:
            return None
        if not route.sentence:
            return self._elsewhere(turn)
        options = (
            Option(label=f"作为“{flow.title}”的内容", value=f"{AS_ANSWER}：{turn.text}"),
            Option(label="另外办理，办完再继续", value=f"{AS_COMMAND}：{turn.text}"),
        )
        text = say("dialogue.either", title=flow.title, said=turn.text)
        return Reply(text=text, options=options, kind="flow", route=f"flow:{flow.name}")

    def _elsewhere(self, turn: Turn) -> Reply | None:
        """What a route says within a form; what it refuses is no end of the form either."""
        try:
            return self._route(turn)
        except (Invalid, Refused) as trouble:
            return Reply(text=str(trouble), route="refused")

    def _advance(self, turn: Turn, flow: Flow) -> Reply:
        given = turn.conversation.answers
        answers = _given(given)
        step = flow.next_step(answers)
        if step is None:
            turn.conversation.flow, turn.conversation.answers = None, []
            return self._finish(turn, flow, answers, given)
        number = 1 + len({one.key for one in flow.steps} & answers.keys())  # not what the form began with
        text = say("dialogue.step", title=flow.title, number=number, ask=step.asked(turn, answers))
        return Reply(text=text, options=step.offered(turn, answers), kind="flow", route=f"flow:{flow.name}")

    def _finish(
        self, turn: Turn, flow: Flow, answers: Mapping[str, Any], given: Sequence[Any]
    ) -> Reply:  # Any: answers
        """Do what a form is for; a refusal is no end of the form that waits for it."""
        try:
            reply = flow.done(turn, answers)
        except (Invalid, Refused) as trouble:
            if WAITS not in dict(given):
                raise
            reply = Reply(text=str(trouble), route="refused")
        return self._go_on(turn, given, reply)

    def _resume(self, turn: Turn, flow: Flow, step: Step, aside: Reply) -> Reply:
        """Answer what was asked in between, then ask the open step again. A number answers the step: a list has none."""
        answers = _given(turn.conversation.answers)
        listed = [option.label for option in aside.options] if aside.kind != "flow" else []  # not what to do next
        text = say("dialogue.resume", aside=aside.text, listed=listed, title=flow.title, ask=step.asked(turn, answers))
        return replace(aside, text=text, options=step.offered(turn, answers))


def _inquires(turn: Turn) -> bool:
    """Whether a text that is no answer to the open step is a question."""
    question = turn.kb.understand(turn.text, turn.now.year)
    return question.yes_no or bool(question.slots) or asks(turn.text) or bool(_INQUIRES.search(turn.text))


def _recipients(turn: Turn) -> list[str]:
    """Whom the ledger knows the speaker as."""
    known = [deliveries.address(turn.inbound.channel, turn.inbound.address)]
    return known if turn.user is None else [*known, deliveries.person(turn.user.id)]


def _offer_pushed(turn: Turn) -> None:
    """Let a number pick from the choices of a message that came after what was said last."""
    told = deliveries.last_told(turn.db, _recipients(turn), turn.last_at or turn.now - OFFERED_FOR)
    if told is not None and told.accepted_at != turn.last_at and told.reply["options"]:
        turn.conversation.options = told.reply["options"]


def _step(flows: Mapping[str, Flow], conversation: Conversation) -> Step | None:
    flow = flows.get(conversation.flow or "")
    return flow.next_step(_given(conversation.answers)) if flow else None


def _given(pairs: Sequence[Any]) -> dict[str, Any]:  # Any: pairs of key and answer
    """A form's own answers by key, without the form that waits for its end."""
    return {key: value for key, value in pairs if key != WAITS}


def _offered(conversation: Conversation) -> tuple[Option, ...]:
    return tuple(Option(**option) for option in conversation.options)


def _rest(turn: Turn) -> str:
    """What waits for 更多; nothing when the roles have changed for which it was written."""
    kept = secrets.decrypt(turn.db, turn.conversation.rest) if turn.conversation.rest else ""
    viewer, _, rest = kept.partition("\n")
    return rest if viewer == scope.told(turn.viewer) else ""


def _keep_rest(turn: Turn, rest: str) -> None:
    turn.conversation.rest = secrets.encrypt(turn.db, f"{scope.told(turn.viewer)}\n{rest}") if rest else ""


def _more(turn: Turn) -> Reply:
    rest = _rest(turn)
    _keep_rest(turn, "")
    return Reply(text=rest or say("dialogue.no_more"), options=_offered(turn.conversation), route="more")


def apology(inbound: Inbound, reference: str) -> Reply:
    """What the person gets when a turn failed: a reference, and that nothing was changed."""
    return Reply(text=say("dialogue.apology", reference=reference), route="apology")
