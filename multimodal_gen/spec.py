"""The arrays that a model is given: shape, dtype and meaning of each, and masks of inputs that may
be missing.

A missing cell of an input whose loader has `missing="blank"` is an array of zeros, and its mask is
0. The mask is a separate input of the model, after all others, so that the model can tell a black
picture from a missing one. Nothing here knows about loaders, so any code that handles arrays can
use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# The first ids of kind "category": of a missing cell, of a value that no training row had, and of
# values that only few had. The categories come after them.
MISSING, UNSEEN, RARE = 0, 1, 2


@dataclass(frozen=True)
class ArraySpec:
    """Shape, dtype and meaning of the arrays that a loader returns, without the batch axis.

    Args:
        shape: Lengths of the axes, for example `(64, 64, 3)`; `()` for a single number.
        dtype: A NumPy dtype name, for example `"uint8"`.
        kind: What the array means; selects the default branch of a model: `"image"` (height, width,
            channels), `"tokens"` (length,) ids with 0 as padding, `"ngrams"` (length, 2) ids and
            weights, `"category"` (1,) an id, `"vector"` numbers, `"features"` (size,) or (length,
            size) numbers of an encoder, `"sound"` (frames, bands), `"clip"` (frames, height, width,
            channels), `"many"` several arrays of one spec along the first axis. Any other word is
            allowed; such an input has no default branch.
        vocabulary_size: For kinds made of ids: how many different ids there are, including 0.
        item: For kind "many": the spec of each of its arrays; see `many_of`.
    """

    shape: tuple[int, ...]
    dtype: str
    kind: str = "vector"
    vocabulary_size: int | None = None
    item: ArraySpec | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.shape)
        if not all(isinstance(axis, int | np.integer) and axis > 0 for axis in shape):
            raise ValueError(
                f"Every axis of `shape` must be a positive integer. Received: shape={self.shape!r}"
            )
        # Python integers, so that a spec can be written to JSON; the dataclass is frozen.
        object.__setattr__(self, "shape", tuple(int(axis) for axis in shape))
        try:
            # One name per type ("float" is "float64"), so that specs can be compared.
            object.__setattr__(self, "dtype", np.dtype(self.dtype).name)
        except TypeError:
            raise ValueError(
                f"`dtype` must be the name of a NumPy dtype. Received: dtype={self.dtype!r}"
            ) from None
        own = self.item and (self.item.shape, self.item.dtype)
        if (self.kind == "many") != (own == (shape[1:], self.dtype)):
            raise ValueError(
                'Kind "many", and no other, has an `item` of the same dtype and of the shape after '
                f"the first axis. Received: {self}, item={self.item}"
            )

    def __str__(self) -> str:
        return f"{self.kind} {self.shape} {self.dtype}"

    @property
    def each(self) -> ArraySpec:
        """The spec of an item; of any kind but "many", this spec."""
        return self.item or self

    @property
    def nbytes(self) -> int:
        """Bytes of one array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def many_of(item: ArraySpec, count: int) -> ArraySpec:
    """The spec of `count` arrays of a spec, one after the other along a new first axis."""
    return ArraySpec((count, *item.shape), item.dtype, "many", item=item)


def spec_problem(array: Any, spec: ArraySpec) -> str | None:
    """What is wrong with an array that should be of `spec`, or None if nothing is."""
    if not isinstance(array, np.ndarray | np.generic):
        return f"Expected a NumPy array. Received: {type(array).__name__}"
    if array.shape != spec.shape or array.dtype != spec.dtype:
        return f"Expected: {spec.shape} {spec.dtype}. Received: {array.shape} {array.dtype}"
    return None


# float32, because models multiply masks (`models/fusion.py`).
MASK = ArraySpec((1,), "float32", "presence")


def mask_of(spec: ArraySpec) -> ArraySpec:
    """The spec of the mask of an input: one number, or one for each item."""
    return ArraySpec(spec.shape[:1], "float32", "presence") if spec.kind == "many" else MASK


def mask_name(name: str) -> str:
    """The name of the mask of an input, whether it has one or not."""
    return f"{name}_present"


def mask_names(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Name of an input -> name of its mask, for the inputs that have one, in their order.

    Args:
        inputs: Input name -> loader, or `ArraySpec`.

    Raises:
        ValueError: If a mask has the name of another input.
    """
    names = {
        name: mask_name(name)
        for name, loader in inputs.items()
        # An `ArraySpec` does not say whether cells may be missing, so only its items have a mask.
        if getattr(loader, "missing", None) == "blank" or _spec(loader).kind == "many"
    }
    # Keras would reject two inputs of one name without saying where the second comes from.
    taken = [mask for mask in names.values() if mask in inputs]
    if taken:
        raise ValueError(
            'An input with missing="blank" or several items has a mask with this name; rename the '
            f"other. Received: {taken}"
        )
    return names


def with_masks(inputs: Mapping[str, Any]) -> dict[str, ArraySpec]:
    """Name -> spec of all that a model gets for these inputs: the inputs, then their masks."""
    specs = {name: _spec(one) for name, one in inputs.items()}
    return specs | {mask: mask_of(specs[name]) for name, mask in mask_names(inputs).items()}


def _spec(one: Any) -> ArraySpec:
    # Of a loader, or of an input that is given as its spec.
    spec: ArraySpec = one if isinstance(one, ArraySpec) else one.spec
    return spec


def by_name(values: Any) -> dict[Any, Any]:
    """Targets, arrays or outputs by name, given a single one, a mapping of several, or None.

    Returns:
        Name -> value; a single value, which has no name, is under None. Empty for None.
    """
    if values is None:
        return {}
    return dict(values) if isinstance(values, Mapping) else {None: values}


def bare(values: Mapping[Any, Any]) -> Any:
    """The inverse of `by_name`: a single value without a name by itself, several as a dict."""
    return values.get(None, dict(values) or None)


def map_by_name(function: Callable[[Any], Any], values: Any) -> Any:
    """Apply a function to a single value, or to each of several, and keep the form."""
    return bare({name: function(value) for name, value in by_name(values).items()})
