"""Pictures for people: what a model is given, how it learned, what it confuses, and its predictions
for single rows.

Every function returns a `matplotlib.figure.Figure` that shows itself as the last line of a notebook
cell and can be saved with `figure.savefig(path)`. Sizes are computed from the texts, so nothing is
cut off. Nothing here trains, predicts, or uses pyplot with its global state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from multimodal_gen.errors import counted
from multimodal_gen.inspection.class_ids import colour_class_ids
from multimodal_gen.inspection.layout import (
    BLUE,
    GREY,
    INK,
    LINE,
    ORANGE,
    RED,
    Card,
    Picture,
    draw_cards,
)
from multimodal_gen.inspection.letters import fonts, readable
from multimodal_gen.inspection.row_text import add_inputs, add_target
from multimodal_gen.inspection.verdicts import verdicts_on
from multimodal_gen.loaders import Loader
from multimodal_gen.rows.checks import check_positive, check_switches
from multimodal_gen.spec import with_masks

if TYPE_CHECKING:
    from multimodal_gen.sequence.sequence import MultimodalSequence


def show_batch(
    sequence: MultimodalSequence, index: int = 0, *, rows: int = 2, columns: int | None = None
) -> Figure:
    """Draw the first rows of a batch as the model is given them: augmented pixels, decoded ids,
    labels.

    Args:
        sequence: Any sequence. Images are shown as they leave the loader (transparency over a
            checkerboard), token ids decoded with special tokens such as [MASK], numbers in the
            units of the table, and other arrays by shape and range. N-grams are shown as the
            caption in the table; if they are not the n-grams of this caption, the card says so.
        index: Which batch of the sequence's current epoch.
        rows: Rows of the grid.
        columns: Columns of the grid; by default 4, or 2 if there are no images.

    Returns:
        The figure. Texts with more than 600 characters are shortened, and say by how much.

    Raises:
        TypeError: If `sequence` is not a MultimodalSequence.
    """
    _check_sequence(sequence)
    columns = _checked_grid(rows, columns, _cards_in_a_row(sequence))
    batch, frame = sequence[index], sequence.rows(index)
    cards = [_card(sequence, batch, frame, row) for row in range(min(len(frame), rows * columns))]
    where = f"Batch {index} of {sequence.plan.num_batches}, epoch {sequence.epoch}"
    words = f"{where}: {len(cards)} of {len(frame)} rows, {_kind(sequence)}"
    return draw_cards(cards, columns, words + colour_class_ids(cards))


def show_rows(
    sequence: MultimodalSequence,
    rows: Sequence[Any],
    *,
    epoch: int | None = None,
    columns: int | None = None,
) -> Figure:
    """Draw some rows as the model is given them in an epoch, such as those a `LossGuard` names.

    Args:
        sequence: Any sequence; see `show_batch` for how inputs are shown.
        rows: Labels of rows in the table's own index.
        epoch: Counts from 0; by default the sequence's current epoch.
        columns: Columns of the grid; by default 4, or 2 if there are no images.

    Returns:
        The figure.

    Raises:
        TypeError: If `sequence` is not a MultimodalSequence.
        KeyError: If no row has a label.
        ValueError: If there are no rows, several rows have a label, or one is not in that epoch.
        LoadError: If a row cannot be loaded, unless `on_error` is "blank".
    """
    _check_sequence(sequence)
    if not len(rows):
        raise ValueError("There are no rows to draw. Received: rows=[]")
    columns = _checked_grid(1, columns, _cards_in_a_row(sequence))
    epoch = sequence.epoch if epoch is None else epoch
    # One after the other: rows of one epoch may be in many batches.
    cards = [
        _card(sequence, sequence.replay(epoch, row), sequence.table.loc[[row]], 0) for row in rows
    ]
    words = f"{counted(len(cards), 'row')}, epoch {epoch}, {_kind(sequence)}"
    return draw_cards(cards, columns, words + colour_class_ids(cards))


def _card(sequence: MultimodalSequence, batch: Any, frame: pd.DataFrame, row: int) -> Card:
    # A row of a batch, whose cells are in the same row of the frame.
    card, loaders = Card(), sequence.inputs
    arrays = {name: array[row] for name, array in _named(loaders, batch[0]).items()}
    add_inputs(card, loaders, arrays, frame, row)
    if sequence.target is not None:
        add_target(card, sequence.target, batch[1], batch[2] if len(batch) > 2 else None, row)
    return card


def _with_images(sequence: MultimodalSequence) -> bool:
    return any(loader.spec.each.kind == "image" for loader in sequence.inputs.values())


def _cards_in_a_row(sequence: MultimodalSequence) -> int:
    return 4 if _with_images(sequence) else 2


def _kind(sequence: MultimodalSequence) -> str:
    kind = "as in training" if sequence.augmenting else "as in evaluation"
    return kind if _with_images(sequence) else f"{kind}, no image among the inputs"


def plot_predictions(
    sequence: MultimodalSequence,
    predictions: pd.DataFrame,
    *,
    rows: int = 3,
    columns: int | None = None,
    only_wrong: bool = False,
) -> Figure:
    """Draw rows of a table with truth and prediction; wrong ones are marked by colour and sign.

    Args:
        sequence: The loaders and a `ClassLabel`, `MultiLabel` or `NumericTarget`, on the predicted
            table: `data.for_evaluation(test)`. Only the rows that are drawn are loaded.
        predictions: The result of `Bundle.predict` for that table.
        rows: Rows of the grid.
        columns: Columns of the grid; by default 4, or 2 if there are no images.
        only_wrong: Whether to draw only wrongly predicted rows, the most confident mistake first;
            for numbers, the largest errors first. Otherwise the rows are spread evenly over the
            table.

    Returns:
        The figure; if there are no wrong rows, it says so.

    Raises:
        TypeError: If `sequence` is not a MultimodalSequence.
        ValueError: If the predictions do not belong to the sequence's table, or its target cannot
            judge them.
    """
    _check_sequence(sequence)
    check_switches(only_wrong=only_wrong)
    table, loaders = sequence.table, sequence.inputs
    verdicts = verdicts_on(sequence.target, table, predictions)
    columns = _checked_grid(
        rows, columns, 4 if any(one.spec.each.kind == "image" for one in loaders.values()) else 2
    )
    chosen = verdicts.worst_first if only_wrong else np.arange(len(table))
    count = min(len(chosen), rows * columns)
    if only_wrong:
        chosen = chosen[:count]
    else:
        # The middles of `count` equal ranges: spread over the table, and no row twice.
        chosen = chosen[((np.arange(count) + 0.5) * len(chosen) / max(count, 1)).astype("int64")]
    cards = []
    if count:
        frame = table.iloc[chosen]
        part = sequence.for_evaluation(frame)
        batches = [_named(loaders, one[0]) for one in part]
        arrays = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        for row, position in enumerate(chosen):
            texts = verdicts.words(int(position))
            card = Card(
                texts=texts, edge=RED if any(colour == RED for _, colour, _ in texts) else LINE
            )
            add_inputs(
                card, loaders, {name: array[row] for name, array in arrays.items()}, frame, row
            )
            cards.append(card)
    total = len(verdicts.worst_first)
    some = f"{count:,} of {total:,}" if count < total else f"{count:,}"
    shown = f"{some} {verdicts.kind}" if only_wrong else f"{counted(count, 'row')} shown"
    title = f"{verdicts.title}; {shown if count else 'no wrong rows'}{colour_class_ids(cards)}"
    return draw_cards(cards, columns, title)


def plot_history(history: Any, *, kept: bool = True) -> Figure:
    """Draw the curves of training: loss and metrics, on training and validation rows.

    Args:
        history: The result of `fit`, its `history` dict, or a DataFrame with a column per curve.
        kept: Whether the model is kept. If another one is, such as a linear probe, the epoch of
            `fit_with_recipe` is marked as the best one only.

    Returns:
        One panel per metric. A joint, late or attend model trains on a loss with auxiliary terms,
        which the validation loss does not have; if the history has the "prediction_loss" of
        training without them, the panel "loss" shows that. The epoch whose weights
        `fit_with_recipe` chose is marked; in any other history, the epoch with the lowest
        validation loss, or without validation the lowest loss.
    """
    check_switches(kept=kept)
    values = getattr(history, "history", history)
    if not isinstance(values, Mapping | pd.DataFrame):
        raise ValueError(
            "`history` must be a History, a dict or a DataFrame. Received: "
            f"{type(history).__name__}"
        )
    curves = {str(name): np.asarray(values[name], "float64") for name in values}
    epochs = curves.pop("epoch", None)
    own, validation = curves.pop("prediction_loss", None), curves.pop("val_prediction_loss", None)
    if own is not None and "loss" in curves:
        curves |= {"loss": own, **({} if validation is None else {"val_loss": validation})}
    names = [name for name in curves if not name.startswith("val_") and name != "learning_rate"]
    if not names or not len(curves[names[0]]):
        raise ValueError(
            f"`history` must hold at least one epoch and one metric. Received: {sorted(curves)}"
        )
    # The loss comes first, the others in the order of Keras.
    names.sort(key=lambda name: name != "loss")
    if epochs is None:
        epochs = np.arange(1, len(curves[names[0]]) + 1)
    marked = getattr(history, "best_epoch", None)
    word, after = ("kept epoch", "") if kept else ("best epoch", ", of a model that is not kept")
    least = next((name for name in ("val_loss", "loss") if name in curves), None)
    # Training that diverged has no best epoch.
    if marked is None and least is not None and np.isfinite(curves[least]).any():
        marked = int(np.nanargmin(curves[least]))
        word, after = f"least {'validation ' if least == 'val_loss' else ''}loss, epoch", ""
    across = min(len(names), 3)
    down = math.ceil(len(names) / across)
    figure = Picture(4.6 * across + 0.2, 3.5 * down + 0.2, layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(down, across, place + 1)
        _draw_curves(axes, curves, name, epochs)
        if marked is not None:
            label = f"{word} {epochs[marked]:g}{after}"
            axes.axvline(epochs[marked], color=GREY, linewidth=1, linestyle=":", label=label)
        axes.legend(frameon=False, fontsize=9)
    return figure


def _draw_curves(axes: Any, curves: Mapping[str, np.ndarray], name: str, epochs: Any) -> None:
    lines = ((name, "training", ORANGE, "--"), (f"val_{name}", "validation", BLUE, "-"))
    for key, label, colour, style in lines:
        if key in curves:
            drawn: dict[str, Any] = {"marker": "o", "markersize": 3, "linewidth": 1.6}
            axes.plot(epochs, curves[key], style, color=colour, label=label, **drawn)
    title = readable(name.replace("_", " "))
    font: dict[str, Any] = {"parse_math": False, "family": fonts(), "fontsize": 11}
    axes.set_title(title, color=INK, loc="left", **font)
    axes.set_xlabel("epoch", color=GREY)
    # With a single epoch the axis would have no width.
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=LINE, linewidth=0.6)


def _check_sequence(sequence: Any) -> None:
    # Imported here, because the other pictures do not need Keras.
    from multimodal_gen.sequence.sequence import MultimodalSequence

    if not isinstance(sequence, MultimodalSequence):
        raise TypeError(
            "`sequence` must be a MultimodalSequence, which knows how a table is read: "
            "`MultimodalSequence(table, inputs, target)`. Received: sequence of type "
            f"{type(sequence).__name__}"
        )


def _named(loaders: Mapping[str, Loader], inputs: Any) -> dict[str, np.ndarray]:
    # Undoes `inputs_as`, which may have made a list or tuple of the dict.
    if isinstance(inputs, Mapping):
        return dict(inputs)
    return dict(
        zip(
            with_masks(loaders),
            inputs if isinstance(inputs, tuple | list) else [inputs],
            strict=True,
        )
    )


def _checked_grid(rows: int, columns: int | None, default: int) -> int:
    columns = default if columns is None else columns
    check_positive(rows=rows, columns=columns)
    return columns
