"""Menu, help, the list of notices, and the hand-over to a person."""

from bot.dialogue import Route
from bot.messages import Link, Option, Reply, Turn
from bot.texts import say

_MENU = (
    ("能不能花", "能不能花"),
    ("验收条件", "验收要满足什么条件"),
    ("二次申报", "二次申报要什么条件"),
    ("标识要求", "项目标识有什么要求"),
    ("整改时限", "问题整改什么时候完成"),
    ("全部文件", "全部文件"),
)

# The account's own menu: a button's label and the words that it stands for.
ACCOUNT_MENU = {
    "查政策": (
        ("能不能花", "能不能花"),
        ("验收条件", "验收要满足什么条件"),
        ("二次申报", "二次申报要什么条件"),
        ("标识要求", "项目标识有什么要求"),
        ("全部文件", "全部文件"),
    ),
    "办整改": tuple((words, words) for words in ("我的事项", "报进展", "传材料", "申请销号", "本县情况")),
    "我的": (
        ("我的通知", "我的通知"),
        ("提醒设置", "提醒设置"),
        ("绑定单位", "绑定"),
        ("咨询热线", "咨询热线"),
        ("帮助", "帮助"),
    ),
}


def menu(turn: Turn) -> Reply:
    """The numbered menu; whoever is bound also finds the rectification items, the checks and the broadcasts there."""
    offered: tuple[tuple[str, str], ...] = _MENU
    if turn.user is not None:
        offered = (*_MENU, *ACCOUNT_MENU["办整改"], ("自查", "自查"), ("我的通知", "我的通知"))
    if turn.viewer.may("broadcast") or turn.viewer.may("approve"):
        offered = (*offered, ("通知下发", "通知下发"))
    return Reply(text=say("menu.menu"), options=tuple(Option(label=a, value=b) for a, b in offered), route="menu")


def help_(turn: Turn) -> Reply:
    """What can be done here."""
    return Reply(text=say("menu.help", province=turn.given.get("province", "")), route="help")


def human(turn: Turn) -> Reply:
    """Where to reach a person."""
    return Reply(text=say("menu.human"), route="human")


def notices(turn: Turn) -> Reply:
    """All notices with a link to each."""
    listed = turn.kb.notices
    base = turn.given.get("base_url", "")
    links = tuple(Link(label=notice.number or notice.title, url=f"{base}/notice/{notice.id}") for notice in listed)
    return Reply(text=say("menu.notices_list", notices=listed), links=links, route="notices")


def spend(turn: Turn) -> Reply:
    """Ask what the money is for."""
    return Reply(text=say("menu.spend_hint"), route="spend")


def welcome(turn: Turn) -> Reply:
    """Greet somebody who has just followed the account, with the menu."""
    text = say("menu.welcome", province=turn.given.get("province", ""))
    return Reply(text=text, options=menu(turn).options, route="welcome")


def farewell(turn: Turn) -> Reply:
    """Somebody left: nothing can be said, and an open form is closed."""
    turn.conversation.flow, turn.conversation.answers, turn.conversation.options = None, [], []
    return Reply(text="", route="event")


EVENTS = {"subscribe": welcome, "unsubscribe": farewell}
ROUTES = [
    Route(name="menu", pattern=r"菜单|主菜单|返回|取消", run=menu, examples=("菜单",)),
    Route(name="help", pattern=r"帮助|怎么用|使用说明|你能做什么", run=help_, examples=("帮助", "怎么用")),
    Route(name="human", pattern=r"人工|转人工|人工客服|咨询热线", run=human, examples=("人工",)),
    Route(name="notices", pattern=r"全部文件|有哪些文件|文件清单", run=notices, examples=("全部文件",)),
    Route(name="spend", pattern=r"能不能花|负面清单查询", run=spend, examples=("能不能花",)),
]
