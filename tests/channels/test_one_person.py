"""One person bound on WeChat, WeCom and the web, over HTTP: what is said on one is known on the others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels.test_contract import WechatSide, WecomSide
from tests.channels.test_day import WebSide, invited
from tests.fakes.server import Site, running


class Person:
    """Somebody with three ways in."""

    def __init__(self, site: Site, wechat: WechatSide, wecom: WecomSide, web: WebSide) -> None:
        sides = (wechat, wecom, web)
        self.ways = {side.name: (side, side.someone(site)) for side in sides}
        for name in self.ways:
            assert "样例甲" in self.say(name, f"绑定 {invited(site)}")
            assert "秦安县" in self.say(name, "1")

    def say(self, name: str, text: str) -> str:
        side, address = self.ways[name]
        return side.send(address, text)


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    wechat, wecom, web = WechatSide(), WecomSide(), WebSide()
    with running(tmp_path, **wechat.settings(), **wecom.settings()) as site:
        yield Person(site, wechat, wecom, web)
        for side in (wechat, wecom, web):
            side.close()


def test_facts_options_and_forms_follow_a_person_from_channel_to_channel(person: Person) -> None:
    assert "资金拨付率92%" not in person.say("web", "二次申报要什么条件")
    person.say("wechat", "拨付率92%能二次申报吗")
    for name in ("web", "wecom"):
        assert "按您提供的情况：资金拨付率92%" in person.say(name, "二次申报要什么条件")
    assert "未达到" in person.say("web", "拨付率85%能二次申报吗")
    assert "92%" in person.say("wechat", "不对，是92%")

    assert "2. 验收条件" in person.say("wechat", "菜单")
    assert "90%" in person.say("wecom", "2")
    assert "2. 验收条件" in person.say("web", "菜单")
    assert "90%" in person.say("wechat", "验收条件")

    assert "下达多少" in person.say("wechat", "填报资金")
    assert "已拨付多少" in person.say("web", "1000")
    assert "已使用" in person.say("wecom", "920")
    assert "已拨付多少" in person.say("wechat", "返回")
    assert "已取消“填报资金”" in person.say("web", "取消")
    assert "下达多少" in person.say("wecom", "填报资金")


def test_one_who_unbinds_a_channel_keeps_the_others(person: Person) -> None:
    person.say("wechat", "拨付率92%能二次申报吗")
    person.say("web", "解绑")
    person.say("web", "1")
    assert "须先绑定" in person.say("web", "我的")
    assert "资金拨付率92%" not in person.say("web", "二次申报要什么条件")
    assert "资金拨付率92%" in person.say("wecom", "二次申报要什么条件")
    assert "样例甲" in person.say("wechat", "我的信息")
