"""Broadcasts at the console over HTTP: written with the audience counted, signed by two, sent, accounted for, corrected."""

import html
import io
import re
from typing import Any

import httpx
from openpyxl import load_workbook
from PIL import Image

from tests.console import signed_in, token_of

LIST = "/console/broadcasts"


def words(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.split("<main")[-1]))


def send(client: httpx.Client, path: str, **form: Any) -> str:  # Any: a field's text, or all of its texts
    """Send a form of a broadcast as of the version that its page shows; the words of what comes back."""
    page = client.get(path.rpartition("/")[0] if path.rpartition("/")[2].isalpha() else path).text
    version = re.search(r'name="version" value="(\d+)"', page)
    token = token_of(client.get("/console/account").text)
    given = {"csrf": token, "version": version[1] if version else "", **form}
    return words(client.post(path, data=given).text)


DRAFT = {
    "title": "关于报送整改进度的通知", "text": "请于4月29日前报送整改进度。", "notice": "144-2020", "clauses": "三(一)",
    "condition[]": ["天水市", ""], "mode": "county", "why": "确认整改进度的报送安排", "due_on": "2020-04-29", "sending": "now",
}  # fmt: skip


def test_the_audience_is_counted_while_it_is_chosen(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        assert 'data-audience="/console/broadcasts/audience"' in officer.get(f"{LIST}/new").text
        every = officer.get(f"{LIST}/audience").text
        one = officer.get(f"{LIST}/audience", params={"condition[]": ["天水市", "2016年度", ""]}).text
        counts = [int(found[1]) for part in (every, one) if (found := re.search(r"<strong>(\d+)人", part))]
        assert len(counts) == 2 and 0 < counts[1] < counts[0]
        assert "地区为天水市" in one and "年度为2016" in one
        assert "&lt;b&gt;" in officer.get(f"{LIST}/audience", params={"condition[]": "<b>"}).text
    with signed_in(desk_site, "样例丑") as approver:
        assert approver.get(LIST).status_code == 200 and approver.get(f"{LIST}/new").status_code == 404
    with signed_in(desk_site, "样例寅") as hotline:
        assert hotline.get(LIST).status_code == 404


def test_two_people_send_a_notice_and_see_who_has_it(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer, signed_in(desk_site, "样例丑") as approver:
        wrong = send(officer, f"{LIST}/new", **DRAFT | {"title": "短", "due_on": "2020-04-24"})
        assert "没有保存" in wrong and "请于4月29日前报送整改进度。" in wrong
        kept = send(officer, f"{LIST}/new", **DRAFT)
        number = re.search(r"已存为草稿N(\d+)", kept)
        assert number is not None and "商办建函〔2020〕144号三（一）" in kept
        one = f"{LIST}/{number[1]}"
        assert "状态草稿" in send(approver, f"{one}/approve")  # nobody approves what was not submitted
        assert "待审批" in send(officer, f"{one}/submit")
        assert "退回" in send(approver, f"{one}/return", reason="标题写明年度")
        assert send(officer, f"{one}/edit", **DRAFT | {"title": "关于报送2020年整改进度的通知"}).count("2020年整改进度")
        send(officer, f"{one}/submit")
        assert "状态待审批" in send(officer, f"{one}/approve")  # nor their own
        stale = {"csrf": token_of(approver.get(one).text), "version": "1"}
        assert "没有办成" in words(approver.post(f"{one}/approve", data=stale).text)
        assert "样例丑" in send(approver, f"{one}/approve")
        page = words(officer.get(one).text)
        assert "签收（0/2，已催办0次）" in page and "清水县未签收" in re.sub(r"\s", "", page)
        with httpx.Client(base_url=desk_site, timeout=30) as chat:
            for text in ("我是样例乙", f"收到 N{number[1]}"):
                chat.post("/chat", json={"message_id": f"message {text}", "text": text}).raise_for_status()
        assert "签收（1/2" in words(officer.get(one).text) and "1/2" in words(officer.get(LIST).text)
        book = load_workbook(io.BytesIO(officer.get(f"{one}/account.xlsx").content), read_only=True)
        assert book.sheetnames == ["对账", "签收表", "送达对账单", "未列入发送"]
        rows = [*book["送达对账单"].iter_rows(min_row=2, values_only=True)]
        assert {row[4] for row in rows} <= {"网页", None, ""}
        made = send(officer, f"{one}/correct", text="请于4月30日前报送整改进度。")
        assert f"已存为草稿N{int(number[1]) + 1}" in made and "提交审批" in made  # the draft itself, to be looked at
        newer = words(officer.get(f"{LIST}/{int(number[1]) + 1}").text)
        assert f"更正N{number[1]}" in newer and "请于4月30日前" in newer and "4月29日（周三）前" in newer
        assert words(officer.get(LIST).text).count("关于报送2020年整改进度的通知") == 2
        assert officer.post(f"{one}/unheard", data={"csrf": token_of(officer.get(one).text)}).status_code == 404


def test_the_whole_province_needs_a_second_yes(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        kept = send(officer, f"{LIST}/new", **DRAFT | {"condition[]": [""], "mode": "none"})
        number = re.search(r"已存为草稿N(\d+)", kept)
        assert number is not None
        one = f"{LIST}/{number[1]}"
        assert "将发给全省" in send(officer, f"{one}/submit")
        assert "待审批" in send(officer, f"{one}/submit", sure="yes")
        assert f"N{number[1]}" not in send(officer, f"{one}/drop").split("签收期限")[-1]


def test_a_file_sent_with_the_form_is_handed_out_to_the_recipients(desk_site: str) -> None:
    image, page = io.BytesIO(), "附件一.png"
    Image.new("RGB", (4, 4), "red").save(image, "PNG")
    sent = image.getvalue()
    with signed_in(desk_site, "样例子") as officer, signed_in(desk_site, "样例丑") as approver:

        def post(path: str, *files: tuple[str, bytes], **form: Any) -> str:
            given = {"csrf": token_of(officer.get(f"{LIST}/new").text), **DRAFT, **form}
            named = [("upload[]", (name, data, "image/png")) for name, data in files]
            return officer.post(path, data=given, files=named).text

        refused = post(f"{LIST}/new", (page, sent), ("宏.docx", b"MZ program"), ("空.pdf", b""), title="附有表样的通知")
        assert "附件“宏.docx”没有收下：只收照片" in words(refused) and "附件“空.pdf”没有收下" in words(refused)
        ticked = re.search(rf'value="(\d+)" checked> {page}', refused)
        assert ticked is not None  # nothing that was taken has to be sent again
        kept = post(f"{LIST}/new", title="附有表样的通知", **{"files[]": ticked[1]})
        number = re.search(r"已存为草稿N(\d+)", words(kept))
        assert number is not None and f"附件：{page}" in words(kept)
        one = f"{LIST}/{number[1]}"
        assert approver.get(f"{one}/files/1").content == sent
        assert approver.get(f"{one}/files/2").status_code == 404
        version = re.search(r'name="version" value="(\d+)"', kept)
        assert version is not None and f"checked> {page}" in officer.get(f"{one}/edit").text
        assert page not in words(post(f"{one}/edit", version=version[1]))
        more = post(f"{one}/edit", (page, sent), ("二.png", sent + b"2"), version=str(int(version[1]) + 1))
        assert words(more).count("附件") and f"{page}、二.png" in words(more)
        send(officer, f"{one}/submit")
        send(approver, f"{one}/approve")
        with httpx.Client(base_url=desk_site, timeout=30, follow_redirects=True) as chat:
            for text in ("我是样例乙", f"通知 N{number[1]}"):
                reply = chat.post("/chat", json={"message_id": f"files {text}", "text": text}).json()["reply"]
            assert f"附件：{page}、二.png" in reply["text"] and "下载附件" in reply["links"][0]["label"]
            shown = chat.get(reply["links"][0]["url"]).text
            links = re.findall(r'href="(/f/n/[^"]+)">([^<]+)</a>', shown)
            assert [name for _, name in links] == [page, "二.png"]
            assert chat.get(links[0][0]).content == sent
