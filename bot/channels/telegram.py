"""Telegram: updates of the Bot API in, messages out. python-telegram-bot carries them and does nothing else.

Groups get no answers, an edited message is not answered again, and a button counts until something else is said.
"""

import asyncio
import hmac
import json
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from weakref import WeakValueDictionary

# The library's own switch to its next major version: without it each refusal for haste warns of a deprecation.
os.environ.setdefault("PTB_TIMEDELTA", "true")

import httpx
import structlog
from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session, sessionmaker
from telegram import Bot, CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message, Update
from telegram.constants import ChatType, FileSizeLimit, InlineKeyboardButtonLimit, MessageLimit
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, RetryAfter, TelegramError
from telegram.request import HTTPXRequest

from bot.channels import defer, edge, picked, pieces
from bot.messages import ChannelStopped, Inbound, InboundKind, Media, Reply, TemporaryFailure, Undeliverable
from bot.settings import Telegram as Chosen
from bot.texts import say
from bot.turns import TurnThread

BODY_LIMIT = 256 * 1024  # a long message that quotes another, every character escaped
WANTED = ["message", "edited_message", "callback_query", "my_chat_member"]
POLL_S = 30
BETWEEN_S = 0.2  # for a server that answers an empty poll at once
BACK_OFF_S = (1.0, 60.0)
PATIENCE_S = 60  # a push that takes longer is given up
COMMANDS = {"/help": "帮助", "/menu": "菜单", "/more": "更多", "/back": "返回", "/cancel": "取消"}
VALUE = "="  # what the data of a button begins with when it stands for itself, whatever was said since
GARBAGE = (KeyError, TypeError, AttributeError, ValueError)  # what the library raises on an answer that is none
T = TypeVar("T")
log = structlog.get_logger()


def failure(error: TelegramError) -> TemporaryFailure | Undeliverable | ChannelStopped:
    """What a refusal means for a message. A broken connection may have carried it all the same."""
    if isinstance(error, RetryAfter):
        wait = error.retry_after
        return TemporaryFailure("429", retry_after_s=wait if isinstance(wait, int) else wait.total_seconds())
    if isinstance(error, InvalidToken):
        return ChannelStopped("401", "Telegram does not know the bot's token")
    if isinstance(error, Forbidden | ChatMigrated) or "not found" in error.message.lower():
        return Undeliverable("403", gone=True)
    if isinstance(error, BadRequest):
        log.error("message refused", channel="telegram", reason=error.message)
        return Undeliverable("400")
    unsent = isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return TemporaryFailure("network", sure=unsent)


# --- what comes in -----------------------------------------------------------------------------------------------


def media_of(message: Message) -> tuple[InboundKind, tuple[Media, ...]]:
    """The kind of a message and what is attached to it."""
    if message.photo:
        return "image", (Media(id=message.photo[-1].file_id, mime="image/jpeg"),)
    if message.voice:
        return "voice", (Media(id=message.voice.file_id, mime=message.voice.mime_type or ""),)
    if file := message.document or message.video or message.audio:
        return "file", (Media(id=file.file_id, name=edge.clean(file.file_name or ""), mime=file.mime_type or ""),)
    if message.text or message.caption:
        return "text", ()
    return "location" if message.location else "other", ()


def text_of(message: Message) -> str:
    """What a person wrote; a command is the word it stands for, and a link's code is a binding."""
    text = edge.clean(message.text or message.caption or "")
    command, _, rest = text.partition(" ")
    command = command.partition("@")[0]
    if command == "/start" and rest:
        return f"绑定 {rest.strip()}"
    return COMMANDS.get(command, text)


def keyboard(reply: Reply, origin: str) -> InlineKeyboardMarkup | None:
    """A button for each option. Under the reply to an update, `origin` is its number; a push has none.

    A button's data holds 64 bytes; the value of a push that is longer gets no button.
    """
    rows = []
    for number, option in enumerate(reply.options, 1):
        data = f"{origin}:{number}" if origin else VALUE + option.value
        if len(data.encode()) <= InlineKeyboardButtonLimit.MAX_CALLBACK_DATA:
            rows.append([InlineKeyboardButton(option.label, callback_data=data)])
    return InlineKeyboardMarkup(rows) if rows else None


def parts(reply: Reply) -> list[str]:
    """A reply as messages: its links written out, its options left to the buttons."""
    lines = [reply.text, *(f"{link.label}：{link.url}" for link in reply.links)]
    return pieces(edge.clean("\n".join(lines)), MessageLimit.MAX_TEXT_LENGTH, lambda one: 1 + (one > "\uffff"))


class Telegram:
    """A bot. Its connections live on an event loop of their own, so that any thread may push."""

    name = "telegram"
    limit = 0  # long replies are cut into several messages

    def __init__(
        self,
        chosen: Chosen,
        base_url: str,
        turns: TurnThread,
        sessions: sessionmaker[Session],
        clock: Callable[[], datetime],
    ) -> None:
        self._chosen, self._base_url = chosen, base_url
        self._turns, self._sessions, self._clock = turns, sessions, clock
        self._number = chosen.token.partition(":")[0]
        self._files = f"{(chosen.file_base or chosen.api_base).rstrip('/')}/file/bot"
        self._bot = Bot(
            chosen.token,
            base_url=f"{chosen.api_base.rstrip('/')}/bot",
            base_file_url=self._files,
            request=HTTPXRequest(connection_pool_size=8, read_timeout=20, write_timeout=20),
        )
        self._talks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._username = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="telegram", daemon=True)
        self._thread.start()
        self._running: asyncio.Task[None] | None = None

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Say to Telegram where updates go, or begin to fetch them; in the background, for as long as it takes."""

        async def begin() -> None:
            self._running = asyncio.create_task(self._run())

        self._await(begin())

    def stop(self) -> None:
        """Finish what is being answered and end the loop."""

        async def end() -> None:
            if self._running is not None:
                self._running.cancel()
                await asyncio.gather(self._running, return_exceptions=True)
            await self._bot.shutdown()

        self._await(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, work: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine yields inside
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(PATIENCE_S)
        except TimeoutError as error:
            future.cancel()
            raise TemporaryFailure("timeout", sure=False) from error

    async def _run(self) -> None:
        await self._patiently(self._set_up)
        if self._chosen.mode == "polling":
            await self._poll()

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Try until it works; only a refused token ends the trying."""
        wait_s, longest_s = BACK_OFF_S
        while True:
            try:
                return await work()
            except InvalidToken:
                log.error("token refused", channel=self.name)
                await asyncio.Event().wait()  # until the channel is stopped: a new token comes with a new start
            except Exception as error:  # the job boundary: whatever was answered, the next try may work
                log.warning("telegram not reached", reason=type(error).__name__, again_in_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, longest_s)

    async def _set_up(self) -> None:
        await self._bot.initialize()
        self._username = self._bot.username
        if self._chosen.mode == "polling":
            await self._bot.delete_webhook()
        elif self._base_url:
            address = f"{self._base_url.rstrip('/')}/channels/telegram"
            await self._bot.set_webhook(address, secret_token=self._chosen.secret_token, allowed_updates=WANTED)
        else:
            log.warning("no webhook set", channel=self.name, reason="web.base_url is empty")

    async def _poll(self) -> None:
        """Fetch updates and answer them. An update is confirmed by the fetch after its answer."""
        offset = 0

        async def fetch() -> None:
            nonlocal offset
            # Not Bot.get_updates: it raises on the first update that it cannot read, for ever. The library turns
            # get__updates into getUpdates, but warns when it is called by a name for which it has a method.
            asked = {"offset": offset, "timeout": POLL_S, "allowed_updates": WANTED}
            found = await self._bot.do_api_request("get__updates", api_kwargs=asked, read_timeout=POLL_S + 10)
            found = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else [{}]
            numbers = [one["update_id"] for one in found if isinstance(one.get("update_id"), int)]
            if found and not numbers:
                raise TelegramError("updates without a number")
            for trouble in await asyncio.gather(*map(self.take, found), return_exceptions=True):
                if isinstance(trouble, Exception):  # its commit failed; the others are not held up by it
                    log.error("update lost", channel=self.name, exc_info=trouble)
            offset = max(numbers, default=offset - 1) + 1
            if not found:
                await asyncio.sleep(BETWEEN_S)

        while True:
            await self._patiently(fetch)

    # --- in ------------------------------------------------------------------------------------------------------

    def router(self) -> APIRouter:
        """The webhook's route."""
        routes = APIRouter()

        @routes.post("/channels/telegram")
        async def webhook(request: Request) -> Response:
            try:
                update = await self._opened(request)
            except edge.BadCallback as bad:
                log.info("callback refused", channel=self.name, reason=str(bad))
                return edge.refusal()
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.take(update), self._loop))
            return Response(status_code=200)

        return routes

    async def _opened(self, request: Request) -> Any:  # Any: JSON that nothing has looked at yet
        given = request.headers.get("x-telegram-bot-api-secret-token", "")
        wanted = self._chosen.secret_token
        if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
            raise edge.BadCallback("secret token")
        body = await edge.body_of(request, BODY_LIMIT)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise edge.BadCallback("not JSON") from error

    async def take(self, raw: Any) -> None:  # Any: as for _opened
        """Answer one update; those of one chat in order. Raises only when the turn could not be stored."""
        try:
            update = Update.de_json(raw, self._bot)
            chat = update.effective_chat
        except Exception as error:  # the webhook boundary: the library raises anything on what it does not know
            log.warning("update not read", channel=self.name, reason=type(error).__name__)
            return
        if chat is None:
            return
        async with self._talks.setdefault(chat.id, asyncio.Lock()):
            if chat.type != ChatType.PRIVATE:
                await self._in_group(update)
            elif update.edited_message is not None:
                if update.edited_message.text:
                    await self._quietly(self._bot.send_message(chat.id, say("channels.edited")))
            elif update.callback_query is not None:
                await self._pressed(update, update.callback_query, chat.id)
            else:
                await self._said(update, chat.id)

    async def _in_group(self, update: Update) -> None:
        """Point somebody who addresses the bot to a private chat: an answer may hold what only they may read."""
        message = update.message
        text = (message.text if message else None) or ""
        named = self._username and f"@{self._username.lower()}" in text.lower()
        if message is not None and (text.startswith("/") or named):
            await self._quietly(message.reply_text(say("channels.private_only")))

    async def _no_longer(self, press: CallbackQuery, chat_id: int) -> None:
        """Take the buttons away: they have acted, or are out of date."""
        if press.message is not None:
            await self._quietly(self._bot.edit_message_reply_markup(chat_id, press.message.message_id))

    async def _said(self, update: Update, chat_id: int) -> None:
        change, message = update.my_chat_member, update.message
        if change is not None:
            if change.new_chat_member.status == change.new_chat_member.BANNED:
                await self._turn(self._inbound(update, chat_id, "unsubscribe", kind="event"))
        elif message is not None:
            kind, media = media_of(message)
            text = text_of(message)
            if message.text is None and not message.effective_attachment:
                return  # a service message, such as a pinned one
            if text == "/start":
                inbound = self._inbound(update, chat_id, "subscribe", kind="event")
            else:
                inbound = self._inbound(update, chat_id, text, kind=kind, media=media)
            reply = await self._turn(inbound)
            if (message.text or "").startswith("/start"):
                reply = replace(reply, text=f"{say('channels.abroad')}\n\n{reply.text}")
            await self._answer(inbound, reply)

    async def _pressed(self, update: Update, press: CallbackQuery, chat_id: int) -> None:
        data = press.data or ""
        inbound = self._inbound(update, chat_id, data.removeprefix(VALUE))
        text: str | None = inbound.text
        if not data.startswith(VALUE):
            origin, _, number = data.partition(":")
            option = int(number) if number.isascii() and number.isdigit() else 0
            text = await asyncio.to_thread(picked, self._sessions, inbound, f"{self._number}:{origin}", option)
        if text is None:
            await self._quietly(self._bot.answer_callback_query(press.id, say("channels.stale"), show_alert=True))
            await self._no_longer(press, chat_id)
            return
        await self._quietly(self._bot.answer_callback_query(press.id))
        inbound = self._inbound(update, chat_id, text)
        reply = await self._turn(inbound)
        await self._no_longer(press, chat_id)
        await self._answer(inbound, reply)

    def _inbound(
        self, update: Update, chat_id: int, text: str, kind: InboundKind = "text", media: tuple[Media, ...] = ()
    ) -> Inbound:
        return Inbound(
            channel=self.name,
            message_id=f"{self._number}:{update.update_id}",
            address=str(chat_id),
            text=text,
            at=self._clock(),
            kind=kind,
            media=media,
        )

    async def _turn(self, inbound: Inbound) -> Reply:
        return await asyncio.wrap_future(self._turns.submit(inbound))

    # --- out -----------------------------------------------------------------------------------------------------

    async def _answer(self, inbound: Inbound, reply: Reply) -> None:
        """Send a reply; what Telegram does not take now is left to the ledger."""
        if not reply.text:
            return
        try:
            origin = inbound.message_id.partition(":")[2]
            await self._send(inbound.address, parts(reply), keyboard(reply, origin))
        except TemporaryFailure as trouble:
            log.warning("reply deferred", channel=self.name, code=trouble.code)
            await asyncio.to_thread(defer, self._sessions, inbound, reply, self._clock(), trouble.retry_after_s)
        except Undeliverable as trouble:
            log.warning("reply not sent", channel=self.name, code=trouble.code)
        except ChannelStopped as trouble:
            log.error("channel stopped", channel=self.name, code=trouble.code)

    async def _send(self, address: str, texts: list[str], buttons: InlineKeyboardMarkup | None) -> str:
        """Send the parts in order, the buttons under the last; its number. Raises like `push`."""
        sent = ""
        for number, text in enumerate(texts, 1):
            try:
                message = await self._bot.send_message(
                    int(address), text, reply_markup=buttons if number == len(texts) else None
                )
            except TelegramError as error:
                trouble = failure(error)
                if sent and isinstance(trouble, TemporaryFailure):
                    trouble.sure = False  # the parts before it have arrived
                raise trouble from error
            except GARBAGE as error:
                raise TemporaryFailure("garbage", sure=False) from error
            sent = str(message.message_id)
        return sent

    async def _quietly(self, work: Awaitable[Any]) -> None:  # Any: the result is of no use
        """Do what only smooths the conversation; Telegram may refuse it, for a press is soon too old."""
        try:
            await work
        except (TelegramError, *GARBAGE) as error:
            log.info("courtesy refused", channel=self.name, reason=type(error).__name__)

    def push(self, address: str, reply: Reply, key: str) -> str:
        """Send to an address. Telegram knows no key: what was sent in doubt is not sent again by itself."""
        return self._await(self._send(address, parts(reply), keyboard(reply, "")))

    def fetch(self, media: Media) -> bytes:
        """Download what was sent, up to 20 MB, from the file host alone."""
        return self._await(self._fetched(media))

    async def _fetched(self, media: Media) -> bytes:
        most = FileSizeLimit.FILESIZE_DOWNLOAD
        try:
            file = await self._bot.get_file(media.id)
        except TelegramError as error:
            raise (Undeliverable("media") if isinstance(error, BadRequest) else failure(error)) from error
        except GARBAGE as error:
            raise TemporaryFailure("garbage") from error
        if not (file.file_path or "").startswith(self._files):
            raise Undeliverable("media")
        if (file.file_size or 0) > most:
            raise Undeliverable("too-big")
        content = b""
        try:
            async with (
                asyncio.timeout(PATIENCE_S),
                httpx.AsyncClient(timeout=10) as client,
                client.stream("GET", str(file.file_path)) as answer,
            ):
                if answer.status_code != 200:
                    raise Undeliverable("media")
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > most:
                        raise Undeliverable("too-big")
        except (httpx.HTTPError, TimeoutError) as error:
            raise TemporaryFailure("network") from error
        return content


def account(chosen: Chosen) -> tuple[str, str]:
    """The bot's name and where its updates go, asked of Telegram now. Raises TemporaryFailure or ChannelStopped."""

    async def ask() -> tuple[str, str]:
        async with Bot(chosen.token, base_url=f"{chosen.api_base.rstrip('/')}/bot") as bot:
            return bot.username, (await bot.get_webhook_info()).url

    try:
        return asyncio.run(ask())
    except TelegramError as error:
        raise failure(error) from error
    except GARBAGE as error:
        raise TemporaryFailure("garbage") from error
