"""Rewards of one account: what can be claimed, when it can be claimed again, and why not."""
# Protocol notes: account §7.

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal

from attrs import define, field, frozen

from sogni.emulator.declarations import to_decimal
from sogni.emulator.fields import one_of

ONCE = -1
"""The frequency of a reward that can be claimed only once."""


@frozen
class Reward:
    """A reward that accounts can claim.

    Attributes:
        id: ID of the reward.
        title: Title.
        description: Description.
        token: "spark" or "sogni".
        amount: Amount. Numbers and strings become ``Decimal``.
        type: "instant" (default) or "conditioned".
        every: Seconds until it can be claimed again; -1 (default) if it can be claimed only once.
        obstacle: The reason why it cannot be claimed at all; None if there is none.
    """

    id: str
    title: str
    description: str
    token: Literal["spark", "sogni"] = field(validator=one_of(("spark", "sogni")))
    amount: Decimal = field(converter=to_decimal)
    type: Literal["instant", "conditioned"] = field(default="instant", validator=one_of(("instant", "conditioned")))
    every: int = ONCE
    obstacle: str | None = None


DEFAULT_REWARDS = (
    Reward("1", "Daily boost", "Free Spark, once a day", "spark", 50, every=24 * 3600),
    Reward("2", "Welcome", "For the new account", "sogni", 10),
    Reward(
        "3", "Verified artist", "For a verified account", "spark", 100, "conditioned", ONCE, "requires_verification"
    ),
)


class NotClaimableError(Exception):
    """The reward cannot be claimed; the message names it and gives the reason."""


class UnknownRewardError(NotClaimableError):
    """There is no such reward."""


@define(eq=False)
class Rewards:
    """The rewards of one account. Tests may replace ``offers``."""

    offers: Sequence[Reward] = DEFAULT_REWARDS
    clock: Callable[[], float] = time.time
    _claimed: dict[str, float] = field(factory=dict)

    def records(self) -> list[dict[str, object]]:
        """Return the raw rewards; times are in seconds."""
        return [
            {
                "id": reward.id,
                "type": reward.type,
                "title": reward.title,
                "description": reward.description,
                "amount": f"{reward.amount:f}",
                "tokenType": reward.token,
                "claimed": int(self._obstacle(reward) == "already_claimed"),
                "canClaim": int(self._obstacle(reward) is None),
                "cantClaimReason": self._obstacle(reward),
                "lastClaimTimestamp": int(self._claimed.get(reward.id, 0)),
                "claimResetFrequencySec": reward.every,
            }
            for reward in self.offers
        ]

    def claim(self, ids: Sequence[str]) -> list[Reward]:
        """Mark all of these rewards as claimed and return them, or raise and mark none."""
        known = {reward.id: reward for reward in self.offers}
        if len(set(ids)) != len(ids):
            raise NotClaimableError("Duplicate reward")
        for requested in ids:
            if requested not in known:
                raise UnknownRewardError(f"Unknown reward {requested}")
            obstacle = self._obstacle(known[requested])
            if obstacle is not None:
                raise NotClaimableError(f"Reward {requested} cannot be claimed: {obstacle}")
        self._claimed |= dict.fromkeys(ids, self.clock())
        return [known[requested] for requested in ids]

    def clear(self) -> None:
        """Forget all claims and restore the default rewards."""
        self.offers = DEFAULT_REWARDS
        self._claimed.clear()

    def _obstacle(self, reward: Reward) -> str | None:
        if reward.obstacle is not None:
            return reward.obstacle
        last = self._claimed.get(reward.id)
        open_again = last is None or (reward.every > ONCE and self.clock() >= last + reward.every)
        return None if open_again else "already_claimed"
