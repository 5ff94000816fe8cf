"""Objects that are built once, never change, and can be written to JSON and back.

Loaders, augmentations and text encoders derive from `Configurable`. It remembers the arguments an
object was built with, so `get_config` and `from_config` need no code in the subclass, and it
rejects later assignment. `serialize` and `deserialize` turn such an object into plain JSON values
and back; the only classes they build are this package's own, those in `custom_objects`, and those
registered with Keras. Nothing is ever imported or executed because a file names it.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABCMeta
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np

from multimodal_gen.errors import BundleError

T = TypeVar("T", bound="Configurable")

_OWN_CLASSES: dict[str, type[Configurable]] = {}


class _ConfigurableType(ABCMeta):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__call__(*args, **kwargs)
        arguments = inspect.signature(cls.__init__).bind(instance, *args, **kwargs).arguments  # type: ignore[misc]
        instance.__dict__["_arguments"] = dict(list(arguments.items())[1:])
        return instance

    @property
    def __signature__(cls) -> inspect.Signature:
        # Without it, help and completion would show the arguments of `__call__` above.
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Configurable(metaclass=_ConfigurableType):
    """Base class: immutable after construction, with a config of the constructor's arguments."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A user's class must not replace one of ours that has the same name.
        if cls.__module__.partition(".")[0] == __name__.partition(".")[0]:
            _OWN_CLASSES[cls.__name__] = cls

    def __setattr__(self, name: str, value: Any) -> None:
        # The metaclass sets it after the constructor, which may still assign.
        if "_arguments" in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__} is immutable: build a new one, for example with "
                f"`.replace({name}=...)`. Received: {name}={value!r}"
            )
        object.__setattr__(self, name, value)

    def get_config(self) -> dict[str, Any]:
        """The arguments this object was built with, by name; the input of `from_config`."""
        return dict(self.__dict__["_arguments"])

    @classmethod
    def from_config(cls: type[T], config: Mapping[str, Any]) -> T:
        """Build an object from the result of `get_config`."""
        return cls(**config)

    def replace(self: T, **changes: Any) -> T:
        """A copy built with some arguments changed."""
        return type(self)(**{**self.__dict__["_arguments"], **changes})

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return serialize(self) == serialize(other)

    def __hash__(self) -> int:
        # Configs hold lists and mappings, which have no hash.
        return hash((type(self).__name__, repr(serialize(self))))

    def __repr__(self) -> str:
        arguments = ", ".join(
            f"{name}={_short(value)}" for name, value in self.get_config().items()
        )
        return f"{type(self).__name__}({arguments})"


def serialize(value: Any) -> Any:
    """Turn a configurable object, or a value inside a config, into JSON values.

    Args:
        value: A `Configurable`, or None, bool, int, float, str, a path, a NumPy scalar or array, or
            a list, tuple or mapping of these.

    Returns:
        JSON values. A `Configurable` becomes `{"class_name": ..., "config": {...}}`.

    Raises:
        TypeError: If a value has no JSON form, such as a function.
    """
    if isinstance(value, Configurable):
        return {"class_name": type(value).__name__, "config": serialize(value.get_config())}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                # JSON would turn it into a text, which is another key.
                raise TypeError(
                    "Only mappings whose keys are texts can be saved; keep pairs in a list "
                    f"instead. Received: the key {key!r} of type {type(key).__name__} in {value!r}"
                )
        return {key: serialize(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [serialize(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        "Only JSON values, paths, arrays and configurable objects can be saved. Give the object a "
        f"`get_config` that returns such values. Received: {value!r} of type {type(value).__name__}"
    )


def classes_in(value: Any) -> dict[str, type]:
    """Class name -> class of every configurable object in a value: `custom_objects` for
    `deserialize`.
    """
    if isinstance(value, Configurable):
        return {**classes_in(value.get_config()), type(value).__name__: type(value)}
    items = (
        value.values()
        if isinstance(value, Mapping)
        else value
        if isinstance(value, list | tuple)
        else ()
    )
    return {name: cls for item in items for name, cls in classes_in(item).items()}


def deserialize(value: Any, custom_objects: Mapping[str, type] | None = None) -> Any:
    """Rebuild what `serialize` wrote.

    Args:
        value: JSON values.
        custom_objects: Class name -> class, for classes that are not this package's own.

    Raises:
        BundleError: If a named class is neither this package's own, nor in `custom_objects`, nor
            registered with Keras.
    """
    if isinstance(value, list):
        return [deserialize(item, custom_objects) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"class_name", "config"}:
        return {key: deserialize(item, custom_objects) for key, item in value.items()}
    cls = _find_class(value["class_name"], custom_objects or {})
    return cls.from_config(deserialize(value["config"], custom_objects))


def _find_class(name: str, custom_objects: Mapping[str, type]) -> type[Configurable]:
    found: Any = custom_objects.get(name) or _OWN_CLASSES.get(name)
    # Not imported for this: nothing can be registered with Keras before somebody imports it.
    keras = sys.modules.get("keras")
    if found is None and keras is not None:
        found = keras.saving.get_registered_object(name)
    if not (isinstance(found, type) and issubclass(found, Configurable)):
        raise BundleError(
            f"Unknown class {name!r}. Pass it as `custom_objects={{{name!r}: {name}}}`; it must be "
            "a class derived from Loader, Augmentation or another of this package's bases. "
            f"Received: class_name={name!r}"
        )
    return found


def _short(value: Any, limit: int = 60) -> str:
    text = f"array{value.shape}" if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
