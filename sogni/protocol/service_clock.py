"""The service's time of day, by which tokens expire.

Tokens that the service has just issued are measured from their issue, others by the `Date` header of its answers. The
local clock counts until there is one, and afterwards while the difference is no more than these can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from attrs import frozen

from .token_claims import expires_at, issued_at

SAME = 5.0
"""Seconds by which two clocks that are right may differ: `Date` has whole seconds, and an answer takes its time."""
JUST_ISSUED = 60.0
"""Seconds for which a token is used that seems to have expired when it is issued."""
_RESOLUTION = 1.0


@frozen
class ServiceClock:
    """What one answer says: the service's time less that of the local clocks when it arrived."""

    ahead_of_monotonic: float
    ahead_of_wall: float

    def latest(self, monotonic: float, wall: float) -> float:
        """The latest time it may be: the monotonic clock stops while the system sleeps, and the other may be set."""
        return max(monotonic + self.ahead_of_monotonic, wall + self.ahead_of_wall)

    def earliest(self, monotonic: float, wall: float) -> float:
        """The earliest time it may be."""
        return min(monotonic + self.ahead_of_monotonic, wall + self.ahead_of_wall)


def clock_at(service_time: float, monotonic: float, wall: float) -> ServiceClock:
    """The clock of a service whose time is known at this moment, in whole seconds."""
    service_time = wall if abs(service_time - wall) <= SAME else service_time + _RESOLUTION
    return ServiceClock(service_time - monotonic, service_time - wall)


def clock_at_issue(token: str, date: float | None, monotonic: float, wall: float) -> ServiceClock | None:
    """The clock by which a token is measured that was issued just now; None when that is any clock.

    One that does not say when it was issued is fresh, whatever the clocks say.
    """
    issued, end = issued_at(token), expires_at(token)
    if issued is None and end is not None and end <= (wall if date is None else date):
        issued = end - JUST_ISSUED
    issued = date if issued is None else issued
    return None if issued is None else clock_at(issued, monotonic, wall)


def date_of(headers: Mapping[str, str]) -> float | None:
    """When an answer was given, in seconds since 1970; None when it does not say, or comes out of a cache."""
    if headers.get("age", "0") != "0":
        return None
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
        return (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
