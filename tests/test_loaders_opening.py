"""Which files cells may name: confinement to a directory, URLs, and what is no regular file."""

import os
import socket
import threading
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.batch.cache import ArrayCache
from multimodal_gen.batch.cache.keys import key_of
from multimodal_gen.loaders.files import Place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a picture, an array and a folder of its own, and the same files beside it."""
    for folder in (tmp_path / "store" / "deep", tmp_path / "outside", tmp_path / "store-2"):
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 6), (1, 2, 3)).save(folder / "a.png")
        np.save(folder / "a.npy", np.arange(4.0))
    Image.new("RGB", (8, 6)).save(tmp_path / "store" / "a.png")
    return tmp_path / "store"


def loaders(directory: object) -> list[tuple[mg.Loader, str]]:
    return [
        (mg.ImageLoader("x", directory=directory, image_size=(4, 4)), "png"),
        (mg.ImageLoader("x", directory=directory, image_size=(4, 4), decoder="turbo"), "png"),
        (mg.ArrayLoader("x", directory=directory, shape=(4,)), "npy"),
    ]


@pytest.mark.parametrize(
    "cell",
    [
        "deep/a",
        "deep/../deep/a",
        "./deep/a",
        "{root}/deep/a",
        "{root}/../store/deep/a",
        "../store/deep/a",
        "deep//a",
    ],
)
def test_whatever_lies_inside_the_directory_is_read(root: Path, cell: str) -> None:
    for loader, suffix in loaders(root):
        assert loader.read(f"{cell.format(root=root)}.{suffix}").shape == loader.spec.shape


@pytest.mark.parametrize(
    "cell",
    [
        "../outside/a",
        "deep/../../outside/a",
        "{outside}/a",
        "{root}/../outside/a",
        "../store-2/a",
        "/etc/passwd/../a",
    ],
)
def test_a_cell_that_leads_out_of_the_directory_is_refused(root: Path, cell: str) -> None:
    for loader, suffix in loaders(root):
        path = f"{cell.format(root=root, outside=root.parent / 'outside')}.{suffix}"
        with pytest.raises(
            mg.LoadError, match="is outside this loader's directory|no such file"
        ) as caught:
            loader.read(path)
        assert caught.value.path == os.path.join(root, path)
        assert key_of(loader, path) is None
        if "etc" not in cell:
            assert "is outside this loader" in str(
                caught.value
            ) and f"directory={str(root)!r}" in str(caught.value)


def test_links_that_leave_the_directory_are_refused_and_their_targets_named(root: Path) -> None:
    outside = root.parent / "outside"
    for suffix in ("png", "npy"):
        (root / f"link.{suffix}").symlink_to(outside / f"a.{suffix}")
        (root / f"within.{suffix}").symlink_to(Path("deep", f"a.{suffix}"))
    (root / "folder").symlink_to(outside, target_is_directory=True)
    for loader, suffix in loaders(root):
        for cell in (f"link.{suffix}", f"folder/a.{suffix}", f"folder/../store/folder/a.{suffix}"):
            with pytest.raises(
                mg.LoadError, match="is outside this loader's directory, at '.*/outside/a"
            ):
                loader.read(cell)
            assert key_of(loader, cell) is None
        assert loader.read(f"within.{suffix}").shape == loader.spec.shape
        if suffix == "png":
            assert key_of(loader, f"within.{suffix}") is not None


def test_a_directory_that_is_a_link_itself_is_read_by_both_of_its_names(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root, target_is_directory=True)
    for loader, suffix in loaders(link):
        for cell in (f"deep/a.{suffix}", f"{link}/deep/a.{suffix}", f"{root}/deep/a.{suffix}"):
            assert loader.read(cell).shape == loader.spec.shape


def test_a_relative_directory_follows_the_working_directory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("store", "../store", "."):
        monkeypatch.chdir(
            root if name == "." else root.parent / "outside" if name == "../store" else root.parent
        )
        for loader, suffix in loaders(name):
            assert loader.read(f"deep/a.{suffix}").shape == loader.spec.shape
            with pytest.raises(mg.LoadError, match="is outside this loader"):
                loader.read(f"../outside/a.{suffix}")


def test_the_root_directory_confines_nothing_and_no_directory_neither(root: Path) -> None:
    for directory in ("/", None):
        for loader, suffix in loaders(directory):
            assert loader.read(f"{root}/../outside/a.{suffix}").shape == loader.spec.shape


def test_what_a_loader_may_not_read_it_does_not_get_from_a_cache_either(root: Path) -> None:
    outside = root.parent / "outside" / "a.png"
    free = ArrayCache(root.parent / "cache").of(mg.ImageLoader("x", image_size=(4, 4)), num_rows=1)
    free.read(str(outside))
    bound = ArrayCache(root.parent / "cache").of(loaders(root)[0][0], num_rows=1)
    (root / "link.png").symlink_to(outside)
    for cell in (str(outside), "../outside/a.png", "link.png"):
        with pytest.raises(mg.LoadError, match="is outside this loader"):
            bound.read(cell)


def test_a_link_among_files_that_have_their_keys_has_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = root.parent / "outside"
    (root / "link.png").symlink_to(outside / "a.png")
    (root / "folder").symlink_to(outside, target_is_directory=True)
    (root / "inner").symlink_to(root / "deep", target_is_directory=True)
    for directory in (root, "store", "."):
        monkeypatch.chdir(root if directory == "." else root.parent)
        loader = mg.ImageLoader("x", directory=directory)
        for _ in range(2):
            assert None not in [
                key_of(loader, cell) for cell in ("a.png", "deep/a.png", "inner/a.png")
            ]
            refused = (
                "link.png",
                "folder/a.png",
                "deep/../link.png",
                "deep/../../outside/a.png",
                "deep",
                "inner/..",
            )
            assert {key_of(loader, cell) for cell in refused} == {None}


def test_a_folder_of_the_same_name_elsewhere_is_looked_at_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = root.parent / "other" / "store"
    other.mkdir(parents=True)
    (other / "deep").symlink_to(root.parent / "outside", target_is_directory=True)
    loader = mg.ImageLoader("x", directory="store")
    monkeypatch.chdir(root.parent)
    assert key_of(loader, "deep/a.png") is not None
    monkeypatch.chdir(other.parent)
    assert key_of(loader, "deep/a.png") is None


def test_devices_pipes_and_sockets_are_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        # The name of a socket must be short.
        before = Path.cwd()
        os.chdir(root)
        try:
            server.bind("socket.png")
        finally:
            os.chdir(before)
        for cell in (root / "pipe.png", root / "socket.png", "/dev/zero", "/dev/stdin"):
            for loader, _ in loaders(None):
                with pytest.raises(
                    mg.LoadError, match="device, a pipe or a socket|no such file|folder|not a"
                ):
                    loader.read(cell)
        (root / "zero.png").symlink_to("/dev/zero")
        for loader, _ in loaders(root):
            with pytest.raises(mg.LoadError, match="device, a pipe or a socket"):
                loader.read("zero.png")


@pytest.mark.parametrize("name", ["\0.png", "a\udc00\ud800.png", "x" * 5000, "a.png/b.png", "deep"])
def test_a_name_that_no_file_can_have_is_a_short_error(root: Path, name: str) -> None:
    for loader, _ in loaders(root):
        with pytest.raises(
            mg.LoadError, match="no file can have this name|cannot be read: |no such file|a folder"
        ) as e:
            loader.read(name)
        assert len(str(e.value)) < 1000


def test_a_file_that_says_nothing_of_its_size_is_read_to_its_end_or_to_the_limit() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    with pytest.raises(mg.LoadError, match="not a picture"):
        mg.ImageLoader("x").read("/proc/self/status")
    with pytest.raises(mg.LoadError, match="more than 10 bytes"):
        Place().read("/proc/self/status", 10)


def test_a_file_too_large_is_refused_unread(root: Path) -> None:
    with (root / "huge.png").open("wb") as file:
        file.truncate(10**12)
    for loader, suffix in loaders(root):
        if suffix == "png":
            with pytest.raises(mg.LoadError, match=r"more than 150,994,944 bytes.*`max_pixels`"):
                loader.read("huge.png")


def test_an_array_file_whose_header_lies_is_refused(root: Path) -> None:
    content = (root / "deep" / "a.npy").read_bytes()
    loader = mg.ArrayLoader("x", directory=root, shape=(4,))
    lies = {
        "long": content.replace(b"(4,), }      ", b"(10000000,), }"),
        "deep": content[:10] + b"(" * (len(content) - 42) + content[-32:],
        "object": content.replace(b"'<f8'", b"'|O' "),
        "cut": content[:-8],
        "empty": b"",
    }
    for name, lie in lies.items():
        assert lie != content
        (root / f"{name}.npy").write_bytes(lie)
        with pytest.raises(
            mg.LoadError, match="not a .npy file of numbers|expected an array of shape"
        ):
            loader.read(f"{name}.npy")


# URLs


@pytest.fixture
def memory(root: Path) -> str:
    system = fsspec.filesystem("memory")
    system.pipe("/shop/a.png", (root / "a.png").read_bytes())
    system.pipe("/secret/a.png", (root / "a.png").read_bytes())
    return "memory://shop"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("memory://shop/a.png", r'protocols=\["memory"\]'),
        ("https://example.com/a.png", r'protocols=\["https"\]'),
        ("file:///etc/passwd", "Name the file by its path"),
        ("local:///etc/passwd", "Name the file by its path"),
        ("FILE:///etc/passwd", "Name the file by its path"),
        ("simplecache::file:///etc/passwd", "no such file"),
    ],
)
def test_a_url_is_refused_where_the_loader_was_not_told_of_its_protocol(
    url: str, hint: str, root: Path
) -> None:
    for directory in (None, root):
        for decoder in ("pillow", "turbo"):
            with pytest.raises(mg.LoadError, match=hint):
                mg.ImageLoader("x", directory=directory, decoder=decoder).read(url)
            with pytest.raises(mg.LoadError, match=hint):
                mg.ImageLoader("x", directory=directory, protocols=["s3"]).read({"path": url})
    with pytest.raises(mg.LoadError):
        mg.ArrayLoader("x", shape=(2,)).read(url)


def test_a_url_of_a_protocol_that_was_given_is_read(memory: str) -> None:
    loader = mg.ImageLoader("x", image_size=(4, 4), protocols=["memory"])
    mg.check_loader(loader, [f"{memory}/a.png"])
    with pytest.raises(mg.LoadError, match=r"path 'memory://shop/none.png': there is no such file"):
        loader.read(f"{memory}/none.png")
    with pytest.raises(mg.LoadError, match="more than 20 bytes"):
        Place(None, ["memory"]).read(f"{memory}/a.png", 20)
    with pytest.raises(mg.LoadError, match="cannot be read.*nothing"):
        mg.ImageLoader("x", protocols=["nothing"]).read("nothing://a.png")


def test_a_directory_may_be_a_url_and_confines_its_cells(memory: str) -> None:
    for directory in (memory, f"{memory}/"):
        loader = mg.ImageLoader("x", directory=directory, image_size=(4, 4))
        assert loader.read("a.png").shape == (4, 4, 3)
        assert loader.read("memory://shop/a.png").shape == (4, 4, 3)
        for cell in (
            "../secret/a.png",
            "b/../../secret/a.png",
            "%2e%2e/secret/a.png",
            r"..\secret\a.png",
        ):
            with pytest.raises(
                mg.LoadError, match="leaves the directory of this loader, 'memory://shop/?'"
            ):
                loader.read(cell)
        with pytest.raises(mg.LoadError, match="opens only those whose scheme"):
            loader.read("memory://secret/a.png")
        with pytest.raises(mg.LoadError, match="no such file"):
            loader.read("/secret/a.png")


@pytest.mark.parametrize("protocols", ["https", ["file"], ["local"], ["a b"], [1], ["https://"]])
def test_protocols_are_words_and_none_of_them_local(protocols: object) -> None:
    with pytest.raises(ValueError, match=r"`protocols` must be a list.*Received: protocols="):
        mg.ImageLoader("x", protocols=protocols)


def test_chains_of_file_systems_are_not_followed(root: Path) -> None:
    with pytest.raises(mg.LoadError):
        mg.ImageLoader("x", protocols=["zip", "simplecache", "memory"]).read(
            f"zip://a.png::file://{root}/a.zip"
        )


def test_urls_are_read_by_many_threads(memory: str) -> None:
    loader = mg.ImageLoader("x", image_size=(4, 4), directory=memory)
    found: list[tuple[int, ...]] = []
    threads = [
        threading.Thread(target=lambda: found.append(loader.read("a.png").shape)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(4, 4, 3)] * 8
