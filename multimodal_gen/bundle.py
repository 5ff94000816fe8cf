"""A trained model together with the loaders and the target that feed it: all that prediction on a raw table needs.

On disk a bundle is a folder: `model.keras`, `bundle.json` (loaders and target), and a `tokenizer.json` for each text
input that has one. There is no pickle in it, and loading one runs no code that it brings along.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

import multimodal_gen
from multimodal_gen.config import deserialize, serialize
from multimodal_gen.errors import BundleError, LoadError
from multimodal_gen.loaders import ImageLoader, Loader, Target
from multimodal_gen.sequence import MultimodalSequence

_FORMAT = 1


class Bundle:
    """A model with its loaders and target.

    Args:
        model: A built Keras model whose inputs take what the loaders yield.
        inputs: Input name -> loader, in the order of the model's inputs.
        target: The target that the model was trained on; None gives raw outputs.
        inputs_as: How the model takes its inputs: "tuple", or "dict" by name.

    Raises:
        ValueError: If the model's inputs do not have the shapes that the loaders yield.
    """

    def __init__(
        self,
        model: keras.Model,
        inputs: Mapping[str, Loader],
        target: Target | None = None,
        *,
        inputs_as: str = "tuple",
    ) -> None:
        self.model = model
        self.inputs = dict(inputs)
        self.target = target
        self.inputs_as = inputs_as
        _check_model(model, self.inputs)

    def predict(self, table: pd.DataFrame, *, batch_size: int = 64, verbose: int = 0) -> pd.DataFrame:
        """Predict every row of a table.

        Args:
            table: The columns of the inputs are needed, the target's is not.
            batch_size: Rows at once.
            verbose: 0 for silence, 1 for a progress bar.

        Returns:
            One row for each row of `table`, on its index and in its order. For a `ClassLabel`: the column "label" with
            the likeliest class, and for each class a column of its name with its probability.

        Raises:
            LoadError: If a cell cannot be loaded; it names the row's index, the column and the path.
        """
        outputs = self._outputs(table, batch_size, verbose)
        if self.target is not None:
            return pd.DataFrame(self.target.decode_outputs(outputs), index=table.index)
        return pd.DataFrame(outputs.reshape(len(outputs), -1), index=table.index)

    def evaluate(self, table: pd.DataFrame, *, batch_size: int = 64, verbose: int = 0) -> dict[str, float]:
        """Score the predictions on a table that has the target's column.

        Returns:
            Names and values of the target's scores; for a `ClassLabel` "accuracy", "balanced_accuracy" (the mean of
            the classes' recalls), "macro_f1" and "log_loss".

        Raises:
            LoadError: If a cell cannot be loaded, or a label is missing or unknown.
        """
        if self.target is None:
            raise ValueError("A bundle without a target has nothing to score. Received: target=None")
        truth = self._truth(table)
        return self.target.score(truth, self._outputs(table, batch_size, verbose))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle into a folder, which may hold other files; an older bundle there is replaced.

        The optimizer's state is not saved: to go on training later, use `model.save` as well.

        Args:
            path: The folder; it is made if there is none.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        description = {
            "format": _FORMAT,
            "multimodal_gen": multimodal_gen.__version__,
            "keras": keras.__version__,
            "inputs_as": self.inputs_as,
            "inputs": {name: serialize(loader) for name, loader in self.inputs.items()},
            "target": serialize(self.target),
        }
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as temporary:
            with _uncompiled(self.model):
                self.model.save(Path(temporary, "model.keras"))
            _move_out_tokenizers(description["inputs"], Path(temporary))
            text = json.dumps(description, indent=1, ensure_ascii=False, allow_nan=False)
            Path(temporary, "bundle.json").write_text(text, "utf-8", "surrogatepass")
            for stale in folder.glob("tokenizer*.json"):
                if not Path(temporary, stale.name).exists():
                    stale.unlink()
            # The description comes last: a folder without it is no bundle.
            for name in sorted(os.listdir(temporary), key=lambda name: name == "bundle.json"):
                os.replace(Path(temporary, name), folder / name)

    def _sequence(self, table: pd.DataFrame, batch_size: int) -> MultimodalSequence:
        return MultimodalSequence(table, self.inputs, batch_size=batch_size, inputs_as=self.inputs_as)

    def _outputs(self, table: pd.DataFrame, batch_size: int, verbose: int) -> np.ndarray:
        return np.asarray(self.model.predict(self._sequence(table, batch_size), verbose=verbose))

    def _truth(self, table: pd.DataFrame) -> np.ndarray:
        assert self.target is not None
        sequence = MultimodalSequence(table, {"target": self.target}, batch_size=4096)
        return np.concatenate([arrays for ((arrays,),) in sequence])

    def __repr__(self) -> str:
        lines = [f"Bundle: {type(self.model).__name__} {self.model.name!r}, {self.model.count_params():,} parameters"]
        lines += [f"  {name}: {loader.spec} from {loader.column!r}" for name, loader in self.inputs.items()]
        target = "none" if self.target is None else f"{self.target.spec} from {self.target.column!r}"
        return "\n".join([*lines, f"  target: {target}"])


def load_bundle(
    path: str | os.PathLike[str],
    *,
    directory: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, type] | None = None,
) -> Bundle:
    """Read a bundle that `Bundle.save` wrote.

    The model comes uncompiled: `predict` and `evaluate` of the bundle need no more, and to train on, compile it again.

    Args:
        path: The folder.
        directory: Where the image loaders' relative paths start from now on; by default where they did in training.
        custom_objects: Class name -> class, for loaders, layers and other classes that are not this package's or
            Keras's own and not registered with `keras.saving.register_keras_serializable`.

    Raises:
        BundleError: If the folder is not a bundle, is damaged, or names an unknown class.
    """
    if custom_objects is not None and not isinstance(custom_objects, Mapping):
        raise TypeError(f"`custom_objects` must map class names to classes. Received: {custom_objects!r}")
    folder = Path(path)
    try:
        description = json.loads((folder / "bundle.json").read_text("utf-8", "surrogatepass"))
    except FileNotFoundError:
        raise BundleError(f"There is no bundle.json in the folder. Received: path={os.fspath(path)!r}") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"bundle.json cannot be read: {error}. Received: path={os.fspath(path)!r}") from error
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        found = description.get("format") if isinstance(description, dict) else None
        raise BundleError(
            f"This version reads bundles of format {_FORMAT}; it was written by another version. "
            f"Received: format={found!r}, path={os.fspath(path)!r}"
        )
    try:
        _move_in_tokenizers(description["inputs"], folder)
        inputs = {name: deserialize(loader, custom_objects) for name, loader in description["inputs"].items()}
        target = deserialize(description["target"], custom_objects)
        if not all(isinstance(loader, Loader) for loader in inputs.values()):
            raise TypeError("an input is not a loader")
        inputs_as = description["inputs_as"]
    except (KeyError, TypeError, AttributeError, OSError, LoadError) as error:
        raise BundleError(f"bundle.json is damaged: {error!r}. Received: path={os.fspath(path)!r}") from error
    if directory is not None:
        inputs = {
            name: loader.replace(directory=os.fspath(directory)) if isinstance(loader, ImageLoader) else loader
            for name, loader in inputs.items()
        }
    # Importing the models registers their layers, which the file names.
    import multimodal_gen.models  # noqa: F401

    try:
        model = keras.saving.load_model(
            folder / "model.keras", custom_objects=custom_objects, compile=False, safe_mode=True
        )
    except Exception as error:
        raise BundleError(
            "model.keras is missing, damaged, or made of classes that were not given in `custom_objects`: "
            f"{error} Received: path={os.fspath(path)!r}"
        ) from error
    return Bundle(model, inputs, target, inputs_as=inputs_as)


@contextmanager
def _uncompiled(model: keras.Model) -> Iterator[None]:
    # An optimizer's state is twice the size of the weights, and no use for predicting.
    if not model.compiled:
        yield
        return
    optimizer = model.optimizer
    model.optimizer, model.compiled = None, False
    try:
        yield
    finally:
        model.optimizer, model.compiled = optimizer, True


def _tokenizer_configs(inputs: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, loader in inputs.items():
        encoder = loader["config"].get("tokenizer")
        if isinstance(encoder, dict) and encoder.get("class_name") == "TokenEncoder":
            found.append((name, encoder["config"]))
    return found


def _move_out_tokenizers(inputs: Mapping[str, Any], folder: Path) -> None:
    configs = _tokenizer_configs(inputs)
    for number, (_, config) in enumerate(configs):
        file = "tokenizer.json" if number == 0 else f"tokenizer_{number}.json"
        (folder / file).write_text(config["tokenizer_json"], "utf-8")
        config["tokenizer_json"] = file


def _move_in_tokenizers(inputs: Mapping[str, Any], folder: Path) -> None:
    for _, config in _tokenizer_configs(inputs):
        file = config["tokenizer_json"]
        if not isinstance(file, str) or os.path.basename(file) != file:
            raise BundleError(f"A bundle's tokenizer must lie in its own folder. Received: {file!r}")
        config["tokenizer_json"] = (folder / file).read_text("utf-8")


def _check_model(model: keras.Model, inputs: Mapping[str, Loader]) -> None:
    expected = [tuple(tensor.shape[1:]) for tensor in getattr(model, "inputs", None) or ()]
    given = [loader.spec.shape for loader in inputs.values()]
    fits = len(expected) == len(given) and all(
        len(one) == len(two) and all(a in (None, b) for a, b in zip(one, two, strict=True))
        for one, two in zip(expected, given, strict=True)
    )
    if expected and not fits:
        raise ValueError(f"The model takes inputs of shapes {expected}. Received: loaders that yield {given}")
