"""In the demo, speaking as a sample county, whose facts are then used, or as a sample person, with their roles."""

from bot.dialogue import Route
from bot.messages import Invalid, Reply, Turn
from bot.texts import say
from knowledge.facts import KINDS, parse_fact, show_fact
from storage import bindings, bodies, people, scope


def as_county(turn: Turn) -> Reply:
    """Take over a sample county's facts for this conversation."""
    name = turn.text.removeprefix("我们").removeprefix("我").removeprefix("是")
    counties = turn.given.get("counties", {})
    if not counties:
        raise Invalid(say("demo.not_demo"))
    facts = counties.get(name)
    if facts is None:
        raise Invalid(say("demo.unknown", name=name, known="、".join(counties)))
    said_on = turn.now.date().isoformat()
    turn.conversation.facts = {key: {"value": value, "said_on": said_on} for key, value in facts.items()}
    shown = "，".join(f"{KINDS[key].label}{show_fact(key, parse_fact(key, value))}" for key, value in facts.items())
    return Reply(text=say("demo.county", name=name, facts=shown), route="demo.county")


def as_person(turn: Turn) -> Reply:
    """Bind the visitor to one of the sample people, to see what that role can do."""
    if not turn.given.get("counties"):
        raise Invalid(say("demo.not_demo"))
    name = turn.text.removeprefix("我是")
    with scope.serving(turn.db, scope.SYSTEM):
        found = people.named(turn.db, name)
        if len(found) != 1:
            raise Invalid(say("demo.unknown_person", name=name))
        bindings.bind(turn.db, found[0], turn.inbound.channel, turn.inbound.address, turn.now)
        held = people.roles(turn.db, found[0].id)
        roles = [bodies.place(turn.db, one.body_id, one.division_code) + scope.ROLES[one.role] for one in held]
    return Reply(text=say("demo.person", name=name, roles=roles), route="demo.person")


ROUTES = [
    Route(name="demo.county", pattern=r"我们?是[一-龥]{1,6}[县区市旗]", run=as_county, examples=("我是秦安县",)),
    Route(name="demo.person", pattern=r"我是样例[一-龥]", run=as_person, examples=("我是样例乙",)),
]
