"""Auxiliary losses: the terms that a fusion layer adds to the training loss, and their formulas.

A fusion layer knows the tensors; `compute_loss` knows labels and sample weights. The terms of a
forward pass travel from one to the other in a context variable. Each thread has its own, because
the replicas of a distribution strategy are threads. Nothing is stored on the model, and reading
empties the variable.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops


@dataclass(frozen=True)
class HeadTerm:
    """The loss of one head alone: `weight` times the compiled loss of its predictions.

    Args:
        predictions: `(batch, units)` float32, predictions of the head alone, after the activation;
            for several targets a dict by target name.
        weight: Factor of the term.
        present: `(batch, 1)`, 0 for rows without the head's input, which do not count, 1 for the
            others; None if all rows have it.
    """

    predictions: Any
    weight: float
    present: Any = None


@dataclass(frozen=True)
class PairTerm:
    """A symmetric contrastive loss between two embeddings of a batch (InfoNCE).

    Radford et al., 2021, section 2.3. A row counts if its label is the positive class: its two
    embeddings belong together, and those of all other rows are the negatives. Rows with sample
    weight 0, or without one of the inputs, neither count nor serve as negatives.

    Args:
        first: `(batch, size)` float32 of Euclidean norm 1.
        second: Likewise, for the other input.
        positive: Position of the positive class in the outputs; negative positions count from the
            end. None if it is found in training.
        temperature: Divides the cosine similarities.
        weight: Factor of the term.
        target: Name of the target that is the class, if there are several targets.
        present: `(batch, 1)`, 0 for rows that lack an input, 1 for the others; None if all rows
            have both.
        shares: `(classes,)` probabilities that each class is the positive one, summing to 1; None
            if `positive` is given.
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
    """Pass the terms of this forward pass to the next `compute_loss` in this thread."""
    # A weak reference, so that a model which never computes its loss is not kept in memory.
    _terms.set((weakref.ref(layer), terms) if terms else None)


def take_over(model: keras.Model) -> Terms:
    """Return and clear the terms that a layer of `model` passed on in this thread."""
    handed = _terms.get()
    _terms.set(None)
    if handed is None or not any(layer is handed[0]() for layer in model.layers):
        return ()
    return handed[1]


def positive_rows(labels: Any, units: int, positive: int) -> Any:
    """Find the rows of the positive class in class ids, one-hot rows or binary labels.

    Args:
        labels: `(batch,)` or `(batch, 1)` class ids (0 or 1 where `units` is 1), or `(batch,
            units)` one-hot.
        units: Number of outputs of the model.
        positive: Position of the positive class; negative positions count from the end.

    Returns:
        `(batch,)` float32 of 0 and 1.
    """
    # One sigmoid output stands for two classes.
    classes = max(units, 2)
    index = positive % classes
    if len(labels.shape) == 2 and labels.shape[-1] == units and units > 1:
        return ops.cast(ops.cast(labels[:, index], "float32") > 0.5, "float32")
    ids = ops.cast(ops.reshape(labels, (-1,)), "float32")
    return ops.cast(ops.abs(ids - index) < 0.5, "float32")


def contrastive_loss(term: PairTerm, rows: Any, sample_weight: Any = None) -> Any:
    """Compute the loss of a `PairTerm`, without its factor, as a float32 scalar.

    Args:
        term: The embeddings.
        rows: `(batch,)` float32, 1 where the row's two embeddings belong together. Or `(batch,
            classes)`, where they do if that class is the positive one; the result is then a loss
            per class, `(classes,)`.
        sample_weight: `(batch,)` or None; the mean over rows is weighted by it.
    """
    weights = ops.moveaxis(rows, -1, 0)
    similarity = ops.matmul(term.first, ops.transpose(term.second)) / term.temperature
    if sample_weight is not None:
        sample_weight = ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        weights = weights * sample_weight
        absent = ops.cast(sample_weight <= 0, "float32")
        # The diagonal is not penalized, so that an absent row has a finite loss to multiply by
        # zero.
        others = 1.0 - ops.eye(ops.shape(similarity)[0])
        penalty = 1e9 * (1.0 - (1.0 - absent[:, None]) * (1.0 - absent[None, :])) * others
        # Large instead of infinite: infinity times the zeros of `others` would be NaN.
        similarity = similarity - penalty
    matching = ops.diagonal(similarity)
    # Both ways: each first embedding looks for its second one, and each second for its first.
    loss = 0.5 * (ops.logsumexp(similarity, axis=0) + ops.logsumexp(similarity, axis=1)) - matching
    # A batch may have no row of the positive class.
    return ops.sum(loss * weights, axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1e-7)


def pair_loss(term: PairTerm, labels: Any, units: int, sample_weight: Any = None) -> Any:
    """Compute the loss of a `PairTerm` for rows with these labels, as a float32 scalar.

    The factor of the term is not applied. If the positive class must be found, the loss is the mean
    over the classes, each taken as the positive one and weighted by its share. Rows that belong
    together are easier to bring together, so the shares move to the class with the lowest loss. A
    class without rows in the batch moves no share.

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
    # Two parts: the embeddings get gradients with fixed shares, and the shares get gradients only
    # from classes that are present in the batch.
    advantage = ops.sum(term.shares * ops.stop_gradient(there * (losses - mean)))
    return ops.sum(settled * losses) + advantage - ops.stop_gradient(advantage)
