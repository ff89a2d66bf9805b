"""Conversations in files, and the images of a question."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from sogni.errors import ValidationError
from sogni.local.chat_files import image_part, image_parts, read_conversation, write_conversation

DATA = {"model": "qwen", "messages": [{"role": "user", "content": "größer"}]}


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "talk.json"
    for _ in range(2):
        assert write_conversation(path, DATA) == path
        assert read_conversation(str(path)) == DATA
    assert [file.name for file in path.parent.iterdir()] == ["talk.json"]


def test_half_a_character_is_kept_and_a_byte_order_mark_is_none_of_the_text(tmp_path: Path) -> None:
    data = {"messages": [{"role": "assistant", "content": "half \ud83d größer"}]}
    path = write_conversation(tmp_path / "talk.json", data)
    assert read_conversation(path) == data
    assert json.loads(path.read_bytes()) == data
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_conversation(path) == data


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "talk.json").mkdir()
    with pytest.raises(OSError, match=r"talk\.json"):
        write_conversation(tmp_path / "talk.json", DATA)
    assert [file.name for file in tmp_path.iterdir()] == ["talk.json"]


def test_what_is_no_conversation_is_named(tmp_path: Path) -> None:
    (tmp_path / "talk.json").write_text("talk")
    with pytest.raises(ValidationError, match=r"talk\.json: Expecting value"):
        read_conversation(tmp_path / "talk.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ValidationError, match=r"deep\.json: maximum recursion depth"):
        read_conversation(tmp_path / "deep.json")
    with pytest.raises(ValidationError, match="No such file"):
        read_conversation(tmp_path / "nowhere.json")


def test_images_are_one_or_many() -> None:
    picture = Image.new("RGB", (2, 2))
    part = image_part(picture)
    assert image_parts(None) == []
    assert image_parts(part) == image_parts(picture) == image_parts(part.image_url.url) == [part]
    assert image_parts([part, picture]) == image_parts((picture, part)) == [part, part]
