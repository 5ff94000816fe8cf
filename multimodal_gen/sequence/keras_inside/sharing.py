"""Whether Keras shares batches among processes by itself, and whether each would get as many.

Keras 3.16 does so with every `PyDataset`, under a `keras.distribution` that shards datasets: of 10
batches, 4 processes get 3, 3, 2 and 2. Steps have to come out equal, or the processes that have
more of them wait for the others for ever.
"""

from __future__ import annotations

import keras

from multimodal_gen.rows.plan import Plan


def check_shares(plan: Plan, num_batches: int | None, *, uneven: bool) -> None:
    """Refuse that Keras shares the batches of a sequence among processes, where that would not come
    out equal.

    Args:
        plan: Which rows are in which batch.
        num_batches: Batches of an epoch, or None where there is no end.
        uneven: Whether batches differ in shape before the last one too.

    Raises:
        ValueError: It says how to give each process its shard.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or not getattr(distribution, "auto_shard_dataset", False):
        return
    # Keras before 3.16 has no such number, and refuses a `PyDataset` where there are several
    # processes.
    shares = int(getattr(distribution, "num_data_shards", 1))
    if shares == 1:
        return
    if plan.world_size > 1:
        problem = f"takes one batch in {shares} of what is already the shard of one process,"
    elif uneven:
        problem = "gives the processes batches of different shapes at the same time,"
    elif not plan.drop_remainder and plan.num_rows % plan.batch_size:
        problem = (
            "gives one of the processes the last batch, which is shorter than those of the others,"
        )
    elif num_batches is not None and num_batches % shares:
        counts = ", ".join(str(len(range(rank, num_batches, shares))) for rank in range(shares))
        problem = (
            f"shares the {num_batches} batches of an epoch among {shares} processes as {counts},"
        )
    else:
        return
    raise ValueError(
        f"Keras {problem} as its distribution has `auto_shard_dataset=True`, so that processes "
        "would wait for each other for ever, or train on different numbers of rows. Set "
        "`auto_shard_dataset=False`, as in "
        "`keras.distribution.DataParallel(auto_shard_dataset=False)`, and give each process "
        "`sequence.shard(rank, world_size)`. Received: auto_shard_dataset=True, "
        f"num_data_shards={shares}"
    )
