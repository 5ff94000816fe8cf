"""The declarations of the options that say how pictures are read."""

from __future__ import annotations

from typing import Annotated

import typer

from multimodal_gen.cli.option_words import AugmentWord

ImageSize = Annotated[
    str | None,
    typer.Option(
        "--image-size",
        metavar="HxW",
        help="Height and width of resized pictures, in pixels. Default: 64x64; 224x224 for an "
        "--image-encoder of any size.",
    ),
]
Augment = Annotated[
    AugmentWord,
    typer.Option(
        "--augment",
        help="How much training changes pictures at random. Both default and strong mirror them.",
    ),
]
ImageEncoder = Annotated[
    str | None,
    typer.Option(
        "--image-encoder",
        metavar="MODEL",
        help="Read pictures as the features of a pretrained model instead of pixels: a .keras "
        "file, the folder of an earlier run, a preset of keras-hub, or a name of "
        "keras.applications with --image-weights. --cache keeps the features.",
    ),
]
AlsoPixels = Annotated[
    bool,
    typer.Option(
        "--also-pixels",
        help="With --image-encoder: train a network on the pixels too, beside the features. It "
        "takes many times as long, and pays from about 1,000 rows on.",
    ),
]
ImageWeights = Annotated[
    str | None,
    typer.Option(
        "--image-weights",
        metavar="WEIGHTS",
        help="For a name of keras.applications: a file, or imagenet, which Keras downloads.",
    ),
]
