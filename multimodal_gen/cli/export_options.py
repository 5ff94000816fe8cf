"""The options of `export`: name, type and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multimodal_gen.cli.option_words import FormatWord

OutFolder = Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")]
Format = Annotated[
    FormatWord,
    typer.Option(
        "--format",
        help="For onnxruntime, for TensorFlow, or for the LiteRT interpreter of small devices.",
    ),
]
Pictures = Annotated[
    str | None,
    typer.Option(
        "--directory",
        metavar="DIR",
        help="Folder of picture paths that the export is to keep. Default: that of --int8, or the "
        "run's.",
    ),
]
Int8 = Annotated[
    str | None,
    typer.Option(
        "--int8",
        metavar="TABLE",
        help="Round an ONNX network to 8 bits, by these validation rows, and say what it costs.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in OUT.")]
