"""The coming week's reminders at the console: who, when and why; what is held; sending off and on."""

import html
import re
import uuid
from contextlib import closing
from pathlib import Path

import httpx

from storage.db import sqlite_driver
from tests.console import signed_in, token_of

PAGE = "/console/reminders"


def words(page: str) -> str:
    """What somebody reads on a page, without its spaces."""
    return html.unescape(re.sub(r"<[^>]+>|\s", "", page.split("<main")[-1]))


def test_the_week_ahead_with_its_reasons(desk_site: str) -> None:
    with httpx.Client(base_url=desk_site, timeout=30) as chat:
        for text in ("我是样例乙", "提醒我4月28日给县局打电话"):
            chat.post("/chat", json={"message_id": uuid.uuid4().hex, "text": text})
    with signed_in(desk_site, "样例子") as officer, signed_in(desk_site, "样例庚") as head:
        page = officer.get(PAGE).text
        said = words(page)
        assert "4月25日（周六）休息日，不发提醒" in said  # 4月26日, a Sunday, is made up for
        assert re.search(r"4月26日（周日）\d+条，09:\d\d", said)
        assert "县级经办人1人（涉1个县）商办建函〔2020〕144号三（一）：到期前30天秦安县3号事项" in said
        assert "本人设置的提醒（内容只有本人可见）" in said and "给县局打电话" not in said
        assert "样例庚提醒2020-04-2310:00" in said
        assert head.get(PAGE).status_code == 404
    with signed_in(desk_site, "样例寅") as hotline:
        assert hotline.get(PAGE).status_code == 404


def test_sending_is_switched_off_and_on_with_a_reason(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        form = {"csrf": token_of(officer.get(PAGE).text), "from": "reminders", "on": "no", "reason": " "}
        assert "请写明原因" in officer.post("/console/system/sending", data=form).text
        off = words(officer.post("/console/system/sending", data=form | {"reason": "平台检修"}).text)
        assert "已停止一切消息发送" in off and "恢复前不发提醒" in off and "原因：平台检修" in off
        on = words(officer.post("/console/system/sending", data=form | {"on": "yes", "reason": "检修完毕"}).text)
        assert "消息发送：正常" in on and "恢复前不发提醒" not in on
        assert "平台检修" in officer.get("/console/audit", params={"action": "sending"}).text


def test_what_is_held_goes_out_on_a_persons_word(desk_site: str, desk_folder: Path) -> None:
    with signed_in(desk_site, "样例丑") as approver:
        form = {"csrf": token_of(approver.get(PAGE).text)}
        assert "没有搁置的提醒" in approver.post(f"{PAGE}/release", data=form).text
        with closing(sqlite_driver().connect(desk_folder / "data" / "demo" / "countydesk.db")) as database:
            database.execute(
                "INSERT INTO switch (key, value, reason, at) VALUES ('reminders', 'held', '停机两天，58人有积压', ?)",
                ("2020-04-24 02:00:00.000000",),
            )
            database.commit()
        held = words(approver.get(PAGE).text)
        assert "提醒已搁置，待确认停机两天，58人有积压" in held
        assert "已放行" in approver.post(f"{PAGE}/release", data=form | {"drop": "yes"}).text
        assert "已搁置" not in words(approver.get(PAGE).text)
        assert "省级审核人" in approver.get("/console/audit", params={"action": "reminders.release"}).text
