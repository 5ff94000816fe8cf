"""Operations of other libraries, called as `transform(image=...)["image"]`, made reproducible."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

# One call at a time: the state that such libraries draw from belongs to the process or to the
# transform.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class FromLibrary:
    """An operation from a library that is called as `transform(image=image)["image"]`, such as
    albumentations.

    Such libraries draw from their own random state, not from a generator that is passed in. A
    transform with a method `set_random_seed(seed)` is seeded by it before every call. For any other
    transform, Python's `random` and NumPy's global generator are seeded, and restored afterwards.
    Calls run one at a time in a process, and each gets a copy of the image. If your own threads
    draw from the global generators at the same time, the results change on both sides.

    Like any callable, it is not saved with loaders, because prediction does not need it.

    Args:
        transform: The callable; must be picklable, like loaders.

    Raises:
        ValueError: If it is not callable, or, when called, its result has no "image".
    """

    transform: Callable[..., Any]

    def __post_init__(self) -> None:
        if not callable(self.transform):
            raise ValueError(
                '`transform` must be called as transform(image=...)["image"]. Received: '
                f"transform={self.transform!r}"
            )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Apply the transform, seeded with a number drawn from `rng`."""
        # NumPy's global generator takes seeds below 2**32. The transform gets a copy of the image,
        # because some write into it, and it may be the table's own memory.
        with _LOCK, self._seeded(int(rng.integers(2**32))):
            result = self.transform(image=image.copy())
        try:
            return result["image"]
        except (TypeError, KeyError, IndexError):
            received = (
                f"the keys {sorted(result)}" if isinstance(result, dict) else type(result).__name__
            )
            raise ValueError(
                'A transform of another library must return a mapping with "image"; pass a '
                f"callable `(image, rng) -> image` without FromLibrary. Received: {received} from "
                f"{self.transform!r}"
            ) from None

    @contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        # albumentations has this method. Its transforms keep random states of their
        # own, and the global seeds below do not reach them.
        set_seed = getattr(self.transform, "set_random_seed", None)
        if callable(set_seed):
            set_seed(seed)
            yield
            return
        # A script's own draws must not depend on how many pictures were read in between.
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
