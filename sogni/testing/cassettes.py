"""Cassettes of recorded traffic: the file format, the removal of secrets, and the matching of requests in a replay.

A cassette is the timeline of one test: HTTP exchanges, WebSocket connections and frames, in the order in which they
began. URLs of media are replaced by names, files are kept beside the JSON file. In a replay, a request matches a
recorded one if they differ only in the IDs that a client generates each time. The recorded response is then returned
with the new IDs.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field

from sogni.redaction import HIDDEN, redact

VERSION = 1
MEDIA = "sogni-cassette://media/"
"""Placeholder for the base of media URLs in a file."""
MEDIA_PATH = "/_media/"
"""The path of media on the server that records or replays."""

Entry = dict[str, Any]

_SECRET_KEY = re.compile(
    r"(?i)^(api_?key|authorization|cookie|session|(access|refresh|id|turnstile)_?token|password|secret|private_?key|"
    r"(approve_?)?signature|nonce)$"
)
_TOKEN_KEY = re.compile(r"(?i)token$")
_SHORTEST_TOKEN = 16
"""Shorter values of keys like ``token`` are names, such as "spark"."""
_PERSONAL_KEY = re.compile(r"(?i)e-?mail$")
_PERSON = "somebody@example.test"
_URL = re.compile(r"https?://[^\s\"'<>\\)\]]+")
_URL_KEY = re.compile(r"(?i)urls?$")
_SIGNED = re.compile(r"(?i)[?&](x-amz-|x-goog-|signature=|sig=|token=|expires=|key-pair-id=|policy=)")
_ID = re.compile(
    r"(?i)(?<![0-9a-f])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32})(?![0-9a-f])"
)
_VOLATILE = frozenset({"seed", "time", "timestamp", "clientTime", "createTime", "startTime"})
"""Fields whose values may differ every time."""
_READING = ("GET", "HEAD")
_FIRST_PRIVATE_CODE = 4000
"""Lowest close code with a meaning to clients."""
_MOST_DIFFERENCES = 6


class CassetteError(Exception):
    """A cassette is missing or unreadable, or cannot be recorded."""


# Media


@define
class MediaNames:
    """The URLs of media and their names in a cassette. ``base`` is the URL of the recording or replaying server."""

    base: str = ""
    _names: dict[str, str] = field(factory=dict)
    _urls: dict[str, str] = field(factory=dict)

    def url_of(self, name: str) -> str | None:
        """Return the real URL of a name."""
        return self._urls.get(name)

    def name_of(self, url: str) -> str:
        """Return the name of a URL, without its query: a new signature of a known file does not change it."""
        parts = urlsplit(url)
        place = f"{parts.netloc}{parts.path}"
        name = self._names.get(place)
        if name is None:
            base = re.sub(r"[^\w.-]", "-", PurePosixPath(parts.path).name) or "file"
            name = self._names[place] = f"{len(self._names) + 1}/{base}"
        self._urls[name] = url
        return name

    def for_client(self, content: Any) -> Any:
        """Replace the media URLs in data of the service with URLs of the server in between."""

        def local(key: str | None, text: str) -> str:
            if text.startswith(("http://", "https://")) and _URL.fullmatch(text):
                asset = (key is not None and _URL_KEY.search(key)) or _SIGNED.search(text) or _is_file(text)
                return self._local(text) if asset else text
            if "http" not in text:
                return text
            return _URL.sub(lambda it: self._local(it[0]) if self._known(it[0]) else it[0], text)

        return mapped(local, content)

    def for_service(self, text: str) -> str:
        """Replace the URLs of the server in between with those of the service."""
        pattern = re.escape(self.base + MEDIA_PATH) + r"(\d+/[\w.-]+)"
        return re.sub(pattern, lambda it: self._urls.get(it[1], it[0]), text)

    def for_file(self, content: Any) -> Any:
        """Replace the URLs of the server in between with the placeholders of the file."""
        return mapped(lambda _, text: text.replace(self.base + MEDIA_PATH, MEDIA), content)

    def from_file(self, content: Any) -> Any:
        """Undo `for_file`, for the server that replays."""
        return mapped(lambda _, text: text.replace(MEDIA, self.base + MEDIA_PATH), content)

    def _known(self, url: str) -> bool:
        parts = urlsplit(url)
        return f"{parts.netloc}{parts.path}" in self._names or _SIGNED.search(url) is not None

    def _local(self, url: str) -> str:
        return url if url.startswith(self.base + MEDIA_PATH) else f"{self.base}{MEDIA_PATH}{self.name_of(url)}"


def _is_file(url: str) -> bool:
    kind = mimetypes.guess_type(urlsplit(url).path)[0] or ""
    return kind.startswith(("image/", "video/", "audio/", "model/"))


def mapped(change: Callable[[str | None, str], str], content: Any, key: str | None = None) -> Any:
    """Return JSON content with every string changed; the function also gets the key that the string belongs to."""
    if isinstance(content, str):
        return change(key, content)
    if isinstance(content, Mapping):
        return {name: mapped(change, value, name) for name, value in content.items()}
    if isinstance(content, list):
        return [mapped(change, value, key) for value in content]
    return content


# Secrets


def without_secrets(content: Any, secrets: Sequence[str]) -> Any:
    """Return JSON content without keys, tokens, signatures, signed queries, cookies, passwords and email addresses."""

    def clean(key: str | None, text: str) -> str:
        if key is not None:
            if _SECRET_KEY.search(key) or (_TOKEN_KEY.search(key) and len(text) >= _SHORTEST_TOKEN):
                return HIDDEN if text else text
            if _PERSONAL_KEY.search(key):
                return _PERSON
        return redact(text, secrets)

    return mapped(clean, content)


def event_lines(change: Callable[[Any], Any], text: str) -> str:
    """Return the lines of an event stream with the JSON of every ``data`` line changed."""
    lines = []
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if name == "data" and colon:
            try:
                changed = change(json.loads(value))
                line = f"data: {json.dumps(changed, separators=(',', ':'))}"
            except ValueError:
                line = f"data: {change(value.strip())}"
        lines.append(line)
    return "\n".join(lines)


# The file


@define
class Tape:
    """The entries of a cassette and its files, by name."""

    entries: list[Entry] = field(factory=list)
    files: dict[str, bytes] = field(factory=dict)

    def add_file(self, content: bytes, content_type: str | None) -> str:
        """Keep a file and return its name, which depends on its content alone."""
        extension = mimetypes.guess_extension((content_type or "").partition(";")[0].strip()) or ".bin"
        name = hashlib.sha256(content).hexdigest()[:16] + extension
        self.files[name] = content
        return name

    def save(self, path: Path, secrets: Sequence[str]) -> bool:
        """Write the file and, beside it, the files of media; return False if it would contain a secret."""
        text = json.dumps({"version": VERSION, "entries": without_secrets(self._replayable(), secrets)}, indent=1)
        if any(secret in text for secret in secrets):
            return False
        folder = files_of(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir() if folder.is_dir() else ():
            old.unlink()
        for name, content in self.files.items():
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        path.write_text(text + "\n", encoding="utf-8")
        return True

    def _replayable(self) -> list[Entry]:
        """Return the entries without those that a replay cannot repeat."""
        last_open = max((number for number, it in enumerate(self.entries) if it["kind"] == "open"), default=0)
        return [
            entry
            for number, entry in enumerate(self.entries)
            # Without an answer, the client or the service had left.
            if not (entry["kind"] == "http" and "status" not in entry)
            # The client was about to reconnect when the test ended, and would do so in the replay.
            and not (entry["kind"] == "close" and number > last_open and entry["code"] < _FIRST_PRIVATE_CODE)
        ]

    @classmethod
    def load(cls, path: Path) -> Tape:
        """Read a cassette.

        Raises:
            CassetteError: The cassette is missing or unreadable.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CassetteError(
                f"there is no recording of this test, {path}; record it with --sogni-record=DIR and a key"
            ) from None
        except ValueError as error:
            raise CassetteError(f"{path} is not JSON: {error}") from None
        if not isinstance(content, dict) or content.get("version") != VERSION:
            raise CassetteError(f"{path} is not a recording of version {VERSION}; record it again")
        folder = files_of(path)
        files = {it.name: it.read_bytes() for it in folder.iterdir()} if folder.is_dir() else {}
        return cls(content["entries"], files)


def files_of(path: Path) -> Path:
    """Return the folder of a cassette's media files."""
    return path.with_suffix(".files")


def cassette_path(directory: Path, test_file: Path, name: str) -> Path:
    """Return the path of a test's cassette; ``test_file`` is relative to the root of the tests."""
    plain = re.sub(r"[^\w.=-]+", "-", name).strip("-.")[:100]
    if plain != name:
        plain += "-" + hashlib.sha256(name.encode()).hexdigest()[:6]
    return directory / test_file.with_suffix("") / f"{plain}.json"


# Matching


@define
class Ids:
    """The IDs of a recording and their current values."""

    _now: dict[str, str] = field(factory=dict)
    _then: dict[str, str] = field(factory=dict)

    def now(self, content: Any) -> Any:
        """Return recorded JSON content, or a string, with the current IDs."""
        return mapped(lambda _, text: _ID.sub(lambda it: _in_case_of(it[0], self._now.get(_key(it[0]))), text), content)

    def match(self, then: Any, now: Any) -> bool:
        """Return whether a request matches a recorded one except for IDs; if so, remember them."""
        attempt = Ids(dict(self._now), dict(self._then))
        if next(attempt.differences(then, now), None) is not None:
            return False
        self._now, self._then = attempt._now, attempt._then
        return True

    def differences(self, then: Any, now: Any, path: str = "") -> Iterator[str]:
        """Yield where a request differs from a recorded one."""
        if isinstance(then, Mapping) and isinstance(now, Mapping):
            for key in {**then, **now}:
                where = f"{path}.{key}" if path else str(key)
                if key in _VOLATILE:
                    continue
                if key not in now:
                    yield f"- {where}: {_short(then[key])}"
                elif key not in then:
                    yield f"+ {where}: {_short(now[key])}"
                else:
                    yield from self.differences(then[key], now[key], where)
        elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
            for index, (one, other) in enumerate(zip(then, now, strict=True)):
                yield from self.differences(one, other, f"{path}[{index}]")
        elif isinstance(then, str) and isinstance(now, str):
            if not self._same_text(then, now):
                yield from (f"- {path}: {_short(then)}", f"+ {path}: {_short(now)}")
        elif then != now or isinstance(then, bool) != isinstance(now, bool):
            yield from (f"- {path}: {_short(then)}", f"+ {path}: {_short(now)}")

    def _same_text(self, then: str, now: str) -> bool:
        if _ID.sub("", then) != _ID.sub("", now):
            return False
        return all(
            self._bind(_key(one), _key(other)) for one, other in zip(_ID.findall(then), _ID.findall(now), strict=True)
        )

    def _bind(self, then: str, now: str) -> bool:
        if then not in self._now and now not in self._then:
            self._now[then], self._then[now] = now, then
        return self._now.get(then) == now


def _key(id: str) -> str:
    return id.upper()


def _in_case_of(then: str, now: str | None) -> str:
    if now is None:
        return then
    return now.lower() if then == then.lower() else now


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


@define
class Player:
    """The state of a replay: which entries of a tape have been used."""

    tape: Tape
    ids: Ids = field(factory=Ids)
    unmatched: list[str] = field(factory=list)
    unread: list[str] = field(factory=list)
    """Requests that only read, and connections, that were not recorded: clients do so in the background."""
    _used: set[int] = field(factory=set)
    _done: int = 0

    def find(self, kind: str, fields: Mapping[str, Any]) -> Entry | None:
        """Use the first unused entry that a request matches; a request that only reads may also get an old answer.

        Without one, the reason is the last of ``unmatched`` or ``unread``.
        """
        again: Entry | None = None
        for number, entry in self._of(kind):
            if self.ids.match({name: entry.get(name) for name in fields}, fields):
                if number not in self._used:
                    self._used.add(number)
                    return entry
                again = entry
        reads = fields.get("method") in _READING
        if again is not None and reads:
            return again
        (self.unread if reads else self.unmatched).append(self._explain(kind, fields))
        return None

    def open(self) -> tuple[int, int] | None:
        """Return the number and the status of the next recorded connection; None if there are no more."""
        for number, entry in self._of("open"):
            if number not in self._used:
                self._used.add(number)
                return entry["connection"], entry["status"]
        self.unread.append("a connection that was not recorded")
        return None

    def sent_on(self, connection: int) -> list[tuple[int, Entry]]:
        """Return what the service sent on a connection, with the numbers of the entries."""
        return [
            (number, entry)
            for number, entry in enumerate(self.tape.entries)
            if entry["kind"] in ("server", "close") and entry["connection"] == connection
        ]

    def due(self, number: int) -> bool:
        """Return whether clients have repeated everything that they had done before an entry."""
        entries = self.tape.entries
        while self._done < len(entries) and (self._done in self._used or not _acts(entries[self._done])):
            self._done += 1
        return number < self._done

    @property
    def missing(self) -> list[str]:
        """Actions of clients in the recording that they have not repeated yet."""
        left = (it for number, it in enumerate(self.tape.entries) if _acts(it) and number not in self._used)
        return [it["type"] if it["kind"] == "client" else f"{it['method']} {it['path']}" for it in left]

    def _of(self, kind: str) -> Iterator[tuple[int, Entry]]:
        return ((number, entry) for number, entry in enumerate(self.tape.entries) if entry["kind"] == kind)

    def _explain(self, kind: str, fields: Mapping[str, Any]) -> str:
        title = fields["type"] if kind == "client" else f"{fields['method']} {fields['path']}"
        nearest: list[str] | None = None
        for _, entry in self._of(kind):
            then = {name: entry.get(name) for name in fields}
            named = then["type"] == fields["type"] if kind == "client" else then["path"] == self._then(fields["path"])
            if named:
                found = list(self.ids.differences(then, fields))
                if not found:
                    return f"{title} was recorded, but has arrived as often already"
                if nearest is None or len(found) < len(nearest):
                    nearest = found
        if nearest is None:
            return f"{title} was not recorded"
        return "\n".join([f"{title} was recorded differently:", *(f"  {it}" for it in nearest[:_MOST_DIFFERENCES])])

    def _then(self, text: str) -> str:
        return _ID.sub(lambda it: self.ids._then.get(_key(it[0]), it[0]), text)


def _acts(entry: Entry) -> bool:
    """Return whether a client acted, so that later frames may depend on it."""
    return entry["kind"] == "client" or (entry["kind"] == "http" and entry["method"] not in _READING)
