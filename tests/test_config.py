from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

import multimodal_gen as mg
from multimodal_gen.config import Configurable, deserialize, serialize


class Point(Configurable):
    def __init__(self, x: float, *, tags: tuple[str, ...] = ()) -> None:
        self.x, self.tags = x, tuple(tags)


@dataclass(frozen=True)
class Segment(Configurable):
    start: Point
    end: Point


def test_a_config_is_made_of_the_arguments_and_survives_json() -> None:
    segment = Segment(Point(1.5, tags=("a", "b")), end=Point(2))
    text = json.dumps(serialize(segment))
    rebuilt = deserialize(json.loads(text), {"Point": Point, "Segment": Segment})
    assert rebuilt == segment
    assert rebuilt.start.tags == ("a", "b")


def test_replace_changes_some_arguments_only() -> None:
    point = Point(1.5, tags=("a",)).replace(x=3)
    assert (point.x, point.tags) == (3, ("a",))


def test_configurable_objects_do_not_change() -> None:
    with pytest.raises(AttributeError, match=r"immutable: build a new one.*Received: x=9"):
        Point(1).x = 9


def test_paths_and_arrays_become_json() -> None:
    assert serialize({"p": Path("a/b"), "n": np.float32(0.5), "a": np.arange(3)}) == {
        "p": "a/b",
        "n": 0.5,
        "a": [0, 1, 2],
    }


def test_a_function_cannot_be_saved_and_the_error_says_what_could() -> None:
    with pytest.raises(TypeError, match="Give the object a `get_config`.*lambda"):
        serialize(Point(lambda: 1))  # type: ignore[arg-type]


def test_only_known_given_or_registered_classes_are_built() -> None:
    with pytest.raises(
        mg.BundleError,
        match=r"Unknown class 'Point'. Pass it as `custom_objects=\{'Point': Point\}`",
    ):
        deserialize(serialize(Point(1)))
    with pytest.raises(mg.BundleError, match="Unknown class 'Path'"):
        deserialize({"class_name": "Path", "config": {}}, {"Path": Path})
    with pytest.raises(mg.BundleError, match="Unknown class 'Dense'"):
        deserialize({"class_name": "Dense", "config": {"units": 3}})
    loader = mg.NumericLoader("price", mean=[0], scale=[1])
    assert deserialize(serialize(loader)) == loader


def test_classes_registered_with_keras_are_found() -> None:
    registered = keras.saving.register_keras_serializable(package="test_config")(Point)
    with keras.saving.custom_object_scope({"Point": registered}):
        assert deserialize(serialize(Point(4))).x == 4


def test_the_signature_is_the_constructors() -> None:
    assert (
        str(inspect.signature(Point)) == "(x: 'float', *, tags: 'tuple[str, ...]' = ()) -> 'None'"
    )
    assert list(inspect.signature(Segment).parameters) == ["start", "end"]
    assert "image_size" in inspect.signature(mg.ImageLoader).parameters


def test_repr_shows_the_arguments() -> None:
    assert repr(Point(1.5, tags=("a",))) == "Point(x=1.5, tags=('a',))"


def test_a_mapping_whose_keys_json_would_change_cannot_be_saved() -> None:
    for value in ({0: "a"}, {"deep": [{None: 1}]}, {("a", "b"): 2}):
        with pytest.raises(
            TypeError, match="Only mappings whose keys are texts can be saved.*the key"
        ):
            serialize(value)
