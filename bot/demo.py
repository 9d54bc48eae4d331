"""The demo: a believable province at 2020-04-24, in a database of its own.

Divisions are public names; every person, figure and conversation is invented and marked as a sample.
"""

import uuid
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.orm import Session, sessionmaker

from bot.messages import Inbound, Reply
from bot.settings import Clock, Database, Province, Settings
from bot.turns import TurnThread
from knowledge import writing
from knowledge.writing import Writer
from storage import (
    acknowledgements,
    bindings,
    bodies,
    broadcasts,
    calllog,
    calls,
    deliveries,
    funds,
    items,
    people,
    scope,
)
from storage.audiences import Audience
from storage.conversations import recent_exchanges
from storage.db import transaction
from storage.models import Body, Fact, Person

NOW = datetime.fromisoformat("2020-04-24T10:00:00+08:00")


def sample() -> dict[str, Any]:  # Any: the sample file's mappings
    """The sample province: its name, its counties with their facts, and a morning's questions."""
    text = files("bot").joinpath("demo.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)
    return content


def demo_settings(chosen: Settings) -> Settings:
    """The settings with the demo's clock, folder, database and province; what is real is not touched but its data key."""
    folder = chosen.paths.data / "demo"
    province = sample()["province"]
    return chosen.model_copy(
        update={
            "database": Database(url=f"sqlite:///{folder / 'countydesk.db'}"),
            "clock": Clock(now=NOW),
            "paths": chosen.paths.model_copy(update={"data": folder}),
            "security": chosen.security.model_copy(
                update={"data_key_file": chosen.key_file, "audit_key_file": folder / "keys" / "audit.key"}
            ),
            "province": Province(name=province["name"], report_channel=province["report_channel"]),
        }
    )


def counties() -> dict[str, dict[str, str]]:
    """Each sample county's facts as fact key → text."""
    return {county["name"]: county["facts"] for county in sample()["counties"]}


def populate(sessions: sessionmaker[Session], folder: Path) -> int:
    """Put the sample counties and people into an empty database, and drafts into a folder; how many people."""
    content = sample()
    with transaction(sessions) as db, scope.serving(db, scope.SYSTEM):
        if bodies.visible(db, 1):
            return 0
        bodies.division(db, content["province"]["code"])
        places = {county["name"]: _county(db, county) for county in content["counties"]}
        for one in content["people"]:
            _person(db, one, places)
        for one in content["items"]:
            _item(db, one, places[one["body"]])
        for one in content["undelivered"]:
            _undelivered(db, one, places[one["body"]])
        for one in content["calls"]:
            _call(db, one, places)
        for one in content["broadcasts"]:
            _broadcast(db, one, places)
        for one in content["drafts"]:
            _draft(db, one, folder)
        return len(content["people"])


def _county(db: Session, county: dict[str, Any]) -> int:
    year = int(county["facts"]["batch_year"])
    body, _ = bodies.find_or_add(db, name=county["name"], division_code=county["code"], years=[year])
    for key, value in county["facts"].items():
        if key != "batch_year":
            db.add(
                Fact(body_id=body.id, batch_year=year, key=key, value=value, as_of=NOW.date(), source="样例", at=NOW)
            )  # fmt: skip
    amounts = {name: Decimal(amount) for name, amount in county["funds"].items()}
    funds.report(
        db, body.id, year, funds.Sums(**amounts, as_of=NOW.date()), source="样例", now=NOW, role="system"
    )  # fmt: skip
    return body.id


def _person(db: Session, one: dict[str, str], places: dict[str, int]) -> None:
    body_id = places[one["body"]] if "body" in one else None
    found = [known for known in people.named(db, one["name"]) if known.name == one["name"]]
    person = found[0] if found else people.find_or_add(
        db, name=one["name"], body_id=body_id, unit=one["unit"], title=one.get("title", ""),
        phone=one.get("phone", ""), now=NOW,
    )[0]  # fmt: skip
    people.give_role(db, person, one["role"], body_id=body_id, division_code=one.get("division"), now=NOW)
    person.consent, person.consent_at, person.verified_at, person.seen_at = "样例", NOW, NOW, NOW
    if "web" in one:
        bindings.bind(db, person, "web", one["web"], NOW)


_VISIT = {"visited_on": "2020-03-30", "visitors": "样例子、样例丑", "seen": "清单所列站点和项目（样例）"}
_SAID: dict[str, tuple[str, dict[str, Any]]] = {  # event → who does it, "" the county's officer, and with what
    "issue": ("样例丑", {}),
    "acknowledge": ("", {"measure": "逐项核对，明确责任人，限期整改（样例）"}),
    "request": ("", {"declared": True}),
    "submit": ("", {"declared": True}),
    "ask_extension": ("", {"new_due_on": "2020-06-30", "reason": "物料到货推迟（样例）"}),
    "grant_extension": ("样例子", {}),
    "claim": ("样例子", {}),
    "return": ("样例子", {"lines": {"整体": "材料没有盖章（样例）"}}),
    "propose": ("样例子", {"method": "现场考察", "record": _VISIT, "finding": "实地查看，与台账一致（样例）"}),
    "close": ("样例丑", {}),
    "confirm": ("样例子", {"check": "回头看", "method": "现场考察", "record": _VISIT, "finding": "整改属实（样例）"}),
    "reopen": (
        "样例子",
        {
            "check": "回头看",
            "method": "现场考察",
            "record": _VISIT,
            "finding": "问题又出现（样例）",
            "due_on": "2020-06-30",
        },
    ),
    "withdraw": ("样例丑", {"reason": "误列（样例）"}),
    "refer": ("样例丑", {"document": "样例〔2020〕1号", "reason": "逾期未整改（样例）"}),
}
_WAY = ("issue", "acknowledge", "submit", "claim", "propose", "close", "confirm")
_BACK = (*_WAY[:4], "return", *_WAY[2:6])
_UNTIL: dict[str, tuple[str, ...]] = {  # the events that lead to where the sample has an item
    "draft": (),
    "issued": _WAY[:1],
    "rectifying": _WAY[:2],
    "extended": (*_WAY[:2], "ask_extension", "grant_extension"),
    "requested": (*_WAY[:2], "request"),
    "submitted": _WAY[:3],
    "claimed": _WAY[:4],
    "returned": (*_WAY[:4], "return"),
    "proposed": _WAY[:5],
    "closed": _WAY[:6],
    "closed at last": _BACK,
    "confirmed": _WAY,
    "reopened": (*_WAY[:6], "reopen"),
    "withdrawn": (*_WAY[:1], "withdraw"),
    "referred": (*_WAY[:2], "refer"),
}


def _item(db: Session, one: dict[str, str], body_id: int) -> None:
    """Put an item on the list and lead it, event by event and by its people, to where the sample has it."""
    body = db.get_one(Body, body_id)
    item = items.add(
        db, body, NOW - timedelta(days=30), batch_year=bodies.batch_years(db, body_id)[0], number=one["number"],
        source=one.get("source", "绩效评价"), category=one["category"], problem=one["problem"], basis=one["basis"],
        standard=one["standard"], kind="立行立改", due_on=date.fromisoformat(one["due"]) if one["due"] else None,
    )  # fmt: skip
    officers = people.holding(db, "county_officer", body_id)
    for place, event in enumerate(_UNTIL[one["until"]]):
        by, said = _SAID[event]
        person = people.named(db, by)[0] if by else officers[0]
        more = {"due_on": one["due"]} if event == "issue" else {"holder_id": person.id} if event == "claim" else {}
        with _as(db, person):
            at = NOW - timedelta(days=24 - 2 * place)
            item = items.apply(db, item.id, item.version, event, said | more, at)


def _as(db: Session, person: Person) -> AbstractContextManager[Session]:
    """Serve a sample person."""
    return scope.serving(db, scope.Viewer(person_id=person.id, grants=scope.grants(db, person.id), channel="web"))


def _broadcast(db: Session, one: dict[str, Any], places: dict[str, int]) -> None:
    """Write a notice and submit it; where the sample has an approver, send it, and let some acknowledge it."""
    at = datetime.fromisoformat(one["at"])
    values = {
        "title": one["title"], "text": one["text"], "clauses": [], "files": [], "acknowledgement": "county",
        "acknowledge_why": one["why"], "due_on": date.fromisoformat(one["due"]), "delay_s": 0,
        "audience": Audience(regions=tuple(one["regions"])).as_json(),
    }  # fmt: skip
    with _as(db, people.named(db, one["author"])[0]):
        made = broadcasts.draft(db, values, at)
        made, _ = broadcasts.submit(db, made.id, made.version, at)
    if not one["approver"]:
        return
    with _as(db, people.named(db, one["approver"])[0]):
        made, lines = broadcasts.approve(db, made.id, made.version, at, at)
    for line in lines:
        sent = deliveries.put(
            db, source=broadcasts.source(made), recipient=deliveries.person(line.person_id or 0), lane="notice",
            reply=Reply(text=one["text"]).to_json(), why=one["title"], now=at,
        )  # fmt: skip
        assert sent is not None
        sent.state, sent.channel, sent.handed_at, sent.accepted_at = "accepted", "web", at, at
    for said in one["acknowledged"]:
        with _as(db, people.named(db, said.get("person") or said["by"])[0]):
            when = datetime.fromisoformat(said["at"])
            if said["way"] == "phone":
                acknowledgements.on_behalf(db, made.id, places[said["body"]], said["said"], when)
            else:
                acknowledgements.acknowledge(db, made.id, said["way"], when)


def _call(db: Session, one: dict[str, str], places: dict[str, int]) -> None:
    """Log a call that the hotline took; one without an outcome is not finished."""
    seat, at = people.named(db, one["seat"])[0], datetime.fromisoformat(one["at"])
    with _as(db, seat):
        call = calllog.begin(db, seat, at)
        calllog.write(db, call, one | {"county": str(places[one["county"]])})
        if one["outcome"]:
            calllog.finish(db, call, at + timedelta(minutes=4))


def _undelivered(db: Session, one: dict[str, str], body_id: int) -> None:
    """Leave a reminder of the day before that no channel took, with the call that it means, or that nobody knows of."""
    at, number = NOW - timedelta(days=1), people.named(db, one["person"])[0].id
    sent = deliveries.put(
        db, source=f"digest:{at:%Y%m%d}", recipient=deliveries.person(number), lane="reminder",
        reply=Reply(text=one["text"]).to_json(), why=one["text"], now=at,
    )  # fmt: skip
    assert sent is not None
    sent.state, sent.handed_at = one["state"], at
    if one["state"] == "failed":
        line = {"person": number, "delivery": sent.id, "text": one["text"]}
        calls.put(db, body_id, at.date(), [line], date.fromisoformat(one["due"]), at)


def _draft(db: Session, one: dict[str, Any], folder: Path) -> None:
    """Leave an entry that waits for a review, or that a reviewer has returned."""
    writers = {key: Writer(name=one[key], id=people.named(db, one[key])[0].id) for key in ("author", "reader")}
    name = writing.save(folder, one["entry"], writers["author"])
    if one["returned"]:
        writing.send_back(folder, name, writers["reader"], one["returned"])


def seed(turns: TurnThread, sessions: sessionmaker[Session]) -> int:
    """Hold the sample conversations once; how many questions were asked."""
    asked = 0
    for talk in sample()["conversations"]:
        with transaction(sessions) as db:
            if recent_exchanges(db, "web", talk["address"], 1):
                continue
        for number, text in enumerate(talk["said"]):
            inbound = Inbound(
                channel="web",
                message_id=f"{talk['address']}:{uuid.uuid4().hex}",
                address=talk["address"],
                text=text,
                at=NOW - timedelta(minutes=60 - number),
            )
            turns.submit(inbound).result()
            asked += 1
    return asked
