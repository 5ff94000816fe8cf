"""What becomes of a batch whose worker died or hung: made again, without the cell that is to blame.

Workers note which cell they are reading. The same cell must end two workers before it is blamed, so
one death for lack of memory costs nothing. A cell that is blamed is a row that cannot be loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from multimodal_gen.batch.processes.making import Task
from multimodal_gen.errors import LoadError

# So often may a worker die at the same cell, or at the same batch outside of a cell.
_DEATHS = 2


@dataclass
class Deaths:
    """The deaths of workers that were making one batch."""

    by_cell: dict[Any, int] = field(default_factory=dict)

    def blame(
        self, task: Task, cell: tuple[int, int] | None, how: str, hanging: LoadError | None
    ) -> Task:
        """Return the task for the next worker.

        Args:
            task: The task of the worker that died.
            cell: Number of the slot, and row, that it was reading; the row is negative if it read
                all rows together. None if it read nothing.
            how: How the worker ended, in words.
            hanging: The error of the cell, if the worker was ended because reading took too long.

        Raises:
            RuntimeError: If no cell is to blame, and the batch has ended two workers.
        """
        # Counted by cell and not by batch: several bad cells may be in one batch.
        self.by_cell[cell] = self.by_cell.get(cell, 0) + 1
        if hanging is None and self.by_cell[cell] < _DEATHS:
            return task
        if cell is None:
            rows = task.rows.labels
            raise RuntimeError(
                f"{_DEATHS} worker processes ended ({how}) while they made batch {task.index} of "
                f"epoch {task.epoch}, and not while they read a cell. If memory did not run out, a "
                "random operation on one of its rows ends the process. Received: rows "
                f"{rows[:5]}{'...' if len(rows) > 5 else ''}"
            )
        slot, row = cell
        if row < 0:
            # One of many cells that are read together. Reading them one by one shows which.
            return replace(task, singly=task.singly | {slot})
        lost: Mapping[tuple[int, int], LoadError] = {
            **task.lost,
            cell: hanging
            or LoadError(
                f"{_DEATHS} worker processes ended ({how}) while they read it: the library that "
                "decodes it crashes, or memory ran out. Remove or repair it, or use fewer "
                "`processes`."
            ),
        }
        return replace(task, lost=lost)
