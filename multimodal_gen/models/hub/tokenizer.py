"""The tokenizer of a preset, which can be written to JSON, and the loader of its token ids."""

from __future__ import annotations

import base64
import inspect
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from multimodal_gen.config import Configurable
from multimodal_gen.errors import share_in_words
from multimodal_gen.loaders.base import Loader, check_missing
from multimodal_gen.loaders.stages import stage
from multimodal_gen.loaders.text.cells import text_of
from multimodal_gen.models.hub.presets import keras_hub
from multimodal_gen.rows.checks import check_choice, check_positive
from multimodal_gen.spec import ArraySpec

# What of big_vision's SigLIP is removed from texts: all punctuation of ASCII.
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
# How a text is spelled before it becomes tokens.
SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "as is": lambda text: text,
    "lowercase": str.lower,
    "words": lambda text: " ".join(_PUNCTUATION.sub("", text.lower()).split()),
}
# Arguments of a keras-hub tokenizer that may name files, and those that every layer has.
_FILES = ("merges", "proto", "vocabulary")
_NOT_KEPT = (*_FILES, "config_file", "dtype", "name", "trainable")


class PresetTokenizer(Configurable):
    """A tokenizer of keras-hub, to `(length,) int32` ids of which 0 is padding and nothing else.

    The ids of the tokenizer are raised by one. `from_preset` makes it; bundles hold it as a file.

    Args:
        tokenizer_json: Class, settings and files of the tokenizer, as `tokenizer_as_json` writes
            them.
        length: Ids per text; what is longer is cut.
        start: Ids of the tokenizer that come before each text.
        end: Ids that come after it, also if it is cut.
        spelling: What is done to a text first: "as is", "lowercase", or "words", which also takes
            away punctuation and repeated spaces.

    Raises:
        ImportError: If keras-hub is not installed.
        ValueError: If the JSON describes anything but a tokenizer of keras-hub, or the length
            leaves no room for a token.
    """

    def __init__(
        self,
        tokenizer_json: str,
        *,
        length: int,
        start: Sequence[int] = (),
        end: Sequence[int] = (),
        spelling: str = "as is",
    ) -> None:
        check_choice("spelling", spelling, tuple(SPELLINGS))
        check_positive(length=length)
        self.length, self.spelling = int(length), spelling
        self.start, self.end = [int(one) for one in start], [int(one) for one in end]
        if self.length <= len(self.start) + len(self.end):
            raise ValueError(
                f"`length` must be more than the {len(self.start) + len(self.end)} ids that each "
                f"text gets. Received: length={length!r}"
            )
        self.tokenizer_json = tokenizer_json
        self._tokenizer = _tokenizer_from(tokenizer_json)
        self.vocabulary_size = int(self._tokenizer.vocabulary_size()) + 1

    def tokens(self, text: str) -> list[int]:
        """The tokenizer's own ids of a text, however long, without those around it."""
        found = self._tokenizer.tokenize(SPELLINGS[self.spelling](text))
        return [int(one) for one in np.asarray(keras.ops.convert_to_numpy(found)).ravel()]

    def encode(self, text: str) -> np.ndarray:
        """Ids of a text, `(length,) int32`: those of the tokenizer plus one, then zeros."""
        room = self.length - len(self.start) - len(self.end)
        ids = [*self.start, *self.tokens(text)[:room], *self.end]
        array = np.zeros(self.length, "int32")
        array[: len(ids)] = ids
        array[: len(ids)] += 1
        return array

    def decode(self, array: np.ndarray) -> str:
        """The tokens of an array that `encode` gave, as words."""
        ids = np.asarray(array).ravel()
        return str(self._tokenizer.detokenize([int(one) - 1 for one in ids[ids > 0]]))

    def get_config(self) -> dict[str, Any]:
        """The arguments, as JSON values."""
        return {
            "tokenizer_json": self.tokenizer_json,
            "length": self.length,
            "start": self.start,
            "end": self.end,
            "spelling": self.spelling,
        }

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.get_config()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(type(self)(**state["config"]).__dict__)

    def __repr__(self) -> str:
        name = json.loads(self.tokenizer_json)["class"]
        return f"PresetTokenizer({name}, {self.vocabulary_size} ids, length={self.length})"


class PresetTextLoader(Loader):
    """Turns texts into the token ids that a preset of keras-hub takes.

    Returns `(length,) int32`, kind "tokens"; 0 is padding. `from_preset` makes one.

    Args:
        column: The column of texts.
        tokenizer: The tokenizer of the preset.
        missing: How to treat a missing text (None, NaN): "error", or "blank" for padding only, and
            a mask as another input of the model; see `Loader`.

    Raises:
        TypeError: If the tokenizer is another one.
    """

    kept_by_row = True
    reads_text = True
    # Worker processes would have to import keras-hub, which imports a whole backend.
    one_process = True

    def __init__(self, column: str, tokenizer: PresetTokenizer, *, missing: str = "error") -> None:
        if not isinstance(tokenizer, PresetTokenizer):
            raise TypeError(
                "`tokenizer` must be a PresetTokenizer, as `from_preset` makes it; other "
                f"tokenizers go into a TextLoader. Received: tokenizer={tokenizer!r}"
            )
        self.column, self.missing, self.tokenizer = column, check_missing(missing), tokenizer
        size = tokenizer.vocabulary_size
        self.spec = ArraySpec((tokenizer.length,), "int32", "tokens", size)

    def read(self, cell: Any) -> np.ndarray:
        """Encode one text.

        Raises:
            LoadError: If the cell is missing or is not text.
        """
        with stage("tokenize"):
            return self.tokenizer.encode(text_of(cell))

    def file_of(self, cell: Any) -> str | None:
        """None: a text is all that is read, even if a file has that name."""
        return None

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The text as the model gets it, with special tokens."""
        return {"": self.tokenizer.decode(array)}

    def text_coverage(self, texts: Sequence[str]) -> str | None:
        """The share of the texts that are cut."""
        tokenizer = self.tokenizer
        room = tokenizer.length - len(tokenizer.start) - len(tokenizer.end)
        cut = sum(len(tokenizer.tokens(text)) > room for text in texts)
        if not cut:
            return None
        return (
            f"as tokens, {share_in_words(cut, len(texts))} of the captions are longer than "
            f"{tokenizer.length} and are truncated"
        )


def tokenizer_as_json(tokenizer: Any) -> str:
    """Class, settings and files of a keras-hub tokenizer.

    Raises:
        ValueError: If it is not one of keras-hub's own classes.
    """
    name = type(tokenizer).__name__
    if getattr(keras_hub().tokenizers, name, None) is not type(tokenizer):
        raise ValueError(
            f"Only tokenizers of keras-hub itself can be saved. Received: tokenizer={tokenizer!r}"
        )
    config = {key: value for key, value in tokenizer.get_config().items() if key not in _NOT_KEPT}
    files: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_assets(folder)
        for path in sorted(Path(folder).iterdir()):
            data = path.read_bytes()
            try:
                files[path.name] = data.decode("utf-8")
            except UnicodeDecodeError:
                files[path.name] = {"base64": base64.b64encode(data).decode("ascii")}
    return json.dumps({"class": name, "config": config, "files": files}, ensure_ascii=False)


def _tokenizer_from(text: str) -> Any:
    # May come from a stranger: a class of keras-hub's tokenizers, plain settings, and the files
    # that this class reads, in a folder of their own.
    base = keras_hub().tokenizers.Tokenizer
    try:
        described = json.loads(text)
        name, config, files = (described[key] for key in ("class", "config", "files"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"This is not the JSON of a preset's tokenizer: {error!r}") from error
    cls = getattr(keras_hub().tokenizers, name, None) if str(name).isidentifier() else None
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ValueError(f"keras-hub has no tokenizer of this class. Received: class={name!r}")
    for key, value in config.items():
        if key in _NOT_KEPT or not _plain(value):
            raise ValueError(f"A tokenizer may not have this setting. Received: {key}={value!r}")
    arguments = inspect.signature(cls).parameters
    data = {file: _bytes(content) for file, content in files.items()}
    if "proto" in arguments and len(data) == 1:
        # keras-hub does not close the file that it reads.
        return cls(**config, proto=next(iter(data.values())))
    tokenizer = cls(**config, **{key: None for key in _FILES if key in arguments})
    wanted = list(tokenizer.file_assets or [])
    if sorted(data) != sorted(wanted):
        raise ValueError(f"A {name} has the files {wanted}. Received: {sorted(files)}")
    with tempfile.TemporaryDirectory() as folder:
        for file, content in data.items():
            Path(folder, file).write_bytes(content)
        tokenizer.load_assets(folder)
    return tokenizer


def _bytes(content: Any) -> bytes:
    if isinstance(content, str):
        return content.encode()
    if not isinstance(content, Mapping) or set(content) != {"base64"}:
        raise ValueError(f"A tokenizer's file is text, or base64. Received: {type(content)}")
    return base64.b64decode(content["base64"], validate=True)


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str | int) for one in value)
    return value is None or isinstance(value, bool | int | float | str)
