"""The amount that the servers of a user have spent today."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from sogni.errors import CostLimitError
from sogni.local import spending
from sogni.local.spending import DaySpending

TODAY = date(2026, 3, 1)


@pytest.fixture(params=["file", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "state" / "spending.json" if request.param == "file" else None


def test_the_limit_holds_for_each_token_and_day(path: Path | None) -> None:
    days = [TODAY]
    day = DaySpending(Decimal(10), path, lambda: days[-1])
    day.reserve("spark", Decimal(6))
    day.reserve("sogni", Decimal(9))
    with pytest.raises(CostLimitError, match="would cost 5 spark, and 6 of the 10 spark"):
        day.reserve("spark", Decimal(5))
    assert (day.spent("spark"), day.spent("sogni")) == (6, 9)
    days.append(date(2026, 3, 2))
    assert (day.spent("spark"), day.reserve("spark", Decimal(10)).amount) == (0, 10)


def test_what_was_spent_replaces_what_was_reserved(path: Path | None) -> None:
    days = [TODAY]
    day = DaySpending(Decimal(10), path, lambda: days[-1])
    day.settle(day.reserve("spark", Decimal(6)), Decimal("4.5"))
    assert day.spent("spark") == Decimal("4.5")
    late = day.reserve("spark", Decimal(5))
    days.append(date(2026, 3, 2))
    day.reserve("spark", Decimal(1))
    day.settle(late, Decimal(0))
    assert day.spent("spark") == 1


@pytest.mark.parametrize("same", [True, False])
def test_requests_and_servers_share_a_limit(path: Path | None, *, same: bool) -> None:
    servers = [DaySpending(Decimal(20), path, lambda: TODAY) for _ in range(4)]
    if same or path is None:
        servers = servers[:1] * 4

    def spend(server: DaySpending) -> int:
        for number in range(100):
            try:
                server.reserve("spark", Decimal(1))
            except CostLimitError:
                return number
        return 100

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(spend, servers)) == 20
    assert servers[0].spent("spark") == 20


def test_without_a_limit_nothing_is_recorded(tmp_path: Path) -> None:
    day = DaySpending(None, tmp_path / "spending.json")
    day.settle(day.reserve("spark", Decimal(6)), Decimal(6))
    assert (day.spent("spark"), list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff", *(b'{"day": "2026-03-01", "spent": {"spark": "%s"}}' % it for it in (b"x", b"NaN"))],
)
def test_a_damaged_file_stops_spending(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spending.json"
    path.write_bytes(content)
    with pytest.raises(OSError, match="is damaged"):
        DaySpending(Decimal(10), path, lambda: TODAY).reserve("spark", Decimal(1))
    assert path.read_bytes() == content


def test_a_lock_that_is_not_released_is_not_waited_for_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "_LOCK_SECONDS", 0)
    path = tmp_path / "spending.json"
    with spending._locked(path.with_suffix(".lock")), pytest.raises(OSError, match="is locked"):
        DaySpending(Decimal(10), path).reserve("spark", Decimal(1))


def test_the_usual_place_is_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    DaySpending.shared(Decimal(10)).reserve("spark", Decimal(3))
    assert DaySpending.shared(Decimal(10)).spent("spark") == 3
    monkeypatch.setattr(spending, "state_directory", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert DaySpending.shared(Decimal(10)).spent("spark") == 0
