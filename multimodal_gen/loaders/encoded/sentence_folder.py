"""What a folder of a sentence encoder says of itself: pooling, length, prompts.

The files are those that sentence-transformers writes: `modules.json`, `1_Pooling/config.json`,
`sentence_bert_config.json`, `config_sentence_transformers.json` and those of the tokenizer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POOLINGS = ("mean", "cls", "max", "lasttoken", "sentence")
_MODELS = ("model.onnx", "onnx/model.onnx")
_MOST_TOKENS = 2**16
_OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class SentenceFolder:
    """The settings of a folder.

    Args:
        model: The ONNX file.
        tokenizer_json: Content of `tokenizer.json`.
        size: How many numbers a text has.
        pooling: How the vectors of tokens become one; "sentence" if the model does it.
        normalize: Whether the vector is scaled to length 1.
        max_length: Tokens of a text at most.
        lowercase: Whether texts are lowercased first.
        prompts: Name -> what is put before a text.
        default_prompt: The prompt that is used unless another is named, or None.
    """

    model: Path
    tokenizer_json: str
    size: int
    pooling: str
    normalize: bool
    max_length: int
    lowercase: bool
    prompts: Mapping[str, str]
    default_prompt: str | None


def read_sentence_folder(path: str | os.PathLike[str]) -> SentenceFolder:
    """Read the files of a folder.

    Raises:
        FileNotFoundError: If the model or the tokenizer is not there; it names the files.
        ValueError: If the files say something that is not supported, or do not say how tokens
            become one vector.
    """
    folder = Path(path)
    model = next((folder / one for one in _MODELS if (folder / one).is_file()), None)
    if model is None or not (folder / "tokenizer.json").is_file():
        there = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else "no folder"
        missing = "tokenizer.json" if model is not None else " or ".join(_MODELS)
        raise FileNotFoundError(
            "A sentence encoder is a folder with tokenizer.json and model.onnx, as "
            f"sentence-transformers exports it with backend='onnx'. Missing: {missing}. (A preset "
            "of keras-hub is a folder with config.json and model.weights.h5, written by "
            "`save_to_preset`.) "
            f"Received: {os.fspath(path)!r} with {there}"
        )
    modules = [str(one.get("type", "")).rpartition(".")[2] for one in _read(folder, "modules.json")]
    known = ("Transformer", "Pooling", "Normalize")
    pooling = _pooling(folder)
    others = [one for one in modules if one not in known]
    if others:
        # The export of the whole model has these in its own last output.
        pooling = "sentence"
    sentence, sizes = _read(folder, "sentence_bert_config.json"), _read(folder, "config.json")
    own = _read(folder, "config_sentence_transformers.json")
    prompts = own.get("prompts") or {}
    size = _read(folder, "1_Pooling/config.json").get("word_embedding_dimension")
    size = size or sizes.get("hidden_size")
    if not isinstance(size, int):
        raise ValueError(
            "Neither 1_Pooling/config.json nor config.json says how many numbers a text has. "
            f"Received: {os.fspath(path)!r}"
        )
    return SentenceFolder(
        model,
        (folder / "tokenizer.json").read_text("utf-8"),
        size,
        pooling,
        "Normalize" in modules,
        _max_length(folder, sentence, sizes),
        bool(sentence.get("do_lower_case")),
        {str(name): str(text) for name, text in prompts.items()},
        own.get("default_prompt_name"),
    )


def _read(folder: Path, name: str) -> Any:
    path = folder / name
    empty: Any = [] if name == "modules.json" else {}
    return json.loads(path.read_text("utf-8")) if path.is_file() else empty


def _pooling(folder: Path) -> str:
    config = _read(folder, "1_Pooling/config.json")
    mode = config.get("pooling_mode")
    chosen = [mode] if isinstance(mode, str) else [one for one in config if config[one] is True]
    found = [_OLD_POOLINGS.get(one, one) for one in chosen if one != "include_prompt"]
    if not config:
        return "sentence"
    if len(found) != 1 or found[0] not in POOLINGS:
        raise ValueError(
            f"1_Pooling/config.json must name one of {POOLINGS[:-1]}. Received: {found}"
        )
    return found[0]


def _max_length(folder: Path, sentence: Mapping[str, Any], sizes: Mapping[str, Any]) -> int:
    tokenizer = _read(folder, "tokenizer_config.json")
    for config, name in (
        (sentence, "max_seq_length"),
        (tokenizer, "model_max_length"),
        (sizes, "max_position_embeddings"),
    ):
        length = config.get(name)
        # "No limit" is written as 10**30.
        if isinstance(length, int) and 0 < length <= _MOST_TOKENS:
            return length
    raise ValueError(
        "None of sentence_bert_config.json, tokenizer_config.json and config.json says how many "
        f"tokens a text may have. Received: {os.fspath(folder)!r}"
    )
