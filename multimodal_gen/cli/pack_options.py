"""The declarations of what only `pack` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help="A .parquet or .tar file, several such as 'out-{000..031}.tar', or a .lance folder.",
    ),
]
Protocol = Annotated[
    list[str] | None,
    typer.Option(
        "--protocol",
        metavar="SCHEME",
        help="What cells that are URLs may begin with, such as https or s3. Repeat it for more.",
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        "--image-size",
        metavar="HxW",
        help="Resize pictures to this height and width, as `train` does. Default: files stay as "
        "they are.",
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        "--quality",
        min=1,
        max=100,
        metavar="N",
        help="Write resized pictures as JPEG files of this quality. Default: PNG, without loss.",
    ),
]
