"""Settings of the channels: half of them, or a secret in a file."""

from pathlib import Path

import pytest

from bot.settings import ConfigError, Settings, load_settings


def load(monkeypatch: pytest.MonkeyPatch, folder: Path, **environment: str) -> Settings:
    monkeypatch.chdir(folder)
    for name, value in environment.items():
        monkeypatch.setenv(f"COUNTYDESK_{name}", value)
    return load_settings({}, folder)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"WECOM__CORP_ID": "ww1"}, "agent_id、secret、token、aes_key"),
        ({"WECOM__SECRET": "s", "WECOM__TOKEN": "t"}, "corp_id"),
        ({"TELEGRAM__TOKEN": "1:a"}, "enabled_reason、secret_token"),
        ({"TELEGRAM__TOKEN": "1:a", "TELEGRAM__MODE": "polling"}, "enabled_reason"),
        ({"TELEGRAM__ENABLED_REASON": "试用", "TELEGRAM__SECRET_TOKEN": "s"}, "token"),
        (
            {"TELEGRAM__TOKEN": "1:a", "TELEGRAM__ENABLED_REASON": "试用", "TELEGRAM__SECRET_TOKEN": "有空 格"},
            "secret_token",
        ),
    ],
)
def test_a_half_configured_channel_stops_the_start_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        load(monkeypatch, tmp_path, **environment)


def test_a_wrong_key_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = {"CORP_ID": "ww1", "AGENT_ID": "1", "SECRET": "very-secret", "TOKEN": "t", "AES_KEY": "too-short"}
    with pytest.raises(ConfigError) as raised:
        load(monkeypatch, tmp_path, **{f"WECOM__{name}": value for name, value in keys.items()})
    assert "43位" in str(raised.value)
    assert "very-secret" not in str(raised.value)


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("1:a\n")
    settings = {"TELEGRAM__TOKEN_FILE": str(tmp_path / "token"), "TELEGRAM__MODE": "polling"}
    chosen = load(monkeypatch, tmp_path, **settings, TELEGRAM__ENABLED_REASON="试用")
    assert chosen.telegram.token == "1:a"


def test_a_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="token_file"):
        load(monkeypatch, tmp_path, TELEGRAM__TOKEN_FILE=str(tmp_path / "missing"))
