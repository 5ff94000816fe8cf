"""`from_image_data_generator`, and the same parameters through Keras's ImageDataGenerator and
through this package.
"""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.augment import (
    Augmentation,
    GeometricAugmentation,
    RandomBrightness,
    RandomChannelShift,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
    augment_image,
    from_image_data_generator,
)
from multimodal_gen.augment.warp import Fill, warp

# Keras looks its interpolation up under a name that SciPy has renamed.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Please (use|import) .affine_transform.:DeprecationWarning"
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def test_a_typical_generator_becomes_a_list_in_its_order() -> None:
    operations = from_image_data_generator(
        rotation_range=36,
        width_shift_range=0.1,
        height_shift_range=0.2,
        shear_range=45,
        zoom_range=0.25,
        channel_shift_range=51,
        horizontal_flip=True,
        vertical_flip=True,
        brightness_range=(0.5, 1.5),
        fill_mode="constant",
        cval=7.0,
    )
    borders = {"fill_mode": "constant", "fill_value": 7.0}
    assert [
        one.replace(interpolation="bilinear") if hasattr(one, "fill_mode") else one
        for one in operations
    ] == [
        RandomRotation(0.1, **borders, interpolation="bilinear"),
        RandomTranslation(
            height_factor=0.2,
            width_factor=0.1,
            unit="fraction",
            **borders,
            interpolation="bilinear",
        ),
        RandomShear(math.tan(math.pi / 4), **borders, interpolation="bilinear"),
        RandomZoom((-0.25, 0.25), (-0.25, 0.25), **borders, interpolation="bilinear"),
        RandomChannelShift(0.2, together=True),
        RandomFlip("horizontal"),
        RandomFlip("vertical"),
        RandomBrightness((-0.5, 0.5), method="multiply"),
    ]


def test_the_defaults_of_image_data_generator_ask_for_nothing() -> None:
    keras_image = pytest.importorskip("keras.src.legacy.preprocessing.image")
    parameters = inspect.signature(keras_image.ImageDataGenerator).parameters
    assert (
        from_image_data_generator(**{name: one.default for name, one in parameters.items()}) == []
    )
    assert from_image_data_generator() == []


def test_every_argument_of_image_data_generator_is_known() -> None:
    keras_image = pytest.importorskip("keras.src.legacy.preprocessing.image")
    for name in inspect.signature(keras_image.ImageDataGenerator).parameters:
        with pytest.raises(ValueError, match=f"`{name}` .*Received: {name}='something'"):
            from_image_data_generator(**{name: "something"})


def test_integers_shift_by_whole_pixels_short_of_the_range_and_floats_by_pixels_from_one() -> None:
    (whole,) = from_image_data_generator(width_shift_range=4)
    shifts = {-whole.matrix(50, 50, rng(seed))[0, 2] for seed in range(300)}
    assert shifts == set(range(-3, 4))
    (pixels,) = from_image_data_generator(height_shift_range=2.5)
    assert (pixels.unit, pixels.height_factor, pixels.width_factor) == ("pixels", 2.5, 0)
    mixed = from_image_data_generator(height_shift_range=0.1, width_shift_range=3)
    assert [(one.unit, one.height_factor, one.width_factor) for one in mixed] == [
        ("fraction", 0.1, 0),
        ("pixels", 0, 2),
    ]
    assert from_image_data_generator(width_shift_range=1) == []


def test_borders_and_interpolation_are_handed_on() -> None:
    (nearest,) = from_image_data_generator(
        rotation_range=10, interpolation_order=0, fill_mode="wrap"
    )
    assert nearest.fill == ("wrap", 0.0, "nearest")
    (default,) = from_image_data_generator(rotation_range=10, data_format="channels_last")
    assert default.fill == ("nearest", 0.0, "bilinear")


def test_the_list_goes_into_an_image_loader() -> None:
    operations = from_image_data_generator(
        rotation_range=20, zoom_range=[0.8, 1.1], brightness_range=[0.9, 1.1]
    )
    loader = mg.ImageLoader("image", image_size=(16, 16), augment=operations)
    mg.check_loader(loader, [rng().integers(0, 256, (20, 30, 3), "uint8")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"rescale": 1 / 255},
            r'`rescale` is not an augmentation.*ImageLoader\(..., dtype="float32", rescale=.*'
            r"Received",
        ),
        (
            {"featurewise_center": True},
            r"normalize=FeaturewiseNormalization.from_table\(loader, train\).*=True",
        ),
        ({"featurewise_std_normalization": True}, "normalize=FeaturewiseNormalization"),
        (
            {"samplewise_center": True},
            "`samplewise_center` is not .*normalize=SamplewiseNormalization",
        ),
        ({"samplewise_std_normalization": True}, "normalize=SamplewiseNormalization"),
        ({"zca_whitening": True}, "normalize=ZCAWhitening.from_table"),
        ({"zca_epsilon": 1e-3}, "normalize=ZCAWhitening.from_table.*Received: zca_epsilon=0.001"),
        (
            {"preprocessing_function": abs},
            "a layer at the start of the model.*Received: preprocessing_function=",
        ),
        (
            {"data_format": "channels_first"},
            "Permute layer. Received: data_format='channels_first'",
        ),
        ({"validation_split": 0.2}, r"write split_table\(table, .*Received: validation_split=0.2"),
        ({"dtype": "float16"}, 'dtype="float32".*Received: dtype='),
        (
            {"interpolation_order": 3},
            "`interpolation_order` must be 0 .nearest. or 1 .*Received: interpolation_order=3",
        ),
        ({"fill_mode": "mirror"}, "`fill_mode` must be one of .*Received: fill_mode='mirror'"),
        (
            {"rotation_range": -3},
            r"`rotation_range` must be a number in \[0, 360\]. Received: rotation_range=-3",
        ),
        (
            {"rotation_range": (0, 10)},
            r"`rotation_range` must be a number in \[0, 360\]. Received: rotation_range=\(0, 10\)",
        ),
        ({"shear_range": 90}, r"`shear_range` must be a number in \[0, 80\]. Received"),
        (
            {"channel_shift_range": 300},
            r"`channel_shift_range` must be a number in \[0, 255\]. Received",
        ),
        (
            {"zoom_range": 1.5},
            r"`zoom_range` must be a number below 1, or a pair .* above 0 and at most 10. "
            r"Received: zoom_range=1.5",
        ),
        ({"zoom_range": (1.2, 0.8)}, "`zoom_range` must be"),
        (
            {"brightness_range": 0.5},
            r"`brightness_range` must be a pair \(low, high\) with 0 <= low <= high. "
            r"Received",
        ),
        ({"brightness_range": (-1, 1)}, "`brightness_range` must be a pair"),
        (
            {"width_shift_range": [-0.1, 0.1]},
            "`width_shift_range` must be a number here: a list means a choice .*Received",
        ),
        ({"height_shift_range": -1}, "`height_shift_range` must be at least 0. Received"),
        ({"cval": 999}, r"`cval` must be a number in \[0, 255\]. Received: cval=999"),
    ],
)
def test_an_argument_without_meaning_says_what_to_write_instead(
    arguments: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        from_image_data_generator(**arguments)


def test_an_unknown_argument_is_answered_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="Did you mean `rotation_range`. Received: rotation=20"):
        from_image_data_generator(rotation=20)
    with pytest.raises(TypeError, match="no argument with this name. Received: xyz=1"):
        from_image_data_generator(xyz=1)


def keras_picture(
    image: np.ndarray, fill_mode: str = "nearest", **parameters: object
) -> np.ndarray:
    pytest.importorskip("scipy")
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(fill_mode=fill_mode, data_format="channels_last")
    return generator.apply_transform(image.astype("float32"), parameters)


def at(value: float) -> tuple[float, float]:
    return value, value


NEAREST = {"fill_mode": "nearest"}
TAN, COS = math.tan(math.radians(15)), math.cos(math.radians(15))
SHIFT = {"unit": "pixels", **NEAREST}

# Keras's tx moves along the width in the release that is tested here, see the test below.
SAME: dict[str, tuple[dict[str, object], list[Augmentation]]] = {
    "theta": ({"theta": 25}, [RandomRotation(at(25 / 360), **NEAREST)]),
    "tx": ({"tx": 11}, [RandomTranslation(0, at(-11), **SHIFT)]),
    "ty": ({"ty": -7.5}, [RandomTranslation(at(7.5), 0, **SHIFT)]),
    "shear": (
        {"shear": 15},
        [RandomShear(at(-TAN), **NEAREST), RandomZoom(at(COS - 1), 0.0, **NEAREST)],
    ),
    "zx": ({"zx": 0.8, "zy": 1}, [RandomZoom(0.0, at(-0.2), **NEAREST)]),
    "zy": ({"zx": 1, "zy": 1.15}, [RandomZoom(at(0.15), 0.0, **NEAREST)]),
    "everything that moves": (
        {
            "theta": -12,
            "tx": 5,
            "ty": 4,
            "shear": 15,
            "zx": 0.9,
            "zy": 0.8,
            "flip_horizontal": True,
        },
        [
            RandomRotation(at(-12 / 360), **NEAREST),
            RandomTranslation(at(-4), at(-5), **SHIFT),
            RandomShear(at(-TAN), **NEAREST),
            RandomZoom(at(COS * 0.8 - 1), at(-0.1), **NEAREST),
        ],
    ),
    "channel shift": (
        {"channel_shift_intensity": 25},
        [RandomChannelShift(at(25 / 255), together=True)],
    ),
    "darker": ({"brightness": 0.6}, [RandomBrightness(at(-0.4), method="multiply")]),
    "lighter": ({"brightness": 1.4}, [RandomBrightness(at(0.4), method="multiply")]),
}


def difference(name: str, image: np.ndarray) -> float:
    parameters, operations = SAME[name]
    ours = augment_image(image, operations, rng())
    if parameters.get("flip_horizontal"):
        ours = ours[:, ::-1]
    margin = len(image) // 5
    inside = (slice(margin, -margin), slice(margin, -margin))
    return float(np.abs(keras_picture(image, **parameters)[inside] - ours[inside]).mean())


@pytest.fixture
def drawing(sample_data: Path) -> np.ndarray:
    """A picture of 160x160 that uses all levels."""
    picture = (
        Image.open(sample_data / "images" / "0003.jpg")
        .convert("RGB")
        .resize((160, 160), Image.Resampling.BICUBIC)
    )
    image = np.array(picture)
    image[0, :2] = [[0] * 3, [255] * 3]
    return image


@pytest.mark.parametrize("name", SAME)
def test_the_same_parameters_give_the_same_drawing(name: str, drawing: np.ndarray) -> None:
    assert difference(name, drawing) < 1


@pytest.mark.parametrize("name", SAME)
def test_the_same_parameters_give_the_same_photos(name: str, real_data: Path) -> None:
    paths = sorted((real_data / "photos" / "images").glob("*.JPEG"))[:60:5]
    differences = []
    for path in paths:
        image = np.array(Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BOX))
        image[0, :2] = [[0] * 3, [255] * 3]
        differences.append(difference(name, image))
    assert max(differences) < 2
    assert len(differences) == 12


@pytest.mark.parametrize("flip", ["horizontal", "vertical"])
def test_flips_are_the_same_to_the_byte(flip: str, drawing: np.ndarray) -> None:
    expected = keras_picture(drawing[:100], **{f"flip_{flip}": True})
    results = {RandomFlip(flip)(drawing[:100], rng(seed)).tobytes() for seed in range(20)}
    assert results == {expected.astype("uint8").tobytes(), drawing[:100].tobytes()}


# Where this package differs on purpose; docs/from_image_data_generator.md says why.


class AboutPoint(GeometricAugmentation):
    """A linear map about any point, given in pixels from the corner."""

    def __init__(self, linear: np.ndarray, x: float, y: float) -> None:
        self.linear, self.x, self.y = linear, x, y

    @property
    def fill(self) -> Fill:
        return Fill("nearest")

    def matrix(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        there, back = np.eye(3), np.eye(3)
        there[:2, 2], back[:2, 2] = (self.x, self.y), (-self.x, -self.y)
        return there @ self.linear @ back


@pytest.mark.parametrize("parameters", [{"theta": 20}, {"zx": 0.7, "zy": 0.7}])
def test_an_oblong_picture_turns_about_its_own_centre_and_not_about_keras_s(
    parameters, drawing: np.ndarray
) -> None:
    image = np.ascontiguousarray(drawing[:100])
    height, width = image.shape[:2]
    (operation,) = (
        [RandomRotation(at(20 / 360))] if "theta" in parameters else [RandomZoom(at(-0.3))]
    )
    linear = operation.matrix(0, 0, rng())
    theirs = keras_picture(image, **parameters)
    centre = AboutPoint(linear, width / 2, height / 2)(image, rng())
    swapped = AboutPoint(linear, height / 2, width / 2)(image, rng())
    inside = (slice(30, -30), slice(30, -30))
    assert np.abs(theirs - swapped)[inside].mean() < 1
    assert np.abs(theirs - centre)[inside].mean() > 5
    assert np.array_equal(
        warp(image, operation.matrix(height, width, rng()), Fill("nearest")), centre
    )


def test_a_height_shift_moves_along_the_height_where_keras_moves_along_the_width(
    drawing: np.ndarray,
) -> None:
    pytest.importorskip("scipy")
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    drawn = ImageDataGenerator(height_shift_range=0.2).get_random_transform((160, 160, 3), seed=3)
    assert drawn["ty"] == 0
    shift = round(drawn["tx"])
    assert shift
    theirs = keras_picture(drawing, fill_mode="wrap", tx=shift)
    assert np.abs(theirs - np.roll(drawing, -shift, axis=1))[40:-40, 40:-40].max() == 0
    (operation,) = from_image_data_generator(height_shift_range=0.2)
    matrix = operation.matrix(160, 160, rng())
    assert matrix[0, 2] == 0 != matrix[1, 2]


def test_a_shear_keeps_the_height_where_keras_zooms_in(drawing: np.ndarray) -> None:
    (operation,) = from_image_data_generator(shear_range=30)
    matrix = operation.matrix(160, 160, rng(1))
    assert matrix[1].tolist() == [0, 1, 0]
    assert np.linalg.det(matrix) == pytest.approx(1)
    slanted = keras_picture(drawing, shear=30)
    same = [
        RandomShear(at(-math.tan(math.radians(30))), **NEAREST),
        RandomZoom(at(math.cos(math.pi / 6) - 1), 0.0, **NEAREST),
    ]
    assert np.abs(slanted - augment_image(drawing, same, rng()))[40:-40, 40:-40].mean() < 1


def test_a_channel_shift_uses_all_levels_where_keras_stops_at_the_picture_s_own(
    drawing: np.ndarray,
) -> None:
    dull = (drawing // 3 + 100).astype("uint8")
    assert keras_picture(dull, channel_shift_intensity=60).max() == dull.max()
    ours = RandomChannelShift(at(60 / 255), together=True)(dull, rng())
    assert np.array_equal(ours, dull + 60)


def test_wrapping_repeats_every_pixel_where_scipy_leaves_one_out(drawing: np.ndarray) -> None:
    ours = RandomTranslation(0, at(-30), unit="pixels", fill_mode="wrap")(drawing, rng())
    assert np.array_equal(ours, np.roll(drawing, -30, axis=1))
    theirs = keras_picture(drawing, fill_mode="wrap", tx=30)
    assert np.array_equal(theirs[:, :129], ours[:, :129])
    assert np.array_equal(theirs[:, 130:-1], ours[:, 131:])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"width_shift_range": [-0.1, 0.1]}, ValueError, 'unit="fraction"'),
        ({"width_shift_range": [-4, 4]}, ValueError, 'unit="pixels"'),
        (
            {"width_shift_range": "0.1"},
            ValueError,
            "a share of the side below 1, or pixels. Received: .*'0.1'",
        ),
        (
            {"rescale": 2, "validation_split": 0.2},
            ValueError,
            "`rescale` is no.*`validation_split` is no",
        ),
        (
            {"subset": "training"},
            TypeError,
            "belongs to `flow`, `flow_from_directory` or `flow_from_dataframe`",
        ),
        ({"brightness_range": (1.3, 0.7)}, ValueError, "0 <= low <= high"),
    ],
)
def test_the_way_out_fits_what_was_given(
    arguments: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        from_image_data_generator(**arguments)
