"""Pictures of one row that are varied together: a mask with its picture, a left view with a right
one.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.config import deserialize, serialize

augment = mg.augment
ROWS = 12
TURN = augment.RandomRotation(0.2, fill_mode="nearest")


def ramp(height: int, width: int) -> np.ndarray:
    """A picture of which every pixel says where it stands: red across, green down."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = (x + 0.5) / width * 255, (y + 0.5) / height * 255
    return np.rint(np.stack([red, green, np.full_like(red, 90)], axis=-1)).astype("uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(ramp(96, 96)).save(folder / "photo.png")
    Image.fromarray(ramp(96, 96)).save(folder / "mask.png")
    Image.fromarray(np.where(ramp(96, 96)[:, :, 0] < 128, 7, 200).astype("uint8")).save(
        folder / "two.png"
    )
    return folder


@pytest.fixture
def table(folder: Path) -> pd.DataFrame:
    names = {"photo": "photo.png", "mask": "mask.png", "two": "two.png", "caption": "left of it"}
    return pd.DataFrame({name: [cell] * ROWS for name, cell in names.items()})


@dataclasses.dataclass(frozen=True)
class QuarterTurn(augment.GeometricAugmentation):
    """A movement of your own; it draws another number of numbers for pictures of another size."""

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        rng.random(height)
        turned = rng.integers(2)
        centre = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
        return (
            centre
            @ [[1 - turned, -turned, 0], [turned, 1 - turned, 0], [0, 0, 1]]
            @ np.linalg.inv(centre)
        )


def draws_much(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rng.random(7)
    return image


# Operations that draw and change nothing, so that pictures can be compared.
IDLE = [augment.RandomBrightness(0.0), augment.RandomContrast(0.0), draws_much]
MOVES = [
    augment.RandomFlip(),
    augment.RandomZoom(0.3),
    augment.RandomTranslation(0.3, 0.3),
    augment.RandomTranslation(9, 9, unit="pixels"),
    augment.RandomRotation(0.3),
    augment.RandomShear(0.3, 0.3),
    augment.RandomCrop(40, 20),
    augment.RandomResizedCrop((0.2, 1.0)),
    QuarterTurn(),
]


def near(pictures: np.ndarray, targets: np.ndarray) -> float:
    """How far apart two batches of the ramp are, of 255, at the size of the smaller one."""
    size = targets.shape[2], targets.shape[1]
    smaller = [
        np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in pictures
    ]
    return float(
        np.abs(np.stack(smaller)[..., :2] - 255 * targets[..., :2]).mean(axis=(1, 2, 3)).max()
    )


@pytest.mark.parametrize("move", MOVES, ids=repr)
def test_a_mask_is_moved_as_its_picture_whatever_else_varies_either(
    move: augment.Augmentation, table: pd.DataFrame, folder: Path
) -> None:
    lists = (
        [*IDLE, move, *IDLE, augment.RandomFlip("vertical")],
        [move, augment.RandomFlip("vertical")],
    )
    photo, mask = (
        mg.ImageLoader(name, directory=folder, image_size=size, augment=operations)
        for name, size, operations in zip(
            ("photo", "mask"), ((64, 64), (48, 24)), lists, strict=True
        )
    )
    for loader in (mask, mask.replace(augment=(), vary_with=photo.replace(augment=lists[1]))):
        first = photo if loader is mask else photo.replace(augment=lists[1])
        data = mg.MultimodalSequence(
            table, {"photo": first}, mg.InputTarget(loader), batch_size=ROWS, shuffle=True
        )
        (pictures,), targets = data[0]
        assert len({one.tobytes() for one in pictures}) > 2
        assert near(pictures, targets) < 6
    independent = mg.MultimodalSequence(
        table, {"photo": photo}, mg.InputTarget(mask, follows=False), batch_size=ROWS
    )
    (pictures,), targets = independent[0]
    assert near(pictures, targets) > 6


def test_policies_move_what_follows_and_leave_its_colours(
    table: pd.DataFrame, folder: Path
) -> None:
    photo = mg.ImageLoader(
        "photo", directory=folder, image_size=(32, 32), augment=[augment.TrivialAugment()]
    )
    mask = mg.ImageLoader("mask", directory=folder, image_size=(32, 32), vary_with=photo)
    data = mg.MultimodalSequence(
        table, {"photo": photo, "mask": mask}, batch_size=ROWS, shuffle=True
    )
    plain, moved, coloured = mask.read("mask.png"), 0, 0
    for epoch in range(3):
        data.epoch = epoch
        ((pictures, masks),) = data[0]
        for picture, follower in zip(pictures, masks, strict=True):
            moved += np.array_equal(picture, follower) and not np.array_equal(picture, plain)
            coloured += np.array_equal(follower, plain) and not np.array_equal(picture, plain)
            assert np.array_equal(picture, follower) or np.array_equal(follower, plain)
    assert moved > 5 and coloured > 5


def test_what_is_not_to_be_interpolated_keeps_its_values(table: pd.DataFrame, folder: Path) -> None:
    photo = mg.ImageLoader("photo", directory=folder, image_size=(50, 50), augment=MOVES)
    mask = mg.ImageLoader(
        "two",
        directory=folder,
        image_size=(33, 41),
        color_mode="grayscale",
        interpolation="nearest",
        vary_with=photo,
    )
    data = mg.MultimodalSequence(
        table, {"photo": photo}, mg.InputTarget(mask), batch_size=ROWS, shuffle=True
    )
    targets = np.rint(255 * data[0][1])
    assert set(np.unique(targets)) == {7, 200}
    # So too without a picture to follow, by an operation that says nothing of interpolation itself.
    alone = mask.replace(vary_with=None, augment=[augment.RandomResizedCrop()])
    pixels = alone.read("two.png")
    values = [np.unique(alone.augment(pixels, np.random.default_rng(seed))) for seed in range(9)]
    assert set(np.concatenate(values)) == {7, 200}


def test_two_views_of_a_row_share_every_draw(table: pd.DataFrame, folder: Path) -> None:
    operations = [augment.RandomBrightness(0.3), TURN, augment.RandomErasing(1.0)]
    left = mg.ImageLoader("photo", directory=folder, image_size=(40, 40), augment=operations)
    right = left.replace(column="mask", vary_with=left)
    apart = left.replace(column="mask")
    inputs = {"left": left, "right": right, "apart": apart}
    data = mg.MultimodalSequence(table, inputs, batch_size=4, shuffle=True, seed=3)
    ((lefts, rights, others),) = data[1]
    np.testing.assert_array_equal(lefts, rights)
    assert not np.array_equal(lefts, others)
    row = data.rows(1).index[2]
    ((again, follower, _),) = data.replay(0, row)
    np.testing.assert_array_equal(again[0], lefts[2])
    np.testing.assert_array_equal(follower[0], rights[2])
    ((plain, also_plain, _),) = data.for_evaluation()[0]
    np.testing.assert_array_equal(plain, also_plain)
    np.testing.assert_array_equal(plain[0], left.read("photo.png"))
    assert (
        data.state()
        != mg.MultimodalSequence(
            table, inputs | {"right": apart}, batch_size=4, shuffle=True
        ).state()
    )


def test_a_follower_keeps_the_contract_and_comes_back_from_json(folder: Path) -> None:
    photo = mg.ImageLoader(
        "photo", directory=folder, image_size=(20, 30), augment=[*MOVES[:3], draws_much]
    )
    listed = mg.ImageLoader("mask", directory=folder, augment=MOVES[:3], vary_with=photo)
    taken = mg.ImageLoader(
        "mask",
        directory=folder,
        image_size=(9, 9),
        vary_with=photo.replace(augment=MOVES, image_size=(60, 60)),
    )
    assert taken.operations == tuple(MOVES)
    for loader in (listed, taken, mg.InputTarget(taken)):
        mg.check_loader(loader, ["mask.png"])
        custom = {"QuarterTurn": QuarterTurn}
        for copy in (
            pickle.loads(pickle.dumps(loader)),
            deserialize(json.loads(json.dumps(serialize(loader))), custom),
        ):
            assert copy == loader and copy.stream == "photo"
    # What a picture is varied with makes no other cache.
    assert listed.read_config() == listed.replace(vary_with=None).read_config()


def test_arrays_follow_arrays_and_pictures() -> None:
    pictures = np.stack([ramp(32, 32)] * ROWS)
    masks = np.where(pictures[..., :1] < 128, 3, 250).astype("uint8")
    table = mg.table_from_arrays(x=pictures, mask=masks)
    operations = [
        augment.RandomFlip(),
        augment.RandomHue(0.4),
        augment.RandomResizedCrop((0.3, 0.9)),
    ]
    x = mg.ArrayLoader.from_values("x", table, augment=operations)
    mask = mg.ArrayLoader.from_values("mask", table, interpolation="nearest", vary_with=x)
    assert mask.operations == (operations[0], operations[2])
    data = mg.MultimodalSequence(
        table, {"x": x.replace(augment=operations)}, mg.InputTarget(mask), batch_size=ROWS
    )
    _, targets = data[0]
    assert set(np.unique(np.rint(255 * targets))) == {3, 250}
    plain = x.replace(augment=[operations[0], operations[2]])
    data = mg.MultimodalSequence(
        table, {"x": plain}, mg.InputTarget(mask.replace(vary_with=plain)), batch_size=ROWS
    )
    (arrays,), targets = data[0]
    fits = (arrays[..., 0] < 128) == (targets[..., 0] < 0.5)
    assert fits.mean() > 0.97
    with pytest.raises(ValueError, match="Only uint8 images can vary together with others"):
        mg.ArrayLoader("x", shape=(4,), vary_with=x)


def test_pictures_that_would_be_varied_apart_are_refused(table: pd.DataFrame, folder: Path) -> None:
    flip, photo = (
        augment.RandomFlip("horizontal"),
        mg.ImageLoader("photo", directory=folder, image_size=(8, 8)),
    )
    moved, mask = photo.replace(augment=[flip]), photo.replace(column="mask")

    def sequence(
        inputs: dict[str, mg.Loader], target: mg.ImageLoader, **arguments: object
    ) -> mg.MultimodalSequence:
        return mg.MultimodalSequence(
            table, inputs, mg.InputTarget(target, **arguments), shuffle=True
        )

    for first, second in (
        (moved, mask),
        (photo, mask.replace(augment=[flip])),
        (moved, mask.replace(augment=[TURN])),
    ):
        with pytest.raises(
            ValueError, match=r"`vary_with=LOADER` in .* instead.*follows=False.*Received: target="
        ):
            sequence({"photo": first}, second)
        sequence({"photo": first}, second, follows=False)
    with pytest.raises(ValueError, match="is ambiguous.*'photo', 'two'"):
        sequence({"photo": moved, "two": moved.replace(column="two")}, mask)
    with pytest.raises(ValueError, match="moved by the same operations, in the same order"):
        mask.replace(augment=[TURN], vary_with=moved)
    with pytest.raises(
        ValueError, match="Nothing can determine whether your own operation moves pixels"
    ):
        mask.replace(vary_with=photo.replace(augment=[draws_much]))
    with pytest.raises(ValueError, match="must be the loader of another picture"):
        mask.replace(vary_with="photo")
    follower = mask.replace(vary_with=moved)
    with pytest.raises(ValueError, match="must itself be among the inputs"):
        sequence({"photo": moved.replace(augment=[flip, TURN])}, follower)
    with pytest.raises(ValueError, match="must itself be among the inputs"):
        mg.MultimodalSequence(table, {"photo": photo, "mask": follower}, shuffle=True)
    # Borders are each picture's own.
    bordered = mask.replace(augment=[TURN.replace(fill_mode="constant")])
    sequence({"photo": photo.replace(augment=[TURN])}, bordered)


def test_a_target_of_the_inputs_own_column_and_of_another_size_is_moved_in_proportion(
    table: pd.DataFrame, folder: Path
) -> None:
    # As where a model is to make pictures larger; the noise is for it to undo.
    shift = augment.RandomTranslation((6, 6), (-9, -9), unit="pixels")
    small = mg.ImageLoader(
        "photo", directory=folder, image_size=(24, 24), augment=[augment.GaussianBlur(), shift]
    )
    large = small.replace(image_size=(96, 96), augment=[shift])
    data = mg.MultimodalSequence(
        table, {"photo": small}, mg.InputTarget(large), batch_size=ROWS, shuffle=True
    )
    (pictures,), targets = data[0]
    assert near((255 * targets).astype("uint8"), pictures / 255) < 3


def test_pasted_rectangles_and_mirrored_views_reach_every_picture_of_a_row(
    table: pd.DataFrame, folder: Path
) -> None:
    photo = mg.ImageLoader(
        "photo",
        directory=folder,
        image_size=(30, 30),
        color_mode="grayscale",
        interpolation="nearest",
    )
    mixed = table.assign(photo=["two.png", "photo.png"] * (ROWS // 2))
    target = mg.InputTarget(photo.replace(column="copy"))
    data = mg.MultimodalSequence(
        mixed.assign(copy=mixed["photo"]),
        {"photo": photo},
        target,
        batch_size=ROWS,
        shuffle=True,
        batch_augment=[augment.CutMix()],
    )
    (pictures,), targets = data[0]
    np.testing.assert_array_equal(pictures, np.rint(255 * targets))
    views = {"left": photo, "right": photo.replace(column="mask")}
    captions = {"caption": mg.TextLoader.from_texts("caption", table)}
    flip = augment.FlipWithWords(("left", "right"), rate=1.0)
    data = mg.MultimodalSequence(
        table, views | captions, batch_size=2, shuffle=True, sample_augment=[flip]
    )
    ((left, right, _),) = data[0]
    np.testing.assert_array_equal(left[0], photo.read("photo.png")[:, ::-1])
    np.testing.assert_array_equal(right[0], left[0])
