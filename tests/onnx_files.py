"""Small ONNX files, written field by field, so that no test needs the onnx package.

Messages of Protocol Buffers are numbered fields; the numbers are those of onnx.proto.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, processors

FLOAT, INT64 = 1, 7
SIZE, VOCABULARY = (
    6,
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "blue", "cup", "shirt", "query", ":"],
)


def number(value: int) -> bytes:
    found = bytearray()
    while True:
        value, rest = value >> 7, value & 127
        found.append(rest | (128 if value else 0))
        if not value:
            return bytes(found)


def field(place: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return number(place << 3) + number(value)
    data = value.encode() if isinstance(value, str) else value
    return number(place << 3 | 2) + number(len(data)) + data


def tensor(name: str, array: np.ndarray, *extra: bytes) -> bytes:
    kind = FLOAT if array.dtype == np.float32 else INT64
    dims = b"".join(field(1, size) for size in array.shape)
    return dims + field(2, kind) + field(8, name) + field(9, array.tobytes()) + b"".join(extra)


def node(kind: str, inputs: Sequence[str], output: str, *extra: bytes) -> bytes:
    return (
        b"".join(field(1, one) for one in inputs)
        + field(2, output)
        + field(4, kind)
        + b"".join(extra)
    )


def value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    dims = b"".join(
        field(1, field(1, axis) if isinstance(axis, int) else field(2, axis)) for axis in shape
    )
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def model(
    nodes: Sequence[bytes],
    tensors: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
) -> bytes:
    graph = (
        b"".join(field(1, one) for one in nodes)
        + field(2, "graph")
        + b"".join(field(5, one) for one in tensors)
        + b"".join(field(11, one) for one in inputs)
        + b"".join(field(12, one) for one in outputs)
    )
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


def sentence_model(seed: int = 0) -> bytes:
    """Token vectors that depend on all tokens of a text, as attention makes them."""
    rng = np.random.default_rng(seed)
    words = rng.normal(size=(len(VOCABULARY), SIZE)).astype("float32")
    mixing = rng.normal(size=(SIZE, SIZE)).astype("float32")
    nodes = [
        node("Gather", ["words", "input_ids"], "tokens"),
        node(
            "Cast",
            ["attention_mask"],
            "there",
            field(5, field(1, "to") + field(20, 2) + field(3, FLOAT)),
        ),
        node("Unsqueeze", ["there", "last"], "column"),
        node("Mul", ["tokens", "column"], "known"),
        node("ReduceSum", ["known", "middle"], "sum"),
        node("Add", ["tokens", "sum"], "both"),
        node("MatMul", ["both", "mixing"], "last_hidden_state"),
    ]
    tensors = [
        tensor("words", words),
        tensor("mixing", mixing),
        tensor("last", np.array([2])),
        tensor("middle", np.array([1])),
    ]
    inputs = [value(name, INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask")]
    outputs = [value("last_hidden_state", FLOAT, ["batch", "length", SIZE])]
    return model(nodes, tensors, inputs, outputs)


def sentence_folder(folder: Path, *, pooling: str = "mean_tokens", normalize: bool = True) -> Path:
    """A folder as sentence-transformers exports it."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(sentence_model())
    words = models.WordLevel({word: row for row, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * normalize
    configs = {
        "modules.json": [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds],
        "1_Pooling/config.json": {
            "word_embedding_dimension": SIZE,
            f"pooling_mode_{pooling}": True,
            "pooling_mode_other": False,
        },
        "sentence_bert_config.json": {"max_seq_length": 20, "do_lower_case": True},
        "config_sentence_transformers.json": {"prompts": {"query": "query: "}},
    }
    for name, config in configs.items():
        (folder / name).write_text(json.dumps(config))
    return folder
