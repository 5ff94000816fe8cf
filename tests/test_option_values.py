"""What options may name: folders that are there, and results that do not take the place of what is
read.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from multimodal_gen.cli.app import app
from multimodal_gen.cli.option_values import folder_of_pictures, run_folder


def error_of(*arguments: object) -> str:
    """The one line that a refused command writes."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "shop.csv").write_text("image,label\n" + "a.png,cat\nb.png,dog\n" * 5)
    return tmp_path / "shop.csv"


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("train", ()),
        ("audit", ()),
        ("cache", ("--cache", "cache")),
        ("preview", ("--out", "preview.png")),
        ("predict", ("--out", "new.csv")),
        ("evaluate", ()),
        ("explain", ("--out", "why.html")),
    ],
)
def test_a_folder_of_pictures_that_is_missing_is_named_by_its_option(
    table: Path, command: str, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    first = (
        ("run", table)
        if command in ("predict", "evaluate", "explain")
        else (table, "--image", "image")
    )
    error = error_of(command, *first, *more, "--directory", "nowhere")
    assert error == "Error: There is no such folder. Received: --directory nowhere\n"
    assert [path.name for path in table.parent.iterdir()] == ["shop.csv"]


def test_a_file_in_the_place_of_the_folder_of_pictures_is_refused(table: Path) -> None:
    with pytest.raises(
        NotADirectoryError,
        match=r"must be a folder, but this is a file. Received: --directory .*csv",
    ):
        folder_of_pictures(str(table))


@pytest.mark.parametrize("folder", [None, ".", "s3://bucket/pictures"])
def test_a_folder_of_pictures_that_is_there_or_elsewhere_is_taken(folder: str | None) -> None:
    assert folder_of_pictures(folder) == folder


def test_a_table_in_the_folder_of_its_run_is_refused_and_kept(table: Path) -> None:
    runs, name = table.parent.parent, table.parent.name
    before = table.read_bytes()
    for more in ((), ("--overwrite",), ("--resume",)):
        error = error_of("train", table, "--image", "image", "--runs", runs, "--name", name, *more)
        assert "The table is in the folder of the run" in error
        assert f"Received: {table}, run folder {table.parent}" in error
    assert table.read_bytes() == before
    assert [path.name for path in table.parent.iterdir()] == ["shop.csv"]


def test_a_folder_of_pictures_that_would_be_the_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "animals" / "cat").mkdir(parents=True)
    with pytest.raises(
        ValueError,
        match=r"The table is in the folder of the run.*Received: .*animals, run folder",
    ):
        run_folder(str(tmp_path / "animals"), None, tmp_path, overwrite=True, resume=False)


def test_a_run_below_a_table_of_folders_is_refused_as_its_pictures_would_be_a_class(
    tmp_path: Path,
) -> None:
    (tmp_path / "animals" / "cat").mkdir(parents=True)
    with pytest.raises(
        ValueError, match=r"The run is in the table's folder.*another --runs. Received: "
    ):
        run_folder(
            str(tmp_path / "animals"),
            None,
            tmp_path / "animals" / "runs",
            overwrite=False,
            resume=False,
        )


def test_a_compressed_table_names_its_run_without_both_endings(tmp_path: Path) -> None:
    for name in ("good.csv", "good.csv.gz", "good.jsonl.gz"):
        folder = run_folder(str(tmp_path / name), None, tmp_path, overwrite=True, resume=False)
        assert folder == tmp_path / "good"
    folder = run_folder(str(tmp_path / "a.b.csv"), None, tmp_path, overwrite=True, resume=False)
    assert folder == tmp_path / "a.b"


def test_a_table_reached_by_a_link_is_in_the_folder_of_its_run_too(
    table: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="The table is in the folder of the run"):
        run_folder(
            str(tmp_path / "elsewhere" / "shop.csv"),
            tmp_path.name,
            tmp_path.parent,
            overwrite=True,
            resume=False,
        )
