"""Both supplied notices read into labelled clauses, and the reader's answers to faulty files."""

import json
import runpy
from collections import defaultdict
from pathlib import Path

import pytest

from knowledge.base import DATA, KnowledgeBase
from knowledge.model import KnowledgeError, Notice
from knowledge.notices import load_notices, parse_clauses, parse_notice

SUPPLIED = Path(__file__).parent.parent / "notices"
HEADER = "id: sample\ntitle: 关于示例的通知\nissuer: 省商务厅\ntext_status: official\n"
REPAIRS: dict[str, list[tuple[str, str, str]]] = runpy.run_path(str(SUPPLIED / "repairs.py"))["REPAIRS"]
ALL_REPAIRS = [
    pytest.param(notice, *repair, id=f"{notice}-{place}")
    for notice, repairs in REPAIRS.items()
    for place, repair in enumerate(repairs)
]


def expected() -> dict[tuple[str, str], str]:
    """The supplied clauses by notice and label; the heading and the texts of one label are joined."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in json.loads((SUPPLIED / "clauses.json").read_text(encoding="utf-8")):
        found[row["notice_id"], row["label"]].append(row["text"])
    return {label: "\n".join(texts).replace("效率 and 市场化", "效率和市场化") for label, texts in found.items()}


def notice(kb: KnowledgeBase, name: str) -> Notice:
    found = kb.notice(name)
    assert found is not None
    return found


def test_labels_equal_the_supplied_ones(kb: KnowledgeBase) -> None:
    assert len(expected()) == 89
    ours = [(one.notice_id, one.label) for each in kb.notices for one in each.clauses]
    assert ours == list(expected())


@pytest.mark.parametrize("label", list(expected()), ids="#".join)
def test_text_equals_the_supplied_one(kb: KnowledgeBase, label: tuple[str, str]) -> None:
    assert kb.clauses[label].full == expected()[label]


def test_only_the_stray_conjunction_was_repaired_in_the_clauses() -> None:
    raw = (SUPPLIED / "clauses.json").read_text(encoding="utf-8")
    assert raw.count("效率 and 市场化") == 1
    assert "效率和市场化" in expected()["144-2020", "附件1-4.1"]


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", list(REPAIRS))
def test_repairs_of_the_supplied_file_give_the_stored_text(name: str) -> None:
    text = (SUPPLIED / f"{name}.supplied.txt").read_text(encoding="utf-8")
    for supplied, stored, _ in REPAIRS[name]:
        text = text.replace(supplied, stored)
    kept = (DATA / "notices" / f"{name}.txt").read_text(encoding="utf-8").partition("\n---\n")[2]
    assert lines(text) == lines(kept)


@pytest.mark.parametrize(("name", "supplied", "stored", "why"), ALL_REPAIRS)
def test_each_repair_is_needed_and_states_its_reason(name: str, supplied: str, stored: str, why: str) -> None:
    assert supplied in (SUPPLIED / f"{name}.supplied.txt").read_text(encoding="utf-8")
    assert supplied not in (DATA / "notices" / f"{name}.txt").read_text(encoding="utf-8")
    assert why


def test_headers_are_kept(kb: KnowledgeBase) -> None:
    evaluation, demonstration = notice(kb, "144-2020"), notice(kb, "demonstration-2020")
    assert evaluation.name == "商办建函〔2020〕144号"
    assert evaluation.issued_on is not None and evaluation.issued_on.isoformat() == "2020-04-23"
    assert evaluation.text_status == "official"
    assert demonstration.number is None
    assert demonstration.name == "《关于做好2020年电子商务进农村综合示范工作的通知》"
    assert demonstration.text_status == "unverified"
    assert "48号文" in demonstration.aliases


REVIEW = {
    "1": ("助力脱贫攻坚和乡村振兴", ["扶贫和产业导向", "实事求是"]),
    "2": ("农村电商公共服务中心", ["服务内容", "统筹各功能板块和乡村服务站点", "推动农产品上行和产业升级"]),
    "3": ("乡村电商服务站点", ["站点布局", "服务内容"]),
    "4": ("县级物流配送中心", ["物流整合", "整合成效", "补贴方向"]),
    "5": ("农村电商培训体系", ["提高针对性", "完善教材", "加强跟踪"]),
    "6": ("资金和项目管理", ["工作规范", "监管到位"]),
}


@pytest.mark.parametrize("row", list(REVIEW))
def test_review_points_are_read_cell_by_cell(kb: KnowledgeBase, row: str) -> None:
    title, requirements = REVIEW[row]
    assert kb.clauses["144-2020", f"附件1-{row}"].full == title
    for number, requirement in enumerate(requirements, 1):
        cell = kb.clauses["144-2020", f"附件1-{row}.{number}"]
        assert cell.text.startswith(f"{number}.{requirement}：")
        assert cell.headings == ("电子商务进农村综合示范绩效评价复核要点", title)
    assert ("144-2020", f"附件1-{row}.{len(requirements) + 1}") not in kb.clauses


def test_delivery_within_three_days_stands_in_the_second_cell_of_row_four(kb: KnowledgeBase) -> None:
    cell = kb.clauses["144-2020", "附件1-4.2"]
    assert cell.text.endswith("县到村配送时间一般不超过3天。")


def test_the_reply_form_is_the_second_attachment(kb: KnowledgeBase) -> None:
    labels = [one.label for one in notice(kb, "144-2020").clauses if one.label.startswith("附件2")]
    assert labels[0] == "附件2"
    texts = [kb.clauses["144-2020", label].full for label in labels]
    assert "推荐回执" in "\n".join(texts)
    assert "单位	姓 名	性 别	民 族	职 务	联系电话（手机）	备注" in texts
    assert "注：请传真至 010-85093681" in texts


def test_chapters_articles_and_their_items_are_read() -> None:
    text = "第一章 总则\n第一条 为规范管理，制定本办法。\n第八条 资金用于下列方向：\n(一)共同配送。\n（二）人员培训。\n"
    found = {one.label: one for one in parse_clauses("sample", text)}
    assert list(found) == ["第一章", "第一条", "第八条", "第八条(一)", "第八条(二)"]
    assert found["第一章"].heading == "第一章 总则"
    assert found["第八条(二)"].text == "（二）人员培训。"
    assert found["第八条(二)"].id == "sample#第八条(二)"


@pytest.mark.parametrize(("left", "right"), ["()", "（）", "（)", "(）"])
def test_brackets_of_either_width_give_one_label(left: str, right: str) -> None:
    text = f"一、范围\n{left}一{right}本通知适用于各示范县。各地遵照执行。\n1.如实上报。\n第二段也在这里。\n"
    labels = [one.label for one in parse_clauses("sample", text)]
    assert labels == ["一", "一(一)", "一(一)1", "一(一)¶2"]


@pytest.mark.parametrize(
    ("content", "trouble", "remedy"),
    [
        pytest.param(
            f"{HEADER}colour: red\n---\n正文", "文件头“colour: red”无法识别", "可用的项目有", id="unknown-key"
        ),
        pytest.param(f"{HEADER}正文没有分隔", "缺少文件头与正文之间的分隔行", "“---”", id="no-separator"),
        pytest.param(
            f"{HEADER}issued: 2020-02-30\n---\n正文", "issued 的日期“2020-02-30”无法识别", "2020-04-23", id="bad-date"
        ),
        pytest.param(
            f"{HEADER}effective: 四月\n---\n正文", "effective 的日期“四月”无法识别", "2020-04-23", id="worded-date"
        ),
        pytest.param(
            HEADER.replace("official", "draft") + "---\n正文",
            "现为“draft”",
            "text_status 只能写 official 或 unverified",
            id="wrong-status",
        ),
        pytest.param("id: sample\ntitle: 甲\n---\n正文", "文件头缺少", "issuer、text_status", id="absent-keys"),
        pytest.param(f"{HEADER}没有冒号的一行\n---\n正文", "“没有冒号的一行”无法识别", "可用的项目有", id="no-colon"),
    ],
)
def test_a_faulty_header_names_the_file_the_trouble_and_the_remedy(content: str, trouble: str, remedy: str) -> None:
    with pytest.raises(KnowledgeError) as caught:
        parse_notice(content, "sample.txt")
    [line] = caught.value.problems
    assert line.startswith("sample.txt：")
    assert trouble in line
    assert remedy in line


def test_a_sound_file_is_read_with_its_aliases_and_dates() -> None:
    content = f"{HEADER}issued: 2021-03-01\nrepealed: 2022-01-01\naliases: 甲文 | 乙文\n---\n一、范围\n（一）全省。\n"
    found = parse_notice(content, "sample.txt")
    assert found.aliases == ("甲文", "乙文")
    assert found.number is None
    assert (found.issued_on, found.repealed_on) != (None, None)
    assert [one.label for one in found.clauses] == ["一", "一(一)"]


def test_broken_files_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("id: a\n没有分隔行", encoding="utf-8")
    (tmp_path / "b.txt").write_text(f"{HEADER}issued: 昨天\n---\n正文", encoding="utf-8")
    (tmp_path / "c.txt").write_bytes(f"{HEADER}---\n正文".encode("gb18030"))
    (tmp_path / "d.txt").write_text(f"{HEADER}---\n正文", encoding="utf-8")
    with pytest.raises(KnowledgeError) as caught:
        load_notices(tmp_path)
    assert [line.partition("：")[0] for line in caught.value.problems] == ["a.txt", "b.txt", "c.txt"]
    assert "另存为 UTF-8" in caught.value.problems[2]
