"""Searches of `multimodal-gen tune`: what is varied, which trial is kept, what ends one early."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pandas as pd
import pytest
from keras.layers import Conv2D, Dense, Dropout
from rich.console import Console

import multimodal_gen as mg
from multimodal_gen.cli.arguments import _SHARED
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.cli.reporter import Remembering
from multimodal_gen.cli.run_data import read_run
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.tuning.choosing import Candidate, chosen, in_reach, worse_by, worth_keeping
from multimodal_gen.cli.tuning.clock import Clock
from multimodal_gen.cli.tuning.judging import losses_as_kept
from multimodal_gen.cli.tuning.pace import EXPECTED, Pace, limit_of, seconds_expected, work_of
from multimodal_gen.cli.tuning.picture import draw_search
from multimodal_gen.cli.tuning.proposing import Proposer
from multimodal_gen.cli.tuning.space import Setting, defaults_of, space_of, values_of
from multimodal_gen.cli.tuning.trial import Curve, DivergedError, TimeUpError, TooSlowError
from multimodal_gen.cli.tuning.variants import Variants
from multimodal_gen.loaders import Loader

TARGET = mg.ClassLabel("label", ["bowl", "cup"])
NUMBER = mg.NumericLoader.from_values("price", pd.DataFrame({"price": [1.0, 2.0, 4.0]}))
PICTURE = mg.ImageLoader("photo", image_size=(40, 64))
WORDS = mg.TextLoader.from_texts("title", ["a cup", "a bowl"], output_mode="ngrams")


def settings_of(**changes: Any) -> RunSettings:
    """The settings of `train` with its defaults, and these changes."""
    data = {name: one.convert(one.default) for name, one in _SHARED.items()}
    own = {"folder": "", "fusion": "joint", "positive": None, "epochs": None, "ablate": False}
    return RunSettings(**{"table": "shop.csv", **data, **own, **changes})


def names_of(inputs: dict[str, Loader], rows: int = 100, **changes: Any) -> dict[str, Setting]:
    space = space_of(settings_of(**changes), inputs, TARGET, rows)
    return {one.name: one for one in space}


def test_what_is_varied_depends_on_the_inputs() -> None:
    alone = names_of({"number": NUMBER}, number=("price",))
    assert list(alone) == ["size", "learning_rate", "dropout"]
    captions = names_of({"caption": WORDS}, caption=("title",))
    assert list(captions) == ["text", "size", "learning_rate", "dropout"]
    assert captions["text"].values == ("ngrams", "tokens", "both")
    inputs = {"image": PICTURE, "caption": WORDS}
    both = names_of(
        inputs, image=("photo",), caption=("title",), image_size=(40, 64), text_encoder="minilm"
    )
    assert list(both)[:6] == ["fusion", "text", "image", "image_size", "residual", "augment"]
    assert both["fusion"].values == ("joint", "late", "concat", "gated", "match", "attend")
    assert both["text"].values == ("ngrams", "tokens", "both", "encoder")
    assert both["image_size"].values == ("40x64", "60x96")
    # A relation is one of two inputs, and patches or words are needed to look at each other.
    three = names_of({**inputs, "number": NUMBER}, image=("photo",), number=("price",))
    assert "match" not in three["fusion"].values
    plain = names_of({"caption": WORDS, "number": NUMBER}, caption=("title",), number=("price",))
    assert plain["fusion"].values == ("joint", "late", "concat", "gated", "match")


def test_trial_0_has_what_train_does_and_a_setting_that_does_not_matter_is_left_out() -> None:
    inputs = {"image": PICTURE, "caption": WORDS}
    given = {"image": ("photo",), "caption": ("title",), "augment": "strong", "text": "tokens"}
    space = [*names_of(inputs, rows=3000, fusion="attend", **given).values()]
    assert defaults_of(space) == {
        "fusion": "attend",
        "text": "tokens",
        "image": "network",
        "image_size": "64x64",
        "residual": True,
        "augment": "strong",
        "size": 1.0,
        "learning_rate": 2e-3,
        "dropout": 1.0,
    }
    study = optuna.create_study()
    study.enqueue_trial({"fusion": "match", "image": "colours"})
    values = values_of(space, study.ask())
    assert set(values) == {"fusion", "image", "augment", "size", "learning_rate", "dropout"}
    words = [*names_of({"caption": WORDS}, caption=("title",)).values()]
    assert set(defaults_of(words)) == {"text", "learning_rate", "dropout"}
    study.enqueue_trial({"text": "both"})
    assert "size" in values_of(words, study.ask())


def test_a_trial_has_the_loaders_and_the_model_of_its_values(tmp_path: Path) -> None:
    table = pd.DataFrame({"title": ["a cup", "a bowl"] * 10, "label": ["cup", "bowl"] * 10})
    for row in range(20):
        keras.utils.save_img(tmp_path / f"{row}.png", np.full((9, 9, 3), 12 * row), scale=False)
    table["photo"] = [f"{row}.png" for row in range(20)]
    table.to_csv(tmp_path / "shop.csv", index=False)
    settings = settings_of(
        table=str(tmp_path / "shop.csv"),
        image=("photo",),
        caption=("title",),
        image_size=(16, 16),
        folder=str(tmp_path / "run"),
    )
    prepared = read_run(settings, Remembering(ProgressReporter(Console(quiet=True))))
    variants = Variants(prepared)
    space = space_of(settings, prepared.inputs, prepared.target, 14)
    defaults = defaults_of(space)
    assert variants.inputs(defaults) == prepared.inputs
    assert variants.inputs({**defaults, "size": 2.0}) is variants.inputs(defaults)
    other = {**defaults, "text": "both", "image_size": "24x24", "augment": "none", "size": 0.5}
    inputs = variants.inputs(other)
    assert list(inputs) == ["image", "caption", "caption_tokens"]
    assert inputs["image"].spec.shape == (24, 24, 3) and inputs["image"].operations == ()
    assert [inputs[name].spec.kind for name in ("caption", "caption_tokens")] == [
        "ngrams",
        "tokens",
    ]
    # The same object as before, so that what it has learned is learned once.
    assert inputs["caption"] is prepared.inputs["caption"]
    assert list(variants.inputs({**other, "text": "encoder"})) == ["image"]
    model = variants.model({**other, "image": "both", "dropout": 2.0})
    assert model.get_layer("image_embedding").units == 64
    assert {layer.rate for layer in model.layers if isinstance(layer, Dropout)} == {0.4}
    assert any(isinstance(layer, Conv2D) for layer in model.layers)
    assert model.get_layer("caption_embedding").rate == 0.2
    colours = variants.model({**defaults, "image": "colours", "fusion": "late"})
    assert not any(isinstance(layer, Conv2D) for layer in colours.layers)


def of(*losses: float, parameters: int = 10) -> Candidate:
    return Candidate(np.array(losses), parameters)


def test_within_one_standard_error_the_defaults_are_kept_and_else_the_smallest_model() -> None:
    best, near = of(1.0, 1.0, 1.0, 1.0), of(1.3, 0.9, 1.2, 0.8)
    # A difference of 0.05 +- 0.12, and one of 0.5 in every row.
    assert worse_by(near, best) == pytest.approx((0.05, np.std([0.3, -0.1, 0.2, -0.2], ddof=1) / 2))
    far = of(1.5, 1.5, 1.5, 1.5, parameters=1)
    assert chosen({0: near, 1: best, 2: far}) == 0
    assert chosen({0: far, 1: best, 2: near}) == 1
    small = Candidate(near.losses, 3)
    assert chosen({0: far, 1: best, 2: near, 3: small}) == 3
    assert list(in_reach({0: far, 1: best, 3: small})) == [1, 3]


def test_rows_of_a_group_are_one_case() -> None:
    best, other = of(1.0, 1.0, 1.0, 1.0), of(1.5, 1.5, 0.5, 0.5)
    alone, together = worse_by(other, best), worse_by(other, best, np.array([0, 0, 1, 1]))
    assert together[0] == alone[0] == 0
    # Two cases of +-0.5 instead of four.
    assert together[1] == pytest.approx(0.5) and alone[1] == pytest.approx(0.5 / math.sqrt(3))
    assert math.isnan(worse_by(of(2.0), of(1.0))[1])


def test_only_models_that_may_still_be_chosen_are_kept() -> None:
    best, near = of(1.0, 1.0, 1.0, 1.0), of(1.3, 0.9, 1.2, 0.8)
    far = of(1.5, 1.5, 1.5, 1.5, parameters=1)
    assert worth_keeping({0: far, 1: best, 2: near}) == [0, 1]
    assert worth_keeping({0: far, 1: best, 2: Candidate(near.losses, 3)}) == [0, 1, 2]
    assert worth_keeping({0: far, 3: far, 1: best}) == [0, 1]


def test_time_counts_over_starts_and_a_trial_that_ends_the_process_three_times_is_given_up(
    tmp_path: Path,
) -> None:
    file = tmp_path / "clock.json"
    clock = Clock(file, 1.0)
    assert clock.left == pytest.approx(3600, abs=60) and not clock.over
    assert clock.begin(7)
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "seconds": 3599.999}))
    again = Clock(file, 1.0)
    assert 3599 < again.seconds < 3700 and again.over == (again.seconds >= 3600)
    assert Clock(file, 2.0).left == pytest.approx(3600, abs=60) and Clock(file, None).left is None
    assert again.begin(7) and Clock(file, 1.0).begin(7) and not Clock(file, 1.0).begin(7)
    # Another trial, and one that was stopped on purpose, begin anew.
    other = Clock(file, 1.0)
    assert other.begin(8)
    other.end()
    assert Clock(file, 1.0).begin(8) and Clock(file, 1.0).starts == 1


def trained_with(curve: Curve, truth: float = 0.0, epochs: int = 6) -> None:
    model = keras.Sequential([keras.Input((1,)), Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", loss="mse")
    x, y = np.ones((8, 1), "float32"), np.full((8, 1), truth, "float32")
    model.fit(x, y, validation_data=(x, y), epochs=epochs, verbose=0, callbacks=[curve])


def curve_of(study: optuna.Study, clock: Clock, limit: float | None = None) -> Curve:
    return Curve(study.ask(), clock, Pace(6), limit, ProgressReporter(Console(quiet=True)))


def test_a_trial_ends_early_if_others_were_better_or_its_loss_is_no_number_or_the_time_is_up(
    tmp_path: Path,
) -> None:
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(2, 2))
    clock = Clock(tmp_path / "clock.json", None)
    for _ in range(3):
        trial = study.ask()
        for epoch in range(6):
            trial.report(1.0 - 0.1 * epoch, epoch)
        study.tell(trial, 0.5)
    worse = curve_of(study, clock)
    with pytest.raises(optuna.TrialPruned):
        trained_with(worse, truth=100.0)
    # Not within the first two epochs, and what it was until then is kept.
    assert len(worse.history["val_loss"]) == len(worse.history["loss"]) == 3
    better = curve_of(study, clock)
    trained_with(better)
    assert len(better.history["val_loss"]) == 6
    with pytest.raises(DivergedError, match="validation loss is (inf|nan) in epoch 1"):
        trained_with(curve_of(study, clock), truth=1e30)
    with pytest.raises(TimeUpError):
        trained_with(curve_of(study, Clock(tmp_path / "clock.json", 1e-9)))
    slow = curve_of(study, clock, limit=1e-9)
    with pytest.raises(TooSlowError):
        trained_with(slow)
    assert slow.history == {} and slow.pace.expected is None
    # Two epochs of 1 and 20 seconds tell that six are more than sixty.
    slow = curve_of(study, clock, limit=60.0)
    slow.pace.ends, slow.pace.started = [1.0], slow.pace.started - 21
    with pytest.raises(TooSlowError):
        trained_with(slow)
    assert len(slow.history["val_loss"]) == 1 and slow.pace.expected >= 100
    # One slow epoch among others does not.
    pace = Pace(6)
    pace.ends, pace.started = [1.0, 9.0, 10.0], pace.started - 10
    assert 13 <= pace.at_least <= pace.elapsed + 3 and pace.expected == 1 + 5 * 4.5
    # Trial 0 comes to its end.
    trained_with(curve_of(optuna.create_study(), Clock(tmp_path / "clock.json", 1e-9)))


def test_trials_are_compared_by_the_probabilities_that_a_run_would_keep() -> None:
    rng = np.random.default_rng(0)
    # One is right as often as it says; the other says the same, and is far too sure.
    logits = rng.normal(size=(400, 2)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (rng.random(400) < shares[:, 1]).astype("int32")
    sure = shares**4 / (shares**4).sum(axis=1, keepdims=True)

    def compared(outputs: np.ndarray, **changes: Any) -> tuple[float, float]:
        losses = -np.log(outputs[np.arange(400), truth])
        given = settings_of(caption=("title",), **changes)
        kept = losses_as_kept(given, TARGET, truth, outputs.astype("float32"), losses)
        assert kept.shape == (400,)
        return float(losses.mean()), float(kept.mean())

    before, after = compared(shares)
    assert after == pytest.approx(before, abs=0.005)
    too_sure, mended = compared(sure)
    assert too_sure > 1.5 * before and mended == pytest.approx(after, abs=0.005)
    assert compared(sure, balance=True) == (too_sure, too_sure)
    # The same of two labels of many kinds, whose losses are means over the labels.
    labels = mg.MultiLabel("tags", ["x", "y"], separator="|")
    has = np.stack([truth, 1 - truth], axis=1)
    plain = np.full(400, np.nan)
    settings = settings_of(caption=("title",))
    of_labels = losses_as_kept(settings, labels, has, sure[:, ::-1], plain)
    assert of_labels.mean() == pytest.approx(after, abs=0.01)
    number = mg.NumericTarget("price")
    assert losses_as_kept(settings, number, has, sure, plain) is plain


SPACE = [
    Setting("image", ("network", "colours"), "network", work={"colours": 0.5}),
    Setting("residual", (False, True), False, work={True: 2.0}),
    Setting("rate", (1e-3, 1e-1), 1e-2, "log"),
]


def trial_of(
    number: int, seconds: float | None, loss: float = 1.0, **params: Any
) -> optuna.trial.FrozenTrial:
    """A finished trial whose epochs would all take so long."""
    space = {"image": ("network", "colours"), "residual": (False, True)}
    own: dict[str, Any] = {
        name: optuna.distributions.CategoricalDistribution(values) for name, values in space.items()
    }
    own["rate"] = optuna.distributions.FloatDistribution(1e-3, 1e-1, log=True)
    trial = optuna.trial.create_trial(
        params={"image": "network", "residual": False, "rate": 1e-2, **params},
        distributions=own,
        value=loss,
        user_attrs={EXPECTED: seconds},
    )
    trial.number = number
    return trial


def test_a_trial_may_take_a_share_of_the_budget_between_two_multiples_of_the_defaults() -> None:
    assert limit_of(None, 60.0) is None
    # A sixteenth of what the defaults leave; not less than their own time and a quarter, and not
    # more than five times.
    assert limit_of(3660.0, 60.0) == 225.0
    assert limit_of(1800.0, 450.0) == 562.5
    assert limit_of(36_000.0, 60.0) == 300.0
    # If they have failed.
    assert limit_of(1600.0, None) == 100.0


def test_seconds_follow_from_the_work_of_settings_and_from_what_was_measured() -> None:
    plain, residual, colours = ({}, {"residual": True}, {"image": "colours"})
    some = [{"image": "network", "residual": False, **one} for one in (plain, residual, colours)]
    assert [work_of(SPACE, one) for one in some] == [1.0, 2.0, 0.5]
    assert seconds_expected(SPACE, [trial_of(0, None)], some) is None
    first = [trial_of(0, 60.0)]
    assert seconds_expected(SPACE, first, some) == pytest.approx([60.0, 120.0, 30.0])
    # On this machine residual blocks cost eight times as much, and colours nothing less.
    more = [trial_of(n, 480.0, residual=True) for n in range(1, 20)]
    more += [trial_of(n, 60.0, image="colours") for n in range(20, 40)]
    learned = seconds_expected(SPACE, first + more, some)
    assert learned is not None
    assert learned == pytest.approx([60.0, 480.0, 60.0], rel=0.3)


def test_no_trial_before_the_sampler_learns_is_another_one_again() -> None:
    # With few settings, a choice that is drawn is often the default.
    few = [Setting("text", ("ngrams", "tokens"), "ngrams"), SPACE[-1]]
    for space in (SPACE, few):
        for seed in range(40):
            first = Proposer(space, seed).first
            assert all(one not in first[:place] for place, one in enumerate(first)), seed


def test_the_cheapest_of_the_first_settings_come_first_and_later_ones_end_in_time() -> None:
    proposer = Proposer(SPACE, seed=3)
    assert proposer.first[0] == defaults_of(SPACE) and len(proposer.first) == 10
    works = [work_of(SPACE, one) for one in proposer.first[1:]]
    assert works == sorted(works) and works[0] < works[-1]
    assert Proposer(SPACE, seed=3).first == proposer.first != Proposer(SPACE, seed=4).first
    trials = [trial_of(number, 60.0) for number in range(5)]
    trials += [trial_of(number, 200.0, number - 5.0, residual=True) for number in range(5, 10)]
    # What is proposed depends on nothing else.
    free = [proposer.propose(number, trials, None) for number in range(10, 20)]
    assert free == [Proposer(SPACE, 3).propose(number, trials, None) for number in range(10, 20)]
    assert any(one["residual"] for one in free)
    in_time = [proposer.propose(number, trials, 100.0) for number in range(10, 20)]
    assert sum(one["residual"] for one in in_time) < sum(one["residual"] for one in free)
    # If nothing ends in time, it is the cheapest of what was drawn.
    works = [work_of(SPACE, proposer.propose(10, trials, limit)) for limit in (None, 1.0)]
    assert works[1] <= works[0]


def test_what_takes_the_place_of_a_trial_should_end_in_the_time_that_is_left_and_is_new() -> None:
    proposer = Proposer(SPACE, seed=3)
    trials = [trial_of(number, 60.0) for number in range(5)]
    found = proposer.within(40.0, 5, trials, [])
    assert found is not None and found["image"] == "colours" and not found["residual"]
    assert found == Proposer(SPACE, seed=3).within(40.0, 5, trials, [])
    # It took longer than was expected.
    other = proposer.within(40.0, 5, trials, [found])
    assert other is not None and other != found and other["image"] == "colours"
    assert proposer.within(10.0, 5, trials, []) is None
    assert proposer.within(40.0, 1, [trial_of(0, None)], []) is None


def test_the_picture_has_a_panel_by_trial_and_by_each_setting() -> None:
    space = [
        Setting("fusion", ("joint", "late"), "joint"),
        Setting("image_size", ("64x64", "96x96"), "64x64"),
        Setting("learning_rate", (4e-4, 1e-2), 2e-3, "log"),
    ]
    table = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["complete", "stopped early", "failed", "complete"],
            "loss": [0.9, 1.2, None, 0.8],
            "fusion": ["joint", "late", "late", "joint"],
            "image_size": ["64x64", None, "96x96", "96x96"],
            "learning_rate": [2e-3, 1e-3, 5e-3, 8e-3],
        }
    )
    figure = draw_search(table, space, chosen=3)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["by trial", "by fusion", "by image size", "by learning rate"]
    drawn = [sum(len(one.get_offsets()) for one in axes.collections) for axes in figure.axes]
    assert drawn == [3, 3, 2, 3]
    # Trials of one choice stand at its tick.
    points = np.concatenate([one.get_offsets() for one in figure.axes[1].collections])
    assert sorted(points[:, 0].tolist()) == [0, 0, 1]
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == ["joint", "late"]
    assert "kept" in [text.get_text() for text in figure.legends[0].get_texts()]
