"""What an extra would install and is missing: one sentence names the library and the line that installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BLOCKED = """
import asyncio, sys
blocked = sys.argv.pop(1).split(",")
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""
COMMAND = "from sogni.cli import main; main()"
OFFLINE = "rest_endpoint='http://127.0.0.1:9', disable_socket=True, auth_type='token'"
LOGIN = "account.login('ada', 'secret')"


@pytest.mark.parametrize(
    ("library", "name", "extra", "code"),
    [
        ("aiohttp", "aiohttp", "async", "import sogni_async; sogni_async.SogniClient"),
        ("aiohttp", "aiohttp", "async", "from sogni_async import as_completed"),
        ("aiohttp", "aiohttp", "async", "from sogni_async.api.projects import Projects"),
        ("aiohttp", "aiohttp", "emulator", "import sogni.emulator"),
        ("av", "PyAV", "emulator", "import sogni; sogni.SogniClient.local()"),
        ("av", "PyAV", "emulator", "import sogni_async; sogni_async.SogniClient.local()"),
        ("numpy", "NumPy", "emulator", "import sogni.emulator.supernet"),
        ("PIL", "Pillow", "emulator", "import sogni.emulator"),
        ("PIL", "Pillow", "vision", "import sogni; sogni.image_part(b'GIF', resize=True)"),
        ("eth_account", "eth-account", "wallet", f"import sogni; sogni.SogniClient({OFFLINE}).{LOGIN}"),
        (
            "eth_account",
            "eth-account",
            "wallet",
            f"import sogni_async as sdk\nasync def main(): await sdk.SogniClient({OFFLINE}).{LOGIN}\n"
            "asyncio.run(main())",
        ),
        (
            "eth_account",
            "eth-account",
            "wallet",
            "from sogni.emulator import LocalSupernet\n"
            "with LocalSupernet() as supernet: supernet.add_account('ada', password='secret')",
        ),
        ("ruamel", "ruamel.yaml", "yaml", "import sogni; sogni.WorkflowInput.load('plan.yaml')"),
        ("ruamel", "ruamel.yaml", "yaml", "import sogni; sogni.WorkflowInput(title='a', steps=[]).save('new.yaml')"),
        ("IPython", "IPython", "notebook", "from sogni.display import live_in_notebook as show; show(None)"),
    ],
)
def test_the_error_names_the_library_and_its_extra(
    tmp_path: Path, library: str, name: str, extra: str, code: str
) -> None:
    (tmp_path / "plan.yaml").write_text("title: a\nsteps: []\n")
    ended = run(tmp_path, library, code)
    assert ended.returncode == 1
    assert ended.stderr.count("Traceback") == 1
    kind, _, sentence = ended.stderr.splitlines()[-1].partition(": ")
    assert kind.rpartition(".")[2] in ("ImportError", "ModuleNotFoundError", "WalletSupportMissingError")
    assert f" {name}, which is not installed: pip install 'sogni[{extra}]'" in sentence


@pytest.mark.parametrize(
    ("library", "name", "extra", "arguments"),
    [
        ("click", "click", "cli", ["--help"]),
        ("rich", "rich", "cli", ["models"]),
        ("ruamel", "ruamel.yaml", "yaml", ["workflow", "check", "plan.yaml"]),
        ("av,aiohttp", "aiohttp", "emulator", ["emulator"]),
        ("PIL", "Pillow", "emulator", ["models", "--local"]),
    ],
)
def test_the_command_line_prints_that_sentence_alone(
    tmp_path: Path, library: str, name: str, extra: str, arguments: list[str]
) -> None:
    (tmp_path / "plan.yaml").write_text("title: a\nsteps: []\n")
    ended = run(tmp_path, library, COMMAND, *arguments)
    (line,) = ended.stderr.splitlines()
    assert line.startswith("sogni: ")
    assert line.endswith(f" {name}, which is not installed: pip install 'sogni[{extra}]'")
    assert (ended.returncode, ended.stdout) == (1, "")


def test_a_library_that_is_missing_another_is_not_called_missing(tmp_path: Path) -> None:
    assert (
        "No module named 'yarl'"
        in run(tmp_path, "yarl", "from sogni_async import as_completed").stderr.splitlines()[-1]
    )


def test_without_any_extra_the_package_can_be_imported(tmp_path: Path) -> None:
    extras = "aiohttp,av,numpy,PIL,click,rich,ruamel,IPython,eth_account"
    code = "import sogni, sogni.testing; [getattr(sogni, name) for name in sogni.__all__]; import sogni_async"
    ended = run(tmp_path, extras, code)
    assert (ended.returncode, ended.stderr) == (0, "")


def run(directory: Path, library: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process in which the import of these libraries fails."""
    command = [sys.executable, "-c", BLOCKED + code, library, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=60, check=False)
