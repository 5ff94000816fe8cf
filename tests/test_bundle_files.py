"""The folder of a bundle: made when it is saved, and removed again where saving fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from multimodal_gen.bundle.files import new_folder


def fail_in(folder: Path, error: type[BaseException], file: Path | None = None) -> None:
    with new_folder(folder):
        assert folder.is_dir()
        if file is not None:
            file.write_text("mine")
        raise error("no")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_made_in_vain_is_removed_with_those_above_it(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        fail_in(tmp_path / "runs" / "one", error)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_stays(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        fail_in(tmp_path / "runs" / "one", ValueError, tmp_path / "runs" / "mine.txt")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine.txt"]
