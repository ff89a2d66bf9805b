"""Whether the service takes a request for a durable chat run, and what it asks of the model (chat §12.1).

Called when a run is made and when a kept one is read again. It starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve

from ..fields import Fields
from ..journal import Journal
from ..refusals import RefusalError
from .asking import Asking, check
from .declined import DeclinedError
from .models import DEFAULT_MODEL

_KEYS = (
    *("messages", "tools", "tool_choice", "model", "sampling", "media_references", "media_context"),
    *("max_estimated_capacity_units", "confirm_cost", "session_id", "client_message_id", "token_type", "app_source"),
    *("billing_mode", "runtime_config"),
)
_SAMPLING = (
    *("max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty"),
    *("presence_penalty", "stop", "chat_template_kwargs", "response_format"),
)
_OBJECTS = ("sampling", "media_context", "runtime_config")
_CONTEXT = ("uploadedImages", "uploadedVideos", "uploadedAudio", "images", "videos", "audio")


def asking_of(body: Mapping[str, Any], journal: Journal) -> Asking:
    """Return what a request asks, or raise ``RefusalError`` or ``DeclinedError``."""
    _check_shapes(body)
    offences = inline_media(body)
    if offences:
        raise RefusalError(400, f"Media must be given as http(s) URLs: {', '.join(offences)}")
    sampling = body.get("sampling") or {}
    asked = {key: body[key] for key in ("messages", "tools", "tool_choice", "model") if key in body}
    asked |= {key: body[key] for key in ("token_type", "app_source", "billing_mode") if key in body}
    asked |= {key: sampling[key] for key in _SAMPLING if key in sampling}
    checked = check(
        Fields(asked, "$", []),
        token="token_type",
        profile="task_profile",
        app_source="app_source",
        safe="safe_content_filter",
        billing="billing_mode",
        inline_images=False,
        default_model=DEFAULT_MODEL,
    )
    for finding in checked.findings:
        journal.violation(f"POST /v1/chat/runs {finding.where}", finding.message)
    for unknown in set(body) - set(_KEYS):
        journal.violation(f"POST /v1/chat/runs $.{unknown}", "is not a known key")
    if checked.asking is None:
        raise DeclinedError(checked.error, checked.message)
    safe = (body.get("runtime_config") or {}).get("safeContentFilter") is not False
    return evolve(checked.asking, sogni_tools="creative-tools", execute_tools=True, safe=safe)


def references_of(body: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the media a request brings along, those of its media context as references of their kind."""
    yield from body.get("media_references") or ()
    context = body.get("media_context") or {}
    for key in _CONTEXT:
        kind = next(kind for kind in ("image", "video", "audio") if kind in key.lower())
        for url in context.get(key) or ():
            yield {"url": url, "type": kind}


def _check_shapes(body: Mapping[str, Any]) -> None:
    most = body.get("max_estimated_capacity_units")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int | float) or not most >= 0):
        raise RefusalError(400, "$.max_estimated_capacity_units must be a number from 0 on")
    for key in _OBJECTS:
        if not isinstance(body.get(key), Mapping | None):
            raise RefusalError(400, f"$.{key} must be an object")
    context = body.get("media_context") or {}
    lists = {"media_references": body.get("media_references")}
    lists |= {f"media_context.{key}": context.get(key) for key in _CONTEXT}
    for key, value in lists.items():
        if not isinstance(value, list | None):
            raise RefusalError(400, f"$.{key} must be a list")


def inline_media(body: Mapping[str, Any]) -> list[str]:
    """Return where a request has media that are no http(s) URLs (chat §12.1)."""
    found = []

    def look(path: str, value: Any) -> None:
        if isinstance(value, str) and value.strip() and not value.strip().lower().startswith(("http://", "https://")):
            found.append(path)

    for at, message in enumerate(_list(body.get("messages"))):
        for number, part in enumerate(_list(message.get("content") if isinstance(message, Mapping) else None)):
            image = part.get("image_url") if isinstance(part, Mapping) and part.get("type") == "image_url" else None
            if isinstance(image, Mapping):
                look(f"messages[{at}].content[{number}].image_url.url", image.get("url"))
    for at, reference in enumerate(_list(body.get("media_references"))):
        if isinstance(reference, Mapping):
            look(f"mediaReferences[{at}].url", reference.get("url"))
            found.extend(
                f"mediaReferences[{at}].{key}"
                for key in ("dataUri", "data_uri")
                if isinstance(reference.get(key), str) and reference[key].strip()
            )
    context = body.get("media_context")
    for key in _CONTEXT:
        for at, url in enumerate(_list(context.get(key)) if isinstance(context, Mapping) else ()):
            look(f"mediaContext.{key}[{at}]", url)
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
