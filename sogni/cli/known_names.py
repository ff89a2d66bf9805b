"""Names of models and LoRAs for shell completion, in a file in the user's cache directory.

Commands that list models or LoRAs save what they have received. Completion itself fetches what is missing or old, but
only briefly: it returns nothing rather than making the user wait, and prints no errors. It uses the key of the
environment or the profile, but not the session of `sogni login`, which would have to be renewed: then `sogni models`
refreshes the names.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import wait
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

import click
import platformdirs
from attrs import evolve, field, frozen
from click.shell_completion import CompletionItem

from sogni.cli.profiles import current_profile
from sogni.errors import SogniError
from sogni.settings import RetryPolicy, Timeouts, resolve

Kind = Literal["models", "loras", "chat"]
Names = dict[str, dict[str, Any]]
"""IDs, each with its `name`, and the `media` of a model or the `models` of a LoRA."""
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

FILE_NAME = "completion.json"
FETCH_SECONDS = 1.5
"""How long completion waits for the service."""
FRESH_SECONDS = 24 * 3600.0
RETRY_SECONDS = 60.0
"""How long completion waits after a failure before it requests names again."""


@frozen(kw_only=True)
class KnownNames:
    """Names of one kind, when they were received and when they were last requested, in seconds since the epoch."""

    names: Names = field(factory=dict)
    received: float = 0.0
    requested: float = 0.0

    def is_due(self, now: float) -> bool:
        """Return whether to request the names again."""
        # A time in the future was written by a clock that has been set back.
        return not 0 <= now - self.received < FRESH_SECONDS and not 0 <= now - self.requested < RETRY_SECONDS


def model_names(models: Iterable[Any]) -> Names:
    """Return models by their IDs."""
    return {it.id: {"name": it.name, "media": it.media} for it in models}


def lora_names(loras: Iterable[Any]) -> Names:
    """Return LoRAs by their IDs."""
    return {it.lora_id: {"name": it.name, "models": list(it.model_ids)} for it in loras}


def remember(endpoint: str, kind: Kind, names: Names, *, complete: bool) -> None:
    """Save names that the service at `endpoint` has returned. Failures are ignored: completion fetches them again.

    Args:
        endpoint: URL of the REST API.
        kind: Kind of the names.
        names: The names.
        complete: Whether these are all; otherwise, saved ones are kept.
    """
    saved = _load(endpoint)
    known, now = saved.get(kind, KnownNames()), time.time()
    if complete:
        known = KnownNames(names=names, received=now, requested=now)
    else:
        known = evolve(known, names={**known.names, **names})
    _save(endpoint, {**saved, kind: known})


def lookup(kind: Kind, environ: Mapping[str, str]) -> Names:
    """Return the saved names of the service that `environ` selects. Old names are fetched again first."""
    try:
        arguments = current_profile().client_arguments(environ)
        endpoint = resolve(environ, **arguments).rest_endpoint
    except (SogniError, click.UsageError, OSError):
        return {}
    saved = _load(endpoint)
    known, now = saved.get(kind, KnownNames()), time.time()
    if kind not in _FETCH or not known.is_due(now):
        return known.names
    fetched = _fetch(kind, arguments)
    if fetched is None:
        _save(endpoint, {**saved, kind: evolve(known, requested=now)})
        return known.names
    remember(endpoint, kind, fetched, complete=True)
    return fetched


def _fetch(kind: Kind, arguments: Mapping[str, Any]) -> Names | None:
    """Return all names of one kind, or None if the service does not return them at once."""
    from sogni.cli.run_project import in_background

    # On a thread, because nothing limits how long a host name is looked up.
    fetching = in_background(lambda: _FETCH[kind](arguments))
    done, _ = wait([fetching], FETCH_SECONDS)
    return fetching.result() if done and fetching.exception() is None else None


def _fetch_models(arguments: Mapping[str, Any]) -> Names:
    with _client(arguments) as client:
        return model_names(client.projects.get_supported_models())


def _fetch_loras(arguments: Mapping[str, Any]) -> Names:
    with _client(arguments) as client:
        return lora_names(client.projects.available_loras())


def _client(arguments: Mapping[str, Any]) -> Any:
    from sogni.client import SogniClient

    timeouts = Timeouts(connect=FETCH_SECONDS, request=FETCH_SECONDS, close=0.2)
    return SogniClient(disable_socket=True, timeout=timeouts, retry=RetryPolicy(attempts=1), **arguments)


_FETCH: Mapping[Kind, Callable[[Mapping[str, Any]], Names]] = {"models": _fetch_models, "loras": _fetch_loras}


def _load(endpoint: str) -> dict[Kind, KnownNames]:
    """Return the saved names of a service; none if the file is missing, damaged or about another service."""
    try:
        content = json.loads(_path().read_text("utf-8"))
        if content["endpoint"] != endpoint:
            return {}
        return {kind: _read(content[kind]) for kind in get_args(Kind) if kind in content}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return {}


def _read(content: Any) -> KnownNames:
    names = {name: dict(it) for name, it in dict(content["names"]).items()}
    return KnownNames(names=names, received=float(content["received"]), requested=float(content["requested"]))


def _save(endpoint: str, known: Mapping[Kind, KnownNames]) -> None:
    content = {
        kind: {"names": it.names, "received": it.received, "requested": it.requested} for kind, it in known.items()
    }
    with suppress(OSError, RuntimeError):
        path = _path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{FILE_NAME}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"endpoint": endpoint, **content}, file)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


def _path() -> Path:
    path = platformdirs.PlatformDirs("sogni", appauthor=False).user_cache_path
    if not path.is_absolute():
        raise RuntimeError("there is no home directory")
    return path / FILE_NAME


# Completion of values


def models_of(*media: str) -> Complete:
    """Return a function that completes the IDs of models for these media, or for any without arguments."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = lookup("models", os.environ)
        return _items(names, incomplete, lambda it: not media or it.get("media") in media)

    return complete


def complete_chat_models(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the IDs of language models: those of the last chat, since only its connection announces them."""
    return _items(lookup("chat", os.environ), incomplete, lambda it: True)


def complete_loras(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the IDs of LoRAs: those for the model of the command, if it takes any."""
    names = lookup("loras", os.environ)
    model = context.params.get("model_id") or context.params.get("model")
    of_model = {name: it for name, it in names.items() if model in it.get("models", ())}
    return _items(of_model or names, incomplete, lambda it: True)


def complete_file(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a path."""
    return [CompletionItem(incomplete, type="file")]


def _items(names: Names, incomplete: str, fits: Callable[[Mapping[str, Any]], bool]) -> list[CompletionItem]:
    found = sorted(name for name, it in names.items() if name.startswith(incomplete) and fits(it))
    return [CompletionItem(name, help=names[name].get("name") or None) for name in found]
