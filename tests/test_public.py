"""The public surface: every name documented and typed, imported only when used, and Keras only by
those who need it.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import multimodal_gen as mg


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PUBLIC = [(mg, name) for name in mg.__all__]
PUBLIC += [
    (module, name)
    for module in (mg.augment, mg.models, mg.loaders, mg.serving, mg.distributed)
    for name in module.__all__
]


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda one: getattr(one, "__name__", one))
def test_every_public_name_can_be_imported_and_has_a_docstring(
    module: ModuleType, name: str
) -> None:
    value = getattr(module, name)
    assert inspect.getdoc(value), name
    if inspect.isclass(value):
        for member, function in inspect.getmembers(value, inspect.isfunction):
            if not member.startswith("_") and function.__module__.startswith("multimodal_gen"):
                assert inspect.getdoc(function), f"{name}.{member}"


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda one: getattr(one, "__name__", one))
def test_every_public_function_has_types(module: ModuleType, name: str) -> None:
    value = getattr(module, name)
    if inspect.ismodule(value):
        return
    functions = [value] if inspect.isfunction(value) else [value.__init__]
    for function in functions:
        if not getattr(function, "__module__", "").startswith("multimodal_gen"):
            continue
        parameters = [
            p for p in inspect.signature(function).parameters.values() if p.name != "self"
        ]
        assert all(p.annotation is not inspect.Parameter.empty for p in parameters), name


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = run(
        "import sys, multimodal_gen; print([m for m in ('keras', 'tensorflow', 'pandas', 'PIL') if "
        "m in sys.modules])"
    )
    assert heavy.strip() == "[]"


def test_table_plan_loaders_and_augmentations_work_without_keras() -> None:
    code = """
import sys
for name in ("keras", "tensorflow", "jax", "torch"):
    sys.modules[name] = None
import numpy as np, pandas as pd, multimodal_gen as mg
from multimodal_gen.rows.plan import Plan
table = pd.DataFrame({"caption": ["a b", "b c"], "label": ["x", "y"]})
mg.split_table(table, (0.5, 0.5))
Plan(2, 1, shuffle=True).batch(0, 0)
image = mg.ImageLoader("image", image_size=(4, 4), augment=[mg.augment.RandomFlip()])
image.augment(image.read(np.zeros((5, 5, 3), "uint8")), np.random.default_rng(0))
mg.TextLoader.from_texts("caption", table["caption"]).read("a")
mg.TextLoader.from_texts("caption", table["caption"], output_mode="ngrams").read("a")
mg.NumericLoader.from_values("n", [1, 2]).read(1)
arrays = mg.table_from_arrays(x=np.zeros((2, 3, 3), "uint8"))["x"]
mg.ArrayLoader.from_values("x", arrays).read(arrays[0])
mg.MultiLabel("tags", ["a", "b"]).read(["a"])
mg.NumericTarget.from_values("n", [1.0, 2.0]).read(1.0)
mg.InputTarget(image).read(np.zeros((5, 5, 3), "uint8"))
mg.check_loader(mg.ClassLabel.from_values("label", table["label"]), ["x"])
captions = mg.TextLoader.from_texts("caption", table["caption"])
mg.audit(table, {"caption": captions}, progress=lambda cells: None)
"""
    run(code)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ImageLoder'"):
        _ = mg.ImageLoder
    assert "ImageLoader" in dir(mg)


def test_a_misspelt_name_is_an_error_to_type_checkers(tmp_path: Path) -> None:
    # The list alone: what stands behind the names would take mypy half a minute.
    (tmp_path / "multimodal_gen").mkdir()
    stub = Path(inspect.getfile(mg)).with_suffix(".pyi")
    (tmp_path / "multimodal_gen" / "__init__.pyi").write_text(stub.read_text())
    (tmp_path / "mine.py").write_text(
        "import multimodal_gen as mg\nmg.ImageLoader\nmg.audit\nmg.ImageLoder\n"
    )
    line = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--config-file=", "mine.py"]
    told = subprocess.run(
        line, cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    ).stdout
    found = re.findall(r"^mine\.py:(\d): error: Module has no attribute \"(\w+)\"", told, re.M)
    assert found == [("4", "ImageLoder")], told


def test_docs_name_only_public_names() -> None:
    top = Path(__file__).parents[1]
    for page in [top / "README.md", *sorted((top / "docs").glob("*.md"))]:
        for name in re.findall(r"\bmg\.(\w+)", page.read_text()):
            assert name in mg.__all__, f"{page.name}: mg.{name}"


def test_the_errors_are_at_most_five_classes() -> None:
    from multimodal_gen import errors

    classes = [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    ]
    assert len(classes) == 5


def test_only_the_layers_that_need_keras_import_it() -> None:
    package = Path(inspect.getfile(mg)).parent
    allowed = {
        "losses.py",
        "class_losses.py",
        "cutting.py",
        "reader.py",
        "blaming.py",
        "bundle.py",
        "converting.py",
        "dual_encoder.py",
        "exporting.py",
        "fitting.py",
        "gradients.py",
        "halves.py",
        "model_config.py",
        "model_file.py",
        "model_parts.py",
        "plain_parts.py",
        "train.py",
    }
    folders = {"models", "resume", "ranks", "guard", "keras_inside", "distributed"}
    folders |= {"folds", "tuning"}
    for path in package.rglob("*.py"):
        source = path.read_text()
        at_import = [
            line for line in source.splitlines() if line.startswith(("import keras", "from keras"))
        ]
        if at_import and not folders & set(path.parts):
            assert path.name in allowed, path
        if path.name != "engines.py":
            # What runs a SavedModel.
            assert "import tensorflow" not in source, path


def test_no_file_is_longer_than_300_lines_and_each_says_what_it_is_for() -> None:
    package = Path(inspect.getfile(mg)).parent
    for path in package.rglob("*.py"):
        lines = path.read_text().splitlines()
        assert len(lines) <= 300, f"{path.name} has {len(lines)} lines"
        assert lines[0].startswith('"""'), path
