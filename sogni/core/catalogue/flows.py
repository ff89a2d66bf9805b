"""Flows that fetch models, tiers and size presets, cached and shared between concurrent callers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from attrs import evolve

from sogni.core.catalogue.state import models_by_sid, named_models
from sogni.core.flow import Flow, change, connect, until
from sogni.core.http import HttpCall, get
from sogni.core.outbox import CONNECTION, MODELS
from sogni.core.requests import get_json, get_unwrapped_json
from sogni.core.shared_requests import shared
from sogni.errors import SogniError, SogniTimeoutError, ValidationError
from sogni.models.catalogue import AvailableModel, ModelOptions, SizePreset, SupportedModel
from sogni.models.converter import read
from sogni.settings import check_network, check_seconds

T = TypeVar("T")

OLD = 60.0
"""Age in seconds from which a refusal no longer rests on cached models and limits."""


def share_request(call: HttpCall, send: Callable[[HttpCall], Flow[T]]) -> Flow[T]:
    """Return the result of `send` for a call. Concurrent callers with the same call share one request."""
    requests = yield from change(lambda state, _: state.catalogue.requests)
    return (yield from shared(requests, call.target, partial(send, call), shares_errors=call.repeatable))


def supported_models(force_refresh: bool = False, *, tries: bool = True) -> Flow[list[SupportedModel]]:
    """Return all models of the network, cached for 24 hours. Without `tries`, failures are not retried."""
    if not force_refresh:
        kept = yield from change(lambda state, now: state.catalogue.models(now))
        if kept is not None:
            return list(kept)
    call = evolve(get("/api/v1/models/list", host="socket"), repeatable=tries)
    return list((yield from share_request(call, _ask_models)))


def _ask_models(call: HttpCall) -> Flow[list[SupportedModel]]:
    models = yield from get_unwrapped_json(list[SupportedModel], call)
    yield from change(lambda state, now: state.catalogue.keep_models(models, now))
    return models


def tiers() -> Flow[Mapping[str, Any]]:
    """Return the options of the tiers of models, cached for 24 hours."""
    kept = yield from change(lambda state, now: state.catalogue.tiers(now))
    if kept is not None:
        return kept
    return (yield from share_request(get("/api/v2/models/tiers", host="socket"), _ask_tiers))


def _ask_tiers(call: HttpCall) -> Flow[Mapping[str, Any]]:
    answer = read(dict[str, Any], (yield from get_json(call)), "the answer to GET /api/v2/models/tiers")
    yield from change(lambda state, now: state.catalogue.keep_tiers(answer, now))
    return answer


def model_options(model_id: str) -> Flow[ModelOptions]:
    """Return the options of a model, in a new object. Raises ValidationError for an unknown id."""
    return copy.deepcopy((yield from shared_options(model_id)))


def shared_options(model_id: str) -> Flow[ModelOptions]:
    """Return the options of a model, in a shared object. Raises ValidationError for an unknown id."""
    while (options := (yield from change(lambda state, now: state.catalogue.options(model_id, now)))) is None:
        yield from supported_models()
        yield from tiers()
    return options


def checked_options(
    model_id: str, check: Callable[[ModelOptions], None], known: ModelOptions | None = None
) -> Flow[ModelOptions]:
    """Return the options of a model that `check` has accepted. `known` are its cached options, if the caller has them.

    A refusal that rests on old data first fetches the data again: models and their limits change.
    """
    options = known
    while True:
        try:
            if options is None:
                options = yield from shared_options(model_id)
            check(options)
        except ValidationError:
            if not (yield from change(lambda state, now: state.catalogue.forget_older_than(OLD, now))):
                raise
            options = None
        else:
            return options


def size_presets(network: str, model_id: str, force_refresh: bool = False) -> Flow[list[SizePreset]]:
    """Return the named sizes of a model, cached for 10 minutes."""
    check_network(network)
    if not force_refresh:
        kept = yield from change(lambda state, now: state.catalogue.presets(network, model_id, now))
        if kept is not None:
            return list(kept)
    model = quote(model_id, safe="", errors="surrogatepass")
    call = get(f"/api/v1/size-presets/network/{network}/model/{model}", host="socket")

    def ask_presets(call: HttpCall) -> Flow[list[SizePreset]]:
        presets = yield from get_unwrapped_json(list[SizePreset], call)
        yield from change(lambda state, now: state.catalogue.keep_presets(network, model_id, presets, now))
        return presets

    return list((yield from share_request(call, ask_presets)))


def available_models(network: str) -> Flow[list[AvailableModel]]:
    """Return the models that currently have workers on a network."""
    check_network(network)
    workers = yield from get_unwrapped_json(
        dict[str, int], get(f"/api/v1/status/network/{network}/models", host="socket")
    )
    models = yield from supported_models()
    return models_by_sid(workers, models)


def name_models(workers: Mapping[str, int], turn: int) -> Flow[None]:
    """Give the live list its names; ids serve as names when the model list is unavailable."""
    try:
        models = yield from supported_models(tries=False)
    except SogniError:
        models = []
    yield from change(lambda state, _: state.models_named(named_models(workers, models), turn))


def wait_for_models(timeout: float | None) -> Flow[list[AvailableModel]]:
    """The live list as soon as it is not empty. ValidationError, SogniTimeoutError."""
    timeout = check_seconds("timeout", timeout)
    yield from change(lambda state, _: state.check_may_connect())
    yield from connect()

    def found(state: Any) -> list[AvailableModel] | None:
        if not state.catalogue.available and state.connection.phase == "ended":
            raise state.why_closed()
        return list(state.catalogue.available) or None

    try:
        return (
            yield from until(
                (MODELS, CONNECTION), found, timeout=timeout, phase="ready", waiting_for="a model with workers"
            )
        )
    except SogniTimeoutError as error:
        raise SogniTimeoutError(
            f"no model was announced within {timeout:g} seconds", phase="ready", timeout=timeout
        ) from error
