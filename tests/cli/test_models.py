"""`sogni models` and `sogni models show`."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

Run = Callable[..., Result]


def test_a_model_is_shown_with_its_ranges_sizes_and_family(sogni: Run) -> None:
    result = sogni("models", "show", "krea2_turbo_fp8_scaled")
    assert (result.exit_code, result.stderr) == (0, "")
    shown = dict(line.split("\t", 1) for line in result.stdout.splitlines())
    assert (shown["family"], shown["media"], shown["steps"]) == ("krea2", "image", "4 to 12; default 8")
    assert shown["guidance"] == "0.6 to 1.6 in steps of 0.1; default 1"
    assert shown["sampler"].endswith("; default euler")
    assert "square_hd 1024x1024" in shown["sizes"]
    assert "krea2-ink-wash" in shown["LoRAs"]


def test_a_video_model_tells_which_media_it_takes(sogni: Run) -> None:
    document = json.loads(sogni("models", "show", "wan_v2.2-14b-fp8_s2v", "--json").stdout)
    assert (document["workflow"], document["assets"]["referenceAudio"]) == ("s2v", "required")
    assert (document["options"]["frames"]["max"], document["options"]["fps"]["allowed"]) == (321, [16, 32])
    shown = sogni("models", "show", "wan_v2.2-14b-fp8_s2v").stdout.splitlines()
    assert {"reference audio\trequired", "fps\t16, 32; default 16"} <= set(shown)


def test_an_unknown_model_is_named(sogni: Run) -> None:
    result = sogni("models", "show", "krea2_turbo_fp8")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no model 'krea2_turbo_fp8'; did you mean" in result.stderr


def test_options_of_the_list_are_not_ignored(sogni: Run) -> None:
    result = sogni("models", "--media", "image", "show", "krea2_turbo_fp8_scaled")
    assert (result.exit_code, "give --media after 'show'" in result.stderr) == (2, True)
