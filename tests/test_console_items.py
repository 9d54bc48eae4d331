"""Items and funds at the console over HTTP: lists, acts with their guards, batches, workbooks."""

import io
import re
from collections.abc import Iterator

import httpx
import pytest
from openpyxl import load_workbook

from tests.conftest import serve
from tests.console import signed_in, token_of


@pytest.fixture(scope="module")
def desk_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serve(tmp_path_factory.mktemp("console"), "--demo")


def numbers(page: str) -> list[str]:
    """The ids of the listed items."""
    return re.findall(r'href="/console/items/(\d+)"', page)


def send(client: httpx.Client, number: str, event: str, **said: str) -> str:
    """Do something with an item as its page would."""
    page = client.get(f"/console/items/{number}").text
    version = re.search(r'name="version" value="(\d+)"', page)
    form = {"csrf": token_of(page), "version": version[1] if version else "0", **said}
    return client.post(f"/console/items/{number}/{event}", data=form).text


def test_a_review_with_two_signatures(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer, signed_in(desk_site, "样例丑") as approver:
        page = officer.get("/console/items", params={"state": "submitted"}).text
        [number] = numbers(page)
        value = re.search(r'name="item\[\]" value="([\d:]+)"', page)
        assert value is not None
        form = {"csrf": token_of(page), "event": "claim", "item[]": value[1]}
        assert "已办1项" in officer.post("/console/items", data=form).text
        assert "未办1项" in officer.post("/console/items", data=form).text  # the version that the list showed is past
        assert "请把必填的内容填完整" in send(officer, number, "propose", method="材料审核", finding=" ")
        again = send(officer, number, "propose", method="现场考察", finding="材料齐全", record="去过了")
        assert "请写明考察的日期" in again  # and what was written stands there to be mended
        assert (
            "<option selected>现场考察" in again
            and again.count("材料齐全</textarea>") == again.count("去过了</textarea>") == 1
        )
        assert "提请销号" in send(officer, number, "propose", method="材料审核", finding="材料齐全")
        assert officer.post(f"/console/items/{number}/close", data={"csrf": token_of(page)}).status_code == 200
        assert "待签批" in officer.get(f"/console/items/{number}").text  # whoever reviewed does not sign
        assert "已销号" in send(approver, number, "close")
        trail = approver.get(f"/console/items/{number}").text
        assert "材料齐全" in trail and "签批销号" in trail
        assert send(officer, number, "reopen", check="回头看", method="材料审核", finding="不实", due_on="2020-01-01")
        assert "日期应晚于今天" in send(
            officer, number, "reopen", check="回头看", method="材料审核", finding="不实", due_on="2020-01-01"
        )


def test_a_county_sees_and_does_its_own(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        everything = set(numbers(officer.get("/console/items").text))
        money = officer.get("/console/funds").text
        county = officer.get(re.findall(r"/console/bodies/\d+", money)[0]).text
        assert "1,500.00" in county and "E+" not in county and "<dd>是" in county and "yes" not in county
        assert 'late">88.00%' in money and "<span>90.00%" in money  # 90 % is not below 90 %
    with signed_in(desk_site, "样例庚") as head:
        page = head.get("/console/items").text
        own = set(numbers(page))
        assert own and own < everything and "清水县" not in page
        for foreign in everything - own:
            assert head.get(f"/console/items/{foreign}").status_code == 404
            assert head.post(f"/console/items/{foreign}/agree", data={"csrf": token_of(page)}).status_code == 404
        assert "清水县" not in head.get("/console/funds").text
        ledger = load_workbook(io.BytesIO(head.get("/console/items/export.xlsx").content)).worksheets[0]
        assert "清水县" not in str(list(ledger.values))
        [waiting] = numbers(head.get("/console/items", params={"q": "3"}).text)
        assert "已申请销号" in send(head, waiting, "agree") or "销号待审" in head.get(f"/console/items/{waiting}").text
        assert head.get("/console/items/template.xlsx").status_code == 404


def test_a_list_is_checked_before_it_is_kept(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        page = officer.get("/console/items").text
        book = load_workbook(io.BytesIO(officer.get("/console/items/template.xlsx").content))
        sheet = book.worksheets[0]
        titles = {str(cell.value): cell.column for row in sheet.iter_rows(max_row=6) for cell in row if cell.value}
        first = next(number for number in range(1, 5000) if not sheet.cell(row=number, column=1).value)
        row = {
            "编号": "90", "实施主体": "秦安县（620522）", "示范年度": "2016", "问题来源": "日常检查", "类别": "站点",
            "问题描述": "站点没有公开联系电话（控制台导入）", "整改类型": "立行立改", "整改标准": "公开联系电话", "责任单位": "秦安县电商办",
        }  # fmt: skip
        for title, value in row.items():
            [column] = [place for name, place in titles.items() if name.rstrip("*") == title]
            sheet.cell(row=first, column=column, value=value)
        data = io.BytesIO()
        book.save(data)
        files = {"file": ("清单.xlsx", data.getvalue(), "application/octet-stream")}
        form = {"csrf": token_of(page)}
        looked = officer.post("/console/items/import", data=form, files=files).text
        assert "将新增1行" in looked and "还没有保存" in looked, looked
        assert "控制台导入" not in officer.get("/console/items").text
        added = officer.post("/console/items/import", data=form | {"sure": "yes"}, files=files)
        assert "已导入：新增1行" in added.text and "控制台导入" in officer.get("/console/items?state=draft").text
        undone = officer.post(added.url, data=form)
        assert "已撤销导入，删去1项" in undone.text and "控制台导入" not in officer.get("/console/items").text
        assert officer.get(added.url).status_code == 404
        again = officer.post("/console/items/import", data=form | {"sure": "yes"}, files=files)
        [number] = numbers(officer.get("/console/items?state=draft&q=控制台导入").text)
        with signed_in(desk_site, "样例丑") as approver:
            send(approver, number, "issue", due_on="2020-06-30")
        kept = officer.post(again.url, data=form).text
        assert "不能撤销：90已下发" in kept and "控制台导入" in officer.get("/console/items").text
        broken = officer.post("/console/items/import", data=form, files={"file": ("a.xlsx", b"PK nothing", "x")}).text
        assert 'role="alert"' in broken
        assert "请选择5MB以内" in officer.post("/console/items/import", data=form, files={"file": ("", b"", "x")}).text
