"""The way from a bound channel to the console: a link that signs in once."""

from bot.dialogue import Route
from bot.messages import Link, Reply, Turn
from bot.texts import say
from storage import visits


def open_console(turn: Turn) -> Reply:
    """A link to the console for the one who asks."""
    assert turn.user is not None  # a member's route
    base = turn.given.get("base_url", "")
    if not base and turn.inbound.channel != "web":
        return Reply(text=say("console.no_page"), route="console")
    token = visits.ticket(turn.db, turn.user.id, turn.now)
    minutes = visits.TICKET_LASTS.seconds // 60
    link = Link(label=say("console.link"), url=f"{base}/console/in/{token}")
    return Reply(text=say("console.open", minutes=minutes), links=(link,), route="console")


ROUTES = [
    Route(
        name="console",
        pattern=r"(?:打开|进入|登录)?(?:工作台|坐席台|后台)",
        run=open_console,
        member=True,
        examples=("工作台", "登录工作台"),
    ),
]
