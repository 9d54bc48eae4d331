"""Messages that the account sends by itself."""

from datetime import timedelta

import pytest

from bot.channels import wechat, wechat_api
from bot.channels.wechat import Wechat
from bot.messages import Link, Reply, TemporaryFailure, Undeliverable
from storage import deliveries
from storage.db import make_engine, make_sessions, transaction
from tests.conftest import JUNE
from tests.fakes.server import Site
from tests.fakes.wechat import APP, SECRET, Fault, Follower, WechatServer

NOTICE = Reply(text="您问的“站点补多少钱”有了答复：所收文件未作规定，可向省厅了解。\n请查看", links=())


def test_a_message_within_the_window_is_a_customer_service_message(
    fake: WechatServer, me: Follower, channel: Wechat
) -> None:
    me.say("你好")
    channel.push(me.openid, NOTICE, "ruling:1:1:1")
    assert fake.custom[-1]["touser"] == me.openid
    assert fake.custom[-1]["text"]["content"] == NOTICE.text
    assert fake.custom[-1]["client_msg_id"]


def test_somebody_who_only_pressed_buttons_or_nothing_gets_a_template_message(
    fake: WechatServer, me: Follower, channel: Wechat
) -> None:
    me.click("帮助")
    sent = len(fake.custom)
    number = channel.push(me.openid, Reply(text=NOTICE.text, links=(Link(label="看", url="http://127.0.0.1/n"),)), "k2")
    assert len(fake.custom) == sent
    made = fake.templates[-1]
    assert number
    assert made["template_id"] == "template-1"
    assert made["url"] == "http://127.0.0.1/n"
    assert [len(one["value"]) for one in made["data"].values()] == [20, 3]


def test_the_window_closes_after_48_hours_and_after_five_messages(
    fake: WechatServer, desk: Site, me: Follower, channel: Wechat, monkeypatch: pytest.MonkeyPatch
) -> None:
    me.say("你好")
    now = channel._clock()
    monkeypatch.setattr(channel, "_clock", lambda: now + timedelta(hours=48, minutes=1))
    assert not channel._window_open(me.openid)
    monkeypatch.setattr(channel, "_clock", lambda: now + timedelta(hours=47))
    assert channel._window_open(me.openid)
    engine = make_engine(f"sqlite:///{desk.database}")
    with transaction(make_sessions(engine)) as db:
        for number in range(5):
            made = deliveries.put(
                db, source=f"test:{me.openid}", version=number, recipient=f"wechat:{me.openid}", lane="reply",
                reply=NOTICE.to_json(), why="", now=now,
            )  # fmt: skip
            assert made is not None
            made.state, made.channel, made.handed_at = "accepted", "wechat", now + timedelta(seconds=1)
    engine.dispose()
    assert not channel._window_open(me.openid)


@pytest.mark.parametrize("code", [45015, 45047])
def test_a_window_that_wechat_says_is_closed_falls_back_to_the_template(
    fake: WechatServer, me: Follower, channel: Wechat, code: int
) -> None:
    me.say("你好")
    fake.faults["message/custom/send"].append(Fault(code=code))
    channel.push(me.openid, NOTICE, f"fallback:{code}")
    assert fake.templates[-1]["touser"] == me.openid


def test_without_a_template_another_channel_must_do_it(
    fake: WechatServer, me: Follower, channel: Wechat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "_chosen", channel._chosen.model_copy(update={"template_id": ""}))
    with pytest.raises(Undeliverable, match="window"):
        channel.push(me.openid, NOTICE, "nowhere")
    me.say("你好")
    fake.faults["message/custom/send"].append(Fault(code=45015))
    with pytest.raises(Undeliverable, match="45015"):
        channel.push(me.openid, NOTICE, "closed")


@pytest.mark.parametrize(
    ("fault", "sure"),
    [
        (Fault(code=-1), False),
        (Fault(status=502), False),
        (Fault(body=b"<html>oops"), False),
        (Fault(body=b'{"errcode": "x"}'), False),
        (Fault(body=b'{"errco'), False),
        (Fault(body=b"[]"), False),
        (Fault(hang_up=True), False),
        (Fault(after=True), False),
        (Fault(code=45011), True),
    ],
)
def test_a_push_that_may_have_arrived_is_not_sure_and_sent_again_arrives_once(
    fake: WechatServer, me: Follower, channel: Wechat, fault: Fault, sure: bool
) -> None:
    me.say("你好")
    fake.faults["message/custom/send"].append(fault)
    with pytest.raises(TemporaryFailure) as trouble:
        channel.push(me.openid, NOTICE, f"again:{me.openid}")
    assert trouble.value.sure is sure
    channel.push(me.openid, NOTICE, f"again:{me.openid}")
    assert [one["touser"] for one in fake.custom].count(me.openid) == 1


def test_an_unreachable_platform_has_surely_not_taken_it(monkeypatch: pytest.MonkeyPatch) -> None:
    api = wechat_api.Api(grant=wechat_api.stable_token(APP, SECRET), api_base="http://127.0.0.1:9", clock=lambda: JUNE)
    with pytest.raises(TemporaryFailure) as trouble:
        api.post("message/custom/send", data={})
    assert trouble.value.sure
    api.close()


def test_a_slow_platform_is_given_up(
    fake: WechatServer, me: Follower, channel: Wechat, monkeypatch: pytest.MonkeyPatch
) -> None:
    me.say("你好")
    fake.faults["message/custom/send"].append(Fault(delay_s=1.0))
    monkeypatch.setattr(wechat_api, "ANSWER_S", 0.2)
    with pytest.raises(TemporaryFailure) as trouble:
        channel.push(me.openid, NOTICE, "slow")
    assert not trouble.value.sure


def test_a_template_that_did_not_arrive_goes_with_the_next_message(
    fake: WechatServer, desk: Site, me: Follower
) -> None:
    engine = make_engine(f"sqlite:///{desk.database}")
    with transaction(make_sessions(engine)) as db:
        made = deliveries.put(
            db, source=f"test:{me.openid}", recipient=f"wechat:{me.openid}", lane="reply",
            reply=Reply(text="有一条通知").to_json(), why="", now=wechat.datetime.now(wechat.UTC),
        )  # fmt: skip
        assert made is not None
        made.state, made.channel, made.platform_id = "accepted", "wechat", "777001"
    engine.dispose()
    report = {"Event": "TEMPLATESENDJOBFINISH", "MsgID": 777001, "Status": "failed:user block"}
    assert me.send("event", **report) == ""
    assert "有一条通知" in me.say("帮助")
