"""Files as PyTorch writes them, written without PyTorch."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class TorchPickler(pickle.Pickler):
    """Pickles NumPy arrays as torch.save does tensors, views as views of one storage; `storages` are left outside."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.storages = {}

    def reducer_override(self, value):
        if not isinstance(value, np.ndarray):
            return NotImplemented
        whole = value if value.base is None else value.base
        offset = (value.ctypes.data - whole.ctypes.data) // value.itemsize
        strides = tuple(step // value.itemsize for step in value.strides)
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (Storage(whole), offset, value.shape, strides, False, OrderedDict())

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = str(self.storages.setdefault(id(value.whole), (len(self.storages), value.whole))[0])
        kind = getattr(sys.modules["torch"], STORAGES[str(value.whole.dtype)])
        return ("storage", kind, key, "cpu", value.whole.size)


class Storage:
    def __init__(self, whole):
        self.whole = whole


@pytest.fixture
def torch_save(monkeypatch):
    """torch_save(value, path): a file as PyTorch since 1.6 writes it."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    utils._rebuild_tensor_v2 = types.FunctionType(compile("0", "", "eval"), {}, "_rebuild_tensor_v2")
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    utils._rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    for name in STORAGES.values():
        setattr(module, name, type(name, (), {"__module__": "torch"}))
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def save(value, path):
        file = io.BytesIO()
        pickler = TorchPickler(file)
        pickler.dump(value)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", file.getvalue())
            archive.writestr("archive/byteorder", "little")
            for number, whole in pickler.storages.values():
                archive.writestr(f"archive/data/{number}", whole.tobytes())
        return path

    return save
