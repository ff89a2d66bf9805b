"""Diagrams of workflow plans, from their wire form."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

INPUT_MEDIA = "$input_media"

_MAX_LABEL = 60
_SPECIAL = re.compile(r"[^\w \-/,$:()+]")
"""Characters that may have a meaning in Mermaid, Markdown or HTML."""


def mermaid(wire: Mapping[str, Any]) -> str:
    """Return a plan as a Mermaid flowchart; dependencies on unknown steps are drawn as missing."""
    title = _text(wire, "title")
    head = ["---", f"title: {json.dumps(_shortened(title))}", "---"] if title else []
    return "\n".join([*head, "flowchart TD", *(f"    {line}" for line in _lines(_objects(wire.get("steps"))))])


def _lines(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    nodes: dict[str, str] = {}
    for index, step in enumerate(steps):
        nodes.setdefault(_text(step, "id"), f"s{index}")
        yield f'{f"s{index}"}["{_label(step)}"]'
    nodes.pop("", None)
    needs = [(index, need) for index, step in enumerate(steps) for need in _objects(step.get("dependsOn"))]
    sources = [_text(need, "sourceStepId") for _, need in needs]
    for number, source in enumerate(dict.fromkeys(it for it in sources if it not in nodes)):
        media = source == INPUT_MEDIA
        nodes[source] = "media" if media else f"missing{number}"
        yield """media[/"media of the request"/]""" if media else f'{nodes[source]}>"{_escaped(source)}: missing"]'
    for (index, need), source in zip(needs, sources, strict=True):
        arrow = "-.->" if need.get("required") is False else "-->"
        text = f"{_text(need, 'transform')} to {_text(need, 'targetArgument')}"
        yield f'{nodes[source]} {arrow}|"{_escaped(text)}"| s{index}'


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [it for it in value if isinstance(it, Mapping)] if isinstance(value, list) else []


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return "" if value is None else str(value)


def _label(step: Mapping[str, Any]) -> str:
    name, tool = _escaped(_text(step, "id")), _escaped(_text(step, "toolName"))
    return f"{name}<br/>{tool}" if name else tool


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _MAX_LABEL else plain[: _MAX_LABEL - 1] + "…"


def _escaped(text: str) -> str:
    """Return a string for a quoted label, with special characters as Mermaid entities."""
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", _shortened(text))


# SVG. Notebooks draw it on light and on dark ground.

_WIDTH, _HEIGHT, _GAP, _BETWEEN = 190, 46, 50, 66
"""Size of a box, and the space beside and below it, in pixels."""
_MAX_LINE = 28
_BESIDE = 150
"""Space for the text beside an arrow to the last box of a row."""
_BOX = 'rx="6" fill="#eef2fb" stroke="#5b6ee1"'
_LINE = 'fill="none" stroke="#888" stroke-width="1.4"'
_HEAD_SIZE = 'markerWidth="8" markerHeight="8" refX="8" refY="4" orient="auto"'
_HEAD = "<path d='M0 0L8 4L0 8z' fill='#888'/>"


def drawing(wire: Mapping[str, Any]) -> str:
    """Return a plan as a flowchart in SVG, as `mermaid` does."""
    steps = _objects(wire.get("steps"))
    texts: dict[Any, tuple[str, str]]
    texts = {at: (_text(step, "id"), _text(step, "toolName")) for at, step in enumerate(steps)}
    nodes: dict[str, Any] = {_text(step, "id"): at for at, step in reversed(list(enumerate(steps)))}
    nodes.pop("", None)
    needs = [(_text(need, "sourceStepId"), at, need) for at, step in enumerate(steps) for need in _needs(step)]
    for source, _, _ in needs:
        if source not in nodes:
            nodes[source] = source
            texts[source] = ("media of the request", "") if source == INPUT_MEDIA else (source, "missing")
    arrows = [(nodes[source], target, need) for source, target, need in needs]
    places = _places(list(texts), [(source, target) for source, target, _ in arrows])
    boxes = "".join(_box(*places[node], *text) for node, text in texts.items())
    curves = "".join(_arrows(places, arrows))
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + _BESIDE
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + 10
    title = html.escape(_text(wire, "title") or "Workflow")
    marker = f'<defs><marker id="head" {_HEAD_SIZE}>{_HEAD}</marker></defs>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="13"><title>{title}</title>{marker}{curves}{boxes}</svg>'
    )


def _needs(step: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _objects(step.get("dependsOn"))


def _places(nodes: list[Any], arrows: list[tuple[Any, Any]]) -> dict[Any, tuple[int, int]]:
    """Return the corner of each box: below those that it depends on. In a cycle, some arrows point upwards."""
    rows = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for source, target in arrows:
            if source != target:
                rows[target] = min(max(rows[target], rows[source] + 1), len(nodes) - 1)
    columns: dict[int, int] = {}
    places = {}
    for node in nodes:
        column = columns[rows[node]] = columns.get(rows[node], -1) + 1
        places[node] = (10 + column * (_WIDTH + _GAP), 5 + rows[node] * (_HEIGHT + _BETWEEN))
    return places


def _box(x: int, y: int, first: str, second: str) -> str:
    middle, up = x + _WIDTH // 2, 20 if second else 28
    texts = f'<text x="{middle}" y="{y + up}" font-weight="bold">{_line(first or second)}</text>'
    if first and second:
        texts += f'<text x="{middle}" y="{y + 37}">{_line(second)}</text>'
    rectangle = f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" {_BOX}/>'
    return f'{rectangle}<g text-anchor="middle" fill="#1d2340">{texts}</g>'


def _arrows(places: Mapping[Any, tuple[int, int]], arrows: Sequence[tuple[Any, Any, Any]]) -> Iterator[str]:
    """Yield the arrows; those to one box end side by side, and the labels of those from one box are stacked."""
    ends = Counter(target for _, target, _ in arrows)
    begun, ended = Counter[Any](), Counter[Any]()
    for source, target, need in arrows:
        begun[source] += 1
        ended[target] += 1
        (left, top), (x, y) = places[source], places[target]
        start = (left + _WIDTH // 2, top + _HEIGHT)
        end = (x + _WIDTH * ended[target] // (ends[target] + 1), y - 1)
        yield _arrow(start, end, need, begun[source])


def _arrow(start: tuple[int, int], end: tuple[int, int], need: Mapping[str, Any], line: int) -> str:
    (x1, y1), (x2, y2) = start, end
    dashes = ' stroke-dasharray="5 4"' if need.get("required") is False else ""
    # It turns below its text.
    curve = f"M{x1} {y1}C{x1} {y1 + _BETWEEN * 4 // 5} {x2} {y2 - _BETWEEN // 2} {x2} {y2}"
    path = f'<path d="{curve}" {_LINE}{dashes} marker-end="url(#head)"/>'
    text = _line(f"{_text(need, 'transform')} to {_text(need, 'targetArgument')}", 44)
    beside = 20 if x2 > x1 else 8
    return f'{path}<text x="{x1 + beside}" y="{y1 + 2 + 13 * line}" font-size="11" fill="#888">{text}</text>'


def _line(text: str, longest: int = _MAX_LINE) -> str:
    plain = "".join(character for character in _shortened(text) if character.isprintable())
    return html.escape(plain if len(plain) <= longest else plain[: longest - 1] + "…")
