"""The text that a sequence prints about itself."""

from __future__ import annotations

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.cache import as_text, estimate
from multimodal_gen.batch.processes.choice import Choice
from multimodal_gen.errors import by_number, counted
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.sampling import Sampler
from multimodal_gen.spec import mask_names


def describe(
    plan: Plan,
    assembly: Assembly,
    sampler: Sampler | None,
    makers: str,
    epoch: int,
    endless: bool,
    ahead: int,
) -> str:
    """Describe rows, batches, inputs, targets, order and preparation, one line each."""
    short = plan.num_rows % plan.batch_size
    shorter = f", the last of {short}" if short and not plan.drop_remainder else ""
    masks = mask_names(assembly.inputs)
    order = "a new order every epoch" if plan.shuffle else "the table's order"
    order = order if sampler is None else f"rows drawn by {sampler!r}"
    lines = [
        f"MultimodalSequence: {counted(plan.num_rows, 'row')} in "
        f"{plan.num_batches:,} {by_number(plan.num_batches, 'batch', 'batches')} of "
        f"{plan.batch_size}{shorter}{', endlessly' if endless else ''}",
        *(
            f"  {name}: {loader.spec} from {loader.column!r}"
            f"{f', with {masks[name]}{_why(loader)}' if name in masks else ''}"
            for name, loader in assembly.inputs.items()
        ),
        *(
            f"  target{'' if name is None else f' {name}'}: {target.spec} from {target.column!r}"
            for name, target in assembly.targets.items()
        ),
        *([] if assembly.targets else ["  target: none"]),
        f"  {order}, seed {plan.seed}, epoch {epoch}, "
        f"{'' if assembly.augmenting else 'not '}augmenting",
        f"  {makers}, {ahead} {by_number(ahead, 'batch', 'batches')} ahead, "
        f"inputs as {assembly.inputs_as}",
    ]
    if assembly.buckets is not None:
        *shorter_lengths, longest = map(str, assembly.buckets.lengths)
        lengths = f"{', '.join(shorter_lengths)} or {longest}" if shorter_lengths else longest
        padded, unbucketed = assembly.buckets.padding(plan, epoch)
        lines.append(
            f"  {assembly.buckets.name} padded to {lengths} ids by length: {padded:.0%} padding "
            f"instead of {unbucketed:.0%}".replace("%", " %")
        )
    if assembly.cache is not None:
        size = as_text(
            estimate((source.loader for source in assembly.sources.values()), len(assembly.table))
        )
        limit = "" if assembly.cache.limit is None else f", at most {as_text(assembly.cache.limit)}"
        lines.append(f"  cache of {size}{limit} in {assembly.cache.directory!r}")
    if assembly.on_error != "raise":
        becomes = "left out" if assembly.on_error == "skip" else "blank"
        rate = f"{assembly.max_error_rate:.3g}"
        lines.append(
            f"  rows that cannot be loaded are {becomes}, up to a share of {rate}; so far "
            f"{assembly.failures}"
        )
    if assembly.weights.by_column:
        lines.append(f"  sample weights from {', '.join(map(repr, assembly.weights.columns))}")
    if assembly.weights.by_class:
        lines.append("  weighted by class")
    for what, operations in (
        ("samples", assembly.sample_augment),
        ("batches", assembly.batch_augment),
    ):
        if operations and assembly.augmenting:
            lines.append(f"  {what} varied by {', '.join(map(repr, operations))}")
    if plan.world_size > 1:
        lines.append(f"  rank {plan.rank} of {plan.world_size}")
    return "\n".join(lines)


def _why(loader: Loader) -> str:
    if loader.spec.kind != "many":
        return " where it may be missing"
    used = loader.for_training().spec.shape[0]
    return f" for its items, {used} a row in training" if used < loader.spec.shape[0] else ""


def makers_of(assembly: Assembly, choice: Choice) -> str:
    """Describe what makes the batches, and why, as in "2 threads (2 cores)"."""
    count, what = choice.processes, "process"
    if not count:
        count, what = assembly.reading.threads, "thread"
    plural = "" if count == 1 else "es" if what == "process" else "s"
    return f"{count} {what}{plural}{f' ({choice.reason})' if choice.reason else ''}"
