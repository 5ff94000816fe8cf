"""Which number of a prediction is explained: a class's probability, or a predicted number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_gen.loaders.targets.base import Target


@dataclass(frozen=True)
class Subject:
    """What is explained, for the rows of a batch.

    Args:
        target: The target.
        name: Its name among several, or None.
        of: The class or column that is explained in every row; None for each row's own prediction.
    """

    target: Target
    name: str | None
    of: Any

    @classmethod
    def chosen(
        cls, targets: Target | Mapping[str, Target] | None, target: str | None, of: Any
    ) -> Subject:
        """Find the target and check the class.

        Raises:
            ValueError: If there is no such target or class, or nothing that can be explained.
        """
        if targets is None:
            raise ValueError(
                "A bundle without a target has no prediction to explain. Received: target=None"
            )
        if isinstance(targets, Mapping):
            if target is not None and target not in targets:
                raise ValueError(
                    f"`target` must be one of {list(targets)}. Received: target={target!r}"
                )
            name = next(iter(targets)) if target is None else target
            found = cls(targets[name], name, of)
        elif target is not None:
            raise ValueError(
                "`target` is for a bundle with several targets by name. Received: "
                f"target={target!r}"
            )
        else:
            found = cls(targets, None, of)
        return found._checked()

    def _checked(self) -> Subject:
        columns = self._columns(np.zeros((1, *self.target.output_shape), "float32"))
        if not columns:
            raise ValueError(
                "A prediction can be explained if it is a class or a number. Received: "
                f"target={type(self.target).__name__} on {self.target.column!r}"
            )
        if self.of is None:
            return self
        for name in columns:
            if name == self.of or str(name) == str(self.of):
                return Subject(self.target, self.name, name)
        names = list(columns)
        some = names if len(names) <= 20 else [*names[:20], "..."]
        raise ValueError(
            f"`of` must be what the target {self.target.column!r} predicts, one of {some}. "
            f"Received: of={self.of!r}"
        )

    def _own(self, outputs: Any) -> np.ndarray:
        return np.asarray(outputs if self.name is None else outputs[self.name])

    def _columns(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        # Class or name of a number -> its column of the decoded outputs.
        decoded = list(self.target.decode_outputs(outputs).items())
        classes = self.target.class_names
        if classes:
            # The first column is the prediction; a class may have the name of that column.
            return dict(zip(classes, [values for _, values in decoded[1:]], strict=True))
        numbers = {name: np.asarray(values) for name, values in decoded}
        return {name: one for name, one in numbers.items() if one.dtype.kind in "fiu"}

    def predicted(self, outputs: Any) -> list[Any]:
        """What the target says of each row: a class, classes, or a number."""
        return list(next(iter(self.target.decode_outputs(self._own(outputs)).values())))

    def explained(self, outputs: Any) -> list[Any]:
        """The class or number that is explained of each row."""
        columns = self._columns(self._own(outputs))
        names = list(columns)
        if self.of is not None or not self.target.class_names:
            return [names[0] if self.of is None else self.of] * len(self._own(outputs))
        best = np.stack(list(columns.values())).argmax(axis=0)
        return [names[place] for place in best]

    def values(self, outputs: Any, explained: list[Any]) -> np.ndarray:
        """`(rows,) float64`, the explained number of each row: a probability, or in table units.

        Args:
            outputs: The model's outputs for these rows.
            explained: The class or number of each row.
        """
        columns = self._columns(self._own(outputs))
        places = {name: place for place, name in enumerate(columns)}
        every = np.stack([np.asarray(one, "float64") for one in columns.values()])
        chosen = [places[name] for name in explained]
        return np.asarray(every[chosen, np.arange(len(chosen))])

    def weights(self, outputs: Any, explained: list[Any]) -> Any:
        """For each output of the model, its part in the explained number, in the outputs' form.

        None if the outputs are not one number for each class or column, so that it is unknown.
        """
        own = self._own(outputs)
        names = list(self.target.class_names) or list(self._columns(own))
        found: np.ndarray = np.zeros((len(own), self.target.units), "float32")
        for row, name in enumerate(explained):
            place = names.index(name)
            if self.target.units == len(names):
                found[row, place] = 1.0
            elif self.target.units == 1 and len(names) == 2:
                # One probability: of the second class.
                found[row, 0] = 1.0 if place else -1.0
            else:
                return None
        shaped = found.reshape(own.shape)
        if self.name is None:
            return shaped
        return {
            name: shaped if name == self.name else np.zeros(np.shape(one), "float32")
            for name, one in outputs.items()
        }
