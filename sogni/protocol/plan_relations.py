"""What the steps of a plan say of one another: decides about ids, sources and order (workflows §2.1).

Called by `plan_structure`. A cycle is told once, with all its steps, and not again as a wrong order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from attrs import frozen

from ..models.workflow_plans import INPUT_MEDIA, PlanFinding
from .field_checks import shown
from .plan_places import Place, named
from .suggestions import did_you_mean


@frozen
class _Use:
    """That a step, by its place, takes something from another one."""

    step: int
    field: str
    source: int


def relation_findings(places: Sequence[Place], steps: Sequence[Any], has_media: bool | None) -> Iterator[PlanFinding]:
    """What is wrong between the steps; `has_media` as in `structure_findings`."""
    known: dict[str, int] = {}
    for index, place in enumerate(places):
        if place.id == INPUT_MEDIA:
            yield place.finding("reserved", "id", "stands for the media references of the request")
        elif place.id in known:
            yield place.finding("unique", "id", f"is that of step {known[place.id] + 1}, too")
        elif place.id is not None:
            known[place.id] = index
    uses: list[_Use] = []
    for index, (place, step) in enumerate(zip(places, steps, strict=True)):
        for field, source in named(step, "source_step_id"):
            if source in known:
                uses.append(_Use(index, field, known[source]))
            elif source != INPUT_MEDIA:
                words = f"names no step: {shown(source)}{did_you_mean(source, [*known, INPUT_MEDIA])}"
                yield place.finding("unknown-step", field, words)
            elif has_media is False:
                yield place.finding("media", field, f"is {INPUT_MEDIA}, but the request has no media references")
    yield from _orders(places, uses)


def _orders(places: Sequence[Place], uses: Sequence[_Use]) -> Iterator[PlanFinding]:
    loops = list(_cycles(uses))
    for loop in loops:
        names = [shown(places[index].id) for index in (*loop, loop[0])]
        words = f"is a cycle: {' needs '.join(names if len(loop) > 1 else [names[0], 'itself'])}"
        yield places[loop[0]].finding("cycle", "depends_on", words)
    for use in uses:
        if use.source > use.step and not any(use.step in loop and use.source in loop for loop in loops):
            words = f"names a later step: {shown(places[use.source].id)}; move it before this one"
            yield places[use.step].finding("order", use.field, words)


def _cycles(uses: Sequence[_Use]) -> Iterator[list[int]]:
    """Steps that need one another, each list in the order of needing, from its first step in the plan."""
    sources: dict[int, set[int]] = {}
    for use in uses:
        sources.setdefault(use.step, set()).add(use.source)
    while True:
        try:
            TopologicalSorter(sources).prepare()
        except CycleError as error:
            loop: list[int] = error.args[1][:0:-1]  # there each is needed by the next, and the first comes again
            for step in loop:
                sources[step].difference_update(loop)
            first = loop.index(min(loop))
            yield loop[first:] + loop[:first]
        else:
            return
