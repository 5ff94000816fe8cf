"""Exports a bundle: converts its model, compares, and writes all that predicting needs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from multimodal_gen.bundle.description import write_description
from multimodal_gen.bundle.exporting.blaming import layer_at_fault
from multimodal_gen.bundle.exporting.checking import (
    TOLERANCE,
    largest_difference,
    milliseconds_a_row,
    outputs_of,
    rows_for,
)
from multimodal_gen.bundle.exporting.child import MODEL, convert_on
from multimodal_gen.bundle.exporting.converting import KERAS_FORMATS, convert
from multimodal_gen.bundle.exporting.engines import RUNNERS, open_network
from multimodal_gen.bundle.exporting.manifest import FILES, MANIFEST, Network, write_manifest
from multimodal_gen.bundle.exporting.quantizing import quantize
from multimodal_gen.bundle.files import new_folder
from multimodal_gen.bundle.model_file import uncompiled
from multimodal_gen.bundle.versions import running_version
from multimodal_gen.config import classes_in
from multimodal_gen.models.exporting import backends_for, other_converters
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.spec import with_masks


@dataclass(frozen=True)
class Exported:
    """What an export has written.

    Args:
        directory: The folder.
        format: "onnx", "saved_model" or "litert".
        made_on: The backend whose converter made the network.
        largest_difference: How far an output was from the model's, over all rows compared; if
            outputs are beyond 1, as a share of the largest.
        network_bytes: Bytes of the network.
        milliseconds: What the network takes for a row in batches of 32, without reading it.
        not_made_on: Backend -> why its converter, which was tried before, could not or was wrong.
        int8: If the network was rounded to 8 bits, "before" and "after" -> its scores on the
            validation rows. `largest_difference` is of the network before.
    """

    directory: Path
    format: str
    made_on: str
    largest_difference: float
    network_bytes: int
    milliseconds: float
    not_made_on: dict[str, str]
    int8: dict[str, dict[str, float]] | None


def export(
    bundle: Any,
    directory: str | os.PathLike[str],
    form: str,
    *,
    int8: pd.DataFrame | None,
    overwrite: bool,
) -> Exported:
    """What `Bundle.export` does."""
    check_choice("format", form, tuple(FILES))
    _check_rounding(bundle, form, int8)
    folder = Path(directory)
    _check_place(folder, overwrite)
    _check_loaders(bundle)
    _check_runner(form)
    with (
        new_folder(folder.parent),
        tempfile.TemporaryDirectory(prefix=".exporting-", dir=folder.parent) as temporary,
    ):
        work, made = Path(temporary, "work"), Path(temporary, "export")
        made.mkdir()
        network, made_on, worst, reasons = _converted(bundle, form, work)
        os.replace(work / FILES[form], made / FILES[form])
        scores = None if int8 is None else quantize(bundle, made, network, int8)
        milliseconds = milliseconds_a_row(open_network(made, network), rows_for(bundle.inputs))
        write_description(made, bundle.inputs, bundle.target, bundle.inputs_as)
        more = {
            "versions": {
                name: running_version(name)
                for name in ("multimodal_gen", "keras", RUNNERS[form][0])
            },
            "made_on": made_on,
            "not_made_on": reasons,
            "int8": scores,
            "largest_difference": worst,
            "tolerance": TOLERANCE,
        }
        write_manifest(made, network, more)
        if folder.exists():
            # Both moves are within one folder, so at any moment there is a whole export.
            os.replace(folder, Path(temporary, "replaced"))
        os.replace(made, folder)
    return Exported(
        folder,
        form,
        made_on,
        worst,
        bytes_of(folder / FILES[form]),
        milliseconds,
        reasons,
        scores,
    )


def _check_rounding(bundle: Any, form: str, int8: pd.DataFrame | None) -> None:
    if int8 is None:
        return
    if form != "onnx":
        raise ValueError(
            "Only networks of the format 'onnx' can be rounded to 8 bits. Received: "
            f"format={form!r}, int8={type(int8).__name__}"
        )
    if not isinstance(int8, pd.DataFrame):
        raise TypeError(
            "`int8` must be a table of validation rows, which say how large sums get and what the "
            f"rounding costs. Received: int8={int8!r}"
        )
    if bundle.target is None:
        raise ValueError(
            "What the rounding costs is told by the target, and this bundle has none. Received: "
            "target=None"
        )


def bytes_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)


def _check_place(folder: Path, overwrite: bool) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if not overwrite:
        raise FileExistsError(
            "There is something at `directory` already: name another one, or replace an earlier "
            f"export with `overwrite=True`. Received: directory={os.fspath(folder)!r}"
        )
    if not (folder / MANIFEST).is_file() or folder.is_symlink():
        raise FileExistsError(
            f"`overwrite` replaces an earlier export only, which has an {MANIFEST}. Received: "
            f"directory={os.fspath(folder)!r}"
        )


def _check_loaders(bundle: Any) -> None:
    for name, loader in bundle.inputs.items():
        for class_name, one in classes_in(loader).items():
            if one.__module__.startswith("multimodal_gen.models."):
                raise ValueError(
                    f"The input {name!r} is read by a {class_name}, which needs Keras, and an "
                    "export does without. Make the pretrained model a branch of the trained one, "
                    "or encode texts by an `OnnxTextEncoder`. Received: "
                    f"inputs[{name!r}]={loader!r}"
                )


def _check_runner(form: str) -> None:
    version = keras.version()
    if form == "litert" and tuple(map(int, version.split(".")[:2])) < (3, 13):
        raise ImportError(
            "Keras exports to LiteRT from version 3.13 on. Use a newer one, or export to 'onnx'. "
            f"Received: format={form!r}, Keras {version}"
        )
    module, package = RUNNERS[form]
    if importlib.util.find_spec(module) is None:
        raise ImportError(
            f"A network is run before it is delivered, and one of this format needs {package}: pip "
            f"install {package}. Received: format={form!r}"
        )


def _converted(bundle: Any, form: str, work: Path) -> tuple[Network, str, float, dict[str, str]]:
    # The network in `work`, the backend that made it, its largest difference, and why those before
    # did not: backend -> reason.
    arrays = rows_for(bundle.inputs)
    expected = outputs_of(bundle.model, bundle.inputs_as, arrays)
    specs, own = with_masks(bundle.inputs), keras.backend.backend()
    reasons: dict[str, str] = {}
    for backend in backends_for(KERAS_FORMATS[form], own):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            if backend == own:
                network = convert(bundle.model, specs, bundle.inputs_as, form, work)
            else:
                with uncompiled(bundle.model):
                    bundle.model.save(work / MODEL)
                network = convert_on(backend, specs, bundle.inputs_as, form, work)
            run = open_network(work, network)
            return network, backend, largest_difference(run, arrays, expected), reasons
        except Exception as error:
            # Converters raise whatever comes to their parts.
            reasons[backend] = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
    layer = None
    if own in reasons:
        layer = layer_at_fault(bundle.model, specs, bundle.inputs_as, form, arrays)
    raise _refusal(form, bundle.model.name, reasons, layer)


def _refusal(
    form: str, name: str, reasons: dict[str, str], layer: keras.layers.Layer | None
) -> ValueError:
    others = " or ".join(repr(one) for one in FILES if one != form)
    more = " or ".join(other_converters(KERAS_FORMATS[form], reasons))
    install = f", or install {more}" if more else ""
    tried = "; ".join(f"on {backend}, {reason}" for backend, reason in reasons.items())
    fault = "" if layer is None else f"The first layer at fault is the {_kind(layer)}. "
    return ValueError(
        f"No converter makes a network of this model that gives its outputs. {fault}Export to "
        f"{others}, put another layer in its place{install}. "
        f"Received: format={form!r}, {name!r}; {tried or 'no converter is installed'}"
    )


def _kind(layer: keras.layers.Layer) -> str:
    policy = getattr(layer, "compute_dtype", "float32")
    dtype = "" if policy == "float32" else f" in {policy}"
    return f"{type(layer).__name__} {layer.name!r}{dtype}"
