"""Rules of single families of video models: HappyHorse, Wan 3 and MiniMax H3.

Each reads the keys that only its family has, and returns the roles of uploads beyond the asset matrix.
"""
# Protocol notes: projects-5x §3.2, §4.4 to §4.6.

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from sogni.emulator.catalogue.models import CARRIES_REFERENCE_AUDIO, Model
from sogni.emulator.fields import Fields, is_https

_ANCHORS = frozenset({"referenceImage", "referenceImageEnd"})


@frozen
class Given:
    """The workflow of a request, the uploads that it flags, the number of URLs by key, and the number of frames."""

    workflow: str | None
    uploads: frozenset[str]
    urls: Mapping[str, int]
    frames: int


def refuse_uploads(frame: Fields, given: Given, names: frozenset[str], model: Model) -> None:
    for name in sorted(given.uploads & names):
        frame.refuse(f"has{name[0].upper()}{name[1:]}", f"must be omitted: {model.id} does not accept {name}")


# HappyHorse


_HAPPYHORSE_IMAGES = {"t2v": (0, 0), "i2v": (1, 1), "r2v": (1, 9)}


def happyhorse(frame: Fields, model: Model, given: Given) -> list[str]:
    """Image references only."""
    refuse_uploads(frame, given, given.uploads - {"referenceImage"}, model)
    for key in ("referenceVideoURLs", "referenceAudioURLs"):
        if given.urls[key]:
            frame.refuse(key, f"is not accepted by {model.id}")
    images = given.urls["referenceImageURLs"] + ("referenceImage" in given.uploads)
    low, high = _HAPPYHORSE_IMAGES[str(given.workflow)]
    if not low <= images <= high:
        frame.refuse("reference images", f"are {images}; {model.id} takes {low} to {high}")
    return []


# Wan 3


_RATIOS = ("adaptive", "16:9", "4:3", "1:1", "3:4", "9:16")
_WAN3_URLS = {"referenceImageURLs": 10, "referenceVideoURLs": 5, "referenceAudioURLs": 5}
_WAN3_SEED = 2_147_483_647


def wan3(frame: Fields, model: Model, given: Given) -> list[str]:
    """Frame anchors or loose references, and a document or a link for the standard model."""
    enhanced = "spicy" in model.id
    frame.text("ratio", allowed=_RATIOS)
    frame.flag("promptExtend")
    if frame.flag("watermark") is not None and enhanced:
        frame.refuse("watermark", f"is not supported by {model.id}")
    documents = [key for key in ("referenceFileURL", "referenceLinkURL") if _document(frame, key, model, enhanced)]
    if len(documents) > 1:
        frame.refuse("referenceLinkURL", "must be omitted together with referenceFileURL")
    refuse_uploads(frame, given, frozenset({"referenceAudioIdentity", "referenceMask"}), model)
    for key, most in _WAN3_URLS.items():
        upload = key.removesuffix("URLs")
        count = given.urls[key] + (upload in given.uploads and key != "referenceImageURLs")
        if count > most:
            frame.refuse(key, f"are {count}; {model.id} takes at most {most}")
    seed = frame.raw("seed")
    if isinstance(seed, int | float) and seed > _WAN3_SEED:
        frame.refuse("seed", f"must be at most {_WAN3_SEED}, got {seed:g}")
    anchored = given.uploads & _ANCHORS
    loose = bool(given.uploads - _ANCHORS) or any(given.urls.values()) or bool(documents)
    if anchored == {"referenceImageEnd"} and not enhanced:
        frame.refuse("hasReferenceImageEnd", "must be sent together with hasReferenceImage")
    if anchored and loose:
        frame.refuse("hasReferenceImage", "must not be sent together with loose references")
    if not anchored and not loose and not str(frame.raw("positivePrompt") or "").strip():
        frame.refuse("positivePrompt", "is missing, and there is no reference")
    return []


def _document(frame: Fields, key: str, model: Model, enhanced: bool) -> bool:
    url = frame.text(key)
    if url is None:
        return False
    if enhanced:
        frame.refuse(key, f"is not supported by {model.id}")
    elif not is_https(url):
        frame.refuse(key, f"must be an https URL, got {url!r}")
    return True


# MiniMax H3


_H3_MOST = {"image": 9, "video": 3, "audio": 3}
_H3_TOTAL = 12
_KEYFRAMES = 8
_NO_KEYFRAMES = ("t2v",)
EXTENDS = frozenset(
    {
        "minimax-h3-fl2va-fp8_t2v",
        "minimax-h3-fl2va-fp8_t2v_balanced",
        "minimax-h3-fastvideo-int8_t2v_turbo",
        "minimax-h3-fastvideo-int8_t2v_turbo_2stage",
    }
)
"""The models that continue a reference video."""


def minimax_h3(frame: Fields, model: Model, given: Given) -> list[str]:
    """Numbered references, keyframes, audio guides and extended videos."""
    _h3_audio(frame, model, given)
    roles = _h3_references(frame, model, given)
    places = _h3_keyframes(frame, model, given)
    has_video = "referenceVideo" in given.uploads
    if frame.text("extendOutput", allowed=("extended", "continuation")) is not None and not has_video:
        frame.refuse("extendOutput", "requires a model that continues a reference video, and the video")
    packed = frame.text("referenceVideoCompression", allowed=("vpack",)) is not None
    if packed and ("_2stage" in model.id or not any(role.startswith("referenceVideo") for role in roles)):
        frame.refuse("referenceVideoCompression", "requires a reference video and a one-stage r2v model")
    return [*roles, *(f"keyframeImage{number}" for number in range(1, len(places) + 1))]


def _h3_audio(frame: Fields, model: Model, given: Given) -> None:
    if frame.has("audioDuration"):
        frame.refuse("audioDuration", f"is not supported by {model.id}")
    guided = given.workflow in CARRIES_REFERENCE_AUDIO
    if guided and frame.raw("generateAudio") is False:
        frame.refuse("generateAudio", f"must not be false for {model.id}")
    if not guided and frame.has("audioStart"):
        frame.refuse("audioStart", f"is not supported by {model.id}")


def _h3_references(frame: Fields, model: Model, given: Given) -> list[str]:
    """Read the numbered references and return their roles."""
    roles: list[str] = []
    for prefix, most in (("contextImage", 10), ("referenceAudio", 4), ("referenceVideo", 4)):
        for number in range(1, most + 1):
            role = f"{prefix}{number}"
            if frame.flag(f"has{role[0].upper()}{role[1:]}"):
                roles.append(role)
            if prefix != "contextImage":
                frame.text(f"{role}ContentType")
    for number in range(1, 4):
        frame.number(f"referenceVideo{number}DurationSeconds", minimum=1.95, maximum=15.05)
    if given.workflow != "r2v":
        if roles:
            frame.refuse("numbered references", f"are not accepted by {model.id}")
        return roles
    first = "referenceImage" in given.uploads
    counts = {kind: sum(kind in role.lower() for role in roles) for kind in _H3_MOST}
    counts["image"] += first
    for kind, count in counts.items():
        if count > _H3_MOST[kind]:
            frame.refuse(f"reference {kind}s", f"are {count}; {model.id} takes at most {_H3_MOST[kind]}")
    if sum(counts.values()) > _H3_TOTAL:
        frame.refuse("references", f"are {sum(counts.values())}; {model.id} takes at most {_H3_TOTAL}")
    if not counts["image"] + counts["video"]:
        frame.refuse("references", f"are missing: {model.id} requires an image or a video")
    if first and "contextImage1" in roles:
        frame.refuse("hasContextImage1", "must be omitted: the reference image is the first image")
    return roles


def _h3_keyframes(frame: Fields, model: Model, given: Given) -> list[int]:
    flags = [frame.flag(f"hasKeyframeImage{number}") for number in range(1, _KEYFRAMES + 1)]
    places = [int(place) for place in frame.numbers("keyframeFrameIndices")]
    if flags != [True] * len(places) + [None] * (_KEYFRAMES - len(places)):
        frame.refuse("keyframeFrameIndices", "must have one index for each keyframe image, numbered from 1")
    if places and given.workflow in _NO_KEYFRAMES:
        frame.refuse("keyframeFrameIndices", f"is not accepted by {model.id}")
    if len(set(places)) < len(places) or not all(0 < place < given.frames - 1 for place in places):
        frame.refuse("keyframeFrameIndices", f"must be different frames between 1 and {given.frames - 2}")
    return places


FAMILY_RULES: Mapping[str, Callable[[Fields, Model, Given], list[str]]] = {
    "HappyHorse": happyhorse,
    "Wan 3": wan3,
    "MiniMax H3": minimax_h3,
}
