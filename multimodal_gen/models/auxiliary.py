"""`FusionModel`: a Functional model that adds auxiliary terms to its training loss.

`auxiliary_terms.py` holds the terms and how they reach `compute_loss`. Nothing here knows about
tables or branches.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from multimodal_gen.models.auxiliary_terms import PairTerm, pair_loss, take_over
from multimodal_gen.models.exporting import check_converter
from multimodal_gen.models.outputs import is_class
from multimodal_gen.sequence.keras_inside.graph import made_by, was_called


@keras.saving.register_keras_serializable(package="multimodal_gen")
class FusionModel(keras.Model):
    """A Functional model whose training loss includes the auxiliary terms of its fusion layer.

    Build, compile, fit, save and load it like any Functional model. `evaluate`, and so `val_loss`,
    does not include the auxiliary terms: it reports the compiled loss of the predictions.
    """

    def fit(self, *args: Any, class_weight: Any = None, **kwargs: Any) -> Any:
        """Like `keras.Model.fit`; `class_weight` works for a single class target only."""
        self._check_class_weight(class_weight)
        return super().fit(*args, class_weight=class_weight, **kwargs)

    def train_on_batch(self, *args: Any, class_weight: Any = None, **kwargs: Any) -> Any:
        """Like `keras.Model.train_on_batch`; `class_weight` needs a single class target."""
        self._check_class_weight(class_weight)
        return super().train_on_batch(*args, class_weight=class_weight, **kwargs)

    def _check_class_weight(self, class_weight: Any) -> None:
        # Keras reads a class number from each label. With several targets that is an IndexError. A
        # label that is not a class silently becomes one, by rounding or as the greatest entry.
        if class_weight is None:
            return
        if isinstance(self.output, Mapping):
            raise ValueError(
                "Keras's `class_weight` works for a single target only. Pass it to the data "
                "instead: `MultimodalSequence(..., class_weight={target: weights})`; the "
                f"targets are {list(self.output)}. Received: class_weight={class_weight!r}"
            )
        activation = getattr(made_by(self.output), "activation", None)
        if not is_class(self.output.shape[-1], getattr(activation, "__name__", None)):
            raise ValueError(
                "`class_weight` needs a target that is a class. For any other, weigh rows by a "
                "column: `MultimodalSequence(..., sample_weight=column)`. Received: "
                f"class_weight={class_weight!r}"
            )
        # Keras looks up whole numbers, and silently keeps weight 1 for a class it does not find.
        classes = range(max(self.output.shape[-1], 2))
        unknown = (
            [key for key in class_weight if key not in classes]
            if isinstance(class_weight, Mapping)
            else []
        )
        if unknown:
            raise ValueError(
                f"`class_weight` of Keras must use class numbers, here 0 to {classes[-1]}; other "
                "keys are ignored. Pass weights by name to the data, `MultimodalSequence(..., "
                "class_weight={name: weight})`, or use `target.class_weight(cells)`. "
                f"Received: class_weight with the keys {unknown}"
            )

    def export(self, *args: Any, **kwargs: Any) -> Any:
        """Like `keras.Model.export`, also for a loaded model that was not called yet.

        Keras refuses to export such a model to ONNX.

        Raises:
            ImportError: If the converter to this format is not installed; it names the package.
        """
        check_converter(args, kwargs)
        if not was_called(self):
            # One row of zeros, with a single token if any number is allowed. Attention would warn
            # that it is padding.
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

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Like `keras.Model.quantize`, without a warning for each kind of unchanged layer.

        Keras quantizes dense layers and embeddings, and warns of every other kind.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Layer .* does not have a `quantize` method")
            super().quantize(*args, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the compiled loss; in training, plus the auxiliary terms of the same pass."""
        terms = take_over(self)
        total = self.loss_of(x, y, y_pred, sample_weight, training=training)
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
                    loss = self.loss_of(x, y, term.predictions, weights, training=training)
                # Each call of the base class adds the layers' own losses, which must count only
                # once.
                own = sum((ops.sum(layer_loss) for layer_loss in self.losses), start=0.0)
                total = total + term.weight * (loss - own)
        return total

    def loss_of(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool = True
    ) -> Any:
        """Return the compiled loss of some predictions, those of the model or of a head alone.

        Several ranks average each of them by the weights of their rows.
        """
        return super().compute_loss(x, y, y_pred, sample_weight, training=training)


def _of_target(values: Any, target: str | None) -> Any:
    # One sample weight may apply to all targets.
    return values[target] if target is not None and isinstance(values, Mapping) else values


def _of_present(sample_weight: Any, present: Any) -> Any:
    # The weights, or those of each target, set to 0 in rows that lack an input.
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
    # With several outputs, Keras updates a running mean of each output's loss in every call, so the
    # head's own loss would change the reported ones.
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
