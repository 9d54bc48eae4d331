"""Answers from notices that nobody has written entries for yet: a clause quoted, never a conclusion drawn."""

import numpy as np

from knowledge.candidates import Asked
from knowledge.model import CLEAR, Answer, Cite
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
    uncurated = np.array([notice.id in kb.uncurated for notice in kb.notices])[kb.clause_notices] & kb.clauses_in_force
    known = kb.clauses_in_force & ~uncurated
    new = uncurated & (kb.clause_parts != "frame")
    if "phone" not in question.slots:
        new &= kb.clause_parts != "contact"
    first = int(np.argmax(np.where(new, scores, 0.0)))
    best = float(scores[first])
    rival = float(np.where(known, scores, 0.0).max())
    if not new[first] or best < FROM or best - RIVALRY * rival < LEAD:
        return None
    within = new & (kb.clause_notices == kb.clause_notices[first])
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
    whole = np.maximum.reduce([kb.clause_index.scores(text) for text in set(texts)])
    by_sentence = np.maximum.reduce([kb.sentence_index.scores(text) for text in set(texts)])
    hard = asked.question.slots & HARD_SLOTS
    if hard:
        fits = np.zeros(len(kb.sentence_places), dtype=bool)
        for kind in hard & kb.sentence_values.keys():
            fits |= kb.sentence_values[kind]
        by_sentence = by_sentence * np.where(fits, WITH_VALUE, WITHOUT_VALUE).astype(np.float32)
    nearest = np.zeros(len(kb.clause_list), dtype=np.float32)
    np.maximum.at(nearest, kb.sentence_places, by_sentence)
    return (whole + nearest) / 2, by_sentence


def _names_another(asked: Asked) -> bool:
    """True when a question names a notice that entries speak for: 48号文的联系人."""
    others = (notice for notice in asked.kb.notices if notice.id not in asked.kb.uncurated)
    names = (name for notice in others for name in (notice.number or "", notice.title, *notice.aliases) if name)
    return any(normalise(name) in asked.question.text for name in names)


def _cites(asked: Asked, place: int, by_sentence: Vector) -> list[Cite]:
    """The clause's text, or the nearest sentence of a long one, byte for byte; after an item, what opens its list."""
    kb = asked.kb
    clause = kb.clause_list[place]
    quote = clause.text
    if len(quote) > LONGEST_QUOTE:
        own = np.flatnonzero(kb.sentence_places == place)
        quote = kb.clause_sentences[own[np.argmax(by_sentence[own])]][1]
    cites = [Cite(notice=clause.notice_id, clause=clause.label, quote=quote)]
    if lead := kb.lead(clause):
        cites.append(Cite(notice=lead.notice_id, clause=lead.label, quote=lead.text))
    return cites
