"""Checks of the attribution of requests, in job requests and in headers.

The service drops invalid values from its statistics; the emulator records them as violations.
"""
# Protocol notes: transport §14.

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sogni.emulator.fields import Fields, present

_VERSION = r"[0-9][A-Za-z0-9.+_-]{0,31}"
_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
_FORMS = {
    "workloadKind": "direct|agent_mediated|service|unknown",
    "agentFramework": r"(?! )[^\x00-\x1f\x7f-\x9f]{1,128}(?<! )",
    "agentFrameworkVersion": _VERSION,
    "agentSurface": "native_web|native_mobile|native_desktop|plugin|personal_skill|mcp|cli|sdk|openai_compatible"
    "|direct_api|unknown",
    "agentSurfaceVersion": _VERSION,
    "executionMode": "browser|durable|server|unknown",
    "operationScope": "top_level|child|unknown",
    "operationId": _ID,
    "rootOperationId": _ID,
    "parentOperationId": _ID,
}
_HEADERS = {"x-sogni-" + re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", key): key for key in _FORMS}
_INTERACTION = "x-sogni-interaction-kind"
_INTERACTIONS = ("human_ui", "external_agent", "service", "unknown")
_ROUTES = re.compile(
    r"/v1/(chat/completions|creative-agent/tools/execute|chat/runs|world-builds"
    r"|creative-agent/workflows(/[^/]+/(resume|reseed))?)"
)


def check_attribution_fields(request: Fields) -> None:
    """Note what is wrong with the attribution of a job request; all its fields are optional."""
    for key, problem in _problems(present({key: request.text(key) for key in _FORMS})):
        request.note(key, problem)


def attribution_header_problems(method: str, path: str, headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Return the names of attribution headers and what is wrong with them."""
    given = {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-sogni-")}
    if given and (method != "POST" or _ROUTES.fullmatch(path) is None):
        yield "X-Sogni-*", "the route takes no attribution"
        return
    for name in given:
        if name not in _HEADERS and name != _INTERACTION:
            yield name, "is not an attribution header"
    if given.get(_INTERACTION, _INTERACTIONS[0]) not in _INTERACTIONS:
        yield _INTERACTION, f"must be one of {', '.join(_INTERACTIONS)}"
    names = {key: name for name, key in _HEADERS.items()}
    for key, problem in _problems({key: given[name] for name, key in _HEADERS.items() if name in given}):
        yield names[key], problem


def _problems(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not given:
        return
    for key, value in given.items():
        if re.fullmatch(_FORMS[key], value) is None:
            yield key, "has an invalid value, which the service drops"
    if "agentFramework" in given and given.get("workloadKind", "agent_mediated") != "agent_mediated":
        yield "agentFramework", "needs workloadKind agent_mediated"
    for key in ("operationId", "operationScope"):
        if key not in given:
            yield key, "is missing"
    operation, root = given.get("operationId"), given.get("rootOperationId")
    if given.get("operationScope") == "top_level" and (root != operation or "parentOperationId" in given):
        yield "operationScope", "top_level needs a rootOperationId equal to the operationId and no parentOperationId"
    if given.get("operationScope") == "child" and root is not None and "parentOperationId" not in given:
        yield "parentOperationId", "is missing"
