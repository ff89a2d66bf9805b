"""Statistics: the leaderboard (account §12.4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from attrs import frozen

from .base import Model

LeaderboardType = Literal[
    "renderUSDCompleteWorker",
    "renderUSDCompleteArtist",
    "renderSecCompleteWorker",
    "renderSecCompleteArtist",
    "renderTokenCompleteWorker",
    "renderTokenCompleteWorker2",
    "renderTokenCompleteArtist",
    "renderTokenCompleteArtist2",
    "jobCompleteWorker",
    "jobCompleteArtist",
    "projectCompleteArtist",
    "uloginWorker",
    "uloginArtist",
    "tokenVolume",
    "referral",
]
LeaderboardPeriod = Literal["day", "lifetime"]
LeaderboardNetwork = Literal["fast", "relaxed", "all"]


@frozen(kw_only=True)
class LeaderboardEntry(Model):
    """One place of a leaderboard."""

    rank: int
    username: str | None = None
    address: str | None = None
    country: str | None = None
    value: Decimal = Decimal(0)
    role: str | None = None
