"""The declarations of the options that say how captions are read."""

from __future__ import annotations

from typing import Annotated

import typer

from multimodal_gen.cli.option_words import TextWord

TextMode = Annotated[
    TextWord,
    typer.Option(
        "--text",
        help="Read captions as n-grams, best for few rows, as tokens in order, or as the vectors "
        "of --text-encoder alone.",
    ),
]
TextEncoder = Annotated[
    str | None,
    typer.Option(
        "--text-encoder",
        metavar="MODEL",
        help="Folder of a sentence encoder in ONNX, or a text preset of keras-hub: its vectors of "
        "each caption are an input too.",
    ),
]
