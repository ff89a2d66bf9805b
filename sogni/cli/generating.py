"""What every command that generates does with a project: decides its further options and what is printed.

Used by `image`, `video` and `music`, which only differ in how a project is described.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click
from attrs import frozen

from .access import Access, accessing
from .collecting import collect
from .output import print_json, print_paths
from .target import Target, saving


@frozen(kw_only=True)
class Generation:
    """Where a project runs, how long it may take and cost, and where its results go."""

    access: Access
    target: Target
    timeout: float | None
    max_cost: str | None

    def run(self, fields: Mapping[str, Any]) -> None:
        """Carry a project out and print what was saved. Raises what `collect` raises, or why it is not everything."""
        wanted = {**fields, "network": self.access.network}
        with self.access.client(self.timeout) as client:
            collected = collect(client, wanted, self.target, max_cost=self.max_cost, timeout=self.timeout)
        if self.access.as_json:
            print_json({**collected.project.to_dict(), "files": [str(path) for path in collected.files]})
        else:
            print_paths(collected.files)
        if collected.error is not None:
            raise collected.error


def generating(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of this module; it gets them as a `Generation`, its first argument."""

    @wraps(function)
    def command(access: Access, *, target: Target, timeout: float | None, max_cost: str | None, **given: Any) -> Any:
        generation = Generation(access=access, target=target, timeout=timeout, max_cost=max_cost)
        return function(generation, **given)

    return saving(_TIMEOUT(_MAX_COST(accessing(command))))


_TIMEOUT = click.option(
    "--timeout", type=float, metavar="SECONDS", is_eager=True, help="Give up, and cancel, after this long."
)
_MAX_COST = click.option("--max-cost", metavar="AMOUNT", help="Refuse to spend more, in the token that pays.")
