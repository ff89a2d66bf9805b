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


def test_every_page_is_in_the_readme_and_in_the_index(llms: ModuleType) -> None:
    listed = {path for _, path, _ in llms.pages()}
    there = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert there - listed == {"docs/index.md", "docs/reference.md", "docs/changelog.md"}
    index = llms.index()
    links = [path for path in re.findall(r"\]\(([^)]+)\)", index) if "://" not in path]
    assert [path for path in links if not (ROOT / path).is_file()] == []
    assert all(f"({path})" in index for path in listed)
