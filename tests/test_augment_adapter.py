"""Callables that are not this package's own: functions, other libraries' transforms, and those that
break the rules.
"""

from __future__ import annotations

import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import multimodal_gen as mg
from multimodal_gen.augment import FromLibrary, RandomFlip, augment_image


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@pytest.fixture
def picture() -> np.ndarray:
    return rng(5).integers(0, 256, (16, 20, 3), "uint8")


class DrawsGlobally:
    """As older libraries do it."""

    def __call__(self, *, image: np.ndarray) -> dict[str, np.ndarray]:
        image += np.random.randint(0, 40, image.shape).astype("uint8")  # noqa: NPY002
        return {"image": np.roll(image, random.randrange(20), axis=1)}


class HasItsOwnState:
    """As newer libraries do it: global seeds have no effect."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng()

    def set_random_seed(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def __call__(self, *, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": image + self.generator.integers(0, 40, image.shape, "uint8")}


@pytest.mark.parametrize("transform", [DrawsGlobally, HasItsOwnState])
def test_a_library_is_reproducible_whatever_the_threads(
    transform: type, picture: np.ndarray
) -> None:
    picture.flags.writeable = False
    operation = FromLibrary(transform())
    expected = [operation(picture, rng(seed)).tobytes() for seed in range(40)]
    assert len(set(expected)) == 40
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(lambda seed: operation(picture, rng(seed)).tobytes(), range(40)))
    assert again == expected
    assert pickle.loads(pickle.dumps(operation))(picture, rng(3)).tobytes() == expected[3]


class HidesItsState:
    """Nobody can seed it."""

    def __call__(self, *, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": image + np.random.default_rng().integers(0, 40, image.shape, "uint8")}


def test_a_library_that_cannot_be_seeded_is_reported(picture: np.ndarray) -> None:
    loader = mg.ImageLoader("image", image_size=(16, 20), augment=[FromLibrary(HidesItsState())])
    with pytest.raises(
        mg.LoaderError,
        match="must draw only from `rng`. Received: two results for one seed",
    ):
        mg.check_loader(loader, [picture])


@pytest.mark.parametrize("transform", [DrawsGlobally, HasItsOwnState])
def test_a_library_passes_check_loader(transform: type, picture: np.ndarray) -> None:
    operations = [RandomFlip("horizontal"), FromLibrary(transform())]
    mg.check_loader(mg.ImageLoader("image", image_size=(16, 20), augment=operations), [picture])


def test_the_global_generators_are_as_they_were(picture: np.ndarray) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    FromLibrary(DrawsGlobally())(picture, rng())
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


def fails(*, image: np.ndarray) -> dict[str, np.ndarray]:
    raise RuntimeError("broken transform")


def test_the_global_generators_are_put_back_after_an_error(picture: np.ndarray) -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    with pytest.raises(RuntimeError, match="broken transform"):
        FromLibrary(fails)(picture, rng())
    assert random.random() == expected


def test_a_library_is_given_an_array_that_it_may_write_to_in_one_piece(picture: np.ndarray) -> None:
    picture.flags.writeable = False

    def inspect(*, image: np.ndarray) -> dict[str, np.ndarray]:
        assert image.flags.c_contiguous
        assert image.flags.writeable
        return {"image": image}

    augment_image(picture, [RandomFlip("vertical"), FromLibrary(inspect)], rng(1))


@pytest.mark.parametrize(
    ("result", "received"),
    [
        ({"mask": 1, "bboxes": 2}, r"the keys \['bboxes', 'mask'\] from"),
        (np.zeros(3), "ndarray from"),
        (None, "NoneType"),
    ],
)
def test_a_result_without_an_image_is_an_error_that_says_so(
    picture: np.ndarray, result: object, received: str
) -> None:
    with pytest.raises(
        ValueError, match=rf'must return a mapping with "image".*Received: {received}'
    ):
        FromLibrary(lambda image: result)(picture, rng())


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(
        ValueError, match="`transform` must be called as .*Received: transform='flip'"
    ):
        FromLibrary("flip")


def test_a_library_is_left_out_of_a_saved_loader() -> None:
    loader = mg.ImageLoader(
        "image", augment=[FromLibrary(DrawsGlobally()), RandomFlip("horizontal")]
    )
    assert loader.get_config()["augment"] == [RandomFlip("horizontal")]


def ignores_rng(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.random.randint(0, 256, image.shape).astype("uint8")  # noqa: NPY002


def writes_into_the_image(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image[:2] = 0
    return image


def returns_floats(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image / 255


def returns_a_smaller_one(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image[:8]


def returns_nothing(image: np.ndarray, rng: np.random.Generator) -> None:
    return None


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            ignores_rng,
            "ImageLoader.augment must draw only from `rng`. Received: two results for one seed",
        ),
        (
            writes_into_the_image,
            "ImageLoader.augment must return a new array, not write into the one it got",
        ),
    ],
)
def test_check_loader_reports_a_callable_that_breaks_the_rules(
    operation, message: str, picture: np.ndarray
) -> None:
    with pytest.raises(mg.LoaderError, match=message):
        mg.check_loader(
            mg.ImageLoader("image", image_size=(16, 20), augment=[operation]), [picture]
        )


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            returns_floats,
            r"\(16, 20, 3\) uint8. Received: \(16, 20, 3\) float64 from .*returns_floats",
        ),
        (returns_a_smaller_one, r"Received: \(8, 20, 3\) uint8 from .*returns_a_smaller_one"),
        (returns_nothing, "Received: NoneType from .*returns_nothing"),
        (
            FromLibrary(lambda image: {"image": image[:, :, :1]}),
            r"Received: \(16, 20, 1\) uint8 from FromLibrary",
        ),
    ],
)
def test_another_shape_or_dtype_is_an_error_that_names_the_operation(
    operation, message: str, picture
) -> None:
    with pytest.raises(ValueError, match=message):
        augment_image(picture, [RandomFlip(), operation], rng())


def test_an_image_of_another_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match=r"array of uint8. Received: \(4, 4, 3\) float32"):
        augment_image(np.zeros((4, 4, 3), "float32"), [RandomFlip()], rng())
