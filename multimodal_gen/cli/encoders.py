"""What --image-encoder and --text-encoder make of the inputs: features of pretrained models.

Those of pictures replace the pictures unless --also-pixels is given, as a network on pixels takes
most of a run's time; those of captions are inputs beside the captions, whose n-grams cost little.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        return EncodedLoader(column, OnnxTextEncoder.from_folder(path))
    from multimodal_gen.models.pretrained import from_preset

    loader: Any = from_preset(named, column, **_part(named, "text")).loader
    if isinstance(loader.loader, ImageLoader):
        raise ValueError(
            "--text-encoder must be a model of texts; for one of pictures use --image-encoder. "
            f"Received: --text-encoder {named}"
        )
    return loader


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
        loader: Any = from_preset(self.named, str(own.column), **options).loader
        if not isinstance(getattr(loader, "loader", None), ImageLoader):
            raise ValueError(
                "--image-encoder must be a model of pictures; for one of texts use --text-encoder. "
                f"Received: --image-encoder {self.named}"
            )
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
        given, named = self.settings.image_weights, self.named
        if given is not None:
            return {"weights": given}
        if named.endswith(".keras") or "/" in named.partition("://")[0]:
            if not Path(named).exists():
                raise FileNotFoundError(
                    f"There is no such file or folder. Received: --image-encoder {named}"
                )
            return _part(named, "image")
        import keras

        if hasattr(keras.applications, named):
            raise ValueError(
                "Say which weights the model has: --image-weights imagenet, which Keras downloads, "
                f"or a file. Received: --image-encoder {named} without --image-weights"
            )
        found = _part(named, "image")
        if not found and not Path(named).exists():
            raise FileNotFoundError(
                "There is no file, folder or function of keras.applications of this name, nor a "
                "preset of keras-hub, if that is installed (pip install 'multimodal_gen[hub]'). "
                f"Received: --image-encoder {named}"
            )
        return found
