from __future__ import annotations

import threading
import time

import pytest

from multimodal_gen.loaders.stages import Stopwatch, stage


def test_nothing_is_measured_unless_somebody_looks() -> None:
    watch = Stopwatch()
    with stage("decode"):
        pass
    assert watch.seconds == {}


def test_a_stage_inside_of_another_counts_for_itself_alone() -> None:
    watch = Stopwatch()
    started = time.perf_counter()
    with watch.running(), stage("outer"):
        time.sleep(0.02)
        with stage("inner"):
            time.sleep(0.05)
        with stage("inner"):
            time.sleep(0.05)
    assert set(watch.seconds) == {"inner", "outer"}
    whole = time.perf_counter() - started
    assert watch.seconds["inner"] >= 0.1 and watch.seconds["outer"] >= 0.02
    assert sum(watch.seconds.values()) <= whole


def test_threads_are_summed_up() -> None:
    watch = Stopwatch()

    def work() -> None:
        with stage("work"):
            time.sleep(0.05)

    with watch.running():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert watch.seconds["work"] >= 0.2


def test_an_error_ends_a_stage_and_only_one_stopwatch_runs() -> None:
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.running(), stage("broken"):
        raise KeyError
    assert set(watch.seconds) == {"broken"}
    with (
        watch.running(),
        pytest.raises(RuntimeError, match="Another profile is running"),
        Stopwatch().running(),
    ):
        pass
