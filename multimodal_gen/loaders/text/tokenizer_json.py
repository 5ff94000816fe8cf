"""Read the settings of a tokenizer.json: padding, special tokens, unknown words, dropout."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

import tokenizers

from multimodal_gen.errors import LoadError


def zero_is_padding(tokenizer: tokenizers.Tokenizer) -> bool:
    """Whether id 0 is padding, or a token of the tokenizer's own."""
    if tokenizer.padding is not None:
        return tokenizer.padding["pad_id"] == 0
    token = tokenizer.id_to_token(0)
    # Tokenizer files call it [PAD], <pad> or <|padding|>.
    return token is None or token.strip("[]<>|").lower() in ("pad", "padding")


def special_ids(tokenizer: tokenizers.Tokenizer) -> set[int]:
    """The ids of special tokens, and of what the template adds to every text."""
    special = {one for one, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    # The ids of an empty text are what the template adds, whether or not they are declared as
    # special.
    empty = tokenizer.encode("")
    return special | {
        one for one, added in zip(empty.ids, empty.special_tokens_mask, strict=True) if added
    }


def unknown_id(tokenizer: tokenizers.Tokenizer, model: Mapping[str, Any]) -> int | None:
    """The id of the token for unknown words; None if there is none."""
    token = model.get("unk_token")
    return model.get("unk_id") if token is None else tokenizer.token_to_id(token)


def without_unknown(error: Exception) -> Exception:
    """The error for a text that the tokenizer cannot encode, with the way out if it is known."""
    # The library raises a plain Exception; "[UNK]" and `unk_id` are what its models call what is
    # lacking.
    reason = str(error)
    if not re.search(r"missing", reason, re.IGNORECASE) or not re.search(
        r"\[?unk", reason, re.IGNORECASE
    ):
        return error
    return LoadError(
        "the tokenizer does not know a word of this text, and has no token for unknown words. In "
        'the "model" of its tokenizer.json, add one to "vocab", such as "[UNK]" with the next free '
        'id, and name it: "unk_token": "[UNK]" (for a model of type Unigram its place, "unk_id"). '
        f"Received: {reason}"
    )


def without_dropout(tokenizer_json: str) -> str:
    """Return the tokenizer.json without random dropout of merges."""
    # Such a file may have 10 MB, and parsing it takes longer than searching for a word.
    if '"dropout"' not in tokenizer_json:
        return tokenizer_json
    description = json.loads(tokenizer_json)
    rate = description["model"].get("dropout")
    if not rate:
        return tokenizer_json
    warnings.warn(
        f"The tokenizer leaves out merges at random (dropout={rate}), from a stream that cannot be "
        "seeded, so a text would have different ids each time it is read. This is switched off; to "
        "vary ids in training, use `TextLoader(augment=[TokenDropout(0.1)])`.",
        stacklevel=2,
    )
    description["model"]["dropout"] = None
    return json.dumps(description, ensure_ascii=False)
