"""Notebooks for tests, each executed by a kernel of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.forkserver import ROOT

LONGEST_SOCKET_PATH = 100
"""Bytes; systems allow some more."""


def execute(notebook: Any, folder: Path) -> None:
    """Execute a notebook in a folder. Its kernel, and with it the emulator, has stopped afterwards."""
    nbclient = pytest.importorskip("nbclient")
    traitlets = pytest.importorskip("traitlets.config")
    pytest.importorskip("ipykernel")
    kernel = folder / "kernel"
    # Sockets in the folder: the free ports that a manager selects may be taken before its kernel listens on them.
    local = len(os.fsencode(kernel)) < LONGEST_SOCKET_PATH
    config = traitlets.Config(KernelManager={"transport": "ipc", "ip": str(kernel)} if local else {})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
    runner = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", config=config, resources={"metadata": {"path": str(folder)}}
    )
    runner.execute(env=environment)
