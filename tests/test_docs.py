"""The examples in README.md and docs/ run as they stand there, each page in a folder beside a copy
of sample_data.
"""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import keras
import pytest

from multimodal_gen.models.exporting import backends_for

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    if not blocks:
        pytest.skip("the page has no Python examples")
    if page.name == "export.md" and not backends_for("onnx", keras.backend.backend()):
        pytest.skip("no converter to ONNX is installed")
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    # A real module, as classes defined in it are pickled by name.
    module = types.ModuleType(f"examples_of_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"{page.name}, example {number}", "exec"), module.__dict__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / link).exists(), link


def test_the_readme_is_short_and_names_the_two_commands_first() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) < 150
    assert "make train" in text
    assert "make test" in text
