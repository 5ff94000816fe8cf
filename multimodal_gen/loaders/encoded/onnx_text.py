"""A sentence encoder in an ONNX file, run by onnxruntime (the extra `onnx`).

Each text is padded to its own length, rounded up, and texts of one such length are run together, in
batches of one size. So a text's vector does not depend on the texts beside it, and short texts do
not pay for long ones.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
import tokenizers

from multimodal_gen.loaders.encoded.encoder import Encoder
from multimodal_gen.loaders.encoded.onnx_file import check_onnx
from multimodal_gen.loaders.encoded.pooling import output_for, pooled
from multimodal_gen.loaders.encoded.sentence_folder import POOLINGS, read_sentence_folder
from multimodal_gen.loaders.text.cells import text_of
from multimodal_gen.rows.checks import check_choice, check_positive, check_switches
from multimodal_gen.spec import ArraySpec

# Tokens are padded to a multiple of this.
_STEP = 8
# Texts read together, so that each length fills its batches.
_TOGETHER = 16
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class OnnxTextEncoder(Encoder):
    """Vectors of texts by a sentence encoder. `from_folder` makes one.

    Args:
        model: Path of the ONNX file. Its inputs are `input_ids`, `attention_mask` and, if it has
            it, `token_type_ids`.
        tokenizer_json: Content of its `tokenizer.json`.
        size: How many numbers the model gives for a token or a text.
        pooling: How the vectors of tokens become one: "mean", "cls" (the first), "lasttoken" or
            "max"; or "sentence" if the model has an output with a vector per text.
        normalize: Whether vectors are scaled to length 1.
        max_length: Tokens of a text at most; what is longer is cut.
        prefix: What is put before each text, such as "query: ".
        lowercase: Whether texts are lowercased first.
        batch_size: Texts that the model is given at once.
        sequence: Whether the vectors of all tokens are given, as they are before pooling, instead
            of one: `(max_length, size)`, filled up with zeros, as fusion "attend" uses them. Each
            text then takes `4 * max_length * size` bytes in a cache, so keep `max_length` short.

    Raises:
        ImportError: If onnxruntime is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a plain ONNX model, or an argument is not allowed.
    """

    reads_text = True

    def __init__(
        self,
        model: str | os.PathLike[str],
        tokenizer_json: str,
        *,
        size: int,
        pooling: str = "mean",
        normalize: bool = False,
        max_length: int = 512,
        prefix: str = "",
        lowercase: bool = False,
        batch_size: int = 8,
        sequence: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size)
        check_choice("pooling", pooling, POOLINGS)
        check_switches(normalize=normalize, lowercase=lowercase, sequence=sequence)
        check_positive(max_length=max_length, size=size)
        provider = _runtime().get_available_providers()[0]
        self._path = Path(model).absolute()
        try:
            check_onnx(self._path)
        except ValueError as error:
            reason = str(error)
            raise ValueError(
                f"{reason[0].upper()}{reason[1:]}. Received: model={os.fspath(model)!r}"
            ) from error
        self.pooling, self.normalize, self.prefix = pooling, normalize, prefix
        self.max_length, self.lowercase, self.sequence = max_length, lowercase, sequence
        self._tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        shape = (int(max_length), int(size)) if sequence else (int(size),)
        self.spec = ArraySpec(shape, "float32", "features")
        self._content = _digest_of(self._path)
        settings: tuple[Any, ...] = (
            tokenizer_json,
            pooling,
            normalize,
            max_length,
            prefix,
            lowercase,
            provider,
        )
        # Added only where it changes the result, so that older caches are found.
        settings = (*settings, "sequence") if sequence else settings
        text = blake2b(repr(settings).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        self.digest = f"{self._content} {text}"
        # A list, because an encoder cannot be assigned to later.
        self._sessions: list[Any] = []

    @classmethod
    def from_folder(
        cls,
        path: str | os.PathLike[str],
        *,
        prompt: str | None = None,
        max_length: int | None = None,
        batch_size: int = 8,
        sequence: bool = False,
    ) -> Self:
        """Take a folder as sentence-transformers exports it, with everything that it says.

        Args:
            path: The folder with `tokenizer.json`, and `model.onnx` or `onnx/model.onnx`. Pooling,
                normalisation, length and prompts are read from its other files.
            prompt: Name of one of its prompts, such as "query"; by default its default prompt.
            max_length: Tokens of a text at most; by default what the folder says.
            batch_size: As in the constructor.
            sequence: As in the constructor.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If the folder has no such prompt, or says something unsupported.
        """
        check_switches(sequence=sequence)
        folder = read_sentence_folder(path)
        chosen = folder.default_prompt if prompt is None else prompt
        if chosen is not None and chosen not in folder.prompts:
            raise ValueError(
                f"`prompt` must be one of the folder's, which are {sorted(folder.prompts)}. "
                f"Received: prompt={chosen!r}"
            )
        return cls(
            folder.model,
            folder.tokenizer_json,
            size=folder.size,
            pooling=folder.pooling,
            normalize=folder.normalize,
            max_length=max_length or folder.max_length,
            prefix="" if chosen is None else folder.prompts[chosen],
            lowercase=folder.lowercase,
            batch_size=batch_size,
            sequence=sequence,
        )

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self._path

    @property
    def rows_together(self) -> int:
        """Texts that are best read together, so that each length fills its batches."""
        return _TOGETHER * self.batch_size

    def check(self, spec: ArraySpec | None) -> None:
        """Refuse a loader: the encoder has a tokenizer of its own.

        Raises:
            ValueError: If there is one.
        """
        if spec is not None:
            raise ValueError(
                "A sentence encoder takes the texts of a column, not what a loader made of them: "
                f"use EncodedLoader('caption', encoder). Received: a loader of {spec}"
            )

    def prepare(self, value: Any) -> list[int]:
        """Token ids of a text.

        Raises:
            LoadError: If the cell is not text.
        """
        text = self.prefix + text_of(value)
        return self._tokenizer.encode(text.lower() if self.lowercase else text).ids

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Token ids of any number of texts -> `(texts, *spec.shape) float32`."""
        found = np.zeros((len(values), *self.spec.shape), "float32")
        lengths: dict[int, list[int]] = {}
        for row, ids in enumerate(values):
            # A tokenizer without special tokens gives none for an empty text, whose vector is 0.
            if ids:
                lengths.setdefault(-(-len(ids) // _STEP), []).append(row)
        for rows in lengths.values():
            found[rows] = super().encode([values[row] for row in rows])
        return found

    def run(self, values: Sequence[Any]) -> np.ndarray:
        """Token ids of `batch_size` texts of about one length -> `(batch_size, *spec.shape)`."""
        length = min(-(-max(map(len, values)) // _STEP) * _STEP, self.max_length)
        ids = np.zeros((len(values), length), "int64")
        mask = np.zeros_like(ids)
        for row, one in enumerate(values):
            ids[row, : len(one)], mask[row, : len(one)] = one, 1
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        session = self._session()
        given = {
            one.name: arrays[one.name].astype("int32" if "int32" in one.type else "int64")
            for one in session.get_inputs()
        }
        # Of a sequence, the vectors of all tokens are asked for, whatever the pooling is.
        pooling = "mean" if self.sequence else self.pooling
        outputs = session.run([output_for(session, pooling)], given)[0]
        if self.sequence:
            whole = np.zeros((len(values), *self.spec.shape), "float32")
            whole[:, :length] = outputs * mask[..., None]
            return whole
        found = pooled(outputs, mask, pooling)
        if self.normalize:
            found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found

    def _session(self) -> Any:
        # Only ever called by one thread at a time, see `Encoder`.
        if not self._sessions:
            data = self._path.read_bytes()
            if blake2b(data, digest_size=16).hexdigest() != self._content:
                raise self._changed()
            runtime = _runtime()
            options = runtime.SessionOptions()
            # Errors only: it warns about parts that it optimizes away.
            options.log_severity_level = 3
            providers = runtime.get_available_providers()
            session = runtime.InferenceSession(data, options, providers=providers)
            unknown = {one.name for one in session.get_inputs()} - set(_INPUTS)
            if unknown:
                raise ValueError(
                    f"The inputs of a sentence encoder are {list(_INPUTS)}. Received: {unknown}"
                )
            self._sessions.append(session)
        return self._sessions[0]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Copy the ONNX file.

        Raises:
            ValueError: If it has changed since the encoder was made.
        """
        shutil.copyfile(self._path, path)
        if _digest_of(Path(path)) != self._content:
            raise self._changed()

    def _changed(self) -> ValueError:
        return ValueError(
            "The ONNX file has changed since the encoder was made. Make it again. "
            f"Received: {os.fspath(self._path)!r}"
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the path of the file."""
        return {**super().get_config(), "model": os.fspath(self._path)}

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self.get_config())


def _unpickled(cls: type[OnnxTextEncoder], config: dict[str, Any]) -> OnnxTextEncoder:
    return cls(**config)


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "Sentence encoders need onnxruntime: pip install 'multimodal_gen[onnx]'"
        ) from error
    return onnxruntime


def _digest_of(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while part := file.read(2**22):
            digest.update(part)
    return digest.hexdigest()
