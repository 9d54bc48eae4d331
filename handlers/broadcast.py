"""Sending a broadcast: look at it, try it on oneself, submit, approve by another person, recall, pause, nudge, call."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from bot.audiences import above, canonical
from bot.broadcasts import REF, begins_at, found, message, next_open, overtaken, read_ref, token, why
from bot.dialogue import Route
from bot.flows import Answers, Flow, Step
from bot.inputs import asks
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL, after
from storage import acknowledgements, audiences, broadcasts, deliveries, scope
from storage.audiences import Audience, Line, Tally, from_json
from storage.models import Broadcast

SHOWN = 10
CALLED = 30  # parties in one call list


def _staff(turn: Turn) -> None:
    if not (turn.viewer.may("broadcast") or turn.viewer.may("approve")):
        raise Refused(say("broadcast.not_yours"))


def _options(broadcast: Broadcast, *words: tuple[str, str]) -> tuple[Option, ...]:
    at = f"N{broadcast.id}v{broadcast.version}"
    return tuple(Option(label=label, value=f"{word} {at}") for label, word in words)


def listing(turn: Turn) -> Reply:
    """The province's broadcasts, the newest first."""
    _staff(turn)
    listed = broadcasts.listed(turn.db, SHOWN)
    options = [
        Option(label=say("broadcast.listed", broadcast=one, phase=_phase(turn, one)), value=f"下发 N{one.id}")
        for one in listed
    ]
    new = (Option(label="新建通知", value="新建通知"),) if turn.viewer.may("broadcast") else ()
    return Reply(text=say("broadcast.list", count=len(listed)), options=(*options, *new), route="broadcast.list")


def _phase(turn: Turn, broadcast: Broadcast) -> str:
    counted = deliveries.counts(turn.db, broadcasts.source(broadcast))
    return broadcasts.phase(turn.db, broadcast, counted, turn.now)


def _lines(turn: Turn, broadcast: Broadcast) -> list[Line]:
    """The audience: as it would be now for a draft, else as it was submitted."""
    if broadcast.state == "draft":
        return broadcasts.preview(turn.db, broadcast, turn.now)
    return audiences.kept(turn.db, broadcast)


def summary(audience: Audience, found: Tally, lines: Sequence[Line] = ()) -> dict[str, Any]:  # Any: for a template
    """What is to be said of an audience: its words, counts by city, samples of `lines`, who is left out, by reason."""
    cities = Counter[str]()
    for code, count in found.codes.items():
        cities[above(code)] += count
    sent = [one for one in lines if not one.excluded]
    step = max(len(sent) // SHOWN, 1)
    return {
        "words": canonical(audience),
        "count": cities.total(),
        "bodies": found.bodies,
        "cities": cities.most_common(),
        "samples": sent[::step][:SHOWN],
        "left_out": found.left_out,
        "roles": scope.ROLES,
        "shown": SHOWN,
    }


def _whole(broadcast: Broadcast, lines: Sequence[Line]) -> dict[str, Any]:  # Any: as above
    return summary(from_json(broadcast.audience), audiences.tally(lines, SHOWN), lines)


def card(turn: Turn) -> Reply:
    """Everything about a broadcast: whom it is for, what they read, how far it is, and what can be done next."""
    _staff(turn)
    broadcast, _ = found(turn, turn.text)
    return _card(turn, broadcast)


def _card(turn: Turn, broadcast: Broadcast, first: str = "") -> Reply:
    phase = _phase(turn, broadcast)
    lines = _lines(turn, broadcast)
    parties = acknowledgements.parties(turn.db, broadcast) if broadcast.state == "sent" else []
    text = say(
        "broadcast.card",
        broadcast=broadcast,
        phase=phase,
        audience=_whole(broadcast, lines),
        author=broadcasts.name_of(turn.db, broadcast.author_id),
        approver=broadcasts.name_of(turn.db, broadcast.approved_by),
        begins=begins_at(turn, broadcast).astimezone(LOCAL) if broadcast.state == "draft" else None,
        began=broadcast.begins_at.astimezone(LOCAL) if broadcast.begins_at else None,
        counted=broadcasts.states(turn.db, broadcast) if broadcast.state in ("sent", "recalled") else {},
        parties=len(parties),
        silent=[one.place for one in parties if one.said is None],
        message=_message(turn, broadcast).text,
    )
    return Reply(
        text=f"{first}\n\n{text}" if first else text, options=_next(turn, broadcast, phase), route="broadcast.card"
    )


def _next(turn: Turn, broadcast: Broadcast, phase: str) -> tuple[Option, ...]:
    """What the viewer can do with it now."""
    officer, approver = turn.viewer.may("broadcast"), turn.viewer.may("approve")
    trial, edit, drop = ("试发给自己", "试发"), ("修改", "修改通知"), ("作废", "作废")
    if broadcast.state == "draft" and officer:
        return _options(broadcast, trial, ("提交审批", "提交"), edit, drop)
    if broadcast.state == "submitted":
        own = turn.viewer.person_id in (broadcast.author_id, broadcast.submitted_by)
        sign = (("批准", "批准"), ("退回", "退回通知")) if approver and not own else ()
        return _options(broadcast, *sign, *((edit, drop) if officer else ()))
    if broadcast.state != "sent":
        return ()
    recall = ("撤回", "撤回通知")
    if phase == "done":
        more = (("催办", "催办"), ("电话名单", "电话名单")) if broadcast.acknowledgement != "none" else ()
        return _options(broadcast, *((*more, ("更正", "更正通知")) if officer else ()))
    return _options(
        broadcast, *(((("继续", "继续") if phase == "paused" else ("暂停", "暂停")),) if officer else ()), recall
    )


def _message(turn: Turn, broadcast: Broadcast, link: str = "") -> Reply:
    return message(broadcast, turn.kb, turn.given.get("province", ""), link)


# --- before it is sent -----------------------------------------------------------------------------------------------


def _done(turn: Turn, act: Any, *more: Any) -> Any:  # Any: a function of storage.broadcasts and what it gives
    """Apply a change to the broadcast that was named. Raises Refused with the reason, nothing changed."""
    _staff(turn)
    broadcast, version = found(turn, turn.text)
    return _applied(turn, act, broadcast.id, version, *more)


def _applied(turn: Turn, act: Any, number: int, version: int, *more: Any) -> Any:  # Any: see _done
    try:
        return act(turn.db, number, version, *more, turn.now)
    except broadcasts.Overtaken as trouble:
        raise Refused(overtaken(turn, trouble)) from None
    except scope.OutOfScope:
        raise Refused(say("broadcast.not_your_part")) from None
    except broadcasts.SamePerson:
        raise Refused(say("broadcast.same_person")) from None
    except broadcasts.Nobody:
        raise Refused(say("broadcast.nobody")) from None
    except broadcasts.Grown as trouble:
        raise Refused(say("broadcast.grown", names=trouble.names, shown=SHOWN, number=number)) from None


def trial(turn: Turn) -> Reply:
    """Show it to oneself as its recipients will get it on this channel."""
    _staff(turn)
    broadcast, _ = found(turn, turn.text)
    reply = _message(turn, broadcast)
    phase = broadcasts.phase(turn.db, broadcast, broadcasts.states(turn.db, broadcast), turn.now)
    options = (*reply.options, *(one for one in _next(turn, broadcast, phase) if not one.value.startswith("试发")))
    return replace(reply, text=say("broadcast.trial", text=reply.text), options=options, route="broadcast.trial")


def _begin_submitting(turn: Turn) -> Answers:
    _staff(turn)
    broadcast, version = found(turn, turn.text)
    lines = broadcasts.preview(turn.db, broadcast, turn.now)
    if not any(not one.excluded for one in lines):
        raise Refused(say("broadcast.nobody"))
    return {"broadcast": [broadcast.id, version], "everybody": not from_json(broadcast.audience).narrow}


def _ask_everybody(turn: Turn, answers: Answers) -> str:
    broadcast = broadcasts.find(turn.db, answers["broadcast"][0])
    return say("broadcast.everybody", audience=_whole(broadcast, _lines(turn, broadcast)))


def _sure(_turn: Turn, text: str) -> bool:
    if text.strip() not in ("确认", "确认全省"):
        raise Invalid(say("broadcast.confirm"))
    return True


def _submit(turn: Turn, answers: Answers) -> Reply:
    broadcast, lines = _applied(turn, broadcasts.submit, *answers["broadcast"])
    approvers = broadcasts.approvers(turn.db, broadcast)
    if not approvers:
        raise Refused(say("broadcast.no_approver"))
    by = broadcasts.name_of(turn.db, turn.viewer.person_id)
    text = say("broadcast.to_approve", broadcast=broadcast, by=by, audience=_whole(broadcast, lines), message=_message(turn, broadcast).text)  # fmt: skip
    options = _options(broadcast, ("批准", "批准"), ("退回", "退回通知"), ("看范围", "下发"))
    for person_id in approvers:
        deliveries.put(
            turn.db, source=f"approval:{broadcast.id}", version=broadcast.version,
            recipient=deliveries.person(person_id), lane="confirmation",
            reply=Reply(text=text, options=options, route="broadcast.to_approve").to_json(),
            why=say("broadcast.why_approve", number=broadcast.id), now=turn.now,
        )  # fmt: skip
    names = [broadcasts.name_of(turn.db, one) for one in approvers]
    return Reply(
        text=say("broadcast.submitted", broadcast=broadcast, names=names), kind="flow", route="broadcast.submitted"
    )


def approve(turn: Turn) -> Reply:
    """Approve what was submitted, and put a message for each recipient: not before the delay is over."""
    broadcast, version = found(turn, turn.text)
    begins = begins_at(turn, broadcast)
    broadcast, lines = _applied(turn, broadcasts.approve, broadcast.id, version, begins)
    deliveries.put_all(
        turn.db, source=broadcasts.source(broadcast), lane="notice", replies=_replies(turn, broadcast, lines),
        now=turn.now, not_before=begins,
    )  # fmt: skip
    text = say(
        "broadcast.approved", broadcast=broadcast, begins=begins.astimezone(LOCAL), count=len(lines), now=turn.now
    )
    _tell_author(turn, broadcast, text)
    return Reply(
        text=text, options=_options(broadcast, ("撤回", "撤回通知"), ("进度", "下发")), route="broadcast.approved"
    )


def _replies(turn: Turn, broadcast: Broadcast, lines: Sequence[Line]) -> dict[str, tuple[dict[str, Any], str]]:
    """The message of each recipient with the reason for it; where there are pages, with the link to their own."""
    base = turn.given.get("base_url", "")
    pages = broadcasts.pages(turn.db, broadcast) if base else {}
    plain = _message(turn, broadcast, base).to_json()
    reasons: dict[tuple[str, str], str] = {}
    replies: dict[str, tuple[dict[str, Any], str]] = {}
    for one in lines:
        key = (one.place, one.role)
        if key not in reasons:
            reasons[key] = why(broadcast, *key)
        urls = [f"{base}/f/n/{token(turn.db, pages[one.person_id])}"] if base else []
        links = [link | {"url": url} for link, url in zip(plain["links"], urls, strict=True)]
        replies[deliveries.person(one.person_id or 0)] = (plain | {"links": links}, reasons[key])
    return replies


def _tell_author(turn: Turn, broadcast: Broadcast, text: str) -> None:
    if broadcast.author_id and broadcast.author_id != turn.viewer.person_id:
        deliveries.put(
            turn.db, source=f"approval:{broadcast.id}", version=broadcast.version,
            recipient=deliveries.person(broadcast.author_id), lane="confirmation",
            reply=Reply(text=text, route="broadcast.told").to_json(),
            why=say("broadcast.why_author", number=broadcast.id), now=turn.now,
        )  # fmt: skip


def drop(turn: Turn) -> Reply:
    """Give up a draft."""
    broadcast = _done(turn, broadcasts.drop)
    return Reply(text=say("broadcast.dropped", number=broadcast.id), route="broadcast.dropped")


# --- once it is sent -------------------------------------------------------------------------------------------------


def _seen(turn: Turn) -> Answers:
    _staff(turn)
    broadcast, version = found(turn, turn.text)
    return {"broadcast": [broadcast.id, version]}


def _read_reason(_turn: Turn, text: str) -> str:
    if asks(text) or not 2 <= len(text.strip()) <= 200:
        raise Invalid(say("broadcast.ask_reason"))
    return text.strip()


def _return(turn: Turn, answers: Answers) -> Reply:
    broadcast = _applied(turn, broadcasts.send_back, *answers["broadcast"], answers["reason"])
    text = say("broadcast.returned", broadcast=broadcast)
    _tell_author(turn, broadcast, text)
    return Reply(text=text, kind="flow", route="broadcast.returned")


def _recall(turn: Turn, answers: Answers) -> Reply:
    broadcast, stopped = _applied(turn, broadcasts.recall, *answers["broadcast"], answers["reason"])
    counted = broadcasts.states(turn.db, broadcast)
    text = say("broadcast.recalled", broadcast=broadcast, stopped=stopped, gone=counted.total() - counted["cancelled"])
    _tell_author(turn, broadcast, text)
    return Reply(text=text, kind="flow", route="broadcast.recalled")


def pause(turn: Turn) -> Reply:
    """Hold back what is not handed over yet. Raises Refused where nothing is left to hold back."""
    _staff(turn)
    broadcast = found(turn, turn.text)[0]
    if broadcasts.phase(turn.db, broadcast, broadcasts.states(turn.db, broadcast), turn.now) == "done":
        raise Refused(say("broadcast.all_gone", number=broadcast.id))
    broadcast = _done(turn, broadcasts.pause, True, say("broadcast.paused_reason"))
    return _card(turn, broadcast, say("broadcast.paused", number=broadcast.id))


def resume(turn: Turn) -> Reply:
    """Let a paused one go on."""
    broadcast = _done(turn, broadcasts.pause, False, "")
    return _card(turn, broadcast, say("broadcast.resumed", number=broadcast.id))


def nudge(turn: Turn) -> Reply:
    """Remind those who have not acknowledged, twice at most and a working day apart; then they are called."""
    _staff(turn)
    broadcast, version = found(turn, turn.text)
    if broadcast.state != "sent" or broadcast.acknowledgement == "none":
        raise Refused(say("broadcast.no_nudge", number=broadcast.id))
    if (newer := broadcasts.correction(turn.db, broadcast)) is not None:
        raise Refused(say("broadcast.nudge_newer", number=broadcast.id, by=newer.id))
    waiting = acknowledgements.silent(turn.db, broadcast)
    if not waiting:
        raise Refused(say("broadcast.none_silent", number=broadcast.id))
    if broadcast.nudges >= broadcasts.NUDGES:
        return calls(turn)
    if (earliest := _next_nudge(broadcast)) > turn.now.astimezone(LOCAL).date():
        raise Refused(say("broadcast.nudge_too_soon", number=broadcast.id, on=earliest))
    broadcast = _applied(turn, broadcasts.nudged, broadcast.id, version)
    lines = acknowledgements.nudge_lines(waiting)
    reply = Reply(
        text=say("broadcast.nudge", broadcast=broadcast),
        options=(Option(label="签收", value=f"收到 N{broadcast.id}"),),
        route="broadcast.nudge",
    ).to_json()
    deliveries.put_all(
        turn.db, source=f"nudge:{broadcast.id}", version=broadcast.nudges, lane="notice", now=turn.now,
        replies={deliveries.person(one.person_id or 0): (reply, why(broadcast, one.place, one.role)) for one in lines},
        not_before=next_open(turn, turn.now),
    )  # fmt: skip
    text = say("broadcast.nudged", broadcast=broadcast, parties=len(waiting), people=len(lines), most=broadcasts.NUDGES)
    return Reply(text=text, options=_options(broadcast, ("电话名单", "电话名单")), route="broadcast.nudged")


def _next_nudge(broadcast: Broadcast) -> date:
    """The first day on which to nudge: a whole working day after the sending or the nudge before."""
    last = broadcast.nudged_at or broadcast.begins_at
    assert last is not None
    return (after(last, 1) + timedelta(seconds=1)).date()


def calls(turn: Turn) -> Reply:
    """Who is to be called: nudged twice and silent, or without a channel."""
    named = read_ref(turn.text)
    try:
        broadcast = acknowledgements.called_for(turn.db, named[0] if named else 0)
    except broadcasts.NotFound:
        raise Refused(say("broadcasts.not_found")) from None
    listed = acknowledgements.to_call(turn.db, broadcast)
    return Reply(
        text=say("broadcast.calls", broadcast=broadcast, listed=listed[:CALLED], count=len(listed), roles=scope.ROLES),
        route="broadcast.calls",
    )


def _form(name: str, ask: str, done: Any) -> Flow:  # Any: what the form does
    return Flow(
        name=name, title=name, start=_seen, done=done, steps=(Step(key="reason", ask=ask, parse=_read_reason, prose=True),)
    )  # fmt: skip


FLOWS = (
    Flow(
        name="提交",
        title="提交审批",
        steps=(
            Step(
                key="sure",
                ask=_ask_everybody,
                parse=_sure,
                options=(Option(label="确认", value="确认"), Option(label="取消", value="取消")),
                when=lambda answers: bool(answers.get("everybody")),
            ),
        ),
        start=_begin_submitting,
        done=_submit,
    ),
    _form("退回通知", say("broadcast.ask_reason"), _return),
    _form("撤回通知", say("broadcast.ask_recall"), _recall),
)
ROUTES = [
    Route(name="broadcast.list", pattern=r"通知下发|已发通知", run=listing, member=True, examples=("通知下发",)),
    Route(
        name="broadcast.card",
        pattern=rf"(?:下发|进度)\s*{REF}",
        run=card,
        member=True,
        examples=("下发 N12", "进度 n12"),
    ),
    Route(name="broadcast.trial", pattern=rf"试发\s*{REF}", run=trial, member=True, examples=("试发 N12v1",)),
    Route(name="提交", pattern=rf"提交\s*{REF}", flow=True, member=True, examples=("提交 N12v1",)),
    Route(name="broadcast.approve", pattern=rf"批准\s*{REF}", run=approve, member=True, examples=("批准 N12v2",)),
    Route(name="退回通知", pattern=rf"退回通知\s*{REF}", flow=True, member=True, examples=("退回通知 N12v2",)),
    Route(name="broadcast.drop", pattern=rf"作废\s*{REF}", run=drop, member=True, examples=("作废 N12v2",)),
    Route(name="撤回通知", pattern=rf"撤回通知\s*{REF}", flow=True, member=True, examples=("撤回通知 N12v3",)),
    Route(name="broadcast.pause", pattern=rf"暂停\s*{REF}", run=pause, member=True, examples=("暂停 N12v3",)),
    Route(name="broadcast.resume", pattern=rf"继续\s*{REF}", run=resume, member=True, examples=("继续 N12v4",)),
    Route(name="broadcast.nudge", pattern=rf"催办\s*{REF}", run=nudge, member=True, examples=("催办 N12v3",)),
    Route(name="broadcast.calls", pattern=rf"电话名单\s*{REF}", run=calls, member=True, examples=("电话名单 N12",)),
]
