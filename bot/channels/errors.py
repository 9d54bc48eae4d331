"""What an error code of WeChat or WeCom means for us: one table, used wherever their APIs are called.

Sources: 全局返回码 of 公众号 and 企业微信; `wechatpy.constants.WeChatErrorCode` names the older ones.
"""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import structlog

from bot.messages import ChannelStopped, TemporaryFailure, Undeliverable

Behaviour = Literal["already", "retry", "slower", "tomorrow", "token", "elsewhere", "gone", "ours", "stop"]

ERRORS: Mapping[int, Behaviour] = {
    -1: "retry",  # busy, and it may have been done all the same
    40001: "token",  # also a wrong AppSecret: then the second try stops the channel
    40014: "token",
    42001: "token",
    45009: "tomorrow",  # the day's quota is used up
    45011: "slower",  # too many in this minute
    45066: "slower",
    45033: "slower",  # WeCom: too many at once
    45065: "already",  # the same key was sent before
    45015: "elsewhere",  # the 48 hours are over
    45047: "elsewhere",  # too many since the person last wrote
    43101: "elsewhere",  # the person has not agreed to this kind of message
    40007: "elsewhere",  # the media id is unknown or older than three days
    81013: "elsewhere",  # WeCom: none of the recipients may use this application
    40003: "gone",  # no such openid
    43004: "gone",  # does not follow the account any more
    50002: "gone",  # the account of the person is frozen
    60111: "gone",  # WeCom: no such member
    45002: "ours",  # too long
    45008: "ours",
    47001: "ours",  # not the expected form
    47003: "ours",
    40037: "ours",  # no such template
    40058: "ours",
    40013: "stop",  # no such app id
    40125: "stop",  # a wrong secret
    40164: "stop",  # our address is not on the allow-list
    61004: "stop",
    60020: "stop",
    40056: "stop",  # WeCom: no such agent
    301002: "stop",
    48001: "stop",  # the account may not use this API
    48002: "stop",
    48004: "stop",
    50001: "stop",
    89503: "stop",  # an administrator must confirm our address
}
REMEDIES: Mapping[int, str] = {
    40001: "check app_secret",
    40013: "check app_id or corp_id",
    40125: "check app_secret or secret",
    40164: "add this server's address to the IP allow-list",
    61004: "add this server's address to the IP allow-list",
    60020: "add this server's address to the trusted IPs of the application",
    89503: "an administrator of the account must confirm this server's address",
}
_LOCAL = ZoneInfo("Asia/Shanghai")
_MIDNIGHT_PAST = time(0, 10)  # the platforms reset their quotas at midnight
log = structlog.get_logger()


def behaviour(code: int) -> Behaviour:
    """What to do about a code; one that is not in the table is taken for a fault of ours."""
    return ERRORS.get(code, "ours")


def fail(code: int, now: datetime) -> None:
    """Raise what a code means; return when what was asked for had been done already.

    Raises TemporaryFailure, Undeliverable or ChannelStopped. A token's code comes here after its one retry.
    """
    what, name = behaviour(code), str(code)
    if what == "already":
        return
    if what in ("retry", "slower"):
        raise TemporaryFailure(name, retry_after_s=60 if what == "slower" else 0, sure=what == "slower")
    if what == "tomorrow":
        raise ChannelStopped(name, "the day's quota is used up", retry_after_s=_until_tomorrow(now))
    if what in ("token", "stop"):
        raise ChannelStopped(name, REMEDIES.get(code, "the platform refuses this account"), retry_after_s=600)
    if what == "ours":
        log.error("platform refused a message", code=code)
    raise Undeliverable(name, gone=what == "gone")


def _until_tomorrow(now: datetime) -> float:
    """Seconds until ten past midnight in China."""
    local = now.astimezone(_LOCAL)
    return (datetime.combine(local.date() + timedelta(days=1), _MIDNIGHT_PAST, _LOCAL) - local).total_seconds()
