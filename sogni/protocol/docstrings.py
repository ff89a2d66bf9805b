"""What a docstring says of a function and its parameters, in the styles of Google, NumPy and reST.

Called for functions that are offered to a language model as tools. What it does not recognize is part of the
description; it never fails.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping

from attrs import field, frozen

_SECTIONS = (
    "args", "arguments", "parameters", "params", "other parameters", "keyword args", "keyword arguments", "returns",
    "return", "raises", "yields", "yield", "examples", "example", "notes", "note", "see also", "references",
    "warnings", "warning", "attributes", "todo",
)  # fmt: skip
_OF_PARAMETERS = (
    "args", "arguments", "parameters", "params", "other parameters", "keyword args", "keyword arguments",
)  # fmt: skip
_GOOGLE_HEAD = re.compile(r"([A-Z][A-Za-z ]+):\s*")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?\s*:\s*(.*)")
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
_FIELD = re.compile(r":(\w+)(?:\s+([^:]*))?:\s*(.*)")


@frozen
class Told:
    """What a docstring tells: the description, and a text for each parameter it names."""

    description: str = ""
    parameters: Mapping[str, str] = field(factory=dict)


def read_docstring(text: str | None) -> Told:
    """Take a docstring apart; the description is what stands before the first section."""
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    parameters: dict[str, str] = {}
    place = 0
    while place < len(lines):
        section, skip = _heading(lines, place)
        if section is not None:
            end = _end_of_section(lines, place + skip, numpy=skip == 2)
            if section in _OF_PARAMETERS:
                body = lines[place + skip : end]
                parameters |= dict(_numpy(body) if skip == 2 else _google(body))
            place = end
        elif match := _FIELD.fullmatch(lines[place]):
            end = _end_of_field(lines, place + 1)
            words = (match[2] or "").split()
            if match[1] in ("param", "parameter", "arg", "argument", "key", "keyword") and words:
                parameters[words[-1].lstrip("*")] = _joined([match[3], *lines[place + 1 : end]])
            place = end
        else:
            description.append(lines[place])
            place += 1
    return Told(_paragraphs(description), {name: words for name, words in parameters.items() if words})


def _heading(lines: list[str], place: int) -> tuple[str | None, int]:
    """The section that begins at a line, and how many lines its heading has; None where none begins."""
    line, following = lines[place], lines[place + 1] if place + 1 < len(lines) else ""
    name = line.strip().lower()
    if name in _SECTIONS and following.strip() and not following.strip("- ="):
        return name, 2
    match = _GOOGLE_HEAD.fullmatch(line)
    if match and match[1].lower() in _SECTIONS and (not following.strip() or following[:1].isspace()):
        return match[1].lower(), 1
    return None, 0


def _end_of_section(lines: list[str], place: int, *, numpy: bool) -> int:
    """Where a section ends: at the next one; Google's also where its indentation does."""
    while place < len(lines):
        line = lines[place]
        if _heading(lines, place)[0] is not None or _FIELD.fullmatch(line):
            return place
        if not numpy and line.strip() and not line[0].isspace():
            return place
        place += 1
    return place


def _end_of_field(lines: list[str], place: int) -> int:
    """Where a field ends: with its indented lines."""
    while place < len(lines) and lines[place][:1].isspace():
        place += 1
    return place


def _google(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Entries at the least indentation; deeper lines go on with the one above."""
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    name, words = "", [""]
    for line in lines:
        match = _GOOGLE_ENTRY.fullmatch(line[depth:]) if line[:depth].isspace() and line.strip() else None
        if match and not line[depth : depth + 1].isspace():
            yield name, _joined(words)
            name, words = match[1], [match[2]]
        else:
            words.append(line)
    yield name, _joined(words)


def _numpy(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Entries without indentation; one line may name several parameters."""
    names: list[str] = []
    words: list[str] = []
    for line in lines:
        match = _NUMPY_ENTRY.fullmatch(line)
        if match and line.strip() and not line[0].isspace():
            yield from ((name, _joined(words)) for name in names)
            names, words = [name.strip().lstrip("*") for name in match[1].split(",")], []
        else:
            words.append(line)
    yield from ((name, _joined(words)) for name in names)


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _paragraphs(lines: list[str]) -> str:
    """Paragraphs in one line each."""
    texts = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(_joined(text.splitlines()) for text in texts if text.strip())
