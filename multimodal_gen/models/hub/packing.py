"""What a preset's preprocessor puts around the tokens of a text, found out by trying it.

The preprocessors of keras-hub are many classes, each with its own rule. So a few texts are given to
the one of the preset, and the rule found in what it returns; that all of them come out as it gives
them is checked.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from multimodal_gen.models.hub.presets import Preset, class_for, keras_hub, part_of
from multimodal_gen.models.hub.tokenizer import PresetTokenizer, tokenizer_as_json

_TRIALS = ("a", "A red  Mug, ON the (old) table!", "one two three four " * 400, "")


def tokenizer_of(preset: Preset, max_length: int | None) -> tuple[PresetTokenizer, int]:
    """Make the tokenizer of a preset, which gives what its own preprocessor gives.

    Args:
        preset: The preset.
        max_length: Ids per text; by default as many as its preprocessor gives, at most as many as
            the model takes.

    Returns:
        The tokenizer, and the id that fills up short texts.

    Raises:
        ValueError: If the preset has no tokenizer, its model takes fewer ids, or its preprocessor
            does something else.
    """
    preprocessor = _preprocessor(preset)
    most = _most_tokens(preset.backbone)
    if max_length is not None and most is not None and max_length > most:
        raise ValueError(
            f"The model takes at most {most} tokens. Received: max_length={max_length!r}"
        )
    length = max_length or min(preprocessor.sequence_length, most or 2**20)
    preprocessor.sequence_length = length
    spelling = "as is"
    if getattr(preprocessor, "to_lower", False):
        spelling = "lowercase"
    if getattr(preprocessor, "canonicalize_text", False):
        spelling = "words"
    described = tokenizer_as_json(preprocessor.tokenizer)
    bare = PresetTokenizer(described, length=length, spelling=spelling)
    ids, mask = _prepared(preset, preprocessor, _TRIALS[0])
    tokens, given = bare.tokens(_TRIALS[0]), [int(one) for one in ids[mask]]
    places = [
        place
        for place in range(len(given) - len(tokens) + 1)
        if given[place : place + len(tokens)] == tokens
    ]
    # The last one: a token before the text may be the same.
    start, end = (
        ([], []) if not places else (given[: places[-1]], given[places[-1] + len(tokens) :])
    )
    found = PresetTokenizer(described, length=length, start=start, end=end, spelling=spelling)
    pad = int(preprocessor.tokenizer.pad_token_id or 0)
    for text in _TRIALS:
        row = found.encode(text)
        want, _ = _prepared(preset, preprocessor, text)
        if not places or not np.array_equal(np.where(row > 0, row - 1, pad), want):
            raise ValueError(
                f"The {type(preprocessor).__name__} of this preset does more to texts than adding "
                "tokens at their ends. Compute the vectors yourself, in a FunctionEncoder. "
                f"Received: preset={preset.path!r}"
            )
    return found, pad


def _preprocessor(preset: Preset) -> Any:
    models = keras_hub().models
    if len(preset.parts) == 2:
        return part_of(preset, models.CausalLMPreprocessor, "how texts are prepared")
    for kind in (models.TextEmbedderPreprocessor, models.TextClassifierPreprocessor):
        if class_for(preset.backbone, kind) is not None:
            return part_of(preset, kind, "how texts are prepared")
    raise ValueError(
        "keras-hub prepares no texts for embedding or classification by a "
        f"{type(preset.backbone).__name__}. Use another preset, or compute the vectors yourself, "
        f"in a FunctionEncoder. Received: preset={preset.path!r}"
    )


def _most_tokens(backbone: Any) -> int | None:
    for one in (backbone, getattr(backbone, "text_encoder", None)):
        found = getattr(one, "max_sequence_length", None)
        if isinstance(found, int):
            return found
    return None


def _prepared(preset: Preset, preprocessor: Any, text: str) -> tuple[np.ndarray, np.ndarray]:
    given: Any = [text]
    if len(preset.parts) == 2:
        shape = preset.backbone.input["images"].shape[1:]
        given = {"prompts": [text], "images": np.zeros((1, *shape), "float32")}
    found = preprocessor(given)
    ids, mask = (
        np.asarray(keras.ops.convert_to_numpy(found[key]))[0]
        for key in ("token_ids", "padding_mask")
    )
    return ids, mask.astype(bool)
