"""How well questions are answered that were written without sight of the entries."""

import statistics
import uuid
from collections.abc import Iterator

import pytest

from bot.app import Desk, desk
from bot.messages import Inbound
from knowledge import semantic
from knowledge.base import VECTORS, KnowledgeBase, read
from tests.conftest import JUNE
from tests.questions import scoring

ROUNDS = ("round1", "round2", "round3", "round4", "round5", "round6")
NEWER = ("round7", "round8", "round9", "round10", "round11", "round12", "round13", "round14")


def asker(running: Desk) -> scoring.Callable[[scoring.Row], scoring.Row]:
    """Ask a row's earlier questions and then its own, as one conversation."""

    def ask(row: scoring.Row) -> scoring.Row:
        who = uuid.uuid4().hex
        for text in [*(row.get("prev") or []), row["q"]]:
            inbound = Inbound(channel="batch", message_id=uuid.uuid4().hex, address=who, text=text, at=JUNE)
            reply = running.turns.submit(inbound).result(timeout=60)
        answer = dict(reply.answer or {"kind": reply.kind, "citations": [], "verdict": None})
        return answer | {"text": reply.text}

    return ask


@pytest.fixture(scope="module")
def lexical() -> Iterator[Desk]:
    with desk(read().warmed()) as running:
        yield running


def test_without_the_encoder_fresh_questions_are_answered_right_or_not_at_all(lexical: Desk) -> None:
    found = scoring.totals(scoring.rows(*ROUNDS), asker(lexical))
    assert found["right"] >= 0.9
    assert found["said_and_wrong"] <= 0.06
    assert found["refused"] >= 0.95


@pytest.mark.skipif(not (semantic.available() and VECTORS.exists()), reason="no wheel of the encoder for this machine")
def test_with_the_encoder_more_is_answered_right(kb: KnowledgeBase) -> None:
    with desk(kb) as running:
        found = scoring.totals(scoring.rows(*ROUNDS, *NEWER), asker(running))
    assert found["right"] >= 0.93
    assert found["said_and_wrong"] <= 0.045
    assert found["refused"] >= 0.95
    assert found["concluded"] >= 0.83


@pytest.mark.parametrize("row", scoring.rows("twins"), ids=lambda row: row["q"])
def test_a_vague_question_between_twins_gets_both(kb: KnowledgeBase, lexical: Desk, row: scoring.Row) -> None:
    assert scoring.states_both(row, asker(lexical)(row))
    if kb.dense:
        with desk(kb) as running:
            assert scoring.states_both(row, asker(running)(row))


def test_the_conclusion_alone_answers_and_cards_are_short(kb: KnowledgeBase) -> None:
    answered, lengths = [], []
    with desk(kb) as running:
        ask = asker(running)
        for row in scoring.rows(*ROUNDS):
            answer = ask(row)
            if answer["kind"] == "answer":
                lengths.append(len(answer["text"]))
            if row["must"] and scoring.judge(row, answer) == "right":
                answered.append(scoring.headline_answers(row, answer))
    assert sum(answered) / len(answered) >= 0.9
    assert statistics.median(lengths) <= 250


def test_every_stored_vector_belongs_to_a_form_and_few_forms_lack_one(kb: KnowledgeBase) -> None:
    from knowledge.text import normalise

    keys = {semantic.key(normalise(form.text)) for entry in kb.entries for form in entry.forms}
    stored = set(semantic.read_vectors(VECTORS))
    assert len(stored - keys) <= 0.02 * len(keys), "run `make vectors`"
    assert len(keys - stored) <= 0.02 * len(keys), "run `make vectors`"


def test_every_answer_cites_and_quotes_word_for_word(kb: KnowledgeBase) -> None:
    with desk(kb) as running:
        ask = asker(running)
        for row in scoring.rows(*ROUNDS):
            answer = ask(row)
            if answer["kind"] == "answer":
                assert answer["citations"], row["q"]
            for citation in answer["citations"]:
                assert citation["quote"] in kb.clauses[citation["notice_id"], citation["clause"]].full
                assert len(answer["text"]) <= 600


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "？？？", "。。。！！", "😀😀😀", "a", "\x00\x01", "<script>alert(1)</script>", "'; DROP TABLE exchange; --",
        "{{7*7}}", "%s%n", "你好", "谢谢", "傻逼", "hello how are you today", "これはテストです", "问" * 10_000, "0", "９９",
        "\u202e你好", "ｗｈａｔ", "SELECT * FROM users WHERE 1=1",
    ],
)  # fmt: skip
def test_odd_input_gets_a_short_polite_line_and_no_invented_answer(kb: KnowledgeBase, text: str) -> None:
    with desk(kb) as running:
        inbound = Inbound(channel="batch", message_id=uuid.uuid4().hex, address="odd", text=text, at=JUNE)
        reply = running.turns.submit(inbound).result(timeout=60)
    assert reply.kind in ("chat", "abstain", "clarify")
    assert 4 <= len(reply.text) <= 400
    assert "Traceback" not in reply.text
    assert "系统繁忙" not in reply.text


def test_questions_asked_both_ways_round_get_the_right_verdict(kb: KnowledgeBase) -> None:
    rows = scoring.rows("reversed")
    with desk(kb) as running:
        ask = asker(running)
        missed = [row["q"] for row in rows if ask(row)["verdict"] != row["verdict"]]
    assert len(missed) <= 0.05 * len(rows), missed
