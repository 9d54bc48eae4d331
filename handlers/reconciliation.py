"""The account of a broadcast: as JSON, and as a workbook of who acknowledged and where every message is."""

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from bot import templates
from bot.audiences import canonical
from bot.texts import say
from bot.workbooks import Column, Sheet
from bot.workdays import LOCAL
from storage import acknowledgements, audiences, broadcasts, deliveries
from storage.audiences import from_json
from storage.models import Broadcast
from storage.scope import ROLES


def _columns(*titles: str) -> tuple[Column, ...]:
    return tuple(Column(key=title, title=title, note="", example="", width=20) for title in titles)


ACCOUNT = Sheet(name="对账", columns=_columns("项目", "内容"))
RECEIPTS = Sheet(
    name="签收表", columns=_columns("单位", "区划代码", "是否签收", "签收人", "方式", "时间", "代为登记", "须打电话")
)
SENT = Sheet(name="送达对账单", columns=_columns("单位", "角色", "姓名", "状态", "渠道", "提交时间", "原因"))
LEFT_OUT = Sheet(name="未列入发送", columns=_columns("单位", "角色", "姓名", "原因"))


def as_json(db: Session, broadcast: Broadcast, now: datetime) -> dict[str, Any]:
    """`broadcast status --json`: states and exclusions add up to the audience, parties to those who are asked."""
    counted = broadcasts.states(db, broadcast)
    lines = audiences.kept(db, broadcast)
    parties = acknowledgements.parties(db, broadcast)
    excluded = {reason: sum(one.excluded == reason for one in lines) for reason in audiences.EXCLUSIONS}
    return {
        "id": broadcast.id,
        "title": broadcast.title,
        "state": broadcast.state,
        "phase": broadcasts.phase(db, broadcast, deliveries.counts(db, broadcasts.source(broadcast)), now),
        "audience": canonical(from_json(broadcast.audience)),
        "recipients": counted.total(),
        "excluded": {reason: count for reason, count in excluded.items() if count},
        "deliveries": dict(counted),
        "parties": len(parties),
        "acknowledged": sum(one.said is not None for one in parties),
        "to_call": len(acknowledgements.to_call(db, broadcast)) if broadcast.state == "sent" else 0,
        "nudges": broadcast.nudges,
        "begins_at": broadcast.begins_at.isoformat() if broadcast.begins_at else None,
        "content_sha256": broadcast.content_digest,
        "audience_sha256": broadcast.audience_digest,
    }


def export(db: Session, broadcast: Broadcast, path: Path, now: datetime) -> None:
    """Write the account: totals with both hashes, who acknowledged, where each message is, and who was left out."""
    rows = {
        ACCOUNT.name: _account(db, broadcast, now),
        RECEIPTS.name: _receipts(db, broadcast),
        SENT.name: _sent(db, broadcast),
        LEFT_OUT.name: [
            [one.place, ROLES.get(one.role, ""), one.name, say("broadcast.reason_word", reason=one.excluded)]
            for one in audiences.kept(db, broadcast)
            if one.excluded
        ],
    }
    templates.write(path, [ACCOUNT, RECEIPTS, SENT, LEFT_OUT], rows=rows)


def _account(db: Session, broadcast: Broadcast, now: datetime) -> list[list[str]]:
    found = as_json(db, broadcast, now)
    told = say("reconciliation.account", broadcast=broadcast, found=found, now=now.astimezone(LOCAL), author=broadcasts.name_of(db, broadcast.author_id), approver=broadcasts.name_of(db, broadcast.approved_by))  # fmt: skip
    states = [[say("broadcast.state_word", state=state), str(count)] for state, count in found["deliveries"].items()]
    return [line.split("\t") for line in told.splitlines()] + states


def _receipts(db: Session, broadcast: Broadcast) -> list[list[str]]:
    calls = {party.key: reason for party, reason in acknowledgements.to_call(db, broadcast)}
    rows = []
    for one in acknowledgements.parties(db, broadcast):
        said = one.said
        told = ["", "", "", "", "", ""]
        if said is not None:
            who = said.name or broadcasts.name_of(db, said.person_id)
            by = broadcasts.name_of(db, said.recorded_by)
            told = ["", who, say("reconciliation.way", way=said.way), _local(said.at), by, ""]
        elif one.key in calls:
            told[-1] = say("reconciliation.call", reason=calls[one.key])
        told[0] = say("reconciliation.whether", said=said is not None)
        rows.append([one.place, one.lines[0].code, *told])
    return rows


def _sent(db: Session, broadcast: Broadcast) -> list[list[str]]:
    places = {(one.person_id, one.role): one.place for one in audiences.kept(db, broadcast) if not one.excluded}
    return [
        [
            places.get((one.recipient.person_id, one.recipient.role), ""),
            ROLES.get(one.recipient.role, ""),
            one.name,
            say("broadcast.state_word", state=one.state),
            say("reconciliation.channel", channel=one.channel or ""),
            _local(one.accepted_at),
            " ".join(part for part in (one.code, one.reason) if part),
        ]
        for one in broadcasts.standings(db, broadcast)
    ]


def _local(at: datetime | None) -> str:
    return f"{at.astimezone(LOCAL):%Y-%m-%d %H:%M}" if at else ""
