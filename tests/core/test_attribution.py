"""Attribution of requests (transport §14)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.attribution import (
    attribution_headers,
    check_attribution,
    check_header_override,
    connection_parameters,
    workload,
)
from sogni.errors import ValidationError
from sogni.settings import Attribution
from tests.tables import each_row

OWN = "THE-PROJECT"
ALONE = {"operationId": OWN, "rootOperationId": OWN, "operationScope": "top_level"}


def told(default: dict[str, Any] | None = None, override: dict[str, Any] | None = None) -> dict[str, str]:
    return workload(check_attribution(default), override, OWN)


def test_nothing_is_told_unless_it_is_said() -> None:
    assert (told(), told({}), told({"interaction_kind": "human_ui"})) == ({}, {}, {})
    assert (connection_parameters(None), attribution_headers(None, None, OWN)) == ([], {})


def test_a_project_says_otherwise_field_by_field() -> None:
    default = {"workload_kind": "agent_mediated", "agent_framework": "a", "execution_mode": "server"}
    override = {"execution_mode": "durable", "agent_surface": "cli"}
    assert told(default, override) == {
        "workloadKind": "agent_mediated",
        "agentFramework": "a",
        "agentSurface": "cli",
        "executionMode": "durable",
        **ALONE,
    }


@pytest.mark.parametrize("thing", ["framework", "surface"])
def test_another_one_does_not_keep_the_version(thing: str) -> None:
    name, version = f"agent_{thing}", f"agent_{thing}_version"
    default = {name: "sdk", version: "1.0"}
    kept, other = told(default, {name: "sdk"}), told(default, {name: "mcp"})
    key = f"agent{thing.capitalize()}Version"
    assert (kept[key], other.get(key)) == ("1.0", None)
    assert told(default, {name: "mcp", version: "2"})[key] == "2"


@pytest.mark.parametrize(("kind", "framework"), [("agent_mediated", True), (None, True), ("direct", False)])
def test_a_framework_goes_with_agents_only(kind: str | None, framework: bool) -> None:
    given = {"workload_kind": kind, "agent_framework": " a ", "agent_framework_version": "1"}
    found = told(given)
    assert ("agentFramework" in found, "agentFrameworkVersion" in found) == (framework, framework)


def test_with_nothing_left_nothing_is_told() -> None:
    assert "agentFramework" not in told({"workload_kind": "direct", "agent_framework": "a"})
    assert told({"workload_kind": "direct"}) == {"workloadKind": "direct", **ALONE}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"operation_id": "mine"}, {"operationId": "mine", "rootOperationId": "mine", "operationScope": "top_level"}),
        (
            {"root_operation_id": "root"},
            {
                "operationId": OWN,
                "rootOperationId": "root",
                "parentOperationId": "root",
                "operationScope": "child",
            },
        ),
        (
            {"parent_operation_id": "parent"},
            {"operationId": OWN, "parentOperationId": "parent", "operationScope": "child"},
        ),
        (
            {"root_operation_id": "root", "parent_operation_id": "parent"},
            {
                "operationId": OWN,
                "rootOperationId": "root",
                "parentOperationId": "parent",
                "operationScope": "child",
            },
        ),
        ({"operation_scope": "top_level", "root_operation_id": "root", "parent_operation_id": "parent"}, ALONE),
        ({"operation_scope": "unknown"}, {"operationId": OWN, "operationScope": "unknown"}),
    ],
)
def test_how_operations_belong_together(given: dict[str, str], expected: dict[str, str]) -> None:
    assert told(given) == expected


def test_the_connection_tells_what_it_is_in_the_order_of_the_sheet() -> None:
    given = Attribution(
        execution_mode="server", agent_surface="sdk", agent_surface_version="1.0", interaction_kind="service"
    )
    assert connection_parameters(given) == [
        ("interactionKind", "service"),
        ("agentSurface", "sdk"),
        ("agentSurfaceVersion", "1.0"),
        ("executionMode", "server"),
    ]


def test_headers_say_the_same() -> None:
    given = Attribution(workload_kind="agent_mediated", agent_framework="m\u00f6bius", interaction_kind="human_ui")
    assert attribution_headers(given, None, "run-1") == {
        "X-Sogni-Interaction-Kind": "human_ui",
        "X-Sogni-Workload-Kind": "agent_mediated",
        "X-Sogni-Operation-Scope": "top_level",
        "X-Sogni-Operation-Id": "run-1",
        "X-Sogni-Root-Operation-Id": "run-1",
    }
    assert attribution_headers(Attribution(interaction_kind="service"), None, "x") == {
        "X-Sogni-Interaction-Kind": "service"
    }


@each_row(
    ("field", "value"),
    [
        ("interaction_kind", "robot"),
        ("workload_kind", 5),
        ("operation_scope", ""),
        ("agent_surface", "CLI"),
        ("execution_mode", "night"),
        ("agent_framework", "  "),
        ("agent_framework", "x" * 129),
        ("agent_framework", "a\nb"),
        ("agent_framework", 5),
        ("agent_framework_version", "v1"),
        ("agent_surface_version", "1" * 33),
        ("operation_id", " a"),
        ("root_operation_id", "-a"),
        ("parent_operation_id", "a" * 129),
    ],
)
def test_what_would_be_dropped_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        check_attribution({field: value})
    assert caught.value.field == f"attribution.{field}"


def test_a_misspelt_field_is_named() -> None:
    with pytest.raises(TypeError, match="agent_framework"):
        check_attribution({"agent_frame": "a"})


def test_a_rest_request_refuses_what_no_header_can_carry() -> None:
    assert check_header_override({"agent_framework": "kiln"}) == Attribution(agent_framework="kiln")
    assert (check_header_override(None), check_header_override({})) == (None, Attribution())
    with pytest.raises(ValidationError, match="agent_framework must be ASCII"):
        check_header_override({"agent_framework": "m\u00f6bius"})
    with pytest.raises(ValidationError, match="set it on the client"):
        check_header_override({"interaction_kind": "service"})
