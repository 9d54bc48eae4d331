"""Conditions and sums of rule files: comparisons, and/or/not, + - * /, ceil, floor, year. Parsed, never run as code.

A string is a date (2020-05-29), or words divided by 、 for `in`.

A fact that is not known yet is None and stays unknown through every operation (Kleene logic), so that a rule can
tell "no" from "not known".
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from typing import Any

Known = Mapping[str, Any]  # fact values are numbers, truths or dates; operators check them

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.In: lambda word, words: word in words.split("、"),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: lambda a, b: Fraction(a) / Fraction(b),
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Any], int]] = {"ceil": math.ceil, "floor": math.floor, "year": lambda on: on.year}


def parse(text: str) -> ast.expr:
    """Parse an expression. Raises ValueError for anything beyond the small grammar."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"“{text}”不是有效的条件") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS):
            raise ValueError(f"“{text}”用了不支持的函数，只能用 ceil、floor、year")
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"“{text}”用了不支持的写法，只能用比较、in、and、or、not、加减乘除、ceil、floor、year")
    return tree


_ALLOWED = (
    ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.Name, ast.Load, ast.Constant,
    ast.BinOp, ast.Call, *_COMPARE, *_ARITHMETIC,
)  # fmt: skip


def names(tree: ast.expr) -> list[str]:
    """The facts an expression uses, each once."""
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    found = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id not in called]
    return list(dict.fromkeys(found))


def value(tree: ast.expr, known: Known) -> Any:  # Any: a number, a truth, a date or None
    """Compute an expression; None when a fact that matters is unknown."""
    match tree:
        case ast.Constant(value=constant):
            if isinstance(constant, str):
                return date.fromisoformat(constant) if constant[:1].isdigit() else constant
            return Fraction(str(constant)) if isinstance(constant, float) else constant
        case ast.Name(id=name):
            known_value = known.get(name)
            return Fraction(str(known_value)) if isinstance(known_value, float) else known_value
        case ast.BoolOp(op=op, values=parts):
            return _junction(isinstance(op, ast.And), [value(part, known) for part in parts])
        case ast.UnaryOp(op=op, operand=operand):
            inner = value(operand, known)
            return None if inner is None else (not inner) if isinstance(op, ast.Not) else -inner
        case ast.Compare():
            return _comparison(tree, known)
        case ast.BinOp(left=left, op=op, right=right):
            sides = value(left, known), value(right, known)
            return None if None in sides else _ARITHMETIC[type(op)](*sides)
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            inner = value(argument, known)
            return None if inner is None else _FUNCTIONS[name](inner)
    raise ValueError(ast.dump(tree))


def _junction(every: bool, parts: list[bool | None]) -> bool | None:
    decisive = not every
    if any(part is decisive for part in parts):
        return decisive
    return None if any(part is None for part in parts) else every


def _comparison(tree: ast.Compare, known: Known) -> bool | None:
    sides = [value(side, known) for side in (tree.left, *tree.comparators)]
    results = [
        None if left is None or right is None else _COMPARE[type(op)](left, right)
        for left, op, right in zip(sides, tree.ops, sides[1:], strict=False)
    ]
    return _junction(True, results)
