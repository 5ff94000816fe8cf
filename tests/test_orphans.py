"""What is left behind by runs that end, are given up or interrupted: nothing."""

from __future__ import annotations

import _thread
import gc
import os
import signal
import sys
import threading
import time
from contextlib import suppress

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        Image.fromarray(np.full((20, 20, 3), number * 20, "uint8")).save(folder / f"{number}.png")
    rows = range(48)
    table = pd.DataFrame(
        {"image": [f"{row % 12}.png" for row in rows], "label": [row % 2 for row in rows]}
    )
    inputs = {"image": mg.ImageLoader("image", directory=folder, image_size=(16, 16))}
    target = mg.ClassLabel.from_values("label", table["label"])
    return mg.MultimodalSequence(
        table,
        inputs,
        target,
        batch_size=4,
        shuffle=True,
        cache=folder / "cache",
        on_error="blank",
        read_timeout=20,
    )


@pytest.fixture(scope="module")
def model(data):
    model = mg.build_fusion_classifier(data.inputs, data.target)
    model.compile("sgd", loss=data.target.loss)
    return model


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 3:
            raise KeyboardInterrupt


def left_over():
    # Threads of ours, open files, child processes and shared memory.
    ours = sum(thread.name == "multimodal_gen" for thread in threading.enumerate())
    files = sorted(
        os.readlink(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd") if _is_open(one)
    )
    files = [one for one in files if not one.startswith(("pipe:", "/proc/"))]
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        family = children.read()
    with open("/proc/self/maps") as maps:
        shared = sorted({line.split(maxsplit=5)[5] for line in maps if "/dev/shm" in line})
    return ours, threading.active_count(), files, family, shared


def _is_open(number):
    return os.path.lexists(f"/proc/self/fd/{number}")


def one_round(model, data, number):
    if number % 4 == 0:
        model.fit(data, epochs=1, shuffle=False, verbose=0)
    elif number % 4 == 1:
        with suppress(KeyboardInterrupt):
            model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[Interrupt()])
    elif number % 4 == 2:
        model.predict(data.for_evaluation(), verbose=0)
    else:
        for _ in zip(range(3), data, strict=False):
            pass


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_fifty_rounds_of_starting_and_stopping_leave_nothing_behind(model, data):
    for number in range(4):
        one_round(model, data, number)
    time.sleep(1)
    gc.collect()
    before = left_over()
    for number in range(50):
        one_round(model, data, number)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and left_over()[0]:
        time.sleep(0.05)
    gc.collect()
    after = left_over()
    assert after[0] == 0
    assert after[1] <= before[1]
    assert after[2:] == before[2:]


def test_ctrl_c_in_fit_returns_within_two_seconds_and_leaves_no_thread(model, data):
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressed = []

    def press():
        pressed.append(time.monotonic())
        _thread.interrupt_main()

    model.fit(data, epochs=1, shuffle=False, verbose=0)
    started = time.monotonic()
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    # Two seconds, and on a machine that is short of breath, as long as a few epochs take it.
    allowed = max(2, 5 * (time.monotonic() - started))
    timer = threading.Timer(1.0, press)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            model.fit(data, epochs=100_000, shuffle=False, verbose=0)
        assert time.monotonic() - pressed[0] < allowed
        while any(thread.name == "multimodal_gen" for thread in threading.enumerate()):
            assert time.monotonic() - pressed[0] < 2 * allowed
            time.sleep(0.05)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, handler)
