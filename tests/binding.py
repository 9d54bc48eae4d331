"""What the tests of invitations and bindings share: people with roles, codes, and how one is bound."""

import re

import pytest
from sqlalchemy import select

from bot.app import Desk
from bot.messages import Reply
from storage import bindings, bodies, people, scope
from storage.db import transaction
from storage.models import Invitation, Person
from tests.conftest import JUNE, Talk

QINAN, QINGSHUI, GANSU = "620522", "620521", "620000"
PHONE = "13812345678"


def add(
    running: Desk, name: str, role: str, body: str = "", address: str = "", division: str | None = None, phone: str = ""
) -> int:
    """Somebody with a role, bound to a terminal address; their number."""
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        held = {QINAN: "秦安县", QINGSHUI: "清水县"}.get(body)
        place = bodies.find_or_add(db, name=held, division_code=body, years=[2016])[0].id if held else None
        if division:
            bodies.division(db, division)
        person, _ = people.find_or_add(db, name=name, body_id=place, phone=phone, now=JUNE)
        people.give_role(db, person, role, body_id=place, division_code=division, now=JUNE)
        if address:
            bindings.bind(db, person, "terminal", address, JUNE)
            person.consent, person.consent_at, person.verified_at, person.seen_at = "2026-1", JUNE, JUNE, JUNE
        return person.id


def rows(running: Desk, table: type) -> list:  # type: ignore[type-arg]  # rows of whichever table
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        return list(db.scalars(select(table).order_by(table.id)))


def people_named(running: Desk, name: str) -> list[int]:
    return [one.id for one in rows(running, Person) if one.name == name]


def code_in(reply: Reply) -> str:
    found = re.search(r"绑定 ([0-9A-Z]{4}-[0-9A-Z]{4})", reply.text)
    assert found, reply.text
    return found[1]


def invite(talk: Talk, who: str, name: str = "张三", role: str = "县级经办人", phone: str = "跳过") -> str:
    """A head invites somebody in chat; the code."""
    for text in ("邀请", role, name, "商务局", "跳过"):
        reply = talk(text, who=who)
        assert reply.kind == "flow", reply.text
    return code_in(talk(phone, who=who))


def bind(talk: Talk, code: str, who: str) -> Reply:
    assert "您将以这一身份绑定" in talk(f"绑定 {code}", who=who).text
    return talk("1", who=who)


@pytest.fixture
def head(running: Desk) -> str:
    add(running, "王局", "county_head", QINAN, "head")
    return "head"


def number_of(running: Desk) -> int:
    """The number of the newest invitation."""
    return int(rows(running, Invitation)[-1].id)
