"""Pictures: they say what the model is given, hold any text, and nothing is cut off or overlaps."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.inspection import plots
from multimodal_gen.inspection.confusion import most_confused
from multimodal_gen.inspection.layout import text_width, wrap

ODD_TEXTS = [
    "$x_1$ costs $5 \\frac{a}{b}",
    "grinning \U0001f600 face, rocket \U0001f680\ufe0f\u200d, 中文, עברית",
    "a very long caption " * 60,
    "Donaudampfschifffahrtsgesellschaftskapitaensmuetze" * 3,
    "tab\tline\nbell \x07 <b>[red]",
    "",
]


def texts_of(figure: Figure) -> list[str]:
    return [one.get_text() for one in figure.findobj(Text) if one.get_text()]


def png_of(figure: Figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB")).astype("int64")


def assert_texts_lie_inside_and_apart(figure: Figure) -> None:
    """No text crosses the border of the figure, and no two texts of it cover each other."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [
        one.get_window_extent(renderer)
        for one in figure.findobj(Text)
        if one.get_text() and one.get_visible()
    ]
    width, height = figure.bbox.width, figure.bbox.height
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    edges = np.array([[box.x0 + 1, box.y0 + 2, box.x1 - 1, box.y1 - 2] for box in boxes])
    across = np.minimum(edges[:, None, 2], edges[None, :, 2]) - np.maximum(
        edges[:, None, 0], edges[None, :, 0]
    )
    along = np.minimum(edges[:, None, 3], edges[None, :, 3]) - np.maximum(
        edges[:, None, 1], edges[None, :, 1]
    )
    assert not np.argwhere(np.triu((across > 0) & (along > 0), k=1)).tolist()


def make_sequence(
    table: pd.DataFrame, directory: Path, **image_options: object
) -> mg.MultimodalSequence:
    inputs = {
        "image": mg.ImageLoader("image", directory=directory, image_size=(12, 16), **image_options),
        "caption": mg.TextLoader.from_texts("caption", table["caption"], output_mode="ngrams"),
    }
    return mg.MultimodalSequence(
        table, inputs, mg.ClassLabel.from_values("label", table["label"]), batch_size=6
    )


@pytest.mark.parametrize(
    "options",
    [
        {"color_mode": "rgb"},
        {"color_mode": "rgba"},
        {"color_mode": "grayscale"},
        {"dtype": "float32", "rescale": 1 / 255},
        {"dtype": "float32"},
    ],
)
def test_a_batch_shows_the_pixels_the_model_is_given(
    picture_table: pd.DataFrame, tmp_path: Path, options: dict[str, object]
) -> None:
    sequence = make_sequence(picture_table, tmp_path, **options)
    figure = mg.show_batch(sequence, rows=1, columns=3)
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert len(shown) == 3
    given = sequence[0][0][0][1] * (255 if "rescale" in options else 1)
    assert np.abs(np.asarray(shown[1], "float64") - given[..., :3]).max() <= 1


def test_a_batch_shows_augmented_pixels_and_follows_the_epoch(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    sequence = make_sequence(
        picture_table, tmp_path, augment=[mg.augment.RandomTranslation(0.3, 0.3)]
    )
    first = mg.show_batch(sequence).axes[0].images[0].get_array()
    np.testing.assert_array_equal(first, sequence[0][0][0][0])
    sequence.epoch = 1
    assert np.any(first != mg.show_batch(sequence).axes[0].images[0].get_array())


def test_pictures_are_not_hidden_by_their_frames(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), (255, 0, 0)).save(tmp_path / "a.png")
    table = pd.DataFrame({"image": "a.png", "caption": "a red thing", "label": ["a", "b"]})
    drawn = png_of(mg.show_batch(make_sequence(table, tmp_path)))
    assert np.all(drawn == (255, 0, 0), axis=-1).mean() > 0.2


def test_captions_are_the_raw_ones_for_ngrams_and_decoded_for_tokens(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    shown = " ".join(texts_of(mg.show_batch(make_sequence(picture_table, tmp_path))))
    assert "a blue mug number 0" in shown
    loader = mg.TextLoader.from_texts("caption", picture_table["caption"], sequence_length=3)
    tokens = mg.MultimodalSequence(picture_table, {"caption": loader}, batch_size=6)
    shown = " ".join(texts_of(mg.show_batch(tokens)))
    assert "a blue mug" in shown
    assert "number" not in shown


def test_labels_come_from_what_the_model_is_given(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    for mode in ("int", "categorical"):
        sequence = make_sequence(picture_table, tmp_path)
        target = mg.ClassLabel.from_values("label", picture_table["label"], label_mode=mode)
        sequence = mg.MultimodalSequence(picture_table, sequence.inputs, target, batch_size=4)
        assert [text for text in texts_of(mg.show_batch(sequence)) if text in "xyz"] == [
            "x",
            "y",
            "z",
            "x",
        ]


def test_mixed_rows_show_the_shares_of_their_classes(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    inputs = make_sequence(picture_table, tmp_path).inputs
    target = mg.ClassLabel.from_values("label", picture_table["label"], label_mode="categorical")
    data = mg.MultimodalSequence(
        picture_table, inputs, target, batch_size=3, batch_augment=[mg.augment.MixUp(1.0)]
    )
    shares = data[0][1]
    shown = [one for one in texts_of(mg.show_batch(data)) if "%" in one]
    assert len(shown) == 3
    for text, row in zip(shown, shares, strict=True):
        assert text.startswith(f"{'xyz'[row.argmax()]} {row.max():.0%}, ")


def test_several_targets_and_their_weights_are_shown_by_name(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    table = picture_table.assign(color=["blue", "red"] * 5)
    targets = {name: mg.ClassLabel.from_values(name, table[name]) for name in ("label", "color")}
    inputs = make_sequence(picture_table, tmp_path).inputs
    data = mg.MultimodalSequence(
        table, inputs, targets, batch_size=2, sample_weight={"color": "price"}
    )
    shown = texts_of(mg.show_batch(data))
    assert [text for text in shown if ":" in text][1:] == [
        *("label: x", "color: blue (weight 0)"),
        *("label: y", "color: red (weight 1.5)"),
    ]


def test_a_sequence_without_images_says_so_and_shows_its_cells(picture_table: pd.DataFrame) -> None:
    loader = mg.NumericLoader.from_values("price", picture_table["price"])
    shown = texts_of(mg.show_batch(mg.MultimodalSequence(picture_table, {"number": loader})))
    assert "no image among the inputs" in shown[0]
    assert [text for text in shown if text.startswith("price")] == [
        f"price: {cell:g}" for cell in (0, 1.5, 3, 4.5)
    ]


def halve_numbers(sample: mg.augment.Sample, rng: np.random.Generator) -> mg.augment.Sample:
    return sample.replace(number=sample.inputs["number"] / 2)


def test_numbers_are_those_the_model_is_given_in_the_units_of_the_table(
    picture_table: pd.DataFrame,
) -> None:
    table = picture_table.assign(width=[1e6, 3e6] * 5)
    inputs = {"number": mg.NumericLoader(["price", "width"], mean=[1.0, 2e6], scale=[2.0, 1e6])}
    target = mg.NumericTarget("price", mean=1.0, scale=2.0)
    data = mg.MultimodalSequence(
        table, inputs, target, batch_size=4, sample_augment=[halve_numbers]
    )
    shown = texts_of(mg.show_batch(data))
    # Half as far from the mean, and the target as it is.
    assert shown[1:5] == [
        "price: 0",
        "price: 0.5, width: 1500000",
        "price: 1.5",
        "price: 1.25, width: 2500000",
    ]


def test_mixed_and_blank_inputs_are_shown_as_they_are_given(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    inputs = {
        "caption": make_sequence(picture_table, tmp_path).inputs["caption"],
        "price": mg.NumericLoader.from_values("price", picture_table["price"]),
    }
    target = mg.NumericTarget.from_values("price", picture_table["price"])
    mix = [mg.augment.MixUp(1.0)]
    data = mg.MultimodalSequence(picture_table, inputs, target, batch_size=4, batch_augment=mix)
    shown = [text for text in texts_of(mg.show_batch(data)) if text.startswith("price: ")]
    given = target.unscale(data[0][1])[:, 0]
    assert np.abs(given - picture_table["price"][:4]).max() > 0.1
    assert [float(text[7:]) for text in shown[::2]] == pytest.approx(given, abs=1e-4)
    assert shown[1::2] == shown[::2]

    blank = [mg.augment.ModalityDropout(1.0, inputs=["caption", "price"])]
    data = mg.MultimodalSequence(picture_table, inputs, target, batch_size=4, sample_augment=blank)
    captions, numbers = data[0][0]
    shown = texts_of(mg.show_batch(data))
    assert shown.count("(no words)") == 4 - captions.any(axis=(1, 2)).sum() > 0
    assert shown.count("price: 6.75") == (numbers == 0).sum() > 0


def test_captions_of_ngrams_say_where_the_model_is_given_another(
    picture_table: pd.DataFrame,
) -> None:
    note = "caption as in the table, not as the model is given it"
    loader = mg.TextLoader.from_texts("caption", picture_table["caption"], output_mode="ngrams")
    target = mg.ClassLabel.from_values("label", picture_table["label"])
    data = mg.MultimodalSequence(picture_table, {"caption": loader}, target)
    assert data.augmenting
    assert note not in texts_of(mg.show_batch(data))
    loader = loader.replace(augment=[mg.augment.RandomWordDeletion(0.5)])
    data = mg.MultimodalSequence(picture_table, {"caption": loader}, target)
    changed = sum(
        not np.array_equal(row, loader.read(picture_table["caption"].iloc[i]))
        for i, row in enumerate(data[0][0][0][:4])
    )
    assert texts_of(mg.show_batch(data)).count(note) == changed > 0
    assert note not in texts_of(mg.show_batch(data.for_evaluation()))


def test_a_missing_caption_that_was_mixed_with_another_is_said_to_be_missing() -> None:
    table = pd.DataFrame({"caption": ["a red mug", None, float("nan"), "a blue jug"]})
    loader = mg.TextLoader.from_texts(
        "caption", ["a red mug", "a blue jug"], output_mode="ngrams", missing="blank"
    )
    mixed = loader.read("a red mug")
    for cell in table["caption"][1:3]:
        assert loader.describe(mixed, cell)[""].startswith("(missing)\n")
    shown = texts_of(mg.show_batch(mg.MultimodalSequence(table, {"caption": loader})))
    assert shown.count("caption: (missing)") == 2 and not any("nan" in one for one in shown)


def test_hidden_tokens_are_seen_and_named(picture_table: pd.DataFrame) -> None:
    loader = mg.TextLoader.from_texts("caption", picture_table["caption"], sequence_length=9)
    masked = mg.MaskedTextLoader(loader, rate=0.4)
    target = mg.MaskedTokens(masked)
    data = mg.MultimodalSequence(picture_table, {"caption": masked}, target, shuffle=True)
    ids, hidden = data[0][0][0][0], data[0][1][0]
    shown = texts_of(mg.show_batch(data))
    assert shown[1] == "hidden: " + ", ".join(loader.encoder.token(one) for one in hidden if one)
    assert shown[2].count("[MASK]") == (ids == masked.mask_id).sum() > 0
    assert not any("[PAD]" in text for text in shown)
    dropped = loader.replace(augment=[mg.augment.TokenMasking(1.0)])
    shown = texts_of(
        mg.show_batch(mg.MultimodalSequence(picture_table, {"caption": dropped}, shuffle=True))
    )
    assert set(shown[1:]) == {" ".join(["[MASK]"] * 5)}


def test_tags_are_words_with_their_share_where_they_are_mixed(picture_table: pd.DataFrame) -> None:
    table = picture_table.assign(tags=[["new", "old"], [], ["new"], ["old"], ["new"]] * 2)
    inputs = {"price": mg.NumericLoader.from_values("price", table["price"])}
    target = mg.MultiLabel.from_values("tags", table["tags"])
    shown = texts_of(mg.show_batch(mg.MultimodalSequence(table, inputs, target)))
    assert shown[1::2] == ["new, old", "(no labels)", "new", "old"]
    mix = [mg.augment.MixUp(1.0)]
    data = mg.MultimodalSequence(table, inputs, target, batch_size=2, batch_augment=mix)
    new, old = data[0][1][0]
    assert texts_of(mg.show_batch(data))[1] == f"new {new:.0%}, old {old:.0%}"


def test_arrays_are_told_by_their_shape_and_range() -> None:
    table = mg.table_from_arrays(
        x=np.linspace(0, 1, 50, dtype="float32").reshape(2, 25), z=np.array([[1, 2.5], [3, 4]])
    )
    inputs = {name: mg.ArrayLoader.from_values(name, table[name]) for name in ("x", "z")}
    data = mg.MultimodalSequence(table, inputs, mg.InputTarget(inputs["x"]))
    shown = texts_of(mg.show_batch(data))
    assert shown[1:4] == [
        "x: 25 numbers from 0 to 0.49",
        "x: 25 numbers from 0 to 0.49",
        "z: 1, 2.5",
    ]


@pytest.mark.parametrize("inputs_as", ["tuple", "list", "dict", "array"])
def test_inputs_of_every_form_are_drawn(
    picture_table: pd.DataFrame, tmp_path: Path, inputs_as: str
) -> None:
    sequence = make_sequence(picture_table, tmp_path)
    inputs = {"image": sequence.inputs["image"]}
    data = mg.MultimodalSequence(
        picture_table, inputs, sequence.target, batch_size=6, inputs_as=inputs_as
    )
    pixels = mg.show_batch(data).axes[1].images[0].get_array()
    np.testing.assert_array_equal(pixels, sequence[0][0][0][1])
    figure = plots.plot_predictions(
        data, predictions_for(picture_table, list(picture_table["label"]))
    )
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), pixels)


def test_a_table_in_place_of_a_sequence_is_refused(picture_table: pd.DataFrame) -> None:
    rule = r"`MultimodalSequence\(table, inputs, target\)`. Received: sequence of type DataFrame"
    with pytest.raises(TypeError, match=rule):
        mg.show_batch(picture_table)
    with pytest.raises(TypeError, match=rule):
        plots.plot_predictions(picture_table, predictions_for(picture_table, ["x"] * 10))


@pytest.mark.parametrize("with_image", [True, False])
def test_odd_texts_are_drawn_as_they_are_inside_the_figure(
    tmp_path: Path, with_image: bool
) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.png")
    table = pd.DataFrame(
        {"image": "a.png", "caption": ODD_TEXTS, "label": ["a $\\alpha$", "b_b", "c" * 70] * 2}
    )
    sequence = make_sequence(table, tmp_path)
    if not with_image:
        sequence = mg.MultimodalSequence(
            table, {"caption": sequence.inputs["caption"]}, sequence.target, batch_size=6
        )
    figure = mg.show_batch(sequence, rows=3)
    assert_texts_lie_inside_and_apart(figure)
    assert not any(one.get_parse_math() for one in figure.findobj(Text) if "$" in one.get_text())
    shown = " ".join(texts_of(figure))
    assert "a $\\alpha$" in shown
    assert "$x_1$ costs" in shown
    assert f"{len('a very long caption ' * 60) - 601:,} characters more" in shown
    assert "(no words)" in shown


def test_lines_are_broken_within_their_width() -> None:
    lines = wrap("one two three " + "x" * 80, 1.0, 9)
    assert len(lines) > 5
    assert "".join(lines).replace(" ", "") == "onetwothree" + "x" * 80
    assert max(text_width(line, 9) for line in lines) <= 1.0


@pytest.mark.parametrize("count", [2, 9, 40])
@pytest.mark.parametrize("long", [False, True])
def test_a_confusion_of_any_size_is_readable(count: int, long: bool) -> None:
    names = [
        f"class {number}" + (" of things with a long $name_" * (number % 3) if long else "")
        for number in range(count)
    ]
    rng = np.random.default_rng(0)
    truth = rng.integers(0, count, 20 * count)
    figure = mg.plot_confusion([names[one] for one in truth], truth[::-1], names)
    assert_texts_lie_inside_and_apart(figure)
    assert not any(one.get_parse_math() for one in figure.findobj(Text) if "$" in one.get_text())


def test_a_confusion_of_many_classes_shows_those_most_often_confused_and_says_so() -> None:
    names = [f"class {number}" for number in range(240)]
    truth = np.repeat(np.arange(240), 3)
    guesses = truth.copy()
    # Pairs that are confused, the last of them only once.
    guesses[[0, 1, 300, 301]] = 239, 239, 7, 7
    guesses[600] = 150
    figure = mg.plot_confusion(truth, guesses, names)
    assert_texts_lie_inside_and_apart(figure)
    assert max(figure.get_size_inches()) * figure.dpi < 2000
    texts = " ".join(text.get_text() for text in figure.texts)
    assert "The 40 of 240 classes most often confused." in texts
    shown = [label.get_text().replace("\n", " ") for label in figure.axes[0].get_yticklabels()]
    assert len(shown) == 40 and shown == sorted(shown, key=names.index)
    assert {f"class {one}" for one in (0, 239, 100, 7, 200, 150)} <= set(shown)
    # Shares are of all rows of a class, whether or not what it was taken for is drawn.
    few = mg.plot_confusion(truth, guesses, names, max_classes=2).axes[0]
    assert [label.get_text() for label in few.get_yticklabels()] == ["class 0", "class 239"]
    assert [text.get_text() for text in few.texts] == ["1", "2", "3", "33%", "100%"]
    with pytest.raises(ValueError, match="Received: max_classes=0"):
        mg.plot_confusion(truth, guesses, names, max_classes=0)


def test_the_classes_that_are_drawn_are_pairs_by_their_mistakes_and_then_those_of_most_rows() -> (
    None
):
    counts = np.diag([1, 9, 2, 8, 3])
    counts[0, 2] = counts[2, 0] = 2
    counts[3, 4] = 3
    assert most_confused(counts, 2).tolist() == [0, 2]
    assert most_confused(counts, 3).tolist() == [0, 2, 3]
    assert most_confused(counts, 4).tolist() == [0, 2, 3, 4]
    assert most_confused(counts, 9).tolist() == [0, 1, 2, 3, 4]


def test_the_confusion_counts_and_colours_by_row() -> None:
    figure = mg.plot_confusion(["a", "a", "a", "b"], ["a", "a", "b", "b"], ["a", "b", "c"])
    np.testing.assert_allclose(
        figure.axes[0].images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [0, 0, 0]]
    )
    drawn = [text.get_text() for text in figure.axes[0].texts]
    assert drawn == ["2", "1", "1", "67%", "100%", "none"]


def test_integer_classes_are_names_before_they_are_positions() -> None:
    image = mg.plot_confusion([1, 2], [1, 1], [1, 2]).axes[0].images[0].get_array()
    np.testing.assert_allclose(image, [[1, 0], [1, 0]])


@pytest.mark.parametrize(
    ("truth", "prediction", "names"),
    [
        ([1, 2, 2], ["1", "2", "1"], ["1", "2"]),
        ([0.5, 1.0, 1.0], ["0.5", "1", "0.5"], ["0.5", "1"]),
        (np.array([True, False, False]), ["True", "False", "True"], [True, False]),
        ([0, 1, 1], [0, 1, 0], [7, 8]),
    ],
)
def test_a_confusion_knows_classes_by_their_text_and_otherwise_by_position(
    truth: Any, prediction: Any, names: list[Any]
) -> None:
    axes = mg.plot_confusion(truth, prediction, names).axes[0]
    counts = [text for text in axes.texts if text.get_text() == "1"]
    assert sorted((round(x), round(y)) for x, y in (text.get_position() for text in counts)) == [
        (0, 0),
        (0, 1),
        (1, 1),
    ]


def test_a_confusion_of_unknown_classes_or_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`prediction` must contain classes.*Received: 'q'"):
        mg.plot_confusion(["a"], ["q"], ["a", "b"])
    with pytest.raises(ValueError, match=r"same length\. Received: 2 and 1"):
        mg.plot_confusion(["a", "b"], ["a"], ["a", "b"])


def test_curves_are_drawn_from_all_forms_of_a_history_and_say_which_epoch_they_mark() -> None:
    history = {
        "loss": [3.0, 2.0, 1.0],
        "val_loss": [3.0, 1.5, 2.0],
        "accuracy": [0.1, 0.5, 0.6],
        "learning_rate": [1] * 3,
    }
    frame = pd.DataFrame({"epoch": [4, 5, 6], **history})

    class History:
        pass

    history_object = History()
    history_object.history = history
    kept = History()
    kept.history, kept.best_epoch = history, 0
    assert "kept epoch 1" in texts_of(mg.plot_history(kept))
    another = texts_of(mg.plot_history(kept, kept=False))
    assert "best epoch 1, of a model that is not kept" in another and "kept epoch 1" not in another
    assert_texts_lie_inside_and_apart_from_ticks(mg.plot_history(kept, kept=False))
    assert "least loss, epoch 3" in texts_of(mg.plot_history({"loss": [3.0, 2.0, 1.0]}))
    for given, best in (
        (history, "least validation loss, epoch 2"),
        (history_object, "least validation loss, epoch 2"),
        (frame, "least validation loss, epoch 5"),
    ):
        figure = mg.plot_history(given)
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "accuracy"]
        assert best in texts_of(figure)
        assert_texts_lie_inside_and_apart_from_ticks(figure)


def assert_texts_lie_inside_and_apart_from_ticks(figure: Figure) -> None:
    figure.canvas.draw()
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height


def test_one_epoch_and_nan_make_a_picture_and_nothing_at_all_an_error() -> None:
    png_of(mg.plot_history({"loss": [float("nan")]}))
    with pytest.raises(ValueError, match=r"at least one epoch and one metric\. Received: \[\]"):
        mg.plot_history({})
    with pytest.raises(
        ValueError, match=r"must be a History, a dict or a DataFrame\. Received: list"
    ):
        mg.plot_history([1.0])


def predictions_for(table: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"label": labels, "x": 0.5, "y": 0.25, "z": 0.25}, index=table.index)


def test_predictions_show_truth_and_mark_wrong_rows_by_a_sign(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    sequence = make_sequence(picture_table, tmp_path)
    labels = ["z", *picture_table["label"][1:]]
    figure = plots.plot_predictions(
        sequence, predictions_for(picture_table, labels), rows=3, columns=4
    )
    shown = texts_of(figure)
    assert shown[0] == "9 of 10 rows right; 10 rows shown"
    assert "✗ said z (25%)" in shown
    assert "is x" in shown
    assert sum(text.startswith("✓") for text in shown) == 9
    np.testing.assert_array_equal(
        figure.axes[1].images[0].get_array(), sequence.for_evaluation()[0][0][0][1]
    )
    wrong = plots.plot_predictions(
        sequence, predictions_for(picture_table, labels), only_wrong=True
    )
    assert len(wrong.axes) == 1


def test_predictions_of_another_table_are_refused(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    sequence = make_sequence(picture_table, tmp_path)
    with pytest.raises(
        ValueError,
        match=r"its index and the columns \['label'.*Received: 10 predictions for 10 rows",
    ):
        plots.plot_predictions(sequence, predictions_for(picture_table.iloc[::-1], ["x"] * 10))


def test_a_figure_shows_itself_in_a_notebook_and_leaves_pyplot_alone() -> None:
    code = """
import sys
from multimodal_gen import plot_history
figure = plot_history({"loss": [2.0, 1.0]})
assert figure._repr_png_().startswith(b"\\x89PNG")
assert not {"matplotlib.pyplot", "keras", "tensorflow"} & set(sys.modules), "imported too much"
"""
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], check=True, timeout=60)


def test_a_grid_of_no_cells_is_refused(picture_table: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`rows` must be a positive integer. Received: rows=0"):
        mg.show_batch(make_sequence(picture_table, tmp_path), rows=0)


def test_mistakes_come_with_the_most_confident_first(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    sequence = make_sequence(picture_table, tmp_path)
    predictions = predictions_for(picture_table, list(picture_table["label"]))
    for row, share in ((2, 0.6), (5, 0.9), (7, 0.7)):
        wrong = "x" if picture_table["label"].iloc[row] != "x" else "y"
        predictions.iloc[row, 0] = wrong
        predictions.iloc[row, predictions.columns.get_loc(wrong)] = share
    shown = texts_of(plots.plot_predictions(sequence, predictions, only_wrong=True))
    assert shown[0] == "7 of 10 rows right; 3 wrong rows, the most confident first"
    assert [text[-5:] for text in shown if text.startswith("✗")] == ["(90%)", "(70%)", "(60%)"]
    some = texts_of(
        plots.plot_predictions(sequence, predictions, only_wrong=True, rows=1, columns=2)
    )
    assert " ".join(some).startswith(
        "7 of 10 rows right; 2 of 3 wrong rows, the most confident first"
    )


def test_where_nothing_is_wrong_the_picture_says_so(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    predictions = predictions_for(picture_table, list(picture_table["label"]))
    figure = plots.plot_predictions(
        make_sequence(picture_table, tmp_path), predictions, only_wrong=True
    )
    assert texts_of(figure) == ["10 of 10 rows right; no wrong rows"]
    assert_texts_lie_inside_and_apart(figure)


def test_numbers_are_drawn_with_the_largest_error_first(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    inputs = {"image": mg.ImageLoader("image", directory=tmp_path, image_size=(12, 16))}
    target = mg.NumericTarget.from_values("price", picture_table["price"])
    sequence = mg.MultimodalSequence(picture_table, inputs, target)
    predictions = pd.DataFrame(
        {"price": picture_table["price"] + np.arange(10) / 4}, index=picture_table.index
    )
    figure = plots.plot_predictions(sequence, predictions, only_wrong=True, rows=1, columns=3)
    shown = texts_of(figure)
    title = " ".join(shown[: shown.index("off by 2.25")])
    assert title.startswith(
        "mean absolute error: price 1.125; 3 of 10 rows, the largest error first"
    )
    assert [text for text in shown if text.startswith("off by")] == [
        "off by 2.25",
        "off by 2",
        "off by 1.75",
    ]
    assert "price: said 15.75, is 13.5" in " ".join(shown)
    assert_texts_lie_inside_and_apart(figure)


def test_labels_are_drawn_with_all_that_were_said(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    table = picture_table.assign(tags=[["red"], [], ["mug", "red"], ["mug"], [], *[["red"]] * 5])
    inputs = {"image": mg.ImageLoader("image", directory=tmp_path, image_size=(12, 16))}
    target = mg.MultiLabel.from_values("tags", table["tags"])
    truth = np.stack([target.read(cell) for cell in table["tags"]])
    shares = np.where(truth > 0.5, 0.8, 0.1)
    shares[1] = (0.95, 0.1)
    shares[2] = (0.4, 0.8)
    predictions = pd.DataFrame(target.decode_outputs(shares), index=table.index)
    sequence = mg.MultimodalSequence(table, inputs, target)
    shown = texts_of(plots.plot_predictions(sequence, predictions, only_wrong=True))
    title = " ".join(shown[: shown.index("✗ said mug")])
    assert title == "8 of 10 rows right in every label; 2 wrong rows, the most confident first"
    assert [text for text in shown if text.startswith("is ")] == ["is no label", "is mug, red"]
    assert [text for text in shown if text.startswith("✗")] == ["✗ said mug", "✗ said red"]


def test_predictions_of_a_target_without_words_for_them_are_refused(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    image = mg.ImageLoader("image", directory=tmp_path, image_size=(12, 16))
    sequence = mg.MultimodalSequence(picture_table, {"image": image}, mg.InputTarget(image))
    with pytest.raises(ValueError, match="must have a target that judges predictions"):
        plots.plot_predictions(sequence, predictions_for(picture_table, ["x"] * 10))


def test_the_loss_drawn_is_the_one_that_training_and_validation_have_in_common() -> None:
    history = {
        "loss": [3.1, 2.9],
        "val_loss": [1.8, 1.2],
        "prediction_loss": [1.9, 1.1],
        "val_prediction_loss": [1.8, 1.2],
    }
    figure = mg.plot_history(history)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss"]
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].get_lines()}
    assert lines["training"] == [1.9, 1.1]
    assert lines["validation"] == [1.8, 1.2]


@pytest.mark.parametrize("gap", [None, float("nan"), ""])
def test_a_card_shows_numbers_and_dates_of_the_table_and_missing_ones_as_missing(gap: Any) -> None:
    prices = np.round(np.geomspace(1.5, 9000, 60), 2)
    table = pd.DataFrame(
        {
            "price": [*prices.tolist(), gap or None],
            "listed": [*[f"2024-01-{1 + row % 28:02d}" for row in range(60)], gap],
        },
        dtype=object,
    )
    inputs = {
        "price": mg.NumericLoader.from_values("price", table, scaling="quantile", missing="mean"),
        "listed": mg.DateLoader.from_values("listed", table, missing="mean"),
    }
    sequence = mg.MultimodalSequence(table.iloc[[0, 59, 60]], inputs, batch_size=3)
    said = texts_of(mg.show_batch(sequence))
    assert "price: 1.5" in said and "price: 9000" in said
    assert "price: (missing)" in said and "listed: (missing)" in said
