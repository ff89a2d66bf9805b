"""Tests of one rule over many values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any


def each_row(
    columns: str | Sequence[str], rows: Iterable[Any], *, ids: Sequence[str] | Callable[..., object] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test for each row, like `pytest.mark.parametrize`, but as one test. A failure names its row.

    Thousands of rows as tests of their own take longer to collect, set up and report than to run.
    """
    names = [it.strip() for it in columns.split(",")] if isinstance(columns, str) else list(columns)
    table = list(rows)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def run(**fixtures: Any) -> None:
            __tracebackhide__ = True
            for number, row in enumerate(table):
                values = row if len(names) > 1 else [row]
                try:
                    test(**fixtures, **dict(zip(names, values, strict=True)))
                except BaseException as error:
                    label = ids[number] if isinstance(ids, Sequence) else row
                    error.add_note(f"in row {number}: {label!r}")
                    raise

        signature = inspect.signature(test)
        assert set(names) <= set(signature.parameters), (test, names)
        rest = [it for name, it in signature.parameters.items() if name not in names]
        run.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        return run

    return decorate
