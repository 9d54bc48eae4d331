"""Policy rules: facts of a county → the case of the notice that applies, with clause, quote and arithmetic.

A rule is a list of cases tried in order. A case whose condition depends on an unknown fact stays possible; the
rule is decided when one case remains. Sums are exact fractions; 以上 includes the number itself.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

from knowledge import expressions
from knowledge.facts import KINDS, parse_fact, show_fact
from knowledge.files import Item, Problems, items, read_cites, read_date, strings
from knowledge.model import CLEAR, NOT_WRITTEN, PRINCIPLE, Cite, Fact, Facts, Verdict


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case of a rule. `name` says in words when it applies; statement and sum may use {facts}.

    `finer` cases say more, or judge a stated date, once their own condition is known to hold.
    """

    name: str
    when: ast.expr
    statement: str
    verdict: Verdict
    status: str
    cites: tuple[Cite, ...]
    sum: str = ""
    deadline: date | None = None
    finer: tuple["Case", ...] = ()

    def told(self, known: Mapping[str, Any]) -> "Case":  # Any: facts and sums
        """The finer case that the facts decide, else this one."""
        return next((case for case in self.finer if expressions.value(case.when, known) is True), self)


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a rule can say before it is decided: a statement and a sum from the facts in `needs`."""

    needs: tuple[str, ...]
    statement: str
    sum: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule: the facts it asks, in order, derived numbers, and its cases.

    `entries` are the curated facts it decides for a county, `words` its topic in a question; `inverse` words ask for the violation (超没超, 算不算晚) and turn yes and no round; `modal` is the word that opens its yes or no.
    """

    id: str
    title: str
    facts: tuple[str, ...]
    cases: tuple[Case, ...]
    entries: tuple[str, ...] = ()
    outline: Outline | None = None
    sums: Mapping[str, ast.expr] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    inverse: tuple[str, ...] = ()
    modal: str = "may"
    binds: str = ""
    tests: tuple[Mapping[str, Any], ...] = ()  # Any: YAML mappings, read by `failures`

    def possible(self, facts: Facts) -> list[Case]:
        """The cases that can still apply, in order; one when the rule is decided, none when no case covers it."""
        known = self.complete(facts)
        remaining: list[Case] = []
        for case in self.cases:
            truth = expressions.value(case.when, known)
            if truth is not False:
                remaining.append(case.told(known))
            if truth is True:
                break
        return remaining

    def complete(self, facts: Facts) -> dict[str, Any]:
        """The facts with the derived numbers added."""
        known: dict[str, Any] = dict(facts)
        for name, tree in self.sums.items():
            known[name] = expressions.value(tree, known)
        return known

    def missing(self, facts: Facts) -> list[str]:
        """Facts that would narrow the possible cases, in the rule's order."""
        used = {name for case in self.possible(facts) for name in expressions.names(case.when)}
        used |= {
            name
            for case in self.possible(facts)
            for finer in case.finer
            for name in expressions.names(finer.when)
            if KINDS[name].type != "date"  # a date is judged when it is stated, not asked for
        }
        used |= {fact for name in used & set(self.sums) for fact in expressions.names(self.sums[name])}
        return [key for key in self.facts if key not in facts and key in used]

    def fill(self, text: str, facts: Facts) -> str:
        """Put facts and sums into a statement."""
        return text.format_map(
            {key: _show(key, value) for key, value in self.complete(facts).items() if value is not None}
        )


def _show(key: str, value: Any) -> str:  # Any: a fact or a sum
    if key in KINDS:
        return show_fact(key, value)
    return f"{float(value):g}" if isinstance(value, Fraction) else str(value)


def _case(raw: Item, file: str, rule: str, problems: Problems) -> Case | None:
    """Read a case; its finer cases take over what they do not say themselves."""
    name = f"{rule} 的情形“{raw.get('name', '')}”"
    absent = [key for key in ("name", "when", "statement", "cite") if not raw.get(key)]
    if absent:
        problems.add(file, name, f"缺少 {'、'.join(absent)}。")
        return None
    verdict, status = raw.get("verdict", "info"), raw.get("status", CLEAR)
    if verdict not in get_args(Verdict) or status not in (CLEAR, PRINCIPLE, NOT_WRITTEN):
        problems.add(file, name, f"verdict“{verdict}”或 status“{status}”无法识别。")
        return None
    try:
        when = expressions.parse(raw["when"])
    except ValueError as error:
        problems.add(file, name, f"{error}。")
        return None
    return Case(
        name=raw["name"],
        when=when,
        statement=raw["statement"],
        verdict=verdict,
        status=status,
        cites=read_cites(raw["cite"], file, name, problems),
        sum=raw.get("sum", ""),
        deadline=read_date(raw.get("deadline", ""), file, name, problems),
        finer=tuple(
            case
            for one in raw.get("finer") or []
            if (case := _case({**raw, "finer": None, "sum": "", **one}, file, rule, problems))
        ),
    )


def _outline(raw: Item | None, file: str, name: str, problems: Problems) -> Outline | None:
    if raw is None:
        return None
    if not raw.get("statement"):
        problems.add(file, name, "outline 缺少 statement。")
    needs = strings(raw.get("needs"), file, name, problems)
    return Outline(needs=needs, statement=raw.get("statement", ""), sum=raw.get("sum", ""))


def _rule(item: Item, file: str, problems: Problems) -> Rule:
    name = item["id"]
    facts = strings(item.get("facts"), file, name, problems)
    unknown = [key for key in facts if key not in KINDS]
    if unknown or not facts:
        problems.add(file, name, f"facts 无法识别：{'、'.join(unknown) or '（空）'}；可用 {'、'.join(KINDS)}。")
    sums: dict[str, ast.expr] = {}
    for key, text in (item.get("sums") or {}).items():
        try:
            sums[key] = expressions.parse(text)
        except ValueError as error:
            problems.add(file, name, f"sums 的 {key}：{error}。")
    cases = [case for raw in item.get("cases") or [] if (case := _case(raw, file, name, problems))]
    for case in [*cases, *(finer for one in cases for finer in one.finer)]:
        strange = [used for used in expressions.names(case.when) if used not in facts and used not in sums]
        if strange:
            problems.add(file, f"{name} 的情形“{case.name}”", f"条件用了未列入 facts 的 {'、'.join(strange)}。")
    return Rule(
        id=name,
        title=str(item.get("title", name)),
        facts=facts,
        cases=tuple(cases),
        entries=strings(item.get("entries"), file, name, problems),
        outline=_outline(item.get("outline"), file, name, problems),
        sums=sums,
        words=strings(item.get("words"), file, name, problems),
        inverse=strings(item.get("inverse"), file, name, problems),
        modal=str(item.get("modal", "may")),
        binds=item.get("binds", ""),
        tests=tuple(item.get("tests") or []),
    )


def failures(rule: Rule) -> list[str]:
    """Run the tests written beside a rule; each failure as a line with given, expected and got."""
    lines: list[str] = []
    for test in rule.tests:
        given: dict[str, Fact] = {key: parse_fact(key, text) for key, text in (test.get("given") or {}).items()}
        cases = rule.possible(given)
        got = "、".join(case.name for case in cases) or "无"
        if got != "、".join(strings(test["expect"], "", "", Problems())):
            lines.append(f"given {dict(test.get('given') or {})} 应得“{test['expect']}”，实得“{got}”。")
        elif text := test.get("says"):
            said = rule.fill(cases[0].statement + cases[0].sum, given)
            if text not in said:
                lines.append(f"given {dict(test.get('given') or {})} 应说到“{text}”，实为“{said}”。")
    if len(rule.tests) < 3:
        lines.append("至少要有三个测试，边界两侧都要有。")
    return lines


def load_rules(path: Path, problems: Problems) -> list[Rule]:
    """Read the rules and run their tests."""
    rules = [_rule(item, path.name, problems) for item in items(path, problems)] if path.exists() else []
    if not problems.lines:
        for rule in rules:
            for line in failures(rule):
                problems.add(path.name, rule.id, line)
    return rules
