"""Measure speed, memory and quality; prints one Markdown table. usage: run.py [QUESTIONS.jsonl …]

Speed is measured on one core. Quality uses the question sets of tests/questions, with and without the encoder, and
any further files of the same form that are named.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import cn2an  # noqa: E402

from bot.app import desk  # noqa: E402
from bot.messages import Inbound  # noqa: E402
from knowledge import semantic  # noqa: E402
from knowledge.answer import answer  # noqa: E402
from knowledge.base import VECTORS, KnowledgeBase, load, read  # noqa: E402
from tests.questions import scoring  # noqa: E402

JUNE = datetime(2020, 6, 1, 4, tzinfo=UTC)
SERVING: dict[str, int] = {}
PROGRAM = str(Path(sys.executable).parent / "countydesk")


def percentile(times_s: list[float], share: float) -> str:
    ordered = sorted(times_s)
    return f"{ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))] * 1000:.1f} ms"


def warm(kb: KnowledgeBase, questions: list[str]) -> list[float]:
    """Seconds for each question, every one asked for the first time, after twenty others."""
    times: list[float] = []
    for number, text in enumerate(questions):
        started = time.perf_counter()
        answer(kb, text, on=date(2020, 6, 1))
        if number >= 20:
            times.append(time.perf_counter() - started)
    return times


def asker(kb: KnowledgeBase) -> Iterator[Callable[[scoring.Row], scoring.Row]]:
    with desk(kb) as running:

        def ask(row: scoring.Row) -> scoring.Row:
            who = uuid.uuid4().hex
            for text in [*(row.get("prev") or []), row["q"]]:
                inbound = Inbound(channel="batch", message_id=uuid.uuid4().hex, address=who, text=text, at=JUNE)
                reply = running.turns.submit(inbound).result()
            found = dict(reply.answer or {"kind": reply.kind, "citations": [], "verdict": None})
            return found | {"text": reply.text}

        yield ask


def quality(kb: KnowledgeBase, rows: list[scoring.Row]) -> dict[str, float]:
    for ask in asker(kb):
        return scoring.totals(rows, ask)
    raise AssertionError


def cold(cache: str) -> float:
    """Seconds of one `ask` in a new process."""
    started = time.perf_counter()
    subprocess.run(
        [PROGRAM, "ask", "大屏"], check=True, capture_output=True, env={**os.environ, "XDG_CACHE_HOME": cache}
    )
    return time.perf_counter() - started


@contextmanager
def server(port: int) -> Iterator[str]:
    """A server on a data folder of its own."""
    import httpx

    site, folder = f"http://127.0.0.1:{port}", tempfile.mkdtemp()
    process = subprocess.Popen([PROGRAM, "serve", "--port", str(port)], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                httpx.get(f"{site}/readyz")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        SERVING[site] = process.pid
        yield site
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def served_mb() -> float:
    """Resident megabytes of a server that has answered twenty questions."""
    import httpx

    with server(8799) as site:
        for row in scoring.rows("round1")[:20]:
            httpx.post(f"{site}/api/v1/ask", json={"q": row["q"]}, timeout=30)
        pages = int(Path(f"/proc/{SERVING[site]}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6


def looked_up() -> list[float]:
    """Seconds from the last key to the first result on /lookup in headless Chromium."""
    from playwright.sync_api import sync_playwright

    script = """async text => {
        const box = document.querySelector("input[type=search], input");
        box.value = text;
        const started = performance.now();
        box.dispatchEvent(new InputEvent("input", {bubbles: true}));
        await new Promise(done => {
            const seen = () => document.querySelector("[role=option]") ? done() : requestAnimationFrame(seen);
            requestAnimationFrame(seen);
        });
        return (performance.now() - started) / 1000;
    }"""
    times: list[float] = []
    with server(8798) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        for text in ("大屏", "二次申报", "买流量", "传真", "整改期限", "ecsb", "验收条件", "站点补贴", "教材", "退坡"):
            page = browser.new_page()
            page.goto(f"{site}/lookup")
            page.set_default_timeout(10_000)
            times.append(float(page.evaluate(script, text)))
            page.close()
        browser.close()
    return times


PAGE = 700  # characters of an official document: 22 lines of 28, and some


def imported() -> float:
    """Seconds that `notice import --dry-run` takes for a Word file of twenty pages, a table on every page."""
    import docx

    folder = Path(tempfile.mkdtemp())
    document = docx.Document()
    document.add_paragraph("示例省商务厅关于测量导入速度的通知")
    for page in range(1, 21):
        document.add_paragraph(f"第{cn2an.an2cn(page)}条 各示范县应于{page % 12 + 1}月{page}日前报送第{page}期材料。")
        for item, number in enumerate("一二三四五", 1):
            words = f"有关部门要会同财政部门按不低于{page}%的比例安排资金，不得用于其他支出。" * 3
            document.add_paragraph(f"（{number}）第{item}项工作。{words}")
        row = document.add_table(rows=1, cols=3).rows[0].cells
        for cell, text in zip(row, (str(page), "内容", "要求" * 20), strict=True):
            cell.text = text
    assert sum(len(paragraph.text) for paragraph in document.paragraphs) > 20 * PAGE * 0.8
    document.save(str(folder / "long.docx"))
    started = time.perf_counter()
    subprocess.run(
        [PROGRAM, "notice", "import", str(folder / "long.docx"), "--dry-run"], check=True, capture_output=True
    )
    shutil.rmtree(folder)
    return time.perf_counter() - started


def main() -> None:
    lines: list[tuple[str, str]] = []
    cache = tempfile.mkdtemp()
    lines.append(("first `ask` ever (index built)", f"{cold(cache):.1f} s"))
    lines.append(("cold `ask`, median of 5", f"{statistics.median(cold(cache) for _ in range(5)):.1f} s"))
    shutil.rmtree(cache)
    lines.append(("20-page .docx through `notice import`", f"{imported():.1f} s"))
    lines.append(("`serve` resident after 20 questions", f"{served_mb():.0f} MB"))
    if Path("/usr/bin/chromium").exists():
        keyed = looked_up()
        lines.append(
            (
                "/lookup, last key to first result: median / worst of 10",
                f"{percentile(keyed, 0.5)} / {percentile(keyed, 1)}",
            )
        )
    sets = {name: scoring.rows(name) for name in sorted(path.stem for path in scoring.HERE.glob("*.jsonl"))}
    for name in sys.argv[1:]:
        sets[Path(name).stem] = [json.loads(line) for line in Path(name).read_text("utf-8").splitlines()]
    bases = {"words alone": read().warmed()}
    if semantic.available() and VECTORS.exists():
        bases["with the encoder"] = load()
    questions = [row["q"] for rows in sets.values() for row in rows if not row.get("prev")]
    os.sched_setaffinity(0, {0})
    for name, kb in bases.items():
        times = warm(kb, questions)
        lines.append((f"warm question, {name}: p50 / p99", f"{percentile(times, 0.5)} / {percentile(times, 0.99)}"))
    print("| measured | value |\n|---|---|")
    for what, value in lines:
        print(f"| {what} | {value} |")
    print(
        "\n| questions | configuration | n | right | said and wrong | refused | concluded |\n|---|---|---|---|---|---|---|"
    )
    for set_name, rows in sets.items():
        for name, kb in bases.items():
            found = quality(kb, rows)
            shares = " | ".join(f"{found[key]:.3f}" for key in ("right", "said_and_wrong", "refused", "concluded"))
            print(f"| {set_name} | {name} | {found['questions']:.0f} | {shares} |")


if __name__ == "__main__":
    main()
