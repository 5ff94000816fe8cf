"""Builds a whole model: inputs, branches, a fusion, and an output per target."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from multimodal_gen.models.auxiliary import FusionModel
from multimodal_gen.models.branch import Branch, Encoding
from multimodal_gen.models.branches import default_branch
from multimodal_gen.models.encoding import encoded
from multimodal_gen.models.fusion import Fusion, Match, fusion_named
from multimodal_gen.models.fusion_parts import fill_absent
from multimodal_gen.models.many import AnyItem, ManyBranch
from multimodal_gen.models.matching import position_of
from multimodal_gen.models.outputs import Target, output_layers, outputs_of
from multimodal_gen.spec import MASK, ArraySpec, mask_name, mask_names


def _masked(name: str, encoding: Encoding, present: Any) -> Encoding:
    logits = encoding.logits
    # Of several items, a row has the input if it has any.
    present = present if present.shape[-1] == 1 else AnyItem(name=f"{name}_any")(present)
    return encoding._replace(
        embedding=fill_absent(encoding.embedding, present, f"{name}_embedding"),
        logits=None if logits is None else fill_absent(logits, present, f"{name}_head"),
        present=present,
    )


def branch_of(name: str, loader: Any, spec: ArraySpec, branches: Mapping[str, Any]) -> Any:
    """Return the branch of an input: the given or default one, which for items pools them.

    Args:
        name: The input.
        loader: Its loader or spec.
        spec: Its spec.
        branches: Name -> branch, where one is given.

    Raises:
        ValueError: If it pools items in a way that cannot be learned from single ones.
    """
    given = branches.get(name)
    if spec.item is None:
        return default_branch(name, spec) if name not in branches else given
    # A branch is that of one item, unless it says how items are pooled.
    many = given if isinstance(given, ManyBranch) else ManyBranch(given)
    if many.branch is None:
        many = dataclasses.replace(many, branch=default_branch(name, spec.item))
    if many.pool == "attention" and getattr(loader, "training", "all") != "all":
        raise ValueError(
            "Pooling by attention is learned only if rows have all their items in training; give "
            f'the loader `training="all"`, or use pool="mean". Received: inputs[{name!r}]='
            f"{loader!r}"
        )
    return many


def input_tensors(name: str, spec: ArraySpec, branch: Any) -> Any:
    """Make the symbolic input that a branch takes: for items a list, with their mask."""
    if spec.item is not None:
        # In training a row may have fewer items, as those of `bucket_by_length` have fewer tokens.
        items = keras.Input((None, *spec.item.shape), dtype=spec.dtype, name=name)
        return [items, keras.Input((None,), dtype=MASK.dtype, name=mask_name(name))]
    any_length = spec.kind == "tokens" and isinstance(branch, Branch) and branch.any_length
    # With `bucket_by_length`, captions have another length in each batch.
    return keras.Input((None,) if any_length else spec.shape, dtype=spec.dtype, name=name)


def build_fusion_classifier(
    inputs: Mapping[str, Any],
    target: Target | Mapping[str, Target],
    *,
    fusion: str | Fusion = "joint",
    positive: Any = None,
    branches: Mapping[str, Branch | Callable[[Any], Any]] | None = None,
    name: str | None = None,
) -> FusionModel:
    """Build a model from one or more inputs to the probabilities or numbers of one or more targets.

    Args:
        inputs: Name -> loader (anything with a `spec`) or `ArraySpec`. The model takes a list or
            tuple of arrays in this order, or a dict by these names. A loader with `missing="blank"`
            adds a mask, an input named "{name}_present" after all others. Where the mask is 0,
            learned vectors that start at zero replace the branch's result. So does a `ManyLoader`,
            with a number for each item.
        target: What to predict; its `units` and `activation` define the output. A mapping of names
            to targets gives one output per name.
        fusion: `"joint"`, `"concat"`, `"gated"`, `"late"`, `"match"`, `"attend"`, or a `Fusion`
            object with other arguments.
        positive: For fusion "match", name of the class whose inputs belong together, such as
            `"match"`. By default it is found in training.
        branches: Name -> branch, to replace the default branch for the spec's `kind`: one of this
            package's branches, or any layer, model or callable from `(batch, *shape)` tensor to
            `(batch, size)` embedding; for fusion "attend" it may also give a sequence `(batch,
            length, size)` or a feature map. Of a `ManyLoader`'s input it is the branch of one item,
            or a `ManyBranch`.
        name: Name of the model.

    Returns:
        An uncompiled model with the output `(batch, target.units)` float32: probabilities if the
        target has an activation. For a mapping, a dict of such outputs.

    Raises:
        TypeError: If a target or a branch has the wrong type.
        ValueError: If an input's kind has no default branch, a branch's output is not an embedding,
            `branches` names an unknown input, `positive` is not one of the target's classes, or the
            fusion does not accept these inputs or targets.

    Example:
        inputs = {"image": image_loader, "caption": text_loader}
        model = build_fusion_classifier(inputs, target)
        model.compile("adam", loss=target.loss, metrics=target.metrics)

        targets = {"kind": kind, "price": price}
        model = build_fusion_classifier(inputs, targets)
        model.compile(
            "adam",
            loss={name: one.loss for name, one in targets.items()},
            metrics={name: one.metrics for name, one in targets.items()},
        )
    """
    if not inputs:
        raise ValueError(f"`inputs` must name at least one input. Received: inputs={inputs!r}")
    branches = dict(branches or {})
    unknown = [key for key in branches if key not in inputs]
    if unknown:
        raise ValueError(
            f"`branches` must name inputs, which are {list(inputs)}. Received: branches for "
            f"{unknown}"
        )
    chosen = fusion_named(fusion)
    if positive is not None:
        if not isinstance(chosen, Match):
            raise ValueError(
                f"`positive` is for fusion 'match' only. Received: positive={positive!r}, "
                f"fusion={fusion!r}"
            )
        chosen = dataclasses.replace(chosen, positive=position_of(positive, target))
    units, activation = outputs_of(target)
    tensors: dict[str, Any] = {}
    masks: dict[str, Any] = {}
    encodings = {}
    for key, loader in inputs.items():
        spec = loader if isinstance(loader, ArraySpec) else getattr(loader, "spec", None)
        # Keras refuses a slash in the name of a layer.
        if not isinstance(key, str) or not key or "/" in key or not isinstance(spec, ArraySpec):
            raise ValueError(
                "`inputs` must map names without '/' to loaders or ArraySpecs. Received: "
                f"inputs[{key!r}]={loader!r}"
            )
        branch = branch_of(key, loader, spec, branches)
        tensor = input_tensors(key, spec, branch)
        tensors[key] = tensor if spec.item is None else tensor[0]
        if spec.item is not None:
            masks[key] = tensor[1]
        encodings[key] = encoded(key, spec, branch, tensor, units, sequences=chosen.takes_sequences)
    # After all inputs, where sequences put the masks too.
    for key, mask in mask_names(inputs).items():
        tensors[mask] = masks.get(key)
        if tensors[mask] is None:
            tensors[mask] = keras.Input(MASK.shape, dtype=MASK.dtype, name=mask)
        if getattr(inputs[key], "missing", None) == "blank":
            encodings[key] = _masked(key, encodings[key], tensors[mask])
    outputs = output_layers(chosen.join(encodings, units, activation), activation)
    # A list, not a dict: Keras then accepts a list, a tuple, or a dict by the inputs' names.
    return without_slow_jit(FusionModel(list(tensors.values()), outputs, name=name))


def without_slow_jit(model: Any) -> Any:
    """Return the model, which leaves out XLA where that is slower."""
    if keras.backend.backend() == "tensorflow" and not keras.distribution.list_devices("gpu"):
        # `jit_compile="auto"` checks this. On CPU, XLA's convolutions take 1.4 times as long as
        # tensorflow's own.
        model.supports_jit = False
    return model
