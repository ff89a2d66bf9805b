"""What is known of the models: decides how long an answer of the catalogue stays good (projects-4.2 §17).

Read and filled by the catalogue flows, and by the client state when `swarmModels` arrives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ..errors import SogniError
from ..models.catalogue import AvailableModel, SizePreset, SupportedModel

T = TypeVar("T")

LIST_LIFETIME = 24 * 3600.0
PRESETS_LIFETIME = 600.0


class SharedRequest:
    """A request under way that others wait for instead of sending the same.

    `finished` without `answer` or `error` means that nobody learned the outcome: whoever asked was interrupted.
    """

    def __init__(self) -> None:
        self.finished = False
        self.answer: Any = None
        self.error: SogniError | None = None


class CatalogueState:
    """Cached catalogue answers of one client; times are monotonic seconds."""

    def __init__(self) -> None:
        self.available: list[AvailableModel] = []
        self._models: tuple[float, list[SupportedModel]] | None = None
        self._tiers: tuple[float, Mapping[str, Any]] | None = None
        self._presets: dict[tuple[str, str], tuple[float, list[SizePreset]]] = {}
        self._under_way: dict[str, SharedRequest] = {}
        self.kinds: dict[str, str] = {}
        """Media kind by model id, as listed."""

    def join(self, target: str) -> tuple[SharedRequest, bool]:
        """The request of this target that is under way; True if it is new, so that the caller has to send it."""
        shared = self._under_way.get(target)
        if shared is not None:
            return shared, False
        shared = self._under_way[target] = SharedRequest()
        return shared, True

    def settle(self, target: str, shared: SharedRequest) -> None:
        """A shared request has ended; the next caller sends a new one."""
        shared.finished = True
        del self._under_way[target]

    def models(self, now: float) -> list[SupportedModel] | None:
        """The model list, unless it is too old."""
        return _fresh(self._models, now, LIST_LIFETIME)

    def keep_models(self, models: list[SupportedModel], now: float) -> None:
        """Remember the model list."""
        self._models = (now, models)
        self.kinds = {model.id: model.media for model in models}

    def tiers(self, now: float) -> Mapping[str, Any] | None:
        """The tiers, unless they are too old."""
        return _fresh(self._tiers, now, LIST_LIFETIME)

    def keep_tiers(self, tiers: Mapping[str, Any], now: float) -> None:
        """Remember the tiers."""
        self._tiers = (now, tiers)

    def presets(self, network: str, model_id: str, now: float) -> list[SizePreset] | None:
        """The size presets of a model, unless they are too old."""
        return _fresh(self._presets.get((network, model_id)), now, PRESETS_LIFETIME)

    def keep_presets(self, network: str, model_id: str, presets: list[SizePreset], now: float) -> None:
        """Remember the size presets of a model."""
        self._presets[network, model_id] = (now, presets)


def _fresh(kept: tuple[float, T] | None, now: float, lifetime: float) -> T | None:
    return kept[1] if kept is not None and now - kept[0] < lifetime else None


def named_models(workers: Mapping[str, int], models: Sequence[SupportedModel]) -> list[AvailableModel]:
    """The live list: ids and worker counts with the names of the model list (projects-4.2 §17)."""
    known = {model.id: model for model in models}
    return [
        AvailableModel(
            id=model_id,
            name=(known[model_id].name if model_id in known else "") or model_id.replace("-", " "),
            worker_count=count,
            media=known[model_id].media if model_id in known else "image",
        )
        for model_id, count in workers.items()
    ]


def models_by_sid(workers: Mapping[str, int], models: Sequence[SupportedModel]) -> list[AvailableModel]:
    """The same from a network's status, whose keys are numbers of models (projects-4.2 §17)."""
    known = {str(model.sid): model for model in models if model.sid is not None}
    found = []
    for sid, count in workers.items():
        model = known.get(sid)
        found.append(
            AvailableModel(
                id=model.id if model else sid,
                name=(model.name if model else "") or sid.replace("-", " "),
                worker_count=count,
                media=model.media if model else "image",
            )
        )
    return found
