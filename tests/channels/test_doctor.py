"""The doctor asks each platform that is set up, and names what it says with a remedy."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from bot import doctor
from bot.settings import Paths, Settings, Telegram, Web, Wechat, Wecom
from tests.fakes import crypto, telegram, wechat, wecom
from tests.fakes.server import running

KEYS = {"token": "a-callback-token", "aes_key": crypto.AES_KEY}


@pytest.fixture
def weixin() -> Iterator[wechat.WechatServer]:
    server = wechat.WechatServer()
    yield server
    server.close()


def found(check: doctor.Check, folder: Path, **sections: object) -> doctor.Finding | None:
    chosen = Settings(paths=Paths(data=folder / "data"), **sections)  # type: ignore[arg-type]  # sections by name
    patient = doctor.Patient(settings=chosen, sessions=None, now=datetime.now(UTC))
    with ThreadPoolExecutor(1) as alone:  # the command's own thread: a browser test leaves a loop running in this one
        return alone.submit(check, patient).result()


def account(server: wechat.WechatServer, secret: str = wechat.SECRET) -> Wechat:
    return Wechat(app_id=wechat.APP, app_secret=secret, api_base=server.base, **KEYS)  # type: ignore[arg-type]


def test_channels_that_are_off_are_not_looked_at(tmp_path: Path) -> None:
    checks = (
        doctor.callbacks,
        doctor.wechat,
        doctor.wechat_mode,
        doctor.wechat_template,
        doctor.wecom,
        doctor.telegram,
    )
    assert [found(check, tmp_path) for check in checks] == [None] * 6


def test_wechat_is_asked_for_a_token_and_the_menu(weixin: wechat.WechatServer, tmp_path: Path) -> None:
    without = found(doctor.wechat, tmp_path, wechat=account(weixin))
    assert without is not None and without.state == "advice" and "wechat menu" in without.remedy
    weixin.menu = {"button": [{"name": "查政策"}]}
    whole = found(doctor.wechat, tmp_path, wechat=account(weixin))
    assert whole is not None and whole.state == "ok"


@pytest.mark.parametrize(("code", "remedy"), [(40164, "IP白名单"), (40125, "AppSecret"), (48001, "服务号")])
def test_what_wechat_refuses_has_its_remedy(
    weixin: wechat.WechatServer, tmp_path: Path, code: int, remedy: str
) -> None:
    weixin.faults["stable_token"].append(wechat.Fault(code=code))
    one = found(doctor.wechat, tmp_path, wechat=account(weixin))
    assert one is not None and one.state == "problem" and str(code) in one.what and remedy in one.remedy


def test_wecom_is_asked_for_its_application(tmp_path: Path) -> None:
    server = wecom.WecomServer()
    try:
        for agent, state, words in ((wecom.AGENT, "ok", "商务助手"), (5, "problem", "301002")):
            chosen = Wecom(corp_id=wecom.CORP, agent_id=agent, secret=wecom.SECRET, api_base=server.base, **KEYS)
            one = found(doctor.wecom, tmp_path, wecom=chosen)
            assert one is not None and one.state == state and words in one.what
    finally:
        server.close()


def test_telegram_is_asked_for_the_bot(tmp_path: Path) -> None:
    server = telegram.TelegramServer()
    try:
        for token, state in ((telegram.TOKEN, "ok"), ("700:another", "problem")):
            chosen = Telegram(token=token, mode="polling", api_base=server.base, enabled_reason="试用")
            one = found(doctor.telegram, tmp_path, telegram=chosen)
            assert one is not None and one.state == state
    finally:
        server.close()


def test_the_callbacks_and_the_domains_proof_are_served(weixin: wechat.WechatServer, tmp_path: Path) -> None:
    settings = {f"wechat__{key}": value for key, value in account(weixin).model_dump().items()}
    with running(tmp_path, **settings) as site:
        one = found(doctor.callbacks, tmp_path, web=Web(base_url=site.url), wechat=account(weixin))
        assert one is not None and one.state == "ok"
        (tmp_path / "data" / "verify").mkdir()
        for name in ("MP_verify_aB3dE6gH.txt", "other.txt"):
            (tmp_path / "data" / "verify" / name).write_text("aB3dE6gH")
        assert httpx.get(f"{site.url}/MP_verify_aB3dE6gH.txt").text == "aB3dE6gH"
        for path in ("other.txt", "MP_verify_none.txt", "MP_verify_..%2Fother.txt"):
            assert httpx.get(f"{site.url}/{path}").status_code == 404
    closed = found(doctor.callbacks, tmp_path, web=Web(base_url=site.url), wechat=account(weixin))
    assert closed is not None and closed.state == "advice"


def test_another_program_at_the_callback_is_a_problem(weixin: wechat.WechatServer, tmp_path: Path) -> None:
    one = found(doctor.callbacks, tmp_path, web=Web(base_url=weixin.base), wechat=account(weixin))
    assert one is not None and one.state == "problem"
