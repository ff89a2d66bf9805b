"""Check the links of the documentation, in the pages that Sphinx has built.

    python tools/links.py DIRECTORY              # links between pages, their anchors, pictures and downloads
    python tools/links.py DIRECTORY --external   # also ask the other hosts, as far as the network allows

Exits with status 1 if a link within the documentation leads nowhere. Links to other hosts are only reported: a host
may be down, or not be reachable from here.
"""

from __future__ import annotations

import argparse
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

ATTRIBUTES = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src", "video": "src"}
PROBE = "https://www.python.org/"
"""A host that answers if the network does."""
SECONDS = 10
GONE = (404, 410)


class Page(HTMLParser):
    """The anchors and links of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[int, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.anchors.add(str(found["id"]))
        target = found.get(ATTRIBUTES.get(tag, ""))
        if target:
            self.links.append((self.getpos()[0], target))


def is_external(link: str) -> bool:
    """Whether a link leads to another host, or is not a link to a file at all."""
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)


def pages_of(directory: Path) -> list[Path]:
    """The pages of the documentation, without the templates that the theme leaves among its files."""
    return sorted(path for path in directory.rglob("*.html") if "_static" not in path.parts)


def broken(directory: Path) -> Iterator[str]:
    """A line for every link within the documentation that leads nowhere."""
    pages = {path.resolve(): Page(path) for path in pages_of(directory)}
    for path, page in pages.items():
        for line, link in page.links:
            if is_external(link):
                continue
            url, anchor = urldefrag(link)
            target = (path.parent / unquote(urlsplit(url).path)).resolve() if url else path
            place = f"{path.relative_to(directory.resolve())}:{line}: {link}"
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                yield f"{place}: there is no such file"
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                yield f"{place}: there is no such anchor"


def external(directory: Path) -> dict[str, str]:
    """The links to other hosts, each with the first page that has it."""
    found: dict[str, str] = {}
    for path in pages_of(directory):
        for _, link in Page(path).links:
            if urlsplit(link).scheme in ("http", "https") and not urlsplit(link).netloc.startswith(
                ("127.", "localhost")
            ):
                found.setdefault(urldefrag(link)[0], str(path.relative_to(directory)))
    return found


def answer(url: str) -> int | str:
    """The status of a URL, or why there is none."""
    request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0 (link check)"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError, HTTPException) as error:
        return str(error) or type(error).__name__


def check_external(directory: Path) -> None:
    """Report links to pages that are gone."""
    if (status := answer(PROBE)) != 200:
        print(f"links to other hosts are not checked: {PROBE} answers {status}")
        return
    links = external(directory)
    with ThreadPoolExecutor(8) as executor:
        for (url, page), status in zip(links.items(), executor.map(answer, links), strict=True):
            if status in GONE:
                print(f"warning: {page}: {url} answers {status}")
            elif status != 200:
                print(f"not checked: {url} answers {status}")


def main(arguments: list[str] | None = None) -> int:
    """List what is broken; 1 if there is anything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--external", action="store_true")
    chosen = parser.parse_args(arguments)
    if not list(chosen.directory.glob("*.html")):
        parser.error(f"{chosen.directory} has no pages: build them first")
    found = list(broken(chosen.directory))
    print("\n".join(found), end="\n" if found else "")
    if chosen.external:
        check_external(chosen.directory)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
