"""Putting a mutant in the place of what it was made from: in a program that runs, or in one that starts."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any


def swap(module: ModuleType, qualified_name: str, source: bytes) -> None:
    """Exchange the code of one function of a module for what it is in `source`."""
    compiled = compile(source, str(module.__file__), "exec")
    code = next(each for each in _codes(compiled) if each.co_qualname == qualified_name)
    [function] = {each for each in _functions(module) if each.__code__.co_qualname == qualified_name}
    function.__code__ = code


def import_instead(module: str, path: str, source: bytes) -> None:
    """Have `module` be imported from `source`. It must not be imported yet."""
    assert module not in sys.modules
    sys.meta_path.insert(0, _Finder(module, _Loader(module, path, source)))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    for value in [*vars(module).values()]:
        if isinstance(value, type) and value.__module__ == module.__name__:
            for member in vars(value).values():
                yield from _unwrapped(member)
        else:
            yield from _unwrapped(value)


def _unwrapped(value: Any) -> Iterator[FunctionType]:
    """Yield the functions behind decorators and properties."""
    while value is not None:
        if isinstance(value, FunctionType):
            yield value
        value = next(filter(None, (getattr(value, name, None) for name in ("fget", "__func__", "__wrapped__"))), None)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, module: str, path: str, source: bytes) -> None:
        super().__init__(module, path)
        self._source = source

    def get_code(self, _fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, module: str, loader: _Loader) -> None:
        self._module, self._loader = module, loader

    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> Any:
        return importlib.util.spec_from_loader(fullname, self._loader) if fullname == self._module else None
