"""A CLIP or SigLIP of keras-hub as a `DualEncoder`, and what a pair finds as a model's input."""

from __future__ import annotations

import os
from typing import Any

from multimodal_gen.bundle.dual_encoder import DualEncoder
from multimodal_gen.bundle.halves import halves_of
from multimodal_gen.loaders.encoded.loader import EncodedLoader
from multimodal_gen.loaders.encoded.similarity import SimilarityLoader
from multimodal_gen.models.contrastive import build_dual_encoder
from multimodal_gen.models.hub.encoders import encoder_of
from multimodal_gen.models.hub.halves import check_two, scale_of
from multimodal_gen.models.hub.presets import is_hub_name, is_preset_folder, open_preset
from multimodal_gen.models.keras_encoder import KerasEncoder


def pair_from_preset(
    preset: str | os.PathLike[str],
    *,
    image: str = "image",
    text: str = "caption",
    directory: str | os.PathLike[str] | None = None,
) -> DualEncoder:
    """Use a CLIP or SigLIP of keras-hub to compare, label and search, without training.

    Its similarities times `scale` are the logits of the preset (of a SigLIP: without its bias,
    which is the same for all).

    Args:
        preset: A folder that `save_to_preset` wrote, or the name of a preset, which keras-hub
            downloads.
        image: The column of pictures; the input is called "image".
        text: The column of texts; the input is called "text".
        directory: The folder of the pictures, as in `ImageLoader`.

    Returns:
        The pair. Its inputs are loaders of vectors, and its bundle does not need the preset.

    Raises:
        ImportError: If keras-hub is not installed.
        ValueError: If there is no such preset, it has no two encoders of one space, or it lacks
            weights, tokenizer or image converter.

    Example:
        pair = pair_from_preset("presets/clip_vit_base_patch32", image="photo")
        pair.zero_shot(table, {"mug": "a photo of a mug", "lamp": "a photo of a lamp"})
    """
    name = os.fspath(preset)
    if not (is_preset_folder(name) if os.path.isdir(name) else is_hub_name(name)):
        raise ValueError(
            "There is no such preset: name a folder with config.json and model.weights.h5, as "
            "`save_to_preset` writes it, or a preset of keras-hub (pip install "
            f"'multimodal_gen[hub]'). Received: preset={name!r}"
        )
    opened = open_preset(name)
    check_two(opened)
    options: dict[str, Any] = {} if directory is None else {"directory": directory}
    encoded = {
        "image": encoder_of(opened, image, "image", pictures=options),
        "text": encoder_of(opened, text, "text"),
    }
    inputs = {key: EncodedLoader(one.loader, one.encoder) for key, one in encoded.items()}
    model = build_dual_encoder(inputs, embedding_size=None, scale=scale_of(opened))
    return DualEncoder(model, inputs)


def similarity_loader(pair: DualEncoder) -> SimilarityLoader:
    """Make the similarity of a row's two cells an input of a model, as `pair` finds it now.

    Args:
        pair: The pair, trained on other rows: it knows its own by heart.

    Returns:
        A loader of one number. Training the pair further does not change it.

    Raises:
        ValueError: If a cell of the pair holds several pictures or texts.
    """
    many = [name for name, loader in pair.inputs.items() if loader.spec.item is not None]
    if many:
        raise ValueError(
            "A similarity is that of one picture and one text. Received: inputs of several items, "
            f"{many}"
        )
    parts = []
    for name, half in halves_of(pair.model, pair.inputs).items():
        loader = pair.inputs[name]
        # The vectors of a preset are in the shared space already.
        ready = isinstance(loader, EncodedLoader) and loader.views == 1 and not half.model.weights
        parts.append(loader if ready else EncodedLoader(loader, KerasEncoder(half.model)))
    return SimilarityLoader(*parts)
