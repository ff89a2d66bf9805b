"""Everything a client knows: decides what each frame and each change of the connection means.

One per client, changed only under the shell's state lock (asyncio: in the loop). It performs nothing:
what is to be done stands in its outbox afterwards. Every `now` is in seconds of a clock that nobody can set, so that
no deadline moves with the time of day; `wall` turns one into a time of day.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..errors import AuthenticationError, ClientClosedError, ProtocolError, SogniConnectionError
from ..models.account import Balances
from ..models.catalogue import AvailableModel
from ..models.chat import LLMModelInfo
from ..models.converter import read
from ..models.events import Connected, Disconnected, Reconnecting, ToastMessage
from ..models.records import Snapshot
from ..settings import Settings
from . import chores, connection
from .account_state import AccountState, read_amounts
from .catalogue_state import CatalogueState
from .chat_frames import CHAT_EVENTS, CHAT_MODELS, ChatFrames
from .chat_state import ChatState
from .connection import Closed, Connection
from .credentials import Credentials
from .listeners import Listeners
from .outbox import Outbox, Wakers
from .project_frames import PROJECTS_EVENTS, ProjectFrames
from .project_state import ProjectState
from .service_clock import ServiceClock
from .session_state import CONNECTION, SessionState
from .subscriptions import acknowledged

CONNECTION_EVENTS = frozenset({"connected", "disconnected", "reconnecting", "connecting"})
CLIENT_EVENTS = CONNECTION_EVENTS | {"toast_message"}
__all__ = [
    "CHAT_EVENTS",
    "CHAT_MODELS",
    "CLIENT_EVENTS",
    "CONNECTION",
    "CONNECTION_EVENTS",
    "PROJECTS_EVENTS",
    "ClientState",
]

MODELS, NETWORK, SOCKET, CLOSED = "models", "network", "socket", "closed"
"""Topics that waiters wait for, beside `CONNECTION`."""


class ClientState(SessionState, ProjectFrames, ChatFrames):
    """The state of one client; `app_id` is what the connection is known by."""

    def __init__(self, settings: Settings, app_id: str) -> None:
        self.settings = settings
        self.app_id = app_id
        self.credentials = Credentials(settings.auth_type, settings.api_key)
        self.service_clock: ServiceClock | None = None
        self.session = 0
        """Counts who was signed in, so that an answer about somebody else is recognised."""
        self.network: str = settings.network
        self.subscriptions = dict(settings.socket_event_subscriptions)
        self.out = Outbox()
        self.wakers = Wakers()
        self.connection = Connection()
        self.account = AccountState(self.out, settings.network)
        self.catalogue = CatalogueState()
        self.projects: dict[str, ProjectState] = {}
        self.listeners = Listeners()
        self.projects_listeners = Listeners()
        self.chat_listeners = Listeners()
        self.chats: dict[str, ChatState] = {}
        self._models_turn = 0
        self.chat_models: dict[str, LLMModelInfo] = {}
        self.auth_listeners = Listeners()
        self.frame_listeners = Listeners()
        self.listening: list[bool] = []
        self.cancellations: dict[str, tuple[bool, str] | None] = {}
        """Cancellations under way, and their answers: whether it was canceled, and what was said."""
        self.network_answer: str | None = None
        self._looked_at = 0.0
        self._reconciling = False
        self._reconcile_next: chores.Reconcile | None = None
        self.lookups = 0
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
