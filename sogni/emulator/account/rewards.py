"""Rewards: what an account can claim, when it may do so again, and why not (account §7).

Called by the routes of the rewards. Each account has its own claims; paying out is the account's work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal

from attrs import define, field, frozen

ONCE = -1
"""The frequency of a reward that never comes back."""


@frozen(kw_only=True)
class Reward:
    """Something to claim. ``every`` is in seconds; ``obstacle`` is why it cannot be claimed at all."""

    id: str
    title: str
    description: str
    token: Literal["spark", "sogni"]
    amount: Decimal = field(converter=Decimal)
    type: Literal["instant", "conditioned"] = "instant"
    every: int = ONCE
    obstacle: str | None = None


DEFAULT_REWARDS = (
    Reward(
        id="1",
        title="Daily boost",
        description="Free Spark, once a day",
        token="spark",
        amount="50",
        every=24 * 3600,
    ),
    Reward(id="2", title="Welcome", description="For the new account", token="sogni", amount="10"),
    Reward(
        id="3",
        title="Verified artist",
        description="For a verified account",
        token="spark",
        amount="100",
        type="conditioned",
        obstacle="requires_verification",
    ),
)


class NotClaimableError(Exception):
    """A reward that cannot be claimed; the text says which and why."""


class UnknownRewardError(NotClaimableError):
    """A reward that is not on offer."""


@define(eq=False)
class Rewards:
    """The rewards of one account. ``offers`` may be replaced by tests."""

    offers: Sequence[Reward] = DEFAULT_REWARDS
    clock: Callable[[], float] = time.time
    _claimed: dict[str, float] = field(factory=dict)

    def records(self) -> list[dict[str, Any]]:
        """The raw rewards; times are seconds."""
        return [self._record(reward) for reward in self.offers]

    def claim(self, ids: Sequence[str]) -> list[Reward]:
        """Mark all of these as claimed and return them, or raise and mark none."""
        known = {reward.id: reward for reward in self.offers}
        if len(set(ids)) != len(ids):
            raise NotClaimableError("A reward is named twice")
        for wanted in ids:
            if wanted not in known:
                raise UnknownRewardError(f"There is no reward {wanted}")
            obstacle = self._obstacle(known[wanted])
            if obstacle is not None:
                raise NotClaimableError(f"Reward {wanted} cannot be claimed: {obstacle}")
        self._claimed |= dict.fromkeys(ids, self.clock())
        return [known[wanted] for wanted in ids]

    def clear(self) -> None:
        """Forget every claim; the ordinary rewards are offered again."""
        self.offers = DEFAULT_REWARDS
        self._claimed.clear()

    def _obstacle(self, reward: Reward) -> str | None:
        if reward.obstacle is not None:
            return reward.obstacle
        last = self._claimed.get(reward.id)
        open_again = last is None or (reward.every > ONCE and self.clock() >= last + reward.every)
        return None if open_again else "already_claimed"

    def _record(self, reward: Reward) -> dict[str, Any]:
        obstacle = self._obstacle(reward)
        return {
            "id": reward.id,
            "type": reward.type,
            "title": reward.title,
            "description": reward.description,
            "amount": f"{reward.amount:f}",
            "tokenType": reward.token,
            "claimed": int(obstacle == "already_claimed"),
            "canClaim": int(obstacle is None),
            "cantClaimReason": obstacle,
            "lastClaimTimestamp": int(self._claimed.get(reward.id, 0)),
            "claimResetFrequencySec": reward.every,
        }
