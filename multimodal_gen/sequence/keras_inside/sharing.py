"""Checks that Keras, if it shares batches among processes, gives each of them equally many.

Keras 3.16 shares every `PyDataset` under a `keras.distribution` that shards datasets: 4 processes
get 3, 3, 2 and 2 of 10 batches. Processes with more steps than the others wait for them forever.
"""

from __future__ import annotations

import keras

from multimodal_gen.rows.plan import Plan


def check_shares(plan: Plan, num_batches: int | None, *, uneven: bool) -> None:
    """Refuse to let Keras share a sequence's batches among processes unequally.

    Args:
        plan: Which rows are in which batch.
        num_batches: Batches per epoch, or None for an endless sequence.
        uneven: Whether batches other than the last one may differ in shape.

    Raises:
        ValueError: It says how to give each process its shard.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or not getattr(distribution, "auto_shard_dataset", False):
        return
    # Keras before 3.16 has no such number: with several processes it refuses a `PyDataset` itself.
    shares = int(getattr(distribution, "num_data_shards", 1))
    if shares == 1:
        return
    if plan.world_size > 1:
        problem = f"takes one batch in {shares} from what is already one process's shard,"
    elif uneven:
        problem = "gives the processes batches of different shapes at the same time,"
    elif not plan.drop_remainder and plan.num_rows % plan.batch_size:
        problem = "gives one of the processes the last batch, which is shorter than the others,"
    elif num_batches is not None and num_batches % shares:
        counts = ", ".join(str(len(range(rank, num_batches, shares))) for rank in range(shares))
        problem = (
            f"shares the {num_batches} batches of an epoch among {shares} processes as {counts},"
        )
    else:
        return
    raise ValueError(
        f"Keras {problem} because its distribution has `auto_shard_dataset=True`. Processes "
        "would wait for each other forever, or train on different numbers of rows. Set "
        "`auto_shard_dataset=False`, as in "
        "`keras.distribution.DataParallel(auto_shard_dataset=False)`, and give each process "
        "`sequence.shard(rank, world_size)`. Received: auto_shard_dataset=True, "
        f"num_data_shards={shares}"
    )
