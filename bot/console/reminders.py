"""提醒: what will be sent in the coming days, to whom and why; what waits for a person's word; sending off and on."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from bot import digests, planner
from bot.console.frame import PROVINCE, Console, Desk, Entry, Sent
from bot.ladder import Planned
from bot.texts import say
from bot.workdays import LOCAL, read_hours
from storage import bodies, deliveries, people, reminders, scope
from storage.reminders import Holders

READERS = PROVINCE
MENU = (Entry(path="/console/reminders", label="提醒", roles=READERS),)
DAYS = 7
NAMED = 200  # messages in doubt that a page lists
MOST_BODIES = 10_000


@dataclass(kw_only=True)
class Batch:
    """The reminders of a day for the same reason: who gets them, and about what."""

    why: str
    people: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # role → people
    bodies: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # role → the counties they are of
    subjects: dict[str, str] = field(default_factory=dict)  # key → words; none of what people set for themselves

    @property
    def counts(self) -> dict[str, int]:
        """How many people of each role."""
        return {role: len(found) for role, found in self.people.items()}


@dataclass(frozen=True, kw_only=True)
class Day:
    """A day of the calendar: from when to when messages go out, how many, and the reminders in them."""

    on: date
    works: bool
    first: datetime | None
    last: datetime | None
    messages: int
    batches: list[Batch]


def router(console: Console) -> APIRouter:
    """The page of reminders."""
    routes = APIRouter()

    @routes.get("/console/reminders")
    def page(request: Request) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _page(desk)

    @routes.post("/console/reminders/release")
    def release(request: Request, form: Sent) -> Response:
        """Let go out what was held; with `drop`, only what is not late."""
        with console.act(request, form, *scope.MAY["switch_sending"]) as desk:
            if reminders.switch(desk.db, digests.HELD)[0] != "held":
                return desk.back("/console/reminders", say("schedule.nothing_held"))
            drop = form.get("drop") == "yes"
            late = digests.release(desk.db, desk.now, drop=drop, role=desk.viewer.role_for("switch_sending"))
            return desk.back("/console/reminders", say("schedule.released", late=late, drop=drop))

    return routes


def _page(desk: Desk) -> HTMLResponse:
    today, held = desk.now.astimezone(LOCAL).date(), _roles(reminders.holders(desk.db))
    mine = {number for number, _ in held}
    state, reason = reminders.switch(desk.db, digests.HELD)
    on, off_reason = deliveries.sending(desk.db)
    late = [row for rows in reminders.due(desk.db, today).values() for row in rows]
    late = [row for row in late if row.planned_on < today and row.person_id in mine]
    days = _days(desk, held, today)
    with scope.serving(desk.db, scope.SYSTEM):
        names = people.names(desk.db)
        undecided = [one for one in planner.undecided(desk.db, desk.console.kb()) if one.due_on >= today]
    doubtful = [(one, _number(one.recipient)) for one in deliveries.in_doubt(desk.db, NAMED)]
    return desk.page(
        "desk/reminders.html", days=days, held=reason if state == "held" else "", on=on, reason=off_reason, late=late, here="reminders",
        undecided=len(undecided), told_of=Counter(held[number, None] for number in {row.person_id for row in late}),
        doubtful=[(one, names.get(number, "")) for one, number in doubtful if not number or number in mine],
        local=lambda at: at.astimezone(LOCAL), role_names=scope.ROLES, may_switch=desk.viewer.may("switch_sending"),
        hours=desk.console.settings.province.quiet_hours,
    )  # fmt: skip


def _number(recipient: str) -> int:
    """Whom a message is for; 0 for an address that nobody is bound to."""
    kind, _, number = recipient.partition(":")
    return int(number) if kind == "person" else 0


def _roles(holders: Holders) -> dict[tuple[int, int | None], str]:
    """The role of each person for each body, and under None one of theirs: the province's before a county's."""
    found: dict[tuple[int, int | None], str] = {}
    for (role, body_id), numbers in holders.of_body.items():
        found |= {(number, key): role for number in numbers for key in (body_id, None)}
    return found | {(number, None): role for (role, _), numbers in holders.of_province.items() for number in numbers}


# --- the calendar ----------------------------------------------------------------------------------------------------


def _days(desk: Desk, held: Mapping[tuple[int, int | None], str], today: date) -> list[Day]:
    """The coming days with what is still to be sent in them, of the people and bodies that the viewer sees."""
    hours, kb = read_hours(desk.console.settings.province.quiet_hours), desk.console.kb()
    seen = {None, *(one.id for one in bodies.visible(desk.db, MOST_BODIES))}
    with scope.serving(desk.db, scope.SYSTEM):
        settled, calendar = reminders.settled(desk.db, today), planner.workdays(desk.db)
        found = list(digests.foreseen(desk.db, kb, hours, today, today + timedelta(days=DAYS - 1)))
    by_day: dict[date, list[tuple[Planned, datetime]]] = defaultdict(list)
    for one, at in found:
        if (one.person_id, None) in held and one.subject.body_id in seen and one.key not in settled:
            by_day[one.on].append((one, at))
    days = [today + timedelta(days=count) for count in range(DAYS)]
    return [_day(on, calendar.is_workday(on), by_day[on], held) for on in days]


def _day(
    on: date, works: bool, rows: list[tuple[Planned, datetime]], held: Mapping[tuple[int, int | None], str]
) -> Day:
    batches: dict[str, Batch] = {}
    for one, _ in rows:
        words = say("schedule.why", subject=one.subject, step=one.rung.step)
        batch, body_id = batches.setdefault(words, Batch(why=words)), one.subject.body_id
        role = held.get((one.person_id, body_id)) or held[one.person_id, None]
        batch.people[role].add(one.person_id)
        if body_id is not None:
            batch.bodies[role].add(body_id)
        if one.subject.kind != "own":
            batch.subjects[one.subject.key] = one.subject.what
    times = [at for _, at in rows]
    return Day(
        on=on, works=works, first=min(times, default=None), last=max(times, default=None),
        messages=len({one.person_id for one, _ in rows}), batches=list(batches.values()),
    )  # fmt: skip
