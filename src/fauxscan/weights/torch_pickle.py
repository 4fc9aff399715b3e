"""Read PyTorch pickles as data: a small stack machine builds tuples, lists, dictionaries and tensors. It calls nothing.

Python's own unpickler with a list of allowed names would still let a file set attributes, allocate any amount of memory
and crash the interpreter with deeply nested keys. Here every opcode that torch does not write for a state dict is
refused.
"""

import itertools
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

MOST_OPCODES = 250_000  # a ResNet-50 with the state of its optimiser has about 50,000
MOST_DIMENSIONS = 8
ITEMS = {  # torch's name of a storage -> NumPy's name of its element type
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "|i1",
    "torch ByteStorage": "|u1",
    "torch BoolStorage": "|b1",
}
ORDERED, SIZE = "collections OrderedDict", "torch Size"
TENSOR, PARAMETER = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"


class NotData(ValueError):
    """The pickle contains something that no state dict needs."""


@dataclass(frozen=True)
class Name:
    """A global name that a pickle may mention; it is never looked up."""

    text: str


@dataclass(frozen=True)
class Storage:
    """The memory of tensors: `count` elements of the NumPy type `item`."""

    key: str
    item: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """A view into a storage; offset and strides are in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pickle(stream: IO[bytes]) -> tuple[Any, dict[str, Storage]]:
    """Return the value of the next pickle and the storages it names. Raise NotData, or ValueError if it is damaged."""
    machine = _Machine()
    for opcode, argument, _ in itertools.islice(pickletools.genops(stream), MOST_OPCODES):
        if opcode.name == "STOP":
            return machine.pop(), machine.storages
        machine.step(opcode.name, argument)
    raise NotData(f"it is longer than {MOST_OPCODES} steps")


class _Machine:
    """The stack, marks and memo of a pickle machine, with the opcodes that a state dict needs."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Execute one opcode. Raise NotData if a state dict does not need it."""
        if opcode in LITERALS:
            self.stack.append(argument)
        elif opcode in FRESH:
            self.stack.append(FRESH[opcode]())
        elif opcode in STEPS:
            STEPS[opcode](self, argument)
        else:
            raise NotData(f"it holds the instruction {opcode}, which no state dict needs")

    def pop(self) -> Any:
        """Remove and return the top of the stack. Raise NotData if nothing lies above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise NotData("its stack runs empty")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        """Return the top of the stack without removing it. Raise NotData if it has another type."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise NotData(f"it treats another object as a {kind.__name__}")
        return self.stack[-1]

    def above_mark(self) -> list[Any]:
        """Remove the last mark and everything above it; return the latter."""
        if not self.marks:
            raise NotData("it has no mark")
        start = self.marks.pop()
        items, self.stack[start:] = self.stack[start:], []
        return items

    def last(self, count: int) -> tuple[Any, ...]:
        """Remove and return the last `count` values, in order."""
        return tuple(reversed([self.pop() for _ in range(count)]))

    def name(self, text: str) -> None:
        """Push a global name. Raise NotData unless tensors need it."""
        if text not in {ORDERED, SIZE, TENSOR, PARAMETER, *ITEMS}:
            raise NotData(f"it names `{text.replace(' ', '.')}`: code or an object, not an array")
        self.stack.append(Name(text))

    def recall(self, index: int) -> None:
        """Push the value stored under an index of the memo."""
        if index not in self.memo:
            raise NotData("it recalls a value that it never stored")
        self.stack.append(self.memo[index])

    def remember(self, index: int) -> None:
        """Store the top of the stack under an index of the memo."""
        if not self.stack:
            raise NotData("its stack runs empty")
        self.memo[index] = self.stack[-1]

    def put(self, items: list[Any]) -> None:
        """Put keys and values into the dictionary on top. Keys are texts or numbers, never nested objects."""
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int):
                raise NotData("a key is neither a text nor a number")
            target[key] = value

    def describe(self) -> None:
        """Drop the attributes set on a dictionary: torch stores the versions of layers in them."""
        self.pop()
        self.top(dict)

    def reduce(self) -> None:
        """Push the object that a name and its arguments stand for."""
        name, arguments = self.last(2)
        if type(name) is not Name or type(arguments) is not tuple:
            raise NotData("it calls something that is not a name")
        self.stack.append(_made(name.text, arguments))

    def storage(self) -> None:
        """Push the storage that a persistent id stands for."""
        storage = _storage(self.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise NotData(f"it describes the storage {storage.key} in two ways")
        self.stack.append(storage)


LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "BINSTRING", "SHORT_BINSTRING"}
FRESH: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": lambda machine, _: None,
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.above_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(machine.last(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.last(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.last(3)),
    "APPEND": lambda machine, _: [items := machine.last(1), machine.top(list).extend(items)],
    "APPENDS": lambda machine, _: [items := machine.above_mark(), machine.top(list).extend(items)],
    "SETITEM": lambda machine, _: machine.put(list(machine.last(2))),
    "SETITEMS": lambda machine, _: machine.put(machine.above_mark()),
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": _Machine.name,
    "BUILD": lambda machine, _: machine.describe(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BINPERSID": lambda machine, _: machine.storage(),
}


def _made(name: str, arguments: tuple[Any, ...]) -> Any:
    if name == ORDERED and not arguments:
        return {}
    if name == SIZE and len(arguments) == 1:
        return _counts(arguments[0])
    if name == PARAMETER and arguments and type(arguments[0]) is Tensor:
        return arguments[0]
    if name == TENSOR and len(arguments) >= 4 and type(arguments[0]) is Storage:
        (offset,) = _counts((arguments[1],))
        return _checked(Tensor(arguments[0], offset, _counts(arguments[2]), _counts(arguments[3])))
    raise NotData(f"it gives `{name.replace(' ', '.')}` arguments that torch does not give it")


def _checked(tensor: Tensor) -> Tensor:
    """Return the tensor. Raise NotData if it reaches beyond its storage."""
    if len(tensor.shape) != len(tensor.strides):
        raise NotData("a tensor has a different number of strides and dimensions")
    reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if 0 not in tensor.shape and tensor.offset + reach >= tensor.storage.count:
        raise NotData("a tensor reaches beyond its storage")
    return tensor


def _storage(identity: Any) -> Storage:
    """Return the storage of ("storage", type, key, device, count); old files add a view, which must be None."""
    if type(identity) is not tuple or len(identity) not in (5, 6) or identity[5:] not in ((), (None,)):
        raise NotData("it refers to something that is not a storage")
    word, kind, key, _, count = identity[:5]
    if type(word) is not str or word != "storage" or type(kind) is not Name or kind.text not in ITEMS:
        raise NotData("it refers to something that is not a storage")
    if type(key) is not str or not (key.isascii() and key.isalnum()):
        raise NotData("a storage has a name that torch does not give")
    return Storage(key, ITEMS[kind.text], _counts((count,))[0])


def _counts(values: Any) -> tuple[int, ...]:
    """Return a tuple of counts. Raise NotData for anything else, and for more dimensions than a tensor has."""
    if type(values) is not tuple or len(values) > MOST_DIMENSIONS:
        raise NotData("a shape is not a tuple, or longer than any tensor's")
    if not all(type(value) is int and value >= 0 for value in values):
        raise NotData("a size is not a count")
    return values
