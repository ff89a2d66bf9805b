"""Whether a ``jobRequest`` is one the service takes, and what is wrong with it when it is not.

Called by the intake of projects. It decides on the payload alone: balances and uploads are looked at
afterwards. What belongs to one kind of media is decided by that kind's own check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from .catalogue import Catalogue, Media, Model
from .fields import Fields, Finding
from .orders import MediaKind, Network, Order
from .request_template import ATTRIBUTION_KEYS, REQUEST_TEMPLATE

INVALID_REQUEST = 400
UNKNOWN_MODEL = 404
NOT_AVAILABLE = 4104
"""The model is not available on this network yet (transport §16)."""

_UUID = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}")


@frozen
class Checked:
    """The outcome: an order, or the code and text of the refusal; the findings in either case."""

    order: Order | None
    findings: list[Finding]
    code: int = 0
    message: str = ""


def project_id_of(payload: Any) -> str | None:
    """Return the upper-cased project id of a frame, or None when an answer could not name one."""
    given = payload.get("jobID") if isinstance(payload, dict) else None
    return given.upper() if isinstance(given, str) and given else None


def check_project_id(id: object) -> str | None:
    """Return what is wrong with a project id: a version-4 UUID in upper case is expected (transport §7)."""
    if isinstance(id, str) and _UUID.fullmatch(id):
        return None
    return f"must be a version-4 UUID in upper case, not {id!r}"


def check_request(
    payload: Mapping[str, Any], catalogue: Catalogue, kinds: Mapping[Media, MediaKind], network: Network
) -> Checked:
    """Check a ``jobRequest`` payload that has a project id; ``network`` is that of its connection."""
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
        frame.refuse("modelID", f"names no known model: {model_id!r}")
        return _refusal(findings, UNKNOWN_MODEL)
    if request.text("network", allowed=("fast", "relaxed")):
        network = request.raw("network")
    kind = kinds.get(model.media)
    if kind is None or _unserved(catalogue, model, network):
        message = f"No worker on the {network} network currently serves the model {model.id}"
        return Checked(None, findings, NOT_AVAILABLE, message)
    _check_top_level(request, model)
    order = kind.check(request, frame, model, network)
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
    # Requests without a token are paid in Sogni (projects-4.2 §3.1).
    if model.spark_only and token != "spark":
        request.refuse("tokenType", f"must be spark for {model.id}")
    request.flag("disableSafety", required=True)
    request.text("appSource")
    request.text("billingMode", allowed=("auto", "subscription", "tokens"))
    request.flag("embedPromptMetadata")
    request.raw("promptExpanded")
    for key in ATTRIBUTION_KEYS:
        request.text(key)


def _refusal(findings: list[Finding], code: int = INVALID_REQUEST) -> Checked:
    refused = [str(finding) for finding in findings if finding.refused]
    more = f" (and {len(refused) - 3} more)" if len(refused) > 3 else ""
    return Checked(None, findings, code, f"Invalid request: {'; '.join(refused[:3])}{more}")
