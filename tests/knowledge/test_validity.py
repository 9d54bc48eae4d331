"""Which text is in force on a day: whole notices and single clauses that another notice has taken the place of."""

from datetime import date, timedelta

import pytest

from handlers.ask import as_json
from knowledge.answer import answer
from knowledge.base import KnowledgeBase, load_files, read_files
from knowledge.lookup import look_up
from knowledge.model import KnowledgeError
from knowledge.validity import covers

FEW = ("notices", "synonyms", "phrases", "checklists", "rules/facts", "rules/expense", "unanswered/outside")
OLD = """id: 8-2021
number: 示商电发〔2021〕8号
title: 示例省商务厅关于电商服务站点月报工作的通知
issuer: 示例省商务厅
issued: 2021-02-01
text_status: official
---
示例省商务厅关于电商服务站点月报工作的通知
各县商务主管部门：
现就服务站点月报工作通知如下。
一、报送时间
（一）各县应于每月5日前报送上月服务站点月报表。
（二）服务站点数据有变动的，3个工作日内报告。
二、报送方式
通过省电商信息系统填报服务站点月报表。
"""
GONE = """id: 3-2019
number: 示商电发〔2019〕3号
title: 示例省商务厅关于培训讲师备案的通知
issuer: 示例省商务厅
issued: 2019-03-01
text_status: official
---
示例省商务厅关于培训讲师备案的通知
各县商务主管部门：
一、培训讲师须于开班前10日报省商务厅备案，备案有效期两年。
"""
NEW = """id: 20-2022
number: 示商电发〔2022〕20号
title: 示例省商务厅关于调整服务站点月报时间的通知
issuer: 示例省商务厅
issued: 2022-05-10
effective: 2022-06-01
text_status: {status}
supersedes: 示商电发〔2021〕8号#一(一) by 一 | 3-2019 by 三
---
示例省商务厅关于调整服务站点月报时间的通知
各县商务主管部门：
一、各县应于每月10日前报送上月服务站点月报表。
二、本通知自2022年6月1日起施行，示商电发〔2021〕8号一（一）同时废止。
三、培训讲师不再备案，示商电发〔2019〕3号同时废止。
"""
BEFORE, AFTER = date(2022, 5, 31), date(2022, 6, 1)
WHEN = "服务站点月报表每月几号前报送"
CARD = "已废止（被《示例省商务厅关于调整服务站点月报时间的通知》（示商电发〔2022〕20号）一取代）"


def base(*texts: str) -> KnowledgeBase:
    files = {name: content for name, content in read_files().items() if name.startswith(FEW)}
    added = {f"notices/{text.split()[1]}.txt": text.encode() for text in texts}
    return load_files(files | {"rules/policy.yaml": b"[]"} | added)


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return base(OLD, GONE, NEW.format(status="official"))


def cited(kb: KnowledgeBase, question: str, on: date) -> list[tuple[str, str, str]]:
    return [(one.notice_id, one.clause, one.validity) for one in answer(kb, question, on=on).citations]


def test_a_day_decides_which_clause_answers(kb: KnowledgeBase) -> None:
    assert cited(kb, WHEN, BEFORE)[0] == ("8-2021", "一(一)", "在用")
    assert cited(kb, WHEN, AFTER) == [("20-2022", "一", "在用")]
    assert cited(kb, "服务站点数据有变动多久报告", AFTER)[0] == ("8-2021", "一(二)", "在用")  # its neighbour stays
    assert cited(kb, WHEN, date(2021, 1, 31)) == []  # nothing was issued yet
    assert cited(kb, f"按2022年5月31日的规定，{WHEN}", AFTER)[0] == ("8-2021", "一(一)", "在用")


def test_a_clause_asked_about_by_name_is_shown_with_what_took_its_place(kb: KnowledgeBase) -> None:
    for question in ("示商电发〔2021〕8号一（一）怎么规定的", "示商电发[2021]8号里月报表几号前报送", "8-2021 一(一)"):
        found = answer(kb, question, on=AFTER)
        assert (found.kind, found.status) == ("answer", "已废止"), question
        assert [(one.clause, one.validity) for one in found.citations] == [("一(一)", CARD), ("一", "在用")]
        text = as_json(found)["text"]
        assert text.startswith(
            "所问的《示例省商务厅关于电商服务站点月报工作的通知》（示商电发〔2021〕8号）一（一）已废止，自2022年6月1日起由"
        )
        assert f"——示商电发〔2021〕8号一（一），{CARD}" in text
        assert "“一、各县应于每月10日前报送上月服务站点月报表。”" in text
        assert as_json(found)["citations"][0]["validity"] == CARD
        assert answer(kb, question, on=BEFORE).status != "已废止"
    in_force = answer(kb, "示商电发〔2021〕8号二怎么规定的", on=AFTER)
    assert [(one.clause, one.validity) for one in in_force.citations] == [("二", "在用")]


def test_a_whole_notice_is_superseded_and_shown_only_when_nothing_in_force_answers(kb: KnowledgeBase) -> None:
    question = "培训讲师备案有效期多长"
    assert cited(kb, question, BEFORE) == [("3-2019", "一", "在用")]
    assert ("3-2019", "一", "在用") not in cited(kb, question, AFTER)
    found = answer(kb, "《关于培训讲师备案的通知》还有效吗", on=AFTER)  # by part of the title, by nothing else
    assert [one.validity for one in found.citations if one.notice_id == "3-2019"] != ["在用"]
    named = answer(kb, "示商电发〔2019〕3号还要备案吗", on=AFTER)
    assert [(one.notice_id, one.clause) for one in named.citations] == [("3-2019", "一"), ("20-2022", "三")]
    assert named.citations[0].validity.startswith("已废止（被《")


def test_looking_up_finds_what_is_in_force(kb: KnowledgeBase) -> None:
    first = {on: look_up(kb, WHEN, on=on)[0].answer.citations[0] for on in (BEFORE, AFTER)}
    assert [(one.notice_id, one.validity) for one in first.values()] == [("8-2021", "在用"), ("20-2022", "在用")]
    assert look_up(kb, "示商电发〔2021〕8号一（一）", on=AFTER)[0].answer.status == "已废止"


def test_a_notice_that_is_not_in_force_yet_says_so(kb: KnowledgeBase) -> None:
    found = answer(kb, "示商电发〔2022〕20号一怎么规定", on=BEFORE)
    assert found.statement.endswith("自2022年6月1日起施行，目前尚未施行。")
    assert found.citations[0].validity == "尚未施行"


def test_only_a_confirmed_text_supersedes_and_a_passed_date_repeals_nothing() -> None:
    kb = base(OLD, GONE, NEW.format(status="unverified"))
    assert ("8-2021", "一(一)", "在用") in cited(kb, WHEN, BEFORE)
    assert {one[2] for one in cited(kb, "示商电发〔2021〕8号一（一）怎么规定的", AFTER)} == {"在用"}
    years_later = cited(base(OLD), WHEN, date(2020, 6, 1) + timedelta(days=4000))
    assert years_later[0] == ("8-2021", "一(一)", "在用")


def test_what_took_a_place_may_lose_it_in_turn() -> None:
    third = """id: 9-2023
number: 示商电发〔2023〕9号
title: 示例省商务厅关于月报改为季报的通知
issuer: 示例省商务厅
issued: 2023-01-01
text_status: official
supersedes: 20-2022#一 by 一
---
示例省商务厅关于月报改为季报的通知
一、服务站点月报改为季报，每季度首月10日前报送。
"""
    kb = base(OLD, GONE, NEW.format(status="official"), third)
    question = "示商电发〔2021〕8号一（一）怎么规定的"
    assert cited(kb, question, date(2022, 12, 31))[1][:2] == ("20-2022", "一")
    assert cited(kb, question, date(2023, 1, 1))[1][:2] == ("9-2023", "一")


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("8-2021#九", "没有条款“九”"),
        ("8-2021#一(一) by 七", "本文没有这一条"),
        ("20-2022", "指向自身"),
        ("8-2021 # ", "无法识别"),
    ],
)
def test_a_wrong_header_is_refused_with_its_remedy(wrong: str, remedy: str) -> None:
    lines = NEW.format(status="official").splitlines()
    text = "\n".join(f"supersedes: {wrong}" if line.startswith("supersedes") else line for line in lines)
    with pytest.raises(KnowledgeError, match=remedy.replace("(", r"\(")):
        base(OLD, text)


def test_a_clause_holds_what_is_under_it() -> None:
    held = [("三", "三(一)1"), ("三", "三¶2"), ("三(一)", "三(一)1"), ("附件1", "附件1-6.1"), ("附件1-6", "附件1-6.1")]
    apart = [("附件1", "附件10"), ("一", "十一"), ("三(一)", "三(一0)"), ("三(一)1", "三(一)12"), ("十", "十一")]
    assert all(covers(*pair) for pair in held)
    assert not any(covers(*pair) for pair in apart)
