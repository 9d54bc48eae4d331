"""The command line of what the province publishes: editions of the knowledge, and the account of broadcasts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bot.texts import say

if TYPE_CHECKING:  # commands load what they need themselves, so that help comes at once
    from sqlalchemy.orm import Session, sessionmaker

    from bot.settings import Settings
    from knowledge.base import KnowledgeBase
    from storage.models import Broadcast

ASKED = 300  # questions of late that a publication is tried on

knowledge_app = typer.Typer(no_args_is_help=True, help="检查和发布知识库")
broadcast_app = typer.Typer(no_args_is_help=True, help="通知下发")


def _stop(message: str, code: int = 1) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


# --- knowledge -------------------------------------------------------------------------------------------------------


@knowledge_app.command("check")
def knowledge_check() -> None:
    """检查所有知识文件；有问题时逐条列出并以 1 退出。"""
    from bot.app import knowledge
    from bot.installation import clock_of, settings
    from bot.workdays import LOCAL
    from knowledge.coverage import uncovered, uncovered_facts
    from knowledge.validity import waiting

    chosen = settings()
    kb, on = knowledge(chosen), clock_of(chosen)().astimezone(LOCAL).date()
    forms = sum(len(entry.forms) for entry in kb.entries)
    typer.echo(f"文件 {len(kb.notices)}，条款 {len(kb.clauses)}，问答 {len(kb.entries)}，问法 {forms}，规则 {len(kb.rules)}，"
               f"支出事项 {len(kb.expenses)}；版本 {kb.edition}")  # fmt: skip
    for name, citation in kb.stale(on):
        typer.echo(say("publishing.stale", name=name, citation=citation))
    for notice, one in waiting(kb.notices):
        typer.echo(say("publishing.not_superseding", notice=notice, one=one))
    for clause in uncovered(kb):
        typer.echo(f"没有问答引用的条款：{clause.notice_id} {clause.label}")
    for clause, fact in uncovered_facts(kb):
        typer.echo(f"没有问答覆盖的事实：{clause.notice_id} {clause.label}“{fact}”")


@knowledge_app.command("vectors")
def knowledge_vectors() -> None:
    """重新计算问法的语义向量（需安装 semantic 组件）。"""
    from knowledge import semantic
    from knowledge.base import VECTORS, read
    from knowledge.text import normalise

    if not semantic.available():
        _stop("没有安装语义组件：请运行 .venv/bin/pip install 'countydesk[semantic]'。", 1)
    texts = [normalise(form.text) for entry in read().entries for form in entry.forms]
    typer.echo(f"已存 {semantic.refresh(VECTORS, texts)} 条向量。")


@knowledge_app.command("publish")
def knowledge_publish(
    by: Annotated[str, typer.Option("--by", help="发布人；没有确认的文件须由导入人以外的人发布")] = "",
    note: Annotated[str, typer.Option("--note", help="说明")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查并列出影响，不发布")] = False,
) -> None:
    """检查知识文件，列出对答复和规则的影响，发布为新的版本；运行中的各进程几秒内换用。"""
    from knowledge import base
    from knowledge.impact import unreviewed
    from storage import editions
    from storage.db import transaction

    with _installation() as (sessions, chosen, now, current):
        files = base.read_files(imported=chosen.imported_notices)
        fresh = base.load_files(files)
        if fresh.digest == current.digest:
            _stop(say("publishing.nothing_new", edition=current.edition))
        if unseen := unreviewed(files, current, by):
            _stop(say("publishing.unreviewed", notices=unseen, by=by))
        _show_impact(sessions, current, fresh, now)
        if dry_run:
            return
        with transaction(sessions) as db:
            number = editions.publish(db, fresh.digest, base.pack(files), now, by=by, note=note)
    typer.echo(say("publishing.published", number=number))


def _show_impact(
    sessions: "sessionmaker[Session]", before: "KnowledgeBase", after: "KnowledgeBase", now: datetime
) -> None:
    """Print what changes, with the questions of late that are answered otherwise."""
    from bot import planner
    from bot.workdays import LOCAL
    from knowledge.impact import impact
    from storage import questions
    from storage.db import transaction
    from storage.scope import OPERATOR, serving

    on = now.astimezone(LOCAL).date()
    with transaction(sessions) as db, serving(db, OPERATOR):
        asked, shifts = questions.latest(db, ASKED), planner.shifts(db, before, after, on)
    found = impact(before, after, asked, on, shifts)
    typer.echo(say("publishing.impact", found=found, asked=len(asked)))


@knowledge_app.command("editions")
def knowledge_editions() -> None:
    """列出发布过的版本，现用的标星号。"""
    from bot.workdays import LOCAL
    from storage import editions
    from storage.db import transaction

    with _installation() as (sessions, _, _, current), transaction(sessions) as db:
        for one in editions.listed(db):
            at = one.published_at.astimezone(LOCAL)
            typer.echo(say("publishing.edition", one=one, at=at, current=one.number == current.number))


@knowledge_app.command("rollback")
def knowledge_rollback(
    number: Annotated[int, typer.Argument(metavar="N", help="版本号，见 knowledge editions")],
    by: Annotated[str, typer.Option("--by", help="经办人")] = "",
    note: Annotated[str, typer.Option("--note", help="原因")] = "",
) -> None:
    """换回以前的版本；现用的版本和文件都保留。"""
    from knowledge import base
    from storage import editions
    from storage.db import transaction

    with _installation() as (sessions, _, now, current):
        if number == current.number:
            _stop(say("publishing.is_current", number=number))
        with transaction(sessions) as db:
            held = editions.find(db, number)
        if held is None:
            _stop(say("publishing.no_edition", number=number))
        earlier = base.load_files(base.unpack(held.files)).numbered(number)
        _show_impact(sessions, current, earlier, now)
        with transaction(sessions) as db:
            editions.make_current(db, number, now, by=by, note=note)
    typer.echo(say("publishing.rolled_back", number=number))


@knowledge_app.command("export")
def knowledge_export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="新文件夹")],
    number: Annotated[int | None, typer.Option("--edition", metavar="N", help="哪一版，默认现用的")] = None,
) -> None:
    """把一个版本的全部知识文件写入新文件夹。"""
    from knowledge import base
    from storage import editions
    from storage.db import transaction

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        _stop(say("publishing.not_empty", folder=folder))
    with _installation() as (sessions, _, _, current), transaction(sessions) as db:
        held = editions.find(db, number or current.number)
    if held is None:
        _stop(say("publishing.no_edition", number=number))
    files = base.unpack(held.files)
    base.write_files(files, folder)
    typer.echo(say("publishing.files_written", folder=folder, number=held.number, count=len(files)))


@contextmanager
def _installation() -> "Iterator[tuple[sessionmaker[Session], Settings, datetime, KnowledgeBase]]":
    """The database, the settings, the time, and the knowledge that is current."""
    from bot.app import published
    from bot.installation import clock_of, open_database, settings

    chosen = settings()
    sessions, now = open_database(chosen), clock_of(chosen)()
    yield sessions, chosen, now, published(sessions, chosen, now)


# --- broadcasts ------------------------------------------------------------------------------------------------------


@contextmanager
def _found(number: str) -> "Iterator[tuple[Session, Broadcast, datetime]]":
    """The broadcast of a number, 12 or N12, for the program itself."""
    from bot.installation import clock_of, open_database, settings
    from storage import broadcasts
    from storage.db import transaction
    from storage.scope import OPERATOR, serving

    chosen = settings()
    digits = number.strip().upper().removeprefix("N")
    with transaction(open_database(chosen)) as db, serving(db, OPERATOR):
        try:
            found = broadcasts.find(db, int(digits) if digits.isdecimal() and len(digits) < 10 else 0)
        except broadcasts.NotFound:
            _stop(say("publishing.not_found", number=number))
        yield db, found, clock_of(chosen)()


Number = Annotated[str, typer.Argument(metavar="ID", help="通知编号，如 N12")]


@broadcast_app.command("status")
def broadcast_status(
    number: Number, as_json: Annotated[bool, typer.Option("--json", help="输出 JSON")] = False
) -> None:
    """一个通知发到哪里、谁签收了：各状态之和等于应发人数。"""
    from handlers import reconciliation

    with _found(number) as (db, broadcast, now):
        found = reconciliation.as_json(db, broadcast, now)
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else say("reconciliation.status", found=found))


@broadcast_app.command("export")
def broadcast_export(number: Number, file: Annotated[Path, typer.Argument(metavar="FILE.xlsx", help="工作簿")]) -> None:
    """导出签收表和送达对账单，带内容和名单的校验值。"""
    from handlers import reconciliation

    if file.suffix.lower() != ".xlsx":
        _stop(say("publishing.not_xlsx", name=file.name), 2)
    with _found(number) as (db, broadcast, now):
        try:
            reconciliation.export(db, broadcast, file, now)
        except OSError as error:
            _stop(say("publishing.unwritable", path=file, why=error.strerror))
    typer.echo(say("publishing.exported", path=file))
