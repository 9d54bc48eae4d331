"""The console over HTTP: who gets in, who stays in, who changes what."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import httpx
import pyotp
import pytest
from anyio.from_thread import start_blocking_portal
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from bot.console import frame, system
from bot.console.public import pages
from bot.settings import Paths, Settings
from storage import audit, people, scope, visits
from storage.db import transaction
from storage.invitations import misses
from storage.models import Person
from storage.visits import NotSignedIn
from tests.commands import ROOT
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
        trail = officer.get("/console/audit", params={"kind": "invitation"}).text
        assert f"<td>邀请</td><td>邀请{number[1]}</td>" in trail and "角色：县级经办人" in trail
        policy = sheet.headers["content-security-policy"]
        assert (
            "style-src 'unsafe-inline'" in policy and "script" not in policy and 'href="/console/people"' in sheet.text
        )


def test_what_the_trail_tells_is_told_in_words() -> None:
    """Every act and subject that the program records has its word; acts of items have theirs in items.j2."""
    words = pages("1").get_template("desk/words.html").module
    recorded = re.compile(r'"([a-z_]+(?:\.[a-z_]+)?)",\s*f?"([a-z]+):[^"]*"')
    sources = [file for part in ("bot", "handlers", "storage") for file in (ROOT / part).rglob("*.py")]
    texts = [file.read_text("utf-8") for file in sources]
    found = {pair for text in texts for pair in recorded.findall(text)}
    acts = {act for act, _ in found} | {act for text in texts for act in re.findall(r'record_all\(db, "([^"]+)"', text)}
    assert len(found) > 30
    assert acts - {*words.actions} == {"item.draft"}  # type: ignore[attr-defined]  # the template's
    assert {kind for _, kind in found} <= {*words.subjects}  # type: ignore[attr-defined]  # the template's


def test_signing_out_ends_the_visit(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        cookies = dict(officer.cookies)
        officer.post("/console/logout", data={"csrf": token_of(officer.get("/console/people").text)})
    stolen = httpx.get(f"{desk_site}/console/people", cookies=cookies)
    assert stolen.status_code == 303


def test_nobody_else_makes_the_trail_be_sealed(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    app, settings = FastAPI(), Settings(paths=Paths(data=tmp_path))
    console = frame.Console(
        sessions=sessions,
        kb=lambda: pytest.fail("no knowledge is needed"),
        turns=None,  # type: ignore[arg-type]  # nor turns and templates
        templates=None,  # type: ignore[arg-type]
        clock=lambda: NOW,
        settings=settings,
    )
    frame.register(app, console)
    app.include_router(system.router(console))
    with transaction(sessions) as db, scope.serving(db, scope.SYSTEM):
        audit.record(db, "measured", "item:1", now=NOW, role="system")

    async def knock() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as stranger:
            return (await stranger.post("/console/audit/verify")).status_code

    with start_blocking_portal() as portal:  # a thread of its own: a browser of other tests may hold this one's loop
        assert portal.call(knock) == 401
    with transaction(sessions) as db:
        assert audit.head(db).position == 0


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
    assert sign_in(sessions, PASSWORD, codes.at(NOW), NOW) == "wrong"
    later = NOW + timedelta(minutes=16)
    for _ in range(visits.FAILURES):
        assert sign_in(sessions, "wrong", "000000", later) == "wrong"
    soon = later + timedelta(minutes=16)
    assert sign_in(sessions, PASSWORD, codes.at(soon), soon) == "wrong"
    at_last = later + timedelta(minutes=31)
    assert sign_in(sessions, PASSWORD, codes.at(at_last), at_last) == ""


def test_a_locked_name_is_not_told_from_one_that_nobody_has(
    sessions: sessionmaker[Session], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = pyotp.TOTP(enrolled(sessions, person))
    worked: list[str] = []
    for one, method in ((PasswordHasher, "verify"), (pyotp.TOTP, "at")):
        real = getattr(one, method)

        def counted(*given: object, _real: Callable[..., object] = real, _name: str = method) -> object:
            worked.append(_name)
            return _real(*given)

        monkeypatch.setattr(one, method, counted)
    answers, works = set[str](), list[list[str]]()
    for name, password in (("nobody", "wrong"), *[("yanglizi", "wrong")] * visits.FAILURES, ("yanglizi", PASSWORD)):
        worked.clear()
        code = "000000" if password == "wrong" else real(codes, NOW)
        answers.add(sign_in(sessions, password, code, NOW, name=name))
        works.append([*worked])
    assert answers == {"wrong"}
    assert works[0][0] == "verify" and all(one == works[0] for one in works[:-1]), works
    assert "verify" in works[-1]  # locked, and with the right password
    with transaction(sessions) as db:
        assert misses(db, NOW - timedelta(hours=1), visits.CHANNEL, "a") == len(works)  # a locked name is no way round


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


def test_of_two_clicks_on_a_link_one_begins_and_the_other_finds_it_used(
    sessions: sessionmaker[Session], person: Person
) -> None:
    with transaction(sessions) as db:
        given = visits.ticket(db, person.id, NOW)
    clicked, met = Event(), list[BaseException]()

    def second() -> None:
        clicked.set()
        try:
            with transaction(sessions) as db:
                visits.begin_by_ticket(db, given, NOW)
        except (NotSignedIn, IntegrityError) as trouble:
            met.append(trouble)

    thread = Thread(target=second)
    with transaction(sessions) as db:
        visits.begin_by_ticket(db, given, NOW)
        thread.start()
        assert clicked.wait(10)
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while db.get_bind().dialect.name == "postgresql" and not db.scalar(waiting):
            pass  # until the server itself says that the second one waits
    thread.join(10)
    [trouble] = met
    assert isinstance(trouble, NotSignedIn) and trouble.why == "used"


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
