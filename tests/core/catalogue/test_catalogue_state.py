"""The cache of the catalogue, and the names of live models (projects-4.2 §17)."""

from __future__ import annotations

import pytest

from sogni.core.catalogue.state import LIST_LIFETIME, PRESETS_LIFETIME, CatalogueState, models_by_sid, named_models
from sogni.models.catalogue import AvailableModel, SizePreset, SupportedModel

FLUX = SupportedModel(id="flux1-schnell-fp8", name="Flux.1 Schnell", sid=7)
WAN = SupportedModel(id="wan-t2v", name="", sid=None, media="video")
PRESET = SizePreset(id="square", width=512, height=512)


def test_a_new_catalogue_knows_nothing() -> None:
    state = CatalogueState()
    assert (
        state.models(0),
        state.tiers(0),
        state.presets("fast", "m", 0),
        state.available,
        state.kinds,
    ) == (None, None, None, [], {})


def test_the_list_and_the_tiers_stay_good_for_a_day() -> None:
    state = CatalogueState()
    state.keep_models([FLUX], 100)
    state.keep_tiers({"t": {}}, 100)
    assert (state.models(100), state.tiers(99 + LIST_LIFETIME)) == ([FLUX], {"t": {}})
    assert (state.models(100 + LIST_LIFETIME), state.tiers(100 + LIST_LIFETIME)) == (None, None)


def test_size_presets_stay_good_for_ten_minutes_each() -> None:
    state = CatalogueState()
    state.keep_presets("fast", "m", [PRESET], 100)
    assert state.presets("fast", "m", 99 + PRESETS_LIFETIME) == [PRESET]
    assert state.presets("fast", "m", 100 + PRESETS_LIFETIME) is None
    assert state.presets("relaxed", "m", 100) is None


def test_the_media_kinds_are_those_of_the_newest_list() -> None:
    state = CatalogueState()
    state.keep_models([FLUX], 0)
    state.keep_models([WAN], 0)
    assert state.kinds == {"wan-t2v": "video"}


def test_live_models_get_their_names_from_the_list() -> None:
    workers = {"flux1-schnell-fp8": 3, "wan-t2v": 1, "brand-new-model": 2}
    assert [
        AvailableModel(id="flux1-schnell-fp8", name="Flux.1 Schnell", worker_count=3),
        AvailableModel(id="wan-t2v", name="wan t2v", worker_count=1, media="video"),
        AvailableModel(id="brand-new-model", name="brand new model", worker_count=2),
    ] == named_models(workers, [FLUX, WAN])


@pytest.mark.parametrize(
    ("sid", "expected"),
    [
        ("7", AvailableModel(id="flux1-schnell-fp8", name="Flux.1 Schnell", worker_count=4)),
        ("8", AvailableModel(id="8", name="8", worker_count=4)),
    ],
)
def test_the_status_of_a_network_names_models_by_number(sid: str, expected: AvailableModel) -> None:
    assert [expected] == models_by_sid({sid: 4}, [FLUX, WAN])
