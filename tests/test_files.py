"""Files over real HTTP: what a page keeps and refuses, its caps, who may open what, and what is shut away."""

import io
import re
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import docx
import httpx
import openpyxl
import pytest
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from bot.app import assistant
from bot.channels.web import COOKIE, sign
from bot.files import EXCEL, Fetcher
from bot.messages import Inbound, Media
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase
from storage import bindings, bodies, files, items, people, uploads
from storage.db import make_engine, make_sessions, transaction
from storage.models import File, Role, UploadLink
from storage.scope import SYSTEM, serving
from tests.fakes.server import Site, running, until

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"


def jpeg(width: int = 60, height: int = 40) -> bytes:
    """A photo as a phone makes it: lying on its side, with the place where it was taken."""
    made, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "camera"
    exif.get_ifd(0x8825)[1] = "N"
    Image.new("RGB", (width, height), "red").save(made, "JPEG", exif=exif)
    return made.getvalue()


def png(number: int = 0) -> bytes:
    made = io.BytesIO()
    Image.new("RGBA", (8, 8), (number % 256, number // 256, 7, 128)).save(made, "PNG")
    return made.getvalue()


def word(*, macros: bool = False) -> bytes:
    made = io.BytesIO()
    docx.Document().save(made)
    if macros:
        with zipfile.ZipFile(made, "a") as archive:
            archive.writestr("word/vbaProject.bin", b"x")
    return made.getvalue()


def excel(extra: str = "") -> bytes:
    made = io.BytesIO()
    openpyxl.Workbook().save(made)
    if extra:
        with zipfile.ZipFile(made, "a") as archive:
            archive.writestr(extra, b"x")
    return made.getvalue()


def archive(name: str, size: int = 1) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, b"0" * size)
    return made.getvalue()


class Office:
    """A served site with people at browsers of their own."""

    def __init__(self, site: Site) -> None:
        self.site, self.ids = site, dict[str, int]()
        self.browsers: dict[str, httpx.Client] = {}
        keys = site.database.parent / "keys"
        self.key = (keys / "data.key").read_bytes()
        self.engine = make_engine(f"sqlite:///{site.database}")
        self.sessions = make_sessions(self.engine, self.key, (keys / "audit.key").read_bytes())

    def person(self, who: str, role: str, *, body_id: int | None = None, division: str | None = None) -> None:
        now = datetime.now(UTC)
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            made, _ = people.find_or_add(db, name=f"样例{who}", body_id=body_id, now=now)
            people.give_role(db, made, role, body_id=body_id, division_code=division, now=now)
            bindings.bind(db, made, "web", who, now)
            made.consent, made.consent_at, made.verified_at, made.seen_at = "2026-1", now, now, now
            self.ids[who] = made.id
        self.browsers[who] = httpx.Client(
            base_url=self.site.url, timeout=60, cookies={COOKIE: sign(who, self.key)}, trust_env=False
        )

    def say(self, who: str, *texts: str) -> str:
        """What the last of some messages is answered: text, labels of options, links."""
        for text in texts:
            said = {"message_id": uuid.uuid4().hex, "text": text}
            reply = self.browsers[who].post("/chat", json=said).json()["reply"]
        return "\n".join(
            [reply["text"], *(one["label"] for one in reply["options"]), *(one["url"] for one in reply["links"])]
        )

    def link(self, who: str = "clerk") -> str:
        found = re.search(r"/f/up/\S+", self.say(who, "上传文件"))
        assert found
        return found[0]

    def send(self, link: str, data: bytes, name: str = "") -> httpx.Response:
        headers = {"X-Name": quote(name)}
        return httpx.post(self.site.url + link, content=data, headers=headers, timeout=60, trust_env=False)

    def evidence(self, *sent: tuple[bytes, str]) -> None:
        """The clerk puts files onto the item."""
        link = self.link()
        self.say("clerk", "传材料 #1", "1")
        for data, name in sent:
            assert self.send(link, data, name).status_code == 200
        assert "已附材料" in self.say("clerk", "发完了")

    def open(self, who: str, number: int) -> httpx.Response:
        found = re.search(r"/f/\d+\?t=\S+", self.say(who, f"打开材料 {number}"))
        assert found
        return self.get(found[0])

    def get(self, address: str) -> httpx.Response:
        return httpx.get(self.site.url + address, timeout=60, trust_env=False)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Two counties and a province; one item of the first county that is being rectified."""
    with running(tmp_path) as site:
        made = Office(site)
        with transaction(made.sessions) as db, serving(db, SYSTEM):
            body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
            other, _ = bodies.find_or_add(db, name="清水县", division_code="620521", years=[2017])
            bodies.division(db, "620000")
            now, due = datetime.now(UTC), date(2099, 6, 30)
            item = items.add(
                db, body, now, batch_year=2016, number="Q1", source="绩效评价", category="站点", problem="两个站点停运",
                kind="立行立改", due_on=due, standard="恢复正常",
            )  # fmt: skip
            for event, said in (("issue", {"due_on": due.isoformat()}), ("acknowledge", {"measure": "逐站点核对"})):
                items.apply(db, item.id, item.version, event, said, now)
            numbers = body.id, other.id
        made.person("clerk", "county_officer", body_id=numbers[0])
        made.person("contractor", "contractor", body_id=numbers[0])
        made.person("neighbour", "county_officer", body_id=numbers[1])
        made.person("officer", "province_officer", division="620000")
        yield made
        made.engine.dispose()
        for one in made.browsers.values():
            one.close()


# --- what is kept --------------------------------------------------------------------------------------------------


def test_what_is_refused_says_what_to_do_and_leaves_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.files.MOST_UNPACKED", 5_000_000)
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
    refused = [
        (b"", "另存为 PDF"), ("一段文字".encode(), "另存为 PDF"), (b"<html><script>alert(1)</script></html>", "另存为 PDF"),
        (ole, "另存为 .docx、.xlsx 或 PDF"), (word(macros=True), "不带宏"), (excel("xl/vbaProject.bin"), "不带宏"),
        (excel("xl/macrosheets/sheet1.xml"), "不带宏"), (b"PK\x03\x04" + b"\xff" * 60, "解压"),
        (archive("ppt/presentation.xml"), "另存为 PDF"), (archive("OFD.xml"), "另存为 PDF"),
        (archive("word/document.xml", 5_000_001), "解压"), (b"MZ" + b"\0" * 90, "另存为 PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40, "兼容性最佳"), (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "JPG"),
    ]  # fmt: skip
    link = office.link()
    for data, words in refused:
        answer = office.send(link, data, "材料")
        assert (answer.status_code, words in answer.json()["error"]) == (415, True), (data[:40], answer.text)
    assert office.send(link, png() + b"0" * 20_000_001).status_code == 413
    assert office.site.query("SELECT count(*) FROM file") == [(0,)]
    assert not (office.site.database.parent / "files").exists()
    for data in (png(), jpeg(), PDF, word(), excel()):
        assert office.send(link, data).status_code == 200


def test_a_link_takes_twenty_files_however_many_come_at_once(office: Office) -> None:
    link = office.link()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda number: office.send(link, png(number)), range(36)))
    assert sorted(one.status_code for one in answers) == [200] * 20 + [409] * 16
    assert all("最多传20个文件" in one.json()["error"] for one in answers if one.status_code == 409)
    assert office.site.query("SELECT count(*) FROM file") == [(20,)]
    kept = [one for one in (office.site.database.parent / "files").rglob("*") if one.is_file()]
    assert len(kept) == 20
    again = office.link()
    assert office.send(again, png(100)).status_code == 200


def test_the_bytes_of_a_link_and_of_a_day_are_capped(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    link = office.link()
    assert office.send(link, PDF + b"0" * 600).status_code == 200
    assert "一个链接最多传" in office.send(link, PDF + b"1" * 600).json()["error"]
    monkeypatch.setattr(uploads, "MOST_BYTES_A_DAY", 1000)
    assert "一天内" in office.send(office.link(), PDF + b"2" * 600).json()["error"]
    assert office.site.query("SELECT count(*) FROM file") == [(1,)]


def test_the_cap_holds_between_processes(sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
    """Several doors hand in files of one link at once: the turn decides."""
    at = datetime(2020, 5, 6, 2, tzinfo=UTC)
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        person, _ = people.find_or_add(db, name="样例甲", body_id=body.id, now=at)
        people.give_role(db, person, "county_officer", body_id=body.id, now=at)
        bindings.bind(db, person, "web", "clerk", at)
    doors = [TurnThread(assistant(kb), sessions) for _ in range(2)]

    def file(number: int) -> Inbound:
        media = Media(id="x", mime="image/png", sha256=f"{number:064}", size=9)
        return Inbound(
            channel="web",
            message_id=f"upload:1:{number}",
            address="clerk",
            text="",
            at=at,
            kind="image",
            media=(media,),
        )

    waiting = [doors[number % 2].submit(file(number), {"link_at": at}) for number in range(30)]
    routes = [one.result(timeout=60).route for one in waiting]
    for door in doors:
        door.stop()
    assert routes.count("inbox.full") == 10
    with transaction(sessions) as db, serving(db, SYSTEM):
        assert len(db.scalars(select(File)).all()) == 20


def test_an_expired_link_says_how_to_get_a_new_one(office: Office) -> None:
    link = office.link()
    with transaction(office.sessions) as db:
        db.scalars(select(UploadLink)).one().expires_at = datetime.now(UTC)
    page = httpx.get(office.site.url + link, headers={"Accept": "text/html"}, trust_env=False)
    for answer in (page, office.send(link, png())):
        assert answer.status_code == 404
        assert "发“上传文件”取得新的链接" in answer.text


def test_a_slow_upload_gives_way(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.console.upload.READ_S", 0.1)
    waited = threading.Event()

    def slow() -> Iterator[bytes]:
        yield png()[:20]
        waited.wait(2)
        yield png()[20:]

    url = office.site.url + office.link()
    answer = httpx.post(url, content=slow(), headers={"X-Name": ""}, timeout=60, trust_env=False)
    assert answer.status_code == 408
    assert "重传" in answer.json()["error"]


@pytest.mark.expects_error
def test_the_log_of_a_failure_does_not_hold_the_links_token(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    link, opened = office.link(), re.compile(r"up/\S+")

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(uploads, "find", broken)
    with capture_logs() as logs:
        assert office.get(link).status_code == 500
    assert [one["path"] for one in logs] == ["/f/up/{token}"]
    token = opened.search(link)
    assert token and token[0].removeprefix("up/") not in str(logs)


# --- who may open what -----------------------------------------------------------------------------------------------


def test_a_photo_is_drawn_anew_and_the_original_kept(office: Office) -> None:
    photo = jpeg()
    office.evidence((photo, "现场 1.jpg"))
    assert "看材料" in office.say("clerk", "事项 #1")
    assert "材料1 现场 1.jpg · 站点名单和布局说明" in office.say("officer", "看材料 #1")
    for who in ("clerk", "officer"):
        answer = office.open(who, 1)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"] == f"inline; filename*=UTF-8''{quote('现场 1.jpg')}"
        assert "no-store" in answer.headers["cache-control"]
        with Image.open(io.BytesIO(answer.content)) as drawn:
            assert drawn.size == (40, 60)
            assert dict(drawn.getexif()) == {}
        assert b"camera" in photo and b"camera" not in answer.content
    kept = [one for one in (office.site.database.parent / "files").rglob("*") if one.is_file()]
    assert [one.read_bytes() for one in kept] == [photo]


def test_anything_else_is_an_attachment_as_it_was_sent(office: Office) -> None:
    pages = io.BytesIO()
    sheet = Image.new("RGB", (9, 9))
    sheet.save(pages, "TIFF", save_all=True, append_images=[sheet])
    sent = [
        (PDF, "a/b.exe", "application/pdf", "b.pdf"), (excel(), "台账", EXCEL, "台账.xlsx"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 90, "", "image/png", "材料3.png"), (pages.getvalue(), "扫描.tif", "image/tiff", "扫描.tiff"),
    ]  # fmt: skip
    office.evidence(*((data, name) for data, name, _, _ in sent))
    for number, (data, _, mime, name) in enumerate(sent, 1):
        answer = office.open("officer", number)
        assert answer.content == data
        assert answer.headers["content-type"] == mime
        said = answer.headers["content-disposition"]
        assert said.startswith("attachment") and (quote(name) in said or f'"{name}"' in said)
        assert "sandbox" in answer.headers["content-security-policy"]


def test_pictures_that_would_fill_the_memory_are_not_drawn(office: Office) -> None:
    made = io.BytesIO()
    Image.new("1", (8000, 8000)).save(made, "PNG")
    assert len(made.getvalue()) < 100_000
    office.evidence((made.getvalue(), "大.png"))
    answer = office.open("clerk", 1)
    assert answer.content == made.getvalue()
    assert answer.headers["content-disposition"].startswith("attachment")


def test_nobody_else_opens_it(office: Office) -> None:
    office.evidence((jpeg(), "现场.jpg"), (PDF, "合同.pdf"))
    for who in ("neighbour", "contractor"):
        assert "没有找到" in office.say(who, "看材料 #1")
        assert "没有找到材料1" in office.say(who, "打开材料 1")
    now = datetime.now(UTC)
    with transaction(office.sessions) as db:
        right = files.ticket(db, 1, office.ids["clerk"], now)
        late = files.ticket(db, 1, office.ids["clerk"], now - files.OPEN_FOR)
        foreign = files.ticket(db, 1, office.ids["neighbour"], now)
        missing = files.ticket(db, 99, office.ids["clerk"], now)
    person, until, seal = right.split("-")
    wrong = [
        f"/f/1?t={late}", f"/f/1?t={foreign}", f"/f/2?t={right}", f"/f/99?t={missing}", "/f/1", "/f/1?t=", "/f/x?t=1-1-1",
        f"/f/1?t={person}-{int(until) + 600}-{seal}", f"/f/1?t={office.ids['officer']}-{until}-{seal}",
        f"/f/1?t={person}-{until}-{'0' * 32}", f"/f/{'9' * 5000}?t={right}", f"/f/1?t={'9' * 5000}-{until}-{seal}",
        f"/f/1?t={person}-{until}-{quote('é' * 32)}", f"/f/１?t={right}",
    ]  # fmt: skip
    assert {office.get(address).status_code for address in wrong} == {404}
    assert office.get(f"/f/1?t={right}").status_code == 200
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        db.scalars(select(Role).where(Role.person_id == office.ids["clerk"])).one().ended_at = now
    assert office.get(f"/f/1?t={right}").status_code == 404
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        db.scalars(select(Role).where(Role.person_id == office.ids["clerk"])).one().ended_at = None
    office.say("clerk", "解绑", "1")
    assert office.get(f"/f/1?t={right}").status_code == 404


def test_what_is_sent_and_not_used_is_its_senders_alone(office: Office) -> None:
    assert office.send(office.link(), PDF, "草稿.pdf").status_code == 200
    assert office.open("clerk", 1).status_code == 200
    assert "没有找到材料1" in office.say("officer", "打开材料 1")


# --- quarantine ------------------------------------------------------------------------------------------------------


def test_the_province_shuts_a_file_away_with_its_copies_and_lets_it_out_again(office: Office) -> None:
    photo = jpeg()
    office.evidence((photo, "证件.jpg"), (PDF, "合同.pdf"))
    assert office.send(office.link("neighbour"), photo).status_code == 200
    ticket = re.search(r"/f/1\?t=\S+", office.say("clerk", "打开材料 1"))
    assert ticket and office.get(ticket[0]).status_code == 200
    assert "由省级经办人或审核人办理" in office.say("clerk", "隔离材料 1")
    assert "隔离这份材料" in office.say("officer", "打开材料 1")
    assert "任何人不能打开" in office.say("officer", "隔离材料 1", "含身份证照片")
    assert "共2份" in office.say("officer", "确认")
    assert office.get(ticket[0]).status_code == 404
    assert "没有找到材料1" in office.say("clerk", "打开材料 1")
    for who in ("clerk", "neighbour"):
        history = office.browsers[who].get
        until(lambda history=history: "已由省级主管部门隔离" in history("/chat/history").text)
    card = office.say("clerk", "事项 #1")
    assert "佐证1份" in card and "另有1份已隔离" in card
    refused = office.send(office.link(), photo)
    assert refused.status_code == 409 and "不能再传" in refused.json()["error"]
    assert "（已隔离）" in office.say("officer", "看材料 #1")
    assert "原因：含身份证照片" in office.say("officer", "打开材料 1")
    assert "共2份" in office.say("officer", "解除隔离 1", "核实后不是证件")
    assert office.get(ticket[0]).status_code == 200
    written = office.site.query("SELECT action, reason FROM audit WHERE action LIKE 'file.%' ORDER BY id")
    assert written == [("file.quarantine", "含身份证照片"), ("file.release", "核实后不是证件")]


def test_a_quarantined_file_that_comes_again_by_message_is_not_kept(
    office: Office, expects_refusal: Callable[[bytes], str]
) -> None:
    office.evidence((jpeg(), "证件.jpg"))
    office.say("officer", "隔离材料 1", "含身份证照片", "确认")
    assert expects_refusal(jpeg()) == "quarantined"


@pytest.fixture
def expects_refusal(office: Office) -> Callable[[bytes], str]:
    """The reason why bytes that a platform brings are not kept."""

    class Brings:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def fetch(self, _media: Media) -> bytes:
            return self.data

    def refusal(data: bytes) -> str:
        now = datetime.now(UTC)
        fetcher = Fetcher({"wecom": Brings(data)}, office.sessions, office.site.database.parent, lambda: now)  # type: ignore[dict-item]  # fetches only
        with transaction(office.sessions) as db, serving(db, SYSTEM):
            file = files.receive(
                db, channel="wecom", address="m", person_id=office.ids["clerk"], body_id=1, media_id="1", name="",
                mime="image/jpeg", now=now - timedelta(minutes=1),
            )  # fmt: skip
        fetcher._fetch(file)
        with transaction(office.sessions) as db, serving(db, SYSTEM):
            kept = db.get_one(File, file.id)
            assert kept.state == "refused"
            return kept.reason

    return refusal


def test_a_message_with_an_old_word_file_is_not_kept(office: Office, expects_refusal: Callable[[bytes], str]) -> None:
    assert expects_refusal(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600) == "old-office"
