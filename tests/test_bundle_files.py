"""The folder of a bundle: made when it is saved, and removed again where saving fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from multimodal_gen.bundle_files import new_folder


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_made_in_vain_is_removed_with_those_above_it(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), new_folder(tmp_path / "runs" / "one"):
        assert (tmp_path / "runs" / "one").is_dir()
        raise error("no")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_or_holds_something_stays(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), new_folder(tmp_path / "runs" / "one"):
        (tmp_path / "runs" / "mine.txt").write_text("mine")
        raise ValueError("no")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine.txt"]
