"""What the WeChat tests share: the account's keys, words, and a look at what was stored."""

import secrets
from typing import Any

from bot.channels import wechat, wechat_api
from bot.messages import Reply
from storage import deliveries
from storage.db import make_engine, make_sessions, transaction
from tests.fakes import crypto
from tests.fakes.server import Site
from tests.fakes.wechat import APP, SECRET, TOKEN, Follower, WechatServer

HOOK = "/channels/wechat"
QUESTION, CONCLUSION = "专项资金能不能给站长发工资", "不可以（仅指中央财政资金）"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"\x00" * 400


def keys(fake: WechatServer) -> dict[str, Any]:
    return {
        "wechat__app_id": APP,
        "wechat__app_secret": SECRET,
        "wechat__token": TOKEN,
        "wechat__aes_key": crypto.AES_KEY,
        "wechat__api_base": fake.base,
        "wechat__template_id": "template-1",
        "wechat__template_fields": ("thing1", "thing2"),
    }


def exchanges(desk: Site) -> int:
    return int(desk.query("SELECT count(*) FROM exchange")[0][0])


def owe(desk: Site, me: Follower, text: str) -> None:
    """Let something wait for the follower's next message; with `skipped` the ledger does not push it before."""
    engine = make_engine(f"sqlite:///{desk.database}")
    now = wechat.datetime.now(wechat.UTC)
    with transaction(make_sessions(engine)) as db:
        made = deliveries.put(
            db, source=f"test:{secrets.token_hex(4)}", recipient=f"wechat:{me.openid}", lane="reply",
            reply=Reply(text=text).to_json(), why="", now=now,
        )  # fmt: skip
        assert made is not None
        made.state, made.code = "failed", deliveries.NO_CHANNEL
    engine.dispose()


Fresh = tuple[WechatServer, wechat_api.Api]
TEXT = {"touser": "o1", "client_msg_id": "1"}
