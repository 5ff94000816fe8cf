"""Runs cases in a process of its own, so that one which kills or hangs it is found too: `python -m
fuzz images`.

A case is bad where it raises anything but the error that it should, warns, or takes more than 5
seconds or 1 GB. It is kept in a folder, and run again with `--replay FOLDER`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import time
from pathlib import Path

from fuzz.runner import judge, run_cases
from fuzz.targets import TARGETS


def main() -> int:
    """Fuzz for a while; 1 if a bad case was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="other cases")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/fuzz"), help="where bad cases are kept"
    )
    parser.add_argument(
        "--replay", type=Path, help="a folder with a case, which is all that is run"
    )
    arguments = parser.parse_args()
    if arguments.replay is not None:
        problem = judge(TARGETS[arguments.target](), arguments.replay)
        print(problem or "nothing is wrong with it any more")
        return 1 if problem else 0
    out = arguments.out / arguments.target
    (out / "current").mkdir(parents=True, exist_ok=True)
    end, first, bad = time.monotonic() + arguments.seconds, 0, 0
    context = multiprocessing.get_context("spawn")
    while time.monotonic() < end:
        count = context.Value("q", first)
        work = (arguments.target, arguments.seed, first, end - time.monotonic(), out, count)
        process = context.Process(target=run_cases, args=work)
        process.start()
        process.join()
        first = count.value + 1
        if process.exitcode == 0:
            break
        if process.exitcode == 1:
            # The runner itself failed, and has said why.
            return 1
        bad += 1
        if process.exitcode != 3:
            (out / "current" / "problem.txt").write_text(
                f"the process ended with {process.exitcode}\n"
            )
        kept = out / f"bad-{arguments.seed}-{count.value}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(out / "current", kept)
        print((kept / "problem.txt").read_text())
        print(f"Again by: python -m fuzz {arguments.target} --replay {kept}", flush=True)
    print(f"{arguments.target}: {first} cases, {bad} of them bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
