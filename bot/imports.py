"""Commands for workbooks: funds, items and rosters, from the template to the import."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:  # commands load what they need themselves, so that help comes at once
    from sqlalchemy.orm import Session

    from bot.workbooks import Outcome

funds_app = typer.Typer(no_args_is_help=True, help="各示范年度的资金")
items_app = typer.Typer(no_args_is_help=True, help="整改事项清单和台账")
people_app = typer.Typer(no_args_is_help=True, help="示范县和人员")
WorkbookPath = Annotated[Path, typer.Argument(metavar="FILE.xlsx", help="工作簿")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="只检查，不保存")]


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


@contextmanager
def _system() -> "Iterator[tuple[Session, datetime]]":
    """A session of the program itself, and the time; what is not committed is rolled back."""
    from bot.installation import clock_of, open_database, settings
    from storage.scope import OPERATOR, serving

    chosen = settings()
    with open_database(chosen)() as db, serving(db, OPERATOR):
        yield db, clock_of(chosen)()


def _write(path: Path, write: Callable[[Path], None]) -> None:
    if path.suffix.lower() != ".xlsx":
        _stop(f"“{path.name}”请以 .xlsx 结尾。", 2)
    try:
        write(path)
    except OSError as error:
        _stop(f"写不了“{path}”：{error.strerror}。", 1)


def _told(outcome: "Outcome", dry_run: bool) -> None:
    """Print what an import did; with faults, a table of them, and exit 1."""
    if outcome.ignored:
        typer.echo(f"未读取的列：{'、'.join(outcome.ignored)}")
    if outcome.problems:
        typer.echo("工作表\t行\t列\t问题\t正确示例")
        for one in outcome.problems:
            typer.echo(f"{one.sheet}\t{one.row or ''}\t{one.column}\t{one.wrong}\t{one.example}")
        _stop(f"有{len(outcome.problems)}处问题，没有导入任何内容；改好后请重新导入。", 1)
    blank = f"，未填{outcome.blank}行" if outcome.blank else ""
    done = "试运行，没有保存：" if dry_run else ""
    typer.echo(f"{done}新增{outcome.added}行，更新{outcome.changed}行，未变{outcome.unchanged}行{blank}。")


@funds_app.command("template")
def funds_template(file: WorkbookPath) -> None:
    """生成资金填报表：每个示范年度一行，带下拉列表和填写说明。"""
    from handlers import ledgers

    with _system() as (db, _):
        _write(file, lambda path: typer.echo(f"已生成{file}，{ledgers.template(db, path)}行待填。"))


@funds_app.command("import")
def funds_import(file: WorkbookPath, dry_run: DryRun = False) -> None:
    """导入资金填报表：有一处不对就都不导入。"""
    from bot.workbooks import Unreadable
    from handlers import ledgers

    with _system() as (db, now):
        try:
            outcome = ledgers.load(db, file, now)
        except Unreadable as error:
            _stop(str(error), 1)
        if not outcome.problems and not dry_run:
            db.commit()
        _told(outcome, dry_run)


@items_app.command("template")
def items_template(file: WorkbookPath) -> None:
    """生成整改事项清单：带下拉列表和填写说明。"""
    from handlers import itemlists

    with _system() as (db, _):
        _write(file, lambda path: itemlists.template(db, path))
    typer.echo(f"已生成{file}。")


@items_app.command("import")
def items_import(
    file: Annotated[Path | None, typer.Argument(metavar="FILE.xlsx", help="工作簿")] = None,
    dry_run: DryRun = False,
    undo: Annotated[
        str | None, typer.Option("--undo", metavar="TOKEN", help="撤销一次导入：其中的事项都还没有下发时才行")
    ] = None,
) -> None:
    """导入整改事项清单：有一处不对就都不导入；新事项为待下发，状态、销号等列不读取。"""
    from bot.workbooks import Unreadable
    from handlers import itemlists

    if (file is None) == (undo is None) or (undo is not None and dry_run):
        _stop("请给出一个文件，或用 --undo 给出要撤销的导入编号。", 2)
    with _system() as (db, now):
        if file is None:
            _undone(db, undo or "", now)
            return
        try:
            outcome = itemlists.load(db, file, now, lambda done, of: typer.echo(f"已检查{done}/{of}行", err=True))
        except Unreadable as error:
            _stop(str(error), 1)
        saved = bool(outcome.added or outcome.changed) and not outcome.problems and not dry_run
        if saved:
            db.commit()
        for one in outcome.suspected:
            typer.echo(f"疑似同一项：第{one.row}行 {one.column}\t{one.wrong}")
        _told(outcome, dry_run)
        if saved and outcome.added:
            typer.echo(f"撤销这次新增的（更正的不随之恢复）：items import --undo {outcome.token}")


def _undone(db: "Session", token: str, now: datetime) -> None:
    from storage import drafts

    try:
        count = drafts.undo(db, token, now)
    except drafts.Moved as moved:
        _stop(f"不能撤销：{'、'.join(moved.numbers)}已有人办理。", 1)
    if not count:
        _stop(f"没有编号为“{token}”的导入，或已撤销。", 1)
    db.commit()
    typer.echo(f"已撤销，删去{count}项。")


@items_app.command("export")
def items_export(
    file: WorkbookPath,
    county: Annotated[str | None, typer.Option("--county", help="只要这个县：名称或六位代码")] = None,
    year: Annotated[int | None, typer.Option("--year", help="只要这个示范年度")] = None,
) -> None:
    """导出整改台账：列与清单相同，后面加上进展、状态和销号；另一张表是进度统计。"""
    from bot.workdays import LOCAL
    from handlers import itemlists, progress
    from storage import bodies

    with _system() as (db, now):
        found = bodies.named(db, county) if county else []
        if county and len(found) != 1:
            _stop(f"有几个“{county}”，请改用六位代码。" if found else f"没有登记“{county}”。", 1)
        body_id = found[0].id if found else None
        on = now.astimezone(LOCAL).date()
        also = progress.cells(db, now, body_id, year)
        _write(
            file, lambda path: typer.echo(f"已导出{file}，{itemlists.export(db, path, on, body_id, year, also)}项。")
        )


@items_app.command("sample")
def items_sample(
    number: Annotated[int, typer.Argument(metavar="N", help="第几次抽查，见对话中的“抽查结果”")], file: WorkbookPath
) -> None:
    """生成一次回头看抽查的记录表（打印填写）和名单（可据以重抽）。"""
    from handlers import samples
    from storage.samples import numbered

    with _system() as (db, _):
        sample = numbered(db, number)
        if sample is None:
            _stop(f"没有第{number}次抽查。", 1)
        _write(file, lambda path: typer.echo(f"已生成{file}，抽中{samples.sheet(db, sample, path)}项。"))


@people_app.command("template")
def people_template(file: WorkbookPath) -> None:
    """生成名册：示范县和人员两张表，带下拉列表和填写说明。"""
    from handlers import rosters

    with _system() as (db, _):
        _write(file, lambda path: rosters.template(db, path))
    typer.echo(f"已生成{file}。")


@people_app.command("import")
def people_import(
    file: WorkbookPath,
    dry_run: DryRun = False,
    codes: Annotated[Path | None, typer.Option("--codes", help="把邀请码写入这个 .xlsx，不显示在屏幕上")] = None,
) -> None:
    """导入名册：登记示范县和人员，并为新的人员生成邀请码；有一处不对就都不导入。"""
    from bot.workbooks import Unreadable
    from handlers import rosters

    with _system() as (db, now):
        try:
            outcome = rosters.load(db, file, now)
        except Unreadable as error:
            _stop(str(error), 1)
        saved = not outcome.problems and not dry_run
        if saved and codes is not None and outcome.codes:
            _write(codes, lambda path: rosters.write_codes(path, outcome.codes))
        if saved:
            db.commit()
        _told(outcome, dry_run)
        for one in outcome.codes if saved and codes is None else ():
            typer.echo(f"{one.place}\t{one.name}\t{one.role}\t{one.code}\t有效期至{one.until}")
