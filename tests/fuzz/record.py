"""Record the data that the fuzz tests mutate: `python -m tests.fuzz.record` rewrites `corpus.json`.

Everything comes from the local emulator: the frames of whole projects and chats, and the answers to every call of
`calls.py`, which pass through a proxy.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from sogni import SogniClient, SogniError
from sogni.emulator import LocalSupernet
from tests.emulator.account.helpers import sign_in
from tests.emulator.chat.helpers import ask
from tests.emulator.wire import Wire, job_request
from tests.fuzz.calls import ASKED, CALLS, HOTSPOT, IDS, MODEL, PLAN, PNG, TEMPLATE, needs_session
from tests.fuzz.service import Answer, serving

CORPUS = Path(__file__).with_name("corpus.json")
LONGEST_LIST = 4
DEEPEST_TRIM = 12


def main() -> None:
    """Record, and write."""
    frames, answers = recorded_frames(), recorded_answers()
    CORPUS.write_text(json.dumps({"frames": frames, "answers": answers}, indent=1) + "\n", encoding="utf-8")


def recorded_frames() -> list[list[Any]]:
    """`[type, payload]` in the order of arrival, of projects and chats that end in every way; no two alike."""
    frames: list[tuple[str, Any]] = []
    with LocalSupernet(step_time=0, load_time=0.001, seed=1) as supernet, Wire(supernet) as wire:
        wire.connect(socketEventSubscriptions='{"projectQueue":true}')
        frames += wire.until(lambda kind, _: kind == "swarmLLMModels")
        for prepare in (
            lambda: None,
            lambda: supernet.faults.flag_nsfw(),
            lambda: supernet.faults.retry_job(),
            lambda: supernet.faults.fail_job(),
            lambda: supernet.faults.refuse_project(required_plans=["unlimited"]),
            lambda: supernet.faults.explain_wait("queued", 1),
        ):
            prepare()
            project = wire.create(job_request(numberOfImages=2, previews=2))
            frames += wire.until(
                lambda kind, data, project=project: (
                    data is not None
                    and data.get("jobID") == project
                    and (data.get("type") == "jobCompleted" or (kind == "jobError" and not data.get("imgID")))
                )
            )
        project = wire.create()
        wire.send("jobError", {"jobID": project, "error": "artistCanceled", "error_message": "artistCanceled"})
        with suppress(AssertionError):
            frames += wire.until(lambda kind, _: kind == "artistCancelConfirmation")
        wire.send("changeNetwork", "relaxed")
        frames += wire.until(lambda kind, _: kind == "changeNetwork")
        wire.send("changeNetwork", "fast")
        wire.send("setSocketEventSubscriptions", {"jobProgress": True})
        frames += wire.until(lambda kind, _: kind == "socketEventSubscriptionsUpdated")
        wire.send("setSocketEventSubscriptions", {"subscribe": ["appAlert", "subscriptionLimitNotice"]})
        wire.next("socketEventSubscriptionsUpdated")
        supernet.announce("News", "Now *faster*", actions=[{"label": "More", "href": "https://example.com"}])
        supernet.send_limit_notice("Your queue is full", required_plans=["unlimited"])
        frames += wire.until(lambda kind, _: kind == "subscriptionLimitNotice")
        for words in ("What is 17 * 23?", "Say one word"):
            frames += ask(wire, words).frames
    frames += BY_HAND
    shapes: dict[str, int] = {}
    kept = []
    for kind, payload in frames:
        shape = f"{kind} {sorted(payload) if isinstance(payload, dict) else payload}"
        shapes[shape] = shapes.get(shape, 0) + 1
        if shapes[shape] <= 3:
            kept.append([kind, trimmed(payload)])
    return kept


BY_HAND: list[tuple[str, Any]] = [
    # What the emulator sends only to other accounts, or never (account §13, chat §4).
    ("toastMessage", {"type": "info", "message": "Hello", "autoClose": 5000, "url": "https://example.com"}),
    (
        "subscriptionEntitlementUpdated",
        {"subscriptionEntitlement": {"tier": "pro", "status": "active", "currentPeriodEnd": 1900000000000}},
    ),
    ("jobETA", {"jobID": "0", "imgID": "1", "etaSeconds": 12}),
    (
        "jobTokens",
        {
            "jobID": "0",
            "content": "",
            "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}],
        },
    ),
    ("llmJobError", {"jobID": "0", "error": "rate_limit", "error_message": "slow down", "error_code": 4046}),
]


def recorded_answers() -> dict[str, list[list[Any]]]:
    """For each call `[method, path, status, content type, body]` of its requests."""
    answers: dict[str, list[list[Any]]] = {}
    with LocalSupernet(step_time=0, seed=1) as supernet, supernet.client() as client:
        ids = prepared(supernet, client)
        token = ended_build(supernet, ids)
        heard: list[list[Any]] = []

        def forward(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            base = supernet.rest_endpoint
            if path.startswith("/api/"):
                base = supernet.socket_endpoint.replace("ws", "http", 1)
            sent = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
            if path.startswith("/v1/world-builds"):
                sent["Authorization"] = token
            reply = requests.request(method, base + path, headers=sent, data=body, timeout=30)
            kind = reply.headers.get("Content-Type", "")
            text = reply.text
            if kind.startswith("application/json"):
                text = json.dumps(trimmed(reply.json()))
            heard.append([method, path.partition("?")[0], reply.status_code, kind, text])
            return reply.status_code, kind, reply.content

        with serving(forward) as proxy:
            options = {"rest_endpoint": proxy.url, "socket_endpoint": proxy.url.replace("http", "ws", 1)}
            for name, call in CALLS.items():
                heard.clear()
                credentials = {"auth_type": "cookies"} if needs_session(name) else {"api_key": supernet.api_key}
                with SogniClient(**credentials, app_id="fuzz", disable_socket=True, **options) as fresh:
                    try:
                        outcome = call(fresh, ids)
                        if hasattr(outcome, "__iter__") and not isinstance(outcome, dict | str):
                            list(outcome)
                    except SogniError as error:
                        print(f"{name}: {type(error).__name__}: {error}")
                answers[name] = [*heard]
    return answers


def prepared(supernet: LocalSupernet, client: SogniClient) -> dict[str, str]:
    """Have something of everything that the calls are about."""
    ids = dict(IDS)
    supernet.announce("News", kind="banner", actions=[{"label": "More", "href": "https://example.com"}])
    project = client.projects.create(type="image", model_id=MODEL, positive_prompt="x", width=256, height=256)
    project.wait(timeout=20)
    ids["project"], ids["image"] = project.id, project.jobs[0].id
    ids["workflow"] = client.workflows.start(input=PLAN).workflow_id
    client.workflows.wait(ids["workflow"], timeout=20)
    ids["run"] = client.chat.runs.create(messages=ASKED).run_id
    client.chat.runs.wait(ids["run"], timeout=20)
    client.replay.write({"run_id": "r0", "rounds": [{"n": 1}]})
    ids["record"] = "r0"
    ids["asset"] = client.projects.assets.upload(PNG).id
    ids["template"] = client.workflows.templates.create(TEMPLATE).id or ""
    return ids


def ended_build(supernet: LocalSupernet, ids: dict[str, str]) -> str:
    """Have a world build that was rendered and canceled, and return the token of its account."""
    with Wire(supernet) as wire:
        token = sign_in(wire)["token"]
        body = {"worldId": "w", "nodeId": "n", "hotspots": [HOTSPOT]}
        path = f"/v1/world-builds/{wire.ask('POST', '/v1/world-builds', body).json()['data']['run']['runId']}"
        ids["world"] = path.rpartition("/")[2]

        def waits_for(reason: str) -> bool:
            return wire.data(path)["run"].get("waiting", {}).get("reason") == reason

        supernet.wait_for(lambda: waits_for("cost_approval_required"))
        wire.ask("POST", f"{path}/confirm-cost", {"decision": "confirm"})
        supernet.wait_for(lambda: waits_for("review_required"))
        wire.ask("POST", f"{path}/cancel", {})
    return token


def trimmed(value: Any, depth: int = 0) -> Any:
    """Shorter lists and strings: what is repeated teaches nothing."""
    if isinstance(value, list):
        return [trimmed(it, depth + 1) for it in value[:LONGEST_LIST]]
    if isinstance(value, dict):
        longest = DEEPEST_TRIM if depth == 0 and len(value) > 30 else len(value)
        return {key: trimmed(it, depth + 1) for key, it in list(value.items())[:longest]}
    return value[:400] if isinstance(value, str) else value


if __name__ == "__main__":
    main()
