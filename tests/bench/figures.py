"""Tables of measured figures, and how they are compared with their budgets."""

from __future__ import annotations

from statistics import median

SLACK = 1.15
"""What a ratio may exceed its budget by: the figures of a machine that others use vary by some percent."""
RATIO = 1.7
"""The budget of a frame and of a token, in terms of the floor."""


class Figures:
    """Lines of a table: what, figure, floor, budget."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, str]] = []

    def add(self, what: str, figure: str, floor: str = "", budget: str = "") -> None:
        """Add a line."""
        self._rows.append((what, figure, floor, budget))

    def ratio(self, what: str, pairs: list[tuple[float, float]], per: int, budget: float = RATIO) -> float:
        """Add seconds of the floor and of what is measured, of each round; returns the ratio of both.

        It is the middle one of three estimates, because a disturbance misleads each in another way: the ratio of the
        shortest rounds (a single lucky round of the floor), that of the fourth shortest (a long disturbance), and the
        median of the ratios of the rounds (many disturbed rounds of the floor).
        """
        columns = [sorted(column) for column in zip(*pairs, strict=True)]
        shortest, quarter = ([column[at] for column in columns] for at in (0, len(pairs) // 4))
        estimates = [shortest[1] / shortest[0], quarter[1] / quarter[0], median(b / a for a, b in pairs)]
        found = median(estimates)
        floor = shortest[0] / per * 1e6
        measured = found * floor
        self.add(what, f"{found:.2f} × floor ({measured:.1f} µs)", f"{floor:.1f} µs", f"{budget} × floor")
        return found

    def lines(self) -> list[str]:
        """The table, aligned; nothing when nothing was measured."""
        if not self._rows:
            return []
        rows = [("work", "figure", "floor", "budget"), *self._rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
