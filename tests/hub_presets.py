"""Tiny presets of keras-hub with random weights, as `save_to_preset` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

WORDS = ["a", "red", "blue", "mug", "lamp", "photo", "of", "##s", "the", "on", "table", "!"]
SIZE = 32
# What a converter of ImageNet's means does, with other numbers for each colour.
SCALE, OFFSET = [0.017, 0.018, 0.019], [-2.1, -2.0, -1.8]


def hub() -> Any:
    import keras_hub

    return keras_hub


def bert(folder: Path, *, seed: int = 0, tokenizer: bool = True) -> Path:
    """A BERT of 24 tokens with a WordPiece vocabulary."""
    keras.utils.set_random_seed(seed)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    backbone = hub().models.BertBackbone(
        vocabulary_size=len(vocabulary),
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=16,
        max_sequence_length=24,
    )
    backbone.save_to_preset(folder)
    if tokenizer:
        hub().models.BertTokenizer(vocabulary, lowercase=True).save_to_preset(folder)
    return folder


def roberta(folder: Path) -> Path:
    """A RoBERTa of 20 tokens with byte pairs, which has no segments."""
    keras.utils.set_random_seed(1)
    pieces = [*"aredmug", "Ġ", "re", "red", "mu", "mug", "Ġmug"]
    words = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *pieces])
    vocabulary = {word: number for number, word in enumerate(words)}
    merges = ["r e", "re d", "m u", "mu g", "Ġ mug"]
    backbone = hub().models.RobertaBackbone(
        vocabulary_size=len(vocabulary),
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=16,
        max_sequence_length=20,
    )
    backbone.save_to_preset(folder)
    hub().models.RobertaTokenizer(vocabulary, merges).save_to_preset(folder)
    return folder


def vit(folder: Path, *, converter: bool = True) -> Path:
    """A vision transformer of 32 x 32 pixels in patches of 8."""
    keras.utils.set_random_seed(2)
    backbone = hub().models.ViTBackbone(
        image_shape=(SIZE, SIZE, 3),
        patch_size=8,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=16,
    )
    backbone.save_to_preset(folder)
    if converter:
        hub().layers.ViTImageConverter(
            image_size=(SIZE, SIZE), scale=SCALE, offset=OFFSET
        ).save_to_preset(folder)
    return folder


def dino(folder: Path) -> Path:
    """A DINOv3 with two registers, whose input is called "pixel_values"."""
    keras.utils.set_random_seed(3)
    hub().models.DINOV3Backbone(
        patch_size=8,
        num_layers=1,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=16,
        num_register_tokens=2,
        image_shape=(SIZE, SIZE, 3),
    ).save_to_preset(folder)
    hub().layers.DINOV3ImageConverter(
        image_size=(SIZE, SIZE), scale=SCALE, offset=OFFSET, crop_to_aspect_ratio=False
    ).save_to_preset(folder)
    return folder


def clip(folder: Path) -> Path:
    """A CLIP of 32 x 32 pixels and 12 tokens."""
    keras.utils.set_random_seed(4)
    models = hub().models
    letters = [*"abcdefghijklmnopqrstuvwxyz!"]
    names = [*letters, *(f"{one}</w>" for one in letters), "re", "red</w>", "mu", "mug</w>"]
    vocabulary = {
        name: number for number, name in enumerate([*names, "<|startoftext|>", "<|endoftext|>"])
    }
    tokenizer = models.CLIPTokenizer(vocabulary, ["r e", "re d</w>", "m u", "mu g</w>"])
    vision = models.CLIPVisionEncoder(
        patch_size=8,
        hidden_dim=16,
        num_layers=1,
        num_heads=2,
        intermediate_dim=16,
        image_shape=(SIZE, SIZE, 3),
    )
    text = models.CLIPTextEncoder(
        vocabulary_size=len(vocabulary),
        embedding_dim=16,
        hidden_dim=16,
        num_layers=1,
        num_heads=2,
        intermediate_dim=16,
        max_sequence_length=12,
    )
    backbone = models.CLIPBackbone(vision, text, projection_dim=8)
    converter = hub().layers.CLIPImageConverter(image_size=(SIZE, SIZE), scale=SCALE, offset=OFFSET)
    backbone.save_to_preset(folder)
    models.CLIPPreprocessor(tokenizer, converter, sequence_length=12).save_to_preset(folder)
    return folder


def siglip(folder: Path) -> Path:
    """A SigLIP of 32 x 32 pixels and 10 tokens, with a SentencePiece vocabulary."""
    import io

    import sentencepiece

    keras.utils.set_random_seed(5)
    models, model = hub().models, io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a red mug", "blue lamp on the table", "mug of tea"] * 4),
        model_writer=model,
        vocab_size=40,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=3,
        pad_piece="<pad>",
        eos_piece="</s>",
        unk_piece="<unk>",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    tokenizer = models.SigLIPTokenizer(model.getvalue())
    sizes = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
    vision = models.SigLIPVisionEncoder(patch_size=8, image_shape=(SIZE, SIZE, 3), **sizes)
    text = models.SigLIPTextEncoder(
        vocabulary_size=tokenizer.vocabulary_size(),
        embedding_dim=16,
        max_sequence_length=10,
        **sizes,
    )
    models.SigLIPBackbone(vision, text).save_to_preset(folder)
    converter = hub().layers.SigLIPImageConverter(
        image_size=(SIZE, SIZE), scale=1 / 127.5, offset=-1.0
    )
    models.SigLIPPreprocessor(tokenizer, converter, sequence_length=10).save_to_preset(folder)
    return folder
