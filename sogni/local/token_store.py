"""A file for the tokens of a session: decides where it is, and that only its owner can read it.

Used when somebody asks for it, by an application or the command line; no client does by itself. It checks no token
and sends nothing.
"""

from __future__ import annotations

import glob
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sogni.core.credentials import read_pair
from sogni.errors import SogniTimeoutError, ValidationError
from sogni.local.app_ids import state_directory
from sogni.local.files import lock, unlock
from sogni.models.account import TokenPair
from sogni.models.converter import to_dict

FILE_NAME = "tokens.json"
_UNFINISHED = ".tmp"
_LEFT_BEHIND = 60.0
"""Seconds after which a file that was to become the store belongs to a program that was killed."""
_SAVING = 1.0
"""Seconds within which another program may still be saving."""
_LOOK_AGAIN = 0.02
"""Seconds between two looks at a lock, which nobody tells of."""


class TokenStore:
    """Keeps a `TokenPair` between runs of a program, in a file that only its owner can read.

    The file is `tokens.json` in the platform's directory for application state unless `path` names another. A link
    stays one: what it leads to is the store. Raises `ValidationError` without `path` and home directory.

    >>> from sogni import TokenStore
    >>> store = TokenStore("session.json")
    >>> store.load() is None
    True
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path) if path is not None else _default_path()

    def __repr__(self) -> str:
        return f"TokenStore({str(self.path)!r})"

    def load(self) -> TokenPair | None:
        """The pair that was saved last, None when there is none that can be read."""
        try:
            token, refresh_token = read_pair(json.loads(self.path.read_text("utf-8-sig")))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return TokenPair(token=token or "", refresh_token=refresh_token)

    def save(self, pair: TokenPair | Mapping[str, str] | str | None) -> None:
        """Keep a pair, as `backup` gives it, in place of the one before; a crash leaves one of the two.

        Raises `ValidationError` for what is none, such as a key.
        """
        token, refresh_token = read_pair(pair)
        if token is None:
            raise ValidationError("the pair has no access token", field="credentials")
        text = json.dumps(to_dict(TokenPair(token=token, refresh_token=refresh_token)))
        path = self._file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clean(older_than=_LEFT_BEHIND)
        # mkstemp makes files that only their owner can read, before anything is in them.
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=_UNFINISHED, dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise

    def clear(self) -> None:
        """Remove the pair; nothing happens when there is none."""
        self._file.unlink(missing_ok=True)
        self._clean(older_than=_SAVING)

    @property
    def _file(self) -> Path:
        """What is replaced and removed: not a link, of whose other users some would keep a pair that is used up."""
        return Path(os.path.realpath(self.path))

    def _clean(self, *, older_than: float) -> None:
        """Remove what programs left behind that were killed while they saved: it holds tokens, too."""
        path = self._file
        for left in path.parent.glob(f".{glob.escape(path.name)}-*{_UNFINISHED}"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime >= older_than:
                    left.unlink()

    @contextmanager
    def locked(self, timeout: float = 60.0) -> Iterator[None]:
        """Have the store to oneself, among the programs that ask for this; waits for them.

        A refresh token works once: programs that share a store take the pair, and save the one they have then, inside.
        The lock is a file beside the store, which stays. Waiting for it blocks the thread: of the tasks of a loop, let
        only one at a time ask for it. Raises `SogniTimeoutError` after `timeout` seconds.
        """
        path = self._file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = _hold(path.with_name(f"{path.name}.lock"), timeout)
        try:
            yield
        finally:
            if held is not None:
                unlock(held)
                os.close(held)

    def follow(self, client: Any) -> None:
        """Save the pair of a client whenever it changes, and clear the store when the client is signed out.

        A pair that another program has saved meanwhile is left alone.
        """
        auth = client.api_client.auth
        kept = [auth.backup() or self.load()]

        def updated(_: bool) -> None:
            pair = auth.backup()
            if pair is not None:
                self.save(pair)
            elif kept[0] is not None and self.load() == kept[0]:
                self.clear()
            kept[0] = pair

        if kept[0] is not None:
            self.save(kept[0])
        auth.on("updated", updated)


def _default_path() -> Path:
    try:
        return state_directory(os.environ) / FILE_NAME
    except RuntimeError as error:
        words = "path must be given, or HOME or XDG_STATE_HOME set: this user has no home directory"
        raise ValidationError(words, field="path") from error


def _hold(path: Path, timeout: float) -> int | None:
    """The lock of a file; None where locks do not work, so that a program alone can go on."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            held = lock(path)
        except OSError:
            return None
        if held is not None:
            return held
        if time.monotonic() >= deadline:
            raise SogniTimeoutError(f"{path.name} is held by another program", phase="total", timeout=timeout)
        time.sleep(_LOOK_AGAIN)
