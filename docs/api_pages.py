"""What `make docs` adds to the pages in this folder: the API, a page per room, and pages that are
elsewhere.

mkdocs calls the functions whose names begin with `on_`. The public names are those of
`multimodal_gen/__init__.pyi` and of `__all__` in the modules that are public themselves, so
that no name is listed here again; the build ends with an error if one of them is on no page.
"""

from __future__ import annotations

import ast
import posixpath
import re
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

# Page -> its title and what is on it. A name is on the page of the room that it lives in.
PAGES = {
    "rows": ("Rows", "Tables, how they are split, and in which order their rows are drawn."),
    "augment": ("Augment", "Random operations on pictures, texts, samples and batches."),
    "loaders": ("Loaders and targets", "A cell of a table becomes an array of a fixed shape."),
    "sequence": (
        "Sequence",
        "What Keras is given: batches, epoch after epoch, and how to resume.",
    ),
    "models": (
        "Models",
        "Branches that encode one input each, fusions that join them, and a recipe for training.",
    ),
    "bundle": ("Bundle", "A trained model together with its loaders and targets."),
    "serving": ("Serving", "Predict with an export, without Keras."),
    "distributed": ("Distributed", "Train one model in several processes."),
    "inspection": ("Inspection", "Examine data, batches, predictions and the bottleneck."),
    "errors": ("Errors", "The exceptions and warnings."),
}
_ROOM_OF = {"spec": "loaders", "batch": "sequence"}
_MODULES = ("augment", "loaders", "models", "serving", "distributed")

# What lies outside this folder -> where it is in the pages. Links to it are turned there.
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "sample_data/README.md": "sample_data.md",
    "benchmarks/README.md": "benchmarks.md",
    "notebooks/01_quickstart.ipynb": "notebooks/01_quickstart.ipynb",
    "notebooks/02_write_a_loader.ipynb": "notebooks/02_write_a_loader.ipynb",
}
_LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#])")


def public_names() -> dict[str, dict[str, str]]:
    """Page -> its public names, as in "read_table" and "augment.RandomFlip" -> the module that each
    is made in.
    """
    pages: dict[str, dict[str, str]] = {page: {} for page in PAGES}
    short = {name: home for home, name in _imported(ROOT / "multimodal_gen" / "__init__.pyi")}
    for name, home in short.items():
        if home != "multimodal_gen" and name != "__version__":
            room = home.split(".")[1]
            pages[_ROOM_OF.get(room, room)][name] = home
    for module in _MODULES:
        path = ROOT / "multimodal_gen" / module / "__init__.py"
        homes = {name: home for home, name in _imported(path)}
        # Most loaders are public under a shorter name too, which is the one to use.
        pages[module] |= {
            f"{module}.{name}": homes[name] for name in _all_of(path) if name not in short
        }
    return {
        page: dict(sorted(names.items(), key=lambda one: one[0].lower()))
        for page, names in pages.items()
    }


def page_of(page: str) -> str:
    """The Markdown of one page of the API."""
    title, about = PAGES[page]
    parts = [f"# {title}", about, "Names are written as after `import multimodal_gen as mg`."]
    names = public_names()
    public = {name.rpartition(".")[2] for one in names.values() for name in one}
    for name, home in names[page].items():
        last = name.rpartition(".")[2]
        # What a public base has is described there.
        inherited = not public.issuperset(_bases_of(home, last))
        parts.append(
            f"::: multimodal_gen.{name}\n    options:\n      heading: mg.{name}\n      toc_label: "
            f"{last}\n      inherited_members: {str(inherited).lower()}"
        )
    return "\n\n".join(parts) + "\n"


def turned(text: str, folder: str) -> str:
    """Markdown whose links lead to where things are in the pages.

    Args:
        text: The Markdown.
        folder: The folder it lies in, from the root of the repository.
    """

    def turn(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[1]))
        return ELSEWHERE.get(
            path, path.removeprefix("docs/") if path.startswith("docs/") else link[1]
        )

    return _LINK.sub(turn, text)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not files of this folder."""
    from mkdocs.structure.files import File

    for path, place in ELSEWHERE.items():
        if path.endswith(".md"):
            text = turned((ROOT / path).read_text("utf-8"), posixpath.dirname(path))
            files.append(File.generated(config, place, content=text))
        else:
            files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    for page in PAGES:
        files.append(File.generated(config, f"api/{page}.md", content=page_of(page)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn the links of pages of this folder that lead out of it."""
    return markdown if page.file.generated_by else turned(markdown, "docs")


def on_post_build(config: Any) -> None:
    """Make sure that every public name can be found in what was built.

    Raises:
        PluginError: If one cannot.
    """
    from mkdocs.exceptions import PluginError

    inventory = (Path(config["site_dir"]) / "objects.inv").read_bytes().split(b"\n", 4)[-1]
    found = {
        line.split(" ", 1)[0] for line in zlib.decompress(inventory).decode("utf-8").splitlines()
    }
    missing = [
        name
        for names in public_names().values()
        for name in names
        if f"multimodal_gen.{name}" not in found
    ]
    if missing:
        raise PluginError(f"These public names are on no page: {missing}")


def _imported(path: Path) -> list[tuple[str, str]]:
    # Also those for type checkers, where a folder imports its names on first use.
    statements = [
        one
        for one in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(one, ast.ImportFrom)
    ]
    return [(str(one.module), name.asname or name.name) for one in statements for name in one.names]


def _bases_of(home: str, name: str) -> list[str]:
    path = ROOT / f"{home.replace('.', '/')}.py"
    path = path if path.exists() else path.with_suffix("") / "__init__.py"
    for one in ast.parse(path.read_text("utf-8")).body:
        if isinstance(one, ast.ClassDef) and one.name == name:
            return [ast.unparse(base) for base in one.bases]
    return []


def _all_of(path: Path) -> list[str]:
    for one in ast.parse(path.read_text("utf-8")).body:
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "__all__":
            return list(ast.literal_eval(one.value))
    raise ValueError(f"There is no `__all__`. Received: path={str(path)!r}")
