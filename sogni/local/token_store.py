"""A file for the tokens of a session, readable only by its owner.

Applications and the command line use it explicitly; a client never does so automatically. Tokens are not checked.
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
_TEMPORARY = ".tmp"
_ABANDONED_SECONDS = 60.0
"""Age of a temporary file at which the program that wrote it must have been killed."""
_SAVING_SECONDS = 1.0
"""Time within which another program may still be saving."""
_POLL_SECONDS = 0.02
"""Between two attempts to take the lock: nothing signals its release."""


class TokenStore:
    """Keeps a `TokenPair` between runs of a program, in a file that only its owner can read.

    Args:
        path: File to use; a symbolic link is followed. Default: `tokens.json` in the platform's directory for
            application state.

    Raises:
        ValidationError: There is neither a path nor a home directory.

    Example:
        >>> from sogni import TokenStore
        >>> store = TokenStore("session.json")
        >>> store.load() is None
        True
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path: Path = Path(path) if path is not None else _default_path()

    def __repr__(self) -> str:
        return f"TokenStore({str(self.path)!r})"

    def load(self) -> TokenPair | None:
        """Load the pair that was saved last.

        Returns:
            The pair; None if there is none that can be read.

        Example:
            >>> sogni.TokenStore("session.json").load() is None
            True
        """
        try:
            token, refresh_token = read_pair(json.loads(self.path.read_text("utf-8-sig")))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return TokenPair(token=token or "", refresh_token=refresh_token)

    def save(self, pair: TokenPair | Mapping[str, str] | str | None) -> None:
        """Save a pair in place of the previous one; a crash leaves one of the two.

        Args:
            pair: A `TokenPair`, or its stored form.

        Raises:
            ValidationError: This is not a pair of tokens, for example an API key.
            OSError: The file cannot be written.

        Example:
            >>> store = sogni.TokenStore("session.json")
            >>> with sogni.SogniClient(auth_type="token") as client:
            ...     store.save(client.account.login("ada", "correct horse battery").tokens)
            >>> store.load() is None
            False
        """
        token, refresh_token = read_pair(pair)
        if token is None:
            raise ValidationError("the pair has no access token", field="credentials")
        text = json.dumps(to_dict(TokenPair(token=token, refresh_token=refresh_token)))
        path = self._file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clean(older_than=_ABANDONED_SECONDS)
        # mkstemp creates files that only their owner can read, before anything is in them.
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=_TEMPORARY, dir=path.parent)
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
        """Remove the pair, if there is one.

        Example:
            >>> sogni.TokenStore("session.json").clear()
        """
        self._file.unlink(missing_ok=True)
        self._clean(older_than=_SAVING_SECONDS)

    @property
    def _file(self) -> Path:
        """The file that is replaced or removed, never a link: its other users would keep a pair that is used up."""
        return Path(os.path.realpath(self.path))

    def _clean(self, *, older_than: float) -> None:
        """Remove the files of programs that were killed while saving: they contain tokens as well."""
        path = self._file
        for left in path.parent.glob(f".{glob.escape(path.name)}-*{_TEMPORARY}"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime >= older_than:
                    left.unlink()

    @contextmanager
    def locked(self, timeout: float = 60.0) -> Iterator[None]:
        """Lock the store among the programs that use this method, for the duration of a `with` block.

        A refresh token works once, so programs that share a store load the pair and save its successor inside one
        block. The lock is a file beside the store, which remains. Waiting blocks the thread: in asyncio, let only one
        task of a loop at a time wait.

        Args:
            timeout: Seconds to wait for the lock. Default 60.

        Yields:
            Nothing.

        Raises:
            SogniTimeoutError: Another program held the lock for `timeout` seconds.

        Example:
            >>> store = sogni.TokenStore("session.json")
            >>> with store.locked():
            ...     pair = store.load()
        """
        path = self._file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = _acquire(path.with_name(f"{path.name}.lock"), timeout)
        try:
            yield
        finally:
            if held is not None:
                unlock(held)
                os.close(held)

    def follow(self, client: Any) -> None:
        """Save the pair of a client whenever it changes, and clear the store when the client signs out.

        A pair that another program has saved in the meantime is kept.

        Args:
            client: The client, of either package, made with `auth_type="token"`.

        Raises:
            OSError: The file cannot be written.

        Example:
            >>> with sogni.SogniClient(auth_type="token") as client:
            ...     sogni.TokenStore("session.json").follow(client)
            ...     session = client.account.login("ada", "correct horse battery")
            >>> sogni.TokenStore("session.json").load() == session.tokens
            True
        """
        auth = client.api_client.auth
        latest = [auth.backup() or self.load()]

        def updated(_: bool) -> None:
            pair = auth.backup()
            if pair is not None:
                self.save(pair)
            elif latest[0] is not None and self.load() == latest[0]:
                self.clear()
            latest[0] = pair

        if latest[0] is not None:
            self.save(latest[0])
        auth.on("updated", updated)


def _default_path() -> Path:
    try:
        return state_directory() / FILE_NAME
    except RuntimeError as error:
        message = "path must be given, or HOME or XDG_STATE_HOME set: this user has no home directory"
        raise ValidationError(message, field="path") from error


def _acquire(path: Path, timeout: float) -> int | None:
    """Lock a file. None where locks do not work, so that a single program can still continue."""
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
        time.sleep(_POLL_SECONDS)
