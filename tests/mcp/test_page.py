"""The page about the server agrees with the server."""

from __future__ import annotations

import re
from pathlib import Path

from sogni.cli.mcp import mcp
from sogni.mcp.lookups import TOOLS
from sogni.mcp.prompts import PROMPTS

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "mcp.md").read_text("utf-8")


def test_the_page_lists_the_tools() -> None:
    assert re.findall(r"^\| `([a-z]+_?[a-z]+)` \|", PAGE, re.MULTILINE) == list(TOOLS)


def test_the_page_names_options_and_prompts_that_exist() -> None:
    known = {name for option in mcp.params for name in option.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert named - known == set()
    assert {"storyboard", "song"} <= set(PROMPTS)


def test_the_page_names_the_defaults() -> None:
    defaults = {option.opts[0]: option.default for option in mcp.params}
    for option in ("--max-cost-per-day", "--ask-above"):
        assert re.search(rf"^\| `{option} AMOUNT` \|.*\| {defaults[option]} \|$", PAGE, re.MULTILINE)
    assert f"after {defaults['--wait']} seconds" in PAGE
