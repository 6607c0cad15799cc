"""Reads character vectors from an R package's lazy-load database, without R.

`NAME.rdx` is a gzip-compressed R serialisation of
`list(variables = list(<name> = c(offset, length), ...), references, compressed)`; each range of
`NAME.rdb` is the uncompressed size (4 bytes, big-endian) followed by a zlib stream that holds one
serialised object. "R Internals", section 1.8, describes the serialisation format.

The reader supports only the object types that plain-text data packages contain. For any other type
it raises an error that names the type.
"""

import gzip
import struct
import zlib
from pathlib import Path

SYMBOL, PAIRLIST, CHARSXP, LOGICAL, INTEGER, CHARACTER, LIST = 1, 2, 9, 10, 13, 16, 19
NIL, REFERENCE = 254, 255
HAS_ATTRIBUTES, HAS_TAG = 0x200, 0x400


class Reader:
    """One serialised object in XDR format, versions 2 and 3."""

    def __init__(self, data: bytes):
        if data[:2] != b"X\n":
            raise ValueError("not an R serialisation in XDR format")
        self.data = data
        self.position = 2
        self.references: list = []
        version, _writer, _oldest_reader = self.integers(3)
        if version == 3:
            self.take(self.integer())  # name of the native encoding
        elif version != 2:
            raise ValueError(f"R serialisation version {version} is not supported")

    def take(self, size: int) -> bytes:
        chunk = self.data[self.position : self.position + size]
        if size < 0 or len(chunk) != size:
            raise ValueError(f"R serialisation ends early: {size} bytes wanted at {self.position}")
        self.position += size
        return chunk

    def integers(self, count: int) -> list[int]:
        return list(struct.unpack(f">{count}i", self.take(4 * count)))

    def integer(self) -> int:
        return self.integers(1)[0]

    def value(self):
        """The next object; a list with names becomes a dict."""
        flags = self.integer()
        kind = flags & 0xFF
        if kind == NIL:
            return None
        if kind == REFERENCE:
            return self.references[(flags >> 8) - 1]
        if kind == SYMBOL:
            self.references.append(self.value())
            return self.references[-1]
        if kind == CHARSXP:
            size = self.integer()
            return None if size == -1 else self.take(size).decode("utf-8")
        if kind == PAIRLIST:
            return self.pairlist(flags)
        if kind in (LOGICAL, INTEGER):
            content = self.integers(self.integer())
        elif kind in (CHARACTER, LIST):
            content = [self.value() for _ in range(self.integer())]
        else:
            raise ValueError(f"R object type {kind} is not supported")
        attributes = self.value() if flags & HAS_ATTRIBUTES else None
        names = (attributes or {}).get("names")
        return dict(zip(names, content, strict=True)) if names else content

    def pairlist(self, flags: int) -> dict:
        """Cells of (tag, value) up to NIL; `flags` are the flags of the first cell, which precede it."""
        cells = {}
        while flags & 0xFF == PAIRLIST:
            if flags & HAS_ATTRIBUTES:
                raise ValueError("attributes on a pairlist are not supported")
            tag = self.value() if flags & HAS_TAG else None
            cells[tag] = self.value()
            flags = self.integer()
        if flags & 0xFF != NIL:
            raise ValueError("a pairlist does not end with NIL")
        return cells


def read(database: Path) -> dict[str, list[str]]:
    """The lines of each object by its name. `database` is `.../data/Rdata`, without suffix."""
    index = Reader(gzip.decompress(database.with_suffix(".rdx").read_bytes())).value()
    content = database.with_suffix(".rdb").read_bytes()
    objects = {}
    for name, (offset, length) in index["variables"].items():
        size = int.from_bytes(content[offset : offset + 4], "big")
        data = zlib.decompress(content[offset + 4 : offset + length])
        if len(data) != size:
            raise ValueError(f"{name}: {len(data)} bytes after decompression, {size} announced")
        objects[name] = Reader(data).value()
    return objects
