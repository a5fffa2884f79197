"""What a kernel function is made of, without running it: a hash over all that tracing it can read.

That is the code and the text of the function and of every function and class it reaches through globals, closures,
defaults and arguments, the values of constants, and of modules whatever has a name that this code mentions. This
package and Python itself count by version. Names are over-estimated (those of attributes count, too), and whatever is
not known to be fully covered raises `Unknown`: files, environment, clocks, devices, names made at run time, objects
with hidden state. Tracing the function then tells what it is.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import linecache
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.frontend.macro import Macro
from tilelang_mlir.frontend.trace import enclosing_names

_PLAIN = (int, float, complex, str, bytes, bool, type(None), type(Ellipsis), range)
_PACKAGE = "tilelang_mlir"
# Parts of this package that read nothing but their arguments.
_PURE = tuple(f"{_PACKAGE}.{part}" for part in (
    "language", "frontend", "layout", "dialect.layout", "dtypes", "compiler.pass_configs", "jit.decorator",
    "compat.modules.math",
))  # fmt: skip
_PURE_MODULES = {f"{_PACKAGE}.language", f"{_PACKAGE}.layout", f"{_PACKAGE}.dtypes", f"{_PACKAGE}.jit"}
# Libraries whose functions and classes give the same for the same arguments.
_LIBRARIES = {"math", "cmath", "_functools", "functools", "itertools", "collections", "typing", "enum", "dataclasses",
              "_operator", "numbers", "types", "fractions"}  # fmt: skip
# What finds names or state that no list of names shows.
_DYNAMIC = {
    "globals", "locals", "vars", "dir", "eval", "exec", "compile", "getattr", "setattr", "delattr", "hasattr", "id",
    "hash", "open", "input", "print", "__import__", "breakpoint", "memoryview", "__dict__", "__globals__", "__code__",
    "__closure__", "__defaults__", "__builtins__", "__getattribute__", "__subclasses__", "attrgetter", "methodcaller",
    "format", "format_map", "get_type_hints",
}  # fmt: skip
_GENERATED = {
    "__dict__", "__weakref__", "__doc__", "__annotations__", "__annotate_func__", "__annotations_cache__",
    "__match_args__", "__static_attributes__", "__firstlineno__", "__dataclass_fields__", "__dataclass_params__",
    "__parameters__", "__orig_bases__", "__slots__",
}  # fmt: skip
_TEXT_ANNOTATIONS = 0x1000000  # the flag of `from __future__ import annotations`
_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_LIMIT = 2000  # values: a function that reaches more reaches a library


class Unknown(Exception):
    """Something is reachable whose effect on the program cannot be told without running it."""


def program_key(
    func: Callable[..., Any], given: object, settings: Mapping[str, object], scope: Iterable[str] = ()
) -> str:
    """The hash of a function with compile-time arguments `given`; `settings` are what else the program depends on.

    `scope` has the names of the function around that annotations as text may mean.

    Raises:
        Unknown: the function reaches what cannot be hashed.
    """
    walk = _Walk(scope)
    walk.value(func)
    walk.value(given)
    walk.finish()
    walk.note("settings", sys.version, sorted(settings.items()))
    return hashlib.sha256("\n".join(walk.parts).encode(errors="surrogatepass")).hexdigest()


class _Walk:
    """What has been reached so far, as text, and the names that occur in the code."""

    def __init__(self, scope: Iterable[str] = ()) -> None:
        self._scope = frozenset(scope)
        self.parts: list[str] = []
        self.names: dict[str, None] = {}
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []  # so that no address is used twice
        self._modules: dict[types.ModuleType, set[str]] = {}

    def note(self, *what: object) -> None:
        self.parts.append(repr(what))
        if len(self.parts) > _LIMIT:
            raise Unknown("too much is reachable")

    def finish(self) -> None:
        """Look up names in modules until nothing new is found: any code may read an attribute of any module."""
        done = -1
        while done != len(self.parts):
            done = len(self.parts)
            for module, seen in list(self._modules.items()):
                for name in [name for name in self.names if name not in seen]:
                    seen.add(name)
                    self._attribute(module, name)

    def _attribute(self, module: types.ModuleType, name: str) -> None:
        found = vars(module).get(name, self)
        if module.__name__ == _PACKAGE and name in dir(module):
            found = getattr(module, name)  # imported when it is used
        elif found is self:
            if "__getattr__" in vars(module) and not _is_own(module.__name__):
                raise Unknown(f"{module.__name__} makes its attributes when they are read")
            return
        self.note("attribute", module.__name__, name)
        self.value(found)

    # Values -------------------------------------------------------------------------------------------------------

    def value(self, value: Any) -> None:
        """Note a value. Raises Unknown when it is of no known kind."""
        kind: type = type(value)
        if kind in _PLAIN:
            self.note(kind.__name__, value)
            return
        number = self._numbers.get(id(value))
        if number is not None:
            self.note("again", number)
            return
        self._numbers[id(value)] = len(self._kept)
        self._kept.append(value)
        self._object(value, kind)

    def _object(self, value: Any, kind: type) -> None:
        if kind in (list, tuple):
            self.note(kind.__name__, len(value))
            self.values(value)
        elif kind is dict:
            self.note("dict", len(value))
            self.values(item for pair in value.items() for item in pair)
        elif kind in (set, frozenset):
            self._set(value)
        elif kind is slice:
            self.note("slice")
            self.values((value.start, value.stop, value.step))
        elif kind is types.FunctionType:
            self.function(value)
        elif isinstance(value, type):
            self._class(value)
        elif kind is types.ModuleType or isinstance(value, types.ModuleType):
            self._module(value)
        elif kind is types.BuiltinFunctionType:
            self._builtin(value)
        elif kind is types.MethodType:
            self.note("method")
            self.values((value.__func__, value.__self__))
        else:
            self._instance(value, kind)

    def values(self, values: Iterable[Any]) -> None:
        for value in values:
            self.value(value)

    def _set(self, value: Any) -> None:
        if any(type(item) not in _PLAIN for item in value):
            raise Unknown("a set of objects")
        self.note("set", sorted(map(repr, value)))

    def _module(self, module: types.ModuleType) -> None:
        name = module.__name__
        if _is_own(name) and name != _PACKAGE and name not in _PURE_MODULES:
            if not name.startswith(_PURE):
                raise Unknown(f"{name} may look at the machine")
            self.note("part", name)
            return
        self.note("module", name)
        self._modules.setdefault(module, set())

    def _builtin(self, function: Any) -> None:
        owner = function.__self__
        module = function.__module__
        if owner is not None and not isinstance(owner, types.ModuleType):
            raise Unknown("a method of an object in C")
        if function.__name__ in _DYNAMIC or module not in (*_LIBRARIES, "builtins"):
            raise Unknown(f"{module}.{function.__name__}")
        self.note("builtin", module, function.__qualname__)

    def _instance(self, value: Any, kind: type) -> None:
        module = kind.__module__
        if isinstance(value, enum.Enum):
            self.note("member", value.name)
            self.values((value.value, kind))
        elif isinstance(value, DType):
            self.note("dtype", kind.__qualname__, str(value))
        elif isinstance(value, Macro):
            self.note("macro")
            self.value(value.func)
        elif kind.__module__ == f"{_PACKAGE}.jit.decorator":
            self.note("kernel")
            self.values((value.func, value.options))
        elif _is_numpy_scalar(kind):
            self.note("number", kind.__name__, repr(value))
        elif kind is functools.partial:
            self.note("partial")
            self.values((value.func, value.args, value.keywords))
        elif module == "torch" and kind.__name__ == "dtype":
            self.note("torch", repr(value))
        elif _is_own(module):
            self._own(value, kind)
        elif module == "typing" or kind in (types.GenericAlias, types.UnionType):
            self.note("annotation", getattr(value, "__name__", None) or str(getattr(value, "__origin__", value)))
            self.values(getattr(value, "__args__", ()))
        elif isinstance(value, tuple) and hasattr(kind, "_fields"):
            self.note("named tuple")
            self.values((kind, *value))
        else:
            self._state(value, kind)

    def _own(self, value: Any, kind: type) -> None:
        """An object of this package: what `T` has by a name, or plain data."""
        name = _own_names().get(id(value))
        if name is not None:
            self.note("T", name)
        elif dataclasses.is_dataclass(kind) and module_is_pure(kind.__module__):
            self.note("data", kind.__module__, kind.__qualname__)
            self.values(getattr(value, field.name) for field in dataclasses.fields(kind))
        else:
            raise Unknown(f"a {kind.__qualname__}")

    def _state(self, value: Any, kind: type) -> None:
        """An object of a class in Python, whose state is in its dictionary and slots."""
        written = [base for base in kind.__mro__ if base not in (object, typing.Generic)]
        if any(_is_known(base) or not {"__getattr__", "__getattribute__"}.isdisjoint(vars(base)) for base in written):
            raise Unknown(f"a {kind.__qualname__}")
        slots = [name for base in written for name in _slots(base)]
        self.note("object", sorted(slots))
        self.value(kind)
        self.values(getattr(value, name, None) for name in sorted(slots))
        self.value(getattr(value, "__dict__", None))

    # Code ---------------------------------------------------------------------------------------------------------

    def function(self, function: Any) -> None:
        """Note a function: its code and text, and what it reads from outside."""
        module = function.__module__ or ""
        if _is_own(function.__globals__.get("__name__", "")) or _of_library(function):
            if not (module_is_pure(module) or module in _LIBRARIES):
                raise Unknown(f"{module}.{function.__qualname__}")
            if "<locals>" in function.__qualname__ and _own_names().get(id(function)) is None:
                raise Unknown(f"{function.__qualname__} of {module}")
            self.note("function", module, function.__qualname__, _own_names().get(id(function)))
            return
        code = function.__code__
        self.note("function", function.__qualname__, code.co_filename, _text(function))
        names = self._code(code)
        words = self._annotations(function, code)
        self.values((function.__defaults__, function.__kwdefaults__, vars(function)))
        self.values(value for value in function.__annotations__.values() if type(value) is not str)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                self.value(cell.cell_contents)
            except ValueError:
                raise Unknown(f"{name} has no value yet") from None
        self._globals(function, names | words)

    def _globals(self, function: Any, names: set[str]) -> None:
        space = function.__globals__
        builtins = space.get("__builtins__", {})
        fallback = vars(builtins) if isinstance(builtins, types.ModuleType) else builtins
        for name in sorted(names):
            if name in space:
                self.note("global", name)
                self.value(space[name])
            elif name in fallback:
                self.note("global", name)
                self.value(fallback[name])

    def _code(self, code: types.CodeType) -> set[str]:
        """Note a code object and those inside; returns the names it mentions."""
        names = set(code.co_names)
        dynamic = names & _DYNAMIC
        if dynamic:
            raise Unknown(f"{code.co_name} uses {', '.join(sorted(dynamic))}")
        if not _OUTSIDE.isdisjoint(code.co_code[::2]):
            raise Unknown(f"{code.co_name} imports, or assigns global names")
        self.names.update(dict.fromkeys(code.co_names))
        self.note(
            "code", code.co_name, code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
            code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_firstlineno,
            getattr(code, "co_exceptiontable", b""),
        )  # fmt: skip
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                names |= self._code(constant)
            else:
                self.value(constant)
        return names

    def _annotations(self, function: Any, code: types.CodeType) -> set[str]:
        """The names in annotations that are text: they are looked up where the function is defined, when it runs."""
        if not code.co_flags & _TEXT_ANNOTATIONS:
            if any(type(value) is str for value in function.__annotations__.values()):
                raise Unknown("annotations as text")
            return set()
        texts = [*_strings(code), *(text for text in function.__annotations__.values() if type(text) is str)]
        words = {word for text in texts for word in _WORD.findall(text)}
        around = (self._scope | set(enclosing_names(function))) & words
        if around - set(code.co_varnames) - set(code.co_cellvars) - set(code.co_freevars):
            raise Unknown(f"annotations name {', '.join(sorted(around))} of a function around")
        self.names.update(dict.fromkeys(word for text in texts for word in re.findall(r"[A-Za-z_]\w*", text)))
        return words

    def _class(self, kind: type) -> None:
        module = kind.__module__
        if _is_known(kind):
            if kind.__name__ in _DYNAMIC:
                raise Unknown(kind.__name__)
            self.note("class", module, kind.__qualname__)
            return
        if _is_own(module) or type(kind) not in (type, enum.EnumMeta):
            raise Unknown(f"the class {kind.__qualname__}")
        self.note("class", module, kind.__qualname__, len(kind.__bases__))
        self.values(kind.__bases__)
        private = issubclass(kind, enum.Enum)  # names like _this_ are those of the library
        data = dataclasses.is_dataclass(kind)
        for name, member in vars(kind).items():
            if name in _GENERATED or private and name.startswith("_") and name.endswith("_"):
                continue
            if data and _is_generated(name, member):
                continue
            self.note("member", name)
            self._member(member)
        if data:
            for field in dataclasses.fields(kind):
                self.note("field", field.name, field.init, field.kw_only)
                if field.default_factory is not dataclasses.MISSING:
                    self.value(field.default_factory)

    def _member(self, member: Any) -> None:
        if isinstance(member, (staticmethod, classmethod)):
            self.note(type(member).__name__)
            self.value(member.__func__)
        elif isinstance(member, property):
            self.note("property")
            self.values((member.fget, member.fset, member.fdel))
        elif isinstance(member, functools.cached_property):
            self.note("cached property")
            self.value(member.func)
        elif isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType)):
            self.note("slot")
        else:
            self.value(member)


def module_is_pure(name: str) -> bool:
    """Whether a module of this package reads nothing but arguments."""
    return any(name == part or name.startswith(f"{part}.") for part in _PURE)


def _is_own(name: str) -> bool:
    """Whether a module is part of the compiler. Ready kernels are programs like those of users."""
    return (name == _PACKAGE or name.startswith(f"{_PACKAGE}.")) and not name.startswith(f"{_PACKAGE}.ops")


def _is_known(kind: type) -> bool:
    """Whether a class counts by its name: it is part of Python, numpy, or the language."""
    module = kind.__module__
    return module == "builtins" or module in _LIBRARIES or module_is_pure(module) or _is_numpy_scalar(kind)


def _opcodes(*names: str) -> frozenset[int]:
    import opcode

    return frozenset(opcode.opmap[name] for name in names if name in opcode.opmap)


_OUTSIDE = _opcodes("IMPORT_NAME", "IMPORT_FROM", "IMPORT_STAR", "STORE_GLOBAL", "DELETE_GLOBAL")


@functools.lru_cache(maxsize=1)
def _own_names() -> dict[int, str]:
    """What `T` has by which name, by address: the objects of this package live as long as it does."""
    from tilelang_mlir import language

    own: dict[int, str] = {}
    for name, value in vars(language).items():
        if (getattr(value, "__module__", None) or "").startswith(_PACKAGE):
            own[id(value)] = name
    return own


def _text(function: Any) -> str:
    """The lines of a function as the front end reads them."""
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    return "".join(lines[code.co_firstlineno - 1 : _last_line(code)])


def _last_line(code: types.CodeType) -> int:
    own = max((line for _, _, line in code.co_lines() if line), default=code.co_firstlineno)
    return max([own, *(_last_line(inner) for inner in code.co_consts if isinstance(inner, types.CodeType))])


def _strings(code: types.CodeType) -> Iterable[str]:
    """All strings among the constants of a code object."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _strings(constant)
        elif isinstance(constant, tuple):
            yield from (item for item in constant if isinstance(item, str))
        elif isinstance(constant, str):
            yield constant


def _of_library(function: Any) -> bool:
    return function.__globals__.get("__name__") in _LIBRARIES


_MADE = {"__init__", "__repr__", "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__setattr__",
         "__delattr__", "__replace__"}  # fmt: skip


def _is_generated(name: str, member: Any) -> bool:
    """Whether a member of a dataclass was made by the decorator, from what the fields say."""
    if name not in _MADE or not isinstance(member, types.FunctionType):
        return False
    return member.__code__.co_filename == "<string>" or member.__globals__["__name__"] in ("dataclasses", "reprlib")


def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    return [slots] if isinstance(slots, str) else list(slots)


def _is_numpy_scalar(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(kind, numpy.generic) and kind.__module__ == "numpy"
