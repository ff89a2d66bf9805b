"""Previews in terminals that announce that they can show images."""

from __future__ import annotations

import builtins
import io
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sogni.cli import preview
from sogni.cli.batch import MAX_PREVIEWS
from tests.cli.terminal import Screen, Start
from tests.tables import each_row

COMMAND = ("image", "a lighthouse", "--model", "flux1-schnell-fp8", "--steps", "1", "--name", "it")


def image_in(found: list[bytes]) -> Any:
    return Image.open(io.BytesIO(b64decode(b"".join(found))))


@pytest.mark.parametrize(
    ("announced", "sequence"),
    [
        ({"KITTY_WINDOW_ID": "1"}, rb"\x1b_G[^;]*;([A-Za-z0-9+/=]*)\x1b\\"),
        ({"TERM_PROGRAM": "iTerm.app"}, rb"\x1b\]1337;File=[^:]*inline=1[^:]*:([A-Za-z0-9+/=]*)\x07"),
    ],
    ids=["kitty", "iterm2"],
)
def test_a_saved_image_is_shown(start: Start, announced: dict[str, str], sequence: bytes) -> None:
    screen = Screen(start, *COMMAND, env_extra=announced)
    assert screen.end() == 0
    assert image_in(re.findall(sequence, screen.written)).size == (preview.PIXELS, preview.PIXELS)


def test_a_small_batch_shows_its_images(start: Start, tmp_path: Path) -> None:
    for count, shown in ((2, 2), (MAX_PREVIEWS + 1, 0)):
        (tmp_path / f"{count}.txt").write_text("".join(f"fox {number}\n" for number in range(count)))
        arguments = ("--model", "flux1-schnell-fp8", "--steps", "1", "--width", "256", "--height", "256")
        screen = Screen(start, "batch", f"{count}.txt", *arguments, env_extra={"KITTY_WINDOW_ID": "1"})
        assert screen.end() == 0
        assert len(re.findall(rb"\x1b_Ga=T", screen.written)) == shown


def test_nothing_is_drawn_where_it_is_not_announced_or_wanted(start: Start) -> None:
    for arguments, announced in ((COMMAND, {}), (("--quiet", *COMMAND), {"KITTY_WINDOW_ID": "1"})):
        screen = Screen(start, *arguments, env_extra=announced)
        assert screen.end() == 0
        assert b"\x1b_G" not in screen.written


@each_row(
    ("environ", "protocol"),
    [
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"LC_TERMINAL": "iTerm2", "TMUX": "/tmp/tmux-0/default,1,0"}, None),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, None),
    ],
)
def test_what_terminals_announce(environ: dict[str, str], protocol: str | None) -> None:
    assert preview.protocol_of(environ) == protocol


def test_only_images_have_previews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "song.mp3").write_bytes(b"ID3")
    Image.new("RGB", (2000, 1000), "red").save(tmp_path / "big.png")
    assert preview._thumbnail(tmp_path / "song.mp3") is None
    content = preview._thumbnail(tmp_path / "big.png")
    assert content is not None
    assert Image.open(io.BytesIO(content)).size == (preview.PIXELS, preview.PIXELS // 2)
    real = builtins.__import__

    def without_pillow(name: str, *rest: Any, **more: Any) -> Any:
        if name == "PIL":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    assert preview._thumbnail(tmp_path / "big.png") == (tmp_path / "big.png").read_bytes()
    assert preview._thumbnail(tmp_path / "song.mp3") is None
    assert preview._thumbnail(tmp_path / "none.png") is None
    monkeypatch.setattr(preview, "MAX_BYTES", 10)
    assert preview._thumbnail(tmp_path / "big.png") is None
