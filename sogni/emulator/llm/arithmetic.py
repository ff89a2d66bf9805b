"""Sums in plain words: "What is 17 times 23?".

Called by the responder. It computes exactly with whole numbers and fractions; it never evaluates Python.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_WORDS = (
    (r"multiplied by|times|×|·", "*"),
    (r"divided by|over|÷", "/"),
    (r"plus|added to|and then add", "+"),
    (r"minus|subtract(?:ed by)?|less", "-"),
    (r"to the power of|raised to(?: the power of)?|\^", "**"),
    (r"modulo|mod", "%"),
    (r"squared", "**2"),
    (r"cubed", "**3"),
)
_NAMES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
_EXPRESSION = re.compile(r"[-(]*\d[\d.\s()+\-*/%]*")
_OPERATORS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_MAX_POWER = 512
_MAX_LENGTH = 400
"""Longer sums are none: they would take Python's parser too deep."""


def answer(text: str) -> str | None:
    """Return the answer to a sum, or None when the text asks for none."""
    lower = _with_digits(text.lower())
    for ask in (_percent, _root, _list, _sum):
        told = ask(lower)
        if told is not None:
            return told
    return None


def _with_digits(text: str) -> str:
    for number, name in enumerate(_NAMES):
        text = re.sub(rf"\b{name}\b", str(number), text)
    return text


def _percent(text: str) -> str | None:
    found = re.search(rf"({_NUMBER})\s*(?:%|percent)\s+of\s+({_NUMBER})", text)
    if found is None:
        return None
    part, whole = (_number(found[group]) for group in (1, 2))
    return f"{found[1]}% of {found[2]} is {written(part * whole / 100)}."


def _root(text: str) -> str | None:
    found = re.search(rf"square root of\s+({_NUMBER})", text)
    if found is None:
        return None
    value = _number(found[1])
    exact = math.isqrt(value.numerator), math.isqrt(value.denominator)
    root = Fraction(*exact) if Fraction(*exact) ** 2 == value else Fraction(math.sqrt(value))
    return f"The square root of {found[1]} is {written(root)}."


def _list(text: str) -> str | None:
    found = re.search(r"\b(sum|add up|total|average|mean|product|largest|biggest|maximum|smallest|minimum)\b(.*)", text)
    numbers = re.findall(rf"-?{_NUMBER}", found[2].replace(", ", " ; ")) if found else []
    if found is None or len(numbers) < 2 or re.search(r"\d\s*[*/+]\s*\d", found[2]):
        return None
    values = [_number(number) for number in numbers]
    results: dict[str, Callable[[], Fraction]] = {
        "average": lambda: sum(values, Fraction(0)) / len(values),
        "product": lambda: Fraction(math.prod(values)),
        "largest": lambda: max(values),
        "smallest": lambda: min(values),
        "sum": lambda: sum(values, Fraction(0)),
    }
    synonyms = {"add up": "sum", "total": "sum", "mean": "average", "biggest": "largest"}
    synonyms |= {"maximum": "largest", "minimum": "smallest"}
    name = synonyms.get(found[1], found[1])
    return f"The {name} of {', '.join(numbers)} is {written(results[name]())}."


def _sum(text: str) -> str | None:
    for pattern, sign in _WORDS:
        text = re.sub(rf"(?<=[\d)])\s*(?:{pattern})(?=\W|\d|$)", f" {sign} ", text)
    text = re.sub(r"(?<=\d)\s*x\s*(?=\d)", " * ", text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    found = (found.strip(" .") for found in _EXPRESSION.findall(text))
    candidates = [expression for expression in found if len(expression) <= _MAX_LENGTH]
    for expression in sorted(candidates, key=len, reverse=True):
        if not re.search(r"\d\s*\)*\s*[-+*/%]+\s*\(*\s*-?\d", expression):
            continue
        try:
            told = written(_value(ast.parse(expression, mode="eval").body))
        except ZeroDivisionError:
            return f"{_tidy(expression)} has no value: dividing by zero is not defined."
        except (SyntaxError, ValueError):
            continue
        return f"{_tidy(expression)} = {told}"
    return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow):
            if right.denominator != 1 or abs(right) > _MAX_POWER or abs(left) > 10**9:
                raise ValueError("too large")
            return Fraction(left**right)
        if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](left, right)
    raise ValueError("not a sum")


def _tidy(expression: str) -> str:
    return " ".join(re.sub(r"(\*\*|[+*/%])", r" \1 ", expression).replace("**", "^").split())


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def written(value: Fraction) -> str:
    """Write a value: whole, or with up to six decimals."""
    if value.denominator == 1:
        return str(value.numerator)
    return f"{float(value):.6f}".rstrip("0").rstrip(".")
