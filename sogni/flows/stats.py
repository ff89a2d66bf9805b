"""Statistics: the leaderboard (account §12.4)."""

from __future__ import annotations

from typing import Any, get_args

from ..errors import ProtocolError
from ..models.converter import read
from ..models.stats import LeaderboardEntry, LeaderboardNetwork, LeaderboardPeriod, LeaderboardType
from ..protocol.account_calls import check_choice
from ..protocol.http import get
from .requests import ask_data
from .steps import Flow


def leaderboard(type: Any, period: Any, **filters: Any) -> Flow[list[LeaderboardEntry]]:
    """The best of a kind. ValidationError for a type, period or network that nobody knows."""
    check_choice("type", type, get_args(LeaderboardType))
    check_choice("period", period, get_args(LeaderboardPeriod))
    if filters.get("network") is not None:
        check_choice("network", filters["network"], get_args(LeaderboardNetwork))
    data = yield from ask_data(get("/v1/leaderboard/", type=type, period=period, **filters))
    if not isinstance(data, list):
        raise ProtocolError("the answer to GET /v1/leaderboard/ is no list")
    return read(list[LeaderboardEntry], data, "the answer to GET /v1/leaderboard/")
