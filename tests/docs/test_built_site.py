"""The site as it is built: every public name has an entry, and the search finds parameters."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, Browser
from tests.docs.test_reference import LISTED, expand

pytest.importorskip("sphinx", reason="sphinx is not installed")
pytest.importorskip("pydata_sphinx_theme", reason="pydata-sphinx-theme is not installed")

pytestmark = pytest.mark.integration

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site that `DOCS_SITE` names, as `.ci/run` has built it, or else one that is built now."""
    if built := os.environ.get("DOCS_SITE"):
        return Path(built)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-d", str(folder / "trees")]
    done = subprocess.run([*command, str(DOCS), str(folder / "html")], capture_output=True, text=True, timeout=400)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser | None]:
    if CHROMIUM is None:
        yield None
        return
    with Browser() as running:
        yield running


def entries(site: Path) -> set[str]:
    """The names that the site describes."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as stream:
        inventory = InventoryFile.load(stream, "", lambda base, path: path)
    return {name for kind, found in inventory.items() if kind.startswith("py:") for name in found}


def expected_entries() -> set[str]:
    """Every public name, and every member of a class."""
    expected = set(LISTED)
    for name in LISTED:
        kind: Any = None if ".django." in name else expand.resolve(name)
        if isinstance(kind, type):
            expected |= {f"{name}.{member}" for member, _ in expand.members_of(kind)}
    return expected


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def served(site: Path) -> Iterator[str]:
    """The URL of a server for the site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def found_by(browser: Browser, url: str, query: str) -> list[str]:
    """The pages that the search lists first."""
    browser.open(f"{url}/search.html?q={query}")
    browser.wait("document.querySelectorAll('ul.search > li a').length > 1")
    links = browser.run("[...document.querySelectorAll('ul.search > li a')].map(it => it.getAttribute('href'))")
    return [it.partition("?")[0] for it in links[:2]]


# One test, because several could run in different processes, and each of these would build the site.
def test_names_have_entries_and_the_search_finds_parameters(site: Path, browser: Browser | None) -> None:
    assert expected_entries() - entries(site) == set()
    # Screen readers need terms in lists of definitions, and names of buttons: `docs/conf.py` sees to both.
    page = (site / "reference/project.html").read_text(encoding="utf-8")
    assert [it for it in ("<dl>", "<summary>") if it in page] == []
    if browser is None:
        pytest.skip("Chromium is not installed")
    with served(site) as url:
        found = {
            query: found_by(browser, url, query) for query in ("starting_image_strength", "max_cost", "texture_size")
        }
    wanted = {query: f"reference/parameters.html#{query.replace('_', '-')}" for query in found}
    assert [query for query, page in wanted.items() if page not in found[query]] == [], found
