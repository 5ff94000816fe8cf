"""Open what a command is given: the bundle of a run, a table, and what the run says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from multimodal_gen.cli import option_values
from multimodal_gen.cli.starting import starting


def opened(console: Console, run: Path, table: str, directory: str | None) -> tuple[Any, Any, str]:
    """The bundle of a run, the rows of a table, and the folder of its pictures in words.

    Args:
        console: Shows that Keras is starting.
        run: The folder of the run.
        table: The table.
        directory: The folder of pictures, or None for that of the table.
    """
    # First, as starting Keras takes seconds.
    option_values.folder_of_pictures(directory)
    refuse_swapped(run, table, "the table")
    with starting(console, trains=False):
        from multimodal_gen.bundle import load_bundle
        from multimodal_gen.cli.given_table import read_given
    rows = read_given(table)
    folder = option_values.table_folder(table, directory)
    return load_bundle(run, directory=folder), rows, folder_in_words(folder, run)


def refuse_swapped(run: Path, other: str | Path, what: str) -> None:
    """Refuse a run and what comes after it in the wrong order.

    Args:
        run: What is given first, which must be the folder of a run.
        other: What is given later, which must not.
        what: Its name in words.

    Raises:
        ValueError: If only the second is the folder of a run.
    """
    if Path(other, "bundle.json").is_file() and not (run / "bundle.json").is_file():
        raise ValueError(
            f"The folder of the run comes first, then {what}; here they are swapped. "
            f"Received: {run} {other}"
        )


def details_of(run: Path) -> dict[str, Any]:
    """The details of a run's `metrics.json`; nothing for a bundle that no command has written.

    Args:
        run: The folder of the run.
    """
    try:
        found = json.loads((run / "metrics.json").read_text("utf-8", "surrogateescape"))
    except (FileNotFoundError, ValueError):
        return {}
    details: dict[str, Any] = found.get("details", {}) if isinstance(found, dict) else {}
    return details


def group_of(run: Path) -> str | None:
    """The --group that a run was trained with: rows with the same value are one case.

    Args:
        run: The folder of the run.
    """
    group: str | None = details_of(run).get("settings", {}).get("group")
    return group


def folder_of_training(run: Path) -> str | None:
    """The folder of the pictures that a run was trained on, as it was given; None if not known.

    Args:
        run: The folder of the run.
    """
    settings = details_of(run).get("settings", {})
    if "table" not in settings:
        return None
    return option_values.table_folder(settings["table"], settings.get("directory"))


def folder_in_words(folder: str, run: Path) -> str:
    """What errors call the folder of pictures, with that of the run's training if it is another.

    Args:
        folder: The folder.
        run: The folder of the run.
    """
    own = folder_of_training(run)
    return folder if own in (None, folder) else f"{folder} (in training: --directory {own})"
