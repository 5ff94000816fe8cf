from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.targets.inputs import InputTarget

FLIPS = [mg.augment.RandomFlip("horizontal_and_vertical"), mg.augment.RandomZoom(0.3)]


def picture_loader(folder: Path, **arguments: object) -> mg.ImageLoader:
    return mg.ImageLoader("image", directory=folder, image_size=(12, 16), **arguments)


def test_pictures_are_given_back_as_numbers_in_zero_to_one(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    loader = picture_loader(tmp_path)
    target = InputTarget(loader)
    assert target.spec == mg.ArraySpec((12, 16, 3), "float32", "image")
    assert (target.column, target.units, target.activation) == ("image", 576, "sigmoid")
    np.testing.assert_array_equal(target.read("0.png"), loader.read("0.png") / np.float32(255))
    mg.check_loader(InputTarget(loader.replace(augment=FLIPS)), picture_table["image"])


def test_vectors_are_given_back_as_they_are() -> None:
    loader = mg.NumericLoader(["a", "b"], mean=[0, 1], scale=[1, 2])
    target = InputTarget(loader)
    assert (target.units, target.activation) == (2, None)
    assert target.read((3.0, 5.0)).tolist() == [3.0, 2.0]
    mg.check_loader(target, [(3.0, 5.0)])


@pytest.mark.parametrize("arguments", [{}, {"dtype": "float32", "rescale": 1 / 255}])
def test_the_target_is_varied_exactly_as_the_input(
    arguments: dict[str, object], picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    loader = picture_loader(tmp_path, augment=FLIPS, **arguments)
    data = mg.MultimodalSequence(
        picture_table, {"image": loader}, InputTarget(loader), batch_size=4, shuffle=True, seed=5
    )
    scale = np.float32(1 if arguments else 255)
    plain = {row: loader.read(cell) for row, cell in picture_table["image"].items()}
    varied = 0
    for epoch in range(2):
        data.epoch = epoch
        for position, ((images,), targets) in enumerate(data):
            np.testing.assert_allclose(targets, images / scale, atol=1e-7)
            rows = data.rows(position).index
            varied += sum(
                not np.array_equal(image, plain[row])
                for row, image in zip(rows, images, strict=True)
            )
    assert varied > 15
    ((images,), targets) = data.for_evaluation()[0]
    np.testing.assert_allclose(targets, np.stack(list(plain.values())[:4]) / scale, atol=1e-7)


@dataclasses.dataclass(frozen=True)
class Darken(mg.augment.Augmentation):
    """An operation that a denoising autoencoder is to undo."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image // 4


def test_a_denoising_target_leaves_out_the_last_operations(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    clean = picture_loader(tmp_path, augment=FLIPS)
    noisy = clean.replace(augment=[*FLIPS, Darken()])
    data = mg.MultimodalSequence(
        picture_table, {"image": noisy}, InputTarget(clean), batch_size=10, shuffle=True
    )
    ((images,), targets) = data[0]
    np.testing.assert_array_equal(images, np.rint(targets * 255).astype("uint8") // 4)
    assert images.max() < 64 < 255 * targets.max()


def test_operations_on_cells_are_the_loaders_too() -> None:
    class Jitter(mg.NumericLoader):
        def augment_cell(self, cell: float, rng: np.random.Generator) -> float:
            return cell + rng.random()

    table = pd.DataFrame({"n": np.arange(6.0)})
    loader = Jitter("n", mean=[0], scale=[1])
    (numbers,), targets = mg.MultimodalSequence(
        table, {"n": loader}, InputTarget(loader), batch_size=6
    )[0]
    np.testing.assert_array_equal(numbers, targets)
    assert not np.array_equal(numbers[:, 0], table["n"])


@pytest.mark.parametrize("output_mode", ["tokens", "ngrams"])
def test_words_are_refused_with_the_target_to_take_instead(output_mode: str) -> None:
    loader = mg.TextLoader.from_texts(
        "caption", ["a red mug", "a blue mug"], output_mode=output_mode
    )
    with pytest.raises(
        ValueError, match=f"the target `MaskedTokens`.*Received: a loader of kind '{output_mode}'"
    ):
        InputTarget(loader)


@pytest.mark.parametrize(
    "loader", [None, "image", mg.ImageLoader, mg.ClassLabel("label", ["a", "b"])]
)
def test_what_is_no_loader_of_an_input_is_refused(loader: object) -> None:
    with pytest.raises(ValueError, match="must be the loader of an input. Received: loader="):
        InputTarget(loader)


def test_float_pictures_outside_of_zero_to_one_are_refused_with_the_way_out(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    target = InputTarget(picture_loader(tmp_path, dtype="float32"))
    data = mg.MultimodalSequence(picture_table, {"image": picture_loader(tmp_path)}, target)
    with pytest.raises(
        mg.LoadError, match=r"index 'row-0', column 'image': .*uint8, or of float32 with `rescale=1"
    ):
        data[0]


def test_normalised_pictures_are_refused_and_what_to_take_instead_works(tmp_path: Path) -> None:
    loader = picture_loader(
        tmp_path, dtype="float32", rescale=1 / 255, normalize=mg.SamplewiseNormalization()
    )
    with pytest.raises(
        ValueError,
        match=r"normalize=None, dtype=\"uint8\", rescale=None.*with normalize=Samplewise",
    ):
        InputTarget(loader)
    assert InputTarget(loader.replace(normalize=None, dtype="uint8", rescale=None)).spec.shape == (
        12,
        16,
        3,
    )


def test_arrays_in_memory_are_given_back_too() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 4, 5), "uint8")
    target = InputTarget(mg.ArrayLoader("picture", shape=(4, 5), dtype="uint8"))
    mg.check_loader(target, list(pictures))
    np.testing.assert_array_equal(
        target.read(pictures[0]), pictures[0][..., None] / np.float32(255)
    )


def test_a_picture_that_cannot_be_read_is_the_loaders_own_error(tmp_path: Path) -> None:
    with pytest.raises(mg.LoadError, match="no such file"):
        InputTarget(picture_loader(tmp_path)).read("none.png")


def test_predictions_are_pictures_again(picture_table: pd.DataFrame, tmp_path: Path) -> None:
    loader = picture_loader(tmp_path)
    target = InputTarget(loader)
    arrays = np.stack([target.read(cell) for cell in picture_table["image"]])
    column = target.decode_outputs(arrays.reshape(10, -1))["reconstruction"]
    assert [picture.dtype for picture in column[:2]] == ["uint8", "uint8"]
    np.testing.assert_array_equal(column[3], loader.read("3.png"))
    outside = target.decode_outputs(np.full((1, 576), 1.2))["reconstruction"][0]
    assert outside.max() == 255
    vector = InputTarget(mg.NumericLoader(["a", "b"], mean=[0, 0], scale=[1, 1]))
    assert vector.decode_outputs(np.array([[-3.0, 7.0]]))["reconstruction"][0].tolist() == [
        -3.0,
        7.0,
    ]


def test_the_loss_and_the_metric_are_the_mean_squared_error_of_a_row() -> None:
    target = InputTarget(mg.ImageLoader("image", image_size=(4, 4)))
    rng = np.random.default_rng(0)
    # As many rows as columns of a picture, where Keras's own loss would weigh columns.
    truth, outputs = rng.random((2, 4, 4, 4, 3)).astype("float32")
    errors = ((truth - outputs) ** 2).mean(axis=(1, 2, 3))
    weights = np.array([1, 0, 2, 0], "float32")
    for shaped in (outputs, outputs.reshape(4, -1)):
        loss = float(keras.ops.convert_to_numpy(target.loss(truth, shaped, sample_weight=weights)))
        assert loss == pytest.approx((errors * weights).sum() / 3, rel=1e-5)
        (metric,) = target.metrics
        metric.update_state(truth, shaped)
        assert float(keras.ops.convert_to_numpy(metric.result())) == pytest.approx(
            errors.mean(), rel=1e-5
        )
    assert metric.name == "mean_squared_error"


def test_scores_say_how_much_is_given_back() -> None:
    target = InputTarget(mg.NumericLoader(["a", "b"], mean=[0, 0], scale=[1, 1]))
    truth = np.array([[0.0, 5.0], [2.0, 5.0]])
    assert target.score(truth, truth) == {"mean_squared_error": 0.0, "r2": 1.0}
    mean = target.score(truth, np.array([[1.0, 5.0], [1.0, 5.0]]))
    assert mean == {"mean_squared_error": 0.5, "r2": 0.0}
    assert np.isnan(target.score(truth[:1], truth[:1])["r2"])
