"""The client state: effects of frames and of the connection (transport §4.4, §9 to §13; projects-4.2 §11)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sogni.core import outbox
from sogni.core.chat.state import ChatState
from sogni.core.client_state import ClientState
from sogni.core.connection.state import Closed
from sogni.core.outbox import CONNECTION, MODELS, NETWORK, SOCKET
from sogni.core.projects.project import ProjectState
from sogni.errors import (
    AuthenticationError,
    ClientClosedError,
    ConnectionRejectedError,
    ProtocolError,
    SogniConnectionError,
)
from sogni.models.account import AccountInfo
from sogni.models.catalogue import AvailableModel
from sogni.models.connection import Connected, Disconnected, Reconnecting, ToastMessage
from sogni.models.params import ImageProjectParams
from sogni.models.projects import ErrorData, JobEvent, Preparation, ProjectEvent, Snapshot
from sogni.settings import Settings
from tests.tables import each_row

MODEL = AvailableModel(id="m", name="M", worker_count=1)


def state_of(**settings: Any) -> ClientState:
    return ClientState(Settings(**{"api_key": "k", "auth_type": "api_key", **settings}), "APP")


def connected(**settings: Any) -> ClientState:
    state = state_of(**settings)
    state.connection.request_connection()
    state.opened(0.0)
    state.receive("authenticated", {"clientType": "artist"}, 0.0)
    clear(state)
    return state


def clear(state: ClientState) -> None:
    for part in (state.out.deliveries, state.out.woken, state.out.tasks):
        part.clear()


def work(state: ClientState) -> list[Any]:
    """What was begun, less the question for the subscription, which comes with every connection."""
    return [task for task in state.out.tasks if task != outbox.FetchSubscription()]


def told(state: ClientState) -> list[tuple[str, Any]]:
    found = [(it.event, it.value) for it in state.out.deliveries]
    state.out.deliveries.clear()
    return found


def tracked(state: ClientState, project_id: str = "P", media: int = 2, now: float = 0.0, **fields: Any) -> ProjectState:
    params = ImageProjectParams(model_id="m", number_of_media=media, **fields)
    project = ProjectState(project_id, params, state.out, now=now, kind="image", listening=state.listening)
    state.projects.track(project, now)
    return project


def lost(state: ClientState, code: int, cause: BaseException | None = None) -> None:
    state.lost(Closed(code, "why", cause), now=2.0, jitter=1.0)


# --- who we are


def test_a_key_is_sent_as_a_header() -> None:
    assert (state_of().session.auth_headers(), state_of().session.signed_in) == ({"api-key": "k"}, True)
    assert (state_of(api_key=None).session.auth_headers(), state_of(api_key=None).session.signed_in) == ({}, False)


def test_without_a_key_nothing_connects() -> None:
    with pytest.raises(AuthenticationError, match="not signed in"):
        state_of(api_key=None).check_may_connect()


def test_a_client_without_a_socket_opens_none() -> None:
    with pytest.raises(SogniConnectionError, match="disable_socket"):
        state_of(disable_socket=True).check_may_connect()


def test_an_account_is_connecting_until_it_is_connected() -> None:
    """account §15."""
    state, seen = state_of(), []
    for step in (state.request_connection, state.request_connection, lambda: state.opened(0.0), state.stop_connection):
        step()
        seen.append((state.account.network_status, state.account.network))
    assert seen == [("connecting", "fast")] * 2 + [("connected", "fast"), ("disconnected", None)]


def test_a_401_clears_the_credentials_and_ends_the_connection() -> None:
    """transport §4.4."""
    state = connected()
    project = tracked(state)
    state.account.set_identity(AccountInfo(username="ada"))
    clear(state)
    state.session.unauthorized()
    assert (
        state.session.signed_in,
        state.connection.phase,
        state.account.username,
        state.account.network_status,
    ) == (False, "ended", None, "disconnected")
    events = told(state)
    assert events[-1] == ("updated", False)
    assert ("disconnected", Disconnected(code=1000, reason="Client disconnected")) in events
    assert {CONNECTION, SOCKET, project} <= set(state.out.woken)
    with pytest.raises(AuthenticationError, match="rejected the API key"):
        state.check_may_connect()


def test_a_401_of_somebody_who_is_not_signed_in_only_raises() -> None:
    state = state_of(api_key=None)
    state.session.unauthorized()
    assert told(state) == []


# --- the connection


def test_an_open_socket_is_a_connected_account() -> None:
    """transport §6.1: before the server has authenticated it."""
    state = state_of(network="relaxed")
    state.connection.request_connection()
    state.opened(0.0)
    assert (state.account.network_status, state.account.network) == ("connected", "relaxed")
    assert ("connected", Connected(network="relaxed")) in told(state)
    assert ([outbox.FetchAccount()], True) == (state.out.tasks, CONNECTION in state.out.woken)


def test_who_is_signed_in_is_asked_once() -> None:
    state = connected()
    lost(state, 1006)
    state.connection.due(100.0)
    state.opened(101.0)
    assert state.out.tasks == []


def test_a_drop_fails_nothing() -> None:
    """projects-5x §9.1."""
    state = connected()
    project = tracked(state)
    lost(state, 1001)
    assert (
        project.status,
        project.last_frame_at,
        state.session.signed_in,
        state.account.network_status,
    ) == ("pending", 2.0, True, "connecting")
    assert ("reconnecting", Reconnecting(network="fast")) == told(state)[-1]
    assert CONNECTION in state.out.woken


@pytest.mark.parametrize("code", [0, 4010, 4021, 4999])
def test_a_refusal_clears_the_credentials_first_and_then_disconnects(code: int) -> None:
    """transport §10: auth-reset effects come first, then `disconnected`."""
    state = connected()
    state.account.change(username="ada")
    project = tracked(state)
    clear(state)
    lost(state, code)
    assert (state.session.signed_in, state.account.username) == (False, None)
    names = [(name, value) for name, value in told(state) if name != "updated" or value is False]
    assert [("updated", False), ("disconnected", Disconnected(code=code, reason="why"))] == names
    assert {project, CONNECTION} <= set(state.out.woken)


def test_a_rejection_without_credentials_only_disconnects() -> None:
    state = connected()
    state.session.credentials.clear()
    generation = state.session.generation
    lost(state, 4021)
    assert [("disconnected", Disconnected(code=4021, reason="why"))] == [it for it in told(state) if it[0] != "updated"]
    assert generation == state.session.generation


def test_a_displaced_client_keeps_its_credentials_and_is_told_the_cure() -> None:
    state = connected()
    lost(state, 4015)
    assert (state.session.signed_in, state.connection.phase) == (True, "ended")
    with pytest.raises(ConnectionRejectedError, match=r"'APP'.*own app_id"):
        state.check_may_connect()
    state.check_may_connect(again=True)


def test_a_normal_close_keeps_the_credentials_and_may_be_followed_by_another() -> None:
    state = connected()
    lost(state, 1000)
    assert state.session.signed_in
    state.check_may_connect()


def test_a_refused_upgrade_makes_rest_say_whether_the_key_is_good() -> None:
    state = connected()
    lost(state, 1006, AuthenticationError("refused"))
    assert (True, [outbox.FetchAccount()]) == (state.session.signed_in, state.out.tasks)


def test_a_client_that_lost_its_credentials_does_not_come_back() -> None:
    state = connected()
    state.session.credentials.clear()
    lost(state, 1006)
    assert ("ended", ("disconnected", Disconnected(code=1006, reason="why"))) == (
        state.connection.phase,
        told(state)[-1],
    )


def test_finished_projects_are_not_woken_by_the_end_of_the_connection() -> None:
    state = connected()
    project = tracked(state)
    project.fail(ErrorData(code=1), 0.0)
    clear(state)
    lost(state, 1000)
    assert project not in state.out.woken


@pytest.mark.parametrize("phase", ["idle", "ended"])
def test_stopping_what_does_not_run_says_nothing(phase: Any) -> None:
    state = state_of()
    state.connection.phase = phase
    state.stop_connection()
    assert told(state) == []


def test_why_there_is_no_connection() -> None:
    state = connected(socket_endpoint="wss://u:secret@socket.sogni.ai:443/x")
    lost(state, 1006)
    assert str(state.why_closed()) == "the connection to socket.sogni.ai:443 is closed (close code 1006): why"
    state.session.unauthorized()
    assert isinstance(state.why_closed(), AuthenticationError)
    state.closed = True
    assert isinstance(state.why_closed(), ClientClosedError)


# --- time


def test_the_time_of_day_follows_the_clock_and_deadlines_do_not() -> None:
    state = state_of()
    assert (state.at(5.0, 1005.0), state.out.wall(7.0)) == (5.0, 1007.0)
    assert (state.at(6.0, 9006.0), state.out.wall(7.0)) == (6.0, 9007.0)


def test_a_lost_connection_has_two_names() -> None:
    state = connected()
    state.listeners.add("connecting", str)
    lost(state, 1006)
    gone = Reconnecting(network="fast")
    assert [("reconnecting", gone), ("connecting", gone)] == told(state)[-2:]


def test_time_on_a_connection_that_says_nothing() -> None:
    state = state_of()
    state.connection.request_connection()
    state.opened(0.0)
    clear(state)
    assert [state.tick(at) for at in (1.0, 1.5, 10.0)] == [None, "sync", "ready"]
    (task,) = state.out.tasks
    assert isinstance(task, outbox.Reconcile)
    assert (task.snapshot, task.sync.found.reason, state.out.woken) == (None, "connected", [CONNECTION])


def test_a_silent_project_is_asked_after() -> None:
    """projects-5x §11: 120 seconds without a frame."""
    state = connected()
    tracked(state, now=0.0)
    state.tick(119.0)
    assert state.out.tasks == []
    state.tick(121.0)
    state.tick(123.0)
    assert [outbox.CheckLiveness("P")] == state.out.tasks


def test_while_there_is_no_connection_nobody_is_asked_after() -> None:
    state = connected()
    tracked(state)
    lost(state, 1006)
    clear(state)
    state.tick(1000.0)
    assert state.out.tasks == []


RUNS: list[tuple[str, dict[str, Any], dict[str, Any], str | None, float]] = [
    # kind, params, first frame, network announced, limit (projects-5x §11)
    ("image", {"network": "fast"}, {}, None, 1800),
    ("audio", {"network": "fast"}, {}, None, 1800),
    ("video", {"network": "fast"}, {}, None, 5400),
    ("image", {"network": "relaxed"}, {}, "fast", 7200),
    ("image", {}, {}, "fast", 1800),
    ("image", {}, {}, None, 1800),
    ("video", {}, {}, None, 5400),
    ("image", {}, {}, "relaxed", 7200),
    ("video", {}, {}, "relaxed", 28800),
    ("image", {}, {}, "another", 7200),
    ("image", {"network": "fast"}, {"etaSeconds": 1000}, None, 6000),
    ("image", {"network": "fast"}, {"etaSeconds": 100000}, None, 43200),
]


@each_row("first", ["jobState", "jobProgress"])
@each_row(("kind", "fields", "eta", "network", "limit"), RUNS)
def test_a_job_that_runs_too_long_is_asked_about(
    first: str, kind: str, fields: Any, eta: Any, network: str | None, limit: float
) -> None:
    state = connected()
    if network:
        state.receive("changeNetwork", {"network": network}, 0.0)
    project = tracked(state, **fields)
    project.kind = kind
    ids = {"jobID": "P", "imgID": "A"}
    if eta:
        state.receive("jobETA", {**ids, **eta}, 100.0)
    state.receive(first, {**ids, "type": "jobStarted"}, 100.0)
    state.receive("jobProgress", {**ids, "step": 1}, 100.0 + limit - 1)
    clear(state)
    state.tick(100.0 + limit - 0.5)
    assert state.out.tasks == []
    state.tick(100.0 + limit + 1)
    state.tick(100.0 + limit + 3)
    assert [outbox.CheckOverrun("P", "A")] == state.out.tasks


def test_a_job_is_allowed_twelve_hours_at_most() -> None:
    state = connected()
    project = tracked(state)
    state.receive("jobETA", {"jobID": "P", "imgID": "A", "etaSeconds": 3000}, 0.0)
    state.receive("jobProgress", {"jobID": "P", "imgID": "A"}, 0.0)
    job = project.jobs["A"]
    allowed = []
    while state.projects.allow_longer("P", "A", job.runs_until):
        allowed.append(job.runs_until)
    assert allowed == [36000.0, 43200.0]


def test_a_client_of_the_relaxed_network_gives_more_time() -> None:
    state = connected(network="relaxed")
    project = tracked(state)
    state.receive("jobProgress", {"jobID": "P", "imgID": "A"}, 0.0)
    assert project.jobs["A"].runs_until == 7200


def test_a_project_that_is_gone_or_over_needs_no_more_time() -> None:
    state = connected()
    project = tracked(state)
    state.receive("jobError", {"jobID": "P", "imgID": "A", "error": 1}, 0.0)
    assert state.projects.allow_longer("P", "A", 5.0)
    assert state.projects.allow_longer("P", "B", 5.0)
    assert state.projects.allow_longer("Q", "A", 5.0)
    assert project.jobs["A"].runs_until is None


def test_time_in_the_queue_is_no_time_of_work() -> None:
    state = connected()
    project = tracked(state)
    state.receive("jobProgress", {"jobID": "P", "imgID": "A"}, 0.0)
    state.receive("jobState", {"jobID": "P", "type": "queued"}, 5.0)
    assert project.jobs["A"].runs_until is None
    state.receive("jobProgress", {"jobID": "P", "imgID": "A"}, 7.0)
    assert project.jobs["A"].runs_until == 7 + 1800


def test_finished_projects_are_let_go_after_a_while() -> None:
    """projects-4.2 §11.2: 30 seconds; what the service held for us, an hour."""
    state = connected()
    running, ended, held, never = (tracked(state, name) for name in ("RUN", "END", "HELD", "NEVER"))
    ended.fail(ErrorData(code=1), 100.0)
    held.recovered = True
    held.fail(ErrorData(code=1), 100.0)
    never.abandon()
    assert [project.id for project in state.projects.tracked()] == ["RUN", "END", "HELD"]
    state.tick(129.0)
    assert list(state.projects.by_id) == ["RUN", "END", "HELD"]
    state.tick(131.0)
    assert list(state.projects.by_id) == ["RUN", "HELD"]
    tracked(state, "NEXT", now=3700.0)
    assert [running, state.projects.by_id["NEXT"]] == list(state.projects.by_id.values())


def test_not_every_frame_looks_at_every_project() -> None:
    state = connected()
    ended = tracked(state)
    ended.fail(ErrorData(code=1), 0.0)
    state.tick(29.5)
    state.tick(30.2)
    assert list(state.projects.by_id) == ["P"]
    state.tick(30.6)
    assert list(state.projects.by_id) == []


# --- frames about the client


def test_types_nobody_knows_are_ignored() -> None:
    state = connected()
    state.receive("brandNew", {"a": 1}, 0.0)
    assert (state.out.deliveries, state.out.woken, state.out.tasks) == ([], [], [])


def test_raw_frames_reach_those_who_ask_for_them() -> None:
    state = connected()
    state.frame_listeners.add("brandNew", print)
    state.receive("brandNew", {"a": 1}, 0.0)
    assert told(state) == [("brandNew", {"a": 1})]


def authenticating() -> ClientState:
    state = state_of()
    state.connection.request_connection()
    state.opened(0.0)
    clear(state)
    return state


def test_authenticated_makes_ready_and_says_who_it_is() -> None:
    state = authenticating()
    state.receive("authenticated", {"clientType": "artist", "username": "ada", "address": "0x1"}, 0.0)
    assert (
        state.connection.phase,
        state.account.username,
        state.account.wallet_address,
        work(state),
    ) == ("ready", "ada", "0x1", [])
    assert state.tick(5.0) is None


@pytest.mark.parametrize("payload", [None, "text", [1], {"username": 5, "address": None}])
def test_authenticated_counts_even_when_it_says_nothing(payload: Any) -> None:
    state = authenticating()
    state.receive("authenticated", payload, 0.0)
    assert (state.connection.phase, state.account.username) == ("ready", None)


def test_authenticated_brings_the_snapshot() -> None:
    state = authenticating()
    state.receive("authenticated", {"activeProjects": [{"id": "P"}]}, 0.0)
    (task,) = work(state)
    assert isinstance(task, outbox.Reconcile)
    assert isinstance(task.snapshot, Snapshot)
    assert [record.id for record in task.snapshot.active_projects] == ["P"]


@pytest.mark.parametrize("payload", [{"unclaimedCompletedProjects": [{"id": "P"}]}, {}])
def test_tracked_projects_and_unclaimed_ones_are_reconciled(payload: dict[str, Any]) -> None:
    state = authenticating()
    if not payload:
        tracked(state)
    state.receive("authenticated", payload, 0.0)
    assert len(work(state)) == 1


def test_a_snapshot_for_a_worker_is_none() -> None:
    state = authenticating()
    tracked(state)
    state.receive("authenticated", {"clientType": "worker"}, 0.0)
    assert (work(state), state.connection.due(2.0)) == ([], "sync")


def test_a_snapshot_nobody_can_read_is_asked_for_again() -> None:
    state = authenticating()
    with pytest.raises(ProtocolError, match="the authenticated frame is malformed"):
        state.receive("authenticated", {"activeProjects": [{"id": 5}]}, 0.0)
    assert (state.connection.phase, state.connection.due(2.0)) == ("ready", "sync")


SUBSCRIBED = {"active": True, "subscription": {"status": "active", "tier": "unlimited"}}


def test_authenticated_tells_the_subscription_so_that_nobody_asks() -> None:
    """account §13.5."""
    state = authenticating()
    state.receive("authenticated", {"subscriptionEntitlement": SUBSCRIBED, "freeSparkLocked": True}, 0.0)
    assert outbox.FetchSubscription() not in state.out.tasks
    assert state.account.subscription is not None
    assert (state.account.subscription.is_unlimited, state.account.free_spark_locked) == (True, True)


def test_an_older_server_is_asked_for_the_subscription_of_whom_is_signed_in() -> None:
    state = authenticating()
    state.receive("authenticated", {}, 0.0)
    assert outbox.FetchSubscription() in state.out.tasks

    nobody = authenticating()
    nobody.session.credentials.clear()
    nobody.receive("authenticated", {}, 0.0)
    assert outbox.FetchSubscription() not in nobody.out.tasks


def test_an_entitlement_nobody_can_read_keeps_nothing_else_from_being_applied() -> None:
    state = authenticating()
    unreadable = {"active": True, "subscription": {"status": ["active"]}}
    state.receive("authenticated", {"subscriptionEntitlement": unreadable, "activeProjects": [{"id": "P"}]}, 0.0)
    assert {type(it) for it in state.out.tasks} >= {outbox.FetchSubscription, outbox.Reconcile}


def test_a_changed_entitlement_changes_the_subscription() -> None:
    state = connected()
    state.receive("subscriptionEntitlementUpdated", {**SUBSCRIBED, "freeSparkLocked": False}, 0.0)
    assert state.account.subscription is not None
    assert (state.account.subscription.tier, state.account.free_spark_locked) == ("unlimited", False)


def test_who_signed_out_meanwhile_stays_nobody() -> None:
    state = authenticating()
    state.session.credentials.clear()
    state.receive("authenticated", {"username": "ada"}, 0.0)
    assert state.account.username is None


def test_reconciliations_never_overlap_and_only_the_newest_waits() -> None:
    """transport §13.2."""
    state = authenticating()
    for name in ("A", "B", "C"):
        state.receive("authenticated", {"activeProjects": [{"id": name}]}, 0.0)
    seen = []
    while work(state):
        (task,) = work(state)
        assert isinstance(task, outbox.Reconcile)
        seen.append(task.snapshot.active_projects[0].id)
        state.out.tasks.clear()
        state.projects.reconciled()
    assert seen == ["A", "C"]


def test_the_balance() -> None:
    state = connected()
    state.receive("balanceUpdate", {"spark": {"net": "1.50", "premiumCredit": "2"}, "sogni": {"net": "0"}}, 0.0)
    assert Decimal("1.50") == state.account.balance.spark.net
    assert [("updated", {"balance"})] == told(state)


def test_another_network_is_the_accounts_and_empties_the_models() -> None:
    """transport §12: not the network of later connections."""
    state = connected()
    state.models_named([MODEL], 0)
    clear(state)
    state.receive("changeNetwork", {"network": "relaxed"}, 0.0)
    assert (
        state.announced_network,
        state.account.network,
        state.network,
        state.catalogue.available,
    ) == ("relaxed", "relaxed", "fast", [])
    assert [("updated", {"network"}), ("available_models", [])] == told(state)
    assert {NETWORK, MODELS} <= set(state.out.woken)


def test_live_models_are_named_before_they_are_shown() -> None:
    state = connected()
    payload = {"a": 3, "b": 2.0, "c": "x", "d": True, "e": float("nan"), "f": float("-inf"), "g": None}
    state.receive("swarmModels", payload, 0.0)
    (task,) = state.out.tasks
    assert isinstance(task, outbox.NameModels)
    assert task.workers == {"a": 3, "b": 2}
    state.models_named([MODEL], task.number)
    assert (state.catalogue.available, told(state)[-1]) == ([MODEL], ("available_models", [MODEL]))


@pytest.mark.parametrize("newer", ["a newer list", "the end of the connection"])
def test_an_older_list_is_not_shown(newer: str) -> None:
    state = connected()
    state.receive("swarmModels", {"a": 3}, 0.0)
    (task,) = state.out.tasks
    assert isinstance(task, outbox.NameModels)
    if newer == "a newer list":
        state.receive("swarmModels", {"a": 4}, 0.0)
    else:
        lost(state, 1000)
    state.models_named([MODEL], task.number)
    assert state.catalogue.available == []


def test_subscriptions_are_those_the_server_acknowledged() -> None:
    """transport §11: the local map is replaced."""
    state = connected(socket_event_subscriptions={"a": True})
    state.receive("socketEventSubscriptionsUpdated", {}, 0.0)
    assert state.subscriptions == {"a": True, "projectQueue": True}
    state.receive("socketEventSubscriptionsUpdated", {"socketEventSubscriptions": {"b": False}}, 0.0)
    assert state.subscriptions == {"b": False, "projectQueue": True}


@each_row(
    ("given", "acknowledged", "expected"),
    [
        ({}, {"projectQueue": False}, {"projectQueue": True}),
        ({"projectQueue": True}, {}, {"projectQueue": True}),
        ({"projectQueue": False}, {}, {}),
        ({"projectQueue": False}, {"projectQueue": True}, {"projectQueue": False}),
        ({"project-queue": False}, {"a": True}, {"a": True}),
    ],
)
def test_the_queue_is_subscribed_to_unless_the_user_declines(given: Any, acknowledged: Any, expected: Any) -> None:
    """additions-5x §7, transport §11: whatever the server acknowledges."""
    state = connected(socket_event_subscriptions=given)
    assert state.subscriptions == (given or {"projectQueue": True})
    state.receive("socketEventSubscriptionsUpdated", {"socketEventSubscriptions": acknowledged}, 0.0)
    assert state.subscriptions == expected


def test_a_toast() -> None:
    state = connected()
    state.receive("toastMessage", {"type": "info", "message": "hi", "autoClose": 5, "stickyID": "s"}, 0.0)
    assert [("toast_message", ToastMessage(type="info", message="hi", auto_close=5, sticky_id="s"))] == told(state)


MALFORMED: list[tuple[str, Any]] = [
    ("balanceUpdate", None),
    ("balanceUpdate", {"sogni": {"net": "many"}}),
    ("changeNetwork", None),
    ("changeNetwork", "fast"),
    ("changeNetwork", {"network": 5}),
    ("swarmModels", None),
    ("swarmModels", ["a"]),
    ("subscriptionEntitlementUpdated", None),
    ("subscriptionEntitlementUpdated", "active"),
    ("toastMessage", None),
    ("toastMessage", {"message": 5}),
    ("appAlert", None),
    ("appAlert", {"title": "no id"}),
    ("subscriptionLimitNotice", "full"),
]


@each_row(("kind", "payload"), MALFORMED, ids=str)
def test_what_nobody_can_read_changes_nothing(kind: str, payload: Any) -> None:
    state = connected()
    state.models_named([MODEL], 0)
    before = (state.account.snapshot(), state.catalogue.available, state.announced_network)
    clear(state)
    with pytest.raises(ProtocolError):
        state.receive(kind, payload, 0.0)
    assert before == (state.account.snapshot(), state.catalogue.available, state.announced_network)
    assert (state.out.deliveries, state.out.woken, state.out.tasks) == ([], [], [])


def test_when_the_reader_breaks_down_everything_that_waits_for_it_ends() -> None:
    state = connected()
    project = tracked(state)
    state.chats.by_id["C"] = chat = ChatState("C", state.out)
    clear(state)
    error = RuntimeError("broken")
    state.crashed(error)
    assert {CONNECTION, project, chat} <= set(state.out.woken)
    assert (chat.done, state.account.network_status) == (True, "disconnected")
    assert ("disconnected", Disconnected(code=1006, reason="the reader failed")) in told(state)
    assert (type(state.why_closed()), state.why_closed().__cause__) == (SogniConnectionError, error)


# --- frames about projects

JOB_FRAMES = ["jobState", "jobProgress", "jobETA", "jobResult", "jobError", "jobRetry"]


@each_row("kind", [*JOB_FRAMES, "artistCancelConfirmation"])
@each_row("payload", [None, 5, "P", ["P"], {}, {"jobID": "UNKNOWN", "imgID": "A", "type": "queued"}])
def test_frames_of_unknown_projects_are_ignored(kind: str, payload: Any) -> None:
    state = connected()
    tracked(state)
    state.projects.listeners.add("project", print)
    state.projects.listeners.add("job", print)
    state.receive(kind, payload, 5.0)
    assert (state.projects.by_id["P"].last_frame_at, state.out.deliveries, state.out.tasks) == (0.0, [], [])


def project_events(*frames: tuple[str, dict[str, Any]], media: int = 2) -> list[Any]:
    """What listeners of the projects group are told of a project with these frames."""
    state = connected()
    tracked(state, media=media)
    for event in ("project", "job"):
        state.projects.listeners.add(event, print)
    for kind, payload in frames:
        state.receive(kind, {"jobID": "P", **payload}, 1.0)
    return [it.value for it in state.out.deliveries if it.listeners is state.projects.listeners]


TIMED_OUT = ErrorData(code=5003, message="m", original_code="jobTimedOut")
EVENTS: list[tuple[str, dict[str, Any], Any]] = [
    (
        "jobState",
        {"type": "queued", "queuePosition": 3, "estimatedStartSeconds": 7, "queueStatus": "waiting"},
        ProjectEvent(
            type="queued", project_id="P", queue_position=3, estimated_start_seconds=7, queue_status="waiting"
        ),
    ),
    (
        "jobState",
        {"type": "queued", "queuePosition": "3", "estimatedStartSeconds": "7", "queueStatus": "else"},
        ProjectEvent(type="queued", project_id="P"),
    ),
    (
        "jobProgress",
        {"imgID": "A", "step": "1", "stepCount": None, "progress": True, "etaSeconds": "3", "workerName": 5},
        JobEvent(type="progress", project_id="P", job_id="A"),
    ),
    ("jobState", {"type": "jobCompleted"}, ProjectEvent(type="completed", project_id="P")),
    (
        "jobState",
        {"type": "initiatingModel", "imgID": "A", "preparation": {"phase": "loadingModel", "step": "end", "new": 1}},
        JobEvent(
            type="initiating", project_id="P", job_id="A",
            preparation=Preparation(phase="loadingModel", step="end", extra={"new": 1}),
        ),
    ),
    (
        "jobState",
        {"type": "initiatingModel", "imgID": "A", "workerName": "w", "positivePrompt": "p", "jobIndex": 1},
        JobEvent(type="initiating", project_id="P", job_id="A", worker_name="w", positive_prompt="p", job_index=1),
    ),
    ("jobState", {"type": "jobStarted", "imgID": "A"}, JobEvent(type="started", project_id="P", job_id="A")),
    (
        "jobProgress",
        {"imgID": "A", "step": 1, "stepCount": 4, "progress": 0.5, "etaSeconds": 3, "etaMin": 1, "etaMax": 5},
        JobEvent(
            type="progress", project_id="P", job_id="A", step=1, step_count=4, progress=0.5, eta_seconds=3, eta_min=1,
            eta_max=5,
        ),
    ),
    ("jobETA", {"imgID": "A", "etaSeconds": 3}, JobEvent(type="jobETA", project_id="P", job_id="A", eta_seconds=3)),
    (
        "jobResult",
        {"imgID": "A", "resultUrl": "u", "lastSeed": "7", "performedStepCount": 4},
        JobEvent(
            type="completed", project_id="P", job_id="A", steps=4, seed=7, result_url="u", is_nsfw=False,
            nsfw_detected=False, nsfw_sources=[], user_canceled=False,
        ),
    ),
    (
        "jobError",
        {"imgID": "A", "error": 5, "error_message": "m"},
        JobEvent(type="error", project_id="P", job_id="A", error=ErrorData(code=5, message="m")),
    ),
    (
        "jobError",
        {"error": "jobTimedOut", "error_message": "m"},
        ProjectEvent(type="error", project_id="P", error=TIMED_OUT),
    ),
]  # fmt: skip


@each_row(("kind", "payload", "event"), EVENTS, ids=[f"{row[0]}-{row[2].type}" for row in EVENTS])
def test_events_of_the_projects_group(kind: str, payload: dict[str, Any], event: Any) -> None:
    assert [event] == project_events((kind, payload))


def test_a_result_of_a_job_that_has_failed_is_not_told_as_a_completion() -> None:
    failed = ("jobError", {"imgID": "A", "error": 5, "error_message": "m"})
    late = ("jobResult", {"imgID": "A", "resultUrl": "u"})
    assert [it.type for it in project_events(failed, late)] == ["error"]


@each_row(
    ("kind", "payload"),
    [
        ("jobState", {"type": "assigned", "workerName": "w"}),
        ("jobState", {"type": "jobStarted"}),
        ("jobState", {}),
        ("jobETA", {"etaSeconds": 3}),
        ("jobProgress", {"step": 3}),
        ("jobResult", {"imgID": "A"}),
        ("jobResult", {"resultUrl": "u"}),
        ("jobRetry", {"imgID": "A"}),
    ],
    ids=str,
)
def test_frames_without_an_event(kind: str, payload: dict[str, Any]) -> None:
    assert project_events((kind, payload)) == []


PREPARATION = {"phase": "loadingModel", "model": "M", "step": "start"}
BEYOND: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("jobState", {"type": "queued", "queuePosition": 3}, {"somethingNew": 1}),
    ("jobState", {"type": "jobCompleted"}, {"somethingNew": 1}),
    ("jobState", {"type": "initiatingModel", "imgID": "A"}, {"preparation": "soon"}),
    ("jobState", {"type": "jobStarted", "imgID": "A"}, {"somethingNew": 1}),
    ("jobProgress", {"imgID": "A", "step": 1, "hasImage": False}, {"somethingNew": [1]}),
    ("jobETA", {"imgID": "A", "etaSeconds": 3}, {"somethingNew": None}),
    (
        "jobResult",
        {"imgID": "A", "resultUrl": "u", "jobIndex": 0, "sha256": "0" * 64},
        {"resultKey": "k", "lastFrameKey": "l", "outputFormat": "png", "result": {"a": 1}, "artifacts": []},
    ),
]


@pytest.mark.parametrize(("kind", "payload", "further"), BEYOND, ids=[f"{it[0]}-{it[1].get('type')}" for it in BEYOND])
def test_events_keep_what_has_no_field_of_its_own(kind: str, payload: dict[str, Any], further: dict[str, Any]) -> None:
    (event,) = project_events((kind, {**payload, **further}))
    assert event.extra == further


def test_an_error_event_has_the_details_of_the_error() -> None:
    details = {"vendorFailureCategory": "timeout"}
    (of_job,) = project_events(("jobError", {"imgID": "A", "error": 5, "error_message": "m", **details}))
    (of_project,) = project_events(("jobError", {"error": 5, "error_message": "m", **details}))
    assert of_job.error == of_project.error == ErrorData(code=5, message="m", vendor_failure_category="timeout")


@each_row(("kind", "payload", "event"), EVENTS, ids=[f"{row[0]}-{row[2].type}" for row in EVENTS])
def test_a_frame_that_comes_again_is_no_news(kind: str, payload: dict[str, Any], event: Any) -> None:
    assert [event] == project_events(*[(kind, payload)] * 3)


def test_a_phase_that_comes_again_after_another_is_news() -> None:
    queued = ("jobState", {"type": "queued", "queuePosition": 1})
    initiating = ("jobState", {"type": "initiatingModel", "imgID": "A"})
    prepared = ("jobState", {"type": "initiatingModel", "imgID": "A", "preparation": PREPARATION})
    events = project_events(queued, initiating, prepared, initiating, queued)
    assert [it.type for it in events] == ["queued", "initiating", "initiating", "initiating", "queued"]


def test_nothing_is_told_of_a_job_or_a_project_after_its_end() -> None:
    end = ("jobResult", {"imgID": "A", "resultUrl": "u"})
    late = [("jobProgress", {"imgID": "A", "step": 1}), ("jobState", {"type": "jobStarted", "imgID": "A"})]
    completed = ("jobState", {"type": "jobCompleted"})
    after = [("jobState", {"type": "queued"}), ("jobError", {"error": 5}), completed]
    events = project_events(end, *late, completed, *after, media=1)
    assert [it.type for it in events] == ["completed", "completed"]


def test_a_newer_url_of_a_result_is_news() -> None:
    events = project_events(*[("jobResult", {"imgID": "A", "resultUrl": url}) for url in ("u", "u", "v")])
    assert [it.result_url for it in events] == ["u", "v"]


def test_a_project_that_failed_with_its_last_job_is_told_as_failed_when_the_service_says_so() -> None:
    of_job, of_project = {"imgID": "A", "error": 5, "error_message": "m"}, {"error": 6, "error_message": "n"}
    events = project_events(("jobError", of_job), ("jobError", of_project), ("jobError", of_project), media=1)
    assert [(type(it), it.error.code) for it in events] == [(JobEvent, 5), (ProjectEvent, 6)]


def test_every_frame_keeps_its_project_alive() -> None:
    for kind in JOB_FRAMES:
        state = connected()
        project = tracked(state)
        state.receive(kind, {"jobID": "P"}, 5.0)
        assert project.last_frame_at == 5.0


def test_nobody_is_told_who_does_not_listen() -> None:
    state = connected()
    tracked(state)
    for kind, payload, _ in EVENTS:
        state.receive(kind, {"jobID": "P", **payload}, 1.0)
    state.projects.notify_result(state.projects.by_id["P"], {"imgID": "nobody"})
    assert state.out.deliveries == []


def test_a_preview_is_told() -> None:
    state = connected()
    state.projects.notify_preview(tracked(state), "A", "https://p")
    assert [("job", JobEvent(type="preview", project_id="P", job_id="A", url="https://p"))] == told(state)


def test_whoever_listens_once_is_told_from_then_on() -> None:
    state = connected()
    project = tracked(state)
    state.listen()
    state.listen()
    assert project.listening == [True]


@pytest.mark.parametrize("code", [1001, "1001"])
def test_a_request_refused_by_a_restart_is_sent_again_once(code: Any) -> None:
    """transport §13.2."""
    state = connected()
    project = tracked(state)
    project.request = {"jobID": "P"}
    refusal = {"jobID": "P", "error": code, "error_message": "restarting"}
    state.receive("jobError", refusal, 1.0)
    assert ([outbox.Resend("P")], "pending") == (state.out.tasks, project.status)
    project.resent = True
    state.receive("jobError", refusal, 2.0)
    assert (project.status, project.error.code if project.error else None) == ("failed", 1001)


def test_a_restart_does_not_repeat_what_the_service_has_taken() -> None:
    state = connected()
    project = tracked(state)
    project.request = {"jobID": "P"}
    state.receive("jobState", {"jobID": "P", "type": "queued"}, 1.0)
    state.receive("jobError", {"jobID": "P", "error": 1001}, 2.0)
    assert (project.status, state.out.tasks) == ("failed", [outbox.SyncProject("P")])


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        ({"didCancel": True, "error_message": ""}, (True, "")),
        ({"didCancel": False, "error_message": "too late"}, (False, "too late")),
        ({"didCancel": "yes"}, (False, "")),
    ],
)
def test_the_answer_to_a_cancellation(payload: dict[str, Any], answer: tuple[bool, str]) -> None:
    """projects-5x §10."""
    state = connected()
    state.projects.cancellations["P"] = None
    state.receive("artistCancelConfirmation", {"jobID": "P", **payload}, 0.0)
    assert (answer, [("cancel", "P")]) == (state.projects.cancellations["P"], state.out.woken)


def test_a_cancellation_that_nobody_waits_for_any_more_counts() -> None:
    state = connected()
    project = tracked(state)
    state.receive("artistCancelConfirmation", {"jobID": "P", "didCancel": False}, 0.0)
    assert (project.status, state.projects.cancellations) == ("pending", {})
    state.receive("artistCancelConfirmation", {"jobID": "P", "didCancel": True}, 0.0)
    assert (project.status, state.projects.cancellations, state.projects.by_id) == ("canceled", {"P": (True, "")}, {})


def test_a_state_of_a_chat_is_no_state_of_a_project() -> None:
    """transport §9: both layers share the frame, each looks for its own ids."""
    state = connected()
    project = tracked(state)
    state.chats.by_id["C"] = ChatState("C", state.out)
    state.receive("jobState", {"jobID": "C", "type": "jobStarted", "workerName": "w", "imgID": "A"}, 5.0)
    assert (state.chats.by_id["C"].worker_name, project.jobs, project.last_frame_at) == ("w", {}, 0.0)


def test_the_kind_of_a_model_is_that_of_the_list() -> None:
    state = state_of()
    state.catalogue.kinds = {"wan": "video"}
    assert [state.catalogue.kind_of("wan"), state.catalogue.kind_of("other")] == ["video", "image"]


def test_a_socket_nobody_wants_any_more_is_refused_and_its_end_is_no_news() -> None:
    state = ClientState(Settings(api_key="k", auth_type="api_key"), "APP")
    assert not state.opened(0.0)
    state.lost(Closed(1006), now=0.0, jitter=1.0)
    assert state.connection.phase == "idle"
    state.connection.request_connection()
    state.closed = True
    assert not state.opened(0.0)
