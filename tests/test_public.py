"""The public names: the same in both packages, each where the table says, and cheap to import."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import sogni
from sogni.exports import FRONT_END, SHARED, home_of
from tests.tables import each_row

ROOT = Path(__file__).resolve().parents[1]
SHARED_NAMES = sorted(name for names in SHARED.values() for name in names)
OWN_NAMES = sorted(name for names in FRONT_END.values() for name in names)
# What a contract or a script relies on; more may stand beside it.
PROMISED = [
    "ApiError", "AuthenticationError", "ChatError", "ClientClosedError", "ConflictError", "ConnectionRejectedError",
    "ControlNetParams", "CostEstimation", "CostLimitError", "ImageProjectParams", "InsufficientBalanceError", "Job",
    "JobError", "NotFoundError", "PartialFailureError", "PartialResultWarning", "PermissionDeniedError", "Project",
    "ProjectCanceledError", "ProjectError", "ProjectFailedError", "ProtocolError", "RateLimitError", "RetryPolicy",
    "ServerError", "SogniClient", "SogniConnectionError", "SogniError", "SogniTimeoutError", "Timeouts",
    "ValidationError", "__version__", "as_completed", "from_dict", "to_dict", "wait",
]  # fmt: skip


def twin() -> ModuleType:
    return pytest.importorskip("sogni_async")


def test_what_is_promised_is_there() -> None:
    assert set(PROMISED) <= set(sogni.__all__)


def test_all_is_the_table_and_the_own_names() -> None:
    assert sorted({*SHARED_NAMES, *OWN_NAMES, "__version__"}) == sorted(sogni.__all__)


def test_no_name_stands_twice() -> None:
    assert len(sogni.__all__) == len(set(sogni.__all__))
    assert len([*SHARED_NAMES, *OWN_NAMES]) == len({*SHARED_NAMES, *OWN_NAMES})


def test_both_packages_have_the_same_names() -> None:
    assert sorted(sogni.__all__) == sorted(twin().__all__)


@each_row("name", sorted(sogni.__all__))
def test_every_name_can_be_imported(name: str) -> None:
    assert getattr(sogni, name) is not None


@each_row("name", SHARED_NAMES)
def test_a_shared_name_is_the_same_object_in_both(name: str) -> None:
    home = importlib.import_module(home_of(name, "sogni"))
    assert getattr(home, name) is getattr(sogni, name)
    assert getattr(home, name) is getattr(twin(), name)


@pytest.mark.parametrize("package", ["sogni", "sogni_async"])
def test_other_names_do_not_exist(package: str) -> None:
    module = pytest.importorskip(package)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'SogniKlient'"):
        module.SogniKlient
    assert sorted(module.__all__) == sorted(dir(module))


@each_row("name", sorted(SHARED))
def test_each_error_module_and_model_lists_only_what_it_has(name: str) -> None:
    home = importlib.import_module(f"sogni.{name}")
    # `sogni.plans` provides what the methods of a model need, and its name together with it.
    homes = (home.__name__, "types", "typing", *(["sogni.models.workflows"] if name == "plans" else []))
    assert all(getattr(home, it).__module__ in homes for it in SHARED[name])


def loaded_after(code: str) -> tuple[set[str], list[str]]:
    """The modules and threads of a fresh interpreter after some code."""
    tell = (
        "import json, sys, threading; print(json.dumps([list(sys.modules), [t.name for t in threading.enumerate()]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    modules, threads = json.loads(done.stdout)
    return set(modules), threads


def test_importing_loads_no_library() -> None:
    modules, _ = loaded_after("import sogni")
    libraries = {
        "requests",
        "urllib3",
        "websocket",
        "aiohttp",
        "attrs",
        "attr",
        "cattrs",
        "asyncio",
        "ssl",
        "http.client",
    }
    assert set() == modules & libraries
    assert {"sogni", "sogni.exports"} == {name for name in modules if name.partition(".")[0] == "sogni"}


def test_constructing_a_client_opens_nothing_and_starts_no_thread() -> None:
    modules, threads = loaded_after("import sogni; client = sogni.SogniClient(api_key='k')")
    assert set() == modules & {"requests", "urllib3", "websocket", "aiohttp", "asyncio", "sogni_async"}
    assert threads == ["MainThread"]


def test_importing_the_asyncio_package_loads_no_blocking_library() -> None:
    modules, _ = loaded_after("import sogni_async")
    assert set() == modules & {"requests", "urllib3", "websocket", "aiohttp", "attrs", "cattrs", "asyncio"}
