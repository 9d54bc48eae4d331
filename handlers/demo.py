"""In the demo, speaking as one of the sample counties: its facts are then used in every answer."""

from bot.dialogue import Route
from bot.messages import Invalid, Reply, Turn
from bot.texts import say
from knowledge.facts import KINDS, parse_fact, show_fact


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


ROUTES = [Route(name="demo.county", pattern=r"我们?是[一-龥]{1,6}[县区市旗]", run=as_county, examples=("我是秦安县",))]
