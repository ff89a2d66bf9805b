"""URLs of storage: what is one, and how objects are put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import pytest

from sogni.errors import ValidationError
from sogni.local.storage import (
    StorageOptions,
    UrlStorage,
    batch_directory,
    directory_or_storage,
    next_number,
    path_or_object,
)
from tests.storages import empty_memory
from tests.tables import each_row

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture
def memory() -> Iterator[Any]:
    with empty_memory() as file_system:
        yield file_system


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "result.png"
    path.write_bytes(b"picture")
    return path


def storage(url: str, **options: Any) -> UrlStorage:
    opened = directory_or_storage(url, StorageOptions(options) if options else None)
    assert isinstance(opened, UrlStorage)
    return opened


@each_row(
    "given", ["out", "C:\\pictures", "C:/pictures", "C://pictures", "a:b", "s3:/bucket", "./s3://bucket", "x ://y"]
)
def test_a_path_with_a_colon_is_no_url(given: str) -> None:
    assert directory_or_storage(given, None) == given


def test_a_path_object_is_never_a_url() -> None:
    assert directory_or_storage(PurePosixPath("s3://bucket"), None) == PurePosixPath("s3://bucket")


def test_a_file_url_is_a_directory(tmp_path: Path) -> None:
    assert directory_or_storage(f"file://{tmp_path}/two%20words", None) == tmp_path / "two words"
    assert path_or_object(f"FILE://localhost{tmp_path}/cat", None)(".png") == tmp_path / "cat.png"


def test_a_batch_needs_a_directory_or_a_journal(tmp_path: Path) -> None:
    given = ("out", tmp_path, f"file://{tmp_path}")
    assert [batch_directory(it, None) for it in given] == [Path("out"), tmp_path, tmp_path]
    with pytest.raises(ValidationError, match=r"^directory must be a directory"):
        batch_directory("memory://out", None)
    assert batch_directory("memory://out", "journal") == "memory://out"


@each_row(
    "given",
    [
        *(
            "s3://",
            "s3:///",
            "gs:///",
            "ftp://ada:hush@host/x",
            "s3://bucket/a?versionId=1",
            "simplecache::s3://bucket/a",
        ),
        *("zip://a.zip::s3://bucket/b", "s3://bucket/nul\0", "http://host/x", "data://x", "unheard-of://x"),
        *("file://host/x", "file://x", "file://["),
    ],
)
def test_other_urls_are_refused(given: str) -> None:
    with pytest.raises(ValidationError) as caught:
        directory_or_storage(given, None)
    assert (caught.value.field, "hush" in str(caught.value)) == ("directory", False)


@each_row("given", ["s3://bucket", "s3://bucket/", "s3://bucket/a/..", "memory://", "ftp://ada:hush@host/x"])
def test_a_url_without_a_name_is_no_object(given: str) -> None:
    with pytest.raises(ValidationError) as caught:
        path_or_object(given, None)
    assert (caught.value.field, "hush" in str(caught.value)) == ("path", False)


def test_an_object_gets_the_suffix_that_fits_unless_it_has_one() -> None:
    names = [path_or_object(f"memory://a/{name}", None)(".png") for name in ("cat", "cat.jpg")]
    assert names == ["cat.png", "cat.jpg"]


def test_the_repr_of_a_storage_hides_its_options() -> None:
    shown = repr(storage("memory://a/", key="hush", nested={"secret": "hush"}))
    assert shown == "UrlStorage(url='memory://a', protocol='memory', options=<storage options: key, nested>)"


def test_objects_are_numbered_replaced_or_kept(memory: Any, file: Path) -> None:
    target = storage("memory://a")
    urls = [target.put(file, "cat.png", overwrite=False) for _ in range(2)]
    memory.pipe_file("/a/cat.png", b"another")
    urls += [target.put(file, "cat.png", overwrite=False) for _ in range(2)]
    memory.pipe_file("/a/cat.png", b"longer than it")
    urls += [target.put(file, "cat.png", overwrite=overwrite) for overwrite in (False, True)]
    assert [url.rpartition("/")[2] for url in urls] == ["cat.png"] * 2 + ["cat-1.png"] * 3 + ["cat.png"]
    assert {path: memory.cat_file(path) for path in memory.find("/")} == {
        "/a/cat.png": b"picture", "/a/cat-1.png": b"picture",
    }  # fmt: skip


def test_the_next_number_follows_the_highest_in_the_storage(memory: Any, file: Path, tmp_path: Path) -> None:
    target = storage("memory://a/b")
    assert next_number(target) == 0
    for name in ("generate_image-7.png", "generate_video-2.mp4", "kite.png"):
        target.put(file, name, overwrite=False)
    assert (next_number(target), next_number(tmp_path)) == (8, 0)


def test_a_failed_upload_leaves_nothing(memory: Any, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError("hush is not allowed to")

    monkeypatch.setattr(type(memory), "mv", fail)
    with pytest.raises(PermissionError) as caught:
        storage("memory://a", key="hush").put(file, "cat.png", overwrite=False)
    assert str(caught.value) == "cannot save to memory://a/cat.png: *** is not allowed to"
    assert (caught.value.__context__, memory.find("/")) == (None, [])


class PreconditionError(Exception):
    """An error of botocore, as far as it is read."""

    response: ClassVar = {"Error": {"Code": "PreconditionFailed"}}


class ObjectStore:
    """A store of objects as far as it is used, whose next uploads fail or are overtaken."""

    def __init__(self, *next_uploads: Callable[[ObjectStore, str], None]) -> None:
        self.stored: dict[str, bytes] = {}
        self.modes: list[str] = []
        self.readable = True
        self._next = list(next_uploads)

    def invalidate_cache(self, path: str) -> None: ...

    def exists(self, path: str) -> bool:
        if not self.readable:
            raise PermissionError("Forbidden")
        return path in self.stored

    def info(self, path: str) -> dict[str, int]:
        self.exists(path)
        return {"size": len(self.stored[path])}

    def open(self, path: str, mode: str) -> Any:
        self.exists(path)
        return fsspec.implementations.memory.MemoryFile(data=self.stored[path])

    def put_file(self, source: str, path: str, mode: str = "overwrite") -> None:
        self.modes.append(mode)
        if self._next:
            self._next.pop(0)(self, path)
        if mode == "create" and path in self.stored:
            raise OSError(22, "At least one of the pre-conditions you specified did not hold") from PreconditionError()
        self.stored[path] = Path(source).read_bytes()


def overtake(store: ObjectStore, path: str) -> None:
    store.stored[path] = b"theirs!"


def know_no_conditions(store: ObjectStore, path: str) -> None:
    raise OSError(38, "A header you provided implies functionality that is not implemented")


def put(store: ObjectStore, file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url, **options: (store, "bucket"))
    return UrlStorage("s3://bucket", "s3", StorageOptions()).put(file, "cat.png", overwrite=False)


def test_an_object_that_appears_meanwhile_is_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore(overtake)
    assert put(store, file, monkeypatch) == "s3://bucket/cat-1.png"
    assert store.stored == {"bucket/cat.png": b"theirs!", "bucket/cat-1.png": b"picture"}


def test_a_store_without_conditional_writes_gets_the_object(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore(know_no_conditions)
    assert put(store, file, monkeypatch) == "s3://bucket/cat.png"
    assert store.modes == ["create", "overwrite"]


def test_a_store_that_may_only_be_written_is_never_replaced_in(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ObjectStore()
    store.readable = False
    assert put(store, file, monkeypatch) == "s3://bucket/cat.png"
    assert put(store, file, monkeypatch) == "s3://bucket/cat-1.png"
    assert set(store.modes) == {"create"}
