"""`sogni.to_dict` of what a caller gives: the keys of the wire, without media (api rule 4)."""

from __future__ import annotations

import io
import json

from sogni.models.converter import to_dict
from sogni.models.params import ControlNetParams, ImageProjectParams
from sogni.settings import RetryPolicy


def test_params_have_the_keys_of_the_wire_and_no_media() -> None:
    params = ImageProjectParams(
        model_id="m",
        positive_prompt="p",
        disable_nsfw_filter=True,
        starting_image=b"\x89PNG",
        context_images=[io.BytesIO(b"x")],
        loras=["a"],
        lora_strengths=[0.5],
        control_net=ControlNetParams(name="canny", image=b"x", strength=0.5),
    )
    made = to_dict(params)
    assert json.loads(json.dumps(made)) == {
        "type": "image",
        "modelId": "m",
        "positivePrompt": "p",
        "numberOfMedia": 1,
        "disableNSFWFilter": True,
        "loras": ["a"],
        "loraStrengths": [0.5],
        "controlNet": {"name": "canny", "strength": 0.5},
    }


def test_an_empty_list_that_was_given_stays() -> None:
    assert to_dict(ImageProjectParams(model_id="m", loras=[]))["loras"] == []


def test_settings_too() -> None:
    assert to_dict(RetryPolicy(attempts=2))["attempts"] == 2
