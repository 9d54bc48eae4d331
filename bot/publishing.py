"""The command line of broadcasts: status and the account."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bot.texts import say

if TYPE_CHECKING:  # commands load what they need themselves, so that help comes at once
    from sqlalchemy.orm import Session

    from storage.models import Broadcast

broadcast_app = typer.Typer(no_args_is_help=True, help="通知下发")


def _stop(message: str, code: int = 1) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


@contextmanager
def _found(number: str) -> "Iterator[tuple[Session, Broadcast, datetime]]":
    """The broadcast of a number, 12 or N12, for the program itself."""
    from bot.app import clock_of, open_database, settings
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
