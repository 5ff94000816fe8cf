"""What a search varies: the settings that the inputs of a table have, and their values.

Trial 0 has what `train` does with the same options. Everything else a trial leaves as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna

from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.models.recipe import LEARNING_RATE, branches_for

# What pictures that are not encoded are seen by. Captions may be read in two ways too.
NETWORK, COLOURS, BOTH = "network", "colours", "both"
# The larger of the two sizes of pictures, as a multiple of --image-size.
_LARGER = 1.5
_FUSIONS = ("joint", "late", "concat", "gated")
# Every patch and word looks at all others.
_WORK_OF_ATTENTION = 1.5


def _always(values: Mapping[str, Any]) -> bool:
    return True


@dataclass(frozen=True)
class Setting:
    """One setting of a search.

    Args:
        name: Its name.
        values: The choices; or the ends of a range of numbers.
        default: What `train` does.
        scale: None for choices; "linear" or "log" for a range.
        matters: Given the values chosen so far, whether it changes anything.
        work: Value -> work of a step as a multiple of that with others of its values, roughly; 1
            for those that are not in it.
    """

    name: str
    values: tuple[Any, ...]
    default: Any
    scale: str | None = None
    matters: Callable[[Mapping[str, Any]], bool] = _always
    work: Mapping[Any, float] = field(default_factory=dict)

    def suggest(self, trial: optuna.Trial) -> Any:
        """The value of a trial."""
        if self.scale is None:
            return trial.suggest_categorical(self.name, self.values)
        low, high = self.values
        return trial.suggest_float(self.name, low, high, log=self.scale == "log")


def values_of(space: Sequence[Setting], trial: optuna.Trial) -> dict[str, Any]:
    """The values of a trial, by the names of the settings that matter for it."""
    values: dict[str, Any] = {}
    for one in space:
        if one.matters(values):
            values[one.name] = one.suggest(trial)
    return values


def defaults_of(space: Sequence[Setting]) -> dict[str, Any]:
    """The values of trial 0."""
    values: dict[str, Any] = {}
    for one in space:
        if one.matters(values):
            values[one.name] = one.default
    return values


def space_of(
    settings: RunSettings, inputs: Mapping[str, Loader], target: Target, rows: int
) -> list[Setting]:
    """What is worth varying for these inputs.

    Args:
        settings: The settings.
        inputs: What `train` makes of the table.
        target: The target.
        rows: Training rows.
    """
    sizes = (0.5, 1.0, 2.0)
    pixels = any(loader.spec.each.kind == "image" for loader in inputs.values())
    found = []
    if len(inputs) > 1:
        fusions = _fusions(settings, inputs, target)
        found.append(
            Setting("fusion", fusions, settings.fusion, work={"attend": _WORK_OF_ATTENTION})
        )
    if settings.caption or settings.captions:
        vectors = ("encoder",) if settings.text_encoder is not None else ()
        modes = ("ngrams", "tokens", BOTH, *vectors)
        # A relation is one of two inputs.
        found.append(
            Setting("text", modes, settings.text, matters=_is_no_relation, work={BOTH: 1.2})
        )
    if pixels:
        deep = branches_for(inputs, rows).values()
        found += _of_pictures(settings, any(getattr(one, "residual", False) for one in deep))
    return [
        *found,
        Setting("size", sizes, 1.0, matters=_sized(settings, inputs), work={2.0: 1.3}),
        Setting("learning_rate", (4e-4, 1e-2), LEARNING_RATE, "log"),
        Setting("dropout", (0.0, 2.5), 1.0, "linear"),
    ]


def _of_pictures(settings: RunSettings, residual: bool) -> list[Setting]:
    height, width = settings.image_size
    larger = f"{round(_LARGER * height)}x{round(_LARGER * width)}"
    sizes = (f"{height}x{width}", larger)
    areas = {larger: _LARGER**2}
    return [
        Setting("image", (NETWORK, COLOURS, BOTH), NETWORK, work={COLOURS: 0.3, BOTH: 1.1}),
        Setting("image_size", sizes, sizes[0], matters=_has_network, work=areas),
        Setting("residual", (False, True), residual, matters=_has_network, work={True: 2.0}),
        Setting("augment", ("none", "default", "strong"), settings.augment),
    ]


def _fusions(
    settings: RunSettings, inputs: Mapping[str, Loader], target: Target
) -> tuple[str, ...]:
    found = [*_FUSIONS]
    if len(inputs) == 2 and target.one_class:
        found.append("match")
    specs = [loader.spec for loader in inputs.values()]
    # Patches, words or items; n-grams are a bag.
    if any(
        one.kind in ("image", "tokens", "many") or (one.kind, len(one.shape)) == ("features", 2)
        for one in specs
    ):
        found.append("attend")
    return tuple(dict.fromkeys([*found, settings.fusion]))


def _sized(
    settings: RunSettings, inputs: Mapping[str, Loader]
) -> Callable[[Mapping[str, Any]], bool]:
    # N-grams that are joined with nothing are weighted as they are, whatever their embedding is.
    alone = {loader.spec.kind for loader in inputs.values()} <= {"ngrams", "tokens"}
    alone = alone and len(inputs) == 1

    def matters(values: Mapping[str, Any]) -> bool:
        return not alone or values.get("text", settings.text) != "ngrams"

    return matters


def _is_no_relation(values: Mapping[str, Any]) -> bool:
    return values.get("fusion") != "match"


def _has_network(values: Mapping[str, Any]) -> bool:
    return values["image"] != COLOURS
