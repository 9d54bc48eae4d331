"""The command line of those who keep the program running: audit, backup, restore, doctor, keys, deliveries."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from bot.messages import Refused
from bot.settings import KEY_BYTES, ConfigError, Settings, write_key
from bot.texts import say
from storage import audit, deliveries, people, secrets
from storage.db import reading, transaction
from storage.models import Delivery
from storage.scope import OPERATOR, serving

MARKS = {"ok": "✓", "advice": "!", "problem": "✗"}
LISTED = 200

audit_app = typer.Typer(no_args_is_help=True, help="审计记录")
keys_app = typer.Typer(no_args_is_help=True, help="密钥")
deliveries_app = typer.Typer(no_args_is_help=True, help="消息发送")


def register(app: typer.Typer) -> None:
    """Add these commands to the program's."""
    for name, group in (("audit", audit_app), ("keys", keys_app), ("deliveries", deliveries_app)):
        app.add_typer(group, name=name)
    for command in (backup, restore, doctor):
        app.command()(command)


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def _installation() -> tuple[Settings, sessionmaker[Session], datetime]:
    from bot.installation import clock_of, open_database, settings

    chosen = settings()
    return chosen, open_database(chosen), clock_of(chosen)()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Refused as refusal:
        _refuse(str(refusal))


# --- audit -----------------------------------------------------------------------------------------------------------


def _verified(chosen: Settings, sessions: sessionmaker[Session], now: datetime) -> audit.Report:
    """What the trail shows, before what still waits is sealed."""
    with reading(sessions) as db:
        report = audit.verify(db, now, audit.remembered(chosen.audit_head_file))
    if not report.flaws:
        sealed = audit.seal(sessions, chosen.audit_head_file, behind=audit.ALL)
        if sealed:
            with reading(sessions) as db:
                report = audit.verify(db, now, audit.remembered(chosen.audit_head_file))
    return report


@audit_app.command("verify")
def audit_verify() -> None:
    """逐条核对审计记录；有缺失、改动或久未封存的，指出是哪一条并以 1 退出。"""
    report = _verified(*_installation())
    for flaw in report.flaws:
        typer.echo(say("operations.flaw", kind=flaw.kind, audit_id=flaw.audit_id, position=flaw.position))
    if report.flaws:
        _refuse(say("operations.trail_broken", count=len(report.flaws)))
    typer.echo(say("operations.trail_whole", rows=report.rows, head=report.head))


@audit_app.command("trim")
def audit_trim(
    days: Annotated[int, typer.Option("--days", min=audit.KEPT_DAYS, help="保留多少天，不少于400")] = audit.KEPT_DAYS,
) -> None:
    """删去超过保留期的审计记录，留下锚点，其余记录仍可核对。"""
    chosen, sessions, now = _installation()
    report = _verified(chosen, sessions, now)
    if report.flaws:
        _refuse(say("operations.trail_broken", count=len(report.flaws)))
    with transaction(sessions) as db, serving(db, OPERATOR):
        count = audit.trim(db, now, days)
    audit.seal(sessions, chosen.audit_head_file)
    typer.echo(say("operations.trimmed", count=count, days=days))


# --- backup and restore ----------------------------------------------------------------------------------------------


def backup(folder: Annotated[Path, typer.Argument(metavar="DIR", help="新文件夹，例如 备份/2020-06-01")]) -> None:
    """备份数据库、文件和设置（不含密钥和密码）；从不覆盖已有内容。"""
    from bot.backup import backup as write

    chosen, sessions, now = _installation()
    with _refusals():
        manifest = write(chosen, sessions, folder, now)
    keys = (chosen.key_file, chosen.audit_key_file)
    typer.echo(say("operations.backed_up", folder=folder, rows=sum(manifest["rows"].values()), keys=keys))


def restore(folder: Annotated[Path, typer.Argument(metavar="DIR", help="备份所在的文件夹")]) -> None:
    """把备份恢复到空数据库；恢复后消息发送处于停止状态。"""
    from bot.backup import restore as read
    from bot.installation import clock_of, settings

    chosen = settings()
    with _refusals():
        found = read(chosen, folder, clock_of(chosen)())
    typer.echo(say("operations.restored", found=found))


# --- doctor ----------------------------------------------------------------------------------------------------------


def doctor(as_json: Annotated[bool, typer.Option("--json", help="输出 JSON")] = False) -> None:
    """检查安装：逐项列出结果和处理办法；有问题时以 1 退出。"""
    from bot.doctor import Finding, examine
    from bot.installation import clock_of, settings

    try:
        chosen = settings()
        found = list(examine(chosen, clock_of(chosen)()))
    except ConfigError as error:
        remedy = say("operations.settings_remedy")
        found = [Finding(state="problem", what=line, remedy=remedy) for line in str(error).splitlines()]
    for one in found:
        if as_json:
            row = {"state": one.state, "what": one.what, "remedy": one.remedy}
            typer.echo(json.dumps(row, ensure_ascii=False))
        else:
            typer.echo(say("operations.finding", mark=MARKS[one.state], what=one.what, remedy=one.remedy))
    problems = sum(one.state == "problem" for one in found)
    if problems:
        _refuse(say("operations.problems", count=problems))


# --- keys ------------------------------------------------------------------------------------------------------------


def rotate(chosen: Settings, sessions: sessionmaker[Session], now: datetime) -> secrets.Rekeyed | None:
    """Replace the data key; None when an earlier change only had to be finished.

    The new key lies beside the old one before the database takes it, so that no crash leaves values without a key.
    """
    if chosen.new_key_file.exists():
        with transaction(sessions) as db, serving(db, OPERATOR):
            taken = not secrets.fits(db)
        if taken:
            _swap(chosen)
            return None
        chosen.new_key_file.unlink()
    write_key(chosen.new_key_file, os.urandom(KEY_BYTES))
    with transaction(sessions) as db, serving(db, OPERATOR):
        done = secrets.rekey(db, chosen.new_key_file.read_bytes(), now)
        after = {"values": done.values, "invitations": done.invitations, "links": done.links}
        audit.record(db, "keys.rotate", "key:data", now=now, role="operator", after=after)
    _swap(chosen)
    audit.seal(sessions, chosen.audit_head_file)
    return done


def _swap(chosen: Settings) -> None:
    """Let the new key take the old one's name; the old one is kept as .old-1, .old-2 …"""
    number = 1
    while (kept := chosen.key_file.with_name(f"{chosen.key_file.name}.old-{number}")).exists():
        number += 1
    os.link(chosen.key_file, kept)
    os.replace(chosen.new_key_file, chosen.key_file)


@keys_app.command("rotate")
def keys_rotate(yes: Annotated[bool, typer.Option("--yes", help="不再询问：服务已停止")] = False) -> None:
    """更换数据密钥：重新加密手机号等，作废未用的邀请码。请先停止服务。"""
    if not yes:
        typer.confirm(say("operations.rotate_ask"), abort=True, err=True)
    chosen, sessions, now = _installation()
    done = rotate(chosen, sessions, now)
    typer.echo(say("operations.rotated", done=done, path=chosen.key_file))


# --- deliveries ------------------------------------------------------------------------------------------------------


@deliveries_app.command("list")
def deliveries_list(
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON")] = False,
    state: Annotated[str | None, typer.Option("--state", help="只看一种状态，如 queued、failed、unknown")] = None,
) -> None:
    """对账：各状态的条数，和每条消息的收件人与状态，新的在前；结果不明的（unknown）用 --state unknown 逐人列出。"""
    _, sessions, _ = _installation()
    with transaction(sessions) as db, serving(db, OPERATOR):
        names = people.names(db)
        if state is None:
            found = sorted(deliveries.by_state(db).items())
            typer.echo(say("operations.reconciled", states=found), err=as_json)
    wanted = select(Delivery).order_by(Delivery.id.desc()).limit(LISTED)
    with transaction(sessions) as db:
        for one in db.scalars(wanted if state is None else wanted.where(Delivery.state == state)):
            row = {
                "id": one.id,
                "state": one.state,
                "source": one.source,
                "recipient": one.recipient,
                "name": names.get(int(one.recipient[7:])) if one.recipient.startswith("person:") else None,
                "channel": one.channel,
                "at": one.at.isoformat(timespec="seconds"),
                "attempts": one.attempts,
                "code": one.code,
                "reason": one.reason,
            }
            text = "\t".join(str(value) for value in row.values() if value not in (None, ""))
            typer.echo(json.dumps(row, ensure_ascii=False) if as_json else text)


@deliveries_app.command("stop")
def deliveries_stop(reason: Annotated[str, typer.Option("--reason", help="原因，会记入审计")]) -> None:
    """停止一切消息发送；对话中的答复不受影响。"""
    _switch(False, reason)


@deliveries_app.command("start")
def deliveries_start(reason: Annotated[str, typer.Option("--reason", help="说明，会记入审计")] = "") -> None:
    """恢复消息发送。"""
    _switch(True, reason)


def _switch(on: bool, reason: str) -> None:
    chosen, sessions, now = _installation()
    with transaction(sessions) as db, serving(db, OPERATOR):
        before, _ = deliveries.sending(db)
        deliveries.switch_sending(db, on, reason, now)
        was, will = {"on": before}, {"on": on}
        audit.record(db, "sending", "switch:sending", now=now, role="operator", before=was, after=will, reason=reason)
    audit.seal(sessions, chosen.audit_head_file)
    typer.echo(say("operations.switched", on=on))
