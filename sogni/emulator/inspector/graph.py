"""Workflows as graphs: the steps in columns by what they depend on, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from sogni.emulator.inspector.html import Markup, element
from sogni.emulator.workflows.runs import Run, Step

_WIDTH, _HEIGHT = 168, 46
_GAP_X, _GAP_Y, _MARGIN = 44, 16, 4
_LONGEST = 22


def draw(run: Run) -> Markup:
    """Return the graph of a workflow. Its description for screen readers lists the steps."""
    columns = _columns(run.steps)
    places = {
        step.id: (_MARGIN + x * (_WIDTH + _GAP_X), _MARGIN + y * (_HEIGHT + _GAP_Y))
        for x, column in enumerate(columns)
        for y, step in enumerate(column)
    }
    width = len(columns) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = max(map(len, columns), default=1) * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    edges = [
        _edge(places[source], places[step.id]) for step in run.steps for source in sorted(step.sources & places.keys())
    ]
    nodes = [_node(step, *places[step.id]) for step in run.steps]
    words = "; ".join(_words(step) for step in run.steps)
    return element(
        "svg",
        element("title", f"Steps: {words}"),
        edges,
        nodes,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        class_="graph",
    )


def _columns(steps: Sequence[Step]) -> list[list[Step]]:
    """Return the steps by the length of the longest way to them."""
    depth: dict[str, int] = {}
    for step in steps:
        # Steps come after those that they depend on; anything else is drawn in the first column.
        depth[step.id] = max((depth[source] + 1 for source in step.sources if source in depth), default=0)
    columns: list[list[Step]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for step in steps:
        columns[depth[step.id]].append(step)
    return columns


def _edge(start: tuple[int, int], end: tuple[int, int]) -> Markup:
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return element("path", d=f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}", class_="edge")


def _node(step: Step, x: int, y: int) -> Markup:
    return element(
        "g",
        element("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=8),
        element("circle", cx=x + 16, cy=y + 16, r=5),
        element("text", _short(step.id), x=x + 28, y=y + 20, class_="name"),
        element("text", _short(f"{step.tool}"), x=x + 12, y=y + 37, class_="tool"),
        class_=f"node {step.status}",
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _words(step: Step) -> str:
    after = f", after {', '.join(sorted(step.sources))}" if step.sources else ""
    return f"{step.id}: {step.tool}, {step.status}{after}"
