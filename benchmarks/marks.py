"""An export whose every answer carries the marks of its row, to see whether answers are mixed up.

    python -m benchmarks.marks FOLDER

A row is a number and a picture, and the prediction is the same number, exactly, with the mean of
the picture's pixels. So each answer can be checked, without any model to compare with. The network
is written by hand: no Keras is needed.
"""

from __future__ import annotations

import argparse
import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import multimodal_gen as mg
from benchmarks.onnx_writing import FLOAT, attribute, model, node, value
from multimodal_gen.bundle.description import write_description
from multimodal_gen.bundle.exporting.manifest import Network, Tensor, write_manifest

SIDE = 16
# The type of uint8, by the numbers of onnx.proto.
_UINT8 = 2


def write_marks(folder: Path) -> Path:
    """Write the export into a new folder."""
    inputs = {
        "picture": mg.ImageLoader("picture", image_size=(SIDE, SIDE)),
        "mark": mg.NumericLoader("mark", mean=[0.0], scale=[1.0]),
    }
    target = {"mark": mg.NumericTarget("mark"), "mean": mg.NumericTarget("mean")}
    shape = (SIDE, SIDE, 3)
    network = Network(
        "onnx",
        (Tensor("picture", "picture", shape, "uint8"), Tensor("mark", "mark", (1,), "float32")),
        (Tensor("mark", "same", (1,), "float32"), Tensor("mean", "flat", (1,), "float32")),
    )
    nodes = [
        node("Identity", ["mark"], "same"),
        node("Cast", ["picture"], "pixels", attribute("to", FLOAT)),
        node("ReduceMean", ["pixels"], "average", attribute("axes", (1, 2, 3))),
        node("Flatten", ["average"], "flat"),
    ]
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(
        model(
            nodes,
            [],
            [value("picture", _UINT8, ["rows", *shape]), value("mark", FLOAT, ["rows", 1])],
            [value("same", FLOAT, ["rows", 1]), value("flat", FLOAT, ["rows", 1])],
        )
    )
    write_manifest(folder, network, {})
    write_description(folder, inputs, target, "list")
    return folder


def picture_of(mark: int, side: int = SIDE) -> bytes:
    """A PNG file of one grey, which a mark chooses."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), mark % 256, "uint8")).save(buffer, "PNG")
    return buffer.getvalue()


def row_of(mark: int, picture: bytes | None = None) -> dict[str, Any]:
    """The row of a mark, as JSON holds it."""
    content = picture_of(mark) if picture is None else picture
    return {"picture": base64.b64encode(content).decode(), "mark": mark}


def answer_of(mark: int) -> dict[str, float]:
    """The prediction of that row."""
    return {"mark.mark": float(mark), "mean.mean": float(mark % 256)}


def main() -> None:
    """Write the export."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder to write")
    write_marks(parser.parse_args().folder)


if __name__ == "__main__":
    main()
