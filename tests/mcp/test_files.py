"""The folders that a server may use, and files outside of them."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

import pytest

from sogni.emulator import LocalSupernet
from sogni.errors import ValidationError
from sogni.mcp.files import Roots, data_of, folders_of_uris, names_other_host
from tests.mcp.hosts import MODES, SMALL, open_host, picture_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file, beside one with a secret that links lead to."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "inner").mkdir(parents=True)
    outside.mkdir()
    (root / "a.txt").write_text("allowed")
    (outside / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    (root / "inner" / "up").symlink_to("..")
    os.mkfifo(root / "pipe")
    return root


def test_files_in_a_folder_are_read(root: Path) -> None:
    roots = Roots([root, root.parent / "missing"])
    assert roots.folders == [root]
    for given in ("a.txt", str(root / "a.txt"), (root / "a.txt").as_uri(), "inner/../a.txt", "inner/up/a.txt"):
        with roots.open(given, "image") as file:
            assert file.read() == b"allowed"


def test_nothing_outside_is_read_or_written(root: Path) -> None:
    roots = Roots([root])
    outside = root.parent / "outside"
    for given in (
        "../outside/secret.txt",
        str(outside / "secret.txt"),
        (outside / "secret.txt").as_uri(),
        "link.txt",
        "folder/secret.txt",
        "inner/up/../outside/secret.txt",
        "inner/up/folder/secret.txt",
        "~/secret.txt",
        f"{root}-else/secret.txt",
        "/proc/self/environ",
    ):
        with pytest.raises(ValidationError, match="must be inside of an allowed folder"):
            roots.open(given, "image")
        with pytest.raises(ValidationError, match="must be inside of an allowed folder"):
            roots.folder(given, "save_to")
    for given, message in (
        ("missing.txt", "No such file"),
        ("inner", "must be a file"),
        ("pipe", "must be a file"),
        ("a\0b", "zero byte"),
        ("http://localhost/a.txt", "got a URI with http:"),
        ("file://elsewhere/a.txt", "file: URI of this computer"),
    ):
        with pytest.raises(ValidationError, match=message):
            roots.open(given, "image")
    with pytest.raises(ValidationError, match="cannot create"):
        roots.folder("a.txt/x", "save_to")
    with pytest.raises(ValidationError, match="no folder is allowed"):
        Roots([]).open("a.txt", "image")
    assert list(outside.iterdir()) == [outside / "secret.txt"]


def test_a_folder_that_becomes_a_link_is_noticed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots, resolve = Roots([root]), Roots._inside

    def swap(self: Roots, given: str, field: str) -> Path:
        found = resolve(self, given, field)
        if not (root / "inner").is_symlink():
            (root / "inner" / "up").unlink()
            (root / "inner").rmdir()
            (root / "inner").symlink_to(root.parent / "outside")
        return found

    (root / "inner" / "secret.txt").write_text("allowed")
    (root / "inner" / "secret.txt").unlink()
    monkeypatch.setattr(Roots, "_inside", swap)
    with pytest.raises(ValidationError, match="must be inside of an allowed folder"):
        roots.open("inner/secret.txt", "image")


async def test_a_folder_that_a_link_replaces_is_no_longer_used(supernet: LocalSupernet, root: Path) -> None:
    async with open_host(supernet, roots=(root / "inner",)) as host:
        assert len((await host.made("generate_image", **SMALL))["results"]) == 1
        (root / "inner").rename(root / "moved")
        (root / "inner").symlink_to(root.parent / "outside")
        assert "inner is now a link" in await host.refused("generate_image", **SMALL)
        for arguments in ({"save_to": "new"}, {"save_to": str(root / "inner")}):
            assert "no folder is allowed" in await host.refused("generate_image", **SMALL, **arguments)
    assert list((root.parent / "outside").iterdir()) == [root.parent / "outside" / "secret.txt"]


def test_no_path_of_windows_makes_it_sign_in_to_another_host() -> None:
    drives = [PureWindowsPath("C:/pictures"), PureWindowsPath("//nas/pictures/ada")]
    for given, refused in (
        ("//attacker/share/a.png", True),
        ("//?/UNC/attacker/share/a.png", True),
        ("//./pipe/a", True),
        ("//NAS/Pictures/ada/a.png", False),
        ("C:/windows/a.png", False),
        ("a.png", False),
    ):
        assert names_other_host(PureWindowsPath(given), drives) is refused


def test_data_uris_are_read() -> None:
    for uri, content in (
        ("data:image/png;base64,aGk=", b"hi"),
        ("data:;base64,aGk%3D", b"hi"),
        ("data:text/plain;charset=utf-8,h%20i", b"h i"),
    ):
        assert data_of(uri, "image").read() == content
    for uri, message in (
        ("data:image/png;base64", "must be a data: URI"),
        ("data:image/png;base64,a", "valid base64"),
        ("data:image/png;base64,", "must not be empty"),
        ("data:image/png;base64," + "A" * 40_000_000, "at most 20 MiB"),
    ):
        with pytest.raises(ValidationError, match=message):
            data_of(uri, "image")


def test_only_file_uris_of_this_computer_are_folders() -> None:
    uris = ["file:///a%20b", "file://localhost/c", "file://host/d", "https://e/f", "file:g", "file:///h%00", "file://["]
    assert folders_of_uris(uris) == [Path("/a b"), Path("/c")]


@pytest.mark.parametrize("mode", MODES)
async def test_the_folders_of_the_host_are_allowed(supernet: LocalSupernet, tmp_path: Path, mode: str) -> None:
    (tmp_path / "picture.png").write_bytes(picture_file())
    edit = {"prompt": "at night", "images": [str(tmp_path / "picture.png")], "width": 256, "height": 256}
    async with open_host(supernet, mode, declared=[tmp_path]) as host:
        assert (await host.made("edit_image", **edit))["status"] == "completed"
    async with open_host(supernet, mode, declared=[tmp_path], host_roots=False) as host:
        assert "no folder is allowed" in await host.refused("edit_image", **edit)
    asked: list[str] = []
    async with open_host(supernet, mode, declared=[tmp_path], asked=asked) as host:
        await host.made("edit_image", **{**edit, "images": ["picture.png"] * 3}, save_to=".")
    assert asked == ["roots"]
    async with open_host(supernet, mode, declared=[tmp_path / "missing"]) as host:
        assert "no folder is allowed" in await host.refused("edit_image", **edit)
    async with open_host(supernet, mode) as host:
        assert "no folder is allowed" in await host.refused("generate_image", **SMALL, save_to=str(tmp_path))
