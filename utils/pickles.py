"""Pickles that may come from strangers, and PyTorch's files of them, read as data: nothing in them is ever run. No Paddle."""

import io
import math
import pickle
import re
import zipfile
from dataclasses import dataclass
from functools import partial

import numpy as np

from utils.damage import usable
from utils.files import read_bytes

MOST_OPERATIONS = 10_000_000  # of a pickle, each making some 100 bytes at most; a label file has four a sample


class _Dtype:
    """A NumPy type of numbers or texts, or of `objects`, as a pickle describes it."""

    def __init__(self, name, *_, objects=False):
        if not re.fullmatch(r"[<>=|]?([fiub][1248]|[SU]\d{1,5})" + r"|\|?O8?" * objects, name):
            raise ValueError(f"it holds values of NumPy's type {name!r:.20}")
        self.value = np.dtype(name)


OBJECT_ARRAYS = {("numpy", "dtype"): partial(_Dtype, objects=True)}  # for `more`: such an array becomes the list of its items


def _view(data, dtype, shape, order="C"):
    """Bytes as an array, which takes no memory of its own; raises ValueError where they do not fit the shape."""
    if not isinstance(data, bytes | bytearray):  # a view of an array would outlive its memory
        raise ValueError("it makes arrays of something other than bytes")
    return np.frombuffer(data, dtype.value).reshape(shape, order=order)


def _dict(pairs=()):
    """A dict of (key, value) pairs; nested tuples as keys could take for ever to hash."""
    pairs = list(pairs)
    if not all(isinstance(key, str) or (isinstance(key, int) and abs(key) < 2**60) for key, _ in pairs):
        raise ValueError("it has a key that is neither a text nor a number")
    return dict(pairs)


_MAKERS = {
    ("builtins", "tuple"): tuple,
    ("__builtin__", "tuple"): tuple,
    ("collections", "OrderedDict"): _dict,
    ("_codecs", "encode"): lambda text, _="latin1": text.encode("latin1"),  # how old pickles write bytes
    ("__builtin__", "bytes"): lambda: b"",
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): None,  # named as an argument, never called
}
for _core in ("numpy.core", "numpy._core"):
    # an array's shape and bytes follow as its state: no size is believed before that
    _MAKERS[f"{_core}.multiarray", "_reconstruct"] = lambda *_: _view(b"", _Dtype("i1"), 0)
    _MAKERS[f"{_core}.multiarray", "scalar"] = lambda dtype, data: _view(data, dtype, 1)[0]
    _MAKERS[f"{_core}.numeric", "_frombuffer"] = _view


_OPERATIONS = """PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT STRING BINSTRING
    SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 TUPLE EMPTY_TUPLE
    TUPLE1 TUPLE2 TUPLE3 LIST EMPTY_LIST APPEND APPENDS DICT EMPTY_DICT SETITEM SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET
    LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD BINPERSID"""


class _Unpickler(pickle._Unpickler):
    """Python's unpickler in its form written in Python, with those operations only that make plain data."""

    def refuse(self):
        raise ValueError("it does more than hold numbers, texts and lists")

    dispatch = dict.fromkeys(range(256), refuse)

    def __init__(self, data, makers, persistent_load):
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.makers, self.operations = makers, 0
        self.room = 2 * len(data)  # items and bytes that makers may be given
        self.persistent_load = persistent_load or self.persistent_load

    def find_class(self, module, name):
        if (module, name) not in self.makers:
            raise ValueError(f"it asks for {module}.{name}, which is no number, text or list")
        return self.makers[module, name]

    def load_reduce(self):
        arguments = self.stack.pop()
        self.room -= sum(len(argument) for argument in arguments if hasattr(argument, "__len__"))
        if self.room < 0:
            raise ValueError("it would grow out of proportion")
        self.stack[-1] = self.stack[-1](*arguments)

    def load_build(self):
        """Give an array or a type its state; attributes of a dict are left out."""
        state, value = self.stack.pop(), self.stack[-1]
        if isinstance(value, _Dtype):
            value.value = value.value.newbyteorder(state[1])
        elif isinstance(value, np.ndarray) and value.size == 0:  # of another, memory in use would go
            _, shape, dtype, order, data = state
            if dtype.value.hasobject and isinstance(data, list):  # its items have passed here like all else
                self.stack[-1] = data
                return
            value.__setstate__((1, _view(data, dtype, shape).shape, dtype.value, bool(order), data))
        elif not isinstance(value, dict):
            raise ValueError("it changes what is no data")

    def load_bytearray8(self):
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size)))  # Python's own takes the memory before it reads

    def load_dict(self):
        items = self.pop_mark()
        self.append({})
        self.load_items(items)

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self.load_items([key, value])

    def load_setitems(self):
        self.load_items(self.pop_mark())

    def load_items(self, items):
        self.stack[-1].update(_dict(zip(items[::2], items[1::2], strict=True)))


def _counted(load):
    def operation(self):
        self.operations += 1
        if self.operations > MOST_OPERATIONS:
            raise ValueError(f"it has more than {MOST_OPERATIONS} operations")
        load(self)

    return operation


for _name in _OPERATIONS.split():
    _code = getattr(pickle, _name)[0]
    _load = pickle._Unpickler.dispatch[_code].__name__
    _Unpickler.dispatch[_code] = _counted(getattr(_Unpickler, _load))


def unpickle(data, source, more=(), persistent_load=None):
    """The value of a pickle, given as bytes; `source` is named in errors. Nothing in it is ever run.

    Only dicts, lists, tuples, texts, numbers and NumPy arrays are let through, and what `more` maps (module, name) to;
    `persistent_load(key)` returns what a pickle keeps outside itself. Raises UserError where it is damaged or asks for more.
    """
    with usable(source, "not a usable file, damaged or of another kind ({})"):
        return _Unpickler(data, {**_MAKERS, **dict(more)}, persistent_load).load()


def load_pickle(path, limit=4 << 30):
    """Read a pickle (checkpoint, label file) that may come from a stranger, as `unpickle` does."""
    return unpickle(read_bytes(path, limit), path)


_STORAGE_TYPES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1",
    "Bool": "?"}  # fmt: skip


@dataclass
class Tensor:
    """A tensor or a storage (N,), whose `array` lies outside the pickle and does not count as its content."""

    array: np.ndarray


def _tensor_view(storage, offset, size, stride, *_):
    """A Tensor within a storage, as the file describes it; raises ValueError where it leaves the storage or is larger."""
    if not isinstance(storage, Tensor) or storage.array.ndim != 1 or len(size) != len(stride):
        raise ValueError("a tensor without a storage, or of two sizes")
    data = storage.array
    if not all(isinstance(number, int) and number >= 0 for number in (offset, *size, *stride)):
        raise ValueError(f"impossible view {size} with strides {stride}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) > len(data) or (0 not in size and last >= len(data)):
        raise ValueError(f"a view {size} needs more than the {len(data)} values stored")
    return Tensor(np.lib.stride_tricks.as_strided(data[offset:], size, [step * data.itemsize for step in stride]))


_TORCH_CLASSES = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor_view,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    **{("torch", f"{name}Storage"): dtype for name, dtype in _STORAGE_TYPES.items()},
}


def load_torch(path):
    """What torch.save wrote, with a Tensor for each tensor. Raises UserError where the file is damaged or asks for more.

    The file (since PyTorch 1.6) is a zip archive of NAME/data.pkl and, stored as they are, NAME/data/KEY for each storage.
    """
    data = io.BytesIO(read_bytes(path))
    with usable(path, "not a usable PyTorch file ({})"):
        archive = zipfile.ZipFile(data)
        names, entries, storages = archive.namelist(), archive.infolist(), {}
        folder = next(name for name in [*names, "data.pkl"] if name.endswith("data.pkl")).removesuffix("data.pkl")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("compressed entries")
        if sum(entry.file_size for entry in entries) > data.getbuffer().nbytes:
            raise ValueError("entries that share bytes")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("written on a big-endian machine")

        def storage(key):
            _, dtype, number, _, count = key
            if not isinstance(number, str) or dtype not in _STORAGE_TYPES.values():
                raise ValueError("a storage of unknown kind")
            if number not in storages:
                storages[number] = Tensor(np.frombuffer(archive.read(f"{folder}data/{number}"), dtype)[:count])
            return storages[number]

        return unpickle(archive.read(f"{folder}data.pkl"), path, _TORCH_CLASSES, storage)
