"""The rooms of the package: each imports only what stands above it, in no circle, and its face says
what is in it.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import multimodal_gen as mg

PACKAGE = Path(mg.__file__).parent
NAME = PACKAGE.name
GROUND = ("_version", "errors", "config", "spec")
ROOMS = (
    *("rows", "augment", "loaders", "batch", "sequence"),
    *("models", "inspection", "bundle", "serving", "distributed", "cli"),
)
FACES = ("", "__main__")
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def module_of(path: Path) -> str:
    """A file -> its name below the package, "" for the package's own face."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(source: str, known: set[str]) -> set[str]:
    """The modules of the package that a source imports: anywhere in it, so in functions and for
    type checkers too.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"a relative import in line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            names = [one.value for one in node.args if isinstance(one, ast.Constant)]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == NAME:
                # What is imported is a module, or a name in the one that has it.
                found.add(rest if rest in known else rest.rpartition(".")[0])
    return found


def height_of(module: str) -> int:
    """How far down a module is; the faces, which may import everything, are below all rooms."""
    if module in FACES:
        return len(ROOMS) + 1
    top = module.partition(".")[0]
    assert top in (*GROUND, *ROOMS), f"{module} stands in no room"
    return 0 if top in GROUND else 1 + ROOMS.index(top)


def running_up(module: str, source: str, known: set[str]) -> list[str]:
    return [
        f"{module} -> {one}"
        for one in imported_by(source, known)
        if height_of(one) > height_of(module)
    ]


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; empty if there is none."""
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        for one in sorted(imports[module]):
            if circle := visit(one, [*way, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in sorted(imports) if (circle := visit(module, []))), [])


SOURCES = {module_of(path): path.read_text() for path in PACKAGE.rglob("*.py")}
KNOWN = set(SOURCES)


def test_at_most_ten_folders_and_six_files_stand_at_the_top() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    assert folders == set(ROOMS)
    assert len(list(PACKAGE.glob("*.py"))) <= 6


def test_no_import_runs_up_also_not_in_a_function_or_for_type_checkers() -> None:
    assert [
        arrow for module, source in SOURCES.items() for arrow in running_up(module, source, KNOWN)
    ] == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert (
        circle_in(
            {module: imported_by(source, KNOWN) - {module} for module, source in SOURCES.items()}
        )
        == []
    )


@pytest.mark.parametrize(
    "source",
    [
        "from multimodal_gen.loaders.base import Loader",
        "def later():\n    from multimodal_gen.loaders import base",
        "if TYPE_CHECKING:\n    import multimodal_gen.loaders.base",
        "importlib.import_module('multimodal_gen.loaders.base')",
    ],
)
def test_an_import_that_runs_up_is_seen_wherever_it_hides(source: str) -> None:
    assert running_up("rows.plan", source, KNOWN) == ["rows.plan -> loaders.base"]
    assert running_up("batch.draft", source, KNOWN) == []


def test_a_circle_is_seen_and_named() -> None:
    imports: dict[str, set[str]] = {"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}
    assert circle_in(imports) == ["b", "d", "b"]
    assert circle_in({**imports, "d": {"c"}}) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: module_of(path))
def test_the_face_of_a_folder_says_what_each_of_its_files_is_for(folder: Path) -> None:
    words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    named = set(re.findall(r"`([\w/]+\.py|\w+/)`", words))
    files = {path.name for path in folder.glob("*.py")} - {"__init__.py", "__main__.py"}
    inside = {f"{path.name}/" for path in folder.iterdir() if (path / "__init__.py").exists()}
    assert files | inside <= named, (
        f"not named in {folder.name}/__init__.py: {sorted((files | inside) - named)}"
    )
    anywhere = {path.name for path in PACKAGE.rglob("*")}
    gone = {name for name in named if Path(name).name not in anywhere}
    assert not gone, f"named in {folder.name}/__init__.py, and not there: {sorted(gone)}"


def test_the_public_paths_of_modules_stay() -> None:
    kept = {
        "loaders.base": ("ArraySpec", "Loader"),
        "loaders.image": ("ImageLoader",),
        "loaders.text": ("TextLoader",),
        "bundle": ("Bundle", "load_bundle"),
        "sequence": ("MultimodalSequence",),
    }
    for module, names in kept.items():
        for name in names:
            assert getattr(importlib.import_module(f"{NAME}.{module}"), name) is getattr(
                mg, name
            ), f"{module}.{name}"
    assert callable(importlib.import_module(f"{NAME}.cli").main)
    with pytest.raises(AttributeError, match="no attribute 'MultimodalSequenc'"):
        _ = importlib.import_module(f"{NAME}.sequence").MultimodalSequenc


def test_rooms_that_need_no_keras_do_not_import_it() -> None:
    light = (
        "batch",
        "batch.assembly",
        "sequence",
        "sequence.state",
        "inspection",
        "inspection.audit",
        "bundle",
        "bundle.predicting",
        "serving.served",
        "cli",
        "cli.app",
    )
    imports = "; ".join(f"import {NAME}.{one}" for one in light)
    code = (
        f"import sys; {imports}; sys.exit(str([one for one in ('keras', 'tensorflow', 'jax') if "
        "one in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
