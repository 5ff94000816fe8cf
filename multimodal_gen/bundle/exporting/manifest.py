"""`export.json`, which says what the network of an export takes and puts out: written and read.

It may come from a stranger, so reading it checks every value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multimodal_gen.bundle.files import parse_json, placed, read_text, why_missing
from multimodal_gen.errors import BundleError

MANIFEST = "export.json"
# Format -> the only name that is opened for it.
FILES = {"onnx": "model.onnx", "saved_model": "saved_model", "litert": "model.tflite"}
_FORMAT = 1


@dataclass(frozen=True)
class Tensor:
    """An input or output of a network.

    Args:
        name: The input's or the target's name; a number if several outputs have no names, and None
            for the output of a single target.
        node: Its name in the file.
        shape: Its shape without the batch axis.
        dtype: Its dtype, as NumPy names it.
    """

    name: str | int | None
    node: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Network:
    """A network in a file.

    Args:
        format: "onnx", "saved_model" or "litert".
        inputs: What it takes, in the order of the bundle's inputs, masks last.
        outputs: What it puts out.
    """

    format: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON values that `network_of` takes."""
        return {**asdict(self), "file": FILES[self.format]}

    def by_name(self, found: Mapping[str, Any]) -> Any:
        """Node -> array as a model gives it: by name, or by itself for a single target."""
        named = {one.name: found[one.node] for one in self.outputs}
        return named.get(None, named)


def network_of(value: Any) -> Network:
    """A network from JSON values.

    Raises:
        BundleError: If it has another form than `Network.to_json` gives.
    """
    if not isinstance(value, dict) or value.get("format") not in FILES:
        found = value.get("format") if isinstance(value, dict) else value
        raise BundleError(
            f"{MANIFEST} must name one of the formats {list(FILES)}. Received: {found!r}"
        )
    if value.get("file") != FILES[value["format"]]:
        raise BundleError(
            f"The network of an export must be its own {FILES[value['format']]!r}. Received: "
            f"{value.get('file')!r}"
        )
    inputs, outputs = (_tensors(value.get(key), key) for key in ("inputs", "outputs"))
    names = [one.name for one in outputs]
    if len(set(names)) < len(names) or (None in names and len(names) > 1):
        raise BundleError(f"The outputs must have different names. Received: {names}")
    return Network(value["format"], inputs, outputs)


def _tensors(values: Any, what: str) -> tuple[Tensor, ...]:
    if not isinstance(values, list) or not values:
        raise BundleError(f"{MANIFEST} must list the network's {what}. Received: {values!r}")
    found = []
    for value in values:
        given = value if isinstance(value, dict) else {}
        name, node, shape, dtype = (given.get(key) for key in ("name", "node", "shape", "dtype"))
        fits = (
            set(given) == {"name", "node", "shape", "dtype"}
            and isinstance(name, str | int | None)
            and isinstance(node, str)
            and isinstance(shape, list)
            and all(isinstance(axis, int) and 0 < axis < 2**31 for axis in shape)
            and isinstance(dtype, str)
        )
        if not fits:
            raise BundleError(
                f"Each of the network's {what} must have a name, a node, a shape and a dtype. "
                f"Received: {value!r}"
            )
        found.append(Tensor(name, str(node), tuple(shape or ()), str(dtype)))
    return tuple(found)


def write_manifest(folder: Path, network: Network, more: Mapping[str, Any]) -> None:
    """Write `export.json`.

    Args:
        folder: The folder of the export.
        network: The network beside it.
        more: What people may want to know: versions, what was checked.
    """
    values = {"format": _FORMAT, **more, "network": network.to_json()}
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text, "utf-8", "surrogatepass")


def read_manifest(folder: Path) -> Network:
    """The network that `write_manifest` described.

    Raises:
        BundleError: If the folder is not an export, or its manifest is damaged.
    """
    try:
        values = parse_json(read_text(folder / MANIFEST), MANIFEST)
        if not isinstance(values, dict) or values.get("format") != _FORMAT:
            found = values.get("format") if isinstance(values, dict) else None
            raise BundleError(
                f"This version reads exports of format {_FORMAT}; this one was written by another "
                f"version. Received: format={found!r}"
            )
        return network_of(values.get("network"))
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{why_missing(folder, MANIFEST)}. `Bundle.export` writes such a folder. Received: "
            f"path={str(folder)!r}"
        ) from None
    except BundleError as error:
        raise placed(error, folder) from error
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{MANIFEST} cannot be read: {error}. Received: path={str(folder)!r}"
        ) from error
