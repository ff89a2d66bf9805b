"""Projects in Django: settings, clients, a model that is kept up to date, signals and a progress view.

Add `"sogni.contrib.django"` to `INSTALLED_APPS`, set `SOGNI`, and run `manage.py migrate`. Requires the extra `django`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    import django  # noqa: F401  reports a missing library at once
except ModuleNotFoundError as _error:
    if _error.name != "django":
        raise
    raise ModuleNotFoundError(
        "sogni.contrib.django requires Django, which is not installed: pip install 'sogni[django]'", name="django"
    ) from None

from sogni.contrib.django.clients import close_clients, get_async_client, get_client
from sogni.contrib.django.signals import project_completed, project_failed

if TYPE_CHECKING:
    from sogni.contrib.django.models import SogniProject, SogniResult
    from sogni.contrib.django.views import progress_stream

__all__ = [
    "SogniProject",
    "SogniResult",
    "close_clients",
    "get_async_client",
    "get_client",
    "progress_stream",
    "project_completed",
    "project_failed",
]

# Models can only be imported once the apps are loaded, and Django imports this module to load them.
_LATER: dict[str, str] = {"SogniProject": "models", "SogniResult": "models", "progress_stream": "views"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
