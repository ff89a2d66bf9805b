"""The header that names the application (chat §14.8)."""

from __future__ import annotations

import pytest

from sogni.core.attribution import app_source_headers


@pytest.mark.parametrize("source", ["shop", "x" * 128])
def test_a_source_is_told(source: str) -> None:
    assert app_source_headers(source) == {"X-App-Source": source}


@pytest.mark.parametrize("source", [None, "", "x" * 129, "a\r\nb", "café"])
def test_what_no_header_can_carry_is_left_out(source: str | None) -> None:
    assert app_source_headers(source) == {}
