"""Who is signed in: decides what new, exchanged, refused and lost credentials mean for everything else (transport §5).

The part of the client state that knows sessions; `client_state` mixes it in. What credentials are, `credentials` knows.
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


# Everything a client knows: decides what each frame and each change of the connection means.
#
# One per client, changed only under the shell's state lock (asyncio: in the loop). It performs nothing:
# what is to be done stands in its outbox afterwards. Every `now` is in seconds of a clock that nobody can set, so
# that
# no deadline moves with the time of day; `wall` turns one into a time of day.


CONNECTION_EVENTS = frozenset({"connected", "disconnected", "reconnecting", "connecting"})
CLIENT_EVENTS = CONNECTION_EVENTS | {"toast_message"}
"""Topics that waiters wait for, beside `CONNECTION`."""


class ClientState(SessionState, ProjectFrames, ChatFrames):
    """The state of one client; `app_id` is what the connection is known by."""

    def __init__(self, settings: Settings, app_id: str) -> None:
        self.settings = settings
        self.app_id = app_id
        self.credentials: Credentials = Credentials(settings.auth_type, settings.api_key)
        self.service_clock: ServiceClock | None = None
        self.session: int = 0
        """Counts who was signed in, so that an answer about somebody else is recognised."""
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
        """Cancellations under way, and their answers: whether it was canceled, and what was said."""
        self.network_answer: str | None = None
        self._looked_at = 0.0
        self._reconciling = False
        self._reconcile_next: chores.Reconcile | None = None
        self.lookups: int = 0
        """Counts the snapshots that projects were looked up for."""
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
        """Raise why a socket must not be opened; `again`: on purpose, after the service refused it."""
        if self.settings.disable_socket:
            raise SogniConnectionError("this client was made with disable_socket=True and opens no socket")
        closed = self.connection.closed
        if closed is not None and closed.code == connection.DISPLACED and not again:
            raise self.why_closed()
        if not self.signed_in:
            refused = closed is not None and connection.clears_credentials(closed.code)
            raise self.why_closed() if refused else self.signed_out_error()

    def connect_wanted(self) -> bool:
        """Someone needs the socket; True when the shell must now begin to connect."""
        wanted = self.connection.connect_wanted()
        if wanted:
            self.account.change(network_status="connecting", network=self.network)
        return wanted

    def opened(self, now: float) -> bool:
        """A socket is open; False when nobody wants it any more."""
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
        """A socket closed or could not be opened (transport §10); nothing when nobody wants one."""
        if self.connection.phase in ("idle", "ended"):
            return
        outcome = self.connection.lost(closed, now=now, jitter=jitter, signed_in=self.signed_in)
        for project in self.projects.values():
            project.heard_at = now
        self.chats_after_drop(now)
        if isinstance(closed.cause, AuthenticationError):
            # A refused upgrade may be gone at the next try; REST says for certain whether the key is good.
            self.out.begin(chores.FetchAccount())
        if outcome == "waiting":
            self.account.change(network_status="connecting", network=self.network)
            self.out.tell(self.listeners, "reconnecting", Reconnecting(network=self.network))
            if self.listeners.has("connecting"):  # its name in the documents of the service
                self.out.tell(self.listeners, "connecting", Reconnecting(network=self.network))
        else:
            if connection.clears_credentials(closed.code) and self.credentials.clear(lost=True):
                self.session += 1
                self.account.reset()
                self.out.tell(self.auth_listeners, "updated", False)
            self._disconnected(closed)
        self.out.wake(CONNECTION)

    def stop_connection(self) -> None:
        """Close the socket for good from this side; the reader sees to the goodbye."""
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
        """What reads the socket broke down: no waiter may hang for ever."""
        self.crash = error
        self.connection.phase = "ended"
        self.connection.closed = Closed(connection.ABNORMAL, "the reader failed", error)
        self._disconnected(self.connection.closed)
        self.out.wake(CONNECTION)

    def why_closed(self) -> Exception:
        """A new error that says why there is no connection."""
        if self.closed:
            return ClientClosedError("the client is closed")
        closed = self.connection.closed
        if not self.signed_in and (closed is None or closed.code == connection.NORMAL):
            return self.signed_out_error()
        host = self.settings.socket_url.partition("://")[2].partition("/")[0].rpartition("@")[2]
        return connection.error_of(self.connection.closed, app_id=self.app_id, host=host)

    def tick(self, now: float) -> str | None:
        """What the time asks of the reader; also looks after silent and finished projects."""
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
        """The live model list, with names, unless a newer one, or the end of the connection, came meanwhile."""
        if turn == self._models_turn:
            self._set_available(models)

    def _no_models(self) -> None:
        """The list is void: another network, or no connection."""
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
        """Apply one frame (transport §9); types nobody knows are ignored."""
        if self.frame_listeners.has(kind):
            self.out.tell(self.frame_listeners, kind, payload)
        handler = self._frames.get(kind)
        if handler is not None:
            handler(payload, now)

    def _either_job_state(self, payload: Any, now: float) -> None:
        """Projects and chats share this frame; each looks for its own ids (transport §9)."""
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
        # Only a snapshot that can be read makes asking for one unnecessary.
        snapshot = read(Snapshot, data, "the authenticated frame")
        self.connection.synced()
        if self.projects or snapshot.active_projects or snapshot.unclaimed_completed_projects:
            self._reconcile(chores.Reconcile(snapshot))

    def _reconcile(self, chore: chores.Reconcile) -> None:
        """Reconciliations never overlap: while one runs, only the newest waits (transport §13.2)."""
        if self._reconciling:
            self._reconcile_next = chore
        else:
            self._reconciling = True
            self.out.begin(chore)

    def new_lookups(self) -> int:
        """Projects are looked up for another snapshot; the lookups for earlier ones end."""
        self.lookups += 1
        return self.lookups

    def reconciled(self) -> None:
        """A reconciliation is over; the next one may begin."""
        chore, self._reconcile_next = self._reconcile_next, None
        self._reconciling = False
        if chore is not None:
            self._reconcile(chore)

    def _balance(self, payload: Any, now: float) -> None:
        self.account.change(balance=read_amounts(Balances, payload, "the balanceUpdate frame"))

    def _told_subscription(self, data: dict[str, Any], now: float) -> None:
        """What `authenticated` says of the subscription; older servers say nothing, and are asked (account §13.5)."""
        self.account.spark_lock(data)
        entitlement = data.get("subscriptionEntitlement")
        if isinstance(entitlement, dict):
            # One that nobody can read must not keep the rest of this frame from being applied.
            with suppress(ProtocolError):
                self.account.entitled(entitlement, self.service_time(now))
                return
        if self.signed_in:
            self.out.begin(chores.FetchSubscription())

    def _entitled(self, payload: Any, now: float) -> None:
        if not isinstance(payload, dict):
            raise ProtocolError("the subscription entitlement is no object")
        self.account.spark_lock(payload)
        self.account.entitled(payload, self.service_time(now))

    def _network_changed(self, payload: Any, now: float) -> None:
        network = payload.get("network") if isinstance(payload, dict) else None
        if not isinstance(network, str):
            raise ProtocolError("the changeNetwork frame names no network")
        self.network_answer = network
        self.account.change(network=network, network_status="connected")
        self._no_models()
        self.out.wake(NETWORK)

    def _swarm_models(self, payload: Any, now: float) -> None:
        if not isinstance(payload, dict):
            raise ProtocolError("the swarmModels frame holds no models")
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
