"""The state of one client: session, connection, models, and the dispatch of every frame.

Changed only under the state lock (asyncio: in the event loop). It performs no I/O: actions are left in its outbox.
Every `now` is in seconds of the monotonic clock, so that deadlines do not move with the time of day.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sogni.core import outbox as chores
from sogni.core.account.state import AccountState, read_amounts
from sogni.core.catalogue.state import CatalogueState
from sogni.core.chat.state import ChatFrames, ChatState
from sogni.core.connection import state as connection
from sogni.core.connection.messages import acknowledged
from sogni.core.connection.state import Closed, Connection
from sogni.core.credentials import (
    LENT_OVER,
    Credentials,
    Refresh,
    ServiceClock,
    clock_at,
    clock_at_issue,
    signed_out_error,
)
from sogni.core.outbox import CONNECTION, MODELS, NETWORK, SOCKET, Listeners, Outbox, WaiterRegistry
from sogni.core.projects.project import ProjectState
from sogni.core.projects.registry import ProjectFrames
from sogni.errors import AuthenticationError, ClientClosedError, ProtocolError, SogniConnectionError, SogniError
from sogni.models.account import Balances
from sogni.models.catalogue import AvailableModel
from sogni.models.chat import LLMModelInfo
from sogni.models.connection import Connected, Disconnected, Reconnecting, ToastMessage
from sogni.models.converter import read
from sogni.models.projects import Snapshot
from sogni.settings import Settings


class SessionState(ABC):
    """Credentials, their exchange, and the account they belong to."""

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
        """Close the socket permanently from this side."""

    def at(self, monotonic: float, wall: float) -> float:
        """Return the `now` of a change from the front end's two clocks: the monotonic one."""
        self.out.epoch = wall - monotonic
        return monotonic

    def wall(self, now: float) -> float:
        """Return the time of day at `now`, in seconds since 1970."""
        return now + self.out.epoch

    def service_time(self, now: float) -> float:
        """Return the latest possible time of the service's clock, by which credentials expire."""
        clock, wall = self._service_clock, self.wall(now)
        return wall if clock is None else clock.latest(now, wall)

    def service_time_at_least(self, now: float) -> float:
        """Return the earliest possible time of the service's clock, which must pass before a session ends."""
        clock, wall = self._service_clock, self.wall(now)
        return wall if clock is None else clock.earliest(now, wall)

    def authenticated(self, monotonic: float, wall: float) -> bool:
        """Whether the client is open and signed in; safe in any thread."""
        if self.closed:
            return False
        clock = self._service_clock
        return self.credentials.authenticated(wall if clock is None else clock.earliest(monotonic, wall))

    @property
    def _service_clock(self) -> ServiceClock | None:
        return self.credentials.issue_clock or self.service_clock

    def service_said(self, date: float | None, now: float) -> None:
        """Set the service clock from the `Date` of a reply."""
        if date is not None:
            self.service_clock = clock_at(date, now, self.wall(now))

    def use_issued(self, token: str, refresh_token: str, now: float) -> bool:
        """Use a newly issued pair; False if it is already in use."""
        wall = self.wall(now)
        said = None if self.service_clock is None else self.service_clock.latest(now, wall)
        return self.credentials.use_tokens(token, refresh_token, clock_at_issue(token, said, now, wall))

    @property
    def signed_in(self) -> bool:
        """Whether there are credentials that the service has not rejected."""
        return self.credentials.present

    def auth_headers(self) -> dict[str, str]:
        """Return the authentication header."""
        return self.credentials.headers()

    def signed_out_error(self) -> AuthenticationError:
        """Return a new error for a call that needs credentials when there are none."""
        return signed_out_error(self.credentials, had_key=self.settings.api_key is not None)

    def unauthorized(self, turn: int | None = None) -> None:
        """Handle a 401: the credentials it was sent with are invalid.

        `turn` identifies those credentials; if it is not the current one, they have been replaced since.
        """
        if turn is None or turn == self.credentials.turn:
            self.sign_out(lost=True)

    def sign_out(self, *, lost: bool = False) -> None:
        """Discard the credentials and notify waiters. `lost`: the service rejected them."""
        if not self.credentials.clear(lost=lost):
            return
        self.session += 1
        self.leave_account()
        for project in self.projects.values():
            self.out.wake(project)
        self.out.wake(CONNECTION)
        self.out.tell(self.auth_listeners, "updated", False)

    def signed_in_as(self, *, fetch: bool = True) -> None:
        """Handle new credentials; `fetch`: find out in the background whose they are."""
        self.changed_hands()
        self.out.tell(self.auth_listeners, "updated", True)
        if fetch:
            self.out.begin(chores.FetchAccount())

    def changed_hands(self) -> None:
        """Count a change of credentials; replies to requests with earlier ones are ignored."""
        self.session += 1
        self._make_way_for(self.credentials.address)

    def cookies_are_good(self, address: str | None, *, fetch: bool = True) -> None:
        """Handle valid cookies of the account with that wallet."""
        if self._make_way_for(address):
            self.credentials.clear()
        if self.credentials.use_cookies():
            self.signed_in_as(fetch=fetch)

    def _make_way_for(self, address: str | None) -> bool:
        """Drop the socket and account of a different user; True if there was one."""
        known = self.account.wallet_address
        another = bool(address and known and address.casefold() != known.casefold())
        if another:
            self.leave_account()
        return another

    def leave_account(self) -> None:
        """Drop the socket and the account; the next call that needs a socket opens another."""
        self.stop_connection()
        self.account.reset()

    def go_on_from(self, before: SessionState, *, forked: bool) -> None:
        """Take over session and listeners when a client is re-created in another event loop or a forked child.

        In another loop everything carries over. A forked child only gets credentials that two processes can share: a
        refresh token works once and stays with the parent, as do the listeners.
        """
        self.credentials.go_on_from(before.credentials, forked=forked)
        self.service_clock = before.service_clock
        if not forked:
            self.auth_listeners = before.auth_listeners

    def fresh(self, now: float) -> Refresh | None:
        """Return the token refresh to wait for before sending; None if the credentials can be used as they are.

        Raises `AuthenticationError` if there is only an access token and it has expired.
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
        """Store the new pair, unless another user has signed in meanwhile."""
        refresh.finished = True
        self.out.wake(refresh)
        if refresh.turn == self.credentials.turn and self.use_issued(token, refresh_token, now):
            self.out.tell(self.auth_listeners, "updated", True)

    def refresh_failed(self, refresh: Refresh, error: SogniError, *, clears: bool) -> None:
        """Record a failed refresh; `clears`: the service rejected the refresh token, so discard it."""
        refresh.finished, refresh.error = True, error
        self.out.wake(refresh)
        if clears:
            self.unauthorized(refresh.turn)


CONNECTION_EVENTS = frozenset({"connected", "disconnected", "reconnecting", "connecting"})
CLIENT_EVENTS = CONNECTION_EVENTS | {"toast_message"}
"""Events that can be waited for, in addition to `CONNECTION`."""


class ClientState(SessionState, ProjectFrames, ChatFrames):
    """The state of one client; `app_id` identifies its connection."""

    def __init__(self, settings: Settings, app_id: str) -> None:
        self.settings = settings
        self.app_id = app_id
        self.credentials: Credentials = Credentials(settings.auth_type, settings.api_key)
        self.service_clock: ServiceClock | None = None
        self.session: int = 0
        """Number of sessions, to recognize replies that belong to an earlier one."""
        self.network: str = settings.network
        self.subscriptions: dict[str, bool] = dict(settings.socket_event_subscriptions)
        self.out: Outbox = Outbox()
        self.waiter_registry: WaiterRegistry = WaiterRegistry()
        self.connection: Connection = Connection()
        self.account: AccountState = AccountState(self.out, settings.network)
        self.catalogue: CatalogueState = CatalogueState()
        self.projects: dict[str, ProjectState] = {}
        self.listeners: Listeners = Listeners()
        self.projects_listeners: Listeners = Listeners()
        self.chat_listeners: Listeners = Listeners()
        self.chats: dict[str, ChatState] = {}
        self._models_turn = 0
        self.chat_models: dict[str, LLMModelInfo] = {}
        self.auth_listeners: Listeners = Listeners()
        self.frame_listeners: Listeners = Listeners()
        self.listening: list[bool] = []
        self.cancellations: dict[str, tuple[bool, str] | None] = {}
        """Pending cancellations and their outcomes: whether the job was canceled, and the service's message."""
        self.network_answer: str | None = None
        self._looked_at = 0.0
        self._reconciling = False
        self._reconcile_next: chores.Reconcile | None = None
        self.lookups: int = 0
        """Number of snapshots for which projects were looked up."""
        self.closed = False
        self.crash: BaseException | None = None
        self._frames: dict[str, Callable[[Any, float], None]] = {
            "authenticated": self._authenticated,
            "balanceUpdate": self._balance,
            "changeNetwork": self._network_changed,
            "swarmModels": self._swarm_models,
            "swarmLLMModels": self._swarm_llm_models,
            "socketEventSubscriptionsUpdated": self._subscriptions,
            "toastMessage": self._toast,
            "subscriptionEntitlementUpdated": self._entitled,
            "jobState": self._either_job_state,
            "jobProgress": self._job_progress,
            "jobETA": self._job_eta,
            "jobResult": self._job_result,
            "jobError": self._job_error,
            "jobRetry": self._job_retry,
            "artistCancelConfirmation": self._cancel_answered,
            "jobTokens": self._job_tokens,
            "llmJobResult": self._llm_result,
            "llmJobError": self._llm_error,
        }

    # -- the connection --------------------------------------------------------

    def check_may_connect(self, *, again: bool = False) -> None:
        """Raise the reason if no socket may be opened; `again`: the user reconnects after a rejection."""
        if self.settings.disable_socket:
            raise SogniConnectionError("disable_socket=True: this client opens no socket")
        closed = self.connection.closed
        if closed is not None and closed.code == connection.DISPLACED and not again:
            raise self.why_closed()
        if not self.signed_in:
            refused = closed is not None and connection.clears_credentials(closed.code)
            raise self.why_closed() if refused else self.signed_out_error()

    def connect_wanted(self) -> bool:
        """Request the socket; True if the front end must start to connect."""
        wanted = self.connection.connect_wanted()
        if wanted:
            self.account.change(network_status="connecting", network=self.network)
        return wanted

    def opened(self, now: float) -> bool:
        """Handle an opened socket; False if it is no longer needed."""
        if self.closed or self.connection.phase != "connecting":
            return False
        self.connection.opened(now)
        self.account.change(network_status="connected", network=self.network)
        self.out.tell(self.listeners, "connected", Connected(network=self.network))
        self.out.wake(CONNECTION)
        if self.connection.generation == 1:
            self.out.begin(chores.FetchAccount())
        return True

    def lost(self, closed: Closed, *, now: float, jitter: float) -> None:
        """Handle a socket that closed or could not be opened."""
        if self.connection.phase in ("idle", "ended"):
            return
        outcome = self.connection.lost(closed, now=now, jitter=jitter, signed_in=self.signed_in)
        for project in self.projects.values():
            project.heard_at = now
        self.chats_after_drop(now)
        if isinstance(closed.cause, AuthenticationError):
            # A rejected upgrade may be temporary; REST tells for certain whether the key is valid.
            self.out.begin(chores.FetchAccount())
        if outcome == "waiting":
            self.account.change(network_status="connecting", network=self.network)
            self.out.tell(self.listeners, "reconnecting", Reconnecting(network=self.network))
            if self.listeners.has("connecting"):  # the name in the service's documentation
                self.out.tell(self.listeners, "connecting", Reconnecting(network=self.network))
        else:
            if connection.clears_credentials(closed.code) and self.credentials.clear(lost=True):
                self.session += 1
                self.account.reset()
                self.out.tell(self.auth_listeners, "updated", False)
            self._disconnected(closed)
        self.out.wake(CONNECTION)

    def stop_connection(self) -> None:
        """Close the socket permanently from this side; the reader sends the close frame."""
        if self.connection.phase in ("idle", "ended"):
            return
        self.connection.stopped()
        self._disconnected(Closed(connection.NORMAL, connection.OWN_REASON))
        self.out.wake(CONNECTION)
        self.out.wake(SOCKET)

    def _disconnected(self, closed: Closed) -> None:
        self.account.change(network_status="disconnected", network=None)
        self._no_models()
        if closed.code != connection.DISPLACED:
            self.end_chats(f"the connection was closed (code {closed.code})")
        self.out.tell(self.listeners, "disconnected", Disconnected(code=closed.code, reason=closed.reason))
        for project in self.projects.values():
            if not project.settled:
                self.out.wake(project)

    def crashed(self, error: Exception) -> None:
        """Handle a failed reader: no waiter may hang forever."""
        self.crash = error
        self.connection.phase = "ended"
        self.connection.closed = Closed(connection.ABNORMAL, "the reader failed", error)
        self._disconnected(self.connection.closed)
        self.out.wake(CONNECTION)

    def why_closed(self) -> Exception:
        """Return a new error that explains why there is no connection."""
        if self.closed:
            return ClientClosedError("the client is closed")
        closed = self.connection.closed
        if not self.signed_in and (closed is None or closed.code == connection.NORMAL):
            return self.signed_out_error()
        host = self.settings.socket_url.partition("://")[2].partition("/")[0].rpartition("@")[2]
        return connection.error_of(self.connection.closed, app_id=self.app_id, host=host)

    def tick(self, now: float) -> str | None:
        """Return the reader's next action, if one is due; also checks silent and finished projects."""
        move = self.connection.due(now)
        if move == "ready":
            self.out.wake(CONNECTION)
        if move == "sync":
            self._reconcile(chores.Reconcile(None))
        if self.connection.is_open:
            self._look_after(now)
        return move

    # -- models ----------------------------------------------------------------

    def models_named(self, models: list[AvailableModel], turn: int) -> None:
        """Set the named model list, unless a newer one, or the end of the connection, came meanwhile."""
        if turn == self._models_turn:
            self._set_available(models)

    def _no_models(self) -> None:
        """Clear the model list after a network change or a lost connection."""
        self._models_turn += 1
        self._set_available([])

    def _set_available(self, models: list[AvailableModel]) -> None:
        if not models and not self.catalogue.available:
            return
        self.catalogue.available = models
        self.out.tell(self.projects_listeners, "available_models", list(models))
        self.out.wake(MODELS)

    # -- frames ----------------------------------------------------------------

    def receive(self, kind: str, payload: Any, now: float) -> None:
        """Apply one frame; unknown types are ignored."""
        if self.frame_listeners.has(kind):
            self.out.tell(self.frame_listeners, kind, payload)
        handler = self._frames.get(kind)
        if handler is not None:
            handler(payload, now)

    def _either_job_state(self, payload: Any, now: float) -> None:
        """Dispatch a frame type that projects and chats share; each recognizes its own ids."""
        if not self.chat_job_state(payload):
            self._job_state(payload, now)

    def _authenticated(self, payload: Any, now: float) -> None:
        data = payload if isinstance(payload, dict) else {}
        self.connection.authenticated()
        self.out.wake(CONNECTION)
        self.chats_after_return(data.get("activeLLMJobIDs"))
        if self.credentials.kind == "api_key" and self.signed_in:
            names = {"username": data.get("username"), "wallet_address": data.get("address")}
            self.account.change(**{name: value for name, value in names.items() if value and isinstance(value, str)})
        self._told_subscription(data, now)
        if data.get("clientType", "artist") != "artist":
            return
        # Skip requesting a snapshot only if this one is well-formed.
        snapshot = read(Snapshot, data, "the authenticated frame")
        self.connection.synced()
        if self.projects or snapshot.active_projects or snapshot.unclaimed_completed_projects:
            self._reconcile(chores.Reconcile(snapshot))

    def _reconcile(self, chore: chores.Reconcile) -> None:
        """Start a reconciliation. They never overlap: while one runs, only the newest is queued."""
        if self._reconciling:
            self._reconcile_next = chore
        else:
            self._reconciling = True
            self.out.begin(chore)

    def new_lookups(self) -> int:
        """Count a new snapshot; lookups for earlier ones end."""
        self.lookups += 1
        return self.lookups

    def reconciled(self) -> None:
        """Finish a reconciliation and start the queued one."""
        chore, self._reconcile_next = self._reconcile_next, None
        self._reconciling = False
        if chore is not None:
            self._reconcile(chore)

    def _balance(self, payload: Any, now: float) -> None:
        self.account.change(balance=read_amounts(Balances, payload, "the balanceUpdate frame"))

    def _told_subscription(self, data: dict[str, Any], now: float) -> None:
        """Apply the subscription in `authenticated`; older servers omit it, so it is fetched."""
        self.account.spark_lock(data)
        entitlement = data.get("subscriptionEntitlement")
        if isinstance(entitlement, dict):
            # A malformed entitlement must not keep the rest of this frame from being applied.
            with suppress(ProtocolError):
                self.account.entitled(entitlement, self.service_time(now))
                return
        if self.signed_in:
            self.out.begin(chores.FetchSubscription())

    def _entitled(self, payload: Any, now: float) -> None:
        if not isinstance(payload, dict):
            raise ProtocolError("the subscription entitlement is not an object")
        self.account.spark_lock(payload)
        self.account.entitled(payload, self.service_time(now))

    def _network_changed(self, payload: Any, now: float) -> None:
        network = payload.get("network") if isinstance(payload, dict) else None
        if not isinstance(network, str):
            raise ProtocolError("the changeNetwork frame has no network")
        self.network_answer = network
        self.account.change(network=network, network_status="connected")
        self._no_models()
        self.out.wake(NETWORK)

    def _swarm_models(self, payload: Any, now: float) -> None:
        if not isinstance(payload, dict):
            raise ProtocolError("the swarmModels frame has no models")
        workers = {
            name: int(count) for name, count in payload.items() if type(count) in (int, float) and 0 <= count < 1e9
        }
        self._models_turn += 1
        self.out.begin(chores.NameModels(workers, self._models_turn))

    def _subscriptions(self, payload: Any, now: float) -> None:
        flags = acknowledged(payload)
        if flags is not None:
            self.subscriptions = flags

    def _toast(self, payload: Any, now: float) -> None:
        self.out.tell(self.listeners, "toast_message", read(ToastMessage, payload, "the toastMessage frame"))
