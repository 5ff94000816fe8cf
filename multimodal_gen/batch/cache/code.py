"""What a class does, as text, from its compiled methods: a class of a notebook has no source file.

It does not depend on the place of the code, so a cell that is run again unchanged gives the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any

import numpy as np

_FUNCTIONS = (FunctionType, classmethod, staticmethod, property)


def code_of(members: Mapping[str, Any]) -> str:
    """Return what the members of a class are: the code of functions, and the values of others.

    Args:
        members: Name -> member, as `vars(cls)` gives them.
    """
    return "\n".join(
        f"{name}: {_member(one, set())}"
        for name, one in sorted(members.items())
        # Other names of this form are set by Python, some of them late, as `__slotnames__` is.
        if isinstance(one, _FUNCTIONS) or not name.startswith(("__", "_abc_"))
    )


def _member(member: Any, seen: set[int]) -> str:
    # `seen` ends functions that refer to themselves.
    if id(member) in seen:
        return "again"
    seen.add(id(member))
    if isinstance(member, FunctionType):
        cells = [_content(cell) for cell in member.__closure__ or ()]
        parts = [member.__defaults__ or (), member.__kwdefaults__ or {}, cells]
        return " ".join([_code(member.__code__), *(_member(part, seen) for part in parts)])
    if isinstance(member, classmethod | staticmethod):
        return _member(member.__func__, seen)
    if isinstance(member, property):
        return " ".join(_member(one, seen) for one in (member.fget, member.fset, member.fdel))
    if hasattr(member, "__wrapped__"):
        return _member(member.__wrapped__, seen)
    # Values may hold functions, as a list of steps does.
    if isinstance(member, list | tuple):
        return f"[{', '.join(_member(one, seen) for one in member)}]"
    if isinstance(member, Mapping):
        items = (f"{key!r}: {_member(one, seen)}" for key, one in member.items())
        return f"{{{', '.join(items)}}}"
    return _value(member)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        # A function that is not defined yet.
        return None


def _code(code: CodeType) -> str:
    constants = [_code(one) if isinstance(one, CodeType) else _value(one) for one in code.co_consts]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return f"{code.co_code.hex()} {constants} {names}"


def _value(value: Any) -> str:
    if isinstance(value, frozenset | set):
        # Their order differs from process to process.
        return f"{{{', '.join(sorted(map(_value, value)))}}}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_value, value))})"
    if isinstance(value, str | bytes | int | float | complex | bool | None | type(...)):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, np.ndarray):
        return f"array {value.dtype} {value.shape} {value.tobytes().hex()}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    # What a value of another class is cannot be told from its `repr`, which may hold an address.
    return f"{type(value).__module__}.{type(value).__qualname__}"
