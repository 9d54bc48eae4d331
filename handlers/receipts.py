"""The recipients' side of broadcasts: 我的通知, reading one, acknowledging it, and the hotline doing so on behalf."""

import re
from datetime import datetime

from bot.broadcasts import REF, message, page, read_ref
from bot.dialogue import Route
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL
from storage import acknowledgements, bodies, broadcasts, conversations, scope
from storage.models import Acknowledgement, Broadcast, Recipient

SHOWN = 10


def _own(turn: Turn) -> list[tuple[Broadcast, Recipient]]:
    """What the sender was sent and has been begun, each once."""
    held: dict[int, tuple[Broadcast, Recipient]] = {}
    for broadcast, line in acknowledgements.own(turn.db, turn.viewer.person_id or 0):
        if broadcast.begins_at is not None and broadcast.begins_at <= turn.now:
            held.setdefault(broadcast.id, (broadcast, line))
    return list(held.values())


def _waits(turn: Turn, broadcast: Broadcast, line: Recipient) -> bool:
    """Whether a broadcast still waits for the acknowledgement of the sender's party."""
    asked = broadcast.state == "sent" and broadcast.acknowledgement != "none"
    return (
        asked
        and acknowledgements.said(turn.db, broadcast, line) is None
        and broadcasts.correction(turn.db, broadcast) is None
    )


def mine(turn: Turn) -> Reply:
    """What has come, the newest first, and what waits to be acknowledged."""
    own = _own(turn)[:SHOWN]
    waiting = {broadcast.id for broadcast, line in own if _waits(turn, broadcast, line)}
    options = tuple(
        Option(label=say("receipts.listed", broadcast=one, at=_local(one.begins_at), standing=_standing(turn, one, line, waiting)), value=f"通知 N{one.id}")
        for one, line in own
    )  # fmt: skip
    return Reply(
        text=say("receipts.mine", count=len(own), waiting=len(waiting)), options=options, route="receipts.mine"
    )


def _local(at: datetime | None) -> datetime | None:
    return at.astimezone(LOCAL) if at else None


def _standing(turn: Turn, broadcast: Broadcast, line: Recipient, waiting: set[int]) -> str:
    if broadcast.state == "recalled":
        return "recalled"
    if broadcasts.correction(turn.db, broadcast) is not None:
        return "corrected"
    return "none" if broadcast.acknowledgement == "none" else "waiting" if broadcast.id in waiting else "acknowledged"


def show(turn: Turn) -> Reply:
    """A broadcast that was sent to oneself."""
    number = _number(turn.text)
    found = next(((one, line) for one, line in _own(turn) if one.id == number), None)
    if found is None:
        raise Refused(say("receipts.not_yours", number=number))
    broadcast, line = found
    reply = message(broadcast, turn.kb, turn.given.get("province", ""), page(turn, line.id))
    notes = []
    if broadcast.state == "recalled":
        notes.append(say("receipts.recalled", broadcast=broadcast))
    if (newer := broadcasts.correction(turn.db, broadcast)) is not None:
        notes.append(say("receipts.corrected", number=broadcast.id, by=newer.id))
    said = acknowledgements.said(turn.db, broadcast, line) if broadcast.acknowledgement != "none" else None
    if said is not None:
        notes.append(_words(turn, broadcast, [said]))
    options = reply.options if _waits(turn, broadcast, line) else ()
    text = "\n".join((*notes, reply.text))
    return Reply(text=text, options=options, links=reply.links, route="receipts.show")


def _number(text: str) -> int:
    named = read_ref(text)
    return named[0] if named else 0


def _words(turn: Turn, broadcast: Broadcast, said: list[Acknowledgement]) -> str:
    """Who acknowledged, for which bodies, when and how."""
    told = [
        {
            "place": bodies.place(turn.db, one.body_id, None) if one.body_id is not None else "",
            "who": one.name or broadcasts.name_of(turn.db, one.person_id),
            "way": one.way,
            "at": one.at.astimezone(LOCAL),
            "by": broadcasts.name_of(turn.db, one.recorded_by),
        }
        for one in said
    ]
    return say("receipts.said", number=broadcast.id, told=told)


# --- acknowledging ---------------------------------------------------------------------------------------------------


def acknowledge(turn: Turn) -> Reply:
    """Acknowledge the broadcast that was named, or the only one that waits."""
    number = _number(turn.text)
    if not number:
        waiting = [one for one, line in _own(turn) if _waits(turn, one, line)]
        if len(waiting) != 1:
            options = tuple(
                Option(label=f"收到 N{one.id}《{one.title}》", value=f"收到 N{one.id}") for one in waiting[:SHOWN]
            )
            return Reply(text=say("receipts.which", count=len(waiting)), options=options, route="receipts.which")
        number = waiting[0].id
    way: acknowledgements.Way = "card" if turn.inbound.message_id.startswith(conversations.EVENT) else "text"
    try:
        broadcast, said, new = acknowledgements.acknowledge(turn.db, number, way, turn.now)
    except acknowledgements.NotAsked:
        raise Refused(say("receipts.not_asked", number=number)) from None
    except acknowledgements.NotForBody:
        raise Refused(say("receipts.not_for_body", number=number)) from None
    except acknowledgements.Corrected as trouble:
        return Reply(
            text=say("receipts.acknowledge_newer", number=number, by=trouble.by.id),
            options=(Option(label="看更正通知", value=f"通知 N{trouble.by.id}"),),
            route="receipts.corrected",
        )
    words = _words(turn, broadcast, said)
    return Reply(text=words if new else say("receipts.already", words=words), route="receipts.acknowledged")


def on_behalf(turn: Turn) -> Reply:
    """Note for the hotline that somebody of a county acknowledged on the phone: number, county, name."""
    if not turn.viewer.may("acknowledge_for"):
        raise Refused(say("receipts.not_hotline"))
    match = re.fullmatch(_ON_BEHALF, turn.text)
    if match is None or not match["name"]:
        raise Invalid(say("receipts.how_on_behalf"))
    found = bodies.named(turn.db, match["place"])
    if len(found) != 1:
        raise Invalid(say("receipts.no_body", place=match["place"], several=len(found) > 1))
    number = int(match["number"])
    try:
        broadcast, said, new = acknowledgements.on_behalf(turn.db, number, found[0].id, match["name"], turn.now)
    except scope.OutOfScope:
        raise Refused(say("receipts.no_body", place=match["place"], several=False)) from None
    except acknowledgements.NotAsked:
        raise Refused(say("receipts.body_not_asked", number=number, place=found[0].name)) from None
    except acknowledgements.Corrected as trouble:
        raise Refused(say("receipts.corrected", number=number, by=trouble.by.id)) from None
    words = _words(turn, broadcast, [said])
    return Reply(text=words if new else say("receipts.already", words=words), route="receipts.on_behalf")


_ON_BEHALF = r"代签收\s*(?:[Nn]\s*(?P<number>\d{1,9})\s+(?P<place>[一-鿿]{2,20}|\d{6})\s+(?P<name>[一-鿿·]{2,15}))?.*"
ROUTES = [
    Route(name="receipts.mine", pattern=r"我的通知", run=mine, member=True, examples=("我的通知",)),
    Route(name="receipts.show", pattern=rf"通知\s*{REF}", run=show, member=True, examples=("通知 N12",)),
    Route(
        name="receipts.acknowledge",
        pattern=rf"(?:收到|签收|已收到|签收通知)(?:了)?\s*(?:{REF})?[。！!]?",
        run=acknowledge,
        member=True,
        examples=("收到", "收到 N12", "签收n12", "收到。"),
    ),
    Route(
        name="receipts.on-behalf",
        pattern=_ON_BEHALF,
        run=on_behalf,
        member=True,
        examples=("代签收 N12 秦安县 张三", "代签收"),
    ),
]
