"""The console over HTTP: who gets in, who stays in, who changes what."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyotp
import pytest
from sqlalchemy.orm import Session, sessionmaker

from storage import people, scope, visits
from storage.db import transaction
from storage.models import Person
from tests.console import signed_in, ticket, token_of

NOW = datetime(2020, 4, 24, 2, tzinfo=UTC)
PASSWORD = "Rectify-2020!"


def test_nobody_gets_in_without_signing_in(desk_site: str) -> None:
    for path in ("/console", "/console/people", "/console/audit", "/console/system", "/console/account"):
        answer = httpx.get(desk_site + path)
        assert answer.status_code == 303 and answer.headers["location"].startswith("/console/login")
    assert httpx.post(f"{desk_site}/console/people/invite", data={"name": "某人"}).status_code == 401


def test_a_link_signs_in_once(desk_site: str) -> None:
    path = ticket(desk_site, "样例子")
    with httpx.Client(base_url=desk_site, follow_redirects=True) as one:
        assert "样例子" in one.get(path).text  # looking at the link uses nothing up
        assert "人员与邀请" in one.post(path).text
    with httpx.Client(base_url=desk_site, follow_redirects=True) as other:
        assert "登录链接已用过或已过期" in other.post(path).text
        assert "登录链接已用过或已过期" in other.get(path).text
        changed = path[:-1] + ("0" if path[-1] != "0" else "1")
        assert "登录链接已用过或已过期" in other.post(changed).text
        assert other.get("/console/people").url.path == "/console/login"


def test_a_role_has_its_pages_and_no_others(desk_site: str) -> None:
    with signed_in(desk_site, "样例乙") as clerk:
        assert clerk.get("/console/people").status_code == 404
        assert "人员与邀请" not in clerk.get("/console/account").text
    with signed_in(desk_site, "样例庚") as head:
        shown = head.get("/console/people").text
        assert "样例乙" in shown and "样例丙" not in shown
        assert head.get("/console/audit").status_code == 404


def test_a_form_from_elsewhere_changes_nothing(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        token = token_of(officer.get("/console/people").text)
        form = {"name": "外来", "role": "county_officer", "body": "1"}
        assert officer.post("/console/people/invite", data=form).status_code == 403
        assert officer.post("/console/people/invite", data=form | {"csrf": "0" * 32}).status_code == 403
        foreign = officer.post(
            "/console/people/invite", data=form | {"csrf": token}, headers={"Origin": "https://else.example"}
        )
        assert foreign.status_code == 403
        assert "外来" not in officer.get("/console/people").text


def test_inviting_and_revoking(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        page = officer.get("/console/people").text
        body = re.search(r'<option value="(\d+)">秦安县', page)
        assert body is not None
        form = {
            "csrf": token_of(page),
            "name": "样例新人",
            "role": "county_officer",
            "body": body[1],
            "unit": "",
            "phone": "",
        }
        assert "没有邀请" in officer.post("/console/people/invite", data=form | {"role": "province_officer"}).text
        sheet = officer.post("/console/people/invite", data=form)
        assert re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}", sheet.text) and sheet.headers["cache-control"] == "no-store"
        page = officer.get("/console/people").text
        assert "样例新人" in page
        number = re.search(r"/console/invitations/(\d+)/revoke", page)
        assert number is not None
        done = officer.post(f"/console/invitations/{number[1]}/revoke", data={"csrf": token_of(page)}).text
        assert f"邀请{number[1]}已撤销" in done and "样例新人" not in done
        assert "已核验" in officer.post("/console/audit/verify", data={"csrf": token_of(page)}).text
        assert "invitation:" in officer.get("/console/audit", params={"subject": "invitation:"}).text


def test_signing_out_ends_the_visit(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        cookies = dict(officer.cookies)
        officer.post("/console/logout", data={"csrf": token_of(officer.get("/console/people").text)})
    stolen = httpx.get(f"{desk_site}/console/people", cookies=cookies)
    assert stolen.status_code == 303


# --- password and one-time code ----------------------------------------------------------------------------------------


@pytest.fixture
def person(sessions: sessionmaker[Session]) -> Person:
    with transaction(sessions) as db, scope.serving(db, scope.SYSTEM):
        return people.find_or_add(db, name="样例子", now=NOW)[0]


def enrolled(sessions: sessionmaker[Session], person: Person) -> str:
    secret = visits.new_secret()
    with transaction(sessions) as db, scope.serving(db, scope.SYSTEM):
        code = pyotp.TOTP(secret).at(NOW)
        assert visits.enrol(db, person, "yanglizi", "短", secret, code, NOW) == "weak"
        assert visits.enrol(db, person, "yanglizi", PASSWORD, secret, "000000x", NOW) == "code"
        assert visits.enrol(db, person, "yanglizi", PASSWORD, secret, code, NOW) == ""
    return secret


def sign_in(
    sessions: sessionmaker[Session], password: str, code: str, now: datetime, name: str = "yanglizi", address: str = "a"
) -> str:
    """Empty when it worked."""
    with transaction(sessions) as db:
        begun = visits.begin_by_password(db, name, password, code, address, now)
    return begun if isinstance(begun, str) else ""


def test_password_and_code_sign_in_and_a_code_only_once(sessions: sessionmaker[Session], person: Person) -> None:
    codes = pyotp.TOTP(enrolled(sessions, person))
    assert sign_in(sessions, PASSWORD, codes.at(NOW - timedelta(minutes=2)), NOW) == "wrong"
    assert sign_in(sessions, "Rectify-2021!", codes.at(NOW), NOW) == "wrong"
    assert sign_in(sessions, PASSWORD, codes.at(NOW), NOW) == ""
    assert sign_in(sessions, PASSWORD, codes.at(NOW), NOW) == "wrong"
    later = NOW + timedelta(seconds=60)
    assert sign_in(sessions, PASSWORD, codes.at(later), later) == ""


def test_failures_lock_one_name_for_longer_each_time(sessions: sessionmaker[Session], person: Person) -> None:
    codes = pyotp.TOTP(enrolled(sessions, person))
    for _ in range(visits.FAILURES):
        assert sign_in(sessions, "wrong", "000000", NOW) == "wrong"
    assert sign_in(sessions, PASSWORD, codes.at(NOW), NOW) == "locked"
    later = NOW + timedelta(minutes=16)
    for _ in range(visits.FAILURES):
        assert sign_in(sessions, "wrong", "000000", later) == "wrong"
    soon = later + timedelta(minutes=16)
    assert sign_in(sessions, PASSWORD, codes.at(soon), soon) == "locked"
    at_last = later + timedelta(minutes=31)
    assert sign_in(sessions, PASSWORD, codes.at(at_last), at_last) == ""


def test_an_address_that_guesses_names_is_stopped(sessions: sessionmaker[Session], person: Person) -> None:
    for number in range(visits.TRIES_OF_ADDRESS):
        assert sign_in(sessions, "wrong", "000000", NOW, name=f"nobody{number}") == "wrong"
    assert sign_in(sessions, "wrong", "000000", NOW) == "many"
    codes = pyotp.TOTP(enrolled(sessions, person))
    assert sign_in(sessions, PASSWORD, codes.at(NOW), NOW, address="b") == ""


def test_a_visit_ends_by_itself(sessions: sessionmaker[Session], person: Person) -> None:
    with transaction(sessions) as db:
        begun = visits.begin_by_ticket(db, visits.ticket(db, person.id, NOW), NOW)
    for minutes, open_ in ((29, True), (31, False)):
        with transaction(sessions) as db:
            if open_:
                visits.find(db, begun.token, NOW + timedelta(minutes=minutes))
            else:
                with pytest.raises(visits.NotSignedIn):
                    visits.find(db, begun.token, NOW + timedelta(minutes=minutes))
    with transaction(sessions) as db:
        visit, _ = visits.find(db, begun.token, NOW)
        visit.seen_at = NOW + timedelta(hours=12)
    with transaction(sessions) as db, pytest.raises(visits.NotSignedIn):
        visits.find(db, begun.token, NOW + timedelta(hours=12, minutes=1))


def test_a_ticket_is_for_five_minutes(sessions: sessionmaker[Session], person: Person) -> None:
    with transaction(sessions) as db:
        given = visits.ticket(db, person.id, NOW)
        with pytest.raises(visits.NotSignedIn):
            visits.begin_by_ticket(db, given, NOW + timedelta(minutes=6))
        other = given.replace(f"{person.id}.", f"{person.id + 1}.", 1)
        with pytest.raises(visits.NotSignedIn):
            visits.begin_by_ticket(db, other, NOW)


def test_nothing_of_a_password_or_link_is_readable(
    sessions: sessionmaker[Session], person: Person, tmp_path: Path
) -> None:
    secret = enrolled(sessions, person)
    with transaction(sessions) as db:
        begun = visits.begin_by_ticket(db, visits.ticket(db, person.id, NOW), NOW)
        rows = [
            tuple(row)
            for table in ("credential", "visit")
            for row in db.connection().exec_driver_sql(f"SELECT * FROM {table}")
        ]
    assert rows and not any(word in str(rows) for word in (PASSWORD, secret, begun.token))
