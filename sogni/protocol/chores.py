"""Work that a state change asks for in the background, as values.

Made by the state machines, turned into flows by `flows.background`, run by the shells. A chore
names ids, never objects, so that one that comes too late finds nothing and ends.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class SignResults(NamedTuple):
    """Get the download URLs of a project's finished jobs (projects-4.2 §11.4)."""

    project_id: str


class SignPreview(NamedTuple):
    """Get the download URL of a preview."""

    project_id: str
    job_id: str


class SyncProject(NamedTuple):
    """Read what the service recorded about an ended project (projects-4.2 §14.3)."""

    project_id: str


class Reconcile(NamedTuple):
    """Compare tracked projects with a snapshot; None: ask for one (transport §13)."""

    snapshot: Any


class ApplyRecord(NamedTuple):
    """Bring a tracked project in line with its record (projects-5x §9.4)."""

    record: Any


class Recover(NamedTuple):
    """Track finished projects that an earlier process started (projects-5x §9.4)."""

    records: tuple[Any, ...]


class LookUp(NamedTuple):
    """Find out about projects that a snapshot does not mention (transport §13.2)."""

    project_ids: tuple[str, ...]
    turn: int
    """Which snapshot this is about; the lookups of an older one than the newest end."""
    not_before: float | None = None
    """For projects too new for the snapshot: when to begin, in seconds since 1970."""
    asked_at: float = 0.0
    """When the snapshot was taken; a project that was mentioned since needs no lookup."""


class Resend(NamedTuple):
    """Send the request of a project that was refused while the service restarted (transport §13.2)."""

    project_id: str


class CheckLiveness(NamedTuple):
    """Find out whether a silent project is still alive (projects-5x §11)."""

    project_id: str


class CheckOverrun(NamedTuple):
    """Find out whether a job that ran past its limit is still worked on (projects-5x §11)."""

    project_id: str
    job_id: str


class Poll(NamedTuple):
    """Ask after a project whose frames go to another app id."""

    project_id: str


class EndLostChats(NamedTuple):
    """End the completions that a drop has left without news for too long (chat §14.2)."""


class NameModels(NamedTuple):
    """Give the models of a `swarmModels` frame their names (projects-4.2 §17)."""

    workers: dict[str, int]
    turn: int
    """Which list this is; an older one than the newest known is not shown."""


class FetchAccount(NamedTuple):
    """Read who is signed in (transport §1)."""


class FetchSubscription(NamedTuple):
    """Read the subscription, because the service did not say it by itself (account §13.5)."""


class RefreshTokens(NamedTuple):
    """Exchange a refresh token for a new pair (transport §5.1)."""

    refresh: Any

    @property
    def urgent(self) -> bool:
        """Other background work waits for it."""
        return True


Chore = (
    SignResults
    | SignPreview
    | SyncProject
    | Reconcile
    | ApplyRecord
    | Recover
    | LookUp
    | Resend
    | CheckLiveness
    | CheckOverrun
    | Poll
    | EndLostChats
    | NameModels
    | FetchAccount
    | FetchSubscription
    | RefreshTokens
)
