"""`train` fits a linear probe beside the network where it can, and keeps the better of the two."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.cli.model_choice import NETWORK, PROBE, _as_shown, choose
from multimodal_gen.inspection import plots
from multimodal_gen.models.linear import linear_model


@pytest.fixture
def words(tmp_path):
    """A table whose label is a single word of the text, which a linear model finds at once."""
    rng = np.random.default_rng(0)
    kinds = np.array(["bowl", "chair", "lamp", "mug"])
    label = kinds[np.arange(160) % 4]
    fillers = np.array(["old", "new", "big", "small", "plain", "odd"])
    texts = [f"{rng.choice(fillers)} {one} {rng.choice(fillers)}" for one in label]
    path = tmp_path / "words.csv"
    pd.DataFrame({"text": texts, "label": label}).to_csv(path, index=False)
    return path


def train(table, *arguments):
    runs = table.parent / "runs"
    command = ["train", str(table), "--label", "label", "--runs", str(runs), "--name", "run"]
    result = CliRunner().invoke(app, [*command, *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    metrics = json.loads((runs / "run" / "metrics.json").read_text("utf-8"))
    return result.output, metrics["details"]["scores"], runs / "run"


def test_the_probe_is_kept_if_the_network_has_learned_too_little(tmp_path, monkeypatch):
    drawn, draw = [], plots.plot_history
    monkeypatch.setattr(
        plots, "plot_history", lambda history, **given: drawn.append(given) or draw(history)
    )
    # The label is on which side of a plane a row lies, of which two steps of training learn little.
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(600, 12))
    table = pd.DataFrame(numbers, columns=[f"x{place}" for place in range(12)])
    side = numbers @ (3 * np.arange(12) % 7 - 3)
    table["label"] = np.array(["below", "above"])[(side > 0).astype(int)]
    path = tmp_path / "numbers.csv"
    table.to_csv(path, index=False)
    columns = [word for name in table.columns[:-1] for word in ("--number", name)]
    output, scores, run = train(path, *columns, "--epochs", 1, "--batch-size", 256)
    noted = scores["number"]
    assert noted["kept"] == PROBE, noted
    assert noted["validation_loss"][PROBE] < noted["validation_loss"][NETWORK]
    assert "  at most 1 epoch, as there are about 420 training rows; learning rate 0.002" in output
    assert "  linear probe of 420 rows: C=" in output
    assert "  kept is the linear probe: the loss of the probe is lower, " in output
    # The curves are those of the network; the last table says whose scores it has.
    assert drawn[-1] == {"kept": False}
    table = output[output.index("Scores on the test rows") :]
    assert "model kept" in table and "linear probe" in table
    # What is saved is the probe, and it predicts from raw cells.
    bundle = mg.load_bundle(run)
    assert "offset" in {layer.name for layer in bundle.model.layers}
    table = mg.read_table(path)
    assert bundle.evaluate(table)["accuracy"] > 0.95
    saved = pd.read_csv(run / "predictions.csv")
    again = bundle.predict(table.loc[saved["row"]])
    assert saved["label"].tolist() == again["label"].tolist()


@pytest.mark.slow
def test_the_network_is_kept_unless_the_probe_is_clearly_better(words):
    output, scores, _ = train(words, "--caption", "text", "--epochs", 40)
    noted = scores["caption"]
    lead = noted["validation_loss"][NETWORK] - noted["validation_loss"][PROBE]
    assert (noted["kept"] == PROBE) == (lead > noted["standard_error"])
    assert f"  kept is the {noted['kept']}: the loss of the probe is " in output


def test_pictures_from_scratch_and_other_fusions_have_no_probe(words, tmp_path):
    from PIL import Image

    table = pd.read_csv(words)
    for row in range(len(table)):
        Image.new("RGB", (8, 8), (row, 0, 0)).save(tmp_path / f"{row}.png")
    table.assign(image=[f"{row}.png" for row in range(len(table))]).to_csv(words, index=False)
    both = ("--image", "image", "--caption", "text", "--epochs", 1, "--image-size", "8x8")
    output, scores, _ = train(words, *both)
    assert "  no linear probe beside it, as 'image' is learned from scratch" in output
    assert "kept" not in scores["both"] and "model kept" not in output
    output, scores, _ = train(words, *both, "--fusion", "late", "--overwrite")
    assert "linear probe" not in output


@pytest.mark.parametrize(("ones", "kept"), [(7, NETWORK), (11, PROBE)])
def test_a_probe_that_is_better_by_chance_is_not_kept(ones, kept):
    # The network says 0 everywhere, and the probe 0.1.
    truth = [1.0] * ones + [-1.0] * (12 - ones)
    frame = pd.DataFrame({"x": [np.float32([one]) for one in range(12)], "y": truth})
    inputs = {"x": mg.ArrayLoader("x", shape=(1,), dtype="float32", kind="features")}
    target = mg.NumericTarget("y")
    data = mg.MultimodalSequence(frame, inputs, target)
    network, probe = (linear_model(inputs, target) for _ in range(2))
    for model in (network, probe):
        model.compile(loss=target.loss, metrics=target.metrics)
    probe.get_layer("offset").offset.assign([0.1])
    noted = choose(network, probe, data)
    assert noted["validation_loss"][NETWORK] == pytest.approx(1.0)
    assert noted["validation_loss"][PROBE] < 1
    differences = 1 - np.square(np.array(truth) - 0.1)
    assert noted["standard_error"] == pytest.approx(differences.std(ddof=1) / 12**0.5, rel=1e-5)
    assert noted["kept"] == kept
    assert choose(network, None, data) == {}


def test_a_loss_or_accuracy_that_differs_from_the_one_of_its_epoch_is_explained() -> None:
    logs = {"val_loss": [2.3, 2.194], "val_accuracy": [0.2, 0.5]}
    history = SimpleNamespace(epoch=[0, 1], best_epoch=1, history=logs)
    said = _as_shown(NETWORK, {"log_loss": 2.0, "accuracy": 0.5}, history)
    assert said == " (val loss 2.194 after the epoch, before its heads were scaled by these rows)"
    said = _as_shown(NETWORK, {"log_loss": 2.0, "accuracy": 0.6}, history)
    assert said.startswith(" (val loss 2.194 and val accuracy 0.500 after the epoch")
    same = {"log_loss": 2.194, "accuracy": 0.5}
    assert _as_shown(NETWORK, same, history) == ""
    assert _as_shown(PROBE, {"log_loss": 2.0}, history) == ""
