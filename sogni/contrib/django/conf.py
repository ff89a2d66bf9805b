"""The setting `SOGNI`: reading and checking it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from attrs import field, frozen
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from sogni.client import SogniClient
from sogni.core.checks import did_you_mean, short_repr
from sogni.errors import ValidationError
from sogni.redaction import secret

OWN: tuple[str, ...] = ("LOCAL", "STORAGE", "UPLOAD_TO", "MAX_COST")
"""The keys that are not settings of the client."""


@frozen
class Configuration:
    """The setting `SOGNI`.

    Attributes:
        client: Arguments of the clients.
        local: Options of the emulator; None uses the service.
        storage: Alias of the storage of results, a key of `STORAGES`.
        upload_to: Directory of results in the storage.
        max_cost: Default limit for each project.
    """

    client: dict[str, Any] = field(repr=False)
    local: dict[str, Any] | None
    storage: str
    upload_to: str
    max_cost: Any


@cache
def client_settings() -> dict[str, str]:
    """The settings of the clients, by their keys in `SOGNI`."""
    return {name.upper(): name for name in inspect.signature(SogniClient).parameters}


def configuration() -> Configuration:
    """Read the setting.

    Returns:
        The setting, with defaults.

    Raises:
        ImproperlyConfigured: A key is unknown, or a value is invalid.
    """
    given = getattr(settings, "SOGNI", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"SOGNI must be a mapping, got {type(given).__name__}")
    known = [*client_settings(), *OWN]
    for key in given:
        if key not in known:
            raise ImproperlyConfigured(f"SOGNI has no key {key!r}{did_you_mean(key, known, 1)}")
    local, storage, upload_to = (
        given.get("LOCAL", False),
        given.get("STORAGE", "default"),
        given.get("UPLOAD_TO", "sogni"),
    )
    if not isinstance(local, bool | Mapping):
        raise ImproperlyConfigured(
            f"SOGNI['LOCAL'] must be True, False or a mapping of options, got {short_repr(local)}"
        )
    if storage not in settings.STORAGES:
        aliases = ", ".join(map(repr, settings.STORAGES))
        raise ImproperlyConfigured(f"SOGNI['STORAGE'] must be a key of STORAGES ({aliases}), got {short_repr(storage)}")
    if not isinstance(upload_to, str):
        raise ImproperlyConfigured(f"SOGNI['UPLOAD_TO'] must be a string, got {short_repr(upload_to)}")
    options = {name: given[key] for key, name in client_settings().items() if key in given}
    if isinstance(options.get("api_key"), str):
        options["api_key"] = secret(options["api_key"])
    return Configuration(
        client=options,
        local=None if local is False else {} if local is True else dict(local),
        storage=storage,
        upload_to=upload_to.strip("/"),
        max_cost=given.get("MAX_COST"),
    )


def check_settings(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """Check the setting `SOGNI`, without a connection; part of `manage.py check`.

    Args:
        app_configs: The apps to check, as Django passes them.

    Returns:
        The problems found.
    """
    try:
        found = configuration()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="sogni.E001")]
    try:
        # Opens nothing.
        client = SogniClient(**found.client)
    except (ValidationError, TypeError) as error:
        return [checks.Error(f"SOGNI is invalid: {error}", id="sogni.E002")]
    messages: list[checks.CheckMessage] = []
    if found.local is not None:
        if not settings.DEBUG:
            hint = "Set SOGNI['LOCAL'] to False in production."
            problem = "SOGNI['LOCAL'] makes test media, and DEBUG is False."
            messages.append(checks.Warning(problem, hint=hint, id="sogni.W001"))
    elif not client.is_authenticated and client_auth(found) == "api_key":
        hint = "Set SOGNI['API_KEY'] or SOGNI_API_KEY, or SOGNI['LOCAL'] = True to work without an account."
        messages.append(checks.Error("There is no API key.", hint=hint, id="sogni.E003"))
    if _stores_anywhere(settings.STORAGES[found.storage]):
        hint = "Set MEDIA_ROOT and MEDIA_URL, or SOGNI['STORAGE']."
        problem = "MEDIA_ROOT is not set: results are stored in the working directory."
        messages.append(checks.Warning(problem, hint=hint, id="sogni.W002"))
    return messages


def _stores_anywhere(storage: Mapping[str, Any]) -> bool:
    """Return whether files are stored relative to the directory in which the server was started."""
    in_files = storage.get("BACKEND") == "django.core.files.storage.FileSystemStorage"
    return in_files and not (settings.MEDIA_ROOT or storage.get("OPTIONS", {}).get("location"))


def client_auth(found: Configuration) -> str:
    """Return how the clients sign in. A site signs in with a key unless it is configured otherwise."""
    return str(found.client.get("auth_type") or "api_key")
