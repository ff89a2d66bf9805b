"""Says why the other files of this folder are left out, if they are."""

from __future__ import annotations

import pytest


def test_the_extra_is_installed() -> None:
    pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")
