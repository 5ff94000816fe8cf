"""The pages of the API: every public name is on one of them, and nothing that does not exist."""

from __future__ import annotations

import importlib.util
import operator
import re
import zlib
from pathlib import Path
from types import ModuleType

import pytest

import multimodal_gen as mg

ROOT = Path(__file__).parent.parent


def helper(name: str) -> ModuleType:
    """One of the modules that lie beside the pages."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


api_pages = helper("api_pages")


def named_on_pages() -> list[str]:
    text = "".join(map(api_pages.page_of, api_pages.PAGES))
    return re.findall(r"^::: multimodal_gen\.(\S+)$", text, flags=re.MULTILINE)


def test_every_public_name_is_on_one_page_and_every_name_on_a_page_exists() -> None:
    named = named_on_pages()
    assert len(named) == len(set(named))
    values = [operator.attrgetter(name)(mg) for name in named]
    modules = (mg, mg.augment, mg.loaders, mg.models, mg.serving, mg.distributed)
    for module in modules:
        for name in module.__all__:
            value = getattr(module, name)
            assert value in modules or any(one is value for one in values), name
    assert len({id(value) for value in values}) == len(named)


def test_all_pages_of_the_api_and_of_the_folder_are_in_the_navigation() -> None:
    found = re.findall(
        r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    )
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    elsewhere = [place for place in api_pages.ELSEWHERE.values() if place.endswith(".md")]
    assert sorted(found) == sorted(
        [*pages, *elsewhere, *(f"api/{page}.md" for page in api_pages.PAGES)]
    )


def test_what_a_public_base_class_has_is_not_said_again() -> None:
    pages = {page: api_pages.page_of(page) for page in api_pages.PAGES}
    for page, name, inherited in (
        ("augment", "mg.augment.Augmentation", "true"),
        ("augment", "mg.augment.RandomFlip", "false"),
        ("sequence", "mg.MultimodalSequence", "true"),
        ("loaders", "mg.ImageLoader", "false"),
    ):
        entry = re.search(
            rf"heading: {re.escape(name)}\n.*\n +inherited_members: (\w+)", pages[page]
        )
        assert entry is not None
        assert entry[1] == inherited, name


@pytest.mark.parametrize(
    ("folder", "text", "turned"),
    [
        ("", "[models](docs/models.md#measured)", "[models](models.md#measured)"),
        (
            "",
            "[a notebook](notebooks/01_quickstart.ipynb)",
            "[a notebook](notebooks/01_quickstart.ipynb)",
        ),
        ("docs", "[measured](../benchmarks/README.md)", "[measured](benchmarks.md)"),
        (
            "docs",
            "[data](data.md#cache), ![](images/mixup.jpg)",
            "[data](data.md#cache), ![](images/mixup.jpg)",
        ),
        (
            "docs",
            "[here](#cache) and [there](https://keras.io)",
            "[here](#cache) and [there](https://keras.io)",
        ),
        ("sample_data", "[start](../README.md)", "[start](index.md)"),
    ],
)
def test_links_lead_to_where_things_are_in_the_pages(folder: str, text: str, turned: str) -> None:
    assert api_pages.turned(text, folder) == turned


def test_a_public_name_that_is_missing_from_the_built_pages_is_an_error(tmp_path: Path) -> None:
    errors = pytest.importorskip("mkdocs.exceptions")
    lines = [f"multimodal_gen.{name} py:class 1 api/x.html#$ -" for name in named_on_pages()]
    for missing in ("ImageLoader", "augment.RandomHue"):
        kept = [line for line in lines if not line.startswith(f"multimodal_gen.{missing} ")]
        inventory = b"#\n#\n#\n#\n" + zlib.compress("\n".join(kept).encode())
        (tmp_path / "objects.inv").write_bytes(inventory)
        with pytest.raises(errors.PluginError, match=rf"on no page: \['{re.escape(missing)}'\]"):
            api_pages.on_post_build({"site_dir": str(tmp_path)})
    (tmp_path / "objects.inv").write_bytes(
        b"#\n#\n#\n#\n" + zlib.compress("\n".join(lines).encode())
    )
    api_pages.on_post_build({"site_dir": str(tmp_path)})


def test_an_example_in_a_docstring_becomes_a_block_of_code_and_the_rest_stays() -> None:
    pytest.importorskip("griffe")
    with_fences = helper("docstring_examples").with_fences
    example = "Example:\n    x = 1\n    if x:\n        y = 2\n\n    z = 3\n\n"
    block = "**Example**\n\n```python\nx = 1\nif x:\n    y = 2\n\nz = 3\n```\n\n"
    around = "Does.\n\nArgs:\n    a: One.\n\n{}Raises:\n    E: If.\n"
    assert with_fences(around.format(example)) == around.format(block)
    assert (
        with_fences("Ends.\n\nExample:\n    go()")
        == "Ends.\n\n**Example**\n\n```python\ngo()\n```\n\n"
    )
    assert (
        with_fences("An example: this.\n    Example: no.") == "An example: this.\n    Example: no."
    )
