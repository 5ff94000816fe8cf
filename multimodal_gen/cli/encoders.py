"""What --image-encoder and --text-encoder make of the inputs: features of pretrained models.

Those of pictures replace the pictures unless --also-pixels is given, as a network on pixels takes
most of a run's time; those of captions are inputs beside the captions, whose n-grams cost little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.loaders import (
    EncodedLoader,
    ImageLoader,
    Loader,
    ManyLoader,
    OnnxTextEncoder,
)

# Where a folder of sentence-transformers has its model.
_ONNX = ("model.onnx", "onnx/model.onnx")


def with_encoders(
    settings: DataSettings, inputs: dict[str, Loader], names: Mapping[tuple[str, str], str]
) -> dict[str, Loader]:
    """The inputs with what --image-encoder and --text-encoder add or replace.

    Args:
        settings: The settings.
        inputs: Name -> loader of the columns themselves.
        names: Option and column -> name of the input.

    Raises:
        ValueError: If an encoder has nothing to encode, or cannot be one.
        FileNotFoundError: If there is no such file or folder.
    """
    found = dict(inputs)
    if settings.image_encoder is not None:
        found |= _features(settings, settings.image_encoder, inputs)
    if settings.text_encoder is not None:
        found |= _meanings(settings, settings.text_encoder, inputs, names)
    # A run reads its cells to check them, to train, and to score.
    for loader in found.values():
        item = loader.item if isinstance(loader, ManyLoader) else loader
        if isinstance(item, EncodedLoader):
            item.encoder.keep()
    if settings.text == "encoder":
        for option in ("caption", "captions"):
            for column in getattr(settings, option):
                del found[names[option, column]]
    return found


def _features(settings: DataSettings, named: str, inputs: dict[str, Loader]) -> dict[str, Loader]:
    found: dict[str, Loader] = {}
    encoded = _Encoded(settings, named)
    for name, loader in inputs.items():
        own = f"{name}_features" if settings.also_pixels else name
        if isinstance(loader, ImageLoader):
            found[own] = encoded.of(loader)
        elif isinstance(loader, ManyLoader) and isinstance(loader.item, ImageLoader):
            found[own] = loader.replace(loader=encoded.of(loader.item), training="all")
    if not found:
        raise ValueError(
            "--image-encoder encodes pictures, but no column holds any: name one with --image. "
            f"Received: --image-encoder {named}"
        )
    return found


def _meanings(
    settings: DataSettings,
    named: str,
    inputs: dict[str, Loader],
    names: Mapping[tuple[str, str], str],
) -> dict[str, Loader]:
    columns = (*settings.caption, *settings.captions)
    if not columns:
        raise ValueError(
            "--text-encoder encodes captions, but no column holds any: name one with --caption. "
            f"Received: --text-encoder {named}"
        )
    first, gaps = _text_loader(named, columns[0]), settings.gaps or ()
    found: dict[str, Loader] = {}
    for column in settings.caption:
        missing = "blank" if column in gaps else settings.missing
        found[f"{names['caption', column]}_meaning"] = _for_column(first, column, missing)
    for column in settings.captions:
        name = names["captions", column]
        many = inputs[name].replace(loader=_for_column(first, column, "error"))
        found[f"{name}_meaning"] = many
    return found


def _text_loader(named: str, column: str) -> EncodedLoader:
    path = Path(named)
    onnx = any((path / file).is_file() for file in _ONNX)
    if onnx or not (path.is_dir() or path.name == named):
        # Without Keras, which takes seconds to start.
        with _said_of("--text-encoder", named):
            return EncodedLoader(column, OnnxTextEncoder.from_folder(path))
    from multimodal_gen.models.pretrained import from_preset

    with _said_of("--text-encoder", named):
        part = _part(named, "text")
        if not part and not path.is_dir():
            raise _unknown("--text-encoder", named)
        loader: Any = from_preset(named, column, **part).loader
    if isinstance(loader.loader, ImageLoader):
        raise _other_kind("--text-encoder", named)
    return loader


@contextmanager
def _said_of(option: str, named: str) -> Iterator[None]:
    # Errors of `from_preset` in the words of the options that its arguments come from.
    try:
        yield
    except (ValueError, TypeError, FileNotFoundError) as error:
        said, received, rest = str(error).partition("Received: ")
        if not received or type(error) not in (ValueError, TypeError, FileNotFoundError):
            raise
        if rest.startswith("part=") or "makes loaders of pictures" in said:
            raise _other_kind(option, named) from None
        for argument, own in (
            ("preset", option),
            ("weights", "--image-weights"),
            ("image_size", "--image-size"),
        ):
            said = said.replace(f"`{argument}`", own)
            rest = re.sub(rf"\b{argument}=", f"{own} ", rest)
        if rest.startswith(repr(named)):
            rest = f"{option} {rest}"
        raise type(error)(f"{said}{received}{rest}") from None


def _other_kind(option: str, named: str) -> ValueError:
    kinds = [("pictures", "--image-encoder"), ("texts", "--text-encoder")]
    (own, _), (other, instead) = sorted(kinds, key=lambda one: one[1] != option)
    return ValueError(
        f"{option} must be a model of {own}; for one of {other} use {instead}. Received: "
        f"{option} {named}"
    )


def _part(named: str, part: str) -> dict[str, Any]:
    # Of presets of keras-hub, some of which have both parts.
    from multimodal_gen.models.hub.presets import is_hub_name, is_preset_folder

    path = Path(named)
    hub = is_preset_folder(named) if path.exists() else is_hub_name(named)
    return {"part": part} if hub else {}


def _for_column(loader: EncodedLoader, column: str, missing: str) -> EncodedLoader:
    # The same encoder for another column.
    if loader.loader is None:
        return loader.replace(loader=column, missing=missing)
    return loader.replace(loader=loader.loader.replace(column=column, missing=missing))


class _Encoded:
    # Makes loaders of features; all share one encoder.
    def __init__(self, settings: DataSettings, named: str) -> None:
        self.settings, self.named = settings, named
        self.encoder: Any = None
        self.pictures: ImageLoader | None = None

    def of(self, own: ImageLoader) -> Loader:
        if self.encoder is None:
            self._open(own)
        assert self.pictures is not None
        same = {name: getattr(own, name) for name in ("column", "directory", "missing")}
        return EncodedLoader(self.pictures.replace(**same), self.encoder)

    def _open(self, own: ImageLoader) -> None:
        # Keras is imported for runs with an encoder only.
        from multimodal_gen.models.pretrained import from_preset

        if Path(self.named, "bundle.json").is_file():
            self._open_run()
            return
        options = self._weights()
        if self.settings.encoder_size is not None:
            options["image_size"] = self.settings.encoder_size
        with _said_of("--image-encoder", self.named):
            try:
                loader: Any = from_preset(self.named, str(own.column), **options).loader
            except ValueError as error:
                # Then --image-size is the size of the pixels beside the features.
                if not self.settings.also_pixels or "Received: image_size=" not in str(error):
                    raise
                del options["image_size"]
                loader = from_preset(self.named, str(own.column), **options).loader
        if not isinstance(getattr(loader, "loader", None), ImageLoader):
            raise _other_kind("--image-encoder", self.named)
        self.encoder, self.pictures = loader.encoder, loader.loader

    def _open_run(self) -> None:
        # With the loader too, which knows the size and the range of pixels.
        from multimodal_gen.bundle import load_bundle
        from multimodal_gen.models.keras_encoder import KerasEncoder

        bundle = load_bundle(self.named)
        pictures: dict[str, Any] = {
            name: loader
            for name, one in bundle.inputs.items()
            if (loader := one.item if isinstance(one, ManyLoader) else one)
            if isinstance(getattr(loader, "loader", loader), ImageLoader)
        }
        if len(pictures) != 1 or self._weights():
            raise ValueError(
                "--image-encoder takes the one input of pictures of a run; of several, save one "
                "with KerasEncoder.from_branch(...).save, and name the .keras file. Received: "
                f"--image-encoder {self.named} with inputs {list(bundle.inputs)}"
            )
        ((name, loader),) = pictures.items()
        # A run may have reused an encoder itself.
        reused = isinstance(loader, EncodedLoader)
        self.encoder = loader.encoder if reused else KerasEncoder.from_branch(bundle.model, name)
        self.pictures = (loader.loader if reused else loader).replace(augment=())

    def _weights(self) -> dict[str, Any]:
        # For `from_preset`. Random weights are for Python only.
        import keras

        from multimodal_gen.models.keras_encoder import meant_application

        given, named = self.settings.image_weights, self.named
        if callable(getattr(keras.applications, named, None)):
            if given is not None:
                return {"weights": given}
            raise ValueError(
                "Say which weights the model has: --image-weights imagenet, which Keras downloads, "
                f"or a file. Received: --image-encoder {named} without --image-weights"
            )
        is_path = named.endswith(".keras") or "/" in named.partition("://")[0]
        if is_path and not Path(named).exists():
            raise FileNotFoundError(
                f"There is no such file or folder. Received: --image-encoder {named}"
            )
        with _said_of("--image-encoder", named):
            found = _part(named, "image")
        if not found and not Path(named).exists():
            raise _unknown("--image-encoder", named, meant_application(named))
        if given is not None:
            raise ValueError(
                "--image-weights is for a function of keras.applications; a file, a folder and a "
                f"preset have their own. Received: --image-encoder {named} --image-weights {given}"
            )
        return found


def _unknown(option: str, named: str, hint: str = "") -> FileNotFoundError:
    pictures = option == "--image-encoder"
    what = "file, folder or function of keras.applications" if pictures else "folder"
    return FileNotFoundError(
        f"There is no {what} of this name, nor a preset of keras-hub, if that is "
        f"installed (pip install 'multimodal_gen[hub]').{hint} Received: {option} {named}"
    )
