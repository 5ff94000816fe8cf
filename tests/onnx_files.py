"""Small ONNX files, so that no test needs the onnx package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from benchmarks.onnx_writing import FLOAT, INT64, attribute, field, model, node, tensor, value

__all__ = ["FLOAT", "INT64", "field", "model", "node", "tensor", "value"]

SIZE, VOCABULARY = (
    6,
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "blue", "cup", "shirt", "query", ":"],
)


def sentence_model(seed: int = 0) -> bytes:
    """Token vectors that depend on all tokens of a text, as attention makes them."""
    rng = np.random.default_rng(seed)
    words = rng.normal(size=(len(VOCABULARY), SIZE)).astype("float32")
    mixing = rng.normal(size=(SIZE, SIZE)).astype("float32")
    nodes = [
        node("Gather", ["words", "input_ids"], "tokens"),
        node("Cast", ["attention_mask"], "there", attribute("to", FLOAT)),
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
