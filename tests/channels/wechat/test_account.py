"""The account's settings, its menu, and what its log does not hold."""

from pathlib import Path

import pytest

from bot.settings import ConfigError, load_settings
from tests.channels.wechat.support import CONCLUSION, HOOK, QUESTION, keys
from tests.commands import Program
from tests.conftest import serve
from tests.fakes import crypto
from tests.fakes.wechat import APP, FAILED, SECRET, TOKEN, Fault, Follower, WechatServer


def test_a_half_configured_account_stops_the_start_with_everything_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTYDESK_WECHAT__APP_ID", APP)
    monkeypatch.setenv("COUNTYDESK_WECHAT__AES_KEY", crypto.AES_KEY)
    with pytest.raises(ConfigError) as error:
        load_settings({}, tmp_path)
    assert "wechat：还缺 app_secret、token" in str(error.value)
    assert "基本配置" in str(error.value)
    assert crypto.AES_KEY not in str(error.value)


def test_a_mistyped_aes_key_is_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"APP_ID": APP, "APP_SECRET": SECRET, "TOKEN": TOKEN, "AES_KEY": "short-key"}.items():
        monkeypatch.setenv(f"COUNTYDESK_WECHAT__{key}", value)
    with pytest.raises(ConfigError, match="aes_key 应为43位") as error:
        load_settings({}, tmp_path)
    assert "short-key" not in str(error.value)


def test_a_secret_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    for key, value in {"APP_ID": APP, "TOKEN": TOKEN, "AES_KEY": crypto.AES_KEY}.items():
        monkeypatch.setenv(f"COUNTYDESK_WECHAT__{key}", value)
    monkeypatch.setenv("COUNTYDESK_WECHAT__APP_SECRET_FILE", str(tmp_path / "secret"))
    assert load_settings({}, tmp_path).wechat.app_secret == SECRET
    monkeypatch.setenv("COUNTYDESK_WECHAT__APP_SECRET_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="app_secret_file"):
        load_settings({}, tmp_path)


def test_the_menu_is_made_by_command(
    fake: WechatServer, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("wechat", "menu", cwd=tmp_path).returncode == 1
    for key, value in keys(fake).items():
        if "template" not in key:
            monkeypatch.setenv(f"COUNTYDESK_{key.upper()}", value)
    done = program("wechat", "menu", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "菜单已建立。\n")
    buttons = fake.menu["button"]
    assert [one["name"] for one in buttons] == ["查政策", "办整改", "我的"]
    assert all(len(one["name"]) <= 4 and len(one["sub_button"]) == 5 for one in buttons)
    below = [entry for one in buttons for entry in one["sub_button"]]
    assert all(entry["type"] == "click" and len(entry["name"]) <= 8 for entry in below)
    assert "验收要满足什么条件" in [entry["key"] for entry in below]
    fake.faults["menu/create"].append(Fault(code=48001))
    refused = program("wechat", "menu", cwd=tmp_path)
    assert refused.returncode == 1
    assert "48001" in refused.stderr


def test_every_menu_button_gets_an_answer(me: Follower) -> None:
    from handlers.menu import ACCOUNT_MENU

    for below in ACCOUNT_MENU.values():
        for _, words in below:
            assert me.click(words) not in ("", FAILED)


def test_the_log_of_a_process_holds_no_openid_text_or_secret(
    fake: WechatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in keys(fake).items():
        if "template" not in key:
            monkeypatch.setenv(f"COUNTYDESK_{key.upper()}", value)
    for site in serve(tmp_path):
        me = Follower(hook=site + HOOK)
        assert CONCLUSION in me.say(QUESTION)
        me.post("<xml/>")
        me.post(me.xml("text", Content="秘密的话"), token="another")
        me.http.close()
    log = (tmp_path / "log").read_text("utf-8")
    assert "callback refused" in log
    for planted in (me.openid, QUESTION, "秘密的话", SECRET, TOKEN, crypto.AES_KEY):
        assert planted not in log
