"""Flows for the LoRA catalogue and personal LoRAs, and the check of the LoRAs of a project against both.

The public catalogue is cached by model filter; personal LoRAs never are, because they belong to an account.
"""

# projects-5x §17; additions-5x §1, §2

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from attrs import evolve

from sogni.core.catalogue.flows import OLD, share_request
from sogni.core.checks import flag, invalid_value, nearest, optional, path_segment, short_repr, text
from sogni.core.flow import Flow, State, change, clock, pause
from sogni.core.http import HttpCall, get, post
from sogni.core.requests import FAILURES, request_done, request_model
from sogni.core.time_limit import limited
from sogni.errors import (
    AuthenticationError,
    PermissionDeniedError,
    RateLimitError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.models.loras import Lora, LoraCatalog, LoraConstraints, PersonalLora, PersonalLoraList
from sogni.models.params import ProjectParams
from sogni.redaction import redact
from sogni.settings import check_seconds

T = TypeVar("T")

_CATALOGUE = "/v1/loras/comfy"
_PERSONAL = "/v1/loras/personal"
_PERSONAL_PREFIX = "personal-"
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_LAST_REQUEST = 1.0
"""Seconds that the request after the last pause may take, when no time is left."""

logger: logging.Logger = logging.getLogger("sogni")


# The public catalogue


def available_loras(
    model_id: str | None = None, include_personal: bool = False, force_refresh: bool = False
) -> Flow[LoraCatalog]:
    """Return the LoRAs for a model, or all of them, in lists of their own."""
    optional(text, "model_id", model_id, empty=False)
    flag("include_personal", include_personal)
    flag("force_refresh", force_refresh)
    catalogue = yield from _public_catalogue(model_id, force_refresh)
    if not include_personal:
        return evolve(catalogue, loras=list(catalogue.loras), models=list(catalogue.models))
    personal = yield from personal_catalogue(model_id)
    return evolve(
        catalogue,
        loras=[*catalogue.loras, *personal.loras],
        models=sorted({*catalogue.models, *personal.models}),
    )


def _public_catalogue(model_id: str | None, force_refresh: bool = False) -> Flow[LoraCatalog]:
    """Return the public catalogue in a shared object."""
    if not force_refresh:
        kept = yield from change(lambda state, now: state.catalogue.loras(model_id, now))
        if kept is not None:
            return kept
    # The catalogue is public, so that it can be read without or with expired credentials.
    call = evolve(get(_CATALOGUE, modelId=model_id), anonymous=True)
    return (yield from share_request(call, partial(_request_catalogue, model_id)))


def _request_catalogue(model_id: str | None, call: HttpCall) -> Flow[LoraCatalog]:
    catalogue = _for_model((yield from request_model(LoraCatalog, call)), model_id)
    yield from change(lambda state, now: state.catalogue.keep_loras(model_id, catalogue, now))
    return catalogue


def _for_model(catalogue: LoraCatalog, model_id: str | None) -> LoraCatalog:
    """Return a catalogue with its models, and only the LoRAs for a model if one is given."""
    models = catalogue.models or sorted({it for lora in catalogue.loras for it in lora.model_ids})
    loras = catalogue.loras
    if model_id is not None:
        loras = [lora for lora in loras if model_id in lora.model_ids]
    return evolve(catalogue, models=models, loras=loras)


def find_lora(lora_id: str) -> Flow[Lora | None]:
    """Return a LoRA of the public or the personal catalogue, None if there is no such LoRA."""
    text("id", lora_id, empty=False)
    personal = lora_id.startswith(_PERSONAL_PREFIX)
    catalogue = (yield from personal_catalogue()) if personal else (yield from _public_catalogue(None))
    return next((lora for lora in catalogue.loras if lora.lora_id == lora_id), None)


def supports_loras(model_id: str) -> Flow[bool]:
    """Whether there are public LoRAs for a model."""
    text("model_id", model_id, empty=False)
    return model_id in (yield from _public_catalogue(None)).models


def lora_constraints() -> Flow[LoraConstraints]:
    """Return the limits of the LoRAs of a project."""
    return (yield from _public_catalogue(None)).constraints


# Personal LoRAs


def personal_loras() -> Flow[PersonalLoraList]:
    """Request the personal LoRAs of the account."""
    return (yield from _for_one_account(request_model(PersonalLoraList, get(_PERSONAL))))


def personal_lora(id: str) -> Flow[PersonalLora]:
    """Request a personal LoRA. Raises `NotFoundError`."""
    return (yield from _for_one_account(request_model(PersonalLora, get(_personal_path(id)))))


def add_personal_lora(*, url: str, name: str, model_id: str, rights_confirmed: bool) -> Flow[PersonalLora]:
    """Request an import. It is not repeated: imports per day are limited."""
    body = {
        "url": _source_url(url),
        "name": text("name", name, empty=False),
        "modelId": text("model_id", model_id, empty=False),
        "rightsConfirmed": rights_confirmed,
    }
    if rights_confirmed is not True:
        message = (
            f"rights_confirmed must be True, got {short_repr(rights_confirmed)}: confirm that you may use the LoRA"
        )
        raise invalid_value("rights_confirmed", rights_confirmed, "True", message)
    return (yield from _for_one_account(request_model(PersonalLora, post(_PERSONAL, body))))


def remove_personal_lora(id: str) -> Flow[None]:
    """Remove a personal LoRA. Raises `NotFoundError`."""
    yield from _for_one_account(request_done(HttpCall(method="DELETE", path=_personal_path(id))))


def personal_catalogue(model_id: str | None = None) -> Flow[LoraCatalog]:
    """Request the personal LoRAs that projects can use."""
    optional(text, "model_id", model_id, empty=False)
    catalogue = yield from _for_one_account(request_model(LoraCatalog, get(f"{_PERSONAL}/catalog")))
    return _for_model(catalogue, model_id)


def wait_for_personal_lora(id: str, timeout: float | None = None) -> Flow[PersonalLora]:
    """Return a personal LoRA once its import has ended. Raises `SogniTimeoutError`."""
    timeout = check_seconds("timeout", timeout)
    end = None if timeout is None else (yield from clock()) + timeout
    seconds = _FIRST_PAUSE
    while True:
        left = None if end is None else end - (yield from clock())
        wait = seconds
        try:
            record = yield from limited(personal_lora(id), None if left is None else max(left, _LAST_REQUEST))
        except RateLimitError as error:
            wait = max(wait, error.retry_after or 0.0)
        else:
            if record.ended:
                return record
        if end is not None:
            left = end - (yield from clock())
            if left <= 0:
                message = f"the import of the personal LoRA {short_repr(id)} has not ended within {timeout:g} seconds"
                raise SogniTimeoutError(message, phase="total", timeout=timeout)
            wait = min(wait, left)
        yield from pause(wait)
        seconds = min(2 * seconds, _LONGEST_PAUSE)


def _personal_path(id: str) -> str:
    return f"{_PERSONAL}/{path_segment('id', id)}"


def _source_url(url: Any) -> str:
    """Check the URL of a LoRA. Errors do not show it: it may contain a token."""
    try:
        parts = urlsplit(text("url", url)) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme != "https" or not parts.hostname:
        allowed = "an https:// link to a public LoRA on Hugging Face or Civitai"
        raise ValidationError(f"url must be {allowed}", field="url", allowed=allowed)
    return str(url)


def _for_one_account(flow: Flow[T]) -> Flow[T]:
    """Run a flow. Raises `SogniError` if another account has signed in meanwhile: the outcome is not its own."""
    before = yield from change(_identity)
    outcome = yield from flow
    if (yield from change(_identity)) != before:
        raise SogniError("the signed-in account changed during the call; call again for the new account")
    return outcome


def _identity(state: State, _: float) -> Any:
    # Only tokens name their account. With cookies, any sign-in may be that of another one.
    return state.session.credentials.address or state.session.generation


# The check of a project


def check_loras(params: ProjectParams) -> Flow[None]:
    """Check the LoRAs of a project against the catalogue. Raises `ValidationError` before anything is sent.

    A refusal that rests on an old catalogue first fetches it again. If a catalogue is unavailable, its LoRAs are left
    to the service, which checks them, too: an outage of the catalogue alone must not stop projects.
    """
    ids = params.loras or ()
    personal = None
    if any(it.startswith(_PERSONAL_PREFIX) for it in ids):
        personal = yield from _unless_unavailable(personal_catalogue())
    while True:
        public = yield from _unless_unavailable(_public_catalogue(None))
        try:
            check_selection(params, public, personal)
        except ValidationError:
            if not (yield from change(lambda state, now: state.catalogue.forget_loras_older_than(OLD, now))):
                raise
        else:
            return


def _unless_unavailable(flow: Flow[LoraCatalog]) -> Flow[LoraCatalog | None]:
    try:
        return (yield from flow)
    except (AuthenticationError, PermissionDeniedError):
        # The account may not use personal LoRAs, so the service would refuse the project as well.
        raise
    except FAILURES as error:
        logger.warning("LoRA catalog unavailable, the service checks the LoRAs: %s", redact(str(error)))
        return None


def check_selection(params: ProjectParams, public: LoraCatalog | None, personal: LoraCatalog | None) -> None:
    """Raise `ValidationError` for LoRAs that a project cannot use; a catalogue that is None is not checked."""
    ids, strengths = params.loras or (), params.lora_strengths or ()
    limits = LoraConstraints() if public is None else public.constraints
    if len(ids) > limits.max_per_request:
        raise invalid_value("loras", ids, f"at most {limits.max_per_request} IDs")
    known = {lora.lora_id: lora for it in (public, personal) if it is not None for lora in it.loras}
    for index, lora_id in enumerate(ids):
        if (personal if lora_id.startswith(_PERSONAL_PREFIX) else public) is None:
            continue
        lora = known.get(lora_id)
        if lora is None:
            raise _unknown(f"loras[{index}]", lora_id, known.values(), params.model_id)
        _check_use(f"loras[{index}]", lora, known, params)
        if index < len(strengths):
            _check_strength(f"lora_strengths[{index}]", strengths[index], lora, limits)


def _unknown(field: str, lora_id: str, known: Iterable[Lora], model_id: str) -> ValidationError:
    """Return the error for an unknown id, with those that are close to it by id, slug or name."""
    ids = {
        spelling.casefold(): lora.lora_id
        for lora in known
        if model_id in lora.model_ids
        for spelling in (lora.name, lora.slug, lora.lora_id)
    }
    close = list(dict.fromkeys(ids[it] for it in nearest(lora_id.casefold(), ids)))
    owner = "account has no personal LoRA" if lora_id.startswith(_PERSONAL_PREFIX) else "service knows no LoRA"
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    message = f"{field}: the {owner} {short_repr(lora_id)}{hint}"
    return ValidationError(message, field=field, value=lora_id, allowed=tuple(close) or None)


def _check_use(field: str, lora: Lora, known: Mapping[str, Lora], params: ProjectParams) -> None:
    """Raise `ValidationError` if a LoRA is for other models, or needs the content filter off."""
    if params.model_id not in lora.model_ids:
        related = [it for it in lora.related_lora_ids if it in known and params.model_id in known[it].model_ids]
        hint = f"; did you mean {' or '.join(map(repr, related))}?" if related else ""
        message = (
            f"{field}: the LoRA {lora.lora_id!r} is for {_listed(lora.model_ids)}, not for {params.model_id}{hint}"
        )
        raise ValidationError(message, field=field, value=lora.lora_id, allowed=tuple(related) or None)
    if lora.ui.nsfw and not params.disable_nsfw_filter:
        message = f"{field}: the LoRA {lora.lora_id!r} needs disable_nsfw_filter=True"
        raise ValidationError(message, field=field, value=lora.lora_id)


def _check_strength(field: str, strength: float, lora: Lora, limits: LoraConstraints) -> None:
    # The service would clamp the strength silently.
    low = limits.min_strength if lora.ui.min is None else lora.ui.min
    high = limits.max_strength if lora.ui.max is None else lora.ui.max
    if not low <= strength <= high:
        raise invalid_value(field, strength, f"a number from {low:g} to {high:g} for the LoRA {lora.lora_id!r}")


def _listed(models: Sequence[str]) -> str:
    return ", ".join(models) or "no model"
