"""The web server over HTTP, as browsers and programs meet it."""

import json
import time
import uuid
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, inspect

from bot.migrate import check
from storage.models import Base
from tests.commands import Program
from tests.conftest import serve
from tests.questions import scoring


def ask(site: str, **body: object) -> httpx.Response:
    return httpx.post(f"{site}/api/v1/ask", json=body, timeout=30)


def test_the_api_answers_in_the_agreed_shape(site: str) -> None:
    answer = ask(site, q="拨付率85%能二次申报吗", on="2020-06-01").json()
    assert answer["kind"] == "answer"
    assert answer["verdict"] == "no"
    assert answer["headline"].startswith("不可以")
    assert answer["text"].startswith(answer["headline"])
    assert answer["as_of"] == "2020-06-01"
    assert answer["citations"][0]["notice_id"] == "demonstration-2020"
    assert answer["citations"][0]["number"] is None
    assert answer["citations"][0]["clause"] == "四¶3"
    expected = {"question", "kind", "status", "verdict", "headline", "text", "more", "citations", "choices", "missing"}
    assert expected | {"as_of", "edition", "score", "route"} <= set(answer)


def test_the_api_uses_stated_facts_and_keeps_a_session(site: str) -> None:
    answer = ask(
        site, q="问题整改什么时候完成", facts={"batch_year": "2016", "evaluated": "yes"}, on="2020-06-01"
    ).json()
    assert "6月30日" in answer["headline"]
    session = uuid.uuid4().hex
    ask(site, q="二次申报要什么条件", session=session, on="2020-06-01")
    assert ask(site, q="我们只有88%呢", session=session, on="2020-06-01").json()["verdict"] == "no"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"q": "x", "facts": {"planet": "2016"}}, "planet"),
        ({"q": "x", "facts": {"use_rate": "很多"}}, "use_rate"),
        ({"q": "x", "on": "昨天"}, "昨天"),
        ({"session": "a"}, "q"),
        ({"q": "x", "extra": 1}, "extra"),
        ({"q": "x" * 20_000}, "q"),
    ],
)
def test_a_wrong_call_is_named_in_chinese(site: str, body: dict[str, object], named: str) -> None:
    response = httpx.post(f"{site}/api/v1/ask", json=body, timeout=30)
    assert response.status_code == 422
    assert "请求有误" in response.json()["error"]
    assert named in response.json()["error"]


def test_search_answers_from_two_characters_with_all_that_the_page_needs(site: str) -> None:
    assert httpx.get(f"{site}/api/v1/search", params={"q": "大"}).json()["results"] == []
    results = httpx.get(f"{site}/api/v1/search", params={"q": "大屏", "limit": 3}).json()["results"]
    assert 1 <= len(results) <= 3
    first = results[0]
    assert first["citations"][0]["clause"] == "附件1-2.1"
    assert first["why"] == "大屏 → 大型电子显示屏"
    assert set(first["copies"]) == {"sms", "wechat", "formal"}
    assert len(first["aloud"]) <= 80
    assert "不可以" not in first["copies"]["formal"]


def test_the_chat_keeps_a_visitor_by_cookie_and_dedupes_a_resend(site: str) -> None:
    with httpx.Client(base_url=site, timeout=30) as browser:
        body = {"message_id": uuid.uuid4().hex, "text": "16年的示范县整改期限"}
        first = browser.post("/chat", json=body).json()
        assert browser.post("/chat", json=body).json() == first
        exchanges = browser.get("/chat/history").json()["exchanges"]
    assert [one["said"] for one in exchanges] == ["16年的示范县整改期限"]
    assert exchanges[0]["reply"] == first["reply"]


def test_a_forged_cookie_reads_nobodys_conversation(site: str) -> None:
    with httpx.Client(base_url=site, timeout=30) as browser:
        browser.post("/chat", json={"message_id": uuid.uuid4().hex, "text": "你好"})
        visitor, _, seal = browser.cookies["countydesk_visitor"].partition(".")
    for cookie in (
        visitor,
        f"{visitor}.",
        f"{visitor}.{seal[:-1]}{'1' if seal[-1] == '0' else '0'}",
        f"x{visitor}.{seal}",
        "..",
        "",
    ):
        history = httpx.get(f"{site}/chat/history", headers={"cookie": f"countydesk_visitor={cookie}"})
        assert history.json() == {"exchanges": []}


def test_every_clause_has_an_anchor_on_its_notice_page(site: str, kb: object) -> None:
    for notice in kb.notices:  # type: ignore[attr-defined]  # the fixture's type is known where it is made
        page = httpx.get(f"{site}/notice/{notice.id}").text
        for clause in notice.clauses:
            assert f'id="{clause.label}"' in page


def test_pages_forbid_inline_script_and_foreign_hosts(site: str) -> None:
    for path in ("/", "/lookup", "/notices", "/notice/144-2020"):
        response = httpx.get(f"{site}{path}")
        assert response.status_code == 200
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert "http://" not in response.text.replace("http://www.w3.org", "")
        assert "https://" not in response.text


def test_an_unknown_page_is_a_chinese_404(site: str) -> None:
    response = httpx.get(f"{site}/notice/nothing", headers={"accept": "text/html"})
    assert response.status_code == 404
    assert "没有这份文件" in response.text
    assert "没有这个页面" in httpx.get(f"{site}/nowhere").json()["error"]


def test_health(site: str) -> None:
    assert httpx.get(f"{site}/healthz").text == "ok"
    assert httpx.get(f"{site}/readyz").text == "ready"


def test_the_demo_speaks_as_a_sample_county_at_its_own_date(demo_site: str) -> None:
    with httpx.Client(base_url=demo_site, timeout=30) as browser:

        def said(text: str) -> str:
            body = {"message_id": uuid.uuid4().hex, "text": text}
            return str(browser.post("/chat", json=body).json()["reply"]["text"])

        assert "资金拨付率88%" in said("我是秦安县")
        assert "未达到二次申报" in said("我们县能二次申报吗")
        deadline = said("问题整改什么时候完成")
        assert "6月30日" in deadline
        assert "时限已过" not in deadline
        assert "样例省份里没有火星县" in said("我是火星县")


def test_migrations_and_models_agree(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    check(url)
    tables = set(inspect(create_engine(url)).get_table_names())
    assert tables == {"alembic_version", *Base.metadata.tables}


def test_the_api_reply_is_plain_json(site: str) -> None:
    text = ask(site, q="<script>alert(1)</script>能报销吗").text
    assert json.loads(text)["kind"] in ("abstain", "answer", "clarify", "chat")


def test_search_works_for_every_keyword_of_the_blind_rounds(site: str) -> None:
    keywords = [row["q"] for row in scoring.rows("round1", "round2", "round3", "round4") if len(row["q"]) <= 8]
    assert len(keywords) > 60
    with httpx.Client(base_url=site, timeout=30) as client:
        for text in ["教材", *keywords[::2]]:
            response = client.get("/api/v1/search", params={"q": text})
            assert response.status_code == 200, text
            for found in response.json()["results"]:
                assert all(citation["source"] for citation in found["citations"])


def test_an_officers_answer_appears_in_the_open_chat(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTYDESK_PATHS__DATA", str(tmp_path / "data"))
    served = serve(tmp_path)
    site = next(served)
    with httpx.Client(base_url=site, timeout=30) as browser:
        said = {"message_id": uuid.uuid4().hex, "text": "一个村级站点补多少钱"}
        assert browser.post("/chat", json=said).json()["reply"]["kind"] == "abstain"
        [asked] = browser.get("/chat/history").json()["exchanges"]
        listed = json.loads(program("questions", "list", "--json", cwd=tmp_path).stdout)
        words = ["--text", "金额由县里定。", "--notice", "demonstration-2020", "--clause", "六(二)"]
        words += ["--quote", "因地制宜制定实施方案，细化资金支持方向和奖补标准", "--officer", "样例"]
        done = program("questions", "answer", str(listed["id"]), *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        for _ in range(100):
            found = browser.get("/chat/new", params={"after": asked["id"]}).json()["exchanges"]
            if found:
                break
            time.sleep(0.1)
        [pushed] = found
        assert pushed["said"] is None
        assert "金额由县里定。" in pushed["reply"]["text"]
        assert browser.get("/chat/new", params={"after": pushed["id"]}).json()["exchanges"] == []
        assert browser.get("/chat/history").json()["exchanges"][-1] == pushed
    assert httpx.get(f"{site}/chat/new", params={"after": 0}).json()["exchanges"] == []
    served.close()
