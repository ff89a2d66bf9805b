"""Reading media inputs: paths, bytes, file objects and images."""

from __future__ import annotations

import gzip
import io
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from sogni.core.media import HEAD_SIZE
from sogni.errors import ValidationError
from sogni.local.media import MediaSource, finished_spool, open_source, spool, spooled

CONTENT = b"\x89PNG and more content than a head holds".ljust(HEAD_SIZE + 9, b".")


def read(source: MediaSource) -> bytes:
    with source.open() as file:
        return file.read()


def refusal(value: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        open_source("starting_image", value)
    assert caught.value.field == "starting_image"
    return caught.value


class AsBytes:
    """A path in bytes, as `os.scandir(b'.')` gives."""

    def __init__(self, path: Path) -> None:
        self._path = os.fsencode(path)

    def __fspath__(self) -> bytes:
        return self._path


class Pipe(io.RawIOBase):
    """What can be read only once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        return next(self._pieces, b"") if size else b""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("form", [str, Path, AsBytes])
def test_a_path_is_read_afresh_every_time(path: Path, form: Any) -> None:
    source = open_source("image", form(path))
    assert (source.name, source.size, source.head) == ("picture.png", len(CONTENT), CONTENT[:HEAD_SIZE])
    assert [read(source), read(source)] == [CONTENT, CONTENT]
    source.close()


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_bytes_are_named_by_their_field(form: Any) -> None:
    source = open_source("image", form(CONTENT))
    assert (source.name, source.size, source.head) == ("the bytes given as image", len(CONTENT), CONTENT[:HEAD_SIZE])
    assert [read(source), read(source)] == [CONTENT, CONTENT]


def test_bytes_that_change_later_are_those_that_were_given() -> None:
    given = bytearray(CONTENT)
    source = open_source("image", given)
    given[:] = b"other"
    assert read(source) == CONTENT


def opened(kind: str, path: Path) -> Any:
    """A file object over the same content, of a kind that is read in its own way."""
    if kind == "gzip":
        (path.parent / "picture.gz").write_bytes(gzip.compress(CONTENT))
        return gzip.open(path.parent / "picture.gz")
    if kind == "spooled":
        file = tempfile.SpooledTemporaryFile()  # noqa: SIM115  the caller closes it
        file.write(CONTENT)
        return file
    if kind == "memory":
        return io.BytesIO(CONTENT)
    return path.open(kind)


@pytest.mark.parametrize("place", [0, 4, len(CONTENT), 1000])
@pytest.mark.parametrize("kind", ["rb", "r+b", "memory", "gzip", "spooled"])
def test_all_of_a_file_object_is_read_wherever_it_stands(path: Path, kind: str, place: int) -> None:
    with opened(kind, path) as file:
        file.seek(place)
        source = open_source("image", file)
        assert (source.size, source.head) == (len(CONTENT), CONTENT[:HEAD_SIZE])
        file.seek(7)
        assert [read(source), read(source), file.tell()] == [CONTENT, CONTENT, 7]
        source.close()
        assert not file.closed
        with pytest.raises(ValueError) if kind != "memory" else nullcontext():
            source.open()


@pytest.mark.parametrize("kind", ["rb", "r+b", "memory", "gzip", "spooled"])
def test_a_file_object_stays_where_it_stands(path: Path, kind: str) -> None:
    with opened(kind, path) as file:
        file.seek(4)
        open_source("image", file).close()
        assert file.tell() == 4


def test_a_file_object_may_be_closed_while_it_is_uploaded(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        source = open_source("image", file)
    assert (source.name, read(source)) == ("picture.png", CONTENT)
    source.close()


def test_what_is_written_but_not_flushed_is_read_too(path: Path) -> None:
    with path.open("w+b") as file:
        file.write(CONTENT * 2)
        source = open_source("image", file)
        assert read(source) == CONTENT * 2
        source.close()


def test_a_platform_without_positioned_reads_copies_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")
    with path.open("rb") as file:
        source = open_source("image", file)
        file.seek(3)
        assert (read(source), file.tell()) == (CONTENT, 3)
        source.close()


def test_readers_of_one_source_do_not_move_each_other() -> None:
    source = open_source("image", Pipe(iter([CONTENT])))
    with source.open() as first, source.open() as second:
        assert [first.read(4), second.read(6), first.read(4)] == [CONTENT[:4], CONTENT[:6], CONTENT[4:8]]
    source.close()


class Single(io.BytesIO):
    """A file object of somebody else, whose position moves with every read, at its own pace."""

    def read(self, size: int | None = -1) -> bytes:
        place = self.tell()
        data = self.getvalue()[place : place + size] if size is not None and size >= 0 else self.getvalue()[place:]
        threading.Event().wait(0.001)
        self.seek(place + len(data))
        return data


def test_an_object_that_threads_share_is_whole_in_every_one() -> None:
    content = CONTENT + os.urandom(3_000_000)
    shared = Single(content)

    def use(_: int) -> bool:
        source = open_source("image", shared)
        try:
            return read(source) == content
        finally:
            source.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(8))) == [True] * 8


def test_what_can_be_read_only_once_is_refused_the_second_time() -> None:
    shared = Pipe(iter([CONTENT]))
    open_source("image", shared).close()
    assert refusal(shared).allowed == "a file with content"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_waits_for_no_reader_of_its_parent() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            inside.set()
            go_on.wait(10)
            return super().read(size)

    shared = Slow(CONTENT)
    reader = threading.Thread(target=lambda: open_source("image", shared).close())
    reader.start()
    inside.wait(10)
    child = os.fork()
    if child == 0:
        go_on.set()
        signal.alarm(5)
        os._exit(0 if read(open_source("image", shared)) == CONTENT else 1)
    assert os.waitpid(child, 0)[1] == 0
    go_on.set()
    reader.join()


def test_a_borrowed_file_can_be_read_in_pieces() -> None:
    with open_source("image", io.BytesIO(CONTENT)).open() as file:
        assert file.readable()
        assert file.read(4) == CONTENT[:4]
        buffer = bytearray(6)
        assert (file.readinto(buffer), bytes(buffer)) == (6, CONTENT[4:10])  # type: ignore[attr-defined]


def test_only_the_first_bytes_of_a_file_are_looked_at(tmp_path: Path) -> None:
    """What a file is, its signature says: however long it is, it is neither read nor copied."""
    path = tmp_path / "long.png"
    with path.open("w+b") as file:
        file.write(CONTENT)
        file.truncate(1 << 40)
        source = open_source("image", file)
        assert (source.head, source.size) == (CONTENT[:HEAD_SIZE], 1 << 40)
        source.close()


def test_a_file_object_without_a_name_is_named_by_its_field() -> None:
    with tempfile.SpooledTemporaryFile() as file:
        file.write(CONTENT)
        file.seek(0)
        source = open_source("image", file)
        assert source.name == "the file given as image"
        source.close()


def test_what_can_be_read_only_once_is_kept_in_a_temporary_file() -> None:
    source = open_source("image", Pipe(iter([CONTENT[:5], CONTENT[5:]])))
    assert (source.size, source.head) == (len(CONTENT), CONTENT[:HEAD_SIZE])
    assert [read(source), read(source)] == [CONTENT, CONTENT]
    source.close()
    with pytest.raises(ValueError):
        source.open()


def test_a_large_input_that_can_be_read_only_once_is_kept_on_disk() -> None:
    piece = bytes(700_000)
    source = open_source("image", Pipe(iter([piece, piece])))
    assert source.size == 1_400_000
    source.close()


def test_pieces_that_stop_with_an_error_leave_nothing() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 2_000_000
        raise OSError("cut off")

    with pytest.raises(OSError, match="cut off"):
        spooled("image", pieces())


def test_a_filled_spool_is_a_source_that_owns_it() -> None:
    file = spool()
    file.write(CONTENT)
    source = finished_spool("a result", file)
    assert (source.name, read(source)) == ("a result", CONTENT)
    source.close()
    assert file.closed


class Image:
    """An image of Pillow, as far as it matters."""

    size = (1, 1)

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def save(self, file: Any, format: str | None = None) -> None:
        if self._error is not None:
            raise self._error
        assert format == "PNG"
        file.write(CONTENT)


def test_an_image_is_written_as_png() -> None:
    source = open_source("image", Image())
    assert (source.name, read(source)) == ("the image given as image", CONTENT)


@pytest.mark.parametrize("error", [OSError("mode"), ValueError("mode"), KeyError("mode")])
def test_an_image_that_cannot_be_written_is_refused(error: Exception) -> None:
    assert "cannot be written as PNG" in refusal(Image(error)).message


@pytest.mark.parametrize("value", [b"", bytearray(), io.BytesIO()])
def test_an_empty_input_is_refused(value: Any) -> None:
    assert refusal(value).allowed == "a file with content"


def test_an_empty_file_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert (
        refusal(tmp_path / "empty.png").message
        == "starting_image must be a file with content, got empty.png, which is empty"
    )


def test_an_empty_pipe_is_refused_and_its_temporary_file_closed() -> None:
    refusal(Pipe(iter([])))


@pytest.mark.parametrize("value", [None, 7, True, object(), ["a.png"]])
def test_what_is_no_media_is_refused(value: Any) -> None:
    assert refusal(value).value == type(value).__name__


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("https://host/a.png?sig=secret", "a URL"),
        ("HTTP://host/a.png", "a URL"),
        ("ftp://host/a.png", "a URL"),
        ("data:image/png;base64,AAAA", "a data: URI"),
    ],
)
def test_an_address_is_no_path(value: str, kind: str) -> None:
    error = refusal(value)
    assert (kind in error.message, "secret" in str(error.value)) == (True, False)


def test_a_word_before_a_colon_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("https", "a:b.png"):
        Path(name).write_bytes(CONTENT)
        assert read(open_source("image", name)) == CONTENT


@pytest.mark.parametrize("name", ["missing.png", ".", "nul\0.png"])
def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    error = refusal(os.path.join(tmp_path, name))
    assert (error.allowed, "cannot read" in error.message) == ("a readable file", True)


def test_a_text_file_is_refused(path: Path) -> None:
    with path.open(encoding="latin-1") as file:
        assert refusal(file).message.endswith("open it with mode 'rb'")
    assert refusal(io.StringIO("text")).value == "the file given as starting_image"


def test_a_closed_file_is_refused() -> None:
    file = io.BytesIO(CONTENT)
    file.close()
    assert "cannot read" in refusal(file).message


def test_what_only_looks_like_a_file_is_refused() -> None:
    class Reader:
        def read(self) -> bytes:
            return CONTENT

    assert "cannot read" in refusal(Reader()).message
