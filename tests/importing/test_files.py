"""Files of every kind, sound and hostile, through the reader that `notice import` uses."""

import base64
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import docx
import pytest
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm

from knowledge.importing.draft import read_draft
from knowledge.importing.readers import LARGEST, read_file
from knowledge.model import KnowledgeError
from tests.importing.support import KINDS, LEAST, SAMPLES, UNSEEN, Sample, hits, load_sample, score

STATION, MEASURES = (
    load_sample(next(path for path in SAMPLES if path.stem == name)) for name in ("station", "measures")
)


def write_docx(sample: Sample, path: Path) -> Path:
    """A Word file with a paragraph a line and the rows of a table as a table."""
    document = docx.Document()
    rows: list[list[str]] = []
    for line in [*sample.lines, ""]:
        if "\t" in line:
            rows.append(line.split("\t"))
            continue
        if rows:
            table = document.add_table(rows=0, cols=max(map(len, rows)))
            for row in rows:
                for cell, text in zip(table.add_row().cells, row, strict=False):
                    cell.text = text
            rows = []
        document.add_paragraph(line)
    document.save(str(path))
    return path


def as_html(sample: Sample) -> str:
    body, rows = "", ""
    for line in [*sample.lines, ""]:
        if "\t" in line:
            rows += "<tr>" + "".join(f"<td><p>{cell}</p></td>" for cell in line.split("\t")) + "</tr>"
            continue
        body += f"<table>{rows}</table>" if rows else ""
        body += f"<p style='text-indent:2em'>{line}</p>"
        rows = ""
    head = "<title>标题栏</title><style>p{color:red}</style><script>var 通知='一、不是正文。';</script>"
    return f"<!doctype html><html><head><meta charset='utf-8'>{head}</head><body>{body}</body></html>"


def labels(path: Path) -> list[str]:
    return [one.label for one in read_draft(path).clauses]


@pytest.mark.parametrize("sample", [STATION, MEASURES], ids=lambda one: one.name)
def test_a_word_file_gives_the_printed_labels(sample: Sample, tmp_path: Path) -> None:
    assert labels(write_docx(sample, tmp_path / "a.docx")) == sample.labels


@pytest.mark.parametrize("sample", [STATION, MEASURES], ids=lambda one: one.name)
def test_a_web_page_gives_the_printed_labels(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(as_html(sample), encoding="utf-8")
    assert labels(path) == sample.labels


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_text_file_of_any_usual_encoding_is_read(code: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\r\n".join(MEASURES.lines).encode(code))
    assert labels(path) == MEASURES.labels


def as_file(sample: Sample, kind: str, folder: Path, request: pytest.FixtureRequest) -> Path:
    path = folder / f"{sample.name}.{kind}"
    if kind == "docx":
        return write_docx(sample, path)
    if kind == "pdf":
        page = request.getfixturevalue("browser").new_page()
        page.set_content(as_html(sample))
        page.pdf(path=path, format="A4")
        page.close()
        return path
    path.write_text(as_html(sample) if kind == "html" else "\n".join(sample.lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["txt", "html", "docx", "pdf"])
def test_unseen_notices_are_read_out_of_every_kind_of_file(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    printed = ("commerce", "guide", "tradein")  # printing takes long
    samples = [load_sample(path) for path in UNSEEN if kind != "pdf" or path.stem in printed]
    drafts = [read_draft(as_file(sample, kind, tmp_path, request)) for sample in samples]
    shown = [
        ({one.label for one in draft.clauses}, set(one.labels)) for draft, one in zip(drafts, samples, strict=True)
    ]
    scores = {"labels": score((len(found & wanted), len(found), len(wanted)) for found, wanted in shown)}
    for name in ("deadlines", "percentages", "prohibitions"):
        same = KINDS[name]
        pairs = [(list(getattr(draft, name)), one.gold[name]) for draft, one in zip(drafts, samples, strict=True)]
        scores[name] = score((hits(gold, found, same), len(found), len(gold)) for found, gold in pairs)
    assert all(min(each) >= LEAST for each in scores.values()), scores


def test_a_printed_pdf_gives_the_numbered_labels(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    draft = read_draft(as_file(MEASURES, "pdf", tmp_path, request))
    assert draft.number == MEASURES.header["number"]
    found = {one.label for one in draft.clauses}
    wanted = set(MEASURES.labels)
    assert len(found & wanted) >= 0.95 * max(len(found), len(wanted))


TASKS = [
    ["编制乡村商业网点空间布局规划，明确乡镇商贸中心和村级便民商店建设数量", "县商务局、县自然资源局", "2024年12月31日前", "规划获批"],
    ["改造商贸中心", "各乡镇", "2025年10月底前", "改造率不低于90%，其中脱贫村所在乡镇达到100%，不得新征建设用地"],
    ["更新车辆", "县交通运输局", "2025年6月30日前", "占比40%"],
] * 8  # fmt: skip


@pytest.mark.parametrize(
    "cells", ["border:1px solid; text-align:center", "vertical-align:top; padding:4px; font-size:14pt"]
)
def test_the_wrapped_cells_of_a_printed_table_stay_cells(
    cells: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    head = ["序号", "工作内容", "责任单位", "完成时限", "目 标"]
    rows = [head, *([str(number), *task] for number, task in enumerate(TASKS, 1))]
    shown = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    table = f"<table><thead><tr>{shown[0]}</tr></thead>" + "".join(f"<tr>{row}</tr>" for row in shown[1:]) + "</table>"
    after = "填表说明：以上任务由县商务局统筹，各单位要逐项明确责任人，完成情况于每月5日前报县商务局汇总后通报。"
    style = f"<style>td{{{cells}}} table{{border-collapse:collapse; width:100%}}</style>"
    page = request.getfixturevalue("browser").new_page()
    page.set_content(f"<meta charset='utf-8'>{style}<p>示例县商务局关于印发任务表的通知</p>{table}<p>{after}</p>")
    page.pdf(path=tmp_path / "a.pdf", format="A4")
    page.close()
    lines = read_file(tmp_path / "a.pdf").text.split("\n")
    wanted = ["\t".join(row).replace("目 标", "目标") for row in rows]
    assert lines[1 : len(rows) + 1] == wanted
    assert "".join(lines[len(rows) + 1 :]).strip() == after


def test_numbers_that_word_writes_itself_are_part_of_the_text(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("示例省商务厅关于开展自动编号测试的通知")
    for text in ("第一项工作的标题写在这里", "第二项工作的标题写在这里"):
        paragraph = document.add_paragraph(text, style="List Number")
        assert not paragraph.text.startswith("1")
    root = document.part.numbering_part.element
    for level in root.iter(qn("w:lvl")):
        if level.get(qn("w:ilvl")) == "0":
            level.find(qn("w:numFmt")).set(qn("w:val"), "chineseCountingThousand")
            level.find(qn("w:lvlText")).set(qn("w:val"), "%1、")
    path = tmp_path / "a.docx"
    document.save(str(path))
    assert [one.full for one in read_draft(path).clauses][1:] == [
        "一、第一项工作的标题写在这里",
        "二、第二项工作的标题写在这里",
    ]


def picture_of() -> bytes:
    """A grey picture in PNG."""
    rows = b"".join(b"\0" + b"\x80" * 40 for _ in range(40))
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 40, 40, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def test_pages_and_places_of_pictures_are_named(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    image = (
        f"<img src='data:image/png;base64,{base64.b64encode(picture_of()).decode()}' style='width:{{}};height:{{}}'>"
    )
    text = "".join(f"<p>{line}</p>" for line in STATION.lines[:12])
    seal, scan, table = (image.format(*size) for size in (("4cm", "4cm"), ("17cm", "24cm"), ("15cm", "6cm")))
    breaks = "<div style='break-after:page'></div>"
    page = request.getfixturevalue("browser").new_page()
    page.set_content(f"<meta charset='utf-8'>{text}{seal}{breaks}{scan}{breaks}{text}{table}")
    page.pdf(path=tmp_path / "a.pdf", format="A4")
    page.close()
    said = [line for line in read_draft(tmp_path / "a.pdf").warnings if "图片" in line]
    assert [line[:8] for line in said] == ["第2页是图片（扫", "第3页有图片，图"]

    document = docx.Document()
    for place, line in enumerate(STATION.lines[:12]):
        document.add_paragraph(line)
        if place in (5, 8):
            document.add_picture(io.BytesIO(picture_of()), width=Cm(4 if place == 5 else 12))
    document.save(str(tmp_path / "a.docx"))
    [line] = [line for line in read_draft(tmp_path / "a.docx").warnings if "图片" in line]
    assert f"“…{STATION.lines[8][-12:]}”之后有图片" in line


def test_deleted_text_is_left_out_and_inserted_text_read(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("示例省商务厅关于开展修订痕迹测试的通知")
    paragraph = document.add_paragraph("一、请于")
    for tag, text_tag, text in (("w:del", "w:delText", "5月1日"), ("w:ins", "w:t", "6月1日")):
        change, run, piece = OxmlElement(tag), OxmlElement("w:r"), OxmlElement(text_tag)
        piece.text = text
        run.append(piece)
        change.append(run)
        paragraph._p.append(change)
    paragraph.add_run("前报送材料。")
    path = tmp_path / "a.docx"
    document.save(str(path))
    assert read_draft(path).clauses[-1].full == "一、请于6月1日前报送材料。"


# --- refused -------------------------------------------------------------------------------------------------------


def archive(**parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def encrypted_pdf() -> bytes:
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n"
        b"4 0 obj<</Filter/Standard/V 1/R 2/P -4/O<" + b"00" * 32 + b">/U<" + b"11" * 32 + b">>>endobj\n"
        b"trailer<</Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]/Size 5>>\n%%EOF"
    )


def blank_pdf(text: bytes = b"") -> bytes:
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R/Size 4>>\n%%EOF" + text
    )


def damaged_docx() -> bytes:
    """An archive whose one part no longer unpacks."""
    content = archive(**{"word/document.xml": bytes(range(256)) * 9})
    return content[:80] + b"\xff" * 60 + content[140:]


MACROS = {"word__document.xml": b"<w/>", "word__vbaProject.bin": b"x"}
ENTITY = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]><d>&a;</d>'
HOSTILE: list[tuple[str, Callable[[], bytes], str, str]] = [
    (
        "a.docx",
        lambda: archive(word__document__xml=b"", **{"word/document.xml": b"0" * (80 * 2**20)}),
        "异常庞大",
        "粘贴",
    ),
    ("a.docx", lambda: archive(**MACROS), "宏", "不带宏"),
    ("a.docx", lambda: archive(**{"word/document.xml": ENTITY}), "外部引用", "另存为"),
    ("a.docx", lambda: archive(**{"xl/workbook.xml": b"<x/>"}), "电子表格", "items import"),
    ("a.docx", lambda: b"PK\x03\x04broken", "损坏", "重新下载"),
    ("a.docx", lambda: archive(**{"word/document.xml": b"<not-xml"}), "损坏", "重新下载"),
    ("a.docx", damaged_docx, "损坏", "重新下载"),
    ("a.docx", lambda: archive(**{"readme.txt": b"x"}), "不是 Word 文件", "另存为"),
    ("a.doc", lambda: b"\xd0\xcf\x11\xe0" + b"\0" * 600, "旧版 Office", "取消密码"),
    ("a.rtf", lambda: b"{\\rtf1 x}", "RTF", "另存为"),
    ("a.xlsx", lambda: b"PK", "电子表格", "items import"),
    ("a.csv", lambda: "县,日期".encode(), "电子表格", "items import"),
    ("a.pdf", encrypted_pdf, "密码", "取消密码"),
    ("a.pdf", lambda: b"%PDF-1.7 broken", "损坏", "重新下载"),
    ("a.pdf", blank_pdf, "扫描件", "文字识别"),
    ("a.jpg", lambda: b"\xff\xd8\xff\xe0" + b"0" * 99, "图片", "文字识别"),
    ("a.txt", lambda: b"", "空的", "重新选择"),
    ("a.txt", lambda: b"\0\1\2\3" * 99, "不是文本文件", ".docx"),
    ("a.txt", lambda: "各县认真落实，".encode() * 999, "没有句号", "粘贴"),
    ("a.txt", lambda: "各县认真落实。\n".encode() * 50_000, "文字过多", "粘贴"),
    ("a.txt", lambda: b"only english here, no notice at all", "没有读到中文", "扫描件"),
    ("a.docx", lambda: "这其实是一个文本文件，只是改了名字，不能当作文档来读。".encode(), "已损坏", "重新下载"),
    ("a.html", lambda: b"<html><script>alert(1)</script></html>", "没有读到中文", "扫描件"),
]


@pytest.mark.parametrize(
    ("name", "content", "trouble", "remedy"), HOSTILE, ids=[f"{row[2]}-{n}" for n, row in enumerate(HOSTILE)]
)
def test_a_file_that_is_no_notice_is_refused_with_a_remedy(
    name: str, content: Callable[[], bytes], trouble: str, remedy: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content())
    with pytest.raises(KnowledgeError) as caught:
        read_draft(path)
    [line] = caught.value.problems
    assert trouble in line
    assert remedy in line


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(500 * 2**20)
    with pytest.raises(KnowledgeError, match="500MB"):
        read_draft(path)
    assert path.stat().st_size > LARGEST


@pytest.mark.parametrize("what", ["missing.txt", "."])
def test_what_is_no_file_is_refused(what: str, tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError):
        read_draft(tmp_path / what)


# --- warned about --------------------------------------------------------------------------------------------------

HEAD = "示商建〔2021〕9号\n示例省商务厅关于核对提示信息的通知\n各市商务局：\n"
TAIL = "\n示例省商务厅\n2021年5月6日"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (HEAD.partition("\n")[2] + "一、请认真落实各项工作。" + TAIL, "没有读到文号"),
        (HEAD + "一、请认真落实各项工作。", "没有读到发文日期，期限的年份暂按2021年推算"),
        (HEAD + "一、请认真落实各项工作。\n三、请及时报送有关材料。" + TAIL, "编号不连续"),
        (HEAD + "（一）请认真落实。\n一、请及时报送有关材料。" + TAIL, "层次可能有误"),
        (HEAD + "第一条 请认真落实。\n一、请及时报送有关材料。" + TAIL, "混用"),
        (HEAD + "一、分配如下。\n1\t甲县已经完成全部整改任务。\t300万元" + TAIL, "没有表头"),
        (HEAD + "请认真落实各项工作，及时报送材料。" + TAIL, "没有读到编号条款"),
        ("各市商务局：\n请认真落实各项工作，及时报送有关材料和数据。\n一、请于5月底前报送材料。", "没有写年份"),
    ],
)
def test_what_is_unclear_is_warned_about_and_not_guessed(text: str, warning: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    assert any(warning in line for line in read_draft(path).warnings)


def test_a_sound_notice_has_no_warnings(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n".join(STATION.lines), encoding="utf-8")
    assert read_draft(path).warnings == ()
