"""Settings: countydesk.toml, then environment COUNTYDESK_SECTION__KEY. Everything wrong is listed at once."""

import contextlib
import os
import tempfile
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class ConfigError(Exception):
    """Raised when settings are unusable; the message names each one with its remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    """Whose assistant this is, and its channel for reports of wrongdoing."""

    name: str = ""
    report_channel: str = ""


class Security(_Section):
    """Key files; made by `make run` where they are missing."""

    data_key_file: Path | None = None
    audit_key_file: Path | None = None


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
