"""Checks of the arguments of `MultimodalSequence`, before anything is built from them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from multimodal_gen.augment.base import Augmentation
from multimodal_gen.augment.batch import BatchAugmentation
from multimodal_gen.augment.sample import SampleAugmentation
from multimodal_gen.augment.text import TextAugmentation, TokenAugmentation
from multimodal_gen.batch.assembly import INPUTS_AS
from multimodal_gen.batch.failures import POLICIES
from multimodal_gen.batch.processes.choice import check_processes
from multimodal_gen.batch.shared_draws import joined_targets
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.checks import check_choice, check_once
from multimodal_gen.rows.sampling import Sampler
from multimodal_gen.spec import with_masks


def check_loaders(
    inputs: Mapping[str, Loader], target: Loader | Mapping[str, Loader] | None
) -> None:
    """Refuse inputs or targets that are not loaders, or mappings of names to loaders."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise ValueError(
            f'`inputs` must map at least one name to a loader, as in {{"image": loader}}. '
            f"Received: inputs={inputs!r}"
        )
    for name, loader in inputs.items():
        if not isinstance(name, str) or not isinstance(loader, Loader):
            raise ValueError(f"`inputs` must map names to loaders. Received: {name!r}: {loader!r}")
    if isinstance(target, Mapping):
        if not target:
            raise ValueError(
                "`target` must name at least one target, or be None. Received: target={}"
            )
        for name, loader in target.items():
            if not isinstance(name, str) or not isinstance(loader, Loader):
                raise ValueError(
                    f"`target` must map names to targets. Received: {name!r}: {loader!r}"
                )
    elif target is not None and not isinstance(target, Loader):
        raise ValueError(
            "`target` must be a target such as ClassLabel, a mapping of names to targets, or None. "
            f"Received: target={target!r}"
        )
    targets = (
        target.values() if isinstance(target, Mapping) else () if target is None else (target,)
    )
    # A loader of your own need not check its columns itself.
    for loader in (*inputs.values(), *targets):
        if isinstance(loader.column, tuple | list):
            check_once(loader.column)


def check_workers(
    workers: Any, use_multiprocessing: Any, max_queue_size: Any, threads: Any, processes: Any
) -> None:
    """Refuse Keras's own workers, and invalid numbers of threads, processes or batches ahead."""
    check_processes(processes)
    if workers != 1 or use_multiprocessing:
        raise ValueError(
            "`workers` must be 1 and `use_multiprocessing` False: Keras's own workers replay "
            "stale batches on jax and torch, and its processes hang if one dies. Use `threads`, "
            f"`processes` and `max_queue_size` instead. Received: workers={workers!r}, "
            f"use_multiprocessing={use_multiprocessing!r}"
        )
    if not _is_count(max_queue_size, 0) or not (threads is None or _is_count(threads, 1)):
        raise ValueError(
            "`max_queue_size` must be an integer of at least 0, and `threads` an integer of at "
            f"least 1 or None. Received: max_queue_size={max_queue_size!r}, threads={threads!r}"
        )


def check_cache(cache: Any, cache_limit: Any) -> None:
    """Refuse a `cache_limit` without a `cache`."""
    if cache is None and cache_limit is not None:
        raise ValueError(
            f"`cache_limit` needs `cache`. Received: cache=None, cache_limit={cache_limit!r}"
        )


def check_form(inputs: Mapping[str, Loader], inputs_as: str) -> None:
    """Refuse an unknown `inputs_as`, and "array" for more than one input."""
    names = list(with_masks(inputs))
    if inputs_as not in INPUTS_AS or (inputs_as == "array" and len(names) != 1):
        raise ValueError(
            '`inputs_as` must be "list", "tuple" or "dict", or, for a single input without a mask, '
            f'"array". Received: inputs_as={inputs_as!r}, inputs={names}'
        )


def check_together(inputs: Mapping[str, Loader], targets: Mapping[str | None, Loader]) -> None:
    """Refuse a target that refers to a loader which is not among the inputs."""
    for target in targets.values():
        if isinstance(target, Target):
            target.check_inputs(inputs)
    joined_targets(inputs, targets)


def check_operations(sample_augment: Any, batch_augment: Any) -> None:
    """Refuse operations that are not in a list, are classes, or belong to another argument.

    Raises:
        ValueError: It names the argument that an operation belongs to.
    """
    places: dict[str, Any] = {
        "sample_augment": SampleAugmentation,
        "batch_augment": BatchAugmentation,
        "ImageLoader(augment=[...])": Augmentation,
        "TextLoader(augment=[...])": (TextAugmentation, TokenAugmentation),
    }
    for name, operations in (("sample_augment", sample_augment), ("batch_augment", batch_augment)):
        if not isinstance(operations, list | tuple):
            raise ValueError(
                f"`{name}` must be a list of operations. Received: {name}={operations!r}"
            )
        for operation in operations:
            if isinstance(operation, type):
                wanted = operation.__name__
                raise ValueError(
                    f"`{name}` must hold objects, not classes; write {wanted}(). Received: "
                    f"{operation!r}"
                )
            # An operation in the wrong list may still be callable, and would fail in training only.
            home = next(
                (place for place, kind in places.items() if isinstance(operation, kind)), name
            )
            if home != name:
                raise ValueError(
                    f"{type(operation).__name__} belongs in `{home}`. Received: "
                    f"{name}=[{operation!r}]"
                )
            if not callable(operation) and not isinstance(operation, SampleAugmentation):
                raise ValueError(f"`{name}` must hold operations. Received: {operation!r}")


def check_policy(
    on_error: Any, max_error_rate: Any, read_timeout: Any, *, has_target: bool
) -> None:
    """Refuse invalid values of the arguments that say how errors are handled.

    Raises:
        ValueError: If one is out of range, or "skip" is used without a target.
    """
    check_choice("on_error", on_error, POLICIES)
    if on_error == "skip" and not has_target:
        raise ValueError(
            'Without a target, use `on_error="blank"`: "skip" would drop rows from the '
            "predictions. Received: on_error='skip', target=None"
        )
    # Written so that NaN is refused too.
    if not 0 < max_error_rate <= 1:
        raise ValueError(
            f"`max_error_rate` must be in (0, 1]. Received: max_error_rate={max_error_rate!r}"
        )
    if read_timeout is not None and not read_timeout > 0:
        raise ValueError(
            "`read_timeout` must be a positive number of seconds. Received: "
            f"read_timeout={read_timeout!r}"
        )


def sampler_for(sampler: str | Sampler | None, target: Loader | None) -> Sampler | None:
    """Check the argument `sampler`; "balanced" uses the classes of the target.

    Raises:
        ValueError: If it is not a sampler, or there is no single target to balance by.
    """
    if sampler is None or isinstance(sampler, Sampler):
        return sampler
    if sampler != "balanced":
        raise ValueError(
            '`sampler` must be "balanced", None, or an object of a class derived from '
            "`mg.Sampler`. "
            f"Received: sampler={sampler!r}"
        )
    if not isinstance(target, Target) or not target.one_class:
        raise ValueError(
            'sampler="balanced" needs a single target with one class per row, such as '
            "ClassLabel; for another column, use `BalancedSampler(column)`. Received: "
            f"target={target!r}"
        )
    return target.balanced_sampler()


def _is_count(value: Any, least: int) -> bool:
    try:
        # `operator.index` takes integers of NumPy, and refuses 4.0.
        return not isinstance(value, bool) and operator.index(value) >= least
    except TypeError:
        return False
