"""`client.stats`: who did how much."""

from __future__ import annotations

from typing import Any

from ..flows import stats
from ..models.stats import LeaderboardEntry, LeaderboardNetwork, LeaderboardPeriod, LeaderboardType


class Stats:
    """Statistics of the service."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def leaderboard(
        self,
        type: LeaderboardType,
        period: LeaderboardPeriod,
        *,
        username: str | None = None,
        network: LeaderboardNetwork | None = None,
        page: int | None = None,
        limit: int | None = None,
        date: int | None = None,
        address: str | None = None,
    ) -> list[LeaderboardEntry]:
        """The best of a kind, in a day or of all times; needs no account. Raises `ValidationError`."""
        filters = {
            "username": username,
            "network": network,
            "page": page,
            "limit": limit,
            "date": date,
            "address": address,
        }
        return self._engine.run(stats.leaderboard(type, period, **filters))  # type: ignore[no-any-return]
