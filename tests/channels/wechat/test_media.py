"""Photos and files: fetched after the turn, stored under their hash, or told."""

from pathlib import Path
from typing import Any

import pytest

from bot.channels import wechat, wechat_api
from bot.messages import TemporaryFailure
from tests.channels.people import bound
from tests.channels.wechat.support import HOOK, JPEG, Fresh, keys
from tests.fakes.server import Site, running, until
from tests.fakes.wechat import Fault, Follower, WechatServer


def files(desk: Site, me: Follower) -> list[tuple[Any, ...]]:
    return desk.query(
        "SELECT state, mime, size, sha256, reason, name FROM file WHERE address = ? ORDER BY id", me.openid
    )


def settled(desk: Site, me: Follower) -> list[tuple[Any, ...]]:
    until(lambda: all(row[0] != "pending" for row in files(desk, me)))
    return files(desk, me)


def photo(me: Follower, media_id: str) -> str:
    return me.send("image", PicUrl="http://127.0.0.1:9/never", MediaId=media_id)


def test_a_photo_is_acknowledged_at_once_and_stored_under_its_hash(
    fake: WechatServer, desk: Site, me: Follower
) -> None:
    bound(desk, "wechat", me.openid)
    fake.media["photo-1"] = JPEG
    fake.faults["media/get"].append(Fault(delay_s=0.5, code=-1))
    assert photo(me, "photo-1").startswith("已收到材料1份")
    [(state, mime, size, digest, _, _)] = settled(desk, me)
    assert (state, mime, size) == ("stored", "image/jpeg", len(JPEG))
    path = desk.database.parent / "files" / digest[:2] / digest
    assert path.read_bytes() == JPEG
    assert path.stat().st_mode & 0o077 == 0
    assert "已收到材料" in photo(me, "photo-1")
    assert [row[3] for row in settled(desk, me)] == [digest, digest]


def test_a_photo_of_somebody_unknown_is_not_stored(fake: WechatServer, desk: Site, me: Follower) -> None:
    shown = photo(me, "photo-2")
    assert "已收到照片1张" in shown
    assert "绑定" in shown
    assert files(desk, me) == []


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault(status=302, body=b"", headers={"Location": "http://127.0.0.1:9/"}), "lost"),
        (Fault(endless=True), "refused"),
        (Fault(body=b"<html>error</html>", headers={"Content-Type": "text/html"}), "refused"),
        (Fault(body=b"<html>error</html>", headers={"Content-Type": "image/jpeg"}), "refused"),
        (Fault(body=b'{"video_url": "http://127.0.0.1:9/v"}'), "refused"),
        (Fault(body=b"MZ" + b"\0" * 100, headers={"Content-Type": "image/jpeg"}), "refused"),
        (Fault(body=b"x" * 10_000_001, headers={"Content-Type": "image/jpeg"}), "refused"),
        (Fault(code=40007), "lost"),
        (Fault(status=404), "lost"),
    ],
    ids=[
        "redirect",
        "endless",
        "html",
        "disguised html",
        "video elsewhere",
        "program",
        "too big",
        "expired",
        "missing",
    ],
)
def test_a_file_that_cannot_be_kept_is_told(
    fake: WechatServer, desk: Site, me: Follower, fault: Fault, state: str
) -> None:
    bound(desk, "wechat", me.openid)
    fake.faults["media/get"].append(fault)
    photo(me, "photo-3")
    assert settled(desk, me)[0][0] == state
    told = until(lambda: [one for one in fake.custom if one["touser"] == me.openid])
    assert "没有保存" in told[0]["text"]["content"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(hang_up=True),
        Fault(status=500),
        Fault(body=b"short", headers={"Content-Length": "500", "Content-Type": "image/jpeg"}, delay_s=0),
        Fault(code=40001),
    ],
    ids=["hang up", "500", "cut short", "token"],
)
def test_a_fetch_that_fails_is_tried_again(
    fake: WechatServer, desk: Site, me: Follower, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.files.AGAIN_S", 0.05)
    monkeypatch.setattr(wechat_api, "ANSWER_S", 1.0)
    bound(desk, "wechat", me.openid)
    fake.media["photo-4"] = JPEG
    fake.faults["media/get"].append(fault)
    photo(me, "photo-4")
    assert settled(desk, me)[0][0] == "stored"


def test_a_drip_is_cut_off(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    server, api = fresh
    monkeypatch.setattr(wechat_api, "FETCH_S", 0.0)
    server.media["slow"] = JPEG
    with pytest.raises(TemporaryFailure, match="too-slow"):
        api.media("slow", 10_000_000)


def test_a_file_sent_before_a_restart_is_fetched_after_it(
    fake: WechatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.faults.clear()
    with running(tmp_path, **keys(fake)) as site:
        me = Follower(hook=site.url + HOOK)
        bound(site, "wechat", me.openid)
        fake.faults["media/get"].append(Fault(status=500))
        photo(me, "photo-5")
        until(lambda: files(site, me)[0][4] == "http-500")
        me.http.close()
    fake.media["photo-5"] = JPEG
    with running(tmp_path, **keys(fake)) as site:
        assert settled(site, me)[0][0] == "stored"


def test_files_voices_and_videos_are_fetched_too(fake: WechatServer, desk: Site, me: Follower) -> None:
    bound(desk, "wechat", me.openid)
    fake.media["f1"] = b"%PDF-1.4\n" + b"\0" * 300
    assert me.send("file", MediaId="f1", FileName="验收报告.pdf").startswith("已收到材料1份")
    [(state, mime, _, _, _, name)] = settled(desk, me)
    assert (state, mime, name) == ("stored", "application/pdf", "验收报告.pdf")


def test_nothing_but_the_parser_reads_a_picture_or_link_address() -> None:
    root = Path(wechat.__file__).parent.parent.parent
    for path in [*root.glob("bot/**/*.py"), *root.glob("handlers/*.py")]:
        for line in path.read_text("utf-8").splitlines():
            assert "PicUrl" not in line or "KNOWN" in line or "ToUserName" in line, path
