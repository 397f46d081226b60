"""PyTorch's checkpoint files (torch.save since PyTorch 1.6) read without PyTorch and without running anything in them."""

import io
import math
import zipfile
from dataclasses import dataclass

import numpy as np

from utils.errors import UserError
from utils.files import read_bytes
from utils.pickles import unpickle

_DTYPES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1",
    "Bool": "?"}  # fmt: skip


@dataclass
class Tensor:
    """A tensor or a storage (N,), whose `array` lies outside the pickle and does not count as its content."""

    array: np.ndarray


def _view(storage, offset, size, stride, *_):
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


_CLASSES = {
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    **{("torch", f"{name}Storage"): dtype for name, dtype in _DTYPES.items()},
}


def load_torch(path):
    """What torch.save wrote, with a Tensor for each tensor. Raises UserError where the file is damaged or asks for more.

    The file is a zip archive of NAME/data.pkl and, stored as they are, NAME/data/KEY for each storage.
    """
    data = io.BytesIO(read_bytes(path))
    try:
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
            if not isinstance(number, str) or dtype not in _DTYPES.values():
                raise ValueError("a storage of unknown kind")
            if number not in storages:
                storages[number] = Tensor(np.frombuffer(archive.read(f"{folder}data/{number}"), dtype)[:count])
            return storages[number]

        return unpickle(archive.read(f"{folder}data.pkl"), path, _CLASSES, storage)
    except (zipfile.BadZipFile, LookupError, ValueError, TypeError, RuntimeError, EOFError) as error:
        raise UserError(f"{path}: not a usable PyTorch file ({' '.join(str(error).split())})") from error
