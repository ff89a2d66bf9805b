"""The report on a batch, and its summary for a mail."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sogni.models.batches import BatchItem, BatchReport
from tests.tables import each_row


def item(line: int, status: Any = "done", **what: Any) -> BatchItem:
    return BatchItem(request={}, line=line, status=status, **what)


def test_a_report_counts_and_sums_its_items_in_order() -> None:
    report = BatchReport.of([item(3, "kept"), item(1, cost=Decimal("0.5")), item(2, "failed", cost=Decimal(1))], 2.0)
    assert (report.done, report.failed, report.kept, report.cost) == (1, 1, 1, Decimal("1.5"))
    assert [it.line for it in report.items] == [1, 2, 3]


@each_row(
    ("items", "seconds", "expected"),
    [
        ([], 0.0, "0 done, 0 failed, 0 kept, cost 0, time 0.0 s"),
        (
            [
                item(1, cost=Decimal("0.50"), token_type="sogni"),
                item(2, cost=Decimal(10), token_type="spark"),
                item(3, cost=Decimal(1)),
            ],
            75.2,
            "3 done, 0 failed, 0 kept, cost 0.5 sogni + 10 spark + 1 tokens, time 1 min 15 s",
        ),
        ([item(1, "failed")], 7300.0, "0 done, 1 failed, 0 kept, cost 0, time 2 h 1 min"),
    ],
)
def test_the_summary_is_one_line(items: list[BatchItem], seconds: float, expected: str) -> None:
    assert str(BatchReport.of(items, seconds)) == expected
