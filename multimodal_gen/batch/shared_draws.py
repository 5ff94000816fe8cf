"""Decides which pictures of a row share their random draws, such as a picture and its mask.

The drawing itself is in `augment/together.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from multimodal_gen.augment.together import Variation, moved_alike, moves
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target

Name = TypeVar("Name")


def joined_targets(
    inputs: Mapping[str, Loader], targets: Mapping[Name, Loader]
) -> dict[Name, Loader]:
    """Return the targets, with those that are pictures sharing the draws of their input picture.

    Args:
        inputs: Input name -> loader.
        targets: Target name -> target.

    Raises:
        ValueError: If a loader varies with one that is not an input, or a picture would be varied
            differently from the one that it belongs to.
    """
    made = {name: one for name, one in targets.items() if isinstance(one, Target) and one.loader}
    loaders = [*inputs.values(), *(one.loader for one in made.values())]
    pictures = [one for one in loaders if _variation(one) is not None]
    for loader in pictures:
        _check_leader(loader, pictures)
    return {**targets, **{name: _joined(one, inputs) for name, one in made.items()}}


def _variation(loader: Any) -> Variation | None:
    variation = getattr(loader, "variation", None)
    return variation if isinstance(variation, Variation) and loader.spec.kind == "image" else None


def _leader(loader: Any) -> Any:
    return loader.get_config().get("vary_with")


def _check_leader(loader: Any, pictures: Iterable[Any]) -> None:
    leader = _leader(loader)
    if leader is not None and not any(
        _draws_as(leader, one) for one in pictures if one is not loader
    ):
        raise ValueError(
            "The loader given as `vary_with` must itself be among the inputs, or the two would "
            f"be varied differently. Received: {loader.column!r}, which varies with {leader!r}"
        )


def _draws_as(one: Any, other: Any) -> bool:
    # Equal draws need one stream, one frame, and the same movements in one order.
    mine, others = one.variation, other.variation
    return (mine.stream, mine.frame) == (others.stream, others.frame) and moved_alike(mine, others)


def _joined(target: Target, inputs: Mapping[str, Loader]) -> Target:
    own = _variation(target.loader)
    if own is None or not target.follows or _leader(target.loader) is not None:
        return target
    # Inputs that vary together count as one.
    leaders: dict[Any, Variation] = {}
    for loader in inputs.values():
        found = _variation(loader)
        if found is not None:
            leaders.setdefault((found.stream, found.frame), found)
    same = [one for one in leaders.values() if one.stream == own.stream]
    if same:
        # Input and target show the same column: shared operations get the same draws, and the model
        # learns to undo the others.
        return _with_variation(target, own.joined(same[0]))
    moving = [one for one in leaders.values() if moves(one.operations)]
    if not moving and (not moves(own.operations) or not leaders):
        return target
    if len(leaders) > 1:
        raise ValueError(
            f"It is ambiguous which picture the target on column {target.column!r} belongs to. "
            "Set `vary_with=LOADER` in its loader, or use `InputTarget(loader, follows=False)` "
            "to vary it independently. Received: input pictures on the columns "
            f"{[one.stream for one in leaders.values()]}"
        )
    leader = next(iter(leaders.values()))
    if not moved_alike(own, leader):
        theirs, mine = list(moves(leader.operations)), list(moves(own.operations))
        raise ValueError(
            f"The picture of column {leader.stream!r} is moved by {theirs!r}, but its target on "
            f"column {target.column!r} by {mine!r}. Set `vary_with=LOADER` in the target's "
            "loader instead of its own `augment`, or use `InputTarget(loader, follows=False)` "
            f"to vary it independently. Received: target={target!r}"
        )
    return _with_variation(target, own.joined(leader))


def _with_variation(target: Target, variation: Variation) -> Target:
    if variation == _variation(target.loader):
        return target
    # Copies that differ only in the draws, so they read the same arrays and share a cache.
    loader, joined = copy.copy(target.loader), copy.copy(target)
    loader.__dict__["variation"] = variation
    joined.__dict__["loader"] = loader
    return joined
