"""Guided checks in chat: every path of every check and its cited results; going back, asides, bad input."""

import re
from datetime import date, timedelta

import pytest

from knowledge.checks import Check, Point
from storage.models import Audit, CheckResult, Conversation, Fact
from tests.checks import CHECKS, Office, office, words

__all__ = ["office"]


def asked(check: Check, poor: bool = True) -> list[Point]:
    """The points that are asked of a county: written down a second time, without the program's conditions."""
    provincial = {"money-rules", "money-watch", "open-province"}
    others = {"rural-link", "rural-firms"} if poor else {"poor-tilt", "poor-help"}
    return [
        one for one in check.points if not one.fact and not one.table and one.id not in provincial | others
    ]  # fmt: skip


BEGIN = {  # what is said before the points, so that nothing else is missing
    "review": ("全部方面", "是"),
    "acceptance-check": ("是", "95%", "物流中心，某某公司，120万元，完整", "填完了"),
    "reapplication-check": ("95%", "是"),
    "publicity": (),
    "label": (),
}


# --- every path of every check -------------------------------------------------------------------------------------------


@words
@pytest.mark.parametrize("name", CHECKS)
def test_each_answer_to_each_point_comes_to_what_it_means(office: Office, name: str) -> None:
    check = office.kb.checks[name]
    points = asked(check)
    for answer in ("有", "没有", "不清楚", "不适用"):
        office.say("clerk", check.title, *BEGIN[name])
        for point in points:
            labels = [one.label for one in office.last["clerk"].options]
            assert labels == (["有", "没有", "不清楚", "不适用"] if "na" in point.answers else ["有", "没有", "不清楚"])
            assert f"有没有{point.text}？" in office.last["clerk"].text
            assert f"“{point.cite.quote}”" in office.last["clerk"].text
            office.say("clerk", str(labels.index(answer) + 1) if answer in labels else "有")
        said = office.whole("clerk")
        assert "合格" not in said and "通过验收" not in said
        listed = [point for point in points if answer != "有" and (answer != "不适用" or "na" in point.answers)]
        for point in listed:
            assert f"“{point.cite.quote}”" in said
            if answer == "没有":
                assert point.answers["no"] in said
        if answer == "有":
            assert check.complete in said and "缺项" not in said
            assert "仍须" in said or "认定" in said
        elif listed:
            assert check.complete not in said or answer == "不适用"
        if answer == "没有":
            assert f"还缺{len(points)}项" in said
        if answer == "不清楚":
            assert f"{len(points)}项不清楚（不作已具备）" in said and "还缺" not in said
        if answer == "不适用" and len(listed) == len(points):
            assert "不能据此得出结论" in said


@words
def test_the_quotations_name_their_clause_and_an_unverified_text_says_so(office: Office) -> None:
    office.say("clerk", "政务公开自查", "没有 没有 没有 没有 没有 没有")
    said = office.whole("clerk")
    assert "《关于做好2020年电子商务进农村综合示范工作的通知》六（四）“督促示范县在政府网站推行综合示范政务公开" in said
    assert "商办建函〔2020〕144号附件1-6.1“有关资金支出、项目建设信息、决策程序等按要求在政府网站及时公示。”" in said
    assert "文本未标文号，尚未与印发件核对" in office.reply("clerk", "看自查 #1").text
    office.say("clerk", "复核要点自查 农村电商培训体系", "都有")
    assert "尚未与印发件核对" not in office.whole("clerk")


# --- 复核要点自查 ----------------------------------------------------------------------------------------------------------


def test_the_six_areas_are_gone_through_one_at_a_time(office: Office) -> None:
    assert [one.label for one in office.reply("clerk", "复核要点自查").options] == [
        "全部方面",
        *office.kb.checks["review"].areas,
    ]
    assert "农村电商培训体系 1/6：有没有培训对象和培训目标的材料" in office.say("clerk", "6")
    assert "3/6" in office.say("clerk", "有 没有")
    assert "4/6" in office.say("clerk", "3")
    said = office.say("clerk", "都有")
    assert "秦安县2016年度复核要点自查（2020年4月24日）" in said
    assert "还缺1项，1项不清楚（不作已具备）；有材料4项。" in said
    assert "未查：助力脱贫攻坚和乡村振兴、农村电商公共服务中心" in said and "未查：农村电商培训体系" not in said
    assert "1. 如实的培训记录\n" in said and "商办建函〔2020〕144号附件1-5.1“如实做好培训记录。”" in said
    reply = office.pick("clerk", "接着查：资金和项目管理")
    assert "资金和项目管理 1/5" in reply.text
    office.say("clerk", "都有")
    assert "已列要点均有材料，仍须以商务部组织的绩效评价复核为准。" in office.last["clerk"].text
    assert [one.answers["area"] for one in office.rows(CheckResult)] == ["农村电商培训体系", "资金和项目管理"]


def test_a_county_is_asked_what_concerns_it_and_what_it_says_is_kept_when_it_agrees(office: Office) -> None:
    area = "复核要点自查 助力脱贫攻坚和乡村振兴"
    office.recorded(1, poverty_county="no")
    reply = office.reply("clerk", area)
    assert "贵县是否为贫困县？\n现有记录：否（4月登记）" in reply.text
    assert [one.label for one in reply.options] == ["与记录相同：否", "是", "不清楚"]
    assert "有机衔接" in office.say("clerk", "1")
    office.say("clerk", "都有")
    assert not [one for one in office.last["clerk"].options if "记入" in one.label]

    assert "倾斜的安排文件" in office.say("clerk", area, "是")
    office.say("clerk", "都有")
    assert "记入本县情况（是否贫困县：是）" in [one.label for one in office.last["clerk"].options]
    assert "是否贫困县：是" in office.pick("clerk", "记入本县情况").text
    kept = office.rows(Fact)[-1]
    assert (kept.key, kept.value, kept.source, kept.as_of) == (
        "poverty_county",
        "yes",
        "复核要点自查时填写",
        date(2020, 4, 24),
    )
    assert [one.action for one in office.rows(Audit)][-1] == "fact.add"
    assert "没有要记入的新情况" in office.say("clerk", "记入本县情况 #2")
    assert len(office.rows(Fact)) == 2


@words
def test_whether_a_point_concerns_the_county_may_stay_open_and_then_it_does_not_count(office: Office) -> None:
    office.say("clerk", "复核要点自查 助力脱贫攻坚和乡村振兴", "不清楚")
    said = office.say("clerk", "都有")
    assert "4项不清楚（不作已具备）" in office.whole("clerk") and "均有材料" not in said


def test_the_provinces_own_points_are_asked_of_the_province_alone(office: Office) -> None:
    office.say("officer", "复核要点自查 资金和项目管理", "秦安县")
    assert "1/7" in office.last["officer"].text
    office.say("officer", "有 有 有 有 有")
    assert "（省级）" in office.last["officer"].text
    office.say("officer", "没有 有")
    assert "附件1-6.2" in office.last["officer"].text
    assert [one.body_id for one in office.rows(CheckResult)] == [1]


@words
def test_a_body_of_two_years_is_asked_for_the_year(office: Office) -> None:
    assert "2017年度或2019年度" in office.say("neighbour", "验收检查")
    office.say("neighbour", "2019年度", "是", "95%", "不清楚")
    assert "验收报告如实写明" in office.last["neighbour"].text  # 委托第三方 is asked of 2014—2017 only
    office.say("neighbour", "都有")
    said = office.whole("neighbour")
    assert "清水县2019年度" in said and "2018年度及以后示范县的验收时限，144号文未写" in said


# --- back, asides, bad input ----------------------------------------------------------------------------------------------


@words
def test_a_check_goes_back_answer_by_answer_and_resumes_after_a_question(office: Office) -> None:
    office.say("clerk", "标识自查")
    assert "3/4" in office.say("clerk", "有 有")
    assert "2/4" in office.say("clerk", "上一步")
    aside = office.say("clerk", "专项资金能不能给站长发工资")
    assert "不可以" in aside and "继续“标识自查”" in aside and "2/4" in aside
    assert [one.label for one in office.last["clerk"].options] == ["有", "没有", "不清楚", "不适用"]
    assert "4/4" in office.say("clerk", "没有 有")
    assert "还缺1项" in office.say("clerk", "1")
    office.say("clerk", "标识自查", "有")
    assert "已取消" in office.say("clerk", "取消")
    assert len(office.rows(CheckResult)) == 1


@words
@pytest.mark.parametrize(
    "typed",
    ["9", "有 有 有 有 有 有 有", "有 也许", "x", "", "有" * 4000, "1 1 5", "都", "有\x00", "'; DROP TABLE check_result;--",
     "{{ 7 * 7 }}", "١", "没有 不适用 都有"],
)  # fmt: skip
def test_what_is_no_answer_is_asked_again_and_changes_nothing(office: Office, typed: str) -> None:
    office.say("clerk", "标识自查", "有")
    before = office.rows(Conversation)[-1].answers
    said = office.say("clerk", typed)
    assert re.search("请回复有、没有、不清楚、不适用|继续“标识自查”：2/4|没有第9项", said)
    after = office.rows(Conversation)[-1]
    assert after.flow == "check:label" and after.answers == before
    assert "49" not in said
    assert "还缺" not in office.say("clerk", "都有")


@words
def test_unfinished_checks_leave_no_result(office: Office) -> None:
    office.say("clerk", "复核要点自查", "1", "是", "有")
    office.now += timedelta(hours=1)
    assert "还没有自查记录" in office.say("clerk", "我的自查")
    assert not office.rows(CheckResult)
