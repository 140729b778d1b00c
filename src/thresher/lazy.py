"""What is imported or read when it is first asked for, as torch takes seconds to import."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any


class Registry(Mapping[str, Any]):
    """Names and what they stand for, each imported when it is looked up.

    Args:
        places: a module and what it has, as in "package.module:Name", by name.

    Example:
        >>> Registry({"root": "math:sqrt"})["root"](9.0)
        3.0
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)

    def __getitem__(self, name: str) -> Any:
        module, _, own = self._places[name].partition(":")
        return getattr(import_module(module), own)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Late:
    """An attribute that may be set to a `partial`, which is called when it is first read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = getattr(instance, self._name)
        if isinstance(value, partial):
            value = value()
            setattr(instance, self._name, value)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        setattr(instance, self._name, value)


def exported(names: Mapping[str, str], package: dict[str, Any]) -> Callable[[str], Any]:
    """A `__getattr__` of a package that imports what is asked for, as in `Registry`."""
    registry = Registry(names)

    def get(name: str) -> Any:
        if name not in registry:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        package[name] = registry[name]
        return package[name]

    return get
