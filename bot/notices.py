"""The command line of notices: list, show, import, confirm, compare."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bot.texts import say

if TYPE_CHECKING:
    from knowledge.importing.draft import Draft
    from knowledge.model import Clause, Notice

app = typer.Typer(no_args_is_help=True, help="所收文件：查看、导入、确认、比较")


def _stop(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


@app.command("list")
def notice_list() -> None:
    """列出所收文件。"""
    for notice in _stored():
        typer.echo(say("notices.listed", notice=notice))


@app.command("show")
def notice_show(notice_id: Annotated[str, typer.Argument(metavar="ID", help="文件标识，见 notice list")]) -> None:
    """逐条显示一份文件，注明已废止的条款。"""
    from bot.installation import clock_of, settings
    from bot.workdays import LOCAL
    from knowledge.validity import spans

    stored = {one.id: one for one in _stored()}
    if notice_id not in stored:
        _stop(say("notices.unknown", notice_id=notice_id, known=list(stored)))
    on, held = clock_of(settings())().astimezone(LOCAL).date(), spans(stored.values())
    for clause in stored[notice_id].clauses:
        typer.echo(say("notices.clause", clause=clause, over=held[notice_id, clause.label].is_over(on)))


def _stored() -> "list[Notice]":
    """The shipped and the imported notices; an imported text stands for the shipped one of its id."""
    from bot.installation import settings
    from knowledge.base import DATA, all_notices

    return all_notices(DATA, settings().imported_notices)


def _read(file: str) -> "Draft":
    from knowledge.importing.draft import draft_of, read_draft

    return draft_of(sys.stdin.read()) if file == "-" else read_draft(Path(file))


@app.command("import")
def notice_import(
    file: Annotated[str, typer.Argument(metavar="FILE", help=".docx、.pdf、.html 或 .txt 文件，- 为粘贴的正文")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只读出内容，不入库")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON")] = False,
    by: Annotated[str, typer.Option("--by", help="导入人；写明后须由另一人确认")] = "",
) -> None:
    """读出一份通知的条款、期限、比例和禁止事项，作为待核对的文本入库。"""
    from knowledge.importing.draft import as_json as shown
    from knowledge.importing.draft import store

    draft = _read(file)
    path = None
    if not dry_run:
        from bot.installation import settings

        path = store(draft, settings().imported_notices, _stored(), Path(file).name, by)
    if as_json:
        typer.echo(json.dumps(shown(draft) | ({"id": path.stem} if path else {}), ensure_ascii=False))
        return
    typer.echo(say("notices.review", draft=draft))
    if path:
        typer.echo(say("notices.stored", notice_id=path.stem, path=path, number=draft.number))


@app.command("confirm")
def notice_confirm(
    notice_id: Annotated[str, typer.Argument(metavar="ID", help="文件标识，见 notice list")],
    number: Annotated[str, typer.Option("--number", help="印发件上的文号")],
    reason: Annotated[str, typer.Option("--reason", help="核对依据")],
    by: Annotated[str, typer.Option("--by", help="确认人，不能是导入人")] = "",
    supersedes: Annotated[
        str, typer.Option("--supersedes", help="取代的文件或条款，如 8-2020#三(一) by 二，几项以 | 分开")
    ] = "",
    effective: Annotated[str, typer.Option("--effective", help="施行日期，如 2020-05-01，默认发文日期")] = "",
) -> None:
    """确认一份文件的文本与印发件一致，从此按正式文本引用。"""
    from bot.installation import clock_of, settings
    from handlers.ask import LOCAL
    from knowledge.base import DATA
    from knowledge.importing.draft import confirm

    chosen = settings()
    on = clock_of(chosen)().astimezone(LOCAL).date()
    confirm(
        notice_id, number, reason, shipped=DATA / "notices", folder=chosen.imported_notices, on=on, by=by,
        supersedes=supersedes, effective=effective,
    )  # fmt: skip
    typer.echo(say("notices.confirmed", notice_id=notice_id, number=number))


@app.command("diff")
def notice_diff(
    old: Annotated[str, typer.Argument(metavar="A", help="文件标识或文件路径")],
    new: Annotated[str, typer.Argument(metavar="B", help="文件标识或文件路径")],
) -> None:
    """逐条比较两份文本。"""
    from knowledge.importing.draft import compare

    changes = compare(_clauses(old), _clauses(new))
    for change in changes:
        typer.echo(say("notices.change", one=change))
    typer.echo(say("notices.compared", count=len(changes)))


def _clauses(which: str) -> "tuple[Clause, ...]":
    """The clauses of a stored notice or of a file."""
    stored = {one.id: one for one in _stored()}
    if which in stored:
        return stored[which].clauses
    if which != "-" and not Path(which).exists():
        _stop(say("notices.unknown", notice_id=which, known=list(stored)))
    return _read(which).clauses
