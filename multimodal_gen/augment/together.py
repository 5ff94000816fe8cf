"""Draws that several pictures of a row share: a picture and its mask are mirrored alike.

Each operation in a list has its own random stream, named by its class and by how many of that class
come before it. So a picture and its mask are flipped by one decision, even if only the picture is
also made brighter. What moves pixels is drawn for the size of one of the pictures, and applied to
the others in proportion.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_gen.augment.base import (
    Augmentation,
    GeometricAugmentation,
    Operation,
    Policy,
    apply_drawn,
)
from multimodal_gen.augment.warp import Fill, warp

# With a fixed sequence, NumPy does not ask the system for randomness that is not used.
_ANY = np.random.SeedSequence(0)


@dataclass(frozen=True)
class Variation:
    """How a loader varies its pictures.

    Args:
        operations: The operations, in their order.
        frame: `(height, width)` in pixels for which movements are drawn.
        stream: The column whose random stream is drawn from.
        moves_only: Whether only the operations that move pixels are used.
        nearest: Whether pixel values are copied unchanged, whatever interpolation an operation asks
            for.
    """

    operations: tuple[Augmentation | Operation, ...]
    frame: tuple[int, int]
    stream: Any
    moves_only: bool = False
    nearest: bool = False

    def __call__(
        self,
        image: np.ndarray,
        rng: np.random.Generator,
        warp: Callable[[np.ndarray, np.ndarray, Fill], np.ndarray] = warp,
    ) -> np.ndarray:
        """Vary a picture, `(height, width, channels) uint8`, like `augment_image`, each operation
        with its own draws.

        The result has the same shape and dtype.
        """
        drawn = self._drawn(rng)
        if self.moves_only:
            drawn = (
                (one, stream) for one, stream in drawn if isinstance(one, GeometricAugmentation)
            )
        return apply_drawn(image, drawn, warp, self.frame, self.nearest)

    def _drawn(
        self, rng: np.random.Generator
    ) -> Iterator[tuple[Augmentation | Operation, np.random.Generator]]:
        bits = np.random.Philox(_ANY)
        state, stream = bits.state, np.random.Generator(bits)
        # Two words of the row's stream are the key of all its operations.
        state["state"]["key"][:] = rng.bit_generator.random_raw(2)
        seen: Counter[str] = Counter()
        for operation in self.operations:
            name = getattr(operation, "__qualname__", type(operation).__qualname__)
            # The two low words count the draws, so the streams of two operations never overlap.
            # Python's `hash` of a name differs from process to process; a checksum does not.
            state["state"]["counter"][:] = (0, 0, zlib.crc32(name.encode()), seen[name])
            seen[name] += 1
            bits.state = state
            # Policies are opened here, so that their movements are joined with those beside them.
            for one in operation.draw(stream) if isinstance(operation, Policy) else (operation,):
                yield one, stream

    def joined(self, leader: Variation) -> Variation:
        """The same operations with the draws of another picture."""
        return dataclasses.replace(self, frame=leader.frame, stream=leader.stream)


def following(own: Variation, leader: Variation) -> Variation:
    """The variation of a picture that is varied with another one.

    Args:
        own: The variation of its own loader; without operations it is moved like the other picture.
        leader: The variation of the other picture.

    Raises:
        ValueError: If the two are not moved alike, or this cannot be determined.
    """
    if not own.operations:
        for one in leader.operations:
            if not _is_known(one):
                raise ValueError(
                    "Nothing can determine whether your own operation moves pixels: list in "
                    "`augment=[...]` the operations for this loader's pictures, or derive it from "
                    f"`GeometricAugmentation`. Received: vary_with, a loader with {one!r}"
                )
        # Colours stay: a mask must not become brighter.
        own = dataclasses.replace(own, operations=tuple(moves(leader.operations)), moves_only=True)
    elif not moved_alike(own, leader):
        raise ValueError(
            "Pictures that vary together must be moved by the same operations, in the same order; "
            "only `fill_mode`, `fill_value` and `interpolation` may differ. Leave out `augment` to "
            f"use those of the other loader. Received: augment={list(own.operations)!r}, vary_with "
            f"with {list(leader.operations)!r}"
        )
    return own.joined(leader)


def moved_alike(one: Variation, other: Variation) -> bool:
    """Whether two lists have the same movements, apart from borders and interpolation."""
    return [_settings(move) for move in moves(one.operations)] == [
        _settings(move) for move in moves(other.operations)
    ]


def moves(operations: Iterable[Any]) -> Sequence[Any]:
    """The operations of a list that move pixels, or may do so."""
    return [one for one in operations if isinstance(one, GeometricAugmentation | Policy)]


def _is_known(operation: Any) -> bool:
    own = type(operation).__module__.partition(".")[0] == __name__.partition(".")[0]
    return isinstance(operation, GeometricAugmentation | Policy) or (
        isinstance(operation, Augmentation) and own
    )


def _settings(operation: Any) -> Any:
    config = {**_defaults(operation), **operation.get_config()}
    for name in ("fill_mode", "fill_value", "interpolation"):
        config.pop(name, None)
    return type(operation), {name: _plain(value) for name, value in config.items()}


def _defaults(operation: Any) -> dict[str, Any]:
    # An argument that was left out equals one that was given its default.
    fields = dataclasses.fields(operation) if dataclasses.is_dataclass(operation) else ()
    return {field.name: getattr(operation, field.name) for field in fields}


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
