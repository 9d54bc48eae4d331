"""The knowledge base: everything read from files, checked, indexed, and identified by an edition."""

import hashlib
import io
import re
import tempfile
import zipfile
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import rjieba
from numpy.typing import NDArray

from knowledge import semantic
from knowledge.cache import cached
from knowledge.checklists import Checklists, load_checklists
from knowledge.checks import Check, load_checks
from knowledge.checks import cites as checks_cites
from knowledge.deadlines import Deadline, load_deadlines
from knowledge.expense import Expense, load_expenses
from knowledge.facts import read_facts
from knowledge.files import Problems, load_entries, read_yaml
from knowledge.matching import Matcher, holds
from knowledge.model import Citation, Cite, Clause, Entry, KnowledgeError, Notice
from knowledge.notices import load_notices, part_of
from knowledge.question import Question, is_yes_no, leaning, modal, slots
from knowledge.rules import Rule, load_rules
from knowledge.search import Bm25
from knowledge.submissions import Submission, load_submissions
from knowledge.text import initials, normalise, sentences
from knowledge.validity import Spans, spans
from knowledge.validity import problems as supersession_problems
from knowledge.wording import Repairer, Wording, load_wording

DATA = Path(__file__).parent / "data"
NOTICES = "notices"  # the folder of the notices within the files
WRITTEN = "entries/"  # where entries lie within the files; own-3.yaml is one that was written here
VECTORS = Path(__file__).parent / "vectors.npz"
REMEMBERED = 4096  # questions and answers
_LONGEST_LEAD = 120  # characters
Key = TypeVar("Key")
Made = TypeVar("Made")
_OF_TEXTS = (
    "clause_list", "clause_index", "clause_notices", "clause_parts", "clause_sentences", "sentence_places",
    "sentence_values", "sentence_index", "repairer", "spans",
)  # fmt: skip
_INDEXES = ("matcher", "by_id", "initials", "rule_of", "uncurated", *_OF_TEXTS)


def remembered(kept: dict[Key, Made], key: Key, make: Callable[[], Made]) -> Made:
    """What was made for a key before, or is made now. So that it cannot grow for ever, all is forgotten when full."""
    known = kept.get(key)
    if known is None:
        if len(kept) >= REMEMBERED:
            kept.clear()
        known = kept[key] = make()
    return known


@dataclass(frozen=True, kw_only=True)
class KnowledgeBase:
    """One edition of the knowledge, immutable. `digest` is the hash of its files, `number` counts publications."""

    notices: tuple[Notice, ...]
    entries: tuple[Entry, ...]
    expenses: tuple[Expense, ...]
    rules: dict[str, Rule]
    wording: Wording
    phrases: dict[str, str]
    digest: str
    checklists: Checklists = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    submissions: tuple[Submission, ...] = ()
    deadlines: tuple[Deadline, ...] = ()
    number: int = 1
    dense: bool = False
    clauses: dict[tuple[str, str], Clause] = field(default_factory=dict)
    answered: dict[Any, Any] = field(
        default_factory=dict, compare=False
    )  # Any: kept by knowledge.answer, which imports this
    understood: dict[tuple[str, int], Question] = field(default_factory=dict, compare=False)
    alike: dict[tuple[str, ...], list[int]] = field(default_factory=dict, compare=False)  # kept by handlers.desk
    views: "dict[int, KnowledgeBase]" = field(default_factory=dict, compare=False)
    on: date | None = None

    def numbered(self, number: int) -> "KnowledgeBase":
        """The same knowledge under its publication number."""
        fresh = replace(self, number=number, answered={}, understood={}, views={})
        fresh.__dict__.update({name: self.__dict__[name] for name in _INDEXES if name in self.__dict__})
        return fresh

    def warmed(self) -> "KnowledgeBase":
        """The same base with every index built."""
        self.matcher.match(self.understand("预热问题", 2020))
        self.clause_index.scores("预热")
        if self.uncurated:
            for name in _OF_TEXTS:
                getattr(self, name)
        return self

    @cached_property
    def spans(self) -> Spans:
        """When each clause is in force."""
        return spans(self.notices)

    @cached_property
    def turns(self) -> list[date]:
        """The days on which a clause comes into force or goes out of it."""
        return sorted({day for span in self.spans.values() for day in (span.since, span.until) if day})

    def as_of(self, on: date) -> "KnowledgeBase":
        """The knowledge as of a day: what it says and searches is what was in force then, ranked without the rest."""
        if self.on is not None:
            return self
        between = bisect_right(self.turns, on)
        if between not in self.views:
            self.views[between] = self._as_of(on)
        return self.views[between]

    def _as_of(self, on: date) -> "KnowledgeBase":
        if all(span.holds(on) for span in self.spans.values()):
            return self
        entries = tuple(one for one in self.entries if one.absent or self.are_in_force(one.cites, on))
        kept = {one.id for one in entries}
        view = replace(
            self,
            on=on,
            entries=entries,
            expenses=tuple(row for row in self.expenses if self.are_in_force(row.cites, on)),
            rules={
                rule.id: rule
                for rule in self.rules.values()
                if kept.issuperset(rule.entries)
                and self.are_in_force([cite for case in rule.cases for cite in case.cites], on)
            },
            views={},
        )
        view.__dict__.update({name: getattr(self, name) for name in _OF_TEXTS})
        view.__dict__["matcher"] = self.matcher.among(entries)
        return view

    @cached_property
    def clauses_in_force(self) -> NDArray[np.bool_]:
        """Of each clause in `clause_list`, whether it may be cited: in a view of a day, when it is in force then."""
        if self.on is None:
            return np.ones(len(self.clause_list), dtype=bool)
        return np.array([self.spans[one.notice_id, one.label].holds(self.on) for one in self.clause_list])

    def are_in_force(self, cites: Iterable[Cite], on: date) -> bool:
        """Whether the clauses of all these citations are in force on a day."""
        return all(self.spans[cite.notice, cite.clause].holds(on) for cite in cites)

    @property
    def edition(self) -> str:
        return f"{self.number}-{self.digest[:8]}"

    @cached_property
    def matcher(self) -> Matcher:
        stored = semantic.read_vectors(VECTORS) if self.dense else {}
        dense = (lambda texts: semantic.SemanticIndex(texts, stored)) if self.dense else None
        return Matcher(self.entries, self.wording, dense)

    @cached_property
    def by_id(self) -> dict[str, Entry]:
        return {entry.id: entry for entry in self.entries}

    @cached_property
    def initials(self) -> list[tuple[Entry, str]]:
        """Each entry with the pinyin initials of its title."""
        return [(entry, initials(entry.title)) for entry in self.entries]

    @cached_property
    def rule_of(self) -> dict[str, Rule]:
        """The rule that decides an entry's fact for a county, by entry id."""
        return {entry: rule for rule in self.rules.values() for entry in rule.entries}

    @cached_property
    def clause_list(self) -> list[Clause]:
        return [clause for notice in self.notices for clause in notice.clauses if clause.text]

    @cached_property
    def clause_index(self) -> Bm25:
        texts = (" ".join((*clause.headings, clause.heading, clause.text)) for clause in self.clause_list)
        return Bm25(normalise(text) for text in texts)

    @cached_property
    def clause_notices(self) -> NDArray[np.int32]:
        """Of each clause in `clause_list`, the place of its notice in `notices`."""
        place = {notice.id: number for number, notice in enumerate(self.notices)}
        return np.array([place[clause.notice_id] for clause in self.clause_list], dtype=np.int32)

    @cached_property
    def clause_parts(self) -> NDArray[np.str_]:
        """Of each clause in `clause_list`, which part of its notice it is, see `part_of`."""
        labels = {notice.id: {clause.label for clause in notice.clauses} for notice in self.notices}
        return np.array([part_of(clause, labels[clause.notice_id]) for clause in self.clause_list])

    @cached_property
    def clause_sentences(self) -> list[tuple[int, str]]:
        """Every sentence of every clause with the clause's place in `clause_list`."""
        return [(place, text) for place, clause in enumerate(self.clause_list) for text in sentences(clause.text)]

    @cached_property
    def sentence_places(self) -> NDArray[np.intp]:
        """Of each sentence, its clause's place in `clause_list`."""
        return np.array([place for place, _ in self.clause_sentences], dtype=np.intp)

    @cached_property
    def sentence_values(self) -> dict[str, NDArray[np.bool_]]:
        """Of each kind of value, which sentences hold one."""
        held = [holds(text) for _, text in self.clause_sentences]
        return {kind: np.array([kind in one for one in held], dtype=bool) for kind in frozenset().union(*held)}

    @cached_property
    def sentence_index(self) -> Bm25:
        """All sentences, each with the headings and the opening words it stands under."""
        leads = [self.lead(clause) for clause in self.clause_list]
        above = [
            " ".join((*clause.headings, clause.heading, lead.text if lead else ""))
            for clause, lead in zip(self.clause_list, leads, strict=True)
        ]
        return Bm25(normalise(f"{above[place]} {text}") for place, text in self.clause_sentences)

    def lead(self, clause: Clause) -> Clause | None:
        """The clause that opens an item's list (资金不得用于下列支出：), without which the item is not to be read."""
        base = re.sub(r"(?:\([^()]+\)|\d+)$", "", clause.label)
        above = self.clauses.get((clause.notice_id, base)) if base != clause.label else None
        return above if above and above.text.endswith(("：", ":")) and len(above.text) <= _LONGEST_LEAD else None

    @cached_property
    def uncurated(self) -> frozenset[str]:
        """The notices that nothing curated cites: imported, and not yet worked on."""
        cited = {cite.notice for _, cite in _cites(self.entries, self.expenses, self.rules.values())}
        return frozenset(notice.id for notice in self.notices) - cited

    @cached_property
    def repairer(self) -> Repairer:
        """Known words for homophone repair: official and everyday words, expense names, entry titles."""
        words = {*self.wording.official, *self.wording.official.values()}
        words |= {name for row in self.expenses for name in row.names}
        words |= {piece for entry in self.entries for piece in re.split(r"[与和的、—\d%]", entry.title)}
        words |= {word for clause in self.clause_list for word in rjieba.cut(clause.full) if len(word) > 1}
        texts = [clause.full for clause in self.clause_list]
        texts += [normalise(form.text) for entry in self.entries for form in entry.forms]
        return Repairer(words, "\n".join((*texts, *sorted(words))))

    def notice(self, notice_id: str) -> Notice | None:
        return next((notice for notice in self.notices if notice.id == notice_id), None)

    def citation(self, cite: Cite, on: date) -> Citation:
        """Resolve a checked citation; its validity is that of a day."""
        notice = self.notice(cite.notice)
        assert notice is not None  # checked when the base was loaded
        return Citation(
            notice_id=notice.id,
            number=notice.number,
            title=notice.title,
            clause=cite.clause,
            quote=cite.quote,
            text_status=notice.text_status,
            validity=self.validity(cite.notice, cite.clause, on),
        )

    def validity(self, notice_id: str, label: str, on: date) -> str:
        """Whether a clause is in force on a day, in words: 在用, 尚未施行, 已废止（被《…》二取代）."""
        span = self.spans.get((notice_id, label))  # none for a clause of an earlier edition
        if span is None or span.holds(on):
            return self.phrases["in_force"]
        if not span.is_over(on):
            return self.phrases["not_yet"]
        return self.phrases["superseded"].format(by=self.source(*span.by)) if span.by else self.phrases["repealed"]

    def source(self, notice_id: str, label: str = "") -> str:
        """How a notice, or a clause of it, is named: 《关于…的通知》（示商建发〔2021〕17号）三（一）."""
        notice = self.notice(notice_id)
        assert notice is not None  # named by a span
        number = f"（{notice.number}）" if notice.number else ""
        return f"《{notice.title}》{number}{label.replace('(', '（').replace(')', '）')}"

    def stale(self, on: date) -> list[tuple[str, Citation]]:
        """What is curated upon clauses that have gone out of force: its id and the citation. It is not answered from."""
        cited = (*_cites(self.entries, self.expenses, self.rules.values()), *_other_cites(self))
        over = ((name, cite) for name, cite in cited if self.spans[cite.notice, cite.clause].is_over(on))
        return [(name, self.citation(cite, on)) for name, cite in over]

    def citing(self, places: Container[tuple[str, str]]) -> list[str]:
        """What is curated upon these clauses, of notices and labels: the ids, each once."""
        cited = (*_cites(self.entries, self.expenses, self.rules.values()), *_other_cites(self))
        return list(dict.fromkeys(name for name, cite in cited if (cite.notice, cite.clause) in places))

    def understand(self, text: str, year: int) -> Question:
        """Read a question: spelling, official words, polarity, asked slots, facts."""
        return remembered(self.understood, (text, year), lambda: self._understand(text, year))

    def _understand(self, text: str, year: int) -> Question:
        plain = normalise(text).replace("去年", f"{year - 1}年")
        fixed = self.repairer.repair(self.wording.confusing.sub(lambda m: self.wording.confusions[m.group()], plain))
        asks = is_yes_no(plain)
        return Question(
            raw=text,
            text=plain,
            official=self.wording.rewrite(plain),
            repaired=self.wording.rewrite(fixed),
            yes_no=asks,
            leaning=leaning(plain),
            modal=modal(plain),
            slots=_asked_slots(plain, fixed, asks),
            facts=read_facts(fixed, year=year),
        )


def _asked_slots(plain: str, fixed: str, asks: bool) -> frozenset[str]:
    """The values a question asks for; a yes/no question asks for none but a consequence (没改完要紧吗)."""
    found = slots(plain) or slots(fixed)
    return found & {"consequence"} if asks and "有没有" not in plain else found


def _cites(entries: Iterable[Entry], expenses: Iterable[Expense], rules: Iterable[Rule]) -> list[tuple[str, Cite]]:
    found = [(entry.id, cite) for entry in entries for cite in (*entry.cites, *filter(None, (entry.onward,)))]
    found += [(row.id, cite) for row in expenses for cite in row.cites]
    return found + [(f"{rule.id}“{case.name}”", cite) for rule in rules for case in rule.cases for cite in case.cites]


def _other_cites(base: KnowledgeBase) -> list[tuple[str, Cite]]:
    """The citations of what is not answered from: checklists, guided checks, submissions, the calendar."""
    lines = [(line.id, line.cite) for lines in base.checklists.values() for line in lines]
    lines += [*checks_cites(base.checks), *((one.id, one.cite) for one in base.submissions)]
    return lines + [(one.id, one.cite) for one in base.deadlines]


def _check_quotes(base: KnowledgeBase, problems: Problems) -> None:
    for name, cite in (*_cites(base.entries, base.expenses, base.rules.values()), *_other_cites(base)):
        check_quote(base, name, cite, problems)


def check_quote(base: KnowledgeBase, name: str, cite: Cite, problems: Problems) -> None:
    """Note a citation of a clause that there is not, or a quotation that is not in its clause."""
    clause = base.clauses.get((cite.notice, cite.clause))
    if clause is None:
        problems.add(cite.notice, name, f"没有条款“{cite.clause}”，请核对条款号。")
    elif cite.quote not in clause.full:
        problems.add(cite.notice, name, f"引文不是{cite.clause}的原文：“{cite.quote[:30]}…”，请逐字照录。")


def _check_entries(base: KnowledgeBase, problems: Problems) -> None:
    ids: set[str] = set()
    asked: dict[str, str] = {}
    for entry in base.entries:
        if entry.id in ids:
            problems.add("entries", entry.id, "id 重复，请改名。")
        ids.add(entry.id)
        for form in entry.forms:
            other = asked.setdefault(normalise(form.text), entry.id)
            if other != entry.id:
                problems.add("entries", entry.id, f"问法“{form.text}”也在 {other}，请只留一处。")
        if entry.twin and entry.twin not in base.by_id:
            problems.add("entries", entry.id, f"twin 指向的“{entry.twin}”不存在。")
    for rule in base.rules.values():
        for missing in sorted(set(rule.entries) - ids):
            problems.add("policy.yaml", rule.id, f"entries 中的“{missing}”不存在。")
    for one in base.submissions:
        if one.entry and (one.entry not in ids or base.by_id[one.entry].deadline is None):
            problems.add("submissions.yaml", one.id, f"entry 指向的“{one.entry}”不存在，或没有 deadline。")


_PHRASES = (
    "unverified in_force not_yet repealed superseded repealed_clause repealed_for not_yet_clause passed central_only expense_binds ask_province near_miss unknown unlisted_expense"
    " uncovered_case slot_money slot_ratio slot_count slot_size slot_name slot_frequency slot_date slot_duration slot_phone slot_consequence clause_found unchecked"
)


def _phrases(path: Path, problems: Problems) -> dict[str, str]:
    """The fixed sentences; a missing or unknown one is a problem."""
    found = read_yaml(path, problems) if path.exists() else {}
    found = found if isinstance(found, dict) else {}
    wanted = set(_PHRASES.split())
    for name in sorted(wanted - set(found)):
        problems.add(path.name, name, "缺少这一句，请补上。")
    for name in sorted(set(found) - wanted):
        problems.add(path.name, str(name), "程序不用这一句，请删去或改正名称。")
    return {name: str(text) for name, text in found.items()}


def read_files(folder: Path = DATA, imported: Path | None = None) -> dict[str, bytes]:
    """Name → content of all files; an imported notice takes the place of a shipped one of the same id.

    Entries that were written here and reviewed lie beside the imported notices.
    """
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    if imported is not None:
        found |= {f"{NOTICES}/{path.name}": path for path in sorted(imported.glob("*.txt"))}
        found |= {f"{WRITTEN}{path.name}": path for path in sorted(imported.glob("own-*.yaml"))}
    return {name: found[name].read_bytes() for name in sorted(found)}


def is_imported(name: str, content: bytes) -> bool:
    """Whether a file of the knowledge was imported, confirmed or written here, and did not come with the program."""
    if name.startswith(f"{WRITTEN}own-"):
        return True
    header = content.partition(b"\n---\n")[0]
    return name.startswith(NOTICES) and any(line in header for line in (b"\nsource:", b"\nconfirmed:"))


def digest_of(files: Mapping[str, bytes]) -> str:
    """The hash of a set of files."""
    seal = hashlib.sha256()
    for name in sorted(files):
        seal.update(name.encode() + b"\0" + files[name] + b"\0")
    return seal.hexdigest()


def pack(files: Mapping[str, bytes]) -> bytes:
    """The files in one archive, the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])
    return buffer.getvalue()


def unpack(packed: bytes) -> dict[str, bytes]:
    """The files of an archive."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def load_files(files: Mapping[str, bytes]) -> KnowledgeBase:
    """The checked and indexed knowledge of a set of files. Raises KnowledgeError with every problem at once."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(files, Path(folder))
        return load(Path(folder))


def load(folder: Path = DATA, imported: Path | None = None) -> KnowledgeBase:
    """The checked and indexed knowledge of a folder, with the dense channel where it is installed.

    `imported` is a folder of further notices. Raises KnowledgeError with every problem at once.
    """
    dense = semantic.available() and VECTORS.exists()
    seal = digest_of(read_files(folder, imported))
    seal += hashlib.sha256(VECTORS.read_bytes()).hexdigest() if dense else ""
    return cached(seal, lambda: read(folder, imported, dense=dense).warmed())


def all_notices(folder: Path, imported: Path | None) -> list[Notice]:
    """The shipped and the imported notices; an imported text stands for the shipped one of its id."""
    by_id = {notice.id: notice for notice in load_notices(folder / "notices")}
    if imported is not None:
        by_id |= {notice.id: notice for notice in load_notices(imported)}
    return list(by_id.values())


def read(folder: Path = DATA, imported: Path | None = None, *, dense: bool = False) -> KnowledgeBase:
    """Read and check a folder of knowledge files. Raises KnowledgeError with every problem at once."""
    problems = Problems()
    try:
        notices = all_notices(folder, imported)
    except KnowledgeError as error:
        problems.lines += error.problems
        notices = []
    entries = load_entries(folder / "entries", problems) + load_entries(folder / "unanswered", problems)
    entries += load_entries(imported, problems, "own-*.yaml") if imported is not None else []
    rules = {rule.id: rule for rule in load_rules(folder / "rules" / "policy.yaml", problems)}
    base = KnowledgeBase(
        notices=tuple(notices),
        entries=tuple(entries),
        expenses=tuple(load_expenses(folder / "rules" / "expense.yaml", problems)),
        rules=rules,
        wording=load_wording(folder / "synonyms.yaml", problems),
        phrases=_phrases(folder / "phrases.yaml", problems),
        digest=digest_of(read_files(folder, imported)),
        checklists=load_checklists(folder / "checklists.yaml", problems),
        checks=load_checks(folder / "checks", rules, problems),
        submissions=tuple(load_submissions(folder / "submissions.yaml", problems)),
        deadlines=tuple(load_deadlines(folder / "calendar", problems)),
        dense=dense,
        clauses={(clause.notice_id, clause.label): clause for notice in notices for clause in notice.clauses},
    )
    for name, problem in supersession_problems(notices):
        problems.add(NOTICES, name, problem)
    _check_quotes(base, problems)
    _check_entries(base, problems)
    problems.stop_if_any()
    return base
