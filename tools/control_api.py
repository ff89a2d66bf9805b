"""Write the OpenAPI description of the emulator's control API, `control-api.json` in `docs/` and in the emulator.

It follows from the signatures and docstrings of the emulator. With `--check`, write nothing and fail if it is outdated.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sogni.emulator import LocalSupernet  # noqa: E402
from sogni.emulator.control import CHAT, FAULT_OPERATIONS, LOOPBACK, NOTHING, PATH, routes_of  # noqa: E402
from sogni.emulator.declarations import Operation  # noqa: E402

TARGETS = [ROOT / "docs/control-api.json", ROOT / "sogni/emulator/control-api.json"]
_RULE = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "name": {"type": "string"},
        "fired": {"type": "integer", "description": "How often it was used."},
        "spent": {"type": "boolean", "description": "Whether it was used as often as it may be."},
        "fields": {"type": "object"},
    },
    "required": ["name", "fields"],
}
_FAILURES = {
    "400": "A field is unknown, missing or not allowed.",
    "401": "The token is missing or wrong.",
    "403": "The Host header is not that of the loopback interface.",
}
_SCHEMAS: Mapping[str, Any] = {
    "Rule": _RULE,
    "Error": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "field": {"type": "string", "description": "The field that is wrong."},
                    "allowed": {"description": "What is allowed."},
                    "routes": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["message"],
            }
        },
        "required": ["error"],
    },
}


def describe(kind: type[LocalSupernet]) -> dict[str, Any]:
    """Return the OpenAPI description of the control API.

    Args:
        kind: The class ``LocalSupernet``.

    Returns:
        The description, version 3.1.
    """
    schemas = {
        **_SCHEMAS,
        **{f"fault_{name}": _named_schema(it) for name, it in FAULT_OPERATIONS.items()},
        **{f"chat_{name}": _named_schema(it, required=name != "reply") for name, it in CHAT.items()},
    }
    bodies = {"/faults": _one_of("fault", FAULT_OPERATIONS), "/chat": _one_of("chat", CHAT)}
    paths: dict[str, Any] = {}
    for (method, path), route in sorted(routes_of(kind).items(), key=lambda it: it[0][::-1]):
        answer: Mapping[str, Any] = {"type": "object"}
        if method == "POST" and path in bodies:
            answer = {"$ref": "#/components/schemas/Rule"}
        entry: dict[str, Any] = {
            "operationId": f"{method.lower()}{path.replace('/', '-').removesuffix('.json')}",
            "summary": route.summary,
            "responses": {
                str(route.status): _content("Done.", answer),
                **{status: {"$ref": f"#/components/responses/{status}"} for status in _FAILURES},
            },
        }
        if method == "GET" and route.operation is not None:
            parameters = route.operation.parameters.values()
            entry["parameters"] = [
                {"name": it.name, "in": "query", "description": it.description, "schema": it.schema()}
                for it in parameters
            ]
        elif method == "POST":
            body = bodies.get(path) or (route.operation or NOTHING).schema()
            entry["requestBody"] = {"content": {"application/json": {"schema": body}}}
        paths.setdefault(path, {})[method.lower()] = entry
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Control API of the local Supernet",
            "version": importlib.metadata.version("sogni"),
            "description": "Faults, scripted answers and the state of an emulator, for tests in any language.",
        },
        "servers": [{"url": f"http://{LOOPBACK}:{{port}}{PATH}", "variables": {"port": {"default": "8482"}}}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                status: _content(text, {"$ref": "#/components/schemas/Error"}) for status, text in _FAILURES.items()
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _named_schema(operation: Operation, *, required: bool = True) -> dict[str, Any]:
    found = operation.schema()
    found["properties"] = {"name": {"const": operation.name}, **found["properties"]}
    if required:
        found["required"] = ["name", *found.get("required", ())]
    return found


def _one_of(prefix: str, operations: Mapping[str, Operation]) -> dict[str, Any]:
    references = {name: f"#/components/schemas/{prefix}_{name}" for name in operations}
    return {
        "oneOf": [{"$ref": it} for it in references.values()],
        "discriminator": {"propertyName": "name", "mapping": references},
    }


def _content(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def main() -> int:
    """Write the description, or compare it; 1 if it is outdated."""
    text = json.dumps(describe(LocalSupernet), indent=1, ensure_ascii=False) + "\n"
    outdated = [it for it in TARGETS if not it.exists() or it.read_text(encoding="utf-8") != text]
    for target in outdated:
        if "--check" in sys.argv[1:]:
            print(f"{target.relative_to(ROOT)} is outdated: run python tools/control_api.py")
            return 1
        target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
