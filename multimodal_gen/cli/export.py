"""`export`: writes a run in a format that predicts without Keras."""

from __future__ import annotations

from rich.console import Console

from multimodal_gen.cli import export_options, option_values, options
from multimodal_gen.cli.console import print_table
from multimodal_gen.cli.opening import refuse_swapped
from multimodal_gen.cli.option_words import FormatWord
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.cli.starting import starting


def export(
    run: options.RunFolder,
    out: export_options.OutFolder,
    format: export_options.Format = FormatWord.ONNX,  # noqa: A002 - the option is called so
    int8: export_options.Int8 = None,
    directory: export_options.Pictures = None,
    overwrite: export_options.Overwrite = False,
) -> None:
    """Write a run as a folder that predicts without Keras: network, loaders, tokenizers."""
    console = Console()
    option_values.folder_of_pictures(directory)
    refuse_swapped(run, out, "the folder to write")
    with starting(console):
        from multimodal_gen.bundle import load_bundle
        from multimodal_gen.cli.given_table import read_given
    rows = None if int8 is None else read_given(int8)
    if rows is not None:
        directory = option_values.table_folder(str(int8), directory)
    bundle = load_bundle(run, directory=directory)
    done = bundle.export(out, format.value, int8=rows, overwrite=overwrite)
    reporter = ProgressReporter(console)
    model = (run / "model.keras").stat().st_size
    reporter.say(
        f"Wrote {out}: a network of {_megabytes(done.network_bytes)} (model.keras: "
        f"{_megabytes(model)}), {done.milliseconds:.2f} ms a row in batches of 32. Converted on "
        f"{done.made_on}, and run against the model: the largest difference is "
        f"{done.largest_difference:.1e}."
    )
    for backend, reason in done.not_made_on.items():
        reporter.say(f"note: the converter of {backend} was tried first: {reason}")
    if done.int8 is not None:
        title, number = option_values.score_title, option_values.as_score
        before, after = done.int8["before"], done.int8["after"]
        reporter.say(
            "The difference is of the network before its rounding to 8 bits. What that costs on "
            f"{int8}:"
        )
        print_table(
            console,
            None,
            ("score", "before", "after"),
            [(title(name), number(one, 4), number(after[name], 4)) for name, one in before.items()],
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f} MB"
