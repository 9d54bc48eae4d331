"""看电话: a colleague's full phone, for the province and its hotline, with a reason that stays in the audit."""

import re

from bot.dialogue import Route
from bot.flows import Answers, Flow, Step
from bot.inputs import asks
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from storage import bodies, people, scope, secrets
from storage.models import Person

OFFERED = 9  # people of one name
REASONS = ("回拨来电", "通知整改事项", "核实材料")


def _start(turn: Turn) -> Answers:
    """Refuse who may not; whom the first message names need not be asked for."""
    if not turn.viewer.may("see_phone"):
        raise Refused(say("phones.may_not"))
    found = re.fullmatch(_SEE, turn.text)
    if found is None or not found["who"]:
        return {}
    known = people.named(turn.db, found["who"])
    return {"person": known[0].id} if len(known) == 1 else {"typed": found["who"]}


def _named(turn: Turn, typed: str) -> list[Person]:
    return people.named(turn.db, re.sub(r"^#", "", typed.strip()))


def _who(turn: Turn, text: str) -> int:
    found = _named(turn, text)
    if len(found) != 1:
        raise Invalid(_unclear(text.strip(), found))
    return found[0].id


def _ask_who(turn: Turn, answers: Answers) -> str:
    typed = answers.get("typed", "")
    if not typed:
        return say("phones.ask_who")
    return _unclear(typed, _named(turn, typed))


def _unclear(typed: str, found: list[Person]) -> str:
    return say("phones.several", name=typed) if found else say("phones.nobody", name=typed)


def _offered(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    found = _named(turn, answers["typed"])[:OFFERED] if "typed" in answers else []
    return tuple(Option(label=_described(turn, one), value=f"#{one.id}") for one in found)


def _described(turn: Turn, person: Person) -> str:
    held = [
        bodies.place(turn.db, one.body_id, one.division_code) + scope.ROLES[one.role]
        for one in people.roles(turn.db, person.id)
    ]
    return say("phones.person", name=person.name, unit=people.unit_name(turn.db, person), roles=held)


def _reason(_turn: Turn, text: str) -> str:
    if len(text.strip()) < 2 or asks(text):
        raise Invalid(say("phones.ask_reason"))
    return secrets.without_phones(text.strip())[:200]


def _show(turn: Turn, answers: Answers) -> Reply:
    person = next(iter(people.named(turn.db, str(answers["person"]))), None)
    try:
        if person is None:
            raise scope.OutOfScope("phone")
        phone = people.see_phone(turn.db, person, answers["reason"], turn.now)
    except scope.OutOfScope:
        raise Refused(say("phones.out_of_reach")) from None
    text = say("phones.shown", person=_described(turn, person), phone=phone, reason=answers["reason"])
    return Reply(text=text, kind="flow", route="phone")


_SEE = r"看(?:手机|电话)(?:号码?)?[\s:：]*(?P<who>#?\d{1,9}|[一-鿿·]{2,15})?"
FLOWS = (
    Flow(
        name="看电话",
        title="看电话",
        steps=(
            Step(key="person", ask=_ask_who, parse=_who, options=_offered),
            Step(
                key="reason",
                ask=say("phones.ask_reason"),
                parse=_reason,
                prose=True,
                options=tuple(Option(label=one, value=one) for one in REASONS),
            ),
        ),
        start=_start,
        done=_show,
    ),
)
ROUTES = [
    Route(name="看电话", pattern=_SEE, flow=True, member=True, examples=("看电话", "看电话 张三", "看电话 #12")),
]
