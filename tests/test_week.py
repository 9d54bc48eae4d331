"""A week of 通知下发 on both databases, from a notice on paper to a correction that every county has."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from bot import calling
from bot.app import assistant
from handlers import reconciliation
from knowledge.base import KnowledgeBase, load_files, read_files
from knowledge.importing.draft import confirm, draft_of, store
from storage import broadcasts
from storage.db import transaction
from storage.scope import SYSTEM, serving
from tests.province import NOW, Province, province

PAPER = """某省商务厅关于报送电子商务进农村综合示范整改进展的通知
陇商电发〔2020〕8号
各市州商务局，各示范县：
一、请2016年度、2017年度示范县于5月15日前将整改进展报省商务厅。
二、报送内容须经县级分管负责人审定。
某省商务厅
2020年5月6日
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    """The knowledge with the notice imported by one person and confirmed by another."""
    folder = tmp_path_factory.mktemp("notices")
    draft = draft_of(PAPER)
    assert (draft.number, draft.issuer) == ("陇商电发〔2020〕8号", "某省商务厅")
    path = store(draft, folder, [], "粘贴", "样例officer")
    number, reason, on = "陇商电发〔2020〕8号", "与印发件逐字核对一致", NOW.date()
    confirm(path.stem, number, reason, shipped=folder, folder=folder, on=on, by="样例second")
    few = ("notices", "synonyms", "phrases", "checklists", "rules/facts", "rules/expense", "unanswered/outside")
    files = {name: content for name, content in read_files(imported=folder).items() if name.startswith(few)}
    return load_files(files | {"rules/policy.yaml": b"[]"}).numbered(2)


@pytest.fixture
def office(sessions: sessionmaker[Session], kb: KnowledgeBase) -> Iterator[Province]:
    with province(sessions, kb) as made:
        made.body("甘谷县", "620523", 2016)
        made.person("甘谷", "county_officer", "甘谷县")
        made.body("武山县", "620524", 2017)
        made.person("武山", "county_officer", "武山县")
        yield made


def account(office: Province, number: int) -> dict[str, int]:
    """Parties and acknowledgements of a broadcast, once its states have been added up."""
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        found = reconciliation.as_json(db, broadcasts.find(db, number), office.now)
    assert sum(found["deliveries"].values()) == found["recipients"]
    return {key: found[key] for key in ("recipients", "parties", "acknowledged", "to_call", "nudges")}


def collected(office: Province, kb: KnowledgeBase) -> int:
    """Put on the hotline's list who is to be called; how many counties."""
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        return calling.collect(db, kb, office.now)["calls"]


def test_a_week(office: Province, published: KnowledgeBase, tmp_path: Path) -> None:
    # Wednesday: the notice is imported, confirmed and published; the running turns take the new edition
    office.turns.use(assistant(published))
    office.say("officer", "新建通知", "关于报送整改进展的通知", "8-2020 一", "请照此办理。", "不带附件")
    office.say("officer", "2016、2017年度", "就发给这些", "每县一人签收", "以便确认都已知道报送时限", "5月12日")
    office.say("officer", "批准后10分钟发出")
    assert "涉及4个县（单位）：天水市5人" in office.pick("officer", "范围")
    office.say("officer", f"提交 N1v{office.broadcast().version}")
    assert "发给5人" in office.say("approver", f"批准 N1v{office.broadcast().version}")
    assert account(office, 1) == {"recipients": 5, "parties": 4, "acknowledged": 0, "to_call": 0, "nudges": 0}
    assert office.send(minutes=11)["accepted"] >= 5
    [told] = [one.text for one in office.got("秦安") if "【通知N1】" in one.text]
    assert "“一、请2016年度、2017年度示范县于5月15日前将整改进展报省商务厅。”\n——陇商电发〔2020〕8号一" in told
    assert "文本尚未与印发件核对" not in told
    assert not [one for who in ("永登", "古浪", "外省") for one in office.got(who)]

    # Thursday: by card, by text, by telephone
    office.now += timedelta(days=1)
    assert "已签收N1：秦安县" in office.reply("秦安", "收到 N1", pressed="card-1").text
    assert "已签收N1：清水县" in office.say("清水", "收到")
    assert "电话告知" in office.say("hotline", "代签收 N1 甘谷县 王某")
    assert account(office, 1)["acknowledged"] == 3

    # Friday: the one that is silent is nudged, and only that one
    office.now += timedelta(days=1)
    assert "还没有签收的1个单位，共1人" in office.say("officer", "催办 N1")
    office.send()
    assert [one for one in office.got("武山") if "【催办】N1" in one.text]
    assert not [one for who in ("秦安", "清水", "甘谷") for one in office.got(who) if "催办" in one.text]
    assert account(office, 1)["to_call"] == 0

    # the next week: a second nudge, then a call
    office.now += timedelta(days=4)
    assert "已第2次催办" in office.say("officer", "催办 N1")
    office.send()
    assert "武山县（已催办仍未签收）：县级经办人样例武山" in office.say("hotline", "电话名单 N1")
    assert account(office, 1)["to_call"] == 1

    # the day after, the silent county is one call on the hotline's list, and what is said there is noted as its word
    assert collected(office, published) == 0
    office.now += timedelta(days=1)
    assert collected(office, published) == 1
    assert collected(office, published) == 1  # looked at again, still one call
    assert "待拨电话1个县" in office.say("hotline", "待拨电话")
    shown = office.pick("hotline", "武山县")
    assert (
        "N1《关于报送整改进展的通知》两次催办后仍未签收；签收理由：以便确认都已知道报送时限；请在5月12日前签收" in shown
    )
    assert "武山县电话确认签收" in office.pick("hotline", "电话确认签收")
    assert "没有待拨电话" in office.say("hotline", "待拨电话")
    office.now += timedelta(days=1)
    assert collected(office, published) == 0
    assert account(office, 1) == {"recipients": 5, "parties": 4, "acknowledged": 4, "to_call": 0, "nudges": 2}

    # a correction reaches whoever had the first
    office.say("officer", "更正通知 N1", "请照此办理，材料一式两份。", "每县一人签收", "材料份数有改动", "5月18日")
    office.say("officer", "批准后立即发出", "提交 N2")
    office.say("approver", "批准 N2")
    office.send()
    for who in ("秦安", "秦安县长", "清水", "甘谷", "武山"):
        [told] = [one.text for one in office.got(who) if "【更正通知N2】" in one.text]
        assert "原文“请照此办理。”改为“请照此办理，材料一式两份。”" in told
    assert account(office, 2) == {"recipients": 5, "parties": 4, "acknowledged": 0, "to_call": 0, "nudges": 0}
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        reconciliation.export(db, broadcasts.find(db, 1), tmp_path / "N1.xlsx", office.now)
    assert (tmp_path / "N1.xlsx").stat().st_size > 5000
