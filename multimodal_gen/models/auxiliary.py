"""Auxiliary losses: terms that a fusion layer adds to the training loss, and the model class that
adds them.

A fusion layer knows the tensors, `compute_loss` knows labels and sample weights. What the layer
computes in a forward pass travels to `compute_loss` of the same step in a context variable: each
thread has its own (as the replicas of a distribution strategy are threads), nothing is stored on
the model, and it is emptied when read. Nothing here knows about tables or branches.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from multimodal_gen.models.outputs import is_class
from multimodal_gen.sequence.keras_inside.graph import made_by, was_called


@dataclass(frozen=True)
class HeadTerm:
    """The loss of one head on its own, `weight` times the loss that the model was compiled with.

    Args:
        predictions: `(batch, units)` float32, what the head alone predicts (activation applied);
            for several targets a dict of these by target name.
        weight: Factor of the term.
        present: `(batch, 1)`, 0 for rows that lack the head's input and have no part in its loss, 1
            for the others; or None, where all have it.
    """

    predictions: Any
    weight: float
    present: Any = None


@dataclass(frozen=True)
class PairTerm:
    """A symmetric in-batch contrastive loss between two embeddings (InfoNCE; Radford et al., 2021,
    section 2.3).

    A row counts if its label is the positive class: its two embeddings belong together, those of
    all other rows are the alternatives. Rows of sample weight 0, or without one of the inputs,
    neither count nor are alternatives.

    Args:
        first: `(batch, size)` float32 of Euclidean norm 1.
        second: Likewise, of the other input.
        positive: Position of the positive class in the outputs; negative positions count from the
            end. None where it is found in training.
        temperature: Divides the cosine similarities.
        weight: Factor of the term.
        target: Name of the target that is the class, where there are several targets.
        present: `(batch, 1)`, 0 for rows that lack an input, 1 for the others; or None, where all
            have both.
        shares: `(classes,)`, how much each class passes for the positive one, summing to 1; None
            where `positive` says it.
    """

    first: Any
    second: Any
    positive: int | None
    temperature: float
    weight: float
    target: str | None = None
    present: Any = None
    shares: Any = None


Terms = tuple[HeadTerm | PairTerm, ...]

_terms: ContextVar[tuple[weakref.ref[keras.layers.Layer], Terms] | None] = ContextVar(
    "auxiliary_terms", default=None
)


def hand_over(layer: keras.layers.Layer, terms: Terms) -> None:
    """Gives the terms of this forward pass to the next `compute_loss` in this thread."""
    _terms.set((weakref.ref(layer), terms) if terms else None)


def take_over(model: keras.Model) -> Terms:
    """Takes, and forgets, the terms that a layer of `model` handed over in this thread."""
    handed = _terms.get()
    _terms.set(None)
    if handed is None or not any(layer is handed[0]() for layer in model.layers):
        return ()
    return handed[1]


def positive_rows(labels: Any, units: int, positive: int) -> Any:
    """Which rows carry the positive class, for class ids, one-hot rows and binary labels alike.

    Args:
        labels: `(batch,)` or `(batch, 1)` class ids (0 or 1 where `units` is 1), or `(batch,
            units)` one-hot.
        units: Number of outputs of the model.
        positive: Position of the positive class; negative positions count from the end.

    Returns:
        `(batch,)` float32 of 0 and 1.
    """
    classes = max(units, 2)
    index = positive % classes
    if len(labels.shape) == 2 and labels.shape[-1] == units and units > 1:
        return ops.cast(ops.cast(labels[:, index], "float32") > 0.5, "float32")
    ids = ops.cast(ops.reshape(labels, (-1,)), "float32")
    return ops.cast(ops.abs(ids - index) < 0.5, "float32")


def contrastive_loss(term: PairTerm, rows: Any, sample_weight: Any = None) -> Any:
    """The loss of a `PairTerm`, without its factor, as a float32 scalar.

    Args:
        term: The embeddings.
        rows: `(batch,)` float32, 1 where the row's two embeddings belong together; or `(batch,
            classes)`, where they do so if the class is the positive one: then there is a loss for
            each class, `(classes,)`.
        sample_weight: `(batch,)` or None; the mean over rows is weighted by it.
    """
    weights = ops.moveaxis(rows, -1, 0)
    similarity = ops.matmul(term.first, ops.transpose(term.second)) / term.temperature
    if sample_weight is not None:
        sample_weight = ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        weights = weights * sample_weight
        absent = ops.cast(sample_weight <= 0, "float32")
        # The diagonal stays, so that a row which is itself absent has a finite loss to multiply by
        # zero.
        others = 1.0 - ops.eye(ops.shape(similarity)[0])
        penalty = 1e9 * (1.0 - (1.0 - absent[:, None]) * (1.0 - absent[None, :])) * others
        similarity = similarity - penalty
    matching = ops.diagonal(similarity)
    loss = 0.5 * (ops.logsumexp(similarity, axis=0) + ops.logsumexp(similarity, axis=1)) - matching
    return ops.sum(loss * weights, axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1e-7)


def pair_loss(term: PairTerm, labels: Any, units: int, sample_weight: Any = None) -> Any:
    """The loss of a `PairTerm`, without its factor, for rows with these labels, as a float32
    scalar.

    Where the positive class is to be found, the loss is the mean over the classes, each taken as
    the positive one and weighted by its share. Rows that belong together are easier to bring
    together than others are, so the shares move to the class with the least loss. A class that has
    no rows in the batch moves none.

    Args:
        term: The embeddings.
        labels: As for `positive_rows`.
        units: Number of outputs of the target.
        sample_weight: `(batch,)` or None.
    """
    if term.positive is not None:
        return contrastive_loss(term, positive_rows(labels, units, term.positive), sample_weight)
    rows = ops.stack([positive_rows(labels, units, one) for one in range(max(units, 2))], axis=-1)
    losses = contrastive_loss(term, rows, sample_weight)
    weights = (
        1.0 if sample_weight is None else ops.cast(ops.reshape(sample_weight, (-1, 1)), "float32")
    )
    there = ops.cast(ops.sum(rows * weights, axis=0) > 0, "float32")
    settled = ops.stop_gradient(term.shares)
    mean = ops.sum(settled * there * losses) / ops.maximum(ops.sum(settled * there), 1e-7)
    # Two parts, so that the embeddings see the shares as they are, and the shares see no class that
    # is not there.
    advantage = ops.sum(term.shares * ops.stop_gradient(there * (losses - mean)))
    return ops.sum(settled * losses) + advantage - ops.stop_gradient(advantage)


@keras.saving.register_keras_serializable(package="multimodal_gen")
class FusionModel(keras.Model):
    """A Functional model whose training loss holds the auxiliary terms of its fusion layer as well.

    It is made as `keras.Model(inputs, outputs, name=...)` is, and compiles, fits, saves and loads
    like any Functional model. `evaluate`, and so `val_loss`, leaves the auxiliary terms out: it
    reports the compiled loss of the predictions.
    """

    def fit(self, *args: Any, class_weight: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; `class_weight` is for a model of one class target."""
        self._check_class_weight(class_weight)
        return super().fit(*args, class_weight=class_weight, **kwargs)

    def train_on_batch(self, *args: Any, class_weight: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.train_on_batch`; `class_weight` is for a model of one class target."""
        self._check_class_weight(class_weight)
        return super().train_on_batch(*args, class_weight=class_weight, **kwargs)

    def _check_class_weight(self, class_weight: Any) -> None:
        # Keras reads a class number from each label. For several targets that is an IndexError; of
        # a label that is no class it makes one in silence, by rounding or as the greatest entry.
        if class_weight is None:
            return
        if isinstance(self.output, Mapping):
            raise ValueError(
                "Keras's `class_weight` is for a model of one target. Give it to the data instead, "
                f"by target: `MultimodalSequence(..., class_weight={{target: weights}})`; the "
                f"targets are {list(self.output)}. Received: class_weight={class_weight!r}"
            )
        activation = getattr(made_by(self.output), "activation", None)
        if not is_class(self.output.shape[-1], getattr(activation, "__name__", None)):
            raise ValueError(
                "`class_weight` needs a target that is a class. For any other, weigh the rows by a "
                "column: `MultimodalSequence(..., sample_weight=column)`. Received: "
                f"class_weight={class_weight!r}"
            )
        # It looks up whole numbers, and leaves the weight at 1 where it finds none.
        classes = range(max(self.output.shape[-1], 2))
        unknown = (
            [key for key in class_weight if key not in classes]
            if isinstance(class_weight, Mapping)
            else []
        )
        if unknown:
            raise ValueError(
                f"Keras knows classes by their numbers alone, here 0 to {classes[-1]}, and takes "
                "no notice of any other key. Give weights by name to the data, "
                "`MultimodalSequence(..., class_weight={name: weight})`, or take "
                f"`target.class_weight(cells)`. Received: class_weight with the keys {unknown}"
            )

    def export(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.export`, also of a model that was loaded and not called yet, which Keras
        refuses for ONNX.
        """
        if not was_called(self):
            # One row of zeros; of tokens in any number one, about which attention would warn.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self(
                    [
                        ops.zeros([size or 1 for size in one.shape], one.dtype)
                        for one in self.inputs
                    ],
                    training=False,
                )
        return super().export(*args, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss; while training, plus the weighted auxiliary terms of the same forward
        pass.
        """
        terms = take_over(self)
        total = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        if not training:
            return total
        for term in terms:
            if isinstance(term, PairTerm):
                labels, predictions, weights = (
                    _of_target(one, term.target) for one in (y, y_pred, sample_weight)
                )
                weights = _of_present(weights, term.present)
                loss = pair_loss(
                    term, ops.convert_to_tensor(labels), predictions.shape[-1], weights
                )
                total = total + term.weight * loss
            else:
                with _unrecorded(self):
                    weights = _of_present(sample_weight, term.present)
                    loss = super().compute_loss(x, y, term.predictions, weights, training=training)
                # The base class adds the layers' own losses each time; they belong in the sum once.
                own = sum((ops.sum(layer_loss) for layer_loss in self.losses), start=0.0)
                total = total + term.weight * (loss - own)
        return total


def _of_target(values: Any, target: str | None) -> Any:
    # A sample weight may be one for all targets.
    return values[target] if target is not None and isinstance(values, Mapping) else values


def _of_present(sample_weight: Any, present: Any) -> Any:
    # The weights, or those of each target, with 0 for rows that lack an input.
    if present is None:
        return sample_weight
    if isinstance(sample_weight, Mapping):
        return {name: _of_present(one, present) for name, one in sample_weight.items()}
    rows = ops.cast(ops.reshape(present, (-1,)) > 0.5, "float32")
    return (
        rows
        if sample_weight is None
        else ops.cast(ops.reshape(sample_weight, (-1,)), "float32") * rows
    )


@contextmanager
def _unrecorded(model: keras.Model) -> Iterator[None]:
    # With several outputs, Keras keeps a running mean of each output's loss, and every call counts.
    means = [
        one
        for one in model.metrics
        if isinstance(one, keras.metrics.Mean) and one.name.endswith("_loss")
    ]
    variables = [variable for mean in means for variable in mean.variables]
    before = [ops.copy(variable) for variable in variables]
    yield
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
