"""The loaders and the model of a trial, given the values of its settings.

Loaders are made once: trials that differ in the model alone have the same ones, so that what was
learned from the training rows, decoded or encoded serves them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from multimodal_gen.cli.data import AUGMENTS, column_inputs, input_names
from multimodal_gen.cli.option_values import size_in_pixels
from multimodal_gen.cli.run_data import RunData
from multimodal_gen.cli.target_choice import class_called
from multimodal_gen.cli.tuning.space import BOTH, COLOURS
from multimodal_gen.loaders import ImageLoader, Loader, ManyLoader
from multimodal_gen.models import build_fusion_classifier
from multimodal_gen.models.auxiliary import FusionModel
from multimodal_gen.models.branch import Branch
from multimodal_gen.models.branches import ColorBranch, ImageBranch, NgramBranch, default_branch
from multimodal_gen.models.fusion import fusion_named
from multimodal_gen.models.recipe import branches_for

_MOST_DROPOUT = 0.8


class Variants:
    """Makes what a trial trains.

    Args:
        data: What `train` would train on.
    """

    def __init__(self, data: RunData) -> None:
        self.data = data
        names = input_names(data.settings)
        self.captions = [
            name for (option, _), name in names.items() if option in ("caption", "captions")
        ]
        self._columns: dict[str, dict[str, Loader]] = {}
        self._inputs: dict[tuple[Any, ...], dict[str, Loader]] = {}

    def inputs(self, values: Mapping[str, Any]) -> dict[str, Loader]:
        """The loaders of a trial: the same objects for the same values."""
        key = tuple(values.get(name) for name in ("text", "image_size", "augment"))
        if key not in self._inputs:
            self._inputs[key] = self._made(values)
        return self._inputs[key]

    def _made(self, values: Mapping[str, Any]) -> dict[str, Loader]:
        base = self.data.inputs
        text = values.get("text", self.data.settings.text)
        found: dict[str, Loader] = {}
        for name in dict.fromkeys([*self._of_columns("ngrams"), *base]):
            if name in self.captions:
                found |= self._texts(name, text)
            elif name in base:
                found[name] = _seen(base[name], values)
        return found

    def _texts(self, name: str, text: str) -> dict[str, Loader]:
        if text == BOTH:
            # Another column may be called so.
            beside = f"{name}_tokens"
            while beside in self.data.inputs:
                beside += "_"
            both = {name: "ngrams", beside: "tokens"}
            return {one: self._of_columns(mode)[name] for one, mode in both.items()}
        return {} if text == "encoder" else {name: self._of_columns(text)[name]}

    def _of_columns(self, text: str) -> dict[str, Loader]:
        settings, parts = self.data.settings, self.data.parts
        if text not in self._columns:
            if text == settings.text:
                self._columns[text] = self.data.inputs
            else:
                other = dataclasses.replace(settings, text=text)
                self._columns[text] = column_inputs(other, parts.train)
        return self._columns[text]

    def model(self, values: Mapping[str, Any]) -> FusionModel:
        """A new model of a trial."""
        inputs, target = self.inputs(values), self.data.target
        settings, rows = self.data.settings, len(self.data.parts.train)
        size, dropout = values.get("size", 1.0), values["dropout"]
        # Only several inputs are joined.
        fusion = values.get("fusion", "joint") if len(inputs) > 1 else "joint"
        positive = None
        if fusion == "match" and settings.positive is not None:
            positive = class_called(settings.positive, target)
        larger = branches_for(inputs, rows)
        branches: dict[str, Any] = {}
        for name, loader in inputs.items():
            item = loader.spec.each
            branch = larger.get(name) or default_branch(name, item)
            if item.kind == "image":
                branch = _of_pixels(values)
            branches[name] = _changed(branch, size, dropout)
        return build_fusion_classifier(
            inputs,
            target,
            fusion=_changed(fusion_named(fusion), size, dropout),
            positive=positive,
            branches=branches,
        )


def _of_pixels(values: Mapping[str, Any]) -> Branch:
    if values["image"] == COLOURS:
        return ColorBranch()
    return ImageBranch(residual=values["residual"], colors=values["image"] == BOTH)


def _changed(part: Any, size: float, dropout: float) -> Any:
    # A branch or a fusion with other sizes and rates than its own.
    own = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    changes: dict[str, Any] = {
        name: max(round(own[name] * size), 1)
        for name in ("embedding_size", "hidden_units")
        if own.get(name) is not None
    }
    rate = "rate" if isinstance(part, NgramBranch) else "dropout"
    if rate in own:
        changes[rate] = min(own[rate] * dropout, _MOST_DROPOUT)
    return dataclasses.replace(part, **changes)


def _seen(loader: Loader, values: Mapping[str, Any]) -> Loader:
    # Pixels of another size, or varied otherwise.
    if isinstance(loader, ManyLoader):
        return loader.replace(loader=_seen(loader.item, values))
    if not isinstance(loader, ImageLoader):
        return loader
    changes: dict[str, Any] = {"augment": AUGMENTS[values["augment"]]}
    if "image_size" in values:
        changes["image_size"] = size_in_pixels(values["image_size"])
    return loader.replace(**changes)
