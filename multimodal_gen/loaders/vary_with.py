"""Pictures that vary with another one: the arguments `augment` and `vary_with`, and saving them."""

from __future__ import annotations

from typing import Any

from multimodal_gen.augment.base import Augmentation
from multimodal_gen.augment.together import Variation, following


def varied_with(own: Variation, vary_with: Any) -> Variation:
    """How a loader varies its pictures.

    Args:
        own: By its own arguments.
        vary_with: The argument of that name: the loader of another picture, or None.

    Raises:
        ValueError: If that is not a loader of pictures, or the two are not moved alike.
    """
    if vary_with is None:
        return own
    leader = getattr(vary_with, "variation", None)
    if not isinstance(leader, Variation) or vary_with.spec.kind != "image":
        raise ValueError(
            "`vary_with` must be the loader of another picture, an ImageLoader or an ArrayLoader "
            f"of images. Received: vary_with={vary_with!r}"
        )
    return following(own, leader)


def saved_config(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments, without callables in `augment`: JSON cannot hold them."""
    own = [
        operation
        for operation in arguments.get("augment", ())
        if isinstance(operation, Augmentation)
    ]
    return {**arguments, "augment": own}
