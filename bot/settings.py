"""Settings: countydesk.toml, then environment COUNTYDESK_SECTION__KEY. Everything wrong is listed at once."""

import contextlib
import os
import re
import tempfile
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from bot.workdays import QUIET_HOURS, read_hours


class ConfigError(Exception):
    """Raised when settings are unusable; the message names each one with its remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    secrets: ClassVar[tuple[str, ...]] = ()  # keys that may also be given as KEY_file, a path to the value

    @model_validator(mode="before")
    @classmethod
    def from_files(cls, given: dict[str, Any]) -> dict[str, Any]:  # Any: what the file and the environment hold
        """Read each secret that is given as a file."""
        found = dict(given)
        for key in cls.secrets:
            path = found.pop(f"{key}_file", None)
            if path is None:
                continue
            try:
                found[key] = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{key}_file 指向的文件读不出来（{path}），请检查路径和权限") from error
        return found


class Database(_Section):
    """Where people's facts live; empty means SQLite in the data folder."""

    url: str = ""


class Paths(_Section):
    """Folders."""

    data: Path = Path("data")


class Web(_Section):
    """The address that links in messages begin with."""

    base_url: str = ""


class Clock(_Section):
    """A fixed time, for the demo and for tests only."""

    now: datetime | None = None


class Province(_Section):
    """Whose assistant this is, its channel for reports of wrongdoing, and whether one operator may hold several parts.

    Two signatures stay for 销号 and 通知下发 in pilot mode. In `quiet_hours`, and on days off, nobody is reminded.
    """

    name: str = ""
    report_channel: str = ""
    pilot_mode: bool = False
    quiet_hours: str = QUIET_HOURS

    @field_validator("quiet_hours")
    @classmethod
    def readable(cls, value: str) -> str:
        """Spans of the day, one of them over night."""
        try:
            read_hours(value)
        except ValueError:
            raise ValueError(f"“{value}”无法识别，请写成 {QUIET_HOURS}（一段夜间，可加午间）") from None
        return value


class Security(_Section):
    """Key files; made by `make run` where they are missing."""

    data_key_file: Path | None = None
    audit_key_file: Path | None = None


class Wechat(_Section):
    """A WeChat 服务号; on when its keys are set. `plaintext` is for development: anybody can then forge messages.

    `template_id` is the template for messages outside the 48 hours; the lines of a message go into `template_fields`.
    """

    secrets = ("app_secret", "token", "aes_key")

    app_id: str = ""
    app_secret: str = ""
    token: str = ""
    aes_key: str = ""
    api_base: str = "https://api.weixin.qq.com"
    plaintext: bool = False
    template_id: str = ""
    template_fields: tuple[str, ...] = ("thing1",)

    @model_validator(mode="after")
    def whole(self) -> "Wechat":
        """All keys or none."""
        needed = {name: getattr(self, name) for name in ("app_id", "app_secret", "token", "aes_key")}
        if any(needed.values()) and (missing := [name for name, value in needed.items() if not value]):
            raise ValueError(f"还缺 {'、'.join(missing)}，请在公众平台“设置与开发”的基本配置页查到后补上，或删去整段")
        if self.aes_key and not re.fullmatch(r"[A-Za-z0-9]{43}", self.aes_key):
            raise ValueError("aes_key 应为43位字母和数字（EncodingAESKey），请重新复制")
        return self


class Wecom(_Section):
    """An application of 企业微信; on when its keys are set."""

    secrets = ("secret", "token", "aes_key")

    corp_id: str = ""
    agent_id: int = 0
    secret: str = ""
    token: str = ""
    aes_key: str = ""
    api_base: str = "https://qyapi.weixin.qq.com"

    @model_validator(mode="after")
    def whole(self) -> "Wecom":
        """All keys or none."""
        needed = {name: getattr(self, name) for name in ("corp_id", "agent_id", "secret", "token", "aes_key")}
        if any(needed.values()) and (missing := [name for name, value in needed.items() if not value]):
            raise ValueError(f"还缺 {'、'.join(missing)}，请在企业微信管理后台的应用页面查到后补上，或删去整段")
        if self.aes_key and not re.fullmatch(r"[A-Za-z0-9]{43}", self.aes_key):
            raise ValueError("aes_key 应为43位字母和数字（EncodingAESKey），请重新复制")
        return self


class Telegram(_Section):
    """A Telegram bot; off unless somebody wrote down why it is on, for the platform is abroad."""

    secrets = ("token", "secret_token")

    token: str = ""
    secret_token: str = ""
    mode: Literal["webhook", "polling"] = "webhook"
    api_base: str = "https://api.telegram.org"
    file_base: str = ""  # empty: the same as api_base
    enabled_reason: str = ""

    @model_validator(mode="after")
    def whole(self) -> "Telegram":
        """A token and a reason, and for a webhook its secret; or none of them."""
        if not (self.token or self.secret_token or self.enabled_reason):
            return self
        needed = {"token": self.token, "enabled_reason": self.enabled_reason}
        if self.mode == "webhook":
            needed["secret_token"] = self.secret_token
        if missing := [name for name, value in needed.items() if not value]:
            raise ValueError(f"还缺 {'、'.join(missing)}，请补上（enabled_reason 写明启用境外平台的理由），或删去整段")
        if self.secret_token and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", self.secret_token):
            raise ValueError("secret_token 只能用字母、数字、_ 和 -，最长256位")
        return self


class Sending(_Section):
    """Whether messages are sent that nobody asked for; replies are always given."""

    enabled: bool = True


class Settings(BaseSettings):
    """All settings. A key that is not listed here stops the start."""

    model_config = SettingsConfigDict(
        env_prefix="COUNTYDESK_", env_nested_delimiter="__", toml_file="countydesk.toml", extra="forbid", frozen=True
    )

    database: Database = Field(default_factory=Database)
    paths: Paths = Field(default_factory=Paths)
    web: Web = Field(default_factory=Web)
    clock: Clock = Field(default_factory=Clock)
    province: Province = Field(default_factory=Province)
    security: Security = Field(default_factory=Security)
    wechat: Wechat = Field(default_factory=Wechat)
    wecom: Wecom = Field(default_factory=Wecom)
    telegram: Telegram = Field(default_factory=Telegram)
    sending: Sending = Field(default_factory=Sending)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def database_url(self) -> str:
        return self.database.url or f"sqlite:///{self.paths.data / 'countydesk.db'}"

    @property
    def imported_notices(self) -> Path:
        """The folder of the notices imported here."""
        return self.paths.data / "notices"

    @property
    def key_file(self) -> Path:
        return self.security.data_key_file or self.paths.data / "keys" / "data.key"

    @property
    def new_key_file(self) -> Path:
        """Where a new data key waits until the database has taken it."""
        return self.key_file.with_name(f"{self.key_file.name}.new")

    @property
    def audit_key_file(self) -> Path:
        return self.security.audit_key_file or self.paths.data / "keys" / "audit.key"

    @property
    def audit_head_file(self) -> Path:
        """Where the audit's newest link is remembered outside the database."""
        return self.audit_key_file.with_name("audit.head")


def _remedy(error: dict[str, Any]) -> str:  # Any: pydantic's error details
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{name}：没有这项设置，请检查拼写或删去。"
    if error["type"] == "value_error":  # a check of ours, which says what to do; the input may hold secrets
        return f"{name}：{error['ctx']['error']}。"
    return f"{name}：值“{error.get('input')}”不对（{error['msg']}）。"


def load_settings(environment: dict[str, str], folder: Path) -> Settings:
    """Read the settings of a folder. Raises ConfigError with every problem and its remedy."""
    problems: list[str] = []
    known = {f"COUNTYDESK_{section}__".upper() for section in Settings.model_fields}
    for name in sorted(environment):
        if name.startswith("COUNTYDESK_") and not any(name.upper().startswith(prefix) for prefix in known):
            problems.append(f"环境变量 {name}：没有这项设置，请检查拼写或删去。")
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [_remedy(dict(one)) for one in error.errors()]
    except tomllib.TOMLDecodeError as error:
        problems.append(f"countydesk.toml：不是有效的 TOML（{error}）。")
    if problems:
        raise ConfigError("\n".join(problems))
    return settings


KEY_BYTES = 32


def ensure_key(path: Path) -> bytes:
    """The key in a file, made on first use and readable by its owner only. Raises ConfigError when it is cut short."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):  # another process was quicker
            write_key(path, os.urandom(KEY_BYTES))
    key = path.read_bytes()
    if len(key) < KEY_BYTES:
        raise ConfigError(f"密钥文件 {path} 不完整（{len(key)}字节），请用保管的副本替换它。")
    return key


def write_key(path: Path, key: bytes) -> None:
    """Write a new key file, whole or not at all. Raises FileExistsError when there is one."""
    with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # made with mode 0600
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
        os.link(file.name, path)
