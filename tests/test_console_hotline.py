"""The hotline's desk over HTTP: the call log, passing on, the answer that comes back, phones for a reason."""

import re

from tests.console import signed_in, token_of

QUESTION = "每个站点补贴的发放要几个人签字"


def test_a_call_from_the_first_key_to_the_answer(desk_site: str) -> None:
    with signed_in(desk_site, "样例寅") as seat, signed_in(desk_site, "样例子") as officer:
        page = seat.get("/console/hotline").text
        assert "举报电话0931-0000000" in page
        form = {"csrf": token_of(page), "phone": "139 0000 0002", "question": "每个"}
        begun = seat.post("/console/hotline/calls/new", data=form).json()
        number = begun["id"]
        card = seat.get(f"/console/hotline/calls/{number}/caller").text
        assert "样例乙" in card and "秦安县" in card and "两个村级站点停运" in card
        seat.post(f"/console/hotline/calls/{number}", data=form | {"question": QUESTION, "outcome": ""})
        assert "请选择结果" in seat.post(f"/console/hotline/calls/{number}/finish", data=form).text
        again = seat.get("/console/hotline", params={"call": number}).text
        assert QUESTION in again and "13900000002" not in again and "139****0002" in again
        assert "未结束" in again
        passed = form | {"question": QUESTION, "outcome": "转问"}
        seat.post(f"/console/hotline/calls/{number}", data=passed)
        assert "已结束（转问）" in seat.post(f"/console/hotline/calls/{number}/finish", data=passed).text

        assert officer.get(f"/console/hotline/calls/{number}/caller").status_code == 404  # another's desk
        open_ones = officer.get("/console/questions").text
        found = re.search(rf'href="/console/questions/(\d+)">{QUESTION}', open_ones)
        assert found is not None and "秦安县" in open_ones
        one = officer.get(f"/console/questions/{found[1]}").text
        answer = {
            "csrf": token_of(one), "text": "文件没有规定签字人数，由县级主管部门按财务制度确定。",
            "clause": "144-2020 附件1-6.1", "quote": "不是原文",
        }  # fmt: skip
        wrong = officer.post(f"/console/questions/{found[1]}", data=answer).text
        assert 'role="alert"' in wrong and "不是原文" in wrong
        clause = re.search(r'id="附件1-6\.1".*?</', officer.get("/notice/144-2020").text, re.DOTALL)
        assert clause is not None
        answer["quote"] = "资产"
        done = officer.post(f"/console/questions/{found[1]}", data=answer)
        assert "已答复" in done.text and re.search(r"/console/knowledge/drafts/own-\d+$", str(done.url))
        assert QUESTION in done.text and "文件没有规定签字人数" in done.text and "须由另一人审核" in done.text
        assert QUESTION not in officer.get("/console/questions").text
        told = seat.get("/console/hotline").text
        assert "已有答复，请回电" in told and "文件没有规定签字人数" in told


def test_a_county_sees_nothing_of_calls(desk_site: str) -> None:
    with signed_in(desk_site, "样例庚") as head:
        for path in ("/console/hotline", "/console/contacts", "/console/questions", "/console/hotline/calls/1/caller"):
            assert head.get(path).status_code == 404


def test_a_phone_is_shown_for_a_reason_and_noted(desk_site: str) -> None:
    with signed_in(desk_site, "样例寅") as seat, signed_in(desk_site, "样例子") as officer:
        page = seat.get("/console/contacts", params={"q": "秦安"}).text
        assert "139****0002" in page and "13900000002" not in page
        number = re.search(r'action="/console/contacts/(\d+)"', page)
        assert number is not None
        form = {"csrf": token_of(page), "reason": " "}
        assert "须写明原因" in seat.post(f"/console/contacts/{number[1]}", data=form).text
        shown = seat.post(f"/console/contacts/{number[1]}", data=form | {"reason": "回电答复"}).text
        assert "13900000002" in shown
        assert "回电答复" in officer.get("/console/audit", params={"action": "see_phone"}).text


def test_who_cannot_be_reached_is_called_and_how_it_ended_is_noted(desk_site: str) -> None:
    with signed_in(desk_site, "样例寅") as seat, signed_in(desk_site, "样例丑") as approver:
        page = seat.get("/console/hotline").text
        assert "古浪县3号事项" in page and "13900000004" not in page
        task = re.search(r"古浪县</th>.*?(/console/hotline/tasks/\d+)", page, re.DOTALL)
        assert task is not None
        form = {"csrf": token_of(page)}
        shown = seat.post(task[1], data=form).text
        assert "13900000004" in shown and "致电古浪县" in shown
        assert seat.get("/console/audit").status_code == 404
        assert "待拨电话#" in approver.get("/console/audit", params={"action": "see_phone"}).text
        again = seat.post(f"{task[1]}/outcome", data=form | {"outcome": "无人接听"}).text
        assert "仍在待拨之列" in again and "1次" in again and task[1] in again
        assert seat.post(f"{task[1]}/outcome", data=form | {"outcome": "说好了"}).status_code == 404
        assert "相应消息不再发送" in seat.post(f"{task[1]}/outcome", data=form | {"outcome": "已告知"}).text
        after = seat.get("/console/hotline").text
        assert task[1] not in after and ">古浪县</th>" not in after  # nor is an older call to it left
        page = approver.get("/console/hotline").text
        assert 'id="tasks"' not in page
        assert approver.post(task[1], data={"csrf": token_of(page)}).status_code == 404
