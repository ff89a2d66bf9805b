"""The session of a client: its credentials, their refresh, and the account they belong to."""

from __future__ import annotations

from collections.abc import Callable

from sogni.core.account.state import AccountState
from sogni.core.credentials import (
    ACCESS_TOKEN_EXPIRED,
    Credentials,
    Refresh,
    ServiceClock,
    clock_at,
    clock_at_issue,
    signed_out_error,
)
from sogni.core.outbox import CONNECTION, FetchAccount, Listeners, Outbox, RefreshTokens
from sogni.errors import AuthenticationError, SogniError
from sogni.settings import Settings


class Session:
    """Credentials, their refresh, and the account they belong to.

    `stop_connection` closes the socket of an account that is left, `wake_projects` wakes the waiters of all projects.
    """

    def __init__(
        self,
        settings: Settings,
        out: Outbox,
        account: AccountState,
        *,
        stop_connection: Callable[[], None],
        wake_projects: Callable[[], None],
    ) -> None:
        self._had_key = settings.api_key is not None
        self._out = out
        self._account = account
        self._stop_connection = stop_connection
        self._wake_projects = wake_projects
        self.credentials: Credentials = Credentials(settings.auth_type, settings.api_key)
        self.listeners: Listeners = Listeners()
        self.generation: int = 0
        """Number of changes of credentials, to recognize replies to requests with earlier ones."""
        self.service_clock: ServiceClock | None = None

    # -- the service's clock ---------------------------------------------------

    def service_time(self, now: float) -> float:
        """Return the latest possible time of the service's clock, by which credentials expire."""
        clock, wall = self._clock, self._out.wall(now)
        return wall if clock is None else clock.latest(now, wall)

    def service_time_at_least(self, now: float) -> float:
        """Return the earliest possible time of the service's clock, which must pass before a session ends."""
        clock, wall = self._clock, self._out.wall(now)
        return wall if clock is None else clock.earliest(now, wall)

    def set_service_date(self, date: float | None, now: float) -> None:
        """Set the service clock from the `Date` header of a reply."""
        if date is not None:
            self.service_clock = clock_at(date, now, self._out.wall(now))

    @property
    def _clock(self) -> ServiceClock | None:
        return self.credentials.issue_clock or self.service_clock

    # -- signing in and out ----------------------------------------------------

    @property
    def signed_in(self) -> bool:
        """Whether there are credentials that the service has not rejected."""
        return self.credentials.present

    def authenticated(self, monotonic: float, wall: float) -> bool:
        """Whether there are credentials that have not expired; safe in any thread."""
        clock = self._clock
        return self.credentials.authenticated(wall if clock is None else clock.earliest(monotonic, wall))

    def auth_headers(self) -> dict[str, str]:
        """Return the authentication header."""
        return self.credentials.headers()

    def signed_out_error(self) -> AuthenticationError:
        """Return a new error for a call that needs credentials when there are none."""
        return signed_out_error(self.credentials, had_key=self._had_key)

    def use_issued(self, token: str, refresh_token: str, now: float) -> bool:
        """Use a newly issued pair; False if it is already in use."""
        wall = self._out.wall(now)
        service_time = None if self.service_clock is None else self.service_clock.latest(now, wall)
        return self.credentials.use_tokens(token, refresh_token, clock_at_issue(token, service_time, now, wall))

    def accept_cookies(self, address: str | None, *, fetch: bool = True) -> None:
        """Use the session cookies, which belong to the account with wallet `address`."""
        if self._leave_other_account(address):
            self.credentials.clear()
        if self.credentials.use_cookies():
            self.signed_in_as(fetch=fetch)

    def signed_in_as(self, *, fetch: bool = True) -> None:
        """Handle new credentials; `fetch`: find out in the background whose they are."""
        self.credentials_changed()
        self._out.notify(self.listeners, "updated", True)
        if fetch:
            self._out.start(FetchAccount())

    def credentials_changed(self) -> None:
        """Count a change of credentials; replies to requests with earlier ones are ignored."""
        self.generation += 1
        self._leave_other_account(self.credentials.address)

    def sign_out(self, *, lost: bool = False) -> None:
        """Discard the credentials and notify waiters. `lost`: the service rejected them."""
        if not self.credentials.clear(lost=lost):
            return
        self.generation += 1
        self.leave_account()
        self._wake_projects()
        self._out.wake(CONNECTION)
        self._out.notify(self.listeners, "updated", False)

    def unauthorized(self, generation: int | None = None) -> None:
        """Handle a 401: the credentials it was sent with are invalid.

        `generation` is that of those credentials; if it is not the current one, they have been replaced since.
        """
        if generation is None or generation == self.credentials.generation:
            self.sign_out(lost=True)

    def rejected_by_socket(self) -> None:
        """Discard the credentials after a close code that says they are invalid."""
        if self.credentials.clear(lost=True):
            self.generation += 1
            self._account.reset()
            self._out.notify(self.listeners, "updated", False)

    def leave_account(self) -> None:
        """Drop the socket and the account; the next call that needs a socket opens another."""
        self._stop_connection()
        self._account.reset()

    def _leave_other_account(self, address: str | None) -> bool:
        """Drop the socket and account of a different user; True if there was one."""
        known = self._account.wallet_address
        another = bool(address and known and address.casefold() != known.casefold())
        if another:
            self.leave_account()
        return another

    def take_over(self, before: Session, *, forked: bool) -> None:
        """Take over credentials and listeners when a client is re-created in another event loop or a forked child.

        In another loop everything carries over. A forked child only gets credentials that two processes can share: a
        refresh token works once and stays with the parent, as do the listeners.
        """
        self.credentials.take_over(before.credentials, forked=forked)
        self.service_clock = before.service_clock
        if not forked:
            self.listeners = before.listeners

    # -- token refresh ---------------------------------------------------------

    def begin_refresh(self, now: float) -> Refresh | None:
        """Return the token refresh to wait for before sending; None if the credentials can be used as they are.

        Raises `AuthenticationError` if there is only an access token and it has expired.
        """
        if self.credentials.access_token_expired(self.service_time_at_least(now)):
            self.sign_out(lost=True)
            raise AuthenticationError(ACCESS_TOKEN_EXPIRED, status=401)
        if not self.credentials.needs_refresh(self.service_time(now)):
            return None
        refresh, new = self.credentials.begin_refresh()
        if new:
            self._out.start(RefreshTokens(refresh))
        return refresh

    def refresh_expired(self, now: float) -> bool:
        """Whether there is a refresh token and it has expired."""
        return self.credentials.refresh_expired(self.service_time_at_least(now))

    def refreshed(self, refresh: Refresh, token: str, refresh_token: str, now: float) -> None:
        """Store the new pair, unless another user has signed in meanwhile."""
        refresh.finished = True
        self._out.wake(refresh)
        if refresh.generation == self.credentials.generation and self.use_issued(token, refresh_token, now):
            self._out.notify(self.listeners, "updated", True)

    def refresh_failed(self, refresh: Refresh, error: SogniError, *, clears: bool) -> None:
        """Record a failed refresh; `clears`: the service rejected the refresh token, so discard it."""
        refresh.finished, refresh.error = True, error
        self._out.wake(refresh)
        if clears:
            self.unauthorized(refresh.generation)
