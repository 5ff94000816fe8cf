"""The shape of the code: functions that fit on a screen, and closures over few names."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from pathlib import Path

import pytest

import multimodal_gen as mg

PACKAGE = Path(mg.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST, MOST_NAMES = 60, 3


def long_functions(source: str) -> list[str]:
    """The functions of more than 60 lines, their signature and docstring left out."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body and (node.end_lineno or 0) - body[0].lineno + 1 > LONGEST:
                found.append(f"{node.name}, line {node.lineno}")
    return found


def closures(source: str) -> list[str]:
    """The functions that use more than three names of those around them."""

    def inside(table: symtable.SymbolTable, in_function: bool) -> Iterator[str]:
        for child in table.get_children():
            is_function = isinstance(child, symtable.Function)
            # Comprehensions have a scope of their own, and read as a part of their function.
            if is_function and in_function and not child.get_name().endswith(("comp", "genexpr")):
                names = [one.get_name() for one in child.get_symbols() if one.is_free()]
                if len(set(names) - {"__class__"}) > MOST_NAMES:
                    yield f"{child.get_name()}, line {child.get_lineno()}: {sorted(names)}"
            yield from inside(child, in_function or is_function)

    return list(inside(symtable.symtable(source, "a file", "exec"), False))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_fit_on_a_screen_and_take_what_they_need_as_arguments(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert long_functions(source) == []
    assert closures(source) == []


def test_a_long_function_and_a_closure_over_many_names_are_seen() -> None:
    lines = "\n".join(f"    a = {number}" for number in range(LONGEST))
    assert long_functions(f'def short():\n    """Says so."""\n{lines}') == []
    assert long_functions(f"def long(\n    a,\n):\n{lines}\n    return a") == ["long, line 1"]
    outer = "def outer(a, b, c, d):\n    def inner():\n        return {}\n    return inner"
    assert closures(outer.format("a, b, c")) == []
    assert closures(outer.format("a, b, c, d")) == ["inner, line 2: ['a', 'b', 'c', 'd']"]
    assert (
        closures(
            "def outer(a, b, c, d, e):\n    return [a, b, c, d, e] + [x for x in (a, b, c, d)]"
        )
        == []
    )
