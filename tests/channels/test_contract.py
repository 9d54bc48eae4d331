"""What every channel promises, held against each: a platform joins by adding its peer to PEERS."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.channels import Channel
from bot.messages import ChannelStopped, Media, Reply, TemporaryFailure, Undeliverable
from tests.fakes import crypto
from tests.fakes.server import Site, running
from tests.fakes.wechat import APP, SECRET, TOKEN, Fault, Follower, WechatServer

QUESTION, CONCLUSION = "专项资金能不能给站长发工资", "不可以（仅指中央财政资金）"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A person on a platform and the platform's side of the wire.

    `twice` delivers one message two times and gives both replies; `post` sends bytes as an outsider would;
    `fails` makes the next push or fetch meet what the key names: busy, gone, closed, stopped.
    """

    site: Site
    channel: Channel
    address: str
    say: Callable[[str], str]
    twice: Callable[[str], tuple[str, str]]
    post: Callable[[bytes], httpx.Response]
    fails: Mapping[str, Callable[[], None]]
    pushed: Callable[[], list[str]]


def wechat(folder: Path) -> Iterator[Peer]:
    fake = WechatServer()
    settings: dict[str, Any] = {
        "wechat__app_id": APP, "wechat__app_secret": SECRET, "wechat__token": TOKEN, "wechat__aes_key": crypto.AES_KEY,
        "wechat__api_base": fake.base,
    }  # fmt: skip
    with running(folder, **settings) as site:
        me = Follower(hook=f"{site.url}/channels/wechat")

        def twice(text: str) -> tuple[str, str]:
            xml = me.xml("text", Content=text)
            return me.shown(me.post(xml)), me.shown(me.post(xml))

        def fail(*faults: Fault) -> Callable[[], None]:
            return lambda: [fake.faults[name].extend(faults) for name in ("message/custom/send", "media/get")] and None

        yield Peer(
            site=site,
            channel=site.channels["wechat"],
            address=me.openid,
            say=me.say,
            twice=twice,
            post=lambda body: me.http.post(me.hook, params={"msg_signature": "0" * 40, "timestamp": "1"}, content=body),
            fails={
                "busy": fail(Fault(status=503)),
                "gone": fail(Fault(code=43004)),
                "closed": fail(Fault(code=45015)),
                "stopped": fail(Fault(code=48001)),
            },
            pushed=lambda: [one["text"]["content"] for one in fake.custom if one["touser"] == me.openid],
        )
        me.http.close()
    fake.close()


PEERS = {"wechat": wechat}


@pytest.fixture(scope="module", params=sorted(PEERS))
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    yield from PEERS[request.param](tmp_path_factory.mktemp(request.param))


def test_a_question_is_answered(peer: Peer) -> None:
    assert CONCLUSION in peer.say(QUESTION)


def test_a_list_is_picked_from_by_number(peer: Peer) -> None:
    assert "验收条件" in peer.say("菜单")
    assert "90%" in peer.say("2")


def test_a_message_delivered_twice_acts_once(peer: Peer) -> None:
    before = len(peer.site.said(peer.address))
    first, second = peer.twice("16年的示范县问题整改什么时候截止")
    assert "6月30日" in first
    assert second in ("", first)
    assert len(peer.site.said(peer.address)) == before + 1


@pytest.mark.parametrize("text", ["]]>", "\x00\x08", "<b>&amp;", "😀", "\u202e", "问" * 3000], ids=ascii)
def test_any_text_gets_a_reply(peer: Peer, text: str) -> None:
    assert peer.say(text)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"<xml/>", b"[" * 9000, b"\xff" * 64, b"<!DOCTYPE x><xml/>", b"0" * 300_000]
)
def test_an_outsider_is_refused_in_one_way_and_nothing_is_written(peer: Peer, body: bytes) -> None:
    before = peer.site.query("SELECT count(*) FROM exchange")
    answer = peer.post(body)
    assert (answer.status_code, answer.text) == (403, "forbidden")
    assert peer.site.query("SELECT count(*) FROM exchange") == before


def test_a_push_arrives_and_its_key_makes_it_arrive_once(peer: Peer) -> None:
    peer.say("你好")
    reply = Reply(text="您的问题有了答复")
    peer.channel.push(peer.address, reply, "contract:1")
    peer.channel.push(peer.address, reply, "contract:1")
    assert sum("您的问题有了答复" in one for one in peer.pushed()) == 1


def test_a_push_longer_than_the_platform_carries_is_cut_within_characters(peer: Peer) -> None:
    peer.channel.push(peer.address, Reply(text="示范县😀" * 2000), "contract:long")
    assert "示范县" in peer.pushed()[-1]
    assert "\ufffd" not in peer.pushed()[-1]


@pytest.mark.parametrize(
    ("failure", "raised"),
    [("busy", TemporaryFailure), ("gone", Undeliverable), ("closed", Undeliverable), ("stopped", ChannelStopped)],
)
def test_a_failure_has_one_meaning_on_every_platform(peer: Peer, failure: str, raised: type[Exception]) -> None:
    peer.say("你好")
    peer.fails[failure]()
    with pytest.raises(raised) as push:
        peer.channel.push(peer.address, Reply(text="一"), f"contract:{failure}")
    with pytest.raises(raised):
        peer.channel.fetch(Media(id="m1", mime="image"))
    assert getattr(push.value, "gone", False) is (failure == "gone")
