"""The rule of Wan 3: decides between frames and references, and what a document may be (projects-5x §4.5).

Called by `video_rules`; counts, fps and seeds of the family are in its rows. It fetches no address.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ..models.video_params import VideoProjectParams
from .field_checks import refusal, text
from .upload_plan import is_supplied
from .video_families import URL_LISTS, VideoModel

RATIOS = ("adaptive", "16:9", "4:3", "1:1", "3:4", "9:16")

_DOCUMENTS = ("reference_file_url", "reference_link_url")


def check_wan3(params: VideoProjectParams, model: VideoModel) -> VideoProjectParams:
    """Return the params; ValidationError for inputs that exclude each other, or for none at all."""
    documents = [name for name in _DOCUMENTS if getattr(params, name) is not None]
    for name in documents:
        _check_address(name, getattr(params, name))
    if len(documents) > 1:
        sentence = "give reference_file_url or reference_link_url, not both"
        raise refusal("reference_link_url", params.reference_link_url, "one of the two", sentence)
    start, end = is_supplied(params.reference_image), is_supplied(params.reference_image_end)
    # The model that takes no documents is the one that can begin anywhere.
    if end and not start and _DOCUMENTS[0] in model.takes:
        sentence = f"reference_image_end: {params.model_id} needs a reference_image before it"
        raise refusal("reference_image_end", params.reference_image_end, "with a reference_image", sentence)
    loose = [name for name in ("reference_video", "reference_audio") if is_supplied(getattr(params, name))]
    loose += [name for name in URL_LISTS if getattr(params, name)] + documents
    if (start or end) and loose:
        sentence = f"{loose[0]}: {params.model_id} takes first and last frames or references, not both"
        raise refusal(loose[0], getattr(params, loose[0]), "without reference_image and reference_image_end", sentence)
    if not (start or end or loose):
        text("positive_prompt", params.positive_prompt, empty=False)
    return params


def _check_address(name: str, address: str) -> None:
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise refusal(name, address, "an address that starts with https://")
