"""The command line. Results go to stdout, logs to stderr; exit 0 done, 1 refused or checks failed, 2 wrong call."""

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer

from bot import imports, operations, publishing, schedule
from bot.notices import app as notice_app
from bot.settings import ConfigError
from knowledge.model import KnowledgeError

if TYPE_CHECKING:  # commands load what they need themselves, so that help comes at once
    from sqlalchemy.orm import Session

    from bot.app import Desk
    from bot.settings import Settings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="电子商务进农村综合示范：政策问答与查答案",
    pretty_exceptions_enable=False,
)
questions_app = typer.Typer(no_args_is_help=True, help="待答问题")
wechat_app = typer.Typer(no_args_is_help=True, help="微信服务号")
db_app = typer.Typer(no_args_is_help=True, help="数据库")
app.add_typer(notice_app, name="notice")
app.add_typer(publishing.knowledge_app, name="knowledge")
app.add_typer(questions_app, name="questions")
app.add_typer(imports.funds_app, name="funds")
app.add_typer(imports.items_app, name="items")
app.add_typer(imports.people_app, name="people")
app.add_typer(schedule.app, name="reminders")
app.add_typer(wechat_app, name="wechat")
app.add_typer(db_app, name="db")
app.add_typer(publishing.broadcast_app, name="broadcast")
operations.register(app)


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


def _at(on: str | None) -> datetime:
    """The time of a question: now, or 12:00 in China on a given day."""
    if on is None:
        return datetime.now(UTC)
    try:
        return datetime.fromisoformat(on[:10]).replace(hour=4, tzinfo=UTC)
    except ValueError:
        _stop(f"日期“{on}”无法识别，请写成 2020-06-01。", 2)


# --- ask ---------------------------------------------------------------------------------------------------------


def _stated(facts: list[str], year: int) -> dict[str, Any]:
    from bot.channels.web import read_facts

    pairs = [fact.partition("=") for fact in facts]
    if bad := [key for key, equals, _ in pairs if not equals]:
        _stop(f"--fact 应写成 KEY=VALUE：{'、'.join(bad)}", 2)
    try:
        return read_facts({key: value for key, _, value in pairs}, year)
    except ValueError as error:
        _stop(str(error), 2)


def _rows(source: TextIO) -> Iterator[dict[str, Any]]:
    """The lines of a batch; a bad line becomes {"id", "error"}."""
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        name: object = f"line-{number}"
        try:
            row = json.loads(line)
            name = row.get("id", name)
            if not isinstance(row.get("q"), str):
                raise ValueError("缺少 q")
            yield row | {"id": name}
        except (ValueError, AttributeError) as error:
            yield {"id": name, "error": f"这一行无法读取：{error}"}


def _batch(source: TextIO) -> None:
    from bot.app import desk
    from bot.channels.web import line, read_facts
    from bot.messages import Inbound

    with desk() as running:
        for row in _rows(source):
            if "error" not in row:
                try:
                    on = row.get("on")
                    at = datetime.fromisoformat(on).replace(hour=4, tzinfo=UTC) if on else datetime.now(UTC)
                    given = read_facts({key: str(value) for key, value in (row.get("facts") or {}).items()}, at.year)
                except (ValueError, AttributeError, TypeError) as error:
                    row["error"] = f"这一行无法读取：{error}"
            if "error" in row:
                typer.echo(json.dumps({"id": row["id"], "kind": "error", "error": row["error"]}, ensure_ascii=False))
                continue
            address = f"session-{row['session']}" if row.get("session") else uuid.uuid4().hex
            inbound = Inbound(channel="batch", message_id=uuid.uuid4().hex, address=address, text=row["q"], at=at)
            reply = running.turns.submit(inbound, given).result()
            typer.echo(json.dumps({"id": row["id"]} | line(row["q"], reply), ensure_ascii=False))


@app.command()
def ask(
    question: Annotated[str | None, typer.Argument(help="问题")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON")] = False,
    on: Annotated[str | None, typer.Option("--on", help="以哪一天为准，如 2020-06-01")] = None,
    fact: Annotated[list[str] | None, typer.Option("--fact", help="已知情况，如 batch_year=2016，可重复")] = None,
    batch: Annotated[str | None, typer.Option("--batch", help="逐行 JSON 的问题文件，- 为标准输入")] = None,
) -> None:
    """回答一个问题，或一批问题。"""
    if (question is None) == (batch is None):
        _stop("请给出一个问题，或用 --batch 给出问题文件。", 2)
    if batch == "-":
        _batch(sys.stdin)
    elif batch is not None:
        path = Path(batch)
        if not path.is_file():
            _stop(f"找不到文件 {batch}。", 2)
        with path.open(encoding="utf-8") as source:
            _batch(source)
    elif question is not None:
        _one(question, as_json, _at(on), fact or [])


def _one(question: str, as_json: bool, at: datetime, facts: list[str]) -> None:
    from bot.app import desk
    from bot.channels import plain
    from bot.channels.web import line
    from bot.messages import Inbound

    given = _stated(facts, at.year)
    with desk() as running:
        inbound = Inbound(channel="terminal", message_id=uuid.uuid4().hex, address="ask", text=question, at=at)
        reply = running.turns.submit(inbound, given).result()
    typer.echo(json.dumps({"id": "1"} | line(question, reply), ensure_ascii=False) if as_json else plain(reply))


# --- chat --------------------------------------------------------------------------------------------------------


@app.command()
def chat(
    on: Annotated[str | None, typer.Option("--on", help="以哪一天为准，如 2020-06-01")] = None,
    as_: Annotated[str | None, typer.Option("--as", metavar="NAME", help="以谁的身份：姓名、手机号或编号")] = None,
) -> None:
    """在终端里对话；也可以从管道读入脚本，一行一句。写明 --as 时在正式数据库里办理，否则什么也不保存。"""
    from bot.app import configure_logging, desk
    from bot.texts import say

    if as_ is not None:
        configure_logging()
        with _desk_as(as_) as (running, address, clock):
            _talk(running, address, (lambda: _at(on)) if on else clock)
        return
    if sys.stdin.isatty():
        typer.echo(say("ask.greeting"))
    with desk() as running:
        _talk(running, "terminal", lambda: _at(on))


def _talk(running: "Desk", address: str, at: Callable[[], datetime]) -> None:
    """Answer line by line until the input ends."""
    from bot.channels import plain
    from bot.messages import Inbound

    while True:
        if sys.stdin.isatty():
            typer.echo("> ", nl=False)
        line = sys.stdin.readline()
        if not line:
            return
        inbound = Inbound(
            channel="terminal", message_id=uuid.uuid4().hex, address=address, text=line.rstrip("\n"), at=at()
        )
        typer.echo(plain(running.turns.submit(inbound).result()) + "\n")


@contextmanager
def _desk_as(who: str) -> Iterator[tuple["Desk", str, Callable[[], datetime]]]:
    """The assistant on the real database, with a terminal that speaks for somebody until it is left."""
    from bot.app import Desk, assistant, guarding, home, published, reminding
    from bot.installation import clock_of, open_database, settings
    from bot.turns import TurnThread
    from storage import audit, bindings, people, scope
    from storage.db import transaction

    chosen = settings()
    clock, sessions = clock_of(chosen), open_database(chosen)
    kb = published(sessions, chosen, clock())
    address = f"terminal-{uuid.uuid4().hex[:12]}"
    with transaction(sessions) as db, scope.serving(db, scope.SYSTEM):
        found = people.named(db, who)
        if len(found) != 1:
            listed = "".join(f"\n{one.id}\t{one.name}\t{people.unit_name(db, one)}" for one in found)
            _stop(f"有几个人符合，请改用编号：{listed}" if found else f"没有找到“{who}”。", 1)
        bindings.bind(db, found[0], "terminal", address, clock())
        audit.record(db, "speak_as", f"person:{found[0].id}", now=clock(), role="operator")
    guards = guarding(reminding(lambda: kb, chosen), clock)
    turns = TurnThread(assistant(kb, chosen, guards, home=home(sessions, chosen)), sessions)
    with Desk(kb=kb, turns=turns, sessions=sessions) as running:
        yield running, address, clock
    with transaction(sessions) as db, scope.serving(db, scope.SYSTEM):
        binding = bindings.live(db, "terminal", address)
        if binding is not None:
            bindings.end(db, binding, "离开终端", clock())


# --- people ------------------------------------------------------------------------------------------------------


@app.command()
def invite(
    name: Annotated[str | None, typer.Option(help="姓名")] = None,
    role: Annotated[str | None, typer.Option(help="角色，如 县级经办人 或 county_officer")] = None,
    body: Annotated[str | None, typer.Option(help="县（实施主体）的名称或六位代码")] = None,
    division: Annotated[str | None, typer.Option(help="省、市角色的区划代码，如 620000")] = None,
    title: Annotated[str, typer.Option(help="职务")] = "",
    phone: Annotated[str, typer.Option(help="手机号")] = "",
    unit: Annotated[str, typer.Option(help="单位")] = "",
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="为一个县所有待绑定的人换发邀请码，打印成单")
    ] = None,
    revoke: Annotated[int | None, typer.Option(metavar="N", help="撤销第N号邀请，已绑定的一并解除")] = None,
) -> None:
    """邀请一个人绑定，输出邀请码；或打印一个县的邀请单；或撤销邀请。"""
    from bot.messages import Invalid
    from bot.texts import say
    from handlers import inviting
    from storage import invitations

    if revoke is None and sheet is None and not (name and role and (body is None) != (division is None)):
        _stop("请写明 --name、--role，以及 --body（县）或 --division（省、市）之一。", 2)
    with _office() as (db, now, chosen):
        if revoke is not None:
            found = invitations.numbered(db, revoke)
            if found is None or found.revoked_at:
                _stop(say("inviting.not_found"), 1)
            inviting.revoke(db, found, now)
            typer.echo(say("inviting.revoked", number=revoke))
        elif sheet is not None:
            _print_sheet(db, now, chosen, body or "", sheet)
        else:
            try:
                made = inviting.invite(
                    db, name=inviting.person_name(name or ""), role=inviting.read_role(role or ""), now=now,
                    unit=unit, title=title, phone=phone, **_where(db, body, division),
                )  # fmt: skip
            except Invalid as trouble:
                _stop(str(trouble), 1)
            until = f"{made.invitation.expires_at:%Y-%m-%d}"
            typer.echo(f"{made.code}\t{made.person.name}\t{made.place}\t{until}\t第{made.invitation.id}号")


@contextmanager
def _office() -> Iterator[tuple["Session", datetime, "Settings"]]:
    """One transaction on the real database, for the program itself."""
    from bot.installation import clock_of, open_database, settings
    from storage import scope
    from storage.db import transaction

    chosen = settings()
    with transaction(open_database(chosen)) as db, scope.serving(db, scope.SYSTEM):
        yield db, clock_of(chosen)(), chosen


def _where(db: "Session", body: str | None, division: str | None) -> dict[str, Any]:
    from storage import bodies

    if division is not None:
        try:
            return {"division_code": bodies.division(db, division).code}
        except ValueError:
            _stop(f"没有区划代码“{division}”，请写六位代码，如 620000。", 1)
    found = bodies.named(db, body or "")
    if len(found) != 1:
        _stop(f"没有找到“{body}”：请先在名册的“示范县”表里写上它的代码、名称和年度，用 people import 导入。"
              if not found else f"有几个“{body}”，请改用六位代码。", 1)  # fmt: skip
    return {"body_id": found[0].id}


def _print_sheet(db: "Session", now: datetime, chosen: "Settings", body: str, file: Path) -> None:
    from importlib.metadata import version

    from bot.console import public
    from handlers import inviting

    if not body:
        _stop("请用 --body 写明是哪个县。", 2)
    made = inviting.reissue(db, _where(db, body, None)["body_id"], now)
    if not made:
        _stop(f"{body}没有待绑定的人。", 1)
    templates = public.pages(version("countydesk"))
    file.write_text(public.invitation_sheet(templates, made[0].place, made, chosen.web.base_url), encoding="utf-8")
    typer.echo(f"{file}：{made[0].place}{len(made)}人，之前的邀请码作废。")


# --- serve -------------------------------------------------------------------------------------------------------


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="监听地址")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="端口")] = 8000,
    demo: Annotated[bool, typer.Option("--demo", help="示范省份，时间停在2020年4月24日")] = False,
) -> None:
    """启动网页对话和查答案。"""
    import uvicorn

    from bot.app import configure_logging, web_app
    from bot.demo import demo_settings
    from bot.installation import settings

    configure_logging()
    chosen = demo_settings(settings()) if demo else settings()
    web = web_app(chosen, sample=demo)
    where = f"http://{host}:{port}"
    typer.echo(f"countydesk 已启动：{where}（对话） {where}/lookup（查答案）", err=True)
    typer.echo(f"countydesk is running: {where} (chat), {where}/lookup (look-up). Ctrl+C stops it.", err=True)
    uvicorn.run(web, host=host, port=port, log_level="warning", server_header=False)


# --- open questions ----------------------------------------------------------------------------------------------


@questions_app.command("list")
def questions_list(as_json: Annotated[bool, typer.Option("--json", help="输出 JSON")] = False) -> None:
    """列出文件没有答案或被指答得不对的问题，相同的合并，问得多的在前。"""
    from bot.app import knowledge
    from handlers import desk as office

    with _office() as (db, _, chosen):
        kb = knowledge(chosen)
        for group in office.groups(db, kb):
            row = office.as_json(group)
            if as_json:
                typer.echo(json.dumps(row, ensure_ascii=False))
            else:
                typer.echo(f"{row['id']}\t{row['asked']}次\t{row['last_at'][:10]}\t{row['question']}")


@questions_app.command("answer")
def questions_answer(
    number: Annotated[int, typer.Argument(metavar="ID", help="问题编号，见 questions list")],
    text: Annotated[str, typer.Option("--text", help="答复")],
    notice: Annotated[str, typer.Option("--notice", help="文件标识，如 144-2020")],
    clause: Annotated[str, typer.Option("--clause", help="条款，如 四(二)")],
    quote: Annotated[str, typer.Option("--quote", help="条款原文，逐字照录")],
    officer: Annotated[str, typer.Option("--officer", help="答复人")],
) -> None:
    """答复一组问题：须有条款依据；问过的人下次来时都会看到，并生成问答草稿。"""
    from bot.app import knowledge
    from bot.messages import Refused
    from handlers import desk as office
    from knowledge.model import Cite
    from knowledge.writing import Writer
    from storage import people

    try:
        with _office() as (db, now, chosen):
            cite, known = Cite(notice=notice, clause=clause, quote=quote), people.named(db, officer)
            by = Writer(name=known[0].name, id=known[0].id) if len(known) == 1 else Writer(name=officer)
            settled = office.settle(db, knowledge(chosen), number, text, cite, by, chosen.imported_notices, now)
    except Refused as refusal:
        _stop(str(refusal), 1)
    path = chosen.imported_notices / f"{settled.draft}.draft"
    typer.echo(f"已答复，{settled.told}人下次来时会看到；问答草稿在 {path}，由另一人在工作台“拟稿与审核”审核。")


# --- platforms ---------------------------------------------------------------------------------------------------


@wechat_app.command("menu")
def wechat_menu() -> None:
    """在公众号底部建立菜单；客户端最长五分钟后看到。"""
    from bot.channels.wechat import create_menu
    from bot.installation import settings
    from bot.messages import ChannelStopped, TemporaryFailure, Undeliverable
    from handlers.menu import ACCOUNT_MENU

    chosen = settings().wechat
    if not chosen.app_id:
        _stop("没有配置公众号：请在 countydesk.toml 的 [wechat] 填写 app_id、app_secret、token、aes_key。", 1)
    try:
        create_menu(chosen, ACCOUNT_MENU)
    except (ChannelStopped, TemporaryFailure, Undeliverable) as trouble:
        _stop(f"菜单没有建立，微信返回：{trouble}。", 1)
    typer.echo("菜单已建立。")


@db_app.command("upgrade")
def db_upgrade() -> None:
    """把数据库升级到最新结构。"""
    from bot.installation import migrate, settings

    migrate(settings())
    typer.echo("数据库已是最新结构。")


def main() -> None:
    """Run the command line; known troubles become a message and an exit code."""
    try:
        app()
    except (KnowledgeError, ConfigError) as error:
        typer.echo(str(error), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
