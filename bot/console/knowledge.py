"""知识库: what the assistant answers from, to read and to search; what is asked most, and what nothing answers."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from bot import planner
from bot.console.frame import PAGE, PROVINCE, Console, Desk, Entry, Sent, page_number, query
from bot.messages import Refused
from bot.texts import label_text, say
from bot.workdays import LOCAL
from handlers import desk as answering
from handlers import reminders as reminding
from knowledge.base import KnowledgeBase
from knowledge.expense import Expense
from knowledge.facts import KINDS
from knowledge.model import Cite
from knowledge.model import Entry as Fact
from knowledge.rules import Rule
from storage import people, questions, reminders, scope

READERS = (*PROVINCE, "hotline")
MENU = (Entry(path="/console/knowledge", label="知识库", roles=READERS),)
MOST = 10  # questions in each list of the first page


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a list. `also` is found by a search and not shown."""

    title: str
    text: str
    url: str = ""
    cites: tuple[Cite, ...] = ()
    status: str = ""
    also: str = ""

    def has(self, sought: str) -> bool:
        return any(sought in one for one in (self.title, self.text, self.also, *_quotes(self.cites)))


def router(console: Console) -> APIRouter:
    """The pages of what is known."""
    routes = APIRouter()

    @routes.get("/console/knowledge")
    def overview(request: Request) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _overview(desk)

    @routes.get("/console/knowledge/calendar")
    def calendar(request: Request) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _calendar(desk)

    @routes.post("/console/knowledge/calendar/{deadline}")
    def decide(request: Request, deadline: str, form: Sent) -> Response:
        """Let a date start reminders, or not."""
        with console.act(request, form, *scope.MAY["settle_deadlines"]) as desk:
            words = "确认" if form.get("confirmed") == "yes" else "不提醒"
            try:
                told = reminding.decide(replace(desk.turn(), text=f"{words}时限 {deadline}")).text
            except Refused as no:
                told = str(no)
            return desk.back("/console/knowledge/calendar", told)

    @routes.get("/console/knowledge/{kind:path}")
    def listed(request: Request, kind: str) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            if kind not in LISTS:
                raise HTTPException(404)
            return _listed(desk, kind)

    return routes


def _overview(desk: Desk) -> HTMLResponse:
    kb = desk.console.kb()
    unanswered = answering.groups(desk.db, kb)[:MOST]
    unchecked = sorted(
        (one for one in kb.notices if one.text_status != "official"),
        key=lambda one: (one.issued_on is not None, str(one.issued_on), one.id),
    )
    return desk.page(
        "desk/knowledge.html", edition=kb.edition, counts={kind: sum(1 for _ in lines(kb)) for kind, lines in LISTS.items()},
        asked=questions.most_asked(desk.db, MOST), unanswered=unanswered, unchecked=unchecked,
        unreviewed=[one for one in kb.entries if one.reviewer is None],
        may_answer=desk.viewer.may("answer_questions"), may_edit=desk.viewer.may("edit_knowledge"),
    )  # fmt: skip


def _calendar(desk: Desk) -> HTMLResponse:
    """The deadlines of the notices by date, with what each of them waits for before it starts reminders."""
    kb, today = desk.console.kb(), desk.now.astimezone(LOCAL).date()
    marked, days = reminders.marked(desk.db), planner.workdays(desk.db)
    marks = {key: one.confirmed for key, one in marked.items()}
    with scope.serving(desk.db, scope.SYSTEM):
        names = people.names(desk.db)
    rows = [
        {
            "one": one, "source": _source(kb, one.cite, today), "official": _is_official(kb, one.cite.notice),
            "mark": marked.get((one.id, one.due_on)), "starts": planner.starts(kb, one, marks),
            "last_workday": days.on_or_before(one.due_on), "past": one.due_on < today,
        }
        for one in sorted(kb.deadlines, key=lambda one: (one.due_on < today, one.due_on))
    ]  # fmt: skip
    return desk.page(
        "desk/calendar.html", rows=rows, kinds=list(LISTS), names_of=names, role_names=scope.ROLES,
        may_decide=desk.viewer.may("settle_deadlines"),
    )  # fmt: skip


def _is_official(kb: KnowledgeBase, notice_id: str) -> bool:
    notice = kb.notice(notice_id)
    return notice is not None and notice.text_status == "official"


def _listed(desk: Desk, kind: str) -> HTMLResponse:
    kb, number, on = desk.console.kb(), page_number(desk.request), desk.now.astimezone(LOCAL).date()
    text = desk.request.query_params.get("q", "").strip()[:100]
    found = (line for line in LISTS[kind](kb) if not text or line.has(text))
    rows = list(islice(found, (number - 1) * PAGE, number * PAGE + 1))
    return desk.page(
        "desk/knowledge_list.html", kind=kind, kinds=list(LISTS), text=text, number=number,
        rows=[(line, [_source(kb, cite, on) for cite in line.cites]) for line in rows[:PAGE]],
        earlier=query(desk.request, page=number - 1 if number > 1 else ""),
        later=query(desk.request, page=number + 1) if len(rows) > PAGE else "",
    )  # fmt: skip


def _source(kb: KnowledgeBase, cite: Cite, on: date) -> dict[str, str]:
    return {
        "source": say("ask.source", citation=kb.citation(cite, on)),
        "url": notice_url(cite.notice, cite.clause),
        "quote": cite.quote,
    }


def notice_url(notice_id: str, clause: str = "") -> str:
    """Where a notice is read, at one of its clauses."""
    return f"/notice/{notice_id}" + (f"#{quote(clause)}" if clause else "")


def _quotes(cites: Iterable[Cite]) -> Iterator[str]:
    return (cite.quote for cite in cites)


def titled(kb: KnowledgeBase, name: str) -> str:
    """What people call a curated thing, of its id as the checks write it: rule“case”, check 的 point."""
    titles = {one.id: one.title for one in kb.entries} | {one.id: one.title for one in kb.expenses}
    titles |= {name: rule.title for name, rule in kb.rules.items()}
    titles |= {one.id: one.what for one in kb.deadlines} | {one.id: one.what for one in kb.submissions}
    titles |= {line.id: line.text for lines in kb.checklists.values() for line in lines}
    titles |= {f"{check.id} 的 {point.id}": point.text for check in kb.checks.values() for point in check.points}
    whole, quoted, case = name.partition("“")
    return titles.get(name) or titles.get(whole, whole) + quoted + case


# --- what is listed --------------------------------------------------------------------------------------------------


def _notices(kb: KnowledgeBase) -> Iterator[Line]:
    for one in kb.notices:
        text = say("frame.notice_line", notice=one)
        yield Line(
            title=one.name, text=text, url=f"/console/knowledge/notices/{one.id}", status=say("frame.text_status", notice=one),
            also=" ".join(one.aliases),
        )  # fmt: skip


def _clauses(kb: KnowledgeBase) -> Iterator[Line]:
    names = {one.id: one.name for one in kb.notices}
    for one in kb.clauses.values():
        title = f"{names[one.notice_id]} {label_text(one.label)}"
        yield Line(title=title, text=one.full, url=notice_url(one.notice_id, one.label), also=one.label)


def _entry(one: Fact) -> Line:
    return Line(
        title=one.title,
        text=one.statement,
        cites=(*one.cites, *filter(None, (one.onward,))),
        status=say("frame.reviewed", status=one.status, reviewer=one.reviewer),
        also=" ".join((one.id, *(form.text for form in one.forms))),
    )


def _entries(kb: KnowledgeBase) -> Iterator[Line]:
    return (_entry(one) for one in kb.entries if not one.absent)


def _absent(kb: KnowledgeBase) -> Iterator[Line]:
    return (_entry(one) for one in kb.entries if one.absent)


def _rules(kb: KnowledgeBase) -> Iterator[Line]:
    return (line for rule in kb.rules.values() for line in _cases(rule))


def _cases(rule: Rule) -> Iterator[Line]:
    """Each case of a rule, its facts by their names."""
    for case in (part for whole in rule.cases for part in (whole, *whole.finer)):
        words = re.sub(r"\{(\w+)[^}]*\}", lambda match: say("frame.fact", name=_fact_name(match[1])), case.statement)
        asks = say("frame.facts", names=[_fact_name(key) for key in rule.facts])
        yield Line(
            title=say("frame.case", rule=rule.title, case=case.name),
            text=words,
            cites=case.cites,
            status=asks,
            also=rule.id,
        )


def _fact_name(key: str) -> str:
    return KINDS[key].label if key in KINDS else say("frame.sum")


def _expenses(kb: KnowledgeBase) -> Iterator[Line]:
    return (_expense(one) for one in kb.expenses)


def _expense(one: Expense) -> Line:
    return Line(
        title=one.title, text=one.statement, cites=one.cites, status=one.outcome, also=" ".join((one.id, *one.names))
    )


def _words(kb: KnowledgeBase) -> Iterator[Line]:
    read = {**kb.wording.official, **kb.wording.confusions}
    return (Line(title=word, text=official) for word, official in read.items() if word != official)


LISTS: Mapping[str, Callable[[KnowledgeBase], Iterator[Line]]] = {  # in the order of the tabs
    "notices": _notices,
    "clauses": _clauses,
    "entries": _entries,
    "rules": _rules,
    "expenses": _expenses,
    "unanswered": _absent,
    "synonyms": _words,
}
