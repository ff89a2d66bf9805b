"""The check of the wording finds what it is meant to find."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return import_module("wording")


@pytest.mark.parametrize(
    "text",
    [
        "Return the texts.", "leave the key away", "if it can be had", "It goes on when it can.",
        "what are no tokens", "The file is no list.", "on this machine", "of no help any more",
        "What cannot be read is ignored.", "Speak a text.", "A text that is too long", "the address of a file",
        "the addresses of the result images", "as it is told", "It hears of it.", "It has not been heard of.",
        "The service says so.", "The server asks for a key.", "if the client is\n    told", "it went on",
        "catching up with projects", "It is let go of.", "This is no success.", "That is no project.",
        "what nobody can read", "The model list cannot be had.", "as far as they have arrived",
        "As far as the service lists\nthem.", "which decides what is sent", "Limits: decides how many.",
        "The server: who may send requests", "find out what became of it", "They are of no use.",
        "every way of waiting", "whoever waits", "with growing pauses", "the sheet of the subject", "chores",
        "the blocking shell", "the same handle for a project", "the house rules", "none of\n    these",
        "in vain", "It begins anew.",
    ],
)  # fmt: skip
def test_a_phrase_is_found(tool: Any, text: str) -> None:
    assert len(list(tool.phrases_in(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "A state machine.", "machine-readable", "the text", "wait any more seconds", "a text file", "each text message",
        "an email address of the account", "The error says why.", "The client handles errors.", "there is no project",
        "in a shell", "shell completion", "as far as possible", "It lets\nyou go on.", "left: decided",
        "any more\nseconds", "none of your projects", "publishing houses",
    ],
)  # fmt: skip
def test_other_words_are_not(tool: Any, text: str) -> None:
    assert list(tool.phrases_in(text)) == []


def test_code_is_not_prose_and_lines_are_counted(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    page, module = tmp_path / "page.md", tmp_path / "module.py"
    page.write_text("Call `texts`.\n\n```python\ntexts = 1\n```\n\nTwo texts.\n")
    module.write_text('texts = "texts"\n\n\ndef f():\n    """First.\n\n    Two texts.\n    """\n')
    found = ["page.md:7: 'texts': strings", "module.py:7: 'texts': strings"]
    assert tool.wrong_wording([page, module]) == found
