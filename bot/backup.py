"""Back up and restore: the database, the files and the settings without their secrets. Keys are kept apart."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, MetaData, func, make_url, select, table, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from bot.messages import Refused
from bot.migrate import revision, revisions, upgrade
from bot.settings import Settings, ensure_key
from bot.texts import say
from bot.workdays import LOCAL
from storage import audit, deliveries, secrets
from storage.db import make_engine, make_sessions, transaction
from storage.scope import OPERATOR, SETTING, see_all, serving

MANIFEST = "manifest.json"
DATABASES: Mapping[str, str] = {"sqlite": "countydesk.db", "postgresql": "countydesk.dump"}
FOLDERS = ("files", "notices", "drafts", "verify")  # of the data folder; keys and caches stay out; drafts are old ones
OWN = ("alembic_version", "edition", "switch")  # tables that a database has before anybody has used it
SECRET = re.compile(r"secret|token|password|aes_key")


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a restore brought back, and whether the present keys fit it."""

    made_at: str  # local time, as it is told
    rows: int
    files: int
    phones_readable: bool
    flaws: int


def backup(chosen: Settings, sessions: sessionmaker[Session], folder: Path, now: datetime) -> dict[str, Any]:
    """Write a backup into a new folder, whole or not at all, and return its manifest.

    Raises Refused when the folder holds something, or when there is no room or no program to do it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(say("backup.taken", folder=folder))
    engine: Engine = sessions.kw["bind"]
    audit.seal(sessions, chosen.audit_head_file)
    with transaction(sessions) as db:
        head = audit.head(db)
    with _whole(folder, engine) as partial:
        kind = engine.dialect.name
        state = _copy_sqlite(engine, partial) if kind == "sqlite" else _dump_postgresql(engine, partial)
        for name in FOLDERS:
            if (chosen.paths.data / name).is_dir():
                shutil.copytree(chosen.paths.data / name, partial / name)
        (partial / "settings.json").write_text(_json(without_secrets(chosen.model_dump(mode="json"))), "utf-8")
        manifest = {
            "made_at": now.isoformat(timespec="seconds"),
            "program": version("countydesk"),
            "database": kind,
            **state,
            "audit": {"position": head.position, "digest": head.digest},
            "files": _digests(partial),
        }
        (partial / MANIFEST).write_text(_json(manifest), "utf-8")
        _to_disk(partial)
    with transaction(sessions) as db, serving(db, OPERATOR):
        counts = {"files": len(manifest["files"]), "rows": sum(state["rows"].values())}
        audit.record(db, "backup", "backup:database", now=now, role="operator", after=counts)
    return manifest


def restore(chosen: Settings, folder: Path, now: datetime) -> Restored:
    """Bring a backup into an empty database, with sending off. Raises Refused, having changed nothing."""
    manifest = _checked(folder)
    url = make_url(chosen.database_url)
    if manifest["database"] != url.get_backend_name():
        raise Refused(say("backup.other_kind", kind=manifest["database"], present=url.get_backend_name()))
    if missing := [path for path in (chosen.key_file, chosen.audit_key_file) if not path.exists()]:
        raise Refused(say("backup.no_keys", paths="、".join(map(str, missing))))
    if _occupied(url):
        raise Refused(say("backup.occupied", url=url.render_as_string()))
    if manifest["database"] == "sqlite":
        return _into_sqlite(chosen, manifest, folder, Path(url.database or ""), now)
    return _into_postgresql(chosen, manifest, folder, url, now)


# --- writing ---------------------------------------------------------------------------------------------------------


@contextmanager
def _whole(folder: Path, engine: Engine) -> Iterator[Path]:
    """A folder beside the wanted one that takes its name at the end, or vanishes when something fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield partial
        os.replace(partial, folder)
    except (OSError, subprocess.CalledProcessError, engine.dialect.loaded_dbapi.Error) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise Refused(say("backup.failed", error=said.strip())) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy_sqlite(engine: Engine, folder: Path) -> dict[str, Any]:
    copy = str(folder / DATABASES["sqlite"])
    with closing(engine.raw_connection()) as raw, closing(raw.cursor()) as cursor:
        cursor.execute("VACUUM INTO ?", (copy,))
        cursor.execute("ATTACH DATABASE ? AS copied", (copy,))
        try:
            cursor.execute("SELECT name FROM copied.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            rows = {}
            for (name,) in cursor.fetchall():
                cursor.execute(f'SELECT count(*) FROM copied."{name}"')
                [(rows[name],)] = cursor.fetchall()
            cursor.execute("SELECT version_num FROM copied.alembic_version")
            [(found,)] = cursor.fetchall()
        finally:
            cursor.execute("DETACH DATABASE copied")
    return {"revision": found, "rows": rows}


def _dump_postgresql(engine: Engine, folder: Path) -> dict[str, Any]:
    """Dump and count in one snapshot, so that the counts are the dump's."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        # The transaction keeps the snapshot while the dump is written, however long that takes.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        see_all(connection)
        names = MetaData()
        names.reflect(connection)
        rows = _counts(connection, names.tables)
        found = revision(connection)
        target = folder / DATABASES["postgresql"]
        _postgresql(
            "pg_dump", engine.url, "--format=custom", "--enable-row-security", "--no-owner", "--no-privileges", "--snapshot", snapshot, f"--file={target}"
        )  # fmt: skip
    return {"revision": found, "rows": rows}


def _counts(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    return {name: connection.scalar(select(func.count()).select_from(table(name))) or 0 for name in names}


def _postgresql(program: str, url: URL, *words: str) -> None:
    """Run a program of PostgreSQL's on a whole database; the password goes by the environment, not by the process list."""
    if shutil.which(program) is None:
        raise Refused(say("backup.no_program", program=program))
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    environment = {**os.environ, "PGOPTIONS": f"{os.environ.get('PGOPTIONS', '')} -c {SETTING}=system"}
    if url.password:
        environment["PGPASSWORD"] = str(url.password)
    subprocess.run([program, *words, f"--dbname={plain}"], env=environment, check=True, capture_output=True, text=True)


def without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:  # Any: settings as JSON
    """Settings as a backup keeps them: what opens an account somewhere is left out."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            kept[name] = without_secrets(value)
        elif name == "url" and value:
            kept[name] = make_url(value).render_as_string()  # hides the password
        else:
            kept[name] = "" if SECRET.search(name) and not name.endswith("_file") else value
    return kept


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and one.name != MANIFEST):
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = file_digest(file, "sha256").hexdigest()
    return found


def _to_disk(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


# --- reading ---------------------------------------------------------------------------------------------------------


def _checked(folder: Path) -> dict[str, Any]:
    """The manifest of a backup whose every file is as it was written and whose schema this program knows."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        written, found = manifest["files"], _digests(folder)
    except (OSError, ValueError, KeyError) as error:
        raise Refused(say("backup.no_backup", folder=folder)) from error
    if spoilt := sorted(name for name in written.keys() | found.keys() if written.get(name) != found.get(name)):
        raise Refused(say("backup.spoilt", names="、".join(spoilt[:10]), count=len(spoilt)))
    if manifest["revision"] not in revisions():
        raise Refused(say("backup.newer", revision=manifest["revision"]))
    return manifest


def _occupied(url: URL) -> bool:
    """Whether a database holds anything of anybody's."""
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return False
    engine = make_engine(url.render_as_string(hide_password=False))
    try:
        with engine.connect() as connection:
            names = MetaData()
            names.reflect(connection)
            see_all(connection)
            used = [name for name in names.tables if name not in OWN]
            return any(connection.execute(select(text("1")).select_from(table(one)).limit(1)).first() for one in used)
    except SQLAlchemyError as error:
        raise Refused(say("backup.unreachable", url=url.render_as_string())) from error
    finally:
        engine.dispose()


def _into_sqlite(chosen: Settings, manifest: Mapping[str, Any], folder: Path, target: Path, now: datetime) -> Restored:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.restoring")
    try:
        shutil.copyfile(folder / DATABASES["sqlite"], partial)
        found = _settled(chosen, manifest, f"sqlite:///{partial}", now)
        _bring_folders(chosen, folder)
        for old in (target, target.with_name(f"{target.name}-wal"), target.with_name(f"{target.name}-shm")):
            old.unlink(missing_ok=True)
        _to_disk(partial)
        os.replace(partial, target)
    finally:
        for left in target.parent.glob(f"{partial.name}*"):
            left.unlink()
    return found


def _into_postgresql(chosen: Settings, manifest: Mapping[str, Any], folder: Path, url: URL, now: datetime) -> Restored:
    engine = make_engine(chosen.database_url)
    words = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    _clear(engine)
    try:
        _postgresql("pg_restore", url, "--clean", "--if-exists", *words, str(folder / DATABASES["postgresql"]))
        found = _settled(chosen, manifest, chosen.database_url, now)
        _bring_folders(chosen, folder)
        return found
    except BaseException as error:
        _clear(engine)
        if isinstance(error, subprocess.CalledProcessError):
            raise Refused(say("backup.failed", error=error.stderr.strip())) from error
        raise
    finally:
        engine.dispose()


def _bring_folders(chosen: Settings, folder: Path) -> None:
    """Bring back the files while the database can still be given up: a half restored one would be refused as occupied."""
    try:
        for name in FOLDERS:
            if (folder / name).is_dir():
                shutil.copytree(folder / name, chosen.paths.data / name, dirs_exist_ok=True)
    except OSError as error:
        raise Refused(say("backup.failed", error=str(error))) from error


def _clear(engine: Engine) -> None:
    """Drop the tables of a PostgreSQL database in which nobody has anything."""
    with engine.begin() as connection:
        names = MetaData()
        names.reflect(connection)
        for name in names.tables:
            connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}" CASCADE')  # with the policies that name it


def _settled(chosen: Settings, manifest: Mapping[str, Any], url: str, now: datetime) -> Restored:
    """Stop sending in a copy, bring its schema up to date, and check it against its manifest."""
    sessions = make_sessions(make_engine(url), ensure_key(chosen.key_file), ensure_key(chosen.audit_key_file))
    engine: Engine = sessions.kw["bind"]
    try:
        with engine.connect() as connection:
            see_all(connection)
            rows = _counts(connection, manifest["rows"])
        if rows != manifest["rows"]:
            raise Refused(say("backup.counts"))
        upgrade(url, ensure_key(chosen.key_file))
        made_at = str(manifest["made_at"])
        with transaction(sessions) as db, serving(db, OPERATOR):
            report = audit.verify(db, now, audit.Head(**manifest["audit"]))
            readable = secrets.fits(db)
            deliveries.switch_sending(db, False, say("backup.sending_reason"), now)
            after = {"made_at": made_at, "sending": "off"}
            audit.record(db, "restore", "backup:database", now=now, role="operator", after=after)
        chosen.audit_head_file.unlink(missing_ok=True)  # the chain goes on from the restored copy
        audit.seal(sessions, chosen.audit_head_file)
    finally:
        engine.dispose()
    return Restored(
        made_at=f"{datetime.fromisoformat(made_at).astimezone(LOCAL):%Y-%m-%d %H:%M}",
        rows=sum(rows.values()),
        files=len(manifest["files"]),
        phones_readable=readable,
        flaws=len([one for one in report.flaws if one.kind != "unsealed"]),
    )
