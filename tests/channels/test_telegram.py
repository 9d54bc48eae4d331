"""Telegram over real HTTP: a Bot API of our own on one side, the running server on the other."""

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from bot.channels.telegram import Telegram
from bot.messages import ChannelStopped, Media, Option, Reply, TemporaryFailure, Undeliverable
from tests.fakes.server import Site, running, until
from tests.fakes.telegram import SECRET, TOKEN, Fault, Person, TelegramServer

HOOK = "/channels/telegram"
NUMBERS = count(42)


def keys(fake: TelegramServer, mode: str) -> dict[str, str]:
    return {
        "telegram__token": TOKEN,
        "telegram__secret_token": SECRET,
        "telegram__mode": mode,
        "telegram__api_base": fake.base,
        "telegram__enabled_reason": "测试",
    }


@pytest.fixture(scope="module")
def fake() -> Iterator[TelegramServer]:
    made = TelegramServer()
    yield made
    made.close()


@pytest.fixture
def other_fake() -> Iterator[TelegramServer]:
    """One for tests that start a server of their own."""
    made = TelegramServer()
    yield made
    made.close()


@pytest.fixture(scope="module")
def desk(fake: TelegramServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("telegram"), **keys(fake, "webhook")) as site:
        fake.wait(lambda: fake.webhook)
        yield site


@pytest.fixture
def person(fake: TelegramServer, desk: Site) -> Person:
    """Somebody new."""
    fake.alerts.clear()
    return Person(fake, next(NUMBERS), lambda update: fake.post(update).raise_for_status())


@pytest.fixture
def channel(desk: Site) -> Telegram:
    found = desk.channels["telegram"]
    assert isinstance(found, Telegram)
    return found


# --- talking -----------------------------------------------------------------------------------------------------


def test_the_webhook_is_set_with_its_secret(fake: TelegramServer, desk: Site) -> None:
    assert fake.webhook is not None
    assert fake.webhook["url"] == desk.url + HOOK
    assert fake.webhook["secret_token"] == SECRET
    assert set(fake.webhook["allowed_updates"]) == {"message", "edited_message", "callback_query", "my_chat_member"}


def test_a_question_is_answered_with_its_clause(person: Person) -> None:
    assert "四第3段" in person.says("拨付率85%能二次申报吗")


def test_the_start_says_that_the_platform_is_abroad(person: Person) -> None:
    assert "境外平台" in person.says("/start")
    assert "境外平台" in person.says("/start ABCD2345")
    assert "境外平台" not in person.says("你好")


def test_commands_stand_for_the_universal_words(person: Person) -> None:
    assert person.says("/help") == person.says("帮助")


def test_a_repeated_update_gets_the_same_reply_and_one_exchange(
    fake: TelegramServer, desk: Site, person: Person
) -> None:
    update = person.message(text="16年的示范县整改期限")
    first = person.gets(update)[0]["text"]
    assert person.gets(update)[0]["text"] == first
    assert desk.said(person.address) == ["16年的示范县整改期限"]


def test_a_button_sends_its_option_once_and_goes(fake: TelegramServer, desk: Site, person: Person) -> None:
    menu = person.gets(person.message(text="菜单"))[0]
    press = person.press(menu, 2)
    answer = person.gets(press)[0]
    assert "验收" in answer["text"]
    assert desk.said(person.address) == ["菜单", "验收要满足什么条件"]
    fake.wait(lambda: "reply_markup" not in menu)
    assert fake.alerts == [""]
    assert person.gets(press)[0]["text"] == answer["text"]  # a redelivered press
    assert len(desk.said(person.address)) == 2


def test_a_button_is_stale_once_something_else_was_said(fake: TelegramServer, desk: Site, person: Person) -> None:
    menu = person.gets(person.message(text="菜单"))[0]
    person.says("16年的示范县整改期限")
    person.deliver(person.press(menu, 1))
    assert "已过期" in fake.alerts[-1]
    assert len(desk.said(person.address)) == 2
    assert len(person.chat.shown) == 2


def test_another_persons_button_is_stale(fake: TelegramServer, desk: Site, person: Person) -> None:
    menu = person.gets(person.message(text="菜单"))[0]
    other = Person(fake, next(NUMBERS), person.deliver)
    own = other.gets(other.message(text="菜单"))[0]
    own["reply_markup"] = menu["reply_markup"]
    other.deliver(other.press(own, 1))
    assert "已过期" in fake.alerts[-1]
    assert desk.said(other.address) == ["菜单"]


@pytest.mark.parametrize("data", ["", ":", "1:x", "1:²", "9" * 60, "1000:0", "1000:-1", "1000:99"])
def test_a_buttons_data_that_is_none_is_stale(fake: TelegramServer, person: Person, data: str) -> None:
    menu = person.gets(person.message(text="菜单"))[0]
    menu["reply_markup"]["inline_keyboard"][0][0]["callback_data"] = data
    person.deliver(person.press(menu, 1))
    assert "已过期" in fake.alerts[-1]


def test_an_edited_message_is_not_answered_again(desk: Site, person: Person) -> None:
    update = person.message(text="拨付率88%能二次申报吗")
    update["edited_message"] = update.pop("message") | {"edit_date": int(time.time())}
    assert "再发一次" in person.gets(update)[0]["text"]
    assert desk.said(person.address) == []


def test_a_group_gets_no_answer_but_a_hint(fake: TelegramServer, desk: Site, person: Person) -> None:
    group = Person(fake, -100, person.deliver)

    def said(text: str) -> dict[str, Any]:
        update = group.message(text=text)
        update["message"]["chat"] = {"id": -100, "type": "supergroup", "title": "群"}
        return update

    person.deliver(said("能不能花"))
    assert "私聊" in group.gets(said("@desk_bot 能不能花"))[0]["text"]
    assert "私聊" in group.gets(said("/start"))[0]["text"]
    assert len(group.chat.shown) == 2
    assert desk.said("-100") == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"photo": [{"file_id": "p1", "file_unique_id": "p", "width": 9, "height": 9}], "caption": "看这张"}, "照片1张"),
        ({"document": {"file_id": "d1", "file_unique_id": "d", "file_name": "合同.pdf"}}, "文件1个"),
        ({"voice": {"file_id": "v1", "file_unique_id": "v", "duration": 3}}, "请打字发来"),
        ({"location": {"latitude": 34.9, "longitude": 105.6}}, "无法处理"),
        ({"sticker": {"file_id": "s", "file_unique_id": "s", "type": "regular", "width": 1, "height": 1, "is_animated": False, "is_video": False}}, "无法处理"),
        ({"contact": {"phone_number": "13800000000", "first_name": "李"}}, "无法处理"),
    ],
)  # fmt: skip
def test_other_kinds_get_a_friendly_line(person: Person, content: dict[str, Any], words: str) -> None:
    assert words in person.gets(person.message(**content))[0]["text"]


def test_a_service_message_gets_nothing(desk: Site, person: Person) -> None:
    person.deliver(person.message(message_auto_delete_timer_changed={"message_auto_delete_time": 86400}))
    assert person.chat.shown == []
    assert desk.said(person.address) == []


# --- the door ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["", "wrong", SECRET[:-1], SECRET + "x", "密"])
def test_a_wrong_secret_is_refused(fake: TelegramServer, desk: Site, secret: str) -> None:
    headers = {b"x-telegram-bot-api-secret-token": secret.encode()}
    answer = httpx.post(desk.url + HOOK, json={"update_id": 1}, headers=headers)
    assert (answer.status_code, answer.text) == (403, "forbidden")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"x" * 300_000, b'"' + b"a" * 300_000 + b'"'])
def test_what_is_not_an_update_is_refused(desk: Site, body: bytes) -> None:
    answer = httpx.post(desk.url + HOOK, content=body, headers={"x-telegram-bot-api-secret-token": SECRET})
    assert (answer.status_code, answer.text) == (403, "forbidden")


UNREADABLE: list[Any] = [
    None, 1, "x", [], [1], {}, {"update_id": 1}, {"update_id": "x"}, {"update_id": 1, "message": 1},
    {"update_id": 1, "message": {"chat": {"id": 42, "type": "private"}}}, {"update_id": 1, "message": {"date": 10**18}},
    {"update_id": 1, "callback_query": {"data": "x"}}, {"update_id": {}, "message": []},
]  # fmt: skip


@pytest.mark.parametrize("update", UNREADABLE, ids=str)
def test_an_update_that_nobody_can_read_is_passed_over(
    fake: TelegramServer, desk: Site, person: Person, update: Any
) -> None:
    assert fake.post(update).status_code == 200
    assert desk.said(person.address) == []
    assert person.says("你好")


# --- trouble -----------------------------------------------------------------------------------------------------


def test_a_reply_that_must_wait_comes_later(fake: TelegramServer, desk: Site, person: Person) -> None:
    fake.fail("sendMessage", Fault(status=429, retry_after=1))
    assert "四第3段" in person.says("拨付率85%能二次申报吗")
    assert desk.deferred(f"telegram:{person.address}") == 1


def test_a_blocked_bot_is_no_trouble(fake: TelegramServer, desk: Site, person: Person) -> None:
    fake.fail("sendMessage", Fault(status=403, description="Forbidden: bot was blocked by the user"))
    person.deliver(person.message(text="你好"))
    assert person.says("你好")
    assert desk.deferred(f"telegram:{person.address}") == 0


@pytest.mark.parametrize(
    ("fault", "kind", "expected"),
    [
        (Fault(status=429, retry_after=7), TemporaryFailure, {"retry_after_s": 7, "sure": True}),
        (Fault(status=403, description="Forbidden: bot was blocked by the user"), Undeliverable, {"gone": True}),
        (Fault(status=400, description="Bad Request: chat not found"), Undeliverable, {"gone": True}),
        (Fault(status=401, description="Unauthorized"), ChannelStopped, {"code": "401"}),
        (Fault(status=500), TemporaryFailure, {"sure": False}),
        (Fault(status=502, body="<html>bad gateway</html>"), TemporaryFailure, {"sure": False}),
        (Fault(body="<html>"), TemporaryFailure, {"sure": False}),
        (Fault(body="{}"), TemporaryFailure, {"sure": False}),
        (Fault(body='{"ok": true, "result": null}'), TemporaryFailure, {"sure": False}),
        (Fault(after=True), TemporaryFailure, {"sure": False}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_refusal_has_its_meaning(
    fake: TelegramServer,
    person: Person,
    channel: Telegram,
    fault: Fault,
    kind: type[Exception],
    expected: dict[str, Any],
) -> None:
    fake.fail("sendMessage", fault)
    with pytest.raises(kind) as raised:
        channel.push(person.address, Reply(text="提醒"), "k1")
    assert {name: getattr(raised.value, name) for name in expected} == expected


@pytest.mark.expects_error
def test_a_message_that_is_refused_as_such_is_told_to_the_operator(
    fake: TelegramServer, person: Person, channel: Telegram
) -> None:
    fake.fail("sendMessage", Fault(status=400, description="Bad Request: message is too long"))
    with pytest.raises(Undeliverable) as raised:
        channel.push(person.address, Reply(text="提醒"), "k1")
    assert raised.value.gone is False


# --- pushing and files -------------------------------------------------------------------------------------------


def test_a_push_has_buttons_that_stay_good(fake: TelegramServer, desk: Site, person: Person, channel: Telegram) -> None:
    number = channel.push(person.address, Reply(text="请签收", options=(Option(label="签收", value="帮助"),)), "k1")
    (message,) = person.chat.shown
    assert str(message["message_id"]) == number
    person.says("你好")
    assert "直接提问" in person.gets(person.press(message, 1))[0]["text"]


def test_a_long_reply_comes_in_parts_that_fit(fake: TelegramServer, person: Person, channel: Telegram) -> None:
    text = "\n".join(f"第{number}行𠮷𠮷𠮷𠮷𠮷" for number in range(900))
    channel.push(person.address, Reply(text=text, options=(Option(label="好", value="好"),)), "k1")
    shown = person.chat.shown
    assert len(shown) > 2
    assert "\n".join(str(one["text"]) for one in shown) == text
    assert [("reply_markup" in one) for one in shown] == [False] * (len(shown) - 1) + [True]


def test_a_value_too_long_for_a_button_gets_none(person: Person, channel: Telegram) -> None:
    channel.push(person.address, Reply(text="请选", options=(Option(label="长", value="长" * 30),)), "k1")
    assert "reply_markup" not in person.chat.shown[0]


def test_a_file_is_fetched(fake: TelegramServer, channel: Telegram) -> None:
    fake.files["files/p1"] = b"\x89PNG" * 1000
    assert channel.fetch(Media(id="p1")) == fake.files["files/p1"]
    with pytest.raises(Undeliverable):
        channel.fetch(Media(id="gone"))


def test_a_file_that_is_too_big_is_not_fetched(fake: TelegramServer, channel: Telegram) -> None:
    fake.files["files/big"] = bytes(20 * 1024 * 1024 + 1)
    with pytest.raises(Undeliverable):
        channel.fetch(Media(id="big"))


# --- polling and starting ----------------------------------------------------------------------------------------


def test_polling_answers_in_order_and_passes_over_what_it_cannot_read(
    other_fake: TelegramServer, tmp_path: Path
) -> None:
    person = Person(other_fake, 42, other_fake.enqueue)
    poison = [
        other_fake.update(message={"date": "never"}),
        other_fake.update(message=7),
        other_fake.update(callback_query={}),
    ]
    with running(tmp_path, **keys(other_fake, "polling")) as site:
        assert person.says("你好")
        said = [person.message(text=text) for text in ("菜单", "16年的示范县整改期限", "那2018年度的呢")]
        other_fake.enqueue(poison[0], said[0], poison[1], said[1], poison[2], said[2])
        other_fake.wait(lambda: len(person.chat.shown) == 4)
        assert site.said(person.address) == ["你好", "菜单", "16年的示范县整改期限", "那2018年度的呢"]
        other_fake.wait(lambda: other_fake.confirmed > said[2]["update_id"])
    assert other_fake.queue == []


def test_polling_goes_on_after_trouble(other_fake: TelegramServer, tmp_path: Path) -> None:
    person = Person(other_fake, 42, other_fake.enqueue)
    other_fake.fail("getUpdates", Fault(status=502), Fault(body='{"ok": true, "result": {"a": 1}}'))
    with running(tmp_path, **keys(other_fake, "polling")):
        assert person.says("你好")


def test_the_start_does_not_wait_for_telegram(other_fake: TelegramServer, tmp_path: Path) -> None:
    other_fake.fail("getMe", Fault(delay_s=30))
    with running(tmp_path, **keys(other_fake, "webhook")) as site:
        other_fake.wait(lambda: other_fake.called("getMe"))
        assert httpx.get(f"{site.url}/healthz").text == "ok"
        person = Person(other_fake, 42, lambda update: other_fake.post(update, to=site.url + HOOK))
        assert person.says("你好")


def test_an_unreachable_telegram_leaves_the_web_alone(other_fake: TelegramServer, tmp_path: Path) -> None:
    settings = keys(other_fake, "polling")
    other_fake.close()
    with running(tmp_path, **settings) as site:
        assert httpx.get(f"{site.url}/healthz").text == "ok"
        with pytest.raises(TemporaryFailure) as raised:
            site.channels["telegram"].push("42", Reply(text="提醒"), "k1")
        assert raised.value.sure is True


@pytest.mark.expects_error
def test_a_refused_token_is_told_once(other_fake: TelegramServer, tmp_path: Path) -> None:
    settings = keys(other_fake, "polling") | {"telegram__token": "700:another"}
    with capture_logs() as logs, running(tmp_path, **settings):
        until(lambda: [one for one in logs if one["event"] == "token refused"])
    assert other_fake.called("getUpdates") == []
    assert "700:another" not in str(logs)


def test_without_settings_there_is_no_telegram(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        assert "telegram" not in site.channels
        assert httpx.post(site.url + HOOK, json={}).status_code == 404
