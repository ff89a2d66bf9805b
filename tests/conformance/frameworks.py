"""Run what stands on frameworks: LangChain's standard tests of chat models, and the tests of the plugin for `llm`.

Called by `.ci/run`. The frameworks are installed, in the versions below, into an environment in the cache of
`published.py`, outside of the repository: their plugins of pytest would change the suite. If the registries do not
deliver them, this is skipped, with the reason printed. Exit code 1: a test fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from published import cache_directory, reason, run

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent / "frameworks"
REQUIREMENTS = (
    "langchain-core==1.8.3",
    "langchain-tests==1.1.9",
    "llm==0.36",
    # To install the project itself without a registry.
    "setuptools>=77",
)
EXTRAS = "emulator,langchain,llm"


def environment() -> Path:
    """Return the interpreter of the environment, with the project as it is now.

    Raises:
        OSError: A program that is needed is missing.
        subprocess.SubprocessError: The registry did not deliver.
    """
    kind = "\n".join([sys.version, EXTRAS, *REQUIREMENTS, (ROOT / "setup.cfg").read_text()])
    home = cache_directory() / f"frameworks-{hashlib.sha256(kind.encode()).hexdigest()[:12]}"
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--timeout=20", "--retries=1"]
    if not (home / "installed").exists():
        for former in home.parent.glob("frameworks-*"):
            shutil.rmtree(former, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "venv", "--without-pip", home])
        run([*pip, "--editable", f"{ROOT}[{EXTRAS}]", *REQUIREMENTS])
        (home / "installed").touch()
    # The repository may be another one than at the last time.
    run([*pip, "--no-deps", "--no-build-isolation", "--no-index", "--editable", ROOT])
    return python


def main() -> int:
    """Run the tests; 0 if they pass, or cannot be run."""
    try:
        python = environment()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"skipped: the frameworks could not be installed: {reason(error)}")
        return 0
    settings = ["-c", HERE / "pytest.ini", "--rootdir", ROOT, "--confcutdir", HERE, "-q"]
    files = [
        HERE / "langchain_standard.py",
        ROOT / "tests" / "contrib" / "test_llm.py",
        f"{ROOT / 'tests' / 'docs' / 'test_examples.py'}::test_examples_run[docs/how-to/use-llm.md]",
    ]
    hidden = ("SOGNI_", "LC_", "LANGCHAIN_", "LANGSMITH_", "LLM_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    with tempfile.TemporaryDirectory() as user:
        variables["LLM_USER_PATH"] = user
        command = [python, "-m", "pytest", *settings, *files]
        return subprocess.run(command, cwd=ROOT, env=variables, timeout=600).returncode


if __name__ == "__main__":
    sys.exit(main())
