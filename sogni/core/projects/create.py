"""Flows that estimate, create and enhance projects, and that create many within one cost limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from logging import INFO
from typing import Any

import attrs

from sogni.core import tracing
from sogni.core.attribution import workload
from sogni.core.catalogue.flows import checked_options, shared_options, size_presets
from sogni.core.catalogue.loras import check_loras
from sogni.core.catalogue.model_families import is_spark_only
from sogni.core.checks import invalid_value, one_of, optional, reject_none_items, short_repr, text
from sogni.core.connection.flows import prepare_to_send, send_frame
from sogni.core.flow import Flow, State, change, new_id, open_media, write_frame
from sogni.core.http import HttpCall
from sogni.core.media import Remote, sniff
from sogni.core.projects.cancel import cancel_frame
from sogni.core.projects.estimates import (
    audio_estimate_call,
    enhancement_estimate_call,
    find_preset,
    image_estimate_call,
    needs_options,
    read_estimate,
    requested_preset,
    video_estimate_call,
)
from sogni.core.projects.idempotency import Claim
from sogni.core.projects.image_requests import (
    enhancement_params,
    enhancement_refusal,
    enhancement_strength,
    has_custom_size,
)
from sogni.core.projects.job import JobState
from sogni.core.projects.kinds import Checked, checked_params, kind_of, wanted_size
from sogni.core.projects.project import ProjectState
from sogni.core.projects.transfers import fetch_url, result_url, spool_result, upload_media
from sogni.core.projects.uploads import UploadItem
from sogni.core.projects.waiting import raise_for_outcome, wait_for_project
from sogni.core.requests import FAILURES, get_json
from sogni.core.tracing import Trace
from sogni.errors import CostLimitError, JobError, ValidationError, brief
from sogni.models.catalogue import ModelOptions, SizePreset
from sogni.models.params import ProjectParams
from sogni.models.projects import CostEstimation
from sogni.settings import NETWORKS, TOKENS, Settings, TokenType

DEFAULT_TOKEN: TokenType = "sogni"
"""The token that pays for a project by default (projects-4.2 §3.1)."""


def estimate_params(checked: Checked[Any]) -> Flow[CostEstimation]:
    """Estimate the cost of the project with these params."""
    params = checked.params
    options = yield from _checked_options(checked)
    settings, network = yield from change(lambda state, _: (state.settings, params.network or state.network))
    token = paying_token(params, settings)
    preset = yield from _preset(wanted_size(params), network, params.model_id)
    call = kind_of(params).estimate(checked, preset=preset, options=options, network=network, token_type=token)
    return read_estimate((yield from get_json(call)))


def paying_token(params: ProjectParams, settings: Settings) -> TokenType:
    """Return the token that pays for a project."""
    return paying_token_of(params.model_id, params.token_type, settings)


def paying_token_of(model_id: str, given: TokenType | None, settings: Settings) -> TokenType:
    """Return the token that pays for a model; `given` is the one that the call names."""
    return _token_for(model_id, given, settings) or DEFAULT_TOKEN


def token_to_send(params: ProjectParams, settings: Settings) -> TokenType | None:
    """Return the token that the request names; None to leave it to the service."""
    return _token_for(params.model_id, params.token_type, settings)


def _token_for(model_id: str, given: TokenType | None, settings: Settings) -> TokenType | None:
    return given or ("spark" if is_spark_only(model_id) else settings.token_type)


def _checked_options(checked: Checked[Any], known: ModelOptions | None = None) -> Flow[ModelOptions]:
    kind = kind_of(checked.params)
    return (yield from checked_options(checked.params.model_id, partial(kind.check_options, checked), known))


def estimate_project(given: ProjectParams | None, fields: Mapping[str, Any]) -> Flow[CostEstimation]:
    """Estimate the cost of the project that `create` makes of the same arguments."""
    return (yield from estimate_params(checked_params(given, fields, "estimate")))


def _with_paying_token(call: str, model: str, given: Mapping[str, Any]) -> Flow[dict[str, Any]]:
    """Return the arguments of an estimate with the token in which `create` pays for the model."""
    if isinstance(model, Mapping):
        raise brief(TypeError(f"model must be the id of a model, got a mapping; use {call}(**params)"))
    token = given.get("token_type")
    optional(one_of, "token_type", token, allowed=TOKENS)
    text("model", model, empty=False)
    settings = yield from change(lambda state, _: state.settings)
    return {**given, "token_type": paying_token_of(model, token, settings)}


def estimate_image(model: str, **given: Any) -> Flow[CostEstimation]:
    """Estimate the cost of images of a model."""
    given = yield from _with_paying_token("estimate_cost", model, given)
    size_preset = given.pop("size_preset", None)
    options = yield from shared_options(model)
    preset = yield from _preset(size_preset, given.get("network") or "fast", model)
    call = image_estimate_call(model, **given, preset=preset, options=options)
    return read_estimate((yield from get_json(call)))


def estimate_video(model: str, **given: Any) -> Flow[CostEstimation]:
    """Estimate the cost of videos of a model; its options are only fetched for missing arguments."""
    given = yield from _with_paying_token("estimate_video_cost", model, given)
    return (yield from _estimate_media(video_estimate_call, model, given))


def estimate_audio(model: str, **given: Any) -> Flow[CostEstimation]:
    """Estimate the cost of music or speech of a model; its options are only fetched for missing arguments."""
    given = yield from _with_paying_token("estimate_audio_cost", model, given)
    return (yield from _estimate_media(audio_estimate_call, model, given))


def _estimate_media(call_for: Callable[..., HttpCall], model: str, given: dict[str, Any]) -> Flow[CostEstimation]:
    options = (yield from shared_options(model)) if needs_options(call_for, given) else None
    announced = yield from change(lambda state, _: state.announced_network)
    # The service may announce a network that this version does not know; it then uses its default.
    known = announced if announced in NETWORKS else None
    network = given.pop("network", None) or known
    return read_estimate((yield from get_json(call_for(model, **given, network=network, options=options))))


def estimate_enhancement(strength: str, token_type: str | None, **size: int | None) -> Flow[CostEstimation]:
    """Estimate the cost of enhancing an image."""
    call = enhancement_estimate_call(strength, token_type, **size)
    return read_estimate((yield from get_json(call)))


def _preset(size_preset: str | None, network: str, model_id: str) -> Flow[SizePreset | None]:
    preset_id = requested_preset(size_preset)
    if preset_id is None:
        return None
    return find_preset((yield from size_presets(network, model_id)), preset_id)


# Creating (projects-4.2 §4.6): all checks come before the first upload, and the project is tracked before its frame is
# written, so that no reply is lost.


Sources = list[list[tuple[UploadItem, Any]]]


def create_once(
    key: str | None,
    given: ProjectParams | Checked[Any] | None,
    fields: Mapping[str, Any],
    max_cost: Any = None,
    announce: Callable[[str], None] | None = None,
    *,
    is_new: bool = False,
) -> Flow[ProjectState]:
    """Create a project, unless there is one with the same idempotency key, which is then followed.

    `announce` is only called for a new project. `is_new`: the key has not been used.
    """
    if key is None:
        return create_project(given, fields, max_cost, announce)
    return _create_claimed(Claim(key, new=is_new), given, fields, max_cost, announce)


def _create_claimed(
    claim: Claim,
    given: ProjectParams | Checked[Any] | None,
    fields: Mapping[str, Any],
    max_cost: Any,
    announce: Callable[[str], None] | None,
) -> Flow[ProjectState]:
    try:
        project = yield from create_project(given, fields, max_cost, announce, claim=claim)
        if claim.project is None:
            yield from claim.sent(project)
        return project
    finally:
        claim.release()


def create_project(
    given: ProjectParams | Checked[Any] | None,
    fields: Mapping[str, Any],
    max_cost: Any = None,
    announce: Callable[[str], None] | None = None,
    *,
    unattended: bool = False,
    claim: Claim | None = None,
) -> Flow[ProjectState]:
    """Check, upload and send a project; returns it once its request has been written.

    `announce` is called with the project's id before anything is sent. If an `unattended` project is interrupted while
    its request is sent, it is canceled, because no caller gets to know its id.
    """
    limit = cost_limit(max_cost)
    checked = checked_params(given, fields)
    work = partial(_create, checked, limit, announce, unattended=unattended, claim=claim)
    observer = tracing.observer
    if observer is None:
        return (yield from work(None))
    trace = observer.project(checked.params)
    return (yield from tracing.traced(trace, work(trace)))


def _create(
    checked: Checked[Any],
    limit: Decimal | None,
    announce: Callable[[str], None] | None,
    trace: Trace | None,
    *,
    unattended: bool,
    claim: Claim | None,
) -> Flow[ProjectState]:
    params = checked.params
    kind = kind_of(params)
    uploads = kind.uploads(params)
    settings, options = yield from change(partial(_settings_to_connect, None if uploads else params.model_id))
    sources: Sources = []
    try:
        yield from _open_sources(uploads, sources)
        yield from _checked_options(checked, options)
        if params.loras:
            yield from check_loras(params)
        if (token := token_to_send(params, settings)) != params.token_type:
            params = attrs.evolve(params, token_type=token)
            checked = Checked(params)
        if claim is None:
            project_id = yield from new_id()
        else:
            sizes = {item.field: source.size for group in sources for item, source in group}
            project_id = yield from claim.take(params, sizes)
            if claim.project is not None:
                if trace is not None:
                    trace.end(claim.project)
                return claim.project
        payload = kind.request(checked, project_id=project_id, app_source=settings.app_source)
        if settings.attribution is not None or params.attribution is not None:
            payload |= workload(settings.attribution, params.attribution, project_id)
        for group in sources:
            for item, source in group:
                kind.annotate(payload, item, source.content_type)
        if limit is not None:
            yield from check_cost(checked, limit)
        if announce is not None:
            announce(project_id)
        yield from upload_media(project_id, sources)
    finally:
        _close(sources)
    return (yield from submit(project_id, params, payload, unattended=unattended, trace=trace))


def _settings_to_connect(model_id: str | None, state: State, now: float) -> tuple[Settings, ModelOptions | None]:
    """Return the settings, and the options of a model if they are known."""
    state.check_may_connect()
    try:
        return state.settings, None if model_id is None else state.catalogue.options(model_id, now)
    except ValidationError:
        # Unknown models are refused by `checked_options`, which first fetches an old list again.
        return state.settings, None


def check_media(params: ProjectParams) -> Flow[None]:
    """Check all media files of a project that is created later."""
    sources: Sources = []
    try:
        yield from _open_sources(kind_of(params).uploads(params), sources)
    finally:
        _close(sources)


def _close(sources: Sources) -> None:
    for group in sources:
        for _, source in group:
            source.close()


def _open_sources(groups: list[list[UploadItem]], sources: Sources) -> Flow[None]:
    """Open and check all media files before anything is sent."""
    for group in groups:
        opened: list[tuple[UploadItem, Any]] = []
        sources.append(opened)
        for item in group:
            source = yield from open_source(item.field, item.media)
            opened.append((item, source))
            source.content_type = item.check(source.name, sniff(source.head, item.slot))


def open_source(name: str, media: Any) -> Flow[Any]:
    """Return a media source for any input: a finished job stands for its result, a trusted URL for its content."""
    if isinstance(media, Remote):
        return (yield from fetch_url(media))
    state = media if isinstance(media, JobState) else getattr(media, "_state", None)
    if state is not None and hasattr(state, "has_result_media"):
        if not state.has_result_media:
            raise ValidationError(
                f"{name} must be a completed job with a result, got job {state.id}, which is {state.status}",
                field=name,
                value=state.id,
                allowed="a completed job",
            )
        return (yield from spool_result(state, name))
    return (yield from open_media(name, media))


def submit(
    project_id: str, params: Any, payload: dict[str, Any], *, unattended: bool = False, trace: Trace | None = None
) -> Flow[ProjectState]:
    """Track a project and write its request; if that fails, it is no longer tracked."""
    perhaps_sent = False

    def register(state: State, now: float) -> tuple[ProjectState, tuple[float, bool]]:
        prepared = prepare_to_send(state)
        project = ProjectState(
            project_id,
            params,
            state.out,
            now=now,
            kind=state.catalogue.kind_of(params.model_id),
            listening=state.listening,
        )
        project.request = payload
        project.being_sent = True
        project.trace = trace
        state.projects.track(project, now)
        return project, prepared

    def sending(state: State, now: float) -> None:
        nonlocal perhaps_sent
        perhaps_sent = True
        project.app_id = state.app_id
        project.sent_at = now
        project.sent_generation = state.connection.generation
        what = (params.type, params.model_id, params.number_of_media)
        state.out.log(INFO, "project %s: requesting %s with %s, %d results", project_id, *what)

    project, prepared = yield from change(register)
    try:
        yield from send_frame("jobRequest", payload, sending, prepared=prepared)
    except FAILURES:
        project.abandon()
        raise
    except BaseException as interruption:
        # The frame may have been sent. If so, the project stays tracked, and the next reconciliation finds out.
        if not perhaps_sent:
            project.abandon()
        elif unattended and not isinstance(interruption, GeneratorExit | SystemExit):
            yield from write_frame("jobError", cancel_frame(project_id))
        raise
    finally:
        project.being_sent = False
    return project


def cost_limit(max_cost: Any) -> Decimal | None:
    """Return a cost limit as an exact amount."""
    if max_cost is None:
        return None
    try:
        amount = Decimal(str(max_cost)) if not isinstance(max_cost, bool) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or amount < 0:
        raise ValidationError(
            f"max_cost must be a number of 0 or more, got {short_repr(max_cost)}",
            field="max_cost",
            value=max_cost,
            allowed="0 or more",
        )
    return amount


def check_cost(checked: Checked[Any], limit: Decimal, left: Decimal | None = None) -> Flow[Decimal]:
    """Return the estimated cost. Raises `CostLimitError` if it exceeds the limit or is unavailable.

    `left` is the rest of the limit if it applies to several projects.
    """
    bound = limit if left is None else left
    try:
        estimate = yield from estimate_params(checked)
    except FAILURES as error:
        raise CostLimitError(
            f"max_cost={limit} needs an estimate, which is unavailable: {error}", max_cost=limit
        ) from error
    cost = estimate.token
    if cost is None or cost > bound:
        message = f"max_cost={limit} needs an estimate, which the service did not give"
        if cost is not None:
            remaining = "" if left is None else f", of which {left} is left"
            token = yield from change(lambda state, _: paying_token(checked.params, state.settings))
            message = f"the estimated cost of {cost} {token} exceeds max_cost={limit}{remaining}"
        raise CostLimitError(
            message,
            estimate=estimate,
            max_cost=limit,
        )
    return cost


# Enhancing: projects-5x §8, additions-5x §14.


def enhance(
    job: JobState, user_object: Any, strength: str, *, token_type: TokenType | None = None, **prompts: Any
) -> Flow[str]:
    """Make an enhanced version of a finished image; returns its URL."""
    enhancement_strength(strength)
    project = job.project
    refusal = enhancement_refusal(
        kind=project.kind,
        status=job.status,
        withheld=job.withheld,
        model_id=getattr(project.params, "model_id", ""),
    )
    if refusal is not None:
        raise JobError(f"job {job.id}: {refusal}", job=user_object)
    size = yield from _size_of(project.params)
    settings = yield from change(lambda state, _: state.settings)
    params = enhancement_params(
        project.params,
        image=user_object,
        strength=strength,
        seed=job.seed,
        size=size,
        token_type=token_type or token_to_send(project.params, settings),
        **prompts,
    )
    enhancement = yield from create_project(params, {})
    yield from change(lambda state, now: _link_enhancement(state, job, enhancement, now))
    yield from wait_for_project(enhancement, timeout=None, queue_timeout=None)
    raise_for_outcome(enhancement, strict=True)
    return enhancement.result_urls[0]


def _size_of(params: Any) -> Flow[tuple[int, int] | None]:
    """Return width and height of an image project in pixels, None if it has the default of its model."""
    if has_custom_size(params):
        return params.width, params.height
    network = yield from change(lambda state, _: params.network or state.network)
    preset = yield from _preset(params.size_preset, network, params.model_id)
    return None if preset is None else (preset.width, preset.height)


def enhanced_url(project: ProjectState) -> Flow[str]:
    """Return the URL of the enhanced image. Raises `JobError` until there is one."""
    for job in project.job_list():
        return (yield from result_url(job))
    raise JobError(f"the enhanced image is {project.status}; only a completed one has a result")


def _link_enhancement(state: State, job: JobState, enhancement: ProjectState, now: float) -> None:
    if job.enhancement is not None:
        job.enhancement.enhances = None
    job.enhancement = enhancement
    job.project.enhancement_changed(job, now)
    if not enhancement.settled:
        enhancement.enhances = job


class RequestQueue:
    """Requests that are created one by one, within a common cost limit; stops at the first error."""

    def __init__(self, requests: Iterable[Any], concurrency: Any, max_cost: Any) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise ValidationError(
                f"concurrency must be an integer of 1 or more, got {short_repr(concurrency)}",
                field="concurrency",
                value=concurrency,
                allowed="1 or more",
            )
        self.concurrency = concurrency
        self._requests = enumerate(reject_none_items("requests", requests))
        self._next: list[Any] = []
        self._budget = Budget(max_cost)
        self._error: Exception | None = None

    def more(self) -> bool:
        """Whether there is another project to create."""
        if self._error is not None:
            return False
        if not self._next:
            try:
                place, request = next(self._requests)
                if request is None:
                    raise invalid_value(f"requests[{place}]", None, "params or a mapping with their fields")
                self._next.append(request)
            except StopIteration:
                return False
            except Exception as error:
                # Raised by the caller's iterable: projects in progress are paid for, and yielded first.
                self.failed(error)
                return False
        return True

    def take(self) -> tuple[Any, Flow[ProjectState]]:
        """Return the next request and the flow that creates its project."""
        request = self._next.pop()
        return request, self._create(request)

    def failed(self, error: Exception) -> None:
        """Record that a request could not be started; later ones are not started either."""
        self._error = error

    def finish(self) -> None:
        """Raise the error that kept a request from being started."""
        if self._error is not None:
            raise self._error

    def _create(self, request: Any) -> Flow[ProjectState]:
        given = request if not isinstance(request, Mapping) else None
        fields = dict(request) if isinstance(request, Mapping) else {}
        key = fields.pop("idempotency_key", None)
        checked = checked_params(given, fields)
        yield from self._budget.spend(checked)
        return (yield from create_once(key, checked, {}))


class Budget:
    """A cost limit for several projects, and the rest of it."""

    def __init__(self, max_cost: Any) -> None:
        self._limit = self._left = cost_limit(max_cost)

    def spend(self, given: ProjectParams | Checked[Any]) -> Flow[Decimal]:
        """Subtract the estimate of a project from the rest of the limit, and return it.

        Raises `CostLimitError` if it exceeds that. Without a limit, nothing is estimated.
        """
        if self._limit is None or self._left is None:
            return Decimal()
        cost = yield from check_cost(checked_params(given, {}), self._limit, self._left)
        self._left -= cost
        return cost

    def settle(self, estimate: Decimal, cost: Decimal) -> None:
        """Replace the estimate of a project with its cost."""
        if self._left is not None:
            self._left += estimate - cost
