"""Errors about a missing library name it, and the command that installs its extra."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.integration


# Forks for every case, because what is imported once cannot be missing later. What no case lacks is imported before.
WITHOUT_LIBRARIES = """
import asyncio, json, os, sys
import attr, docstring_parser, jsonschema, platformdirs, requests, websocket

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def redirect(descriptor, path):
    with open(path, "wb") as file:
        os.dup2(file.fileno(), descriptor)

for number, (blocked, code, arguments) in enumerate(json.load(sys.stdin)):
    pid = os.fork()
    if pid == 0:
        redirect(1, f"{number}.out")
        redirect(2, f"{number}.err")
        sys.meta_path.insert(0, Missing())
        sys.argv[1:] = arguments
        exec(code)
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
COMMAND_LINE = "from sogni.cli import main; main()"
OFFLINE = "rest_endpoint='http://127.0.0.1:9', disable_socket=True, auth_type='token'"
LOGIN = "account.login('ada', 'secret')"
LOCAL_LOGIN = """
from sogni.emulator import LocalSupernet
with LocalSupernet() as supernet: supernet.add_account('ada', password='secret')
"""
ASYNC_LOGIN = f"""
import sogni_async
async def main(): await sogni_async.SogniClient({OFFLINE}).{LOGIN}
asyncio.run(main())
"""
SAVE_TO_A_URL = """
from sogni.local.storage import directory_or_storage
directory_or_storage("s3://bucket/prefix", None)
"""


class Case(NamedTuple):
    """Code that needs a missing library, and how the error names the library and its extra."""

    missing: str
    name: str
    extra: str
    code: str = COMMAND_LINE
    arguments: tuple[str, ...] = ()


class Ended(NamedTuple):
    """The exit code and the output of a process."""

    status: int
    stdout: str
    stderr: str


API = [
    Case("aiohttp", "aiohttp", "async", "import sogni_async; sogni_async.SogniClient"),
    Case("aiohttp", "aiohttp", "async", "from sogni_async import as_completed"),
    Case("aiohttp", "aiohttp", "async", "from sogni_async.api.projects import Projects"),
    Case("aiohttp", "aiohttp", "emulator", "import sogni.emulator"),
    Case("av", "PyAV", "emulator", "import sogni; sogni.SogniClient.local()"),
    Case("av", "PyAV", "emulator", "import sogni_async; sogni_async.SogniClient.local()"),
    Case("numpy", "NumPy", "emulator", "import sogni.emulator.supernet"),
    Case("PIL", "Pillow", "emulator", "import sogni.emulator"),
    Case("PIL", "Pillow", "vision", "import sogni; sogni.image_part(b'GIF', resize=True)"),
    Case("eth_account", "eth-account", "wallet", f"import sogni; sogni.SogniClient({OFFLINE}).{LOGIN}"),
    Case("eth_account", "eth-account", "wallet", ASYNC_LOGIN),
    Case("eth_account", "eth-account", "wallet", LOCAL_LOGIN),
    Case("fsspec", "fsspec", "fsspec", SAVE_TO_A_URL),
    Case("ruamel", "ruamel.yaml", "yaml", "import sogni; sogni.WorkflowInput.load('plan.yaml')"),
    Case("ruamel", "ruamel.yaml", "yaml", "import sogni; sogni.WorkflowInput(title='a', steps=[]).save('new.yaml')"),
    Case("django", "Django", "django", "import sogni.contrib.django"),
    Case("IPython", "IPython", "notebook", "from sogni.display import show_project_in_notebook as show; show(None)"),
]
COMMANDS = [
    Case("click", "click", "cli", arguments=("--help",)),
    Case("click", "click", "cli", arguments=("models", "--local")),
    Case("rich", "rich", "cli", arguments=("models", "--local")),
    Case("ruamel", "ruamel.yaml", "yaml", arguments=("workflow", "check", "plan.yaml")),
    Case("av,aiohttp", "aiohttp", "emulator", arguments=("emulator",)),
    Case("PIL", "Pillow", "emulator", arguments=("models", "--local")),
]


def run(directory: Path, cases: list[Case]) -> list[Ended]:
    """Run the code of each case in a process in which the libraries cannot be imported."""
    (directory / "plan.yaml").write_text("title: a\nsteps: []\n")
    requests = [(case.missing.split(","), case.code, case.arguments) for case in cases]
    command = [sys.executable, "-c", WITHOUT_LIBRARIES]
    done = subprocess.run(
        command, input=json.dumps(requests), stdout=subprocess.PIPE, text=True, cwd=directory, timeout=120, check=True
    )
    return [
        Ended(int(status), *((directory / f"{number}.{stream}").read_text() for stream in ("out", "err")))
        for number, status in enumerate(done.stdout.split())
    ]


def test_errors_name_the_missing_library_and_its_extra(tmp_path: Path) -> None:
    for case, ended in zip(API, run(tmp_path, API), strict=True):
        assert (ended.status, ended.stderr.count("Traceback")) == (1, 1), case
        kind, _, message = ended.stderr.splitlines()[-1].partition(": ")
        assert kind.rpartition(".")[2] in ("ImportError", "ModuleNotFoundError", "WalletSupportMissingError"), case
        assert f" {case.name}, which is not installed: pip install 'sogni[{case.extra}]'" in message, case


def test_commands_print_the_message_without_a_traceback(tmp_path: Path) -> None:
    for case, ended in zip(COMMANDS, run(tmp_path, COMMANDS), strict=True):
        (line,) = ended.stderr.splitlines()
        assert line.startswith("sogni: "), case
        assert line.endswith(f" {case.name}, which is not installed: pip install 'sogni[{case.extra}]'"), case
        assert (ended.status, ended.stdout) == (1, ""), case


def test_libraries_that_are_no_extras_are_named_as_they_are(tmp_path: Path) -> None:
    """A library that lacks one of its own dependencies is not reported as missing."""
    (ended,) = run(tmp_path, [Case("yarl", "", "", "from sogni_async import as_completed")])
    assert "No module named 'yarl'" in ended.stderr.splitlines()[-1]


def test_the_package_can_be_imported_without_any_extra(tmp_path: Path) -> None:
    extras = "aiohttp,av,numpy,PIL,click,rich,ruamel,IPython,eth_account,fsspec"
    code = "import sogni, sogni.testing; [getattr(sogni, name) for name in sogni.__all__]; import sogni_async"
    assert run(tmp_path, [Case(extras, "", "", code)]) == [Ended(0, "", "")]
