"""A county's fortnight over real HTTP on WeChat and WeCom, with a driven clock, on both databases.

A digest on each working day that calls for one, 为什么, 稍后提醒, a submission that stops it, a colleague whom no channel
reaches and who becomes a call.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from bot.workdays import LOCAL
from storage import bindings, bodies, items, people
from storage.db import make_engine, make_sessions, transaction
from storage.scope import SYSTEM, serving
from tests.channels.test_contract import WechatSide, WecomSide
from tests.fakes.server import Site, running
from tests.reminding import TICKS, local


class County:
    """秦安县 from 2020-05-06: a clerk on WeChat, the head, the province and the hotline on WeCom, one whom none reaches."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.now = url, folder, local("2020-05-06 08:00")
        self.wechat, self.wecom = WechatSide(), WecomSide()
        self.sent: list[tuple[datetime, str, str]] = []

    def settings(self) -> dict[str, object]:
        return {
            **self.wechat.settings(), **self.wecom.settings(), "wechat__template_id": "t",
            "wechat__template_fields": ["thing1", "thing2", "thing3", "thing4"], "database__url": self.url,
            "sending__enabled": False,
        }  # fmt: skip

    def people(self, site: Site) -> None:
        self.site = site
        self.clerk, self.head, self.hotline = (
            self.wechat.someone(site), self.wecom.someone(site), self.wecom.someone(site),
        )  # fmt: skip
        keys = self.folder / "data" / "keys"
        engine = make_engine(self.url)
        sessions = make_sessions(engine, (keys / "data.key").read_bytes(), (keys / "audit.key").read_bytes())
        with transaction(sessions) as db, serving(db, SYSTEM):
            body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2018])
            for name, role, channel, address in (
                ("样例甲", "county_officer", "wechat", self.clerk),
                ("样例戊", "county_officer", "", ""),
                ("样例乙", "county_head", "wecom", self.head),
                ("样例寅", "hotline", "wecom", self.hotline),
            ):
                place = {"division_code": "620000"} if role == "hotline" else {"body_id": body.id}
                one, _ = people.find_or_add(db, name=name, now=self.now, phone="13900000009" if not channel else "")
                people.give_role(db, one, role, now=self.now, **place)  # type: ignore[arg-type]  # one of the two
                if channel:
                    bindings.bind(db, one, channel, address, self.now)
            for number, due in (("1", "2020-05-13"), ("2", "2020-05-20"), ("3", "2020-05-15")):
                made = items.add(
                    db, body, self.now, batch_year=2018, number=number, source="绩效评价", category="站点",
                    problem="站点停运", kind="立行立改", due_on=date.fromisoformat(due),
                )  # fmt: skip
                made = items.apply(db, made.id, 1, "issue", {"due_on": due}, self.now)
                items.apply(db, made.id, made.version, "acknowledge", {"measure": "限期恢复营业"}, self.now)
        engine.dispose()

    def pushed(self) -> list[tuple[str, str]]:
        """Everything that reached somebody unasked, on either platform."""
        found = [(one["touser"], one["text"]["content"]) for one in self.wechat.server.custom]
        found += [
            (one["touser"], "\n".join(field["value"] for field in one["data"].values()))
            for one in self.wechat.server.templates
        ]
        for who in (self.head, self.hotline):
            member = self.wecom.server.members[who]
            found += [
                (who, text) for text in (*member.texts, *(json.dumps(one, ensure_ascii=False) for one in member.cards))
            ]
        return found

    def tick(self) -> None:
        before = self.pushed()
        self.site.state.jobs.plan()
        self.site.state.dispatcher.drain()
        left = list(self.pushed())
        for one in before:
            left.remove(one)
        self.sent += [(self.now, who, text) for who, text in left]

    def until(self, text: str) -> None:
        end = local(text)
        while self.now < end:
            today = self.now.astimezone(LOCAL).date()
            later = [at for at in (local(f"{today} {tick}") for tick in TICKS) if at > self.now]
            self.now = min(later[0] if later else local(f"{today + timedelta(days=1)} {TICKS[0]}"), end)
            self.tick()

    def say(self, text: str) -> str:
        self.now += timedelta(seconds=20)
        return self.wechat.send(self.clerk, text)

    def tell(self, who: str, text: str) -> str:
        self.now += timedelta(seconds=20)
        before = len(self.wecom.server.members[who].cards)
        return self.wecom.send(who, text) or json.dumps(
            self.wecom.server.members[who].cards[before:], ensure_ascii=False
        )

    def days(self, who: str) -> list[str]:
        return [f"{at.astimezone(LOCAL):%m-%d}" for at, whom, text in self.sent if whom == who and "提醒，共" in text]

    def close(self) -> None:
        self.wechat.close()
        self.wecom.close()


@pytest.fixture
def county(url: str, sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[County]:
    made = County(url, tmp_path)
    with running(tmp_path, lambda: made.now, **made.settings()) as site:
        made.people(site)
        yield made
    made.close()


def test_a_fortnight_of_a_county(county: County) -> None:
    county.until("2020-05-06 10:00")
    assert county.days(county.clerk) == ["05-06"], "by template: the clerk has not written yet"
    assert "编号1" in county.say("1"), "the number opens the item"

    call = county.tell(county.hotline, "待拨电话")
    assert "1个县" in call and "秦安县" in call
    shown = county.tell(county.hotline, "1")
    assert "样例戊" in shown and "13900000009" in shown and "1号事项" in shown
    assert "已告知" in county.tell(county.hotline, "1")
    assert "没有待拨电话" in county.tell(county.hotline, "待拨电话")

    county.until("2020-05-08 10:00")
    assert county.days(county.clerk) == ["05-06", "05-08"], "item 3, T-7"
    reason = county.say("为什么")
    assert "省级下发的整改时限5月15日（周五）" in reason and "商办建函〔2020〕144号三（一）" in reason
    assert "推迟到" in county.say("稍后提醒") and "5月9日（周六）" in county.say("1")

    county.until("2020-05-09 20:00")
    assert county.days(county.clerk)[2:] == ["05-09"], "what was put off and item 1, T-3, in one: a Saturday made up"
    assert "1号" in county.say("1号改完了") or "材料" in county.say("材料已经在县局存档，照片已传")
    county.say("材料已经在县局存档，照片已传")
    assert "待分管负责人确认" in county.say("确认")
    assert "请您确认" in county.tell(county.head, "待我确认")
    assert "销号待审" in county.tell(county.head, "1") + county.tell(county.head, "确认")

    county.until("2020-05-20 20:00")
    assert county.days(county.clerk)[3:] == [
        "05-12",
        "05-13",
        "05-14",
        "05-15",
        "05-15",
        "05-18",
        "05-19",
        "05-20",
        "05-20",
    ]
    after = [text for at, who, text in county.sent if who == county.clerk and at > local("2020-05-10 00:00")]
    assert not [text for text in after if "1号事项" in text], "submitted: no more of it"
    assert county.days(county.head) == ["05-20"], "item 3 is three working days overdue"
    for at, _, text in county.sent:
        assert f"{at.astimezone(LOCAL):%H:%M}" in ("09:45", "15:10") or "提醒，共" not in text
    calls = county.tell(county.hotline, "待拨电话")
    assert calls.count("秦安县") == 1
