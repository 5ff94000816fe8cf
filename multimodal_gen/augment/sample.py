"""Random operations on a whole sample, one row with all its inputs: a flip that respects the
caption, and dropped inputs.

They go into `MultimodalSequence(sample_augment=[...])` and act only in training. An operation may
vary the row's cells before they are read, its arrays afterwards, or both with one decision.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_gen.augment.parameters import check_probability
from multimodal_gen.config import Configurable
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.checks import check_once, check_switches
from multimodal_gen.spec import mask_name


@dataclass(frozen=True)
class Sample:
    """The arrays of one row.

    Args:
        inputs: Input name -> array of the loader's spec, already varied by the loader. If the
            loader has `missing="blank"`, also the mask, `(1,) float32`, under the name
            "{name}_present".
        target: The target's array, a mapping of target name -> array if there are several, or None.
    """

    inputs: dict[str, np.ndarray]
    target: Any = None

    def replace(self, **inputs: np.ndarray) -> Sample:
        """The same sample with other arrays for some inputs. For another target:
        `Sample(sample.inputs, target)`.
        """
        unknown = [name for name in inputs if name not in self.inputs]
        if unknown:
            raise ValueError(f"The inputs are {list(self.inputs)}. Received: {unknown}")
        return Sample({**self.inputs, **inputs}, self.target)


SampleFunction = Callable[[Sample], Sample]


class SampleAugmentation(Configurable):
    """A random operation on all inputs of a row together.

    If the arrays are enough, any callable `(sample, rng) -> sample` can be used instead.
    """

    @abc.abstractmethod
    def prepare(
        self, cells: Mapping[str, Any], rng: np.random.Generator
    ) -> tuple[Mapping[str, Any], SampleFunction | None]:
        """Decide what happens to a row, before its cells are read.

        Args:
            cells: Input name -> cell; must not be changed in place. A cell may be missing or wrong:
                leave it unchanged, because its loader reports it.
            rng: The random stream of this row and operation.

        Returns:
            The cells to read, and a function to apply to the row's arrays afterwards, or None.
        """


@dataclass(frozen=True)
class FlipWithWords(SampleAugmentation):
    """Mirrors the picture left to right without making its caption wrong.

    Use it instead of `RandomFlip("horizontal")` if captions name sides, as in "a cup left of a
    plate". Targets that are pictures, with three axes, are mirrored too; targets on the caption's
    column read the swapped words.

    Args:
        image: Name of the input that is mirrored, of kind "image"; or several, such as two views of
            one object.
        caption: Name of the input whose cells are texts.
        words: Pairs of words to swap when the picture is mirrored; whole words, ignoring case.
        exchange: Whether the words are swapped. If not, a row whose caption contains one of them is
            never mirrored.
        rate: Probability that a row is mirrored, in [0, 1].
    """

    image: str | Sequence[str] = "image"
    caption: str = "caption"
    words: Sequence[Sequence[str]] = (
        ("left", "right"),
        ("leftmost", "rightmost"),
        ("leftward", "rightward"),
    )
    exchange: bool = True
    rate: float = 0.5

    def __post_init__(self) -> None:
        check_probability("rate", self.rate)
        check_switches(exchange=self.exchange)
        check_once(self._images, "image")
        if not self.words or not all(len(pair) == 2 and all(pair) for pair in self.words):
            raise ValueError(f"`words` must be pairs of words. Received: words={self.words!r}")

    def prepare(
        self, cells: Mapping[str, Any], rng: np.random.Generator
    ) -> tuple[Mapping[str, Any], SampleFunction | None]:
        """Decide whether the row is mirrored, and swap the words."""
        for argument, name in (
            *(("image", name) for name in self._images),
            ("caption", self.caption),
        ):
            if name not in cells:
                raise ValueError(
                    f"`{argument}` of FlipWithWords must be the name of an input: {list(cells)}. "
                    f"Received: {argument}={name!r}"
                )
        mirrored, text = bool(rng.random() < self.rate), cells[self.caption]
        if isinstance(text, list | tuple | np.ndarray):
            raise ValueError(
                "FlipWithWords can swap the words of one caption; of a ManyLoader, read one at a "
                f'time (training="turns"). Received: {text!r}'
            )
        # A missing caption names no side, and its loader reports a cell of another type.
        if not mirrored or not isinstance(text, str):
            return cells, self._mirror if mirrored else None
        partners = {
            one.lower(): other for pair in self.words for one, other in (pair, reversed(pair))
        }
        # Whole words: "leftover" names no side.
        pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, partners))})\b", re.IGNORECASE)
        if not self.exchange:
            return cells, None if pattern.search(text) else self._mirror
        swapped = pattern.sub(lambda found: _cased(partners[found[0].lower()], found[0]), text)
        return {**cells, self.caption: swapped}, self._mirror

    @property
    def _images(self) -> tuple[str, ...]:
        return (self.image,) if isinstance(self.image, str) else tuple(self.image)

    def _mirror(self, sample: Sample) -> Sample:
        images = {name: sample.inputs[name] for name in self._images}
        for name, image in images.items():
            # Swapping words around an array that cannot be mirrored would make the caption wrong.
            if image.ndim != 3:
                raise ValueError(
                    f"FlipWithWords can mirror only a picture. Received: shape {image.shape} of "
                    f"{name!r}"
                )
        target = sample.target
        if isinstance(target, Mapping):
            target = {name: _mirrored(array) for name, array in target.items()}
        mirrored = {name: image[:, ::-1] for name, image in images.items()}
        return Sample({**sample.inputs, **mirrored}, _mirrored(target))


@dataclass(frozen=True)
class ModalityDropout(SampleAugmentation):
    """Blanks whole inputs of a row, so that a model learns to work without any one of them.

    Each input is blanked with probability `rate`, independently; if that would blank all of them,
    one, drawn at random, is kept. A blank input is all zeros: a black picture, an empty caption, a
    mean number; if its loader has `missing="blank"`, it is marked as missing. Neverova et al.,
    "ModDrop", 2016.

    Args:
        rate: Probability that an input is blanked, in [0, 1]; 1 keeps just one input.
        inputs: Names of the inputs that may be blanked; by default all.
    """

    rate: float = 0.3
    inputs: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_probability("rate", self.rate)
        check_once(() if self.inputs is None else tuple(self.inputs), "inputs")

    def prepare(
        self, cells: Mapping[str, Any], rng: np.random.Generator
    ) -> tuple[Mapping[str, Any], SampleFunction | None]:
        """Draw which inputs are blanked."""
        names = list(cells) if self.inputs is None else list(self.inputs)
        unknown = [name for name in names if name not in cells]
        if unknown:
            raise ValueError(
                f"`inputs` must name some of the inputs {list(cells)}. Received: {unknown}"
            )
        # A missing input cannot be dropped, and does not count as the one that must stay.
        there = [name for name, cell in cells.items() if not is_missing(cell)]
        # Drawn for missing inputs too: filling a hole must not change what happens to the others.
        drawn = zip(names, rng.random(len(names)), strict=True)
        blanked = [name for name, number in drawn if number < self.rate and name in there]
        if blanked and len(blanked) == len(there):
            blanked.pop(int(rng.integers(len(blanked))))
        if not blanked:
            return cells, None
        # A mask of 0 marks the input as missing. An input that happens to have this name is not a
        # mask.
        masks = [mask for mask in map(mask_name, blanked) if mask not in cells]

        def blank(sample: Sample) -> Sample:
            zeroed = [name for name in (*blanked, *masks) if name in sample.inputs]
            return sample.replace(**{name: np.zeros_like(sample.inputs[name]) for name in zeroed})

        return cells, blank


def _mirrored(target: Any) -> Any:
    # Only pictures have three axes; classes and numbers have no sides.
    return target[:, ::-1] if getattr(target, "ndim", 0) == 3 else target


def _cased(word: str, like: str) -> str:
    # A single capital is a word at the start of a sentence.
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word.capitalize() if like[0].isupper() else word
