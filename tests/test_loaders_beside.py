"""Paths that lead to no file: the error says what lies beside them, and how to fix the column."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import multimodal_gen as mg


def error_of(cell: object, directory: Path | str | None, **arguments: object) -> str:
    with pytest.raises(mg.LoadError) as caught:
        mg.ImageLoader("image", directory=directory, image_size=(4, 4), **arguments).read(cell)
    return str(caught.value)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the folder "pictures", and a file that is nobody's business beside it."""
    pictures = tmp_path / "shop" / "pictures"
    pictures.mkdir(parents=True)
    for name in ("00012.png", "ab12.png", "Cup.JPG", "caf\u00e9.png"):
        Image.new("RGB", (4, 4)).save(pictures / name)
    (tmp_path / "secret.png").write_bytes(b"")
    return tmp_path / "shop"


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        (
            "ab12",
            "beside it is 'ab12.png': the extension is missing, which `table[column] + '.png'` "
            "adds",
        ),
        ("00012", "beside it is '00012.png': the extension is missing"),
        (
            "12",
            "beside it is '00012.png', with leading zeros, which are lost if ids are read as "
            "numbers",
        ),
        ("12.png", "beside it is '00012.png', with leading zeros"),
        ("cup.jpg", "beside it is 'Cup.JPG': upper and lower case count"),
        ("Cup.jpg", "beside it is 'Cup.JPG': upper and lower case count"),
        ("ab12.jpg", "beside it is 'ab12.png', of another ending"),
        ("cup.png", "beside it is 'Cup.JPG': upper and lower case count, and so does the ending"),
        (
            "cafe\u0301.png",
            "beside it is 'caf\u00e9.png', the same letters in another form of Unicode",
        ),
        (" ab12.png", "the path has blanks around it; without them the file is there"),
        ("abc12.png", "beside it is 'ab12.png', the most alike"),
        ("ab13.png", "has no 'ab13.png', but one of another number, 'ab12.png'"),
        ("ab0012.png", "beside it is 'ab12.png': its number has other leading zeros"),
        ("mountain.webp", "has no 'mountain.webp', but others, such as '00012.png'"),
        (
            "/ab12.png",
            "begins with a '/', so it is not relative to the directory, but without it the file",
        ),
        (
            "pictures/ab12.png",
            "the directory already ends in 'pictures', with which the path begins",
        ),
        ("./pictures/ab12.png", "the directory already ends in 'pictures'"),
    ],
)
def test_the_error_says_what_lies_beside_the_path(cell: str, hint: str, shop: Path) -> None:
    error = error_of(cell, shop / "pictures")
    assert (
        "there is no such file: " in error
        and hint in error
        and "Check the column, and `directory`" in error
    )


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        (
            "pictures\\ab12.png",
            "a backslash separates no folders on this system (with '/' the file is there)",
        ),
        ("elsewhere\\ab12.png", "a backslash separates no folders on this system. Write '/'"),
        (
            "Pictures/ab12.png",
            "there is no folder 'Pictures', but 'pictures': upper and lower case count",
        ),
        ("picture/deep/ab12.png", "there is no folder 'picture', but 'pictures', the most alike"),
        ("pictures/ab12", "beside it is 'ab12.png'"),
        ("pictures/ab12.png/x.png", "pictures/ab12.png' is not a folder"),
    ],
)
def test_folders_are_looked_at_too(
    cell: str, hint: str, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hint in error_of(cell, shop)
    monkeypatch.chdir(shop)
    assert hint in error_of(cell, None)


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        (
            "img_0099.png",
            "has no 'img_0099.png', but 12 of other numbers, from 'img_0000.png' to 'img_0011.png'",
        ),
        ("12-4.jpg", "has no '12-4.jpg', but 2 of other numbers, from '9-3.jpg' to '10-1.jpg'"),
        ("part 7/a.png", "has no 'part 7', but one of another number, 'part 2'"),
    ],
)
def test_a_file_of_another_number_is_not_what_was_meant(
    cell: str, hint: str, tmp_path: Path
) -> None:
    for name in [*(f"img_{number:04d}.png" for number in range(12)), "10-1.jpg", "9-3.jpg"]:
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "part 2").mkdir()
    error = error_of(cell, tmp_path)
    assert hint in error and "alike" not in error


def test_an_id_is_found_in_a_folder_below_with_what_it_lacks(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = "its folder and its extension, which `'pictures/' + table[column] + '.png'` adds"
    assert f"there is 'pictures/00012.png': the path lacks {both}" in error_of("00012", shop)
    assert "there is 'pictures/ab12.png': the path lacks its folder, which" in error_of(
        "ab12.png", shop
    )
    monkeypatch.chdir(shop.parent)
    assert "there is 'pictures/00012.png'" in error_of("shop/00012", None)
    # A link that leads elsewhere is nobody's business either.
    (shop / "pictures" / "out").symlink_to(shop.parent)
    assert "secret.png" not in error_of("secret", shop / "pictures")


def test_paths_that_need_no_mending_are_read(shop: Path) -> None:
    loader = mg.ImageLoader("image", directory=shop, image_size=(4, 4))
    for cell in (
        "pictures/ab12.png",
        "./pictures/ab12.png",
        "pictures//ab12.png",
        "pictures/../pictures/ab12.png",
    ):
        assert loader.read(cell).shape == (4, 4, 3)
    odd = shop / "a\\b.png"
    Image.new("RGB", (4, 4)).save(odd)
    assert loader.read("a\\b.png").shape == (4, 4, 3)


def test_nothing_outside_of_the_directory_is_told(shop: Path) -> None:
    os.symlink(shop.parent, shop / "pictures" / "out")
    for cell in (
        "out/secret",
        "out/secret.jpg",
        "../../secret",
        "out/secre.png",
        str(shop.parent / "secret"),
    ):
        assert "secret.png" not in error_of(cell, shop / "pictures").replace(cell, "")
        assert "'shop'" not in error_of(cell, shop / "pictures")
    # Without a directory paths may lead anywhere.
    assert "beside it is 'secret.png'" in error_of(str(shop.parent / "secret"), None)


def test_a_large_folder_is_listed_once_and_not_beyond_a_bound(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = []
    scandir = os.scandir

    def counted(path: str) -> object:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    loader = mg.ImageLoader("image", directory=shop / "pictures", image_size=(4, 4))
    loader.read("ab12.png")
    assert listed == []
    error_of("ab12", shop / "pictures")
    assert listed == [str(shop / "pictures")]


def test_a_folder_without_files_and_an_id_that_is_a_number_are_named(shop: Path) -> None:
    (shop / "empty").mkdir()
    assert "the folder" in error_of("a.png", shop / "empty") and "is empty" in error_of(
        "a.png", shop / "empty"
    )
    for number in (12, 12.0, np.int64(12)):
        error = error_of(number, shop)
        assert "expected a path, not a number. Read the column as text (dtype=str)" in error
        assert f"Received: {number!r}" in error


def test_arrays_in_files_are_looked_for_as_pictures_are(shop: Path) -> None:
    np.save(shop / "0007.npy", np.zeros(3, "float32"))
    np.save(shop / "box.npy", np.zeros(3, "float32"))
    loader = mg.ArrayLoader("x", shape=(3,), directory=shop)
    with pytest.raises(mg.LoadError, match=r"beside it is 'box.npy': the extension is missing"):
        loader.read("box")
    with pytest.raises(mg.LoadError, match=r"beside it is '0007.npy', with leading zeros"):
        loader.read("7.npy")
