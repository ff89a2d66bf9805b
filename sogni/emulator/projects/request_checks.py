"""Checks of ``jobRequest`` payloads: the template keys and the values that all kinds of media share.

Only the payload is checked here, not balances and uploads. Each kind of media checks its own part.
"""
# Protocol notes: projects-4.2 §3.1, §4.

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from sogni.emulator.attribution import check_attribution_fields
from sogni.emulator.catalogue.loras import LORAS, Lora, check_loras
from sogni.emulator.catalogue.models import Catalogue, Media, Model, table
from sogni.emulator.fields import Fields, Finding
from sogni.emulator.projects.orders import Control, Network, Order

if TYPE_CHECKING:
    from sogni.emulator.media.kinds import MediaKind

REQUEST_TEMPLATE: Mapping[str, Any] = table("requestTemplate")
KEY_FRAME_TEMPLATE: Mapping[str, Any] = table("keyFrameTemplate")
INVALID_REQUEST = 400
UNKNOWN_MODEL = 404
NOT_AVAILABLE = 4104
"""The model is not available on this network yet."""
# Protocol notes: transport §16.

_UUID = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}")


@frozen
class Checked:
    """The outcome: an order, or error code and message; the findings in either case."""

    order: Order | None
    findings: list[Finding]
    code: int = 0
    message: str = ""


def project_id_of(payload: object) -> str | None:
    """Return the upper-case project ID of a frame, or None if it has no usable one."""
    given = payload.get("jobID") if isinstance(payload, dict) else None
    return given.upper() if isinstance(given, str) and given else None


def check_project_id(id: object) -> str | None:
    """Return what is wrong with a project ID: it must be a version-4 UUID in upper case."""
    # Protocol notes: transport §7.
    if isinstance(id, str) and _UUID.fullmatch(id):
        return None
    return f"must be a version-4 UUID in upper case, got {id!r}"


def check_request(
    payload: Mapping[str, Any],
    catalogue: Catalogue,
    kinds: Mapping[Media, MediaKind],
    network: Network,
    loras: Mapping[str, Lora] = LORAS,
) -> Checked:
    """Check a ``jobRequest`` payload that has a project ID.

    ``network`` is that of its connection, ``loras`` are those that its account can use.
    """
    findings: list[Finding] = []
    request = Fields(payload, "$", findings)
    wrong_id = check_project_id(request.raw("jobID"))
    if wrong_id:
        request.note("jobID", wrong_id)
    frame = _key_frame(request)
    if frame is None:
        return _refusal(findings)
    model_id = frame.text("modelID", required=True)
    if model_id is None:
        return _refusal(findings)
    model = catalogue.models.get(model_id)
    if model is None:
        frame.refuse("modelID", f"is not a known model: {model_id!r}")
        return _refusal(findings, UNKNOWN_MODEL)
    if request.text("network", allowed=("fast", "relaxed")):
        network = request.raw("network")
    kind = kinds.get(model.media)
    if kind is None or _unserved(catalogue, model, network):
        message = f"No worker on the {network} network currently serves the model {model.id}"
        return Checked(None, findings, NOT_AVAILABLE, message)
    _check_top_level(request, model)
    check_loras(request, frame, model, loras)
    order = kind.check(Reading(request, frame, model, network, catalogue))
    request.leftover()
    frame.leftover()
    if order is None or any(finding.refused for finding in findings):
        return _refusal(findings)
    return Checked(order, findings)


def _unserved(catalogue: Catalogue, model: Model, network: str) -> bool:
    return not catalogue.worker_count(model) or model.id not in catalogue.swarm_models(network)


def _key_frame(request: Fields) -> Fields | None:
    frames = request.raw("keyFrames")
    if not isinstance(frames, list) or len(frames) != 1:
        request.refuse("keyFrames", "must be a list of exactly one object")
        return None
    return request.object("keyFrames", frames[0], "[0]")


def _check_top_level(request: Fields, model: Model) -> None:
    request.constants(REQUEST_TEMPLATE)
    token = request.text("tokenType", allowed=("sogni", "spark"))
    # Requests without a token type are paid with Sogni (projects-4.2 §3.1).
    if model.spark_only and token != "spark":
        request.refuse("tokenType", f"must be spark for {model.id}")
    request.flag("disableSafety", required=True)
    request.text("appSource")
    request.text("billingMode", allowed=("auto", "subscription", "tokens"))
    request.flag("embedPromptMetadata")
    request.flag("promptExpanded")
    check_attribution_fields(request)


def _refusal(findings: list[Finding], code: int = INVALID_REQUEST) -> Checked:
    refused = [str(finding) for finding in findings if finding.refused]
    more = f" (and {len(refused) - 3} more)" if len(refused) > 3 else ""
    return Checked(None, findings, code, f"Invalid request: {'; '.join(refused[:3])}{more}")


SEED_LIMIT = 2**32 - 1


@frozen
class Reading:
    """A request that is being read: its two levels, and what its values depend on."""

    request: Fields
    frame: Fields
    model: Model
    network: Network
    catalogue: Catalogue

    @property
    def tier(self) -> Mapping[str, Any]:
        return self.catalogue.tiers[self.model.tier]

    def common(
        self, *, formats: Sequence[str], max_count: int, max_previews: int = 0, lowest_seed: int = 0
    ) -> dict[str, Any] | None:
        """Read the values that orders of all media share; return None if a required one is missing or invalid."""
        request = self.request
        count = request.whole("numberOfImages", required=True, minimum=1, maximum=max_count)
        previews = request.whole("previews", required=True, minimum=0, maximum=max_previews)
        output_format = request.text("outputFormat", required=True, allowed=tuple(formats))
        steps = self.limited("steps", whole=True)
        self.limited("guidanceScale", "guidance")
        seed = self.frame.number("seed", null=True, minimum=lowest_seed, maximum=SEED_LIMIT, whole=True)
        if count is None or previews is None or output_format is None:
            return None
        steps = int(self.catalogue.default(self.model, "steps") if steps is None else steps)
        return {
            "project_id": str(request.raw("jobID")).upper(),
            "model": self.model,
            "count": count,
            "previews": previews,
            "token": request.raw("tokenType") or "sogni",
            "network": self.network,
            "output_format": output_format,
            "disable_safety": bool(request.raw("disableSafety")),
            "app_source": request.raw("appSource"),
            "steps": steps,
            "seed": None if seed is None or seed < 0 else int(seed),
            "request": request.values,
        }

    def limited(self, key: str, name: str = "", *, whole: bool = False) -> float | None:
        """Read a number that the model's tier limits, there perhaps under another name."""
        limits = self.catalogue.range(self.model, name or key)
        # External providers ignore such settings.
        if limits is None or self.model.external:
            return self.frame.number(key, null=True, minimum=0)
        return self.frame.number(key, null=True, minimum=limits[0], maximum=limits[1], whole=whole)

    def prompts(self, *, negative: bool, required: bool = False) -> None:
        """Read the prompts; ``negative`` says whether the model takes a negative one, ``required`` whether always."""
        if self.frame.has("negativePrompt") and not negative:
            self.frame.note("negativePrompt", f"is not accepted by {self.model.id}")
        self.frame.text("positivePrompt")
        self.frame.text("negativePrompt", required=negative and required)
        self.frame.text("stylePrompt", required=True)

    def control(self, names: Sequence[str], *, of_image: bool) -> Control | None:
        """Read the ControlNet; those of images have more settings."""
        entries = self.frame.raw("currentControlNetsJob")
        if entries is None:
            return None
        if not isinstance(entries, list) or len(entries) != 1:
            self.frame.refuse("currentControlNetsJob", "must be a list of exactly one object")
            return None
        net = self.frame.object("currentControlNetsJob", entries[0], "[0]")
        if net is None:
            return None
        name = net.text("name", required=True, allowed=tuple(names))
        has_image = False
        if of_image:
            net.text("cnImageState", required=True, allowed=("original",))
            has_image = bool(net.flag("hasImage", required=True))
        net.number("controlStrength", minimum=0, maximum=1)
        if of_image:
            net.whole("controlMode", minimum=0, maximum=2)
            net.number("controlGuidanceStart", minimum=0, maximum=1)
            net.number("controlGuidanceEnd", minimum=0, maximum=1)
            net.flag("preprocess")
        net.leftover()
        return None if name is None else Control(name, has_image)

    def sampling(self, *, comfy: bool | None = None) -> None:
        """Read sampler and scheduler; ``comfy`` says which form the request has, if not the media and the keys do.

        Comfy requests have keys of their own; in legacy requests, ``scheduler`` holds the sampler and
        ``timeStepSpacing`` the scheduler.
        """
        # Protocol notes: projects-4.2 §5.1.
        frame = self.frame
        if comfy is None:
            comfy = frame.has("comfySampler") or self.model.media != "image"
        keys = ("comfySampler", "comfyScheduler") if comfy else ("scheduler", "timeStepSpacing")
        options = self.catalogue.samplers(self.model), self.catalogue.schedulers(self.model)
        for key, option in zip(keys, options, strict=True):
            value = frame.text(key, required=True, null=True)
            if value is not None and not option.accepts(value):
                frame.refuse(key, f"must be one of {', '.join(sorted(option.allowed))}, got {value!r}")
        for key in ("scheduler", "timeStepSpacing") if comfy else ():
            if not frame.has(key) or frame.raw(key) is not None:
                frame.refuse(key, "must be null if comfySampler is set")

    def receipt(self) -> None:
        """Read the receipt that links a result to a generated world."""
        # Protocol notes: projects-5x §2.2.
        if self.frame.has("worldGenerationReceipt"):
            self.frame.object("worldGenerationReceipt", self.frame.raw("worldGenerationReceipt"))
