"""How option values are read, which files and folders they may name, and how scores look."""

from __future__ import annotations

import re
from pathlib import Path

from multimodal_gen.rows.formats.compressed import is_compressed_text

# Names of the tables that training writes into the folder of a run.
_RESULTS = ("predictions", "history", "failures")
# Words of scores that are not written as in code.
_SPELLED = {"r2": "R²", "f1": "F1"}
# Powers of ten, as `as_text` prints sizes.
_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def words(value: str | None) -> tuple[str, ...] | None:
    """The words of --split-names."""
    return None if value is None else tuple(word.strip() for word in value.split(","))


def size_in_pixels(value: str | None) -> tuple[int, int]:
    """The height and width of --image-size."""
    if value is None:
        return 64, 64
    height, _, width = value.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ValueError(
            f"--image-size must be HEIGHTxWIDTH, as in 64x64. Received: --image-size {value}"
        )
    return int(height), int(width)


def shares(value: str) -> tuple[float, ...]:
    """The numbers of --fractions."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise ValueError(
            "--fractions must be numbers with commas, as in 0.7,0.1,0.2. Received: --fractions "
            f"{value}"
        ) from None


def size_in_bytes(value: str | None, option: str = "--cache-limit") -> int | None:
    """The bytes of --cache-limit, or of another option."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(kb|mb|gb|tb)", value.strip().lower())
    if found is None or not float(found[1]):
        raise ValueError(
            f"{option} must be a size, as in 500MB or 20GB. Received: {option} {value}"
        )
    return int(float(found[1]) * _UNITS[found[2]])


def folder_of_pictures(value: str | None) -> str | None:
    """The folder of --directory, which must exist; a URL is checked when it is read."""
    if value is None or "://" in value or Path(value).is_dir():
        return value
    if Path(value).exists():
        raise NotADirectoryError(
            f"--directory must be a folder, but this is a file. Received: --directory {value}"
        )
    raise FileNotFoundError(f"There is no such folder. Received: --directory {value}")


def table_folder(table: str, directory: str | None) -> str:
    """The folder of relative picture paths: --directory, or by default that of the table."""
    source = Path(table)
    return directory or str(source if source.is_dir() else source.parent)


def as_score(value: float, decimals: int = 3) -> str:
    """A score as tables show it: with this many decimals, or "none" if there is nothing to score; a
    count as an integer. What rounds to 0 has no sign.
    """
    if isinstance(value, int):
        return f"{value:,}"
    # NaN is not equal to itself.
    return "none" if value != value else f"{value:z,.{decimals}f}"


def check_coverage_and_costs(coverage: float | None, costs: Path | None) -> None:
    """Check what `predict` adds, before the model is loaded.

    Raises:
        FileNotFoundError: If there is no such file of costs.
        ValueError: If the coverage is not a share for which a run keeps limits.
    """
    if coverage is not None and not 0.5 <= coverage <= 0.999:
        raise ValueError(
            "--coverage must be a share from 0.5 to 0.999, such as 0.9. Received: --coverage "
            f"{coverage:g}"
        )
    if costs is not None and not costs.is_file():
        raise FileNotFoundError(f"There is no such file. Received: --costs {costs}")


def check_not_read(option: str, out: Path, table: str, run: Path | None = None) -> None:
    """Reject an output file that is also an input, however it is spelled or linked.

    Args:
        option: The option that names it.
        out: The output file.
        table: The file or folder of the table.
        run: The folder of a run, whose tables are its results; or None.
    """
    if not out.exists():
        return
    source = Path(table)
    if source.exists() and out.samefile(source):
        raise ValueError(
            f"{option} is the table itself; choose another name. Received: {option} {out}"
        )
    # If the folder is read as a table again, these files would become part of it.
    told = out.suffix == ".png" or out.stem == "metadata"
    if told and source.is_dir() and source.resolve() in out.resolve().parents:
        raise ValueError(
            f"{option} is a file in the table's folder; choose another name. Received: {option} "
            f"{out}"
        )
    if (
        run is not None
        and run.is_dir()
        and out.resolve().parent == run.resolve()
        and out.stem in _RESULTS
    ):
        raise ValueError(
            f"{option} is a result of the run; choose another name. Received: {option} {out}"
        )


def score_title(name: str) -> str:
    """The name of a score in words; for several numbers, after the unchanged name of its column."""
    column, _, score = name.rpartition(".")
    words = " ".join(_SPELLED.get(word, word) for word in score.split("_"))
    return f"{column}: {words}" if column else words


def stem_of(table: str) -> str:
    """What a table is called, without its ending: "items" for items.csv and items.csv.gz."""
    # Resolved, because the stem of "." is empty.
    path = Path(table).resolve()
    return Path(path.stem).stem if is_compressed_text(path) else path.stem


def run_folder(
    table: str,
    name: str | None,
    runs: Path,
    *,
    overwrite: bool,
    resume: bool,
    state: str = "state",
) -> Path:
    """The folder of a new or resumed run, from --name, --runs, --overwrite and --resume; `state` is
    the folder in it that a run to resume has.
    """
    # Of a pattern such as "shards-*.tar", what can be the name of a folder.
    name = re.sub(r"[^\w.-]+", "-", stem_of(table)).strip("-") if name is None else name
    # A path would put the run outside --runs.
    if Path(name).name != name:
        raise ValueError(
            f"--name must be the name of a folder, without slashes. Received: --name {name}"
        )
    folder = runs / name
    if resume and overwrite:
        raise ValueError(
            "Use either --resume or --overwrite, not both. Received: --resume --overwrite"
        )
    _check_apart(Path(table), folder)
    going_on = resume and (folder / state).is_dir()
    if (
        folder.exists()
        and not overwrite
        and not going_on
        # An empty folder holds no run.
        and (not folder.is_dir() or any(folder.iterdir()))
    ):
        lacks = ", and has no state to resume" if resume else ""
        # Only a search can go on whatever the first command was.
        going = ", go on with it with --resume," if state != "state" and not resume else ","
        raise FileExistsError(
            f"{folder} already exists{lacks}; choose another --name{going} or replace it with "
            "--overwrite."
        )
    return folder


def _check_apart(table: Path, folder: Path) -> None:
    # Results must not replace what is read, nor be read as pictures of a class next time.
    source, target = table.resolve(), folder.resolve()
    if table.exists() and target in (source, *source.parents):
        raise ValueError(
            "The table is in the folder of the run, which is for results: move it, or choose "
            f"another --name. Received: {table}, run folder {folder}"
        )
    if table.is_dir() and source in target.parents:
        raise ValueError(
            "The run is in the table's folder, where its pictures would be read as those of a "
            f"class: choose another --runs. Received: {table}, run folder {folder}"
        )
