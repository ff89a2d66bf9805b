"""The site: pictures have alt text, the version switcher knows this version, and broken links are found."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sogni.settings import VERSION

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^ *(`{3,})([^\n]*)\n(.*?)^ *\1$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"\{(?:image|figure)\} *(\S+)")
INLINE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


def pictures(page: Path) -> list[tuple[str, str, str]]:
    """File, alternative text and classes of every picture in a page."""
    text = page.read_text(encoding="utf-8")
    found = [(file, alt, "") for alt, file in INLINE.findall(FENCE.sub("", text))]
    for fence in FENCE.finditer(text):
        if directive := DIRECTIVE.match(fence[2]):
            given = dict(re.findall(r"^ *:([\w-]+): *(.*)$", fence[3], re.MULTILINE))
            found.append((directive[1], given.get("alt", ""), given.get("class", "")))
    return found


def test_every_picture_exists_and_has_an_alternative_text() -> None:
    found = [(page, *picture) for page in PAGES for picture in pictures(page)]
    assert len(found) > 10
    wrong = [(page.name, file) for page, file, alt, _ in found if not (page.parent / file).is_file() or len(alt) < 8]
    assert wrong == []


def test_a_picture_for_light_pages_has_one_for_dark_pages_with_the_same_text() -> None:
    for page in PAGES:
        light, dark = (
            {(file.replace("-dark.", "-light."), alt) for file, alt, kind in pictures(page) if kind == f"only-{scheme}"}
            for scheme in ("light", "dark")
        )
        assert light == dark, page.name


def test_pictures_are_small() -> None:
    found = [path for path in (DOCS / "images").iterdir() if path.suffix not in (".webp", ".svg")]
    assert found == []
    assert [path.name for path in (DOCS / "images").iterdir() if path.stat().st_size > 99_000] == []


def test_links_of_the_files_beside_the_documentation_lead_somewhere() -> None:
    found = [
        (page.name, link)
        for page in ROOT.glob("*.md")
        for link in re.findall(r"\]\(([^)#\s]+)", FENCE.sub("", page.read_text(encoding="utf-8")))
        if "://" not in link and not link.startswith("mailto:")
    ]
    assert len(found) > 10
    assert [(page, link) for page, link in found if not (ROOT / link).exists()] == []


def test_the_version_switcher_lists_this_version() -> None:
    versions = json.loads((DOCS / "_static/versions.json").read_text())
    assert [it["name"] for it in versions if it["version"] == VERSION] == [VERSION]
    assert [it for it in versions if it["url"] != f"../{it['version']}/"] == []


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that checks links."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return import_module("links")


def test_links_that_lead_nowhere_are_found(tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "index.html").write_text('<h1 id="top">A</h1>\n<a href="folder/b.html#caf%C3%A9">\n<a href="#bottom">')
    (tmp_path / "folder/b.html").write_text('<p id="café">\n<img src="c.webp">\n<a href="../#top"><a href="../d.html">')
    assert tool.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "folder/b.html:2: c.webp: there is no such file",
        "folder/b.html:3: ../d.html: there is no such file",
        "index.html:3: #bottom: there is no such anchor",
    ]


def test_links_to_other_hosts_never_fail(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index.html").write_text('<a href="https://a.example/x#y"><a href="https://b.example/">')
    answers: dict[str, int | str] = {tool.PROBE: "no network"}
    monkeypatch.setattr(tool, "answer", lambda url: answers[url])
    assert tool.main([str(tmp_path), "--external"]) == 0
    answers.update({tool.PROBE: 200, "https://a.example/x": 404, "https://b.example/": "timed out"})
    assert tool.main([str(tmp_path), "--external"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"links to other hosts are not checked: {tool.PROBE} answers no network",
        "warning: index.html: https://a.example/x answers 404",
        "not checked: https://b.example/ answers timed out",
    ]
