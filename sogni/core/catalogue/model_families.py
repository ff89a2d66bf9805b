"""Derive the media kind, the video workflow and the assets of a workflow from a model id.

The rows are in `data/model-families.json`; a new family is a new row. If the model list contains the kind of a model,
the caller passes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from attrs import field, frozen

from sogni.core.checks import invalid_value, short_repr, text
from sogni.core.data import table
from sogni.models.base import MediaKind
from sogni.models.catalogue import VideoAssetConfig, VideoAssets
from sogni.models.converter import read

ARTIFACT_PREFIX = "pixal3d_"
"""Models with this prefix deliver a 3D artifact."""  # projects-5x §8


@frozen(kw_only=True)
class Family:
    """One row: the ids and prefixes of a family, and how an id names its workflow.

    `steps` has the ids that allow only one number of steps, `external` is true for those of external providers.
    """

    name: str
    media: str
    ids: frozenset[str]
    prefixes: tuple[str, ...]
    workflows: tuple[tuple[str, str], ...]
    external: bool = False
    steps: Mapping[str, int] = field(factory=dict)

    def has(self, model_id: str) -> bool:
        """Whether the id belongs to the family; case matters, as on the wire."""
        return model_id in self.ids or model_id.startswith(self.prefixes)


@cache
def families() -> tuple[Family, ...]:
    """Every family, in the order of the data file."""
    return tuple(map(_family, table("model-families")["families"]))


def _family(row: Mapping[str, Any]) -> Family:
    ids = row.get("ids", {})
    return Family(
        name=row["family"],
        media=row["media"],
        ids=frozenset([*ids.get("ts554", ()), *ids.get("pyOnly", ())]),
        prefixes=tuple(row.get("prefixes", ())),
        workflows=_workflows(row.get("workflowDetection") or {}),
        external=row.get("externalProvider", False),
        steps=_fixed_steps(row.get("groups", {})),
    )


def _fixed_steps(groups: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of steps by id; a group has one for all its ids, one for each, or none."""
    fixed: dict[str, int] = {}
    for group in groups.values():
        steps = group.get("steps", {})
        fixed |= steps if isinstance(steps, dict) else dict.fromkeys(group["ids"], steps)
    return fixed


def _workflows(detection: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Pairs of a part of the id and the workflow it names, in the order they are tried."""
    if "constant" in detection:
        # Every id contains the empty text.
        return (("", detection["constant"]),)
    return tuple(zip(detection.get("substrings", ()), detection.get("order", ()), strict=True))


@lru_cache(maxsize=256)
def family_of(model_id: str) -> Family | None:
    """Return the family of a model id, None if no row matches."""
    return next((family for family in families() if family.has(model_id)), None)


def is_video_id(model_id: str) -> bool:
    """Whether the id belongs to a video family."""
    return _media_of_family(model_id) == "video"


def is_audio_id(model_id: str) -> bool:
    """Whether the id belongs to an audio family."""
    return _media_of_family(model_id) == "audio"


def _media_of_family(model_id: str) -> str | None:
    family = family_of(text("model_id", model_id))
    return family.media if family else None


def is_spark_only(model_id: str) -> bool:
    """Whether a model can only be paid for in Spark, as those of external providers."""
    # Protocol notes: projects-4.2 §3.1, projects-5x §4.4, §4.5.
    family = family_of(model_id)
    return family is not None and family.external


def media_kind(model_id: str, listed: str | None = None) -> MediaKind:
    """Return the media kind of a model: `image`, `video`, `audio` or `model`.

    `listed` is the kind in the model list; None if the list does not have the id.
    """
    if model_id.startswith(ARTIFACT_PREFIX):
        return "model"
    return listed or _media_of_family(model_id) or "image"


def workflow_of(model_id: str) -> str | None:
    """Return the workflow a video model id names, None for any other."""
    # Protocol notes: projects-4.2 §6.2, projects-5x §3.1.
    family = family_of(text("model_id", model_id))
    if family is None or family.media != "video":
        return None
    return next((workflow for part, workflow in family.workflows if part in model_id), None)


@lru_cache(maxsize=256)
def model_names(model_id: str) -> frozenset[str]:
    """Return the names by which declarations of parameters refer to a model: ID, family, and family with a workflow."""
    family = family_of(model_id)
    if family is None:
        return frozenset({model_id})
    workflow = workflow_of(model_id)
    names = {model_id, family.name, f"{family.name} {workflow}"}
    if model_id in extending_ids():
        names.add(f"{family.name} extend")
    if not model_id.endswith("_2stage"):
        names.add(f"{family.name} {workflow} one-stage")
    return frozenset(names)


def asset_config(model_id: str) -> VideoAssetConfig:
    """Return the workflow of a video model and the media it takes; ValidationError for any other model.

    Both are None for models whose id names no workflow: they have rules of their own.
    """
    if not is_video_id(model_id):
        sentence = f"model_id: {short_repr(model_id)} is not a video model"
        raise invalid_value("model_id", model_id, "the id of a video model", sentence)
    workflow = workflow_of(model_id)
    if workflow is None:
        return VideoAssetConfig()
    return VideoAssetConfig(workflow_type=workflow, assets=read(VideoAssets, _assets(model_id, workflow)))


def _assets(model_id: str, workflow: str) -> Mapping[str, str]:
    matrix = table("model-families")["assetMatrix"]
    family = family_of(model_id)
    assert family is not None
    name = f"{family.name} {workflow}"
    if model_id in extending_ids():
        name = "minimax-h3 t2v extend ids (Py only)"
    row: Mapping[str, str] = matrix["overrides"].get(name) or matrix["workflows"][workflow]
    return row


@cache
def extending_ids() -> frozenset[str]:
    """Return the ids that can also continue an uploaded video."""  # projects-5x §4.6
    rows = table("model-families")["families"]
    groups = (row.get("groups", {}).get("extendPyOnly", {}) for row in rows)
    return frozenset(model_id for group in groups for model_id in group.get("ids", ()))
