"""What a plan will cost before anything of it is made: each step is priced with what the steps before it will give.

Called by the desk (workflows §3, ``billingPreview``).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..accounts import Account
from ..hosted import Media, Shelf, ToolCall, ToolError, ToolRunner
from ..hosted.shelf import KINDS
from ..hosted.studio import placeholder
from .runs import INPUT_MEDIA, Run, Step

_AT_HAND = 16
"""So many ordinary media of each kind stand behind what is known: numbers in arguments may mean any of them."""


async def estimate_plan(tools: ToolRunner, run: Run, account: Account) -> Decimal:
    """Note what each step is expected to cost, and return the sum."""
    ordinary = [placeholder(kind) for kind in KINDS]
    expected: dict[str, list[Media]] = {INPUT_MEDIA: ordinary}
    made: list[Media] = []
    for step in run.steps:
        near = [media for entry in step.depends_on for media in expected.get(str(entry["sourceStepId"]), ())]
        shelf = Shelf([*made, *ordinary * _AT_HAND], ordinary * _AT_HAND, near or ordinary)
        call = ToolCall(
            name=step.tool,
            arguments={**step.arguments, **_stand_ins(step, expected, shelf)},
            account=account,
            token=run.token,
            shelf=shelf,
        )
        try:
            step.estimate, found = await tools.foresee(call)
        except ToolError:
            # What cannot be priced now, fails or is paid for when its turn comes.
            step.estimate, found = Decimal(0), []
        expected[step.id] = found
        made += found
    return sum((step.estimate for step in run.steps), Decimal(0))


def _stand_ins(step: Step, expected: Mapping[str, list[Media]], shelf: Shelf) -> dict[str, Any]:
    """Return the numbers of what is expected, for the arguments that are bound by number later."""
    found: dict[str, Any] = {}
    for entry in step.depends_on:
        target, transform = str(entry["targetArgument"]), str(entry["transform"])
        if not transform.endswith("_index"):
            continue
        kind = transform.removesuffix("_index")
        number = next((shelf.index(m) for m in expected.get(str(entry["sourceStepId"]), ()) if m.kind == kind), 0)
        found[target] = [*found.get(target, []), number] if target.endswith("Indices") else number
    return found
