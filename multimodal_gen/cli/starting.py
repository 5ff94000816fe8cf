"""Start Keras before a command needs it, without the log lines of its backend."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console


@contextmanager
def starting(console: Console, *, trains: bool = True) -> Iterator[None]:
    """Start Keras, and show a status meanwhile; also covers the imports of the package's own
    modules.

    Args:
        console: Shows the status.
        trains: Whether models will be made, trained or saved.
    """
    with console.status("Starting Keras") if console.is_terminal else nullcontext():
        _start_keras(trains)
        yield


def _start_keras(trains: bool) -> None:
    """Import Keras and start its backend, without the log lines that TensorFlow's C++ part always
    writes.
    """
    # Whoever sets the level to 0 or 1 wants to see what TensorFlow says.
    if "keras" in sys.modules or os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in ("0", "1"):
        return
    # The Python part of TensorFlow warns if models are built one after another, as for --ablate.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with without_log_lines():
        import keras

        # The first array looks for devices. Seeding and saving import TensorFlow on the other
        # backends too, which takes seconds and hundreds of megabytes.
        keras.ops.zeros(())
        if trains:
            keras.utils.set_random_seed(0)


@contextmanager
def without_log_lines() -> Iterator[None]:
    """Hold back what TensorFlow's C++ part says, unless the block fails: then the lines may say
    why.
    """
    # It writes to the file descriptor itself, which replacing `sys.stderr` would not catch.
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held_back:
        stderr = os.dup(2)
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
