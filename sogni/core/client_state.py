"""The state of one client: session, connection, models, and the dispatch of every frame.

Changed only under the state lock (asyncio: in the event loop). It performs no I/O: actions are left in its outbox.
Every `now` is in seconds of the monotonic clock, so that deadlines do not move with the time of day.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from logging import INFO
from typing import Any

from sogni.core.account.session import Session
from sogni.core.account.state import AccountState, read_amounts
from sogni.core.catalogue.state import CatalogueState
from sogni.core.chat.state import ChatRegistry
from sogni.core.connection import state as connection
from sogni.core.connection.messages import acknowledged, wants_queue_frames, with_queue_frames
from sogni.core.connection.state import Closed, Connection
from sogni.core.outbox import (
    CONNECTION,
    MODELS,
    NETWORK,
    SOCKET,
    FetchAccount,
    FetchSubscription,
    Listeners,
    NameModels,
    Outbox,
    WaiterRegistry,
)
from sogni.core.projects.idempotency import KeyNotes
from sogni.core.projects.registry import ProjectRegistry, RecentIds
from sogni.core.projects.upload_library import UploadLibrary
from sogni.errors import AuthenticationError, ClientClosedError, ProtocolError, SogniConnectionError
from sogni.models.account import Balances, SubscriptionLimitNotice
from sogni.models.announcements import Announcement
from sogni.models.catalogue import AvailableModel
from sogni.models.connection import Connected, Disconnected, Reconnecting, ToastMessage
from sogni.models.converter import read
from sogni.models.projects import Snapshot
from sogni.settings import Settings

_MAX_ALERTS = 1000


class SeenAlerts:
    """The ids of delivered alerts: the service repeats pinned ones after every reconnection."""

    # transport §9.5

    def __init__(self) -> None:
        self._ids = RecentIds(_MAX_ALERTS)
        self._session = 0

    def is_new(self, alert_id: str, session: int) -> bool:
        """Whether an alert has not been delivered in this session; its id is remembered."""
        if session != self._session:
            # Alerts are dismissed by account.
            self._ids = RecentIds(_MAX_ALERTS)
            self._session = session
        if alert_id in self._ids:
            return False
        self._ids.add(alert_id)
        return True


class ClientState:
    """The state of one client; `app_id` identifies its connection."""

    def __init__(self, settings: Settings, app_id: str) -> None:
        self.settings = settings
        self.app_id = app_id
        self.out: Outbox = Outbox()
        self.waiter_registry: WaiterRegistry = WaiterRegistry()
        self.listeners: Listeners = Listeners()
        self.frame_listeners: Listeners = Listeners()
        self.listening: list[bool] = []
        """Shared with every project: empty until the first listener of this client is registered."""
        self.network: str = settings.network
        self.announced_network: str | None = None
        """Network in the service's last `changeNetwork` frame."""
        self._acknowledged: dict[str, bool] = dict(settings.socket_event_subscriptions)
        self.wants_queue_frames: bool = wants_queue_frames({"subscriptions": self._acknowledged}, True)
        self.connection: Connection = Connection()
        self.account: AccountState = AccountState(self.out, settings.network)
        self.catalogue: CatalogueState = CatalogueState()
        self.projects: ProjectRegistry = ProjectRegistry(self.out, lambda: self.announced_network or self.network)
        self.key_notes: KeyNotes | None = None
        """Where the front end keeps notes of idempotency keys."""
        self.chats: ChatRegistry = ChatRegistry(self.out)
        self.session: Session = Session(
            settings,
            self.out,
            self.account,
            stop_connection=self.stop_connection,
            wake_projects=self.projects.wake_all,
        )
        self._upload_library: UploadLibrary = UploadLibrary(self.account.number)
        self.closed = False
        self.crash: BaseException | None = None
        self._models_number = 0
        self._alerts: SeenAlerts = SeenAlerts()
        self._frames: dict[str, Callable[[Any, float], None]] = {
            **self.projects.frame_handlers,
            **self.chats.frame_handlers,
            "authenticated": self._authenticated,
            "balanceUpdate": self._balance,
            "changeNetwork": self._network_changed,
            "swarmModels": self._swarm_models,
            "socketEventSubscriptionsUpdated": self._subscriptions,
            "toastMessage": self._toast,
            "appAlert": self._alert,
            "subscriptionLimitNotice": self._limit_notice,
            "subscriptionEntitlementUpdated": self._entitled,
            "jobState": self._job_state,
        }

    @property
    def subscriptions(self) -> dict[str, bool]:
        """The socket event subscriptions for the next handshake."""
        return with_queue_frames(self._acknowledged, self.wants_queue_frames)

    def at(self, monotonic: float, wall: float) -> float:
        """Return the `now` of a change from the front end's two clocks: the monotonic one."""
        self.out.epoch = wall - monotonic
        return monotonic

    def authenticated(self, monotonic: float, wall: float) -> bool:
        """Whether the client is open and signed in; safe in any thread."""
        return not self.closed and self.session.authenticated(monotonic, wall)

    def listen(self) -> None:
        """Deliver events from now on: a listener has been registered."""
        if not self.listening:
            self.listening.append(True)

    @property
    def upload_library(self) -> UploadLibrary:
        """The saved uploads of the present account; another object once the account has changed."""
        if self._upload_library.account_number != self.account.number:
            self._upload_library = UploadLibrary(self.account.number)
        return self._upload_library

    # -- the connection --------------------------------------------------------

    def check_may_connect(self, *, again: bool = False) -> None:
        """Raise the reason if no socket may be opened; `again`: the user reconnects after a rejection."""
        if self.settings.disable_socket:
            raise SogniConnectionError("disable_socket=True: this client opens no socket")
        closed = self.connection.closed
        if closed is not None and closed.code == connection.DISPLACED and not again:
            raise self.why_closed()
        if not self.session.signed_in:
            refused = closed is not None and connection.clears_credentials(closed.code)
            raise self.why_closed() if refused else self.session.signed_out_error()

    def request_connection(self) -> bool:
        """Request the socket; True if the front end must start to connect."""
        wanted = self.connection.request_connection()
        if wanted:
            self.account.change(network_status="connecting", network=self.network)
        return wanted

    def opened(self, now: float) -> bool:
        """Handle an opened socket; False if it is no longer needed."""
        if self.closed or self.connection.phase != "connecting":
            return False
        self.connection.opened(now)
        self.account.change(network_status="connected", network=self.network)
        self.out.notify(self.listeners, "connected", Connected(network=self.network))
        self.out.log(INFO, "connected to %s, network %s", self._socket_host, self.network)
        self.out.wake(CONNECTION)
        if self.connection.generation == 1:
            self.out.start(FetchAccount())
        return True

    def lost(self, closed: Closed, *, now: float, jitter: float) -> None:
        """Handle a socket that closed or could not be opened."""
        if self.connection.phase in ("idle", "ended"):
            return
        was_open = self.connection.is_open
        outcome = self.connection.lost(closed, now=now, jitter=jitter, signed_in=self.session.signed_in)
        self.projects.connection_lost(now)
        self.chats.connection_lost(now)
        if isinstance(closed.cause, AuthenticationError):
            # A rejected upgrade may be temporary; REST tells for certain whether the key is valid.
            self.out.start(FetchAccount())
        if outcome == "waiting":
            self.out.log(
                INFO,
                "the connection to %s was lost (%s); reconnecting in %.1f s"
                if was_open
                else "could not connect to %s (%s); trying again in %.1f s",
                self._socket_host,
                closed.cause or closed.reason or f"code {closed.code}",
                self.connection.retry_at - now,
            )
            self.account.change(network_status="connecting", network=self.network)
            self.out.notify(self.listeners, "reconnecting", Reconnecting(network=self.network))
            if self.listeners.has("connecting"):  # the name in the service's documentation
                self.out.notify(self.listeners, "connecting", Reconnecting(network=self.network))
        else:
            if connection.clears_credentials(closed.code):
                self.session.rejected_by_socket()
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
            self.chats.end_all(f"the connection was closed (code {closed.code})")
        self.out.notify(self.listeners, "disconnected", Disconnected(code=closed.code, reason=closed.reason))
        self.out.log(
            INFO, "disconnected from %s: %s (code %s)", self._socket_host, closed.reason or closed.cause, closed.code
        )
        self.projects.connection_ended()

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
        if not self.session.signed_in and (closed is None or closed.code == connection.NORMAL):
            return self.session.signed_out_error()
        return connection.error_of(self.connection.closed, app_id=self.app_id, host=self._socket_host)

    @property
    def _socket_host(self) -> str:
        return self.settings.socket_url.partition("://")[2].partition("/")[0].rpartition("@")[2]

    def tick(self, now: float) -> str | None:
        """Return the reader's next action, if one is due; also checks silent and finished projects."""
        move = self.connection.due(now)
        if move == "ready":
            self.out.wake(CONNECTION)
        if move == "sync":
            self.projects.reconcile(None, "connected")
        if self.connection.is_open:
            self.projects.check(now)
        return move

    def end_traces(self) -> None:
        """End all open traces, because the client is closed. The caller holds no lock."""
        for project in list(self.projects.by_id.values()):
            project.end_trace()
        for chat in list(self.chats.by_id.values()):
            if chat.trace is not None:
                chat.trace.end(chat)

    # -- models ----------------------------------------------------------------

    def models_named(self, models: list[AvailableModel], number: int) -> None:
        """Set the named model list, unless a newer one, or the end of the connection, came meanwhile."""
        if number == self._models_number:
            self._set_available(models)

    def _no_models(self) -> None:
        """Clear the model list after a network change or a lost connection."""
        self._models_number += 1
        self._set_available([])

    def _set_available(self, models: list[AvailableModel]) -> None:
        if not models and not self.catalogue.available:
            return
        self.catalogue.available = models
        self.out.notify(self.projects.listeners, "available_models", list(models))
        self.out.wake(MODELS)

    # -- frames ----------------------------------------------------------------

    def receive(self, kind: str, payload: Any, now: float) -> None:
        """Apply one frame; unknown types are ignored."""
        if self.frame_listeners.has(kind):
            self.out.notify(self.frame_listeners, kind, payload)
        handler = self._frames.get(kind)
        if handler is not None:
            handler(payload, now)

    def _job_state(self, payload: Any, now: float) -> None:
        """Dispatch a frame type that projects and chats share; each recognizes its own ids."""
        if not self.chats.job_state(payload):
            self.projects.job_state(payload, now)

    def _authenticated(self, payload: Any, now: float) -> None:
        data = payload if isinstance(payload, dict) else {}
        self.connection.authenticated()
        self.out.wake(CONNECTION)
        self.chats.connection_restored(data.get("activeLLMJobIDs"))
        if self.session.credentials.kind == "api_key" and self.session.signed_in:
            names = {"username": data.get("username"), "wallet_address": data.get("address")}
            self.account.change(**{name: value for name, value in names.items() if value and isinstance(value, str)})
        self._apply_subscription(data, now)
        if data.get("clientType", "artist") != "artist":
            return
        # Skip requesting a snapshot only if this one is well-formed.
        snapshot = read(Snapshot, data, "the authenticated frame")
        self.connection.synced()
        projects = self.projects
        listed = snapshot.active_projects or snapshot.unclaimed_completed_projects
        if projects.by_id or listed or projects.listeners.has("projects_synced"):
            projects.reconcile(snapshot, "authenticated")

    def _balance(self, payload: Any, now: float) -> None:
        self.account.change(balance=read_amounts(Balances, payload, "the balanceUpdate frame"))

    def _apply_subscription(self, data: dict[str, Any], now: float) -> None:
        """Apply the subscription in `authenticated`; older servers omit it, so it is fetched."""
        self.account.apply_spark_lock(data)
        entitlement = data.get("subscriptionEntitlement")
        if isinstance(entitlement, dict):
            # A malformed entitlement must not keep the rest of this frame from being applied.
            with suppress(ProtocolError):
                self.account.apply_entitlement(entitlement, self.session.service_time(now))
                return
        if self.session.signed_in:
            self.out.start(FetchSubscription())

    def _entitled(self, payload: Any, now: float) -> None:
        if not isinstance(payload, dict):
            raise ProtocolError("the subscription entitlement is not an object")
        self.account.apply_spark_lock(payload)
        self.account.apply_entitlement(payload, self.session.service_time(now))

    def _network_changed(self, payload: Any, now: float) -> None:
        network = payload.get("network") if isinstance(payload, dict) else None
        if not isinstance(network, str):
            raise ProtocolError("the changeNetwork frame has no network")
        self.announced_network = network
        self.account.change(network=network, network_status="connected")
        self._no_models()
        self.out.wake(NETWORK)

    def _swarm_models(self, payload: Any, now: float) -> None:
        if not isinstance(payload, dict):
            raise ProtocolError("the swarmModels frame has no models")
        workers = {
            name: int(count) for name, count in payload.items() if type(count) in (int, float) and 0 <= count < 1e9
        }
        self._models_number += 1
        self.out.start(NameModels(workers, self._models_number))

    def _subscriptions(self, payload: Any, now: float) -> None:
        flags = acknowledged(payload)
        if flags is not None:
            self._acknowledged = flags

    def _toast(self, payload: Any, now: float) -> None:
        self.out.notify(self.listeners, "toast_message", read(ToastMessage, payload, "the toastMessage frame"))

    def _alert(self, payload: Any, now: float) -> None:
        alert = read(Announcement, payload, "the appAlert frame")
        # An alert that nobody has listened to yet is news when it is repeated.
        if self.listeners.has("app_alert") and self._alerts.is_new(alert.id, self.session.generation):
            self.out.notify(self.listeners, "app_alert", alert)

    def _limit_notice(self, payload: Any, now: float) -> None:
        notice = read(SubscriptionLimitNotice, payload, "the subscriptionLimitNotice frame")
        self.out.notify(self.listeners, "subscription_limit_notice", notice)
