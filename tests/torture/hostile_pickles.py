"""Pickles and PyTorch files that mean harm or are damaged, yielded as (the rule that is broken, bytes)."""

import io
import pickle
import random
import struct
import zipfile

MEMOIZE, GET_0 = b"\x94", b"h\x00"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def whole(value):
    return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else b"L%dL\n" % value


def raw(value):
    return b"B" + struct.pack("<I", len(value)) + value


def group(*parts):
    return b"(" + b"".join(parts) + b"t"


def call(place, *arguments):
    """A pickle's call of `module.name`."""
    module, name = place.rsplit(".", 1)
    return f"c{module}\n{name}\n".encode() + group(*arguments) + b"R"


def dtype(name):
    return call("numpy.dtype", text(name), b"\x89", b"\x88")


def array(kind, shape, data):
    """A pickle's array of type `kind` (bytes that make one), `shape` and `data` (bytes that make them)."""
    start = call("numpy.core.multiarray._reconstruct", b"cnumpy\nndarray\n", group(whole(0)), raw(b"b"))
    return start + group(whole(1), group(*map(whole, shape)), kind, b"\x89", data) + b"b"


RUNS = {  # what a hostile pickle may ask for, each of which would leave a file `hacked`
    **{f"{module}.system": ("touch hacked",) for module in ("os", "posix")},
    **{f"subprocess.{name}": ("touch hacked",) for name in ("getoutput", "getstatusoutput")},
    **{f"builtins.{name}": ("open('hacked','w')",) for name in ("eval", "exec")},
    **{f"__builtin__.{name}": ("open('hacked','w')",) for name in ("eval", "execfile")},
    "builtins.open": ("hacked", "w"),
    "io.open": ("hacked", "w"),
    "os.mkdir": ("hacked",),
    "os.popen": ("touch hacked",),
    "pathlib.Path.touch": ("hacked",),
    "builtins.__import__": ("antigravity",),
    "importlib.import_module": ("antigravity",),
    "builtins.getattr": ("x", "__class__"),
    "operator.methodcaller": ("touch",),
    "functools.partial": ("x",),
    "pickle.loads": ("x",),
    "marshal.loads": ("x",),
    "types.FunctionType": ("x",),
    "ctypes.CDLL": ("libc.so.6",),
    "runpy.run_path": ("hacked.py",),
    "timeit.timeit": ("open('hacked','w')",),
    "code.interact": ("x",),
    "webbrowser.open": ("file:///",),
    "numpy.load": ("hacked",),
    "numpy.fromfile": ("hacked",),
    "numpy.core.multiarray.fromfile": ("hacked",),
    "numpy.memmap": ("hacked", "u1", "w+"),
    "numpy.testing._private.utils.runstring": ("open('hacked','w')", "x"),
    "paddle.load": ("hacked",),
    "torch.load": ("hacked",),
    "utils.os.system": ("touch hacked",),
    "main.main": ("x",),
}


def hostile_pickles():
    """Yield (rule, bytes) of pickles that would run something, take all memory or never end."""
    system = call("os.system", text("touch hacked"))
    for place, arguments in RUNS.items():
        yield f"asks for {place}", b"\x80\x04" + call(place, *map(text, arguments)) + b"."
    places = {
        "a list": b"]" + system + b"a",
        "a dict": b"}" + text("model") + system + b"s",
        "a key": b"}" + system + b"Ns",
        "weights": b"}" + text("model") + b"}" + text("classifier.fc.bias") + group(text("x"), system) + b"ss",
        "a tuple's arguments": call("builtins.tuple", b"]" + system + b"a"),
        "an array's state": array(dtype("f4"), (1,), system),
        "an array's type": array(system, (1,), raw(bytes(4))),
        "a type's state": dtype("f4") + group(system) + b"b",
        "a number's bytes": call("numpy.core.multiarray.scalar", dtype("f4"), system),
        "labels": group(b"]", system, b"]"),
    }
    for place, content in places.items():
        yield f"calls os.system in {place}", b"\x80\x04" + content + b"."
    yield "calls os.system as an instance", b"(" + text("touch hacked") + b"ios\nsystem\n."
    yield "calls os.system as an object", b"(cos\nsystem\n" + text("touch hacked") + b"o."
    yield "calls os.system as a new object", b"\x80\x04cos\nsystem\n" + group(text("touch hacked")) + b"\x81."
    yield "calls os.system by names on the stack", b"\x80\x04" + text("os") + text("system") + b"\x93" + group() + b"R."
    yield "names a module of another path", b"\x80\x04" + call("os.path.os.system", text("touch hacked")) + b"."
    yield "extension code", b"\x80\x02\x82\x01."
    yield "data outside the file", b"\x80\x04" + text("x") + b"Q."
    yield "data outside the file, by name", b"Px\n."
    yield "buffer outside the file", b"\x80\x05\x97."
    yield "attribute of a maker", b"c_codecs\nencode\n" + group(b"N", b"}" + text("__code__") + b"Ns") + b"b."
    yield "set", b"\x80\x04\x8f."
    yield "frozen set", b"\x80\x04(\x91."
    yield "array of objects", b"\x80\x04" + array(dtype("O8"), (1,), b"]}a") + b"."
    yield "huge array of objects", b"\x80\x04" + array(dtype("O8"), (10**11,), b"]") + b"."
    yield "structured array", b"\x80\x04" + array(dtype("V100"), (1,), raw(bytes(100))) + b"."
    yield "array larger than its bytes", b"\x80\x04" + array(dtype("f8"), (10**11,), raw(bytes(8))) + b"."
    yield "array of negative size", b"\x80\x04" + array(dtype("f8"), (-1, 3), raw(bytes(8))) + b"."
    yield "array of more than 64 axes", b"\x80\x04" + array(dtype("f8"), (1,) * 70, raw(bytes(8))) + b"."
    yield "array whose bytes are an array", b"\x80\x04" + array(dtype("i1"), (2,), array(dtype("i1"), (2,), raw(b"ab"))) + b"."
    yield "array without a type", b"\x80\x04" + array(b"N", (1,), raw(bytes(8))) + b"."
    yield "array of a type with fields", b"\x80\x04" + array(call("numpy.dtype", b"]"), (1,), raw(bytes(8))) + b"."
    yield "type of 2 GB", b"\x80\x04" + call("numpy.core.multiarray.scalar", dtype("V2000000000")) + b"."
    yield "huge array called by name", b"\x80\x04" + call("numpy.ndarray", group(whole(10**11))) + b"."
    yield "a terabyte of zeros", b"\x80\x02" + call("__builtin__.bytes", whole(10**12)) + b"."
    yield "type whose state changes it", dtype("f4") + group(whole(3), group(whole(8)), b"N", b"N", b"N", whole(400)) + b"b."
    ones = b"](" + b"N" * 1000 + b"e" + MEMOIZE
    yield "tuples that grow", b"\x80\x04" + ones + (b"cbuiltins\ntuple\n" + GET_0 + b"\x85R") * 1000 + b"."
    long = text("a" * 1000) + MEMOIZE
    yield "bytes that grow", b"\x80\x04" + long + (b"c_codecs\nencode\n" + GET_0 + b"\x85R") * 1000 + b"."
    doubling = b"".join(b"h%ch%c\x86" % (n, n) + MEMOIZE for n in range(80))
    yield "key that takes for ever to hash", b"\x80\x04)" + MEMOIZE + doubling + b"}h\x50Ns."
    yield "key that is a list", b"\x80\x04}]Ns."
    yield "number of 8,000 digits", pickle.dumps(7**9999)
    yield "number of 8,000 digits, written out", b"I" + b"7" * 8000 + b"\n."
    yield "text longer than the file", b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc."
    yield "bytes longer than the file", b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc."
    yield "byte array longer than the file", b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc."
    yield "frame longer than the file", b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N"
    yield "empty stack", b"0000."
    yield "empty stack, collected", b"\x80\x04\x87."
    yield "no mark", b"\x80\x04t."
    yield "takes from below a mark", b"\x80\x04N(\x85."
    yield "forgotten memo", b"\x80\x04h\x07."
    yield "list added to a number", b"\x80\x04K\x01(Ne."
    yield "odd number of keys and values", b"\x80\x04}(NNNu."
    yield "unknown operation", b"\x80\x04\xff."
    yield "no end", b"\x80\x04N"
    yield "not of ASCII", b"\x80\x04c\xff\xfe\n\n."


def damaged(data, seed=0, cuts=12):
    """Yield (rule, bytes) of a file that was cut, turned into another kind, or changed in single places."""
    rng = random.Random(seed)
    yield "empty", b""
    for part in range(1, cuts):
        yield f"cut after {part}/{cuts} of it", data[: len(data) * part // cuts]
    yield "last byte missing", data[:-1]
    yield "first byte missing", data[1:]
    yield "zeros", bytes(min(len(data), 10**6))
    yield "text", b"hello world\n"
    yield "HTML, as of an error page", b"<!DOCTYPE html><html><body>404</body></html>"
    yield "gzip", b"\x1f\x8b\x08\x00" + data[:1000]
    yield "zip", b"PK\x03\x04" + data[:1000]
    yield "noise", rng.randbytes(5000)


def torch_files(state):
    """Yield (rule, bytes) of wrong files in PyTorch's format."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + whole(4) + b"tQ"

    def tensor(size=(2, 2), stride=(2, 1), offset=0, place=storage):
        numbers = group(*map(whole, size)), group(*map(whole, stride))
        return call("torch._utils._rebuild_tensor_v2", place, whole(offset), *numbers, b"\x89", call("collections.OrderedDict"))

    def saved(content, name="a/data.pkl", compress=zipfile.ZIP_STORED, **more):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compress) as archive:
            archive.writestr(name, b"\x80\x02" + content + b".")
            for path, data in {"a/data/0": bytes(16), **more}.items():
                archive.writestr(path, data)
        return file.getvalue()

    def weights(part):
        return b"}" + text("model") + b"}" + text("classifier.fc.bias") + part + b"ss"

    yield from damaged(saved(weights(tensor())))
    yield "weights of another network", saved(weights(tensor()))
    for what, numbers in {
        "larger than its storage": {"size": (100, 100)}, "beyond its storage": {"offset": 2}, "of negative size": {"size": (-1, 2)},
        "of negative strides": {"stride": (-2, 1)}, "of one size and two strides": {"size": (2,)}, "of 10**12 equal values": {
            "size": (10**6, 10**6), "stride": (0, 0)}, "of huge strides": {"stride": (2**40, 1)}, "of huge offset": {"offset": 2**40},
    }.items():  # fmt: skip
        yield f"a tensor {what}", saved(weights(tensor(**numbers)))
    for what, place in {
        "of objects": storage.replace(b"ctorch\nFloatStorage\n", text("O")), "of a type that runs": storage.replace(
            b"ctorch\nFloatStorage\n", b"cos\nsystem\n"), "of an unknown kind": storage.replace(b"Float", b"Quantum"),
        "that is missing": storage.replace(text("0") + text("cpu"), text("9") + text("cpu")),
        "outside the archive": storage.replace(text("0") + text("cpu"), text("../../0") + text("cpu")),
        "named by a number": storage.replace(text("0") + text("cpu"), whole(0) + text("cpu")), "of no size": storage.replace(
            whole(4), b"N"), "that is no storage": text("x") + b"Q", "that is a tuple": group(),
    }.items():  # fmt: skip
        yield f"a storage {what}", saved(weights(tensor(place=place)))
    yield "no data.pkl", saved(weights(tensor()), "a/other.pkl")
    yield "compressed", saved(weights(tensor()), compress=zipfile.ZIP_DEFLATED)
    yield "of a big-endian machine", saved(weights(tensor()), **{"a/byteorder": b"big"})
    yield "no weights", saved(b"}")
    yield "a list", saved(b"]")
    yield "holds itself", saved(b"}" + MEMOIZE + text("model") + GET_0 + b"s")
    for rule, data in hostile_pickles():
        if rule.startswith("calls os.system in") and data[:2] == b"\x80\x04":
            yield f"PyTorch: {rule}", saved(data[2:-1])
    old = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    yield "old format: cut", old
    yield "old format: calls os.system", old + b"cos\nsystem\n(Vtouch hacked\ntR."
    yield "old format: storage without end", old + b"\x80\x02]." + pickle.dumps(["0"], 2) + struct.pack("<q", 2**60)
    yield "old format: storages of unknown names", old + b"\x80\x02]." + pickle.dumps([[[]], "x"], 2)
    yield "old format: storages are a number", old + b"\x80\x02]." + pickle.dumps(3, 2)
