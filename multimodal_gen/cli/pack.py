"""`pack`: a table and its pictures in one parquet file, in shards or in a dataset of Lance."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rich.console import Console

from multimodal_gen.cli import many_options, option_values, options, pack_options
from multimodal_gen.cli.console import was_interrupted
from multimodal_gen.cli.option_words import OnErrorWord
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.errors import LoadError, TableError, by_number, counted

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from multimodal_gen.batch.packing.packing import Packed

# Rows that tell which columns hold pictures, if no option does.
_LOOKED_AT = 1000


def pack(
    table: options.TableFile,
    out: pack_options.Out,
    image: options.Image = None,
    images: many_options.Images = None,
    item_separator: many_options.ItemSeparator = None,
    directory: options.Directory = None,
    protocol: pack_options.Protocol = None,
    image_size: pack_options.Size = None,
    quality: pack_options.Quality = None,
    on_error: options.OnError = OnErrorWord.RAISE,
    max_error_rate: options.MaxErrorRate = 0.1,
    threads: options.Threads = None,
) -> None:
    """Write a table with its pictures into a parquet file, tar shards or a dataset of Lance.

    The same command goes on where it was stopped, and checks what is finished.
    """
    option_values.folder_of_pictures(directory)
    size = option_values.size_in_pixels(image_size)
    if quality is not None and image_size is None:
        raise ValueError(
            "--quality is that of resized pictures: add --image-size. Received: --quality "
            f"{quality}"
        )
    option_values.check_not_read("OUT", out, table)
    from multimodal_gen.batch.packing.naming import output_of
    from multimodal_gen.batch.packing.packing import pack_table
    from multimodal_gen.cli.given_table import open_given
    from multimodal_gen.rows.table import check_columns

    output = output_of(out)
    rows = open_given(table)
    reporter = ProgressReporter(Console())
    folder = option_values.table_folder(table, directory)
    single, several = tuple(image or ()), tuple(images or ())
    if not single and not several:
        # Cells that are whole URLs need no folder, and are looked up as they are.
        place = f"{protocol[0]}://" if protocol and directory is None else folder
        single, several = _found(rows, place, reporter)
    check_columns(rows, [*single, *several])
    loaders = _loaders(rows, single, several, item_separator, folder, size, protocol or ())
    how = f"resized to {image_size}" if image_size is not None else "as they are"
    names = ", ".join(map(repr, (*single, *several)))
    reporter.say(f"{table}: {len(rows):,} rows to {output.said()}, the files of {names} {how}")
    reporter.begin("packing", len(rows))
    try:
        packed = pack_table(
            rows,
            out,
            loaders,
            resize=image_size is not None,
            quality=quality,
            on_error=on_error.value,
            max_error_rate=max_error_rate,
            threads=threads,
            progress=reporter.advance,
        )
    except LoadError as error:
        raise _with_protocol(error) from error
    except BaseException as error:
        if not was_interrupted(error):
            raise
        kept = "shards that are whole are kept, and the same command goes on from there"
        raise KeyboardInterrupt(kept) from None
    finally:
        reporter.end()
    skipped = ""
    if len(packed.skipped):
        number = len(packed.skipped)
        skipped = (
            f" {counted(number, 'row')} {by_number(number, 'was', 'were')} left out, listed in "
            f"{output.skipped}."
        )
    reporter.say(f"{_done(packed, out, output.form)}{skipped}")


def _with_protocol(error: LoadError) -> LoadError:
    # The same, in the words of the command line.
    from multimodal_gen.cli.bad_rows import plain_error, scheme_of

    told, scheme = plain_error(error), scheme_of(error)
    way_out = "" if scheme is None else f" Or open them with --protocol {scheme}."
    reason = f"{told.reason}{way_out}"
    return LoadError(reason, index=told.index, column=told.column, path=told.path)


def _done(packed: Packed, out: Path, form: str) -> str:
    # What was written now, and what was there before.
    new = packed.rows - packed.kept_rows
    rows = counted(packed.rows, "row")
    shards = counted(packed.kept, "part" if form == "lance" else "shard")
    if not packed.kept:
        return f"Wrote {rows} to {out}, and read {by_number(packed.rows, 'it', 'them')} back."
    were = by_number(packed.kept, "was there before and is", "were there before and are")
    if not new:
        return f"All {rows} of {out} were there before and are whole; nothing was written."
    return (
        f"Wrote {counted(new, 'row')} to {out}, and read {by_number(new, 'it', 'them')} back; "
        f"{shards} of {counted(packed.kept_rows, 'row')} {were} whole."
    )


def _found(
    rows: pd.DataFrame, folder: str, reporter: ProgressReporter
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    # The columns of pictures, and of several pictures.
    import numpy as np

    from multimodal_gen.loaders.columns.inferring import infer_columns
    from multimodal_gen.loaders.columns.pictures import ABSENT

    places = np.unique(np.linspace(0, len(rows) - 1, _LOOKED_AT).astype("int64"))
    columns = infer_columns(rows.iloc[places].reset_index(drop=True), directory=folder)
    found: dict[str, list[str]] = {"image": [], "images": []}
    for name, kind in columns["taken_as"].items():
        if kind in found:
            found[kind].append(str(name))
    if not any(found.values()):
        near = [
            f"{name!r}: {why}"
            for name, why in columns["why"].items()
            if ABSENT in why or "URLs of pictures" in why
        ]
        why = f" {near[0]}." if near else ""
        raise TableError(
            f"No column of the table holds pictures that are found.{why} Name it with --image, its "
            f"folder with --directory, and for URLs --protocol. Received: --directory {folder}"
        )
    given = " ".join(
        f"--{option} {shlex.quote(name)}" for option, names in found.items() for name in names
    )
    reporter.say(f"No option names the pictures, so these are packed: {given}")
    return tuple(found["image"]), tuple(found["images"])


def _loaders(
    rows: pd.DataFrame,
    single: tuple[str, ...],
    several: tuple[str, ...],
    separator: str | None,
    folder: str,
    size: tuple[int, int],
    protocols: Any,
) -> list[Any]:
    from multimodal_gen.loaders.columns.choosing import several_pictures
    from multimodal_gen.loaders.image.loader import ImageLoader

    of_one = {
        name: ImageLoader(name, directory=folder, image_size=size, protocols=list(protocols))
        for name in (*single, *several)
    }
    return [
        *(of_one[name] for name in single),
        *(
            several_pictures(rows[name], of_one[name], separator=separator, missing="blank")
            for name in several
        ),
    ]
