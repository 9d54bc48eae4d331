"""Which implementing body and year a form is about, and what is recorded of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from bot.flows import Answered, Answers, Step
from bot.messages import Invalid, Option, Refused, Turn
from bot.texts import say
from bot.workdays import LOCAL
from knowledge.facts import parse_fact
from knowledge.model import Fact
from storage import bodies, facts, funds
from storage.models import Body
from storage.scope import ROLES, reaches

OFFERED = 9  # bodies in a list to choose from


def _chosen(turn: Turn, body: Body, action: str | None) -> dict[str, Any]:  # Any: JSON
    """A body as a form keeps it, with its years, so that the next question follows from the answers alone."""
    years = bodies.batch_years(turn.db, body.id)
    if action is not None and not years:
        raise Refused(say("places.no_year", body=body.name))
    return {"id": body.id, "name": body.name, "years": years}


def own(action: str | None) -> Callable[[Turn], Answers]:
    """Begin with the body that somebody speaks for; whoever has several in scope is asked. Refuses without any."""

    def start(turn: Turn) -> Answers:
        assert turn.user is not None  # the routes are for members
        if action is not None and not turn.viewer.may(action):
            raise Refused(say("places.may_not", roles="、".join(ROLES[role] for role in sorted(turn.viewer.roles))))
        found = [body for body in bodies.visible(turn.db, OFFERED) if _reached(turn, action, body)]
        own = [body for body in numbered(turn, turn.user.body_id) if _reached(turn, action, body)]
        if not found and not own:
            raise Refused(say("places.no_body"))
        return {"body": _chosen(turn, (own or found)[0], action)} if own or len(found) == 1 else {}

    return start


def numbered(turn: Turn, body_id: int | None) -> list[Body]:
    """The body of this number, when the viewer sees it."""
    return list(turn.db.scalars(select(Body).where(Body.id == body_id)))


def _reached(turn: Turn, action: str | None, body: Body) -> bool:
    return action is None or reaches(turn.db, turn.viewer, action, body.id)


def which(action: str | None) -> Step:
    """Which body, for whoever has several: picked from the first, or named."""

    def parse(turn: Turn, text: str) -> Answered:
        name = text.strip()
        found = [
            body for body in bodies.named(turn.db, name) or bodies.like(turn.db, name) if _reached(turn, action, body)
        ]
        if not found:
            raise Invalid(say("places.no_such_body", name=name))
        if len(found) > 1:
            shown = [f"{body.name}（{body.division_code}）" for body in found[:OFFERED]]
            raise Invalid(say("places.several_bodies", name=name, shown=shown, count=len(found)))
        return Answered(key="body", value=_chosen(turn, found[0], action))

    def offered(turn: Turn, _answers: Answers) -> tuple[Option, ...]:
        found = bodies.visible(turn.db, OFFERED)
        return tuple(Option(label=body.name, value=body.division_code) for body in found)

    return Step(key="search", ask=say("places.which_body"), parse=parse, options=offered, when=_no_body, sets="body")


def _no_body(answers: Answers) -> bool:
    return "body" not in answers


def year_step(when: Callable[[Answers], bool] = lambda answers: True) -> Step:
    """Which demonstration year, for a body of several."""

    def parse(turn: Turn, text: str) -> int:
        years = dict(turn.conversation.answers)["body"]["years"]
        try:
            year = int(str(parse_fact("batch_year", text)))
        except ValueError:
            year = 0
        if year not in years:
            raise Invalid(say("places.which_year", years=years))
        return year

    def offered(_turn: Turn, answers: Answers) -> tuple[Option, ...]:
        return tuple(Option(label=f"{year}年度", value=f"{year}年度") for year in answers["body"]["years"])

    return Step(
        key="year",
        ask=lambda turn, answers: say("places.which_year", years=answers["body"]["years"]),
        parse=parse,
        options=offered,
        when=lambda answers: len(answers["body"]["years"]) > 1 and when(answers),
    )


def year_of(answers: Answers) -> int:
    return int(answers.get("year") or answers["body"]["years"][0])


def guard(turn: Turn, action: str, body_id: int) -> None:
    """Look again before writing: a role may have ended while the form was open."""
    if not reaches(turn.db, turn.viewer, action, body_id):
        raise Refused(say("places.no_body"))


# --- what is recorded ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Known:
    """A fact of the asker's body, and in words where it comes from (6月填报); empty for its demonstration year."""

    value: Fact
    source: str = ""


OfBody = Mapping[str, Known]


def recorded(turn: Turn, body_id: int, batch_year: int | None) -> dict[str, Known]:
    """What is recorded of a body, in one of its years; the newest report of its funds gives the rates."""
    on = turn.now.astimezone(LOCAL).date()
    found = {
        key: Known(value=parse_fact(key, fact.value), source=say("places.from_fact", at=fact.as_of, on=on))
        for key, fact in facts.newest(turn.db, body_id, batch_year).items()
    }
    if batch_year is None:
        return found
    found["batch_year"] = Known(value=batch_year)
    if fund := funds.newest(turn.db, body_id, batch_year):
        reported, source = funds.sums(fund), say("places.from_funds", at=fund.as_of, on=on)
        rates = {"disbursement_rate": reported.disbursement_rate, "use_rate": reported.use_rate}
        found |= {key: Known(value=float(rate), source=source) for key, rate in rates.items() if rate is not None}
    return found
