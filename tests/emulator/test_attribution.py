"""The attribution of requests, which the emulator checks by its own rules (transport §14)."""

from __future__ import annotations

from sogni.emulator.attribution import attribution_header_problems, check_attribution_fields
from sogni.emulator.fields import Fields
from tests.tables import each_row

RUNS = "/v1/chat/runs"
WHOLE = {
    "x-sogni-interaction-kind": "service",
    "x-sogni-workload-kind": "agent_mediated",
    "x-sogni-agent-framework": "kiln",
    "x-sogni-operation-scope": "top_level",
    "x-sogni-operation-id": "a",
    "x-sogni-root-operation-id": "a",
}


@each_row(
    ("method", "path", "changes", "found"),
    [
        ("POST", RUNS, {}, []),
        ("POST", "/v1/creative-agent/workflows/w/reseed", {}, []),
        ("POST", "/v1/creative-agent/workflows/w/cancel", {}, ["X-Sogni-*"]),
        ("GET", RUNS, {}, ["X-Sogni-*"]),
        ("POST", RUNS, {"x-sogni-mood": "good"}, ["x-sogni-mood"]),
        ("POST", RUNS, {"x-sogni-interaction-kind": "robot"}, ["x-sogni-interaction-kind"]),
        ("POST", RUNS, {"x-sogni-workload-kind": "direct"}, ["x-sogni-agent-framework"]),
        ("POST", RUNS, {"x-sogni-operation-id": " b"}, ["x-sogni-operation-id", "x-sogni-operation-scope"]),
        ("POST", RUNS, {"x-sogni-parent-operation-id": "a"}, ["x-sogni-operation-scope"]),
        ("POST", RUNS, {"x-sogni-operation-scope": "child"}, ["x-sogni-parent-operation-id"]),
    ],
)
def test_headers_are_checked(method: str, path: str, changes: dict[str, str], found: list[str]) -> None:
    problems = attribution_header_problems(method, path, {**WHOLE, **changes})
    assert [name for name, _ in problems] == found


def test_fields_of_a_job_request_are_checked() -> None:
    for given, found in (
        ({}, []),
        ({"workloadKind": "direct"}, ["$.operationId", "$.operationScope"]),
        ({"workloadKind": 5}, ["$.workloadKind"]),
    ):
        request = Fields(given, "$", [])
        check_attribution_fields(request)
        assert [it.where for it in request.findings] == found
