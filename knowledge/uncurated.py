"""Answers from notices that nobody has written entries for yet: a clause quoted, never a conclusion drawn."""

import re

import numpy as np

from knowledge.candidates import Asked
from knowledge.matching import holds
from knowledge.model import CLEAR, Answer, Cite, Clause
from knowledge.question import HARD_SLOTS
from knowledge.search import Vector
from knowledge.text import normalise

FROM = 0.27  # a clause this near answers,
RIVALRY, LEAD = 0.75, 0.17  # when it stays so far ahead of this share of the nearest clause that entries speak for
BESIDE = 0.92  # another clause this share as near is quoted too
WITH_VALUE, WITHOUT_VALUE = 1.3, 0.8  # for a sentence that holds the kind of value asked for, or none
LONGEST_QUOTE = 320  # characters; of a longer clause the nearest sentence is quoted


def answer_from_clauses(asked: Asked) -> Answer | None:
    """Quote the clause of an uncurated notice that a question is about; None where none is clearly nearest."""
    kb, question = asked.kb, asked.question
    if not kb.uncurated or _names_another(asked):
        return None
    scores, by_sentence = _scores(asked, question.text, question.official)
    new = np.array([clause.notice_id in kb.uncurated and not _is_frame(asked, clause) for clause in kb.clause_list])
    known = np.array([clause.notice_id not in kb.uncurated for clause in kb.clause_list])
    new, known = new & kb.clauses_in_force, known & kb.clauses_in_force
    first = int(np.argmax(np.where(new, scores, 0.0)))
    best = float(scores[first])
    rival = float(np.where(known, scores, 0.0).max())
    if not new[first] or best < FROM or best - RIVALRY * rival < LEAD:
        return None
    notice = kb.clause_list[first].notice_id
    within = np.array([of_notice.notice_id == notice for of_notice in kb.clause_list]) & new
    ranked = [int(n) for n in np.argsort(-np.where(within, scores, 0.0), kind="stable")[:2] if within[n]]
    places = [n for n in ranked if scores[n] >= BESIDE * scores[ranked[0]]]
    return asked.reply(
        status=CLEAR,
        verdict="info",
        statement=asked.say("clause_found"),
        citations=asked.cited(tuple(cite for place in places for cite in _cites(asked, place, by_sentence))),
        score=best,
        route=f"clause:{kb.clause_list[places[0]].id}",
    )


def _scores(asked: Asked, *texts: str) -> tuple[Vector, Vector]:
    """Nearness of every clause, half its own and half that of its nearest sentence; nearness of every sentence."""
    kb = asked.kb
    whole = np.maximum.reduce([kb.clause_index.scores(text) for text in texts])
    by_sentence = np.maximum.reduce([kb.sentence_index.scores(text) for text in texts])
    hard = asked.question.slots & HARD_SLOTS
    if hard:
        fits = (bool(hard & holds(text)) for _, text in kb.clause_sentences)
        by_sentence = by_sentence * np.array([WITH_VALUE if fit else WITHOUT_VALUE for fit in fits], dtype=np.float32)
    nearest = np.zeros(len(kb.clause_list), dtype=np.float32)
    np.maximum.at(nearest, [place for place, _ in kb.clause_sentences], by_sentence)
    return (whole + nearest) / 2, by_sentence


def _names_another(asked: Asked) -> bool:
    """True when a question names a notice that entries speak for: 48号文的联系人."""
    others = (notice for notice in asked.kb.notices if notice.id not in asked.kb.uncurated)
    names = (name for notice in others for name in (notice.number or "", notice.title, *notice.aliases) if name)
    return any(normalise(name) in asked.question.text for name in names)


def _is_frame(asked: Asked, clause: Clause) -> bool:
    """True for titles, addressees, reasons given at the start, signatures, lists of attachments, and contacts unasked."""
    if clause.label.startswith("导语"):
        numbered = (clause.notice_id, "一") in asked.kb.clauses or (clause.notice_id, "第一条") in asked.kb.clauses
        return numbered or len(clause.text) < 40 or clause.text.endswith(("：", ":"))
    if re.match(r"[（(]?(?:联\s*系\s*人|电\s*话|传\s*真|邮\s*箱)", clause.text):
        return "phone" not in asked.question.slots
    listed = re.match(r"附件\s*\d*\s*[:：]?", clause.text) and len(clause.text) < 60
    return clause.label.startswith("尾段") or bool(listed) or re.fullmatch(r"附件\d+", clause.label) is not None


def _cites(asked: Asked, place: int, by_sentence: Vector) -> list[Cite]:
    """The clause's text, or the nearest sentence of a long one, byte for byte; after an item, what opens its list."""
    kb = asked.kb
    clause = kb.clause_list[place]
    quote = clause.text
    if len(quote) > LONGEST_QUOTE:
        own = [n for n, (of, _) in enumerate(kb.clause_sentences) if of == place]
        quote = kb.clause_sentences[max(own, key=lambda n: by_sentence[n])][1]
    cites = [Cite(notice=clause.notice_id, clause=clause.label, quote=quote)]
    if lead := kb.lead(clause):
        cites.append(Cite(notice=lead.notice_id, clause=lead.label, quote=lead.text))
    return cites
