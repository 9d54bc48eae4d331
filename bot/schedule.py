"""The command line of reminders: who would get what and when, the days people work, and what was held back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bot.texts import say

if TYPE_CHECKING:  # loaded by the commands that need them
    from sqlalchemy.orm import Session

    from bot.settings import Settings

app = typer.Typer(no_args_is_help=True, help="提醒")


def _stop(message: str, code: int = 1) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        _stop(say("schedule.no_date", text=text), 2)


@contextmanager
def _office() -> Iterator[tuple["Session", datetime, "Settings"]]:
    """One transaction on the real database, for whoever runs the command line."""
    from bot.installation import clock_of, open_database, settings
    from storage import audit
    from storage.db import transaction
    from storage.scope import OPERATOR, serving

    chosen = settings()
    sessions = open_database(chosen)
    with transaction(sessions) as db, serving(db, OPERATOR):
        yield db, clock_of(chosen)(), chosen
    audit.seal(sessions, chosen.audit_head_file)


@app.command("plan")
def plan(
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="从哪一天，如 2020-06-01")],
    end: Annotated[str, typer.Option("--to", metavar="DATE", help="到哪一天")],
    as_json: Annotated[bool, typer.Option("--json", help="每条提醒输出一行 JSON")] = False,
) -> None:
    """预演：这些天谁会收到什么提醒、何时、为什么；不发送，也不写入。"""
    from bot.app import knowledge

    first, last = _date(start), _date(end)
    if last < first:
        _stop(say("schedule.backwards"), 2)
    with _office() as (db, now, chosen):
        kb = knowledge(chosen)
        rows = list(_rows(db, kb, first, last, chosen))
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False) if as_json else say("schedule.row", row=row))
        notes = _notes(db, kb, now, rows)
    typer.echo(notes, err=as_json)


def _rows(db: "Session", kb: Any, first: date, last: date, chosen: "Settings") -> Iterator[dict[str, Any]]:
    """What would be sent, one row a reminder, in the order of sending."""
    from bot import digests, planner
    from bot.workdays import read_hours
    from storage import people

    hours, days, names = read_hours(chosen.province.quiet_hours), planner.workdays(db), people.names(db)
    for one, at in digests.foreseen(db, kb, hours, first, last):
        subject = one.subject
        yield {
            "at": at.isoformat(timespec="minutes"),
            "person_id": one.person_id,
            "person": names.get(one.person_id, ""),
            "kind": subject.kind,
            "step": one.rung.step,
            "subject": subject.key,
            "what": subject.what,
            "due_on": subject.due_on.isoformat(),
            "last_workday": days.on_or_before(subject.due_on).isoformat(),
            "source": subject.source,
            "why": say("schedule.why", subject=subject, step=one.rung.step),
            "provisional": one.rung.provisional or not days.is_known(subject.due_on),
            "key": one.key,
        }


def _notes(db: "Session", kb: Any, now: datetime, rows: list[dict[str, Any]]) -> str:
    """How many messages that makes, and what waits for a person's word."""
    from bot import digests, planner
    from bot.workdays import LOCAL
    from storage import reminders

    today = now.astimezone(LOCAL).date()
    state, reason = reminders.switch(db, digests.HELD)
    past = [one for one in kb.deadlines if one.due_on < today]
    return say(
        "schedule.notes",
        count=len(rows),
        digests=len({(row["person_id"], row["at"][:10]) for row in rows}),
        people=len({row["person_id"] for row in rows}),
        gone=sum(row["at"][:10] < today.isoformat() for row in rows),
        past=past,
        undecided=[one for one in planner.undecided(db, kb) if one not in past],
        held=reason if state == "held" else "",
    )


@app.command("release")
def release(
    drop: Annotated[bool, typer.Option("--drop", help="过了原定日期的不再发送，只发今天起的")] = False,
) -> None:
    """放行因停机过久或数量过多而搁置的提醒。"""
    from bot import digests
    from storage import reminders

    with _office() as (db, now, _):
        if reminders.switch(db, digests.HELD)[0] != "held":
            _stop(say("schedule.nothing_held"))
        late = digests.release(db, now, drop=drop, role="operator")
    typer.echo(say("schedule.released", late=late, drop=drop))


@app.command("workday")
def workday(
    day: Annotated[str, typer.Argument(metavar="DATE", help="日期，如 2027-02-08")],
    rests: Annotated[bool, typer.Option("--rest/--work", help="放假还是上班")],
    source: Annotated[str, typer.Option("--source", help="依据，如 国务院办公厅关于2027年部分节假日安排的通知")],
) -> None:
    """登记一天放假或上班（日历中没有或有误时）；已排的提醒随之调整。"""
    from storage import audit, reminders

    on = _date(day)
    with _office() as (db, now, _):
        reminders.correct(db, on, not rests, source, now)
        after = {"day": on.isoformat(), "works": not rests}
        audit.record(db, "workday", f"day:{on}", now=now, role="operator", after=after, reason=source)
    typer.echo(say("schedule.corrected", on=on, works=not rests))
