"""The OpenAPI description of the control API."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from control_api import TARGETS, describe

from sogni.emulator import LocalSupernet
from sogni.emulator.control import routes_of
from sogni.emulator.faults import FAULTS


def test_the_description_is_up_to_date() -> None:
    for written in TARGETS:
        assert json.loads(written.read_text()) == describe(LocalSupernet), "run python tools/control_api.py"


def test_the_description_is_valid_and_complete() -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
    found = describe(LocalSupernet)
    validator.validate(found)
    described = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert described == set(routes_of(LocalSupernet))
    assert {f"fault_{name}" for name in FAULTS} <= set(found["components"]["schemas"])
