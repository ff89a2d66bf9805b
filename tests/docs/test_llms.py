"""The pages for language models are those for people."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def llms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("llms", ROOT / "docs" / "llms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["llms.txt", "llms-full.txt"])
def test_they_are_up_to_date(llms: ModuleType, name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == llms.FILES[name](), "run: python docs/llms.py"


def test_every_page_is_in_the_index(llms: ModuleType) -> None:
    listed = re.findall(r"\]\(((?:docs/)?[^/)]\S+\.md)\)", llms.index())
    assert len(listed) == len(set(listed))
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts}
    assert there - set(listed) == {"docs/index.md"}
    assert [path for path in listed if not (ROOT / path).is_file()] == []
