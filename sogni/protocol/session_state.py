"""Who is signed in: decides what new, exchanged, refused and lost credentials mean for everything else (transport §5).

The part of the client state that knows sessions; `client_state` mixes it in. What credentials are, `credentials` knows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..errors import AuthenticationError, SogniError
from ..settings import Settings
from . import chores
from .account_state import AccountState
from .credentials import LENT_OVER, Credentials, Refresh, signed_out_error
from .listeners import Listeners
from .outbox import Outbox
from .project_state import ProjectState
from .service_clock import ServiceClock, clock_at, clock_at_issue

CONNECTION = "connection"
"""The topic of whoever waits for news, which come over the connection of somebody who is signed in."""


class SessionState(ABC):
    """Credentials, their exchange, and whose they are."""

    settings: Settings
    out: Outbox
    account: AccountState
    credentials: Credentials
    session: int
    closed: bool
    service_clock: ServiceClock | None
    projects: dict[str, ProjectState]
    auth_listeners: Listeners

    @abstractmethod
    def stop_connection(self) -> None:
        """Close the socket for good from this side."""

    def at(self, monotonic: float, wall: float) -> float:
        """The `now` of a change, by two clocks of the shell; it is the one that nobody can set."""
        self.out.epoch = wall - monotonic
        return monotonic

    def wall(self, now: float) -> float:
        """The time of day at `now`, in seconds since 1970."""
        return now + self.out.epoch

    def service_time(self, now: float) -> float:
        """The service's time of day at `now`, by which credentials expire: as late as it may be."""
        clock, wall = self._service_clock, self.wall(now)
        return wall if clock is None else clock.latest(now, wall)

    def service_time_at_least(self, now: float) -> float:
        """The same, as early as it may be: what ends a session must be certain."""
        clock, wall = self._service_clock, self.wall(now)
        return wall if clock is None else clock.earliest(now, wall)

    def authenticated(self, monotonic: float, wall: float) -> bool:
        """Whether somebody is signed in to a client that is open; may be asked in any thread."""
        if self.closed:
            return False
        clock = self._service_clock
        return self.credentials.authenticated(wall if clock is None else clock.earliest(monotonic, wall))

    @property
    def _service_clock(self) -> ServiceClock | None:
        return self.credentials.issue_clock or self.service_clock

    def service_said(self, date: float | None, now: float) -> None:
        """An answer of the service says when it was given."""
        if date is not None:
            self.service_clock = clock_at(date, now, self.wall(now))

    def use_issued(self, token: str, refresh_token: str, now: float) -> bool:
        """Take a pair that was issued just now; False when it is the one there is."""
        wall = self.wall(now)
        said = None if self.service_clock is None else self.service_clock.latest(now, wall)
        return self.credentials.use_tokens(token, refresh_token, clock_at_issue(token, said, now, wall))

    @property
    def signed_in(self) -> bool:
        """Whether there are credentials the service has not refused."""
        return self.credentials.present

    def auth_headers(self) -> dict[str, str]:
        """The header that says who asks (transport §5)."""
        return self.credentials.headers()

    def signed_out_error(self) -> AuthenticationError:
        """A new error for work that needs credentials when there are none (any more)."""
        return signed_out_error(self.credentials, had_key=self.settings.api_key is not None)

    def unauthorized(self, turn: int | None = None) -> None:
        """A request was answered with 401: the credentials of then are no good (transport §4.4).

        `turn` is that of the credentials it was sent with; others have come since when it is not the present one.
        """
        if turn is None or turn == self.credentials.turn:
            self.sign_out(lost=True)

    def sign_out(self, *, lost: bool = False) -> None:
        """Forget the credentials; whoever waits for something of theirs is told. `lost`: they are no good."""
        if not self.credentials.clear(lost=lost):
            return
        self.session += 1
        self.leave_account()
        for project in self.projects.values():
            self.out.wake(project)
        self.out.wake(CONNECTION)
        self.out.tell(self.auth_listeners, "updated", False)

    def signed_in_as(self, *, fetch: bool = True) -> None:
        """There are new credentials; `fetch`: find out in the background whose they are (transport §5)."""
        self.changed_hands()
        self.out.tell(self.auth_listeners, "updated", True)
        if fetch:
            self.out.begin(chores.FetchAccount())

    def changed_hands(self) -> None:
        """There are other credentials, if only to be exchanged; answers to earlier ones do not count."""
        self.session += 1
        self._make_way_for(self.credentials.address)

    def cookies_are_good(self, address: str | None, *, fetch: bool = True) -> None:
        """The cookies let somebody be signed in, and it is the one with that wallet."""
        if self._make_way_for(address):
            self.credentials.clear()
        if self.credentials.use_cookies():
            self.signed_in_as(fetch=fetch)

    def _make_way_for(self, address: str | None) -> bool:
        """Give up the socket and the account of somebody else; whether there was somebody else."""
        known = self.account.wallet_address
        another = bool(address and known and address.casefold() != known.casefold())
        if another:
            self.leave_account()
        return another

    def leave_account(self) -> None:
        """Give up a socket and an account; the next call that needs a socket opens another."""
        self.stop_connection()
        self.account.reset()

    def go_on_from(self, before: SessionState, *, forked: bool) -> None:
        """Take over who was signed in, and who listens to that, when a client begins anew.

        In another loop everything goes on. A forked child only has the use of what can be used by two: a refresh
        token works once, and stays with the parent, as do its listeners.
        """
        self.credentials.go_on_from(before.credentials, forked=forked)
        self.service_clock = before.service_clock
        if not forked:
            self.auth_listeners = before.auth_listeners

    def fresh(self, now: float) -> Refresh | None:
        """The refresh to wait for before anything can be sent; None when the credentials can be used as they are.

        AuthenticationError when a token that was lent to this process is over.
        """
        if self.credentials.lent_is_over(self.service_time_at_least(now)):
            self.sign_out(lost=True)
            raise AuthenticationError(LENT_OVER, status=401)
        if not self.credentials.wants_refresh(self.service_time(now)):
            return None
        refresh, new = self.credentials.begin_refresh()
        if new:
            self.out.begin(chores.RefreshTokens(refresh))
        return refresh

    def refreshed(self, refresh: Refresh, token: str, refresh_token: str, now: float) -> None:
        """The new pair is there; it is of no use when somebody else has signed in meanwhile."""
        refresh.finished = True
        self.out.wake(refresh)
        if refresh.turn == self.credentials.turn and self.use_issued(token, refresh_token, now):
            self.out.tell(self.auth_listeners, "updated", True)

    def refresh_failed(self, refresh: Refresh, error: SogniError, *, clears: bool) -> None:
        """There is no new pair; `clears`: because the service gives none (transport §5.1)."""
        refresh.finished, refresh.error = True, error
        self.out.wake(refresh)
        if clears:
            self.unauthorized(refresh.turn)
