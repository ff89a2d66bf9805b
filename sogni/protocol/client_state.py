"""Everything a client knows: decides what each frame and each change of the connection means.

One per client, changed only under the shell's state lock (asyncio: in the loop). It performs nothing:
what is to be done stands in its outbox afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import AuthenticationError, ProtocolError, SogniConnectionError
from ..models.account import AccountInfo, Balances
from ..models.catalogue import AvailableModel
from ..models.chat import LLMModelInfo
from ..models.converter import read
from ..models.events import Connected, Disconnected, JobEvent, ProjectEvent, Reconnecting, ToastMessage
from ..models.records import Snapshot
from ..settings import Settings
from . import chores, connection
from .account_state import AccountState
from .catalogue_state import CatalogueState
from .connection import Closed, Connection
from .job_errors import RESTARTING, error_data
from .listeners import Listeners
from .outbox import Outbox, Wakers
from .project_state import ProjectState
from .subscriptions import acknowledged

CLIENT_EVENTS = frozenset({"connected", "disconnected", "reconnecting", "toast_message"})
PROJECTS_EVENTS = frozenset({"available_models", "project", "job"})

CHAT_EVENTS = frozenset({"token", "completed", "error", "job_state", "models_updated"})

CONNECTION, CHAT_MODELS, MODELS, NETWORK, SOCKET, CLOSED = (
    "connection",
    "chat models",
    "models",
    "network",
    "socket",
    "closed",
)
"""Topics that waiters wait for."""

KEEP_FINISHED = 30.0
"""Seconds a finished project stays tracked (projects-4.2 §11.2)."""
KEEP_RECOVERED = 3600.0
"""The service itself holds unclaimed results this long (transport §13)."""


class ClientState:
    """The state of one client; `app_id` is what the connection is known by."""

    def __init__(self, settings: Settings, app_id: str) -> None:
        self.settings = settings
        self.app_id = app_id
        self.api_key = settings.api_key
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
        self.chat_models: dict[str, LLMModelInfo] = {}
        self.auth_listeners = Listeners()
        self.frame_listeners = Listeners()
        self.listening: list[bool] = []
        self.cancellations: dict[str, tuple[bool, str] | None] = {}
        """Cancellations under way, and their answers: whether it was canceled, and what was said."""
        self.network_answer: str | None = None
        self._reconciling = False
        self._reconcile_next: chores.Reconcile | None = None
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
            "jobState": self._job_state,
            "jobProgress": self._job_progress,
            "jobETA": self._job_eta,
            "jobResult": self._job_result,
            "jobError": self._job_error,
            "jobRetry": self._job_retry,
            "artistCancelConfirmation": self._cancel_answered,
        }

    # -- who we are ------------------------------------------------------------

    @property
    def signed_in(self) -> bool:
        """Whether there are credentials the service has not refused."""
        return self.api_key is not None

    def auth_headers(self) -> dict[str, str]:
        """The header that says who asks (transport §5)."""
        return {"api-key": self.api_key} if self.api_key is not None else {}

    def signed_out_error(self) -> AuthenticationError:
        """A new error for work that needs credentials when there are none (any more)."""
        if self.settings.api_key is not None:
            return AuthenticationError("the service refused the API key; make a client with a valid one", status=401)
        return AuthenticationError("nobody is signed in: give an api_key, or set SOGNI_API_KEY", status=401)

    def check_may_connect(self, *, again: bool = False) -> None:
        """Raise why a socket must not be opened; `again`: on purpose, after the service refused it."""
        if self.settings.disable_socket:
            raise SogniConnectionError("this client was made with disable_socket=True and opens no socket")
        closed = self.connection.closed
        ended = self.connection.phase == "ended" and closed is not None
        if ended and closed is not None and closed.code == connection.DISPLACED and not again:
            raise self.why_closed()
        if not self.signed_in:
            raise self.signed_out_error()

    def unauthorized(self) -> None:
        """A request was answered with 401: the credentials are no good (transport §4.4)."""
        if not self.signed_in:
            return
        self.api_key = None
        self.stop_connection()
        self.account.reset()
        self.out.tell(self.auth_listeners, "updated", False)

    # -- the connection --------------------------------------------------------

    def opened(self, monotonic: float) -> None:
        """A socket is open."""
        self.connection.opened(monotonic)
        self.account.change(network_status="connected", network=self.network)
        self.out.tell(self.listeners, "connected", Connected(network=self.network))
        self.out.wake(CONNECTION)
        if self.connection.generation == 1:
            self.out.begin(chores.FetchAccount())

    def lost(self, closed: Closed, *, monotonic: float, now: float, jitter: float) -> None:
        """A socket closed or could not be opened (transport §10)."""
        outcome = self.connection.lost(closed, now=monotonic, jitter=jitter, signed_in=self.signed_in)
        for project in self.projects.values():
            project.heard_at = now
        if outcome == "waiting":
            self.account.change(network_status="connecting", network=self.network)
            self.out.tell(self.listeners, "reconnecting", Reconnecting(network=self.network))
        else:
            if self.signed_in and connection.clears_credentials(closed.code):
                self.api_key = None
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
        self._set_available([])
        self.out.tell(self.listeners, "disconnected", Disconnected(code=closed.code, reason=closed.reason))
        for project in self.projects.values():
            if not project.settled:
                self.out.wake(project)

    def why_closed(self) -> Exception:
        """A new error that says why there is no connection."""
        host = self.settings.socket_url.partition("://")[2].partition("/")[0].rpartition("@")[2]
        return connection.error_of(self.connection.closed, app_id=self.app_id, host=host)

    def tick(self, monotonic: float, now: float) -> str | None:
        """What the time asks of the reader; also looks after silent and finished projects."""
        move = self.connection.due(monotonic)
        if move == "ready":
            self.out.wake(CONNECTION)
        if move in ("ready", "sync"):
            self._reconcile(chores.Reconcile(None))
        if self.connection.is_open:
            self._look_after(now)
        return move

    def _look_after(self, now: float) -> None:
        self.forget_finished(now)
        for project in self.projects.values():
            if project.settled:
                continue
            overrun = next((j for j in project.jobs.values() if j.runs_until and now >= j.runs_until), None)
            if overrun is not None:
                overrun.runs_until = None
                self.out.begin(chores.GiveUp(project.id, "the job ran longer than it may"))
            elif now - project.heard_at >= INACTIVITY:
                project.heard_at = now
                self.out.begin(chores.CheckLiveness(project.id))

    # -- projects --------------------------------------------------------------

    def track(self, project: ProjectState, now: float) -> None:
        """Follow a project from now on."""
        self.forget_finished(now)
        self.projects[project.id] = project

    def listen(self) -> None:
        """Somebody listens: from now on events are worth telling."""
        if not self.listening:
            self.listening.append(True)

    def tracked(self) -> list[ProjectState]:
        """The projects that are followed."""
        return [project for project in list(self.projects.values()) if not project.abandoned]

    def forget_finished(self, now: float) -> None:
        """Let go of projects that finished a while ago."""
        old = [
            project.id
            for project in self.projects.values()
            if project.abandoned
            or project.settled
            and now - project.settled_at >= (KEEP_RECOVERED if project.recovered else KEEP_FINISHED)
        ]
        for project_id in old:
            del self.projects[project_id]

    def kind_of(self, model_id: str) -> str:
        """The media kind of a model, as far as the list is known."""
        return self.catalogue.kinds.get(model_id, "image")

    def models_named(self, models: list[AvailableModel]) -> None:
        """The live model list, with names."""
        self._set_available(models)

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

    def _authenticated(self, payload: Any, now: float) -> None:
        data = payload if isinstance(payload, dict) else {}
        self.connection.authenticated()
        self.out.wake(CONNECTION)
        if self.api_key is not None:
            names = {"username": data.get("username"), "wallet_address": data.get("address")}
            self.account.change(**{name: value for name, value in names.items() if value})
        if data.get("clientType", "artist") != "artist":
            return
        self.connection.synced()
        snapshot = read(Snapshot, data, "the authenticated frame")
        if self.projects or snapshot.active_projects or snapshot.unclaimed_completed_projects:
            self._reconcile(chores.Reconcile(snapshot))

    def _reconcile(self, chore: chores.Reconcile) -> None:
        """Reconciliations never overlap: while one runs, only the newest waits (transport §13.2)."""
        if self._reconciling:
            self._reconcile_next = chore
        else:
            self._reconciling = True
            self.out.begin(chore)

    def reconciled(self) -> None:
        """A reconciliation is over; the next one may begin."""
        chore, self._reconcile_next = self._reconcile_next, None
        self._reconciling = False
        if chore is not None:
            self._reconcile(chore)

    def _balance(self, payload: Any, now: float) -> None:
        self.account.change(balance=read(Balances, payload, "the balanceUpdate frame"))

    def _network_changed(self, payload: Any, now: float) -> None:
        network = payload.get("network") if isinstance(payload, dict) else None
        if not isinstance(network, str):
            raise ProtocolError("the changeNetwork frame names no network")
        self.network_answer = network
        self.account.change(network=network, network_status="connected")
        self._set_available([])
        self.out.wake(NETWORK)

    def _swarm_models(self, payload: Any, now: float) -> None:
        counts = payload if isinstance(payload, dict) else {}
        workers = {name: int(count) for name, count in counts.items() if isinstance(count, int | float)}
        self.out.begin(chores.NameModels(workers))

    def _swarm_llm_models(self, payload: Any, now: float) -> None:
        """Both forms of an entry may be mixed: a number of workers, or an object (transport §9)."""
        entries = payload if isinstance(payload, dict) else {}
        objects = {name: {"workers": entry} if isinstance(entry, int) else entry for name, entry in entries.items()}
        self.chat_models = read(dict[str, LLMModelInfo], objects, "the swarmLLMModels frame")
        self.out.tell(self.chat_listeners, "models_updated", dict(self.chat_models))
        self.out.wake(CHAT_MODELS)

    def _subscriptions(self, payload: Any, now: float) -> None:
        flags = acknowledged(payload)
        if flags is not None:
            self.subscriptions = flags

    def _toast(self, payload: Any, now: float) -> None:
        self.out.tell(self.listeners, "toast_message", read(ToastMessage, payload, "the toastMessage frame"))

    def _project(self, payload: Any) -> ProjectState | None:
        return self.projects.get(payload.get("jobID", "")) if type(payload) is dict else None

    def _job_state(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is None:
            return
        kind = payload.get("type")
        if kind == "queued":
            project.queued(payload, now)
            self._tell_project("queued", project, payload)
        elif kind == "jobCompleted":
            project.completed(now)
            self._tell_project("completed", project, {})
        elif kind in ("initiatingModel", "jobStarted") and payload.get("imgID"):
            started = kind == "jobStarted"
            project.job_begins(payload, now, started=started)
            if started:
                self._limit_run(project, payload, now)
            self._tell_job("started" if started else "initiating", project, payload)
        else:
            project.alive(now)

    def _job_progress(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is not None:
            project.job_progressed(payload, now)
            if self.projects_listeners.has("job"):
                self._tell_job("progress", project, payload)

    def _job_eta(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is not None:
            project.job_eta(payload, now)
            self._tell_job("jobETA", project, payload)

    def _job_result(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is not None:
            project.job_result(payload, now)
            job = project.jobs.get(payload.get("imgID") or "")
            if job is not None and job.ended:
                self.tell_result(project, payload)

    def _job_error(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is None:
            return
        error = error_data(payload)
        if payload.get("imgID"):
            project.job_failed(payload, now)
            self._tell_job("error", project, payload)
        elif error.code == RESTARTING and project.request is not None and not project.resent:
            self.out.begin(chores.Resend(project.id))
        else:
            project.fail(error, now, sync=True)
            self._tell_project("error", project, payload)

    def _job_retry(self, payload: Any, now: float) -> None:
        project = self._project(payload)
        if project is not None:
            project.job_retried(payload, now)

    def _cancel_answered(self, payload: Any, now: float) -> None:
        if isinstance(payload, dict) and payload.get("jobID") in self.cancellations:
            message = payload.get("error_message")
            said = message if isinstance(message, str) else ""
            self.cancellations[payload["jobID"]] = (payload.get("didCancel") is True, said)
            self.out.wake(("cancel", payload["jobID"]))

    def _limit_run(self, project: ProjectState, payload: Any, now: float) -> None:
        job = project.jobs.get(payload.get("imgID") or "")
        if job is not None and not job.ended and job.runs_until is None:
            network = getattr(project.params, "network", None) or self.account.network or "relaxed"
            floor = RUN_FLOOR.get((network, project.kind), RUN_FLOOR_OTHERWISE[project.kind == "video"])
            job.runs_until = now + min(LONGEST_RUN, max(floor, 6 * (job.eta_seconds or 0)))

    # -- events of the projects group ------------------------------------------

    def _tell_project(self, kind: str, project: ProjectState, payload: dict[str, Any]) -> None:
        if not self.projects_listeners.has("project"):
            return
        event = ProjectEvent(
            type=kind,
            project_id=project.id,
            queue_position=payload.get("queuePosition"),
            estimated_start_seconds=payload.get("estimatedStartSeconds"),
            queue_status=payload.get("queueStatus"),
            error=error_data(payload) if kind == "error" else None,
        )
        self.out.tell(self.projects_listeners, "project", event)

    def _tell_job(self, kind: str, project: ProjectState, payload: dict[str, Any]) -> None:
        if not self.projects_listeners.has("job") or not payload.get("imgID"):
            return
        event = JobEvent(
            type=kind,
            project_id=project.id,
            job_id=payload["imgID"],
            worker_name=payload.get("workerName"),
            positive_prompt=payload.get("positivePrompt"),
            negative_prompt=payload.get("negativePrompt"),
            job_index=payload.get("jobIndex"),
            step=payload.get("step"),
            step_count=payload.get("stepCount"),
            progress=payload.get("progress"),
            eta_seconds=payload.get("etaSeconds"),
            eta_min=payload.get("etaMin"),
            eta_max=payload.get("etaMax"),
            error=error_data(payload) if kind == "error" else None,
        )
        self.out.tell(self.projects_listeners, "job", event)

    def tell_result(self, project: ProjectState, payload: dict[str, Any]) -> None:
        """Tell the listeners of the projects group that a job ended with a result."""
        job = project.jobs.get(payload.get("imgID") or "")
        if job is None or not self.projects_listeners.has("job"):
            return
        event = JobEvent(
            type="completed",
            project_id=project.id,
            job_id=job.id,
            steps=job.step,
            seed=job.seed,
            result_url=job.result_url,
            is_nsfw=job.is_nsfw,
            nsfw_detected=job.nsfw_detected,
            nsfw_sources=list(job.nsfw_sources),
            user_canceled=job.user_canceled,
        )
        self.out.tell(self.projects_listeners, "job", event)

    def tell_preview(self, project: ProjectState, job_id: str, url: str) -> None:
        """Tell the listeners of the projects group of a preview."""
        event = JobEvent(type="preview", project_id=project.id, job_id=job_id, url=url)
        self.out.tell(self.projects_listeners, "job", event)

    def account_known(self, info: AccountInfo) -> None:
        """The answer of `me`."""
        self.account.known(info)


INACTIVITY = 120.0
"""Seconds without a frame before a project is asked after (projects-5x §11)."""
LONGEST_RUN = 12 * 3600.0
RUN_FLOOR = {("fast", "image"): 1800.0, ("fast", "audio"): 1800.0, ("fast", "video"): 5400.0}
RUN_FLOOR_OTHERWISE = (2 * 3600.0, 8 * 3600.0)
