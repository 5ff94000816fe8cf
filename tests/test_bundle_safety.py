"""Bundles from strangers: whatever stands in one, loading it runs no code, opens no other file and
stays small.
"""

import io
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

MARK = "MULTIMODAL_GEN_ATTACKED"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle on disk: numbers and a text in, a class out."""
    table = pd.DataFrame(
        {"a": [1.0, 2.0, 3.0], "text": ["red mug", "blue mug", "red cup"], "label": ["x", "y", "x"]}
    )
    inputs = {
        "numbers": mg.NumericLoader.from_values("a", table["a"]),
        "text": mg.TextLoader.from_texts("text", table["text"], sequence_length=4),
    }
    target = mg.ClassLabel.from_values("label", table["label"])
    numbers, text = keras.Input((1,), name="numbers"), keras.Input((4,), dtype="int32", name="text")
    words = keras.layers.Flatten()(
        keras.layers.Embedding(inputs["text"].spec.vocabulary_size, 3)(text)
    )
    joined = keras.ops.concatenate([numbers * 2, words], axis=-1)
    outputs = keras.layers.Dense(target.units, activation=target.activation, name="head")(joined)
    folder = tmp_path_factory.mktemp("safety") / "bundle"
    mg.Bundle(keras.Model([numbers, text], outputs), inputs, target).save(folder)
    assert mg.load_bundle(folder).predict(table).shape == (3, 3)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to be spoiled."""
    return Path(shutil.copytree(saved, tmp_path / "bundle"))


def members_of(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "model.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(folder: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(folder / "model.keras", "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def change_model(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the description of the model's head, a layer of the class Dense."""
    members = members_of(folder)
    config = json.loads(members["config.json"])
    (head,) = (layer for layer in config["config"]["layers"] if layer["name"] == "head")
    change(head)
    rewrite(folder, {**members, "config.json": json.dumps(config).encode()})


def assert_refused(folder: Path, message: str) -> None:
    os.environ.pop(MARK, None)
    with pytest.raises(mg.BundleError, match=message) as caught:
        mg.load_bundle(folder)
    assert "path=" in str(caught.value) and len(str(caught.value)) < 5000
    assert MARK not in os.environ


# What the model's description names


@pytest.mark.parametrize(
    "layer",
    [
        {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {"function": "x", "name": "head"},
        },
        {
            "module": "keras.layers",
            "class_name": "TorchModuleWrapper",
            "config": {"module": "gASVAA=="},
        },
        {
            "module": "keras.layers",
            "class_name": "TFSMLayer",
            "config": {"filepath": "/tmp/x", "name": "head"},
        },
        {"module": "keras.src.layers.core.lambda_layer", "class_name": "Lambda", "config": {}},
        {"class_name": "Lambda", "config": {}},
        {"class_name": "__lambda__", "config": {"value": "x"}},
    ],
)
def test_layers_that_bring_code_along_are_refused(folder: Path, layer: dict[str, Any]) -> None:
    change_model(folder, lambda head: head.update({"registered_name": None, **layer}))
    assert_refused(folder, f"contains a {layer['class_name']}, which runs code from the file")


def test_a_model_with_a_lambda_layer_is_saved_and_then_refused(folder: Path) -> None:
    inputs = keras.Input((1,))

    def attack(values: Any) -> Any:
        os.environ[MARK] = "1"
        return values

    # Only a lambda is saved with its code.
    outputs = keras.layers.Lambda(lambda values: attack(values), output_shape=(1,))(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    loader = mg.load_bundle(folder).inputs["numbers"]
    with pytest.warns(
        UserWarning, match=r"`load_bundle` will reject this model, because a Lambda runs code"
    ):
        bundle = mg.Bundle(model, {"numbers": loader})
    bundle.save(folder)
    assert_refused(folder, "contains a .*ambda.*, which runs code from the file")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("keras.utils", "get_file"),
        ("keras.src.utils.file_utils", "get_file"),
        ("keras.saving", "load_model"),
        ("keras.models", "load_model"),
        ("keras.config", "enable_unsafe_deserialization"),
        ("keras_hub", "Anything"),
        ("keras.layers/../utils", "get_file"),
        ("multimodal_gen.cli", "main"),
        (["keras"], "Dense"),
        ("keras.layers", ["Dense"]),
        (3, "Dense"),
    ],
)
def test_classes_from_elsewhere_are_refused(folder: Path, module: object, name: object) -> None:
    for registered in (None, name, "Custom>system"):
        change_model(
            folder,
            lambda head, r=registered: head.update(
                {"module": module, "class_name": name, "registered_name": r}
            ),
        )
        assert_refused(folder, "classes that are not in `custom_objects`.*Received: class_name=")


def test_functions_from_elsewhere_are_refused(folder: Path) -> None:
    for module, name in (
        ("os", "system"),
        ("keras.utils", "get_file"),
        ("keras.saving", "load_model"),
    ):
        activation = {
            "module": module,
            "class_name": "function",
            "config": name,
            "registered_name": name,
        }
        change_model(folder, lambda head, a=activation: head["config"].update(activation=a))
        assert_refused(
            folder, "not one of Keras's layers, and not registered. Received: class_name='function'"
        )


def test_code_hidden_deep_in_a_description_is_found(folder: Path) -> None:
    lambda_ = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
    change_model(
        folder, lambda head: head["config"].update(kernel_initializer={"a": [[{"b": lambda_}]]})
    )
    assert_refused(folder, "contains a __lambda__, which runs code")
    members = members_of(folder)
    config = json.loads(members["config.json"])
    config["compile_config"] = {"loss": {"class_name": "TFSMLayer", "config": {}}}
    rewrite(folder, {**members, "config.json": json.dumps(config).encode()})
    assert_refused(folder, "runs code")


def test_a_vocabulary_is_not_read_from_a_file_that_a_model_names(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("a\nb\n")
    config = {"name": "head", "vocabulary": str(tmp_path / "secret")}
    for kind in ("StringLookup", "IntegerLookup", "TextVectorization"):
        new = {
            "module": "keras.layers",
            "class_name": kind,
            "registered_name": None,
            "config": config,
        }
        change_model(folder, lambda head, new=new: head.update(new))
        assert_refused(folder, "names a file that a .* would read.*secret")


def test_a_layer_far_larger_than_the_weights_that_come_with_it_is_refused_unbuilt(
    folder: Path,
) -> None:
    change_model(folder, lambda head: head["config"].update(units=50_000))
    assert_refused(
        folder,
        r"describes [\d,]{6,} weights, but the file holds fewer. Received: [\d,]+ weig",
    )
    # Even where the rest cannot be built, so that nobody knows of how many weights in all.
    change_model(
        folder, lambda head: head["config"].update(units=10**11, activation="no such thing")
    )
    assert_refused(
        folder,
        r"a layer with units=100,000,000,000, but the file holds fewer weights. Received",
    )


def test_wrong_types_and_numbers_in_a_description_are_errors(folder: Path) -> None:
    for units in ("many", -1, 1e400, [3], None, 10**30, True):
        change_model(folder, lambda head, units=units: head["config"].update(units=units))
        assert_refused(folder, "damaged|weights|do not match")
    members = members_of(folder)
    for config in (
        b"",
        b"[]",
        b"3",
        b"{}",
        b'{"class_name": 3}',
        b"\xff\xfe",
        b"[" * 10**6,
        b'{"a":' * 500 + b"1" + b"}" * 500,
    ):
        rewrite(folder, {**members, "config.json": config})
        assert_refused(
            folder,
            "config.json in model.keras cannot be read|nested at most 200 levels "
            "deep|damaged|custom_objects",
        )


# The zip and the weights


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "/etc/evil",
        "assets/../../evil",
        "assets\\..\\evil",
        "evil.py",
        "assets/..",
        "C:/x",
    ],
)
def test_members_of_other_names_are_refused(folder: Path, name: str) -> None:
    rewrite(folder, {**members_of(folder), name: b"evil"})
    assert_refused(
        folder, "must hold config.json, metadata.json, model.weights.h5 and assets, each once"
    )


def test_a_member_that_stands_there_twice_is_refused(folder: Path) -> None:
    members = members_of(folder)
    with warnings.catch_warnings(), zipfile.ZipFile(folder / "model.keras", "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("config.json", members["config.json"])
    assert_refused(folder, "one of them several times")


def test_zip_bombs_are_refused_unpacked(folder: Path) -> None:
    members = members_of(folder)
    for name in ("config.json", "metadata.json", "model.weights.h5", "assets/vocabulary.txt"):
        rewrite(folder, {**members, name: bytes(10**8)}, zipfile.ZIP_DEFLATED)
        assert (folder / "model.keras").stat().st_size < 10**6
        assert_refused(folder, "must hold its weights uncompressed, and at most")


def test_a_member_that_lies_of_its_size_is_refused(folder: Path) -> None:
    rewrite(folder, members_of(folder), zipfile.ZIP_DEFLATED)
    assert_refused(folder, "must hold its weights uncompressed")
    content = bytearray((folder / "model.keras").read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (10).to_bytes(4, "little")
    (folder / "model.keras").write_bytes(content)
    assert_refused(folder, "missing, damaged")


def weights_with(change: Callable[[h5py.File], object]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        root.create_group("layers/dense/vars")["0"] = np.zeros((3, 3))
        change(root)
    return file.getvalue()


def loop(root: h5py.File) -> None:
    root["layers/again"] = root["layers"]


def compressed(root: h5py.File) -> None:
    root.create_dataset("bomb", (10**6, 10**6), "f4", chunks=(100, 100), compression="gzip")


def virtual(root: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3,))
    root.create_virtual_dataset("far", layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: root.__setitem__("far", h5py.ExternalLink("/etc/passwd", "/x")),
            "is a ExternalLink",
        ),
        (lambda root: root.__setitem__("far", h5py.SoftLink("/layers")), "is a SoftLink"),
        (
            lambda root: root.create_dataset("far", (3,), "f4", external=[("/etc/passwd", 0, 12)]),
            "not stored in the file",
        ),
        (virtual, "not stored in the file itself"),
        (compressed, "not stored in the file itself, uncompressed"),
        (
            lambda root: root.create_dataset("empty", (10**12,), "f4"),
            "not stored in the file itself",
        ),
        (lambda root: root.__setitem__("text", "hello"), "not an array of numbers"),
        (lambda root: root.__setitem__("kind", np.dtype("f4")), "not an array of numbers"),
        (loop, "appears twice"),
    ],
)
def test_weights_that_lead_elsewhere_or_blow_up_are_refused(
    folder: Path, change: Callable[[h5py.File], object], message: str
) -> None:
    rewrite(folder, {**members_of(folder), "model.weights.h5": weights_with(change)})
    assert_refused(folder, f"must hold plain arrays of numbers, each once. Received: .*{message}")


def test_weights_that_are_broken_or_missing_are_errors(folder: Path) -> None:
    members = members_of(folder)
    weights = members["model.weights.h5"]
    for content in (b"", b"nothing", weights[: len(weights) // 2], weights_with(lambda root: None)):
        rewrite(folder, {**members, "model.weights.h5": content})
        assert_refused(folder, "missing, damaged|holds fewer")
    del members["model.weights.h5"]
    rewrite(folder, members)
    assert_refused(folder, "missing, damaged")


# bundle.json and the folder


def change_description(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    description = json.loads((folder / "bundle.json").read_text("utf-8"))
    change(description)
    (folder / "bundle.json").write_text(json.dumps(description), "utf-8")


@pytest.mark.parametrize(
    "name",
    ["os.system", "subprocess.Popen", "system", "Popen", "Bundle", "keras.Model", "object", ""],
)
def test_loaders_of_other_classes_are_refused(folder: Path, name: str) -> None:
    change_description(
        folder, lambda d: d["inputs"]["numbers"].update(class_name=name, config={"args": "true"})
    )
    assert_refused(folder, "Unknown class")


def test_descriptions_that_are_too_deep_or_too_large_are_refused(folder: Path) -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, "[" * 300 + "]" * 300):
        (folder / "bundle.json").write_text(text)
        assert_refused(
            folder, "bundle.json (must be nested at most 200 levels deep|cannot be read)"
        )
    with (folder / "bundle.json").open("wb") as file:
        file.truncate(2**28)
    assert_refused(folder, "bundle.json must have at most")


@pytest.mark.parametrize(
    "value",
    [
        10**400,
        -1,
        1e400,
        "x",
        None,
        [],
        {},
        True,
        [[[]]],
        {"class_name": "ImageLoader", "config": 3},
    ],
)
def test_wrong_values_in_a_description_are_errors_of_the_bundle(
    folder: Path, value: object
) -> None:
    text = (folder / "bundle.json").read_text("utf-8")

    def spoil(owner: Any, key: Any) -> None:
        description = json.loads(text)
        inner = description
        for part in owner:
            inner = inner[part]
        inner[key] = value
        (folder / "bundle.json").write_text(json.dumps(description))
        # Some are right by chance, such as -1 for the number of a file.
        with suppress(mg.BundleError):
            mg.load_bundle(folder)

    description = json.loads(text)
    for key in description:
        spoil((), key)
    for name, loader in description["inputs"].items():
        for key in ("class_name", "config"):
            spoil(("inputs", name), key)
        for key in loader["config"]:
            spoil(("inputs", name, "config"), key)
    for key in description["target"]["config"]:
        spoil(("target", "config"), key)


def test_links_and_devices_in_the_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("bundle.json", "tokenizer.json", "model.keras"):
        file = folder / name
        file.rename(tmp_path / name)
        file.symlink_to(tmp_path / name)
        assert_refused(folder, f"must consist of regular files. Received: {name} is a link")
        file.unlink()
        os.mkfifo(file)
        assert_refused(folder, f"must consist of regular files. Received: {name} is not a file")
        file.unlink()
        (tmp_path / name).rename(file)
    assert mg.load_bundle(folder).target is not None


@pytest.mark.parametrize(
    "name", ["../tokenizer.json", "/etc/passwd", "..", "model.keras", "tokenizer.json\0", 3, None]
)
def test_a_tokenizer_of_another_name_is_not_read(folder: Path, name: object) -> None:
    change_description(
        folder,
        lambda d: d["inputs"]["text"]["config"]["tokenizer"]["config"].update(tokenizer_json=name),
    )
    assert_refused(folder, "tokenizer must be in its own folder")


def test_a_tokenizer_that_is_none_or_enormous_is_an_error(folder: Path) -> None:
    for text in ("{}", "[" * 100_000, "no json", ""):
        (folder / "tokenizer.json").write_text(text)
        assert_refused(folder, "damaged")
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(2**28)
    assert_refused(folder, "tokenizer.json must have at most")


def test_a_bundle_gives_its_loaders_no_leave_to_open_urls(tmp_path: Path) -> None:
    images = mg.ImageLoader("image", image_size=(4, 4), protocols=["memory"])
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    mg.Bundle(model, {"image": images}).save(tmp_path / "one")
    with pytest.raises(mg.LoadError, match="opens only those whose scheme it lists"):
        mg.load_bundle(tmp_path / "one").inputs["image"].read("memory://shop/a.png")
    mg.Bundle(model, {"image": images.replace(directory="memory://shop")}).save(tmp_path / "two")
    with pytest.raises(
        mg.BundleError,
        match="are at a URL.*as `directory`.*Received: directory='memory://shop'",
    ):
        mg.load_bundle(tmp_path / "two")
    again = mg.load_bundle(tmp_path / "two", directory="memory://shop")
    assert again.inputs["image"].directory == "memory://shop"


def test_nothing_in_a_saved_bundle_is_a_pickle(saved: Path) -> None:
    for path in saved.iterdir():
        content = path.read_bytes()
        assert path.suffix in (".json", ".keras") and not content.startswith(b"\x80")
    assert set(members_of(saved)) == {"config.json", "metadata.json", "model.weights.h5"}
