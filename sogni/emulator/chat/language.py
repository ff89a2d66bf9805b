"""Language utilities: arithmetic in plain words, and extraction of names, numbers, dates, places and topics.

Arithmetic is exact, with whole numbers and fractions; it never evaluates Python.
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
"""Longer expressions are ignored: they would exceed the recursion limit of Python's parser."""


def answer(text: str) -> str | None:
    """Return the answer to an arithmetic question, or None for any other string."""
    lower = _with_digits(text.lower())
    for find in (_percent, _root, _list, _sum):
        found = find(lower)
        if found is not None:
            return found
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
            result = written(_value(ast.parse(expression, mode="eval").body))
        except ZeroDivisionError:
            return f"{_tidy(expression)} has no value: dividing by zero is not defined."
        except (SyntaxError, ValueError):
            continue
        return f"{_tidy(expression)} = {result}"
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
    """Format a value: a whole number, or up to six decimals."""
    if value.denominator == 1:
        return str(value.numerator)
    return f"{float(value):.6f}".rstrip("0").rstrip(".")


_QUOTED = re.compile(r"“([^”]+)”|\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)|`([^`]+)`")
_NUMBER_PATTERN = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?![\w]*\d)")
_CAPITAL = re.compile(r"\b[A-Z][\w'/-]+(?:\s+(?:of\s+|de\s+|la\s+)?[A-Z][\w'-]+)*")
_NO_NAMES = frozenset(
    re.split(
        " ",
        "A An And Are As At Before By Can Could Create Do Does Draw Each Edit Extract Find For From Generate Get Give"
        " Has Have Hello Hey Hi How I If Im In Is It Its List Make Me My No Of On Or Please Return Say Send Set She He"
        " Show So Tell That The Their Then There They This To Turn Use Was We What When Where Which Who Why Will"
        " With Would Write Yes You Your Add Book Call Check Compute Convert Count Describe Remind Schedule Search"
        " Answer JSON I'm It's What's Classify Translate Summarize Summarise Parse Name Bring Look Tool Using Today",
    )
)
_PLACE = re.compile(r"\b(?:in|at|for|to|near|from|of)\s+(?:the\s+)?([A-Z][\w'-]+(?:[\s,]+[A-Z][\w'-]+)*)")
_TOPIC = re.compile(
    r"\b(?:about|on the (?:subject|topic) of|regarding|concerning|describing|of|on|for)\s+"
    r"((?:(?:an?|the|some|my|our)\s+)?.+?)(?:[.!?;\n]|,? (?:and|then|in|with|using) |$)",
    re.I,
)
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_TIME = re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b|\b\d{1,2}\s?(?:am|pm)\b", re.I)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_URL = re.compile(r"https?://[^\s<>\"')\]]+")
_SIZE = re.compile(r"\b(\d{2,5})\s*(?:x|×|by)\s*(\d{2,5})\b")
_UNITS = ("celsius", "fahrenheit", "kelvin", "km", "miles", "meters", "metres", "kg", "pounds")


def quoted(text: str) -> list[str]:
    return [next(part for part in found if part) for found in _QUOTED.findall(text)]


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in _NUMBER_PATTERN.findall(text)]


def names(text: str) -> list[str]:
    """Return capitalized words, except those that only begin a sentence."""
    found = []
    for match in _CAPITAL.findall(text):
        words = match.split()
        while words and words[0] in _NO_NAMES:
            words = words[1:]
        if words:
            found.append(" ".join(words))
    return found


def place(text: str) -> str | None:
    """Return the (first) place in a sentence: "in Paris", "from Oslo to Rome"."""
    found = _PLACE.search(text)
    return found[1].strip(" ,") if found else None


def between(text: str, word: str) -> str | None:
    """Return what follows a preposition: for "from", "Oslo" in "from Oslo to Rome"."""
    end = r"(?:\s+(?:to|from|on|at|in|for|with|and|by)\s|[,!?;]|\.(?:\s|$)|$)"
    found = re.search(rf"\b{re.escape(word)}\s+(?:the\s+|my\s+)?(.+?){end}", text, re.I)
    return found[1].strip() if found else None


def dates(text: str) -> list[str]:
    return _DATE.findall(text)


def times(text: str) -> list[str]:
    return _TIME.findall(text)


def emails(text: str) -> list[str]:
    return _EMAIL.findall(text)


def urls(text: str) -> list[str]:
    return [url.rstrip(".,;:") for url in _URL.findall(text)]


def size(text: str) -> tuple[int, int] | None:
    """Return a size in pixels: "640x480"."""
    found = _SIZE.search(text)
    return (int(found[1]), int(found[2])) if found else None


def topic(text: str) -> str | None:
    """Return the topic of a sentence."""
    found = _TOPIC.search(text)
    return found[1].strip(" .,:“”\"'") or None if found else None


def items(text: str) -> list[str]:
    """Return the entries of an enumeration: "apples, pears and plums"."""
    listed = text.rpartition(":")[2] if ":" in text else text
    found = re.search(
        r"((?:[\w'-]+(?: [\w'-]+)?, )+(?:and |or )?[\w'-]+(?: (?:and|or) [\w'-]+)?|[\w'-]+ and [\w'-]+)", listed
    )
    if found is None:
        return []
    return [entry for entry in re.split(r",\s*(?:and |or )?| and | or ", found[1]) if entry]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)


def units(text: str) -> list[str]:
    lower = text.lower()
    return [unit for unit in _UNITS if re.search(rf"\b{unit}\b", lower)]
