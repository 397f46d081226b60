"""PyTorch's checkpoint files read without PyTorch and without running anything in them (torch.save, zip and older format)."""

import io
import math
import zipfile

import numpy as np

from utils import UserError, read_bytes, unpickle

_OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickled number that such a file begins with
_DTYPES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1",
    "Bool": "?"}  # fmt: skip


class Tensor:
    """A view into a storage {dtype, data}, as the file describes it; `array()` takes its values."""

    def __init__(self, storage, offset, size, stride, *_):
        self.storage, self.offset, self.size, self.stride = storage, offset, tuple(size), tuple(stride)

    def array(self):
        """A view as NumPy array; raises ValueError where it leaves its storage or is larger than it."""
        data = np.frombuffer(self.storage["data"], self.storage["dtype"])
        numbers = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise ValueError(f"impossible view {self.size} with strides {self.stride}")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if math.prod(self.size) > len(data) or (0 not in self.size and last >= len(data)):
            raise ValueError(f"a view {self.size} needs more than the {len(data)} values stored")
        strides = [step * data.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.size, strides)


def _check_key(dtype, number):
    if not isinstance(number, str) or dtype not in _DTYPES.values():
        raise ValueError("a storage of unknown kind")


_CLASSES = {
    ("torch._utils", "_rebuild_tensor_v2"): Tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    **{("torch", f"{name}Storage"): dtype for name, dtype in _DTYPES.items()},
}


def is_torch_file(path):
    """Whether the file is one that torch.save wrote."""
    with open(path, "rb") as file:
        return file.read(len(_OLD_FORMAT)) == _OLD_FORMAT or zipfile.is_zipfile(path)


def load_torch(path):
    """What torch.save wrote, with a Tensor for each tensor. Raises UserError where the file is damaged or asks for more."""
    data = io.BytesIO(read_bytes(path))
    try:
        return _read_old(data, path) if data.getvalue().startswith(_OLD_FORMAT) else _read_zip(data, path)
    except (zipfile.BadZipFile, LookupError, ValueError, TypeError, RuntimeError, EOFError) as error:
        raise UserError(f"{path}: not a usable PyTorch file ({' '.join(str(error).split())})") from error


def _read_zip(data, path):
    """Format since PyTorch 1.6: NAME/data.pkl and, stored as they are, NAME/data/KEY for each storage."""
    archive = zipfile.ZipFile(data)
    name = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
    entries = archive.infolist()
    if name is None or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("no data.pkl in it" if name is None else "compressed entries")
    if sum(entry.file_size for entry in entries) > data.getbuffer().nbytes:
        raise ValueError("entries that share bytes")
    folder = name.removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
        raise ValueError("written on a big-endian machine")
    storages = {}

    def storage(key):
        _, dtype, number, _, count = key
        _check_key(dtype, number)
        if number not in storages:
            content = archive.read(f"{folder}data/{number}")
            storages[number] = {"dtype": dtype, "data": content[: count * np.dtype(dtype).itemsize]}
        return storages[number]

    return unpickle(io.BytesIO(archive.read(name)), path, _CLASSES, storage)


def _read_old(data, path):
    """Format before PyTorch 1.6: pickles of a magic number, version, system, value and keys; then the storages."""
    storages = {}

    def storage(key):
        _, dtype, number, _, _, view = key
        _check_key(dtype, number)
        if view is not None:
            raise ValueError("views of storages are not supported; save it with a newer PyTorch")
        return storages.setdefault(number, {"dtype": dtype, "data": b""})

    for _ in range(3):
        unpickle(data, path)
    value = unpickle(data, path, _CLASSES, storage)
    for number in unpickle(data, path):
        count = int.from_bytes(data.read(8), "little", signed=True)
        size = count * np.dtype(storages[number]["dtype"]).itemsize
        storages[number]["data"] = data.read(max(size, 0))
        if len(storages[number]["data"]) != size:
            raise EOFError("it ends within a storage")
    return value
