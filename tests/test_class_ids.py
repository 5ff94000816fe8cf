"""Masks of class ids are drawn in colours, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_audit import SILENT
from test_plots import assert_texts_lie_inside_and_apart, texts_of
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.augment import RandomFlip
from multimodal_gen.cli.app import app
from multimodal_gen.cli.table_notes import mask_notes
from multimodal_gen.inspection.class_ids import RESIZED_MASKS


def shapes(folder: Path, values: tuple[int, ...]) -> pd.DataFrame:
    """Four photos of noise, and masks of squares with the values in turn."""
    rng = np.random.default_rng(0)
    for row in range(4):
        photo = rng.integers(0, 256, (16, 16, 3), "uint8")
        Image.fromarray(photo).save(folder / f"photo{row}.png")
        mask = np.zeros((16, 16), "uint8")
        mask[2:9, 2:9], mask[10:, 10:] = values[row % len(values)], values[(row + 1) % len(values)]
        Image.fromarray(mask).save(folder / f"mask{row}.png")
    return pd.DataFrame(
        {
            "photo": [f"photo{row}.png" for row in range(4)],
            "mask": [f"mask{row}.png" for row in range(4)],
        }
    )


def loaders(folder: Path, **options: object) -> tuple[mg.ImageLoader, mg.ImageLoader]:
    photo = mg.ImageLoader("photo", directory=folder, image_size=(16, 16))
    mask = mg.ImageLoader(
        "mask", directory=folder, image_size=(16, 16), interpolation="nearest", **options
    )
    return photo, mask


@pytest.mark.parametrize("as_target", [False, True])
@pytest.mark.parametrize("color_mode", ["grayscale", "rgb"])
def test_class_ids_have_a_colour_each_and_the_picture_says_so(
    as_target: bool, color_mode: str, tmp_path: Path
) -> None:
    table = shapes(tmp_path, (1, 2, 20, 255))
    photo, mask = loaders(tmp_path, color_mode=color_mode)
    if as_target:
        data = mg.MultimodalSequence(table, {"photo": photo}, mg.InputTarget(mask), batch_size=4)
    else:
        data = mg.MultimodalSequence(table, {"photo": photo, "mask": mask}, batch_size=4)
    figure = mg.show_batch(data)
    drawn = [axes.images[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(drawn[0], np.asarray(Image.open(tmp_path / "photo0.png")))
    masks = drawn[1::2]
    ids = [np.asarray(Image.open(tmp_path / f"mask{row}.png")) for row in range(4)]
    colours: dict[int, set[tuple[int, ...]]] = {}
    for picture, values in zip(masks, ids, strict=True):
        for value in np.unique(values):
            found = colours.setdefault(int(value), set())
            found |= set(map(tuple, picture[values == value].tolist()))
    # One colour for each id in all masks, no two alike, and none of them nearly black.
    assert all(len(one) == 1 for one in colours.values())
    assert colours[0] == {(0, 0, 0)} and colours[255] == {(255, 255, 255)}
    assert len(set.union(*colours.values())) == 5
    assert min(max(next(iter(colours[one]))) for one in (1, 2, 20)) > 100
    shown = texts_of(figure)
    assert any("class ids of mask in colours" in text for text in shown)
    assert "mask: class ids 0, 1, 2" in shown
    assert ("mask: picture 2" in shown) == as_target
    assert_texts_lie_inside_and_apart(figure)


@pytest.mark.parametrize("values", [(255,), (0,), (40, 200)])
def test_black_white_and_grey_pictures_stay_as_they_are(
    values: tuple[int, ...], tmp_path: Path
) -> None:
    table = shapes(tmp_path, values)
    photo, mask = loaders(tmp_path, color_mode="grayscale")
    data = mg.MultimodalSequence(table, {"photo": photo, "mask": mask}, batch_size=4)
    figure = mg.show_batch(data)
    assert not any("class id" in text for text in texts_of(figure))
    for row in range(4):
        drawn = figure.axes[2 * row + 1].images[0].get_array()
        assert (drawn == np.asarray(Image.open(tmp_path / f"mask{row}.png"))[..., None]).all()


def test_a_reconstructed_picture_is_drawn_beside_the_input_in_the_files_values(
    tmp_path: Path,
) -> None:
    table = shapes(tmp_path, (1,))
    photo, _ = loaders(tmp_path)
    figure = mg.show_batch(
        mg.MultimodalSequence(table, {"photo": photo}, mg.InputTarget(photo), batch_size=4)
    )
    given, wanted = (axes.images[0].get_array() for axes in figure.axes[:2])
    np.testing.assert_array_equal(given, wanted)


@pytest.mark.parametrize("color_mode", ["grayscale", "rgb"])
def test_an_audit_shows_masks_in_colours_and_does_not_call_them_blank(
    color_mode: str, tmp_path: Path
) -> None:
    table = shapes(tmp_path, (1, 2, 3))
    table.loc[3, "mask"] = "gone.png"
    _, mask = loaders(tmp_path, color_mode=color_mode)
    report = mg.audit(table, {"mask": mask}, **SILENT)
    assert report.counts == {"missing": 1}
    assert report.notes == (
        "mask: 3 of 3 pictures hold only levels from 0 to about 3 of 255, like masks of class ids, "
        "and are not reported as near blank. Masks must not be interpolated when they are resized: "
        'ImageLoader(interpolation="nearest")',
    )
    table.loc[2, "mask"] = table.loc[1, "mask"]
    table.loc[3, "mask"] = "photo1.png"
    report = mg.audit(table, {"mask": mask}, ignore=["odd mode"], **SILENT)
    assert "near blank" not in report.counts
    inputs = {"mask": mask, "photo": loaders(tmp_path)[0]}
    Image.new("L", (16, 16), 9).save(tmp_path / "photo0.png")
    report = mg.audit(table, inputs, **SILENT)
    report.write_page(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "dark levels in colours" in page


def test_pictures_of_one_level_and_few_dark_ones_are_near_blank_as_before(tmp_path: Path) -> None:
    table = shapes(tmp_path, (1, 2, 3))
    _, mask = loaders(tmp_path, color_mode="grayscale")
    for row in (0, 1):
        Image.new("L", (16, 16), 9).save(tmp_path / f"mask{row}.png")
        Image.fromarray(np.random.default_rng(row).integers(0, 256, (16, 16), "uint8")).save(
            tmp_path / f"mask{row + 2}.png"
        )
    assert mg.audit(table, {"mask": mask}, **SILENT).counts["near blank"] == 2
    for row in range(3):
        Image.new("L", (16, 16), 9).save(tmp_path / f"mask{row}.png")
    assert mg.audit(table, {"mask": mask}, **SILENT).counts["near blank"] == 3


@pytest.mark.parametrize("values", [(1, 2, 20, 255), (3, 7)])
def test_the_command_line_says_that_it_interpolates_masks(
    values: tuple[int, ...], tmp_path: Path
) -> None:
    table = shapes(tmp_path, values)
    photo, mask = (mg.ImageLoader(name, directory=tmp_path) for name in ("photo", "mask"))
    table.loc[4] = ["photo0.png", "gone.png"]
    table.loc[5] = [None, None]
    # Resizing would mix 255 with its neighbours to levels that no mask has.
    inputs = {"photo": photo, "mask": mask.replace(image_size=(9, 9))}
    (note,) = mask_notes(table, inputs)
    most = max(value for value in values if value < 255)
    assert f"mask: 4 of 4 pictures looked at hold only levels from 0 to about {most} of" in note
    # In the same words as the audit, and by the command that draws rows too.
    audited = mg.audit(table, {"mask": mask}, **SILENT).notes
    assert RESIZED_MASKS in note
    assert any(RESIZED_MASKS in one for one in audited) == (255 not in values)
    table.drop(index=[4, 5]).assign(label=["a", "b"] * 2).to_csv(tmp_path / "a.csv", index=False)
    arguments = ["--image", "photo", "--image", "mask", "--image-size", "16x16", "--fractions"]
    arguments += ["0.5,0.25,0.25", "--out", str(tmp_path / "a.png")]
    result = CliRunner().invoke(app, ["preview", str(tmp_path / "a.csv"), *arguments])
    assert result.exit_code == 0 and "note: mask: " in result.stdout


def test_dark_photos_and_arrays_are_not_taken_for_masks(tmp_path: Path) -> None:
    table = shapes(tmp_path, (1, 2))
    for name in table["photo"]:
        dark = np.asarray(Image.open(tmp_path / name)) // 8
        Image.fromarray(dark).save(tmp_path / name)
    inputs = {"photo": mg.ImageLoader("photo", directory=tmp_path, image_size=(16, 16))}
    assert mask_notes(table, inputs) == []
    assert mask_notes(table.assign(photo="gone.png"), inputs) == []


@pytest.mark.parametrize("kind", ["I;16 png", "tiff", "array"])
def test_scans_of_16_bits_are_no_masks_and_train_and_preview_say_the_audits_range(
    kind: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    cells: list[Any] = []
    for row in range(8):
        scan = rng.integers(300, 3500, (16, 16)).astype("uint16")
        name = f"scan{row}.{'tif' if kind == 'tiff' else 'png'}"
        Image.fromarray(scan).save(tmp_path / name)
        cells.append(scan if kind == "array" else name)
    table = pd.DataFrame({"scan": pd.Series(cells, dtype=object), "label": ["a", "b"] * 4})
    scan = mg.ImageLoader("scan", directory=tmp_path, image_size=(16, 16))
    (note,) = mask_notes(table, {"scan": scan})
    assert note.startswith(
        "scan: 8 pictures have more than 8 bits, and the brightest level in them"
    )
    assert note.endswith("ImageLoader(value_range=(0, 4095)), which only Python can set")
    if kind != "array":
        (audited,) = mg.audit(table, {"scan": scan}, **SILENT).notes
        assert note == f"{audited}, which only Python can set"
    figure = mg.show_batch(mg.MultimodalSequence(table, {"scan": scan}, batch_size=4))
    assert not any("class id" in text for text in texts_of(figure))
    # With a range in which levels are the values themselves, few ids are a mask again.
    ids = pd.DataFrame({"mask": [np.arange(256, dtype="uint16").reshape(16, 16) % 4] * 2})
    mask = mg.ImageLoader("mask", image_size=(16, 16), value_range=(0, 255))
    assert "masks of class ids" in mask_notes(ids, {"mask": mask})[0]
    figure = mg.show_batch(mg.MultimodalSequence(ids, {"mask": mask}, batch_size=2))
    assert "mask: class ids 0, 1, 2, 3" in texts_of(figure)


def test_training_says_that_masks_are_varied_apart_from_their_pictures(tmp_path: Path) -> None:
    table, flip = shapes(tmp_path, (1, 2)), (RandomFlip("horizontal"),)
    photo, mask = (
        mg.ImageLoader(name, directory=tmp_path, image_size=(16, 16), augment=flip)
        for name in ("photo", "mask")
    )
    (note,) = mask_notes(table, {"photo": photo, "mask": mask})
    assert "each column is varied by itself, so that masks no longer fit their pictures" in note
    assert "ImageLoader(vary_with=...)" in note and "--augment none" in note
    together = mg.ImageLoader("mask", directory=tmp_path, image_size=(16, 16), vary_with=photo)
    for other in (mask.replace(augment=()), together):
        (note,) = mask_notes(table, {"photo": photo, "mask": other})
        assert "by itself" not in note
    (note,) = mask_notes(table, {"mask": mask})
    assert "by itself" not in note, "there is nothing that it must fit"
