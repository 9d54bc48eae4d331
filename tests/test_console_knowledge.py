"""The knowledge at the console over HTTP: read, imported, confirmed, published by two people, and back again."""

import html
import re

import httpx

from tests.console import signed_in, token_of
from tests.fakes.server import until
from tests.importing.support import SAMPLES, load_sample
from tests.importing.test_superseding import NEW

CALL = "\n".join(next(load_sample(path) for path in SAMPLES if path.stem == "call").lines)
EDITIONS = "/console/knowledge/editions"
IMPORT = "/console/knowledge/import"


def send(client: httpx.Client, path: str, **form: str) -> str:
    """Send a form as its page would; the words of what comes back."""
    token = token_of(client.get("/console/account").text)
    answer = client.post(path, data={"csrf": token, **form}, timeout=120)
    return html.unescape(re.sub(r"<[^>]+>", "", answer.text.split("<main")[-1]))


def test_the_lists_and_their_search(desk_site: str) -> None:
    with signed_in(desk_site, "样例寅") as hotline:
        page = hotline.get("/console/knowledge").text
        counts = dict(re.findall(r'/console/knowledge/(\w+)">(\d+)</a>', page))
        assert set(counts) == {"notices", "clauses", "entries", "rules", "expenses", "unanswered", "synonyms"}
        assert "问得最多" in page and "每个站点补多少钱" in page and IMPORT not in page
        for kind, count in counts.items():
            first = hotline.get(f"/console/knowledge/{kind}").text
            assert first.count('<th scope="row">') == min(int(count), 50), kind
            assert ("下一页" in first) == (int(count) > 50), kind
        second = hotline.get("/console/knowledge/synonyms", params={"page": 2}).text
        assert "第2页" in second and second != hotline.get("/console/knowledge/synonyms").text
        found = hotline.get("/console/knowledge/clauses", params={"q": "不得用于"}).text
        assert 'href="/notice/demonstration-2020#%E4%B8%89%C2%B63"' in found and found.count('<th scope="row">') < 9
        assert "待省厅确认" in hotline.get("/console/knowledge/entries", params={"q": "拨付率"}).text
        assert "没有符合条件的内容" in hotline.get("/console/knowledge/entries", params={"q": "<script>"}).text
        assert hotline.get("/console/knowledge/notices/demonstration-2020").text.count("<form") == 1  # signing out
        assert hotline.get(IMPORT).status_code == hotline.get(EDITIONS).status_code == 404
        assert hotline.get("/console/knowledge/nothing").status_code == 404
    with signed_in(desk_site, "样例庚") as head:
        assert head.get("/console/knowledge").status_code == 404


def test_an_import_is_looked_at_stored_and_published_by_another(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer, signed_in(desk_site, "样例丑") as approver:
        assert "没有读到中文正文" in send(officer, IMPORT, text="nothing")
        shown = send(officer, IMPORT, text=CALL)
        for part in ("期限（6）", "比例（2）", "禁止事项（3）", "示商电函〔2023〕88号", "3月22日前", "不低于500万元"):
            assert part in shown
        assert httpx.get(f"{desk_site}/notice/88-2023").status_code == 404
        file = {"file": ("通知.txt", CALL.encode(), "text/plain")}
        token = token_of(officer.get(IMPORT).text)
        page = officer.post(IMPORT, data={"csrf": token}, files=file).text
        kept = html.unescape(page.split('name="text" hidden>')[1].split("</textarea>")[0])
        assert "“通知.txt”" in html.unescape(page)
        assert "已入库" in send(officer, IMPORT, text=kept, name="通知.txt", sure="yes")
        assert "已在库中" in send(officer, IMPORT, text=kept, sure="yes")
        notice = "/console/knowledge/notices/88-2023"
        assert "须由另一人" in officer.get(notice).text
        wanted = {"number": "示商电函〔2023〕88号", "reason": "与印发件逐字核对一致"}
        assert "须由另一人核对" in send(officer, notice, **wanted)
        assert "须由另一人确认或发布" in send(officer, EDITIONS, sure="yes", note="新通知")
        assert "与“商办建函〔2020〕144号”不一致" in send(
            approver, notice, **wanted | {"number": "商办建函〔2020〕144号"}
        )
        assert "已确认为正式文本" in send(approver, notice, **wanted)
        impact = send(approver, EDITIONS)
        assert (
            "新增文件 示例省商务厅办公室关于组织申报2023年农村电商优秀案例的通知" in impact and "发布过的版本" in impact
        )
        assert "请写明原因" in send(approver, EDITIONS, sure="yes", note=" ")
        assert "第2版已成为现用版本" in send(approver, EDITIONS, sure="yes", note="新通知")
        assert "删去文件" in send(officer, EDITIONS, number="1")  # also before this process goes on with the new one
        until(lambda: httpx.get(f"{desk_site}/notice/88-2023").status_code == 200)
        assert "正式文本" in officer.get(notice).text
        assert "第1版已成为现用版本" in send(officer, EDITIONS, number="1", sure="yes", note="有误")
        until(lambda: httpx.get(f"{desk_site}/notice/88-2023").status_code == 404)
        token = token_of(officer.get(EDITIONS).text)
        assert officer.post(EDITIONS, data={"csrf": token, "number": "7"}).status_code == 404
        trail = approver.get("/console/audit", params={"kind": "edition", "number": "2"}).text
        assert "新通知" in trail and "省级审核人" in trail


def test_a_date_of_an_unverified_text_is_confirmed(desk_site: str) -> None:
    path = "/console/knowledge/calendar"
    with signed_in(desk_site, "样例子") as officer, signed_in(desk_site, "样例寅") as hotline:
        page = officer.get(path).text
        line = page.split("2020年6月25日")[1].split("</tr>")[0]
        assert "各省→三部门" in line and "待确认" in line and "最后工作日6月24日" in line and "文本未核对" in line
        action = re.search(r'action="(/console/knowledge/calendar/[\w-]+)"', line)
        assert action is not None
        assert "将提醒" in send(officer, action[1], confirmed="yes")
        line = hotline.get(path).text.split("2020年6月25日")[1].split("</tr>")[0]
        assert "发提醒" in line and "样例子确认" in line and "<form" not in line
        assert "定为不提醒" in send(officer, action[1], confirmed="no")
        token = token_of(hotline.get(path).text)
        assert hotline.post(action[1], data={"csrf": token, "confirmed": "yes"}).status_code == 404


ASKED = "站点停运半年还算不算覆盖到村"


def test_an_entry_is_drafted_reviewed_by_another_published_and_taken_back(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer, signed_in(desk_site, "样例丑") as approver:
        entry = {
            "title": "停运站点", "statement": "文件没有规定停运站点如何计入覆盖。", "basis": "所收文件未作规定",
            "clause1": "144-2020 三(一)", "quote1": "不是原文", "info": f"{ASKED}\n144号文讲什么", "ask_whom": "请向省级主管部门了解。",
        }  # fmt: skip
        drafts = "/console/knowledge/drafts"
        assert "请把必填的内容填完整" in send(officer, f"{drafts}/new", title="停运站点")
        kept = send(officer, f"{drafts}/new", **entry)
        assert "引文不是三(一)的原文" in kept and "也在 eval-notice-overview" in kept and "须由另一人审核" in kept
        found = re.search(rf'{drafts}/(own-\d+)">停运站点', officer.get(drafts).text)
        assert found is not None
        name = found[1]
        path = f"{drafts}/{name}"
        assert "引文不是三(一)的原文" in send(approver, f"{path}/review")
        mended = entry | {"quote1": "整改", "info": ASKED}
        assert "审核前还要改好" not in send(officer, path, **mended)
        assert "草稿是您写的" in send(officer, f"{path}/review") and "草稿是您写的" in send(officer, f"{path}/return")
        assert "请写明退回的原因" in send(approver, f"{path}/return")
        assert "退回修改问法太少" in send(approver, f"{path}/return", reason="问法太少")
        assert "已退回，修改后再审核" in send(approver, f"{path}/review")
        send(officer, path, **mended)
        assert "已审核" in send(approver, f"{path}/review")
        assert "新增问答 停运站点" in send(approver, EDITIONS)
        assert "已成为现用版本" in send(approver, EDITIONS, sure="yes", note="新口径")

        def answer() -> str:
            return httpx.post(f"{desk_site}/api/v1/ask", json={"q": ASKED}, timeout=60).text

        until(lambda: "停运站点如何计入覆盖" in answer())
        shown = officer.get("/console/knowledge/unanswered", params={"q": "停运站点"}).text
        assert "样例丑审核" in shown
        changed = send(officer, path, **mended | {"statement": "所收文件没有规定停运站点如何计入覆盖。"})
        assert "与现用口径比较" in changed and "所收文件没有规定" in changed
        assert "所收文件没有规定" not in answer()  # a draft answers nothing
        assert "已删去" in send(officer, f"{path}/drop") and "已删去" in send(officer, f"{path}/drop")
        assert "删去问答 停运站点" in send(officer, EDITIONS)
        assert "已成为现用版本" in send(officer, EDITIONS, sure="yes", note="撤下")
        until(lambda: "停运站点如何计入覆盖" not in answer())
    with signed_in(desk_site, "样例寅") as hotline:
        assert hotline.get(drafts).status_code == 404


def test_what_a_confirmed_notice_supersedes_is_shown_before_it_is_kept(desk_site: str) -> None:
    """The edition is left as it is: other tests share it."""
    with signed_in(desk_site, "样例子") as officer, signed_in(desk_site, "样例丑") as approver:
        send(officer, IMPORT, text=NEW, sure="yes")
        notice = "/console/knowledge/notices/20-2022"
        assert "第一条同时废止" in html.unescape(approver.get(notice).text)
        given = {"number": "示商电发〔2022〕20号", "reason": "与印发件逐字核对一致", "old1": "144-2020", "by1": "一"}
        assert "没有条款“九”" in send(approver, notice, **given, clause1="九")
        given |= {"clause1": "三（一）", "effective": "2022-06-01"}
        page = send(approver, notice, **given)
        assert "还没有确认：下列1条将不再有效" in page and "三（一）" in page and "2022-06-01" in page
        assert "条，到时不再据以答复" in page and "文本未核对" in approver.get(notice).text
        other = send(approver, notice, **given | {"effective": "2022-07-01"}, seen="2022-06-01 144-2020#三(一) by 一")
        assert "还没有确认" in other  # what was seen is what is done
        assert "已确认为正式文本" in send(approver, notice, **given, seen="2022-06-01 144-2020#三(一) by 一")
        kept = html.unescape(approver.get(notice).text)
        assert "本文件取代的旧条款（1）" in kept and "<dd>2022-06-01</dd>" in kept
        trail = html.unescape(approver.get("/console/audit", params={"kind": "notice", "number": "20-2022"}).text)
        assert "144-2020#三(一) by 一" in trail
