"""What holds on every channel, tried on each with its platform's own side: a fake server and somebody who writes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from typing import Any, Protocol

import httpx
import pytest

from bot.channels import Channel
from bot.messages import ChannelStopped, Reply, TemporaryFailure, Undeliverable
from storage import deliveries
from storage.db import make_engine, make_sessions, transaction
from tests.channels.people import bound
from tests.fakes import crypto, telegram, wechat, wecom
from tests.fakes.server import Site, running, until

NUMBERS = count(1)
PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = (b"", b"{", b"<xml", b"[]", b"null", b"\xff\xfe\x00", b"\x00" * 10, b"x" * 300_000, b"[" * 100_000,
           b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><xml>&a;</xml>", b"<xml>" + b"<a>" * 9000)  # fmt: skip
TYPED = "]]></Content><FromUserName><![CDATA[boss]]></FromUserName><Content><![CDATA[\x00\x08{{7*7}} <b>&amp;"
CLEAN = TYPED.replace("\x00", "").replace("\x08", "")


class Side(Protocol):
    """A platform as its users see it. `name` is the channel's; an address is somebody new each time."""

    name: str
    path: str
    remembers: bool  # a key that is pushed again is known
    splits: bool  # a long push comes in several messages, instead of being cut

    def settings(self) -> dict[str, Any]: ...

    def someone(self, site: Site) -> str:
        """Somebody new; their address."""

    def send(self, address: str, text: str, identity: str = "") -> str:
        """Write something and read what comes back; with an identity, as the same message each time."""

    def photo(self, address: str, data: bytes) -> str:
        """Send a picture and read what comes back."""

    def shown(self, address: str) -> list[str]:
        """The texts that were pushed to somebody, or said in reply where replies are pushed."""

    def busy(self) -> None:
        """Refuse the next push for haste."""

    def stop(self) -> None:
        """Refuse the account as such with the next push."""

    def leave(self, address: str) -> None:
        """Somebody does not want to hear from the account any more."""

    def close(self) -> None: ...


class WechatSide:
    name, path, remembers, splits = "wechat", "/channels/wechat", True, False

    def __init__(self) -> None:
        self.server = wechat.WechatServer()
        self.followers: dict[str, wechat.Follower] = {}
        self.sent: dict[str, str] = {}

    def settings(self) -> dict[str, Any]:
        keys = {"app_id": wechat.APP, "app_secret": wechat.SECRET, "token": wechat.TOKEN}
        keys |= {"aes_key": crypto.AES_KEY, "api_base": self.server.base}
        return {f"wechat__{name}": value for name, value in keys.items()}

    def someone(self, site: Site) -> str:
        follower = wechat.Follower(hook=site.url + self.path)
        self.followers[follower.openid] = follower
        return follower.openid

    def send(self, address: str, text: str, identity: str = "") -> str:
        follower = self.followers[address]
        xml = follower.xml("text", Content=text)
        return follower.shown(follower.post(self.sent.setdefault(identity, xml) if identity else xml))

    def photo(self, address: str, data: bytes) -> str:
        name = f"media-{next(NUMBERS)}"
        self.server.media[name] = data
        return self.followers[address].send("image", MediaId=name, PicUrl="http://127.0.0.1:9/")

    def shown(self, address: str) -> list[str]:
        return [str(one["text"]["content"]) for one in self.server.custom if one["touser"] == address]

    def busy(self) -> None:
        self.server.faults["message/custom/send"].append(wechat.Fault(code=45011))

    def stop(self) -> None:
        self.server.faults["message/custom/send"].append(wechat.Fault(code=48001))

    def close(self) -> None:
        self.server.close()
        for follower in self.followers.values():
            follower.http.close()

    def leave(self, address: str) -> None:
        self.server.faults["message/custom/send"].append(wechat.Fault(code=43004))


class WecomSide:
    name, path, remembers, splits = "wecom", "/channels/wecom", True, True

    def __init__(self) -> None:
        self.server = wecom.WecomServer()
        self.members: dict[str, wecom.Member] = {}
        self.close = self.server.close
        self.sent: dict[str, str] = {}

    def settings(self) -> dict[str, Any]:
        keys = {"corp_id": wecom.CORP, "agent_id": wecom.AGENT, "secret": wecom.SECRET, "token": wecom.TOKEN}
        keys |= {"aes_key": crypto.AES_KEY, "api_base": self.server.base}
        return {f"wecom__{name}": value for name, value in keys.items()}

    def someone(self, site: Site) -> str:
        name = f"Member{next(NUMBERS)}"
        self.members[name] = wecom.Member(self.server, name, site.url + self.path)
        return name

    def send(self, address: str, text: str, identity: str = "") -> str:
        member = self.members[address]
        xml = member.xml("text", Content=text)
        return member.hears(self.sent.setdefault(identity, xml) if identity else xml)

    def photo(self, address: str, data: bytes) -> str:
        member, name = self.members[address], f"media-{next(NUMBERS)}"
        self.server.media[name] = data
        return member.hears(member.xml("image", MediaId=name, PicUrl="http://127.0.0.1:9/"))

    def shown(self, address: str) -> list[str]:
        return self.server.members[address].texts

    def busy(self) -> None:
        self.server.fail("message/send", wecom.Fault(code=45033))

    def stop(self) -> None:
        self.server.fail("message/send", wecom.Fault(code=60020))

    def leave(self, address: str) -> None:
        self.server.outside.add(address)


class TelegramSide:
    name, path, remembers, splits = "telegram", "/channels/telegram", False, True

    def __init__(self) -> None:
        self.server = telegram.TelegramServer()
        self.people: dict[str, telegram.Person] = {}
        self.close = self.server.close
        self.sent: dict[str, dict[str, Any]] = {}
        self.left: set[str] = set()

    def settings(self) -> dict[str, Any]:
        keys = {"token": telegram.TOKEN, "secret_token": telegram.SECRET, "enabled_reason": "测试"}
        keys |= {"api_base": self.server.base}
        return {f"telegram__{name}": value for name, value in keys.items()}

    def someone(self, site: Site) -> str:
        person = telegram.Person(
            self.server, next(NUMBERS), lambda update: self.server.post(update, to=site.url + self.path)
        )
        self.people[person.address] = person
        return person.address

    def send(self, address: str, text: str, identity: str = "") -> str:
        person = self.people[address]
        update = person.message(text=text)
        return str(person.gets(self.sent.setdefault(identity, update) if identity else update)[0]["text"])

    def photo(self, address: str, data: bytes) -> str:
        person, name = self.people[address], f"photo-{next(NUMBERS)}"
        self.server.files[f"files/{name}"] = data
        sizes = [{"file_id": name, "file_unique_id": name, "width": 9, "height": 9}]
        return str(person.gets(person.message(photo=sizes))[0]["text"])

    def shown(self, address: str) -> list[str]:
        return [str(one["text"]) for one in self.people[address].chat.shown]

    def busy(self) -> None:
        self.server.fail("sendMessage", telegram.Fault(status=429, retry_after=1))

    def stop(self) -> None:
        self.server.fail("sendMessage", telegram.Fault(status=401, description="Unauthorized"))

    def leave(self, address: str) -> None:
        self.server.fail(
            "sendMessage", telegram.Fault(status=403, description="Forbidden: bot was blocked by the user")
        )


SIDES: list[Callable[[], Side]] = [WechatSide, WecomSide, TelegramSide]


@pytest.fixture(scope="module", params=SIDES, ids=lambda side: side.name)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture(scope="module")
def desk(side: Side, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp(side.name), **side.settings()) as site:
        yield site


@pytest.fixture
def channel(side: Side, desk: Site) -> Channel:
    return desk.channels[side.name]


def test_a_question_and_its_follow_up_are_answered(side: Side, desk: Site) -> None:
    who = side.someone(desk)
    assert "四第3段" in side.send(who, "拨付率85%能二次申报吗")
    assert "可以" in side.send(who, "那92%呢")
    assert desk.said(who) == ["拨付率85%能二次申报吗", "那92%呢"]


def test_a_list_is_picked_from_by_number(side: Side, desk: Site) -> None:
    who = side.someone(desk)
    side.send(who, "菜单")
    assert "90%" in side.send(who, "2")


@pytest.mark.parametrize("text", ["]]>", "\x00\x08", "<b>&amp;", "😀", "\u202e", "问" * 3000], ids=ascii)
def test_any_text_gets_a_reply(side: Side, desk: Site, text: str) -> None:
    assert side.send(side.someone(desk), text)


def test_a_form_is_filled(side: Side, desk: Site) -> None:
    who = side.someone(desk)
    assert "拨付率是多少" in side.send(who, "判断 reapplication")
    side.send(who, "取消")
    assert desk.said(who) == ["判断 reapplication", "取消"]


def test_a_repeated_message_has_one_effect_and_equal_replies(side: Side, desk: Site) -> None:
    who = side.someone(desk)
    replies = {side.send(who, "16年的示范县整改期限", f"again-{who}") for _ in range(10)}
    assert len(replies) == 1
    assert desk.said(who) == ["16年的示范县整改期限"]


def test_hostile_bodies_get_one_equal_refusal_and_write_nothing(side: Side, desk: Site) -> None:
    before = desk.query("SELECT count(*) FROM exchange")
    queries: list[dict[str, str]] = [{}, {"msg_signature": "é", "timestamp": "x", "nonce": "\x00", "signature": "1"}]
    answers = [httpx.post(desk.url + side.path, params=query, content=body) for body in HOSTILE for query in queries]
    assert {(one.status_code, one.text) for one in answers} == {(403, "forbidden")}
    assert desk.query("SELECT count(*) FROM exchange") == before


def test_what_is_typed_stays_text(side: Side, desk: Site) -> None:
    who = side.someone(desk)
    assert side.send(who, TYPED)
    assert desk.said(who) == [CLEAN]
    assert desk.said("boss") == []


class Heard:
    """Somebody who has written before, so that every platform lets us push; what is pushed from then on."""

    def __init__(self, side: Side, desk: Site) -> None:
        self.side, self.address = side, side.someone(desk)
        side.send(self.address, "你好")
        self.before = len(side.shown(self.address))

    @property
    def shown(self) -> list[str]:
        return self.side.shown(self.address)[self.before :]


@pytest.fixture
def heard(side: Side, desk: Site) -> Heard:
    return Heard(side, desk)


def test_what_is_pushed_stays_text(side: Side, desk: Site, heard: Heard, channel: Channel) -> None:
    channel.push(heard.address, Reply(text=TYPED), f"typed:{heard.address}")
    assert heard.shown == [CLEAN]


def test_a_long_push_fits_the_platform(side: Side, desk: Site, heard: Heard, channel: Channel) -> None:
    text = "\n".join(f"第{number}条 请各县于6月24日前报送进展情况𠮷。" for number in range(200))
    channel.push(heard.address, Reply(text=text), f"long:{heard.address}")
    if side.splits:
        assert len(heard.shown) > 1
        assert "\n".join(heard.shown) == text
    else:
        (only,) = heard.shown
        assert text.startswith(only.splitlines()[0])
        assert 1000 < len(only.encode()) <= 2047


def test_haste_is_a_temporary_failure_that_surely_sent_nothing(
    side: Side, desk: Site, heard: Heard, channel: Channel
) -> None:
    who = heard.address
    side.busy()
    with pytest.raises(TemporaryFailure) as raised:
        channel.push(who, Reply(text="提醒"), f"busy:{who}")
    assert raised.value.sure is True
    assert raised.value.retry_after_s > 0
    assert heard.shown == []


def test_an_account_that_is_refused_stops_the_channel(side: Side, heard: Heard, channel: Channel) -> None:
    side.stop()
    with pytest.raises(ChannelStopped):
        channel.push(heard.address, Reply(text="提醒"), f"stop:{heard.address}")


def test_a_key_makes_a_push_arrive_once_where_the_platform_can(side: Side, heard: Heard, channel: Channel) -> None:
    for _ in range(2):
        channel.push(heard.address, Reply(text="提醒"), f"once:{heard.address}")
    assert heard.shown == ["提醒"] * (1 if side.remembers else 2)


def test_somebody_who_left_is_gone(side: Side, desk: Site, heard: Heard, channel: Channel) -> None:
    who = heard.address
    side.leave(who)
    with pytest.raises(Undeliverable) as raised:
        channel.push(who, Reply(text="提醒"), f"left:{who}")
    assert raised.value.gone is True


def test_a_picture_of_somebody_bound_is_kept_under_its_hash(side: Side, desk: Site) -> None:
    who = side.someone(desk)
    bound(desk, side.name, who)
    data = PNG + who.encode()
    assert "已收到" in side.photo(who, data)
    rows = "SELECT state, sha256, mime FROM file WHERE channel = ? AND address = ?"
    digest = sha256(data).hexdigest()
    until(lambda: desk.query(rows, side.name, who)[0][0] != "pending")
    assert desk.query(rows, side.name, who) == [("stored", digest, "image/png")]
    assert (desk.database.parent / "files" / digest[:2] / digest).read_bytes() == data


def test_what_is_put_in_the_ledger_is_delivered_once(side: Side, desk: Site, heard: Heard) -> None:
    who = heard.address
    engine = make_engine(f"sqlite:///{desk.database}")
    sessions = make_sessions(engine)
    for _ in range(2):
        with transaction(sessions) as db:
            deliveries.put(
                db,
                source=f"contract:{who}",
                recipient=deliveries.address(side.name, who),
                lane="notice",
                reply=Reply(text="请报送进展").to_json(),
                why="",
                now=datetime.now(UTC),
            )
    engine.dispose()
    until(lambda: heard.shown)
    state = "SELECT state FROM delivery WHERE recipient = ?"
    until(lambda: desk.query(state, f"{side.name}:{who}") == [("accepted",)])
    assert heard.shown == ["请报送进展"]
