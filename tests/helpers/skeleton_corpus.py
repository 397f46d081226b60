"""Small `.skeleton` files, right and wrong in every way we know of, made from a seed."""

import gzip

import numpy as np

NAME = "S001C002P003R002A013.skeleton"
BAD_NUMBERS = (
    *("nan", "NaN", "inf", "-inf", "Infinity", "1e400", "-1e400", "1" + "0" * 400, "abc", "1,5", "1.2.3", "--1", "+-1"),
    *("1e", "e5", ".", "-", "0x19", "0x1p3", "1_0", "1f", "true", "null", '"1"', "[1]", "[1", "1]", "{}", '{"a":1}', "1;"),
    *("٣", "½", "１", "1\xa0", "1:", "\\1", "%d", "{0}", "\0", "\x1b[31m", "\x7f"),
)  # fmt: skip
NOT_FINITE = BAD_NUMBERS[:8]  # no damage in fields that nobody uses
BAD_COUNTS = ("-1", "-25", "2.5e-1", "301", "1000000000", "99999999999999999999", "1e300", "-1e300")


def body_lines(rng, spread=0.4):
    """The 27 lines of one body with random joints."""
    lines = ["72057594037931101 0 1 1 1 1 0 0.02764709 -0.05745083 2", "25"]
    for place in rng.normal((0, 0, 3), spread, (25, 3)):
        fields = [*place, *rng.uniform(0, 1920, 4), *rng.uniform(-1, 1, 4)]
        lines.append(" ".join(f"{value:.7g}" for value in fields) + " 2")
    return lines


def skeleton_lines(rng, bodies_in_frames):
    """The lines of a file with so many bodies in each of its frames."""
    lines = [str(len(bodies_in_frames))]
    for count in bodies_in_frames:
        lines.append(str(count))
        for _ in range(count):
            lines += body_lines(rng)
    return lines


def to_bytes(lines, end="\n"):
    """The file of these lines."""
    return end.join([*lines, ""]).encode()


def skeleton_bytes(seed, bodies_in_frames=(1, 1, 1, 1)):
    """A right file."""
    return to_bytes(skeleton_lines(np.random.default_rng(seed), bodies_in_frames))


def well_formed(seed=0):
    """Yield (what is unusual, bytes) of files that say the same as `skeleton_bytes(seed, (0, 1, 2, 1))`."""
    lines = skeleton_lines(np.random.default_rng(seed), (0, 1, 2, 1))
    yield "nothing", to_bytes(lines)
    yield "CRLF", to_bytes(lines, "\r\n")
    yield "no line end at the end", to_bytes(lines)[:-1]
    yield "tabs", to_bytes(lines).replace(b" ", b"\t")
    yield "two spaces", to_bytes(lines).replace(b" ", b"  ")
    yield "spaces around lines", to_bytes([f"  {line} " for line in lines])
    yield "blank lines", to_bytes(lines, "\n\n \n\t\n") + b"\n\n"
    yield "blank first line", b"\n" + to_bytes(lines)
    yield "plus signs", to_bytes(lines).replace(b"\n25\n", b"\n+25\n")
    yield "counts with a point", to_bytes(lines).replace(b"\n25\n", b"\n25.0\n")
    for value in (*NOT_FINITE, "-1.#IND", "1.#QNAN"):
        fields = [line.split() for line in lines]
        yield f"{value} where nobody looks", to_bytes([" ".join([*f[:3], *[value] * 9]) if len(f) == 12 else " ".join(f) for f in fields])
    yield "long body ids", to_bytes(lines).replace(b"72057594037931101", b"7" * 40)


def malformed(seed=0):
    """Yield (the rule that is broken, bytes) of some 1,090 wrong files; no two break the same rule."""
    rng = np.random.default_rng(seed)
    counts = (0, 1, 2, 1)
    lines = skeleton_lines(rng, counts)
    right = to_bytes(lines)
    first_body = 3  # index of the line of ten fields; the joint count and 25 joints follow
    first_joint = first_body + 2

    def changed(index, *new, old=1):
        return to_bytes([*lines[:index], *new, *lines[index + old :]])

    yield "empty", b""
    yield "blank", b" \n\t\r\n"
    yield "no frames", b"0\n"
    for index in range(1, len(lines)):
        yield f"truncated before line {index + 1}", to_bytes(lines[:index])
        if len(lines[index]) > 2:
            cut = int(rng.integers(1, len(lines[index]) - 3))
            yield f"truncated inside line {index + 1}", to_bytes([*lines[:index], lines[index][:cut]])[:-1]
    for name, index in (("frames", 0), ("bodies", 2), ("joints", first_body + 1)):
        for value in (*BAD_COUNTS, *BAD_NUMBERS, "24", "26", "5", f"{lines[index]}.5"):
            yield f"number of {name} is {value!r}", changed(index, value)
        yield f"number of {name} has company", changed(index, f"{lines[index]} 1")
        yield f"number of {name} is missing", changed(index)
    yield "one frame too many", changed(0, "3")
    yield "301 frames", to_bytes(["301", *["0"] * 301])
    yield "5 bodies", to_bytes(skeleton_lines(rng, (5,)))
    yield "24 joints", changed(first_joint - 1, "24", old=2)
    yield "26 joints", changed(first_joint - 1, "26", lines[first_joint])
    for field in range(10):
        fields = lines[first_body].split()
        line = " ".join([*fields[:field], "x", *fields[field + 1 :]])
        yield f"body field {field + 1} is x", changed(first_body, line)
    for field in range(12):
        joint = int(rng.integers(25))
        fields = lines[first_joint + joint].split()
        for value in BAD_NUMBERS if field < 3 else BAD_NUMBERS[len(NOT_FINITE) :]:
            line = " ".join([*fields[:field], value, *fields[field + 1 :]])
            yield f"joint field {field + 1} is {value!r}", changed(first_joint + joint, line)
    for axis, name in enumerate("xyz"):
        fields = lines[first_joint].split()
        for value in ("1e7", "-1e7", "1e39", "-1e39", "1e300"):
            line = " ".join([*fields[:axis], value, *fields[axis + 1 :]])
            yield f"{name} is {value} m", changed(first_joint, line)
    for index, name in ((first_body, "body"), *((first_joint + joint, f"joint {joint + 1}") for joint in range(25))):
        fields = lines[index].split()
        yield f"{name} lacks a field", changed(index, " ".join(fields[:-1]))
        yield f"{name} has a field more", changed(index, f"{lines[index]} 0")
        following = lines[index + 1]
        passed_on = " ".join(fields[:-1]), f"{fields[-1]} {following}"
        yield f"{name} gives a field to the next line", changed(index, *passed_on, old=2)
        yield f"{name} and the next stand in one line", changed(index, f"{lines[index]} {following}", old=2)
        yield f"{name} is split in two lines", changed(index, " ".join(fields[:5]), " ".join(fields[5:]))
        # the number that stands for a line end while the reader parses
        forged = f"{lines[index]} 999999999 {following}"
        split = "1 2 3 4 5 6\n7 8 9 10 11"  # where the line end stands for a number
        yield f"{name} ends with 999999999", changed(index, forged, old=2)
        yield f"{name} precedes 999999999", changed(index, lines[index], "999999999")
        yield (
            f"{name} ends with 999999999, another line is split",
            changed(index, forged, old=2).replace(f"\n{lines[-1]}\n".encode(), f"\n{split}\n".encode()),
        )
    yield "last line lacks a field", changed(len(lines) - 1, lines[-1][:-2])
    yield "last line has a field more", changed(len(lines) - 1, f"{lines[-1]} 0")
    yield "commas for spaces", right.replace(b" ", b",")
    yield "semicolons for spaces", right.replace(b" ", b";")
    yield "carriage returns for line ends", right.replace(b"\n", b"\r")
    yield "form feeds for line ends", right.replace(b"\n", b"\f")
    yield "one line", right.replace(b"\n", b" ")
    yield "a JSON array", b"[" + right.replace(b"\n", b" ").strip().replace(b" ", b",") + b"]"
    yield "a frame more", right + to_bytes(["0"])
    yield "a word more", right + b"end\n"
    yield "a NUL more", right + b"\0"
    yield "the file twice", right + right
    yield "byte order mark", b"\xef\xbb\xbf" + right
    for encoding in ("utf-16-le", "utf-16-be", "utf-16", "utf-32"):
        yield encoding, right.decode().encode(encoding)
    yield "gzip", gzip.compress(right, mtime=0)
    yield "zip", b"PK\x03\x04" + right
    yield "npy", b"\x93NUMPY" + right
    yield "random bytes", rng.bytes(5000)
    for place in rng.integers(1, len(right) - 1, 10):
        yield f"byte 255 at {place}", right[:place] + b"\xff" + right[place:]
        yield f"byte 0 at {place}", right[:place] + b"\0" + right[place:]
    for length in (3, 700, 5000):
        yield f"{length} zero bytes", bytes(length)


BAD_NAMES = (
    "", ".skeleton", "S001C001P001R001A001.txt", "s001c001p001r001a001.skeleton",
    "S001C001P001R001A001.skeleton.gz", "S001C001P001R001A001 (1).skeleton", "S01C001P001R001A001.skeleton",
    "S0001C001P001R001A001.skeleton", "S001C001P001A001R001.skeleton", "S001C001P001R001.skeleton", "S001C001P001R001A00x",
    "S000C001P001R001A001.skeleton", "S033C001P001R001A001.skeleton", "S001C000P001R001A001.skeleton",
    "S001C004P001R001A001.skeleton", "S001C001P000R001A001.skeleton", "S001C001P001R000A001.skeleton",
    "S001C001P001R001A000.skeleton", "S001C001P001R001A121.skeleton", "S001C001P001R001A001.skeleton\n",
    " S001C001P001R001A001.skeleton", "S00١C001P001R001A001.skeleton", "S-01C001P001R001A001.skeleton",
    "../S001C001P001R001A001.skeleton",
)  # fmt: skip
