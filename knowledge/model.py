"""The values that knowledge is made of. All are immutable; none knows a database or a channel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Kind = Literal["answer", "clarify", "abstain", "chat", "flow"]
Verdict = Literal["yes", "no", "conditional", "info"]
Fact = str | int | float | bool | date
Facts = Mapping[str, Fact]

CLEAR = "有明确规定"
PRINCIPLE = "仅有原则规定"
NOT_WRITTEN = "所收文件未作规定"
OUTSIDE = "不在本库范围"
MORE_NEEDED = "请补充情况"
REPEALED = "已废止"


class KnowledgeError(Exception):
    """Raised when knowledge files are unusable; `problems` lists every one with file, item and remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Supersession:
    """What a notice takes out of force: another one, by any of its names, or a clause of it; `by` takes its place."""

    notice: str
    clause: str = ""
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """An official notice. `number` is None where the text carries none; `aliases` serve look-up only."""

    id: str
    number: str | None
    title: str
    issuer: str
    issued_on: date | None
    effective_on: date | None
    text_status: Literal["official", "unverified"]
    repealed_on: date | None = None
    aliases: tuple[str, ...] = ()
    supersedes: tuple[Supersession, ...] = ()
    clauses: tuple["Clause", ...] = ()

    @property
    def name(self) -> str:
        """How a citation names it: by number, else by title in book-title marks."""
        return self.number or f"《{self.title}》"


@dataclass(frozen=True, kw_only=True)
class Clause:
    """A labelled piece of a notice. `heading` is the clause's own heading line, `headings` those above it."""

    notice_id: str
    label: str
    heading: str = ""
    text: str = ""
    headings: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.notice_id}#{self.label}"

    @property
    def full(self) -> str:
        """The clause as printed: its heading line, if any, and its text."""
        return "\n".join(part for part in (self.heading, self.text) if part)


@dataclass(frozen=True, kw_only=True)
class Citation:
    """A quotation with its source; `quote` is byte-for-byte a part of the clause.

    `validity` is 在用, 尚未施行, 已废止, or 已废止（被《…》二取代）, as of the day of the answer.
    """

    notice_id: str
    number: str | None
    title: str
    clause: str
    quote: str
    text_status: str
    validity: str = "在用"

    @property
    def source(self) -> str:
        return f"{self.number or f'《{self.title}》'}{self.clause}"


@dataclass(frozen=True, kw_only=True)
class Cite:
    """A citation as a data file writes it, not yet resolved against the notices."""

    notice: str
    clause: str
    quote: str


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way of asking: the text and, for a yes/no question, the right answer to it as asked."""

    text: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A curated fact: question forms, the conclusion with its qualifiers, and the clauses that prove it.

    `absent` entries say what was checked and found not to be in the notices; `onward` is where to go then.
    """

    id: str
    title: str
    statement: str
    status: str
    forms: tuple[Form, ...]
    cites: tuple[Cite, ...] = ()
    binds: str = ""
    gives: frozenset[str] = frozenset()
    deadline: date | None = None
    derive: str = ""
    twin: str = ""
    onward: Cite | None = None
    ask_whom: str = ""
    reviewer: str | None = None

    @property
    def absent(self) -> bool:
        return self.status in (NOT_WRITTEN, OUTSIDE)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Something the user can pick next: a label and what it sends, with the citations it would lead to."""

    label: str
    value: str
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Related:
    """A second fact beside an answer: one the question may mean as well, or the answer to its `second` half."""

    statement: str
    citation: Citation | None
    second: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)  # one answer is only itself: what is made of it can be kept beside it
class Answer:
    """What the knowledge says to one question; handlers/ask turns it into a card, adding no conclusion.

    `modal` names the word that opens a yes/no answer (may, must, is, will, has); `sums` is the worked
    arithmetic; `notes` are lines under the quotation (passed date, text status, whom it binds).
    """

    kind: Kind
    question: str
    status: str | None = None
    verdict: Verdict | None = None
    statement: str = ""
    modal: str = "is"
    scope: str = ""
    citations: tuple[Citation, ...] = ()
    binds: str = ""
    sums: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    related: Related | None = None
    onward: Citation | None = None
    ask_whom: str = ""
    choices: tuple[Choice, ...] = ()
    missing: tuple[str, ...] = ()
    as_of: date
    edition: str = ""
    score: float = 0.0
    route: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)
