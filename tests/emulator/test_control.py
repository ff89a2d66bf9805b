"""The control API, as a test suite in another language uses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from sogni import errors
from sogni.client import SogniClient
from sogni.emulator import LocalSupernet
from sogni.emulator.control import ACTIONS, CHAT, FAULT_OPERATIONS, Control
from tests.tables import each_row

MODEL = "krea2_turbo_fp8_scaled"


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1, control=True) as running:
        yield running


@pytest.fixture
def client(supernet: LocalSupernet) -> Iterator[SogniClient]:
    with supernet.client() as client:
        yield client


def call(supernet: LocalSupernet, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {supernet.control_token}", **options.pop("headers", {})}
    url = supernet.control_endpoint + path
    return requests.request(method, url, json=body, headers=headers, timeout=30, **options)


def post(supernet: LocalSupernet, path: str, body: Any = None) -> Any:
    reply = call(supernet, "POST", path, body)
    assert reply.ok, reply.text
    return reply.json()


def refusal(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["message"]


def test_the_control_api_is_off_unless_it_is_asked_for() -> None:
    with LocalSupernet(step_time=0) as supernet:
        for name in ("control_endpoint", "control_token"):
            with pytest.raises(RuntimeError, match="control=True"):
                getattr(supernet, name)
        assert requests.get(f"{supernet.rest_endpoint}/control/state", timeout=30).status_code == 404


@each_row(
    "header", [None, "", "Bearer", "Bearer nonsense", "Basic {token}", "{token}", "Bearer {token}x", "Bearer \u00e9"]
)
def test_nothing_is_shown_without_the_token(supernet: LocalSupernet, header: str | None) -> None:
    given = None if header is None else header.format(token=supernet.control_token).encode()
    for path in ("", "/state", "/openapi.json", "/nothing"):
        reply = requests.get(supernet.control_endpoint + path, headers={"Authorization": given}, timeout=30)
        assert reply.status_code == 401
        assert reply.json() == {"error": {"message": "The control API requires its token: Authorization: Bearer TOKEN"}}


def test_another_host_name_is_refused(supernet: LocalSupernet) -> None:
    port = supernet.control_endpoint.rpartition(":")[2].partition("/")[0]
    for host in ("attacker.example", f"attacker.example:{port}", "127.0.0.1", "127.0.0.1:1"):
        reply = call(supernet, "GET", "/state", headers={"Host": host})
        assert refusal(reply) == (403, f"The Host header must be 127.0.0.1:{port}")
    assert call(supernet, "GET", "/state", headers={"Host": f"LOCALHOST:{port}"}).ok


def test_the_control_api_listens_on_the_loopback_interface_only() -> None:
    with LocalSupernet(step_time=0, control=True, host="0.0.0.0") as supernet:
        assert supernet.control_endpoint.startswith("http://127.0.0.1:")


def test_a_fault_is_added_used_and_cleared(supernet: LocalSupernet, client: SogniClient) -> None:
    fault = {"name": "http", "path": "/v1/account/me", "status": 400, "message": "Not like this"}
    added = post(supernet, "/faults", fault)
    assert (added["name"], added["fired"], added["spent"], added["fields"]["status"]) == ("http", 0, False, 400)
    with pytest.raises(errors.ApiError, match="Not like this"):
        client.account.me()
    (used,) = call(supernet, "GET", "/faults").json()["faults"]
    assert (used["id"], used["fired"], used["spent"]) == (added["id"], 1, True)
    assert call(supernet, "DELETE", "/faults").json() == {}
    assert call(supernet, "GET", "/faults").json() == {"faults": []}


FAULTS: dict[str, dict[str, Any]] = {
    "drop_socket": {"at": "started"},
    "delay_frames": {"seconds": 0.1},
    "delay_stream": {"seconds": 0.1},
    "explain_wait": {"reason": "queued"},
    "refuse_project": {"consent_required": {"key": "terms", "version": 2, "model_id": "m"}},
}


def test_every_fault_can_be_added(supernet: LocalSupernet) -> None:
    added = [post(supernet, "/faults", {"name": name, **FAULTS.get(name, {})}) for name in FAULT_OPERATIONS]
    assert [it["name"] for it in added] == list(FAULT_OPERATIONS)
    assert len(supernet.faults.pending) == len(FAULT_OPERATIONS)
    assert [it["id"] for it in call(supernet, "GET", "/faults").json()["faults"]] == [it["id"] for it in added]


REFUSED = [
    ("/faults", {"name": "drop_sockets"}, "there is no fault 'drop_sockets'; did you mean drop_socket?"),
    ("/faults", {"name": 7}, "there is no fault 7; there are drop_socket, refuse_upgrade,"),
    ("/faults", {}, "name is missing; it must be one of drop_socket,"),
    ("/faults", {"name": "http", "pth": "*"}, "http has no field 'pth'; did you mean path?"),
    ("/faults", {"name": "http", "status": "503"}, "status must be an integer from 200 to 599, got '503'"),
    ("/faults", {"name": "drop_socket"}, "give exactly one of at, before, after_frames and after_tokens"),
    ("/faults", {"name": "explain_wait"}, "reason is missing; it must be one of concurrency_limit,"),
    ("/faults", [], "The body must be a JSON object"),
    ("/chat", {"name": "say"}, "there is no operation 'say'; there are reply, fail, rate, keep"),
    ("/chat", {"answer": 5}, "answer must be a string or an object, got 5"),
    ("/chat", {"tool_calls": [{"name": "x"}]}, "tool_calls must be a list of which each is an object with name, arg"),
    ("/chat", {"answer": {"content": "x"}, "thought": "y"}, "tool_calls, thought and finish_reason require a string"),
    ("/chat", {"name": "rate", "tokens_per_second": -1}, "tokens_per_second must be a non-negative number, got -1"),
    ("/chat", {"answer": "x", "times": 0}, "times must be an integer of at least 1, got 0"),
    ("/chat", {"name": "fail", "error": "x", "after_tokens": -1}, "after_tokens must be an integer of at least 0"),
    ("/drop-connections", {"code": 1006}, "code must be a code that is valid in a close frame, got 1006"),
    ("/balance", {"spark": "-1"}, "spark must be an amount of at least 0, got '-1'"),
    ("/clock", {"advance": -1}, "advance must be a non-negative number of seconds, got -1"),
    ("/clock", {"factor": 0}, "factor must be a positive number, got 0"),
    ("/clock", {"set": 1}, "time must not go back"),
    ("/reset", {"hard": True}, "reset has no field 'hard'; it takes none"),
    ("/announce", {"title": "x", "kind": "poster"}, "kind must be one of toast, banner, got 'poster'"),
    ("/withdraw-model", {"model_id": "nothing"}, "unknown model 'nothing'"),
    ("/withdraw-model", {"model_id": "flux1-schnel-fp8"}, "unknown model 'flux1-schnel-fp8'; did you mean 'flux1"),
]


@each_row("path, body, message", REFUSED)
def test_bad_input_is_refused_with_what_is_allowed(supernet: LocalSupernet, path: str, body: Any, message: str) -> None:
    status, found = refusal(call(supernet, "POST", path, body))
    assert (status, found[: len(message)]) == (400, message)
    assert (supernet.faults.pending, supernet.chat.pending) == ((), ())


def test_a_body_that_is_not_json_is_refused(supernet: LocalSupernet) -> None:
    status, message = refusal(call(supernet, "POST", "/reset", data=b"{half"))
    assert (status, message[:22]) == (400, "The body must be JSON:")


def test_an_unknown_route_says_which_there_are(supernet: LocalSupernet) -> None:
    status, message = refusal(call(supernet, "GET", "/stat"))
    assert (status, message[:72]) == (
        404, "There is no route /control/stat; there are GET /control/state, GET /cont"
    )  # fmt: skip
    reply = call(supernet, "PUT", "/faults")
    assert refusal(reply) == (405, "/control/faults takes GET or POST or DELETE, got PUT")
    assert refusal(call(supernet, "GET", "/requests?after=x"))[1] == "after must be an integer of at least 0, got 'x'"
    assert refusal(call(supernet, "POST", "/personal-lora", {"id": "x", "status": "ready"}))[0] == 404


def test_answers_are_scripted(supernet: LocalSupernet, client: SogniClient) -> None:
    post(supernet, "/chat", {"answer": "Forty-two.", "when": "answer"})
    assert client.chat.completions.create(messages=[{"role": "user", "content": "The answer?"}]).content == "Forty-two."
    post(supernet, "/chat", {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]})
    reply = client.chat.completions.create(messages=[{"role": "user", "content": "Hello"}])
    assert [(it.function.name, it.function.arguments) for it in reply.tool_calls] == [
        ("get_weather", '{"city": "Oslo"}')
    ]
    post(supernet, "/chat", {"name": "rate", "tokens_per_second": 0})
    post(supernet, "/chat", {"name": "keep", "seconds": 0.5})
    post(supernet, "/chat", {"name": "fail", "error": "server_restarting", "times": None})
    assert supernet.chat.kept_seconds == 0.5
    assert [it["name"] for it in call(supernet, "GET", "/chat").json()["chat"]] == ["reply", "reply", "rate", "fail"]
    assert list(CHAT) == ["reply", "fail", "rate", "keep"]
    call(supernet, "DELETE", "/chat")
    assert supernet.chat.pending == ()


def test_state_and_requests_are_read_and_reset(supernet: LocalSupernet, client: SogniClient) -> None:
    project = client.projects.create(type="image", model_id=MODEL, positive_prompt="a lighthouse")
    project.wait(timeout=60)
    state = call(supernet, "GET", "/state").json()
    assert [it["id"] for it in state["projects"]] == [project.id]
    assert (state["connections"], state["violations"], state["workflows"]) == (1, [], [])
    sent = call(supernet, "GET", "/requests").json()
    assert {it["kind"] for it in sent["requests"]} == {"request", "upgrade", "frame"}
    (frame,) = [it for it in sent["requests"] if it.get("type") == "jobRequest"]
    assert frame["data"]["jobID"] == project.id
    assert supernet.api_key not in str(sent)
    assert call(supernet, "GET", f"/requests?after={sent['next']}").json() == {"requests": [], "next": sent["next"]}
    post(supernet, "/faults", {"name": "fail_job"})
    post(supernet, "/reset")
    cleared = call(supernet, "GET", "/state").json()
    assert (cleared["projects"], cleared["faults"], cleared["requests"]) == ([], [], 0)


def test_time_is_controlled(supernet: LocalSupernet) -> None:
    frozen = post(supernet, "/clock", {"freeze": True, "advance": 3600})
    assert (frozen["mode"], frozen["factor"]) == ("manual", 0)
    assert post(supernet, "/clock", {"advance": 60})["now"] == pytest.approx(frozen["now"] + 60)
    assert post(supernet, "/clock", {"set": frozen["now"] + 120})["now"] == pytest.approx(frozen["now"] + 120)
    assert post(supernet, "/clock", {"factor": 60})["factor"] == 60
    assert post(supernet, "/clock", {"freeze": True})["factor"] == 0
    assert post(supernet, "/clock", {"freeze": False})["factor"] == 60
    assert call(supernet, "GET", "/state").json()["clock"]["mode"] == "instant"


def test_actions_reach_the_emulator(supernet: LocalSupernet, client: SogniClient) -> None:
    client.connect()
    assert post(supernet, "/balance", {"spark": 12.5, "sogni": None})["spark"] == "12.5"
    assert supernet.account.balance.spark == supernet.account.balance.spark.from_float(12.5)
    assert isinstance(post(supernet, "/announce", {"title": "Maintenance"})["result"], str)
    for path in sorted({*ACTIONS} - {"/announce", "/personal-lora", "/withdraw-model", "/limit-notice"}):
        assert post(supernet, path) == {"result": None}
    assert post(supernet, "/withdraw-model", {"model_id": MODEL}) == {"result": None}
    assert post(supernet, "/limit-notice", {"message": "Full"}) == {"result": None}


def test_an_emulator_that_nobody_refers_to_is_not_kept_alive(supernet: LocalSupernet) -> None:
    control = Control(LocalSupernet(control=True))
    with pytest.raises(Exception, match="closing"):
        control.supernet
