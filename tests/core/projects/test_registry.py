"""The cost of a frame does not depend on the number of projects and jobs.

The tests count function calls, which are the same on every host.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from sogni.core.chat.state import ChatState
from sogni.core.client_state import ClientState
from sogni.core.outbox import Outbox, WaiterRegistry
from sogni.core.projects.params import params_snapshot
from sogni.core.projects.project import ProjectState, restored_state
from sogni.models.converter import to_dict
from sogni.models.params import ImageProjectParams
from sogni.settings import Settings
from tests.tables import each_row

FEW, MANY = 100, 800


def project_of(media: int = 10**6) -> ProjectState:
    state = ClientState(Settings(api_key="k", auth_type="api_key"), "APP")
    params = ImageProjectParams(model_id="m", number_of_media=media)
    project = ProjectState("P", params, state.out, now=0.0, kind="image", listening=state.listening)
    state.projects.track(project, 0.0)
    project.tally  # the machine under test
    states[project] = state
    return project


states: dict[ProjectState, ClientState] = {}


def receive(project: ProjectState, kind: str, **payload: Any) -> None:
    states[project].receive(kind, {"jobID": "P", **payload}, 1.0)


def start(project: ProjectState, count: int, **payload: Any) -> None:
    for number in range(count):
        receive(project, "jobState", type="jobStarted", imgID=f"J{number}", **payload)


def progress(project: ProjectState, count: int) -> None:
    start(project, count)
    for number in range(count):
        receive(project, "jobProgress", imgID=f"J{number}", step=1, stepCount=4)


def estimates(project: ProjectState, count: int) -> None:
    for number in range(count):
        receive(project, "jobETA", imgID=f"J{number}", etaSeconds=count - number)
    for number in range(count):
        receive(project, "jobETA", imgID=f"J{number}", etaSeconds=number % 7)


def results(project: ProjectState, count: int) -> None:
    start(project, count)
    for number in range(count):
        receive(project, "jobResult", imgID=f"J{number}", resultUrl="u")
    receive(project, "jobState", type="jobCompleted")


def signed_results(project: ProjectState, count: int) -> None:
    for number in range(count):
        receive(project, "jobResult", imgID=f"J{number}")
    project.completed(1.0, sync=False)
    project.settle_anyway(1.0)
    for job, payload in project.unsigned(1.0):
        project.job_done(job, payload, "u", 1.0)
    assert project.settled


def failures(project: ProjectState, count: int) -> None:
    start(project, count)
    for number in range(count):
        receive(project, "jobError", imgID=f"J{number}", error="genfailure")


def given_up(project: ProjectState, count: int) -> None:
    start(project, count)
    receive(project, "jobState", type="jobCompleted")
    project.settle_anyway(1.0)
    assert project.settled


def canceled(project: ProjectState, count: int) -> None:
    start(project, count)
    project.cancel(1.0)


def retried_by_index(project: ProjectState, count: int) -> None:
    for number in range(count):
        receive(project, "jobState", type="jobStarted", imgID=f"J{number}", jobIndex=number)
    for number in range(count):
        receive(project, "jobRetry", imgID=f"J{number}", jobIndex=number)
        receive(project, "jobState", type="jobStarted", imgID=f"K{number}", jobIndex=number)
    assert [job.id for job in project.job_list()] == [f"K{number}" for number in range(count)]


def retried_without_index(project: ProjectState, count: int) -> None:
    start(project, count)
    for number in range(count):
        receive(project, "jobRetry", imgID=f"J{number}")
    start(project, count)
    for number in range(count):
        receive(project, "jobRetry", imgID=f"J{number}")
        receive(project, "jobState", type="jobStarted", imgID=f"K{number}")
    assert len(project.jobs) == count


def same_index(project: ProjectState, count: int) -> None:
    start(project, count)
    start(project, count, jobIndex=0)
    for number in range(count):
        receive(project, "jobState", type="jobStarted", imgID=f"K{number}", jobIndex=0)


def queued(project: ProjectState, count: int) -> None:
    start(project, count)
    for number in range(count):
        receive(project, "jobState", type="queued", queuePosition=number)
        receive(project, "jobState", type="jobStarted", imgID="J0")


def restored(project: ProjectState, count: int) -> None:
    progress(project, count)
    again = restored_state(project.snapshot(params_snapshot(project.params)))
    assert again.tally.progress(1.0) == project.tally.progress(1.0) == 25 * count


def calls(function: Callable[[], Any]) -> int:
    """How many calls a function makes."""
    made = 0

    def count(*_: Any) -> None:
        nonlocal made
        made += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return made


JOBS = [
    start,
    progress,
    estimates,
    results,
    signed_results,
    failures,
    given_up,
    canceled,
    retried_by_index,
    retried_without_index,
    same_index,
    queued,
    restored,
]


@each_row("frames", JOBS, ids=lambda function: function.__name__)
def test_a_frame_costs_the_same_with_many_jobs(frames: Callable[[ProjectState, int], None]) -> None:
    few, many = (calls(lambda count=count: frames(project_of(), count)) for count in (FEW, MANY))  # type: ignore[misc]
    states.clear()
    assert many <= 1.3 * few * MANY / FEW


def test_a_piece_of_a_tool_call_costs_the_same_with_many() -> None:
    chat = ChatState("C", Outbox())
    for piece in ("a" * 10,) * 3:
        chat.tokens({"tool_calls": [{"index": 0, "id": "i", "function": {"name": "n", "arguments": piece}}]})
    assert [len(part) for part in chat._calls[0].arguments] == [10, 10, 10]
    assert to_dict(chat.tool_calls) == [
        {"id": "i", "type": "function", "function": {"name": "n", "arguments": "a" * 30}}
    ]
    assert chat.tool_calls[0].function.arguments == "a" * 30


def test_many_waiters_of_one_topic_are_not_compared() -> None:
    """Each comparison is counted: a list would be searched once for each of them."""
    compared = 0

    class Signal:
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

        __hash__ = object.__hash__

        def set(self) -> None:
            pass

    waiter_registry, signals = WaiterRegistry(), [Signal() for _ in range(MANY)]
    for signal in signals:
        waiter_registry.add("topic", signal)
    waiter_registry.wake("topic")
    for signal in reversed(signals):
        waiter_registry.remove("topic", signal)
    assert compared == 0
