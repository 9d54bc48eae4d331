"""Which clauses no entry, rule or expense cites."""

from knowledge.base import KnowledgeBase
from knowledge.model import Clause


def uncovered(kb: KnowledgeBase) -> list[Clause]:
    """Clauses with text of their own that nothing curated cites, in reading order."""
    cited = {(cite.notice, cite.clause) for entry in kb.entries for cite in entry.cites}
    cited |= {(cite.notice, cite.clause) for rule in kb.rules.values() for case in rule.cases for cite in case.cites}
    cited |= {(cite.notice, cite.clause) for row in kb.expenses for cite in row.cites}
    return [clause for clause in kb.clause_list if (clause.notice_id, clause.label) not in cited]
