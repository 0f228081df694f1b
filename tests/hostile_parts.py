"""What hostile files are made of: their list, and the good document, PDF objects and zip members around an attack.

All bytes are the same on every machine: what is random is seeded.
"""

import itertools
import random
import struct
import textwrap
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from tests.support import ROOT

CARDS, SENTENCE, EITHER = "cards", "sentence", "either"
Build = Callable[[], bytes]
Objects = dict[int, bytes]


@dataclass(frozen=True)
class Hostile:
    """One file. expected: what it has to end in, "cards" or a readable "sentence", or "either"."""

    name: str
    build: Build
    expected: str


FILES: dict[str, Hostile] = {}


def add(name: str, expected: str, build: Build) -> None:
    assert name not in FILES, f"two hostile files are called {name}"
    FILES[name] = Hostile(name, build, expected)


def hostile(ending: str, expected: str = EITHER) -> Callable[[Build], Build]:
    """Puts a builder's file on the list: flate_bomb() with ".pdf" is flate-bomb.pdf."""

    def put(build: Build) -> Build:
        add(build.__name__.strip("_").replace("_", "-") + ending, expected, build)
        return build

    return put


# Good text -----------------------------------------------------------------------------------------------------------


@cache
def article() -> str:
    """A document that makes cards."""
    return (ROOT / "samples" / "how-a-city-drinks.txt").read_text()


def english_words() -> list[str]:
    return sorted({word for word in article().lower().split() if word.isalpha()})


def strange_words(count: int) -> list[str]:
    """Words that nobody has seen and that pass for English: each is two good ones in one."""
    words = english_words()
    random.Random(10).shuffle(words)
    pairs = (
        (first, words[(place + turn) % len(words)]) for turn in itertools.count(1) for place, first in enumerate(words)
    )
    return [first + second for first, second in itertools.islice(pairs, count)]


def flipped(data: bytes, flips: int, seed: int) -> bytes:
    """The data with so many of its bits turned over."""
    chance, result = random.Random(seed), bytearray(data)
    for _ in range(flips):
        result[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(result)


# Streams that grow when they are read --------------------------------------------------------------------------------


def deflated(chunk: bytes, times: int = 1, head: bytes = b"", tail: bytes = b"") -> bytes:
    """The zlib stream of head + chunk * times + tail, which itself is never made."""
    length, first, second = 0, 1, 0  # Adler-32, put together as adler32_combine does
    for part, count in ((head, 1), (chunk, times), (tail, 1)):
        checksum = zlib.adler32(part)
        for _ in range(count):
            second = (second + (checksum >> 16) + len(part) * (first - 1)) % 65521
            first = (first + (checksum & 0xFFFF) - 1) % 65521
            length += len(part)
    body = deflated_raw(chunk, times, head, tail)
    return b"\x78\x9c" + body + struct.pack(">I", second << 16 | first)


def deflated_raw(chunk: bytes, times: int = 1, head: bytes = b"", tail: bytes = b"") -> bytes:
    """The same without zlib's frame, as zip members have it."""
    return _raw(head, zlib.Z_FULL_FLUSH) + _raw(chunk, zlib.Z_FULL_FLUSH) * times + _raw(tail, zlib.Z_FINISH)


def _raw(data: bytes, flush: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(flush)


# PDF -----------------------------------------------------------------------------------------------------------------


def stream(data: bytes, entries: bytes = b"", packed: bool = True) -> bytes:
    """A stream object; packed: deflated here. Otherwise `entries` say how the data is packed."""
    if packed:
        data, entries = zlib.compress(data), entries + b"/Filter/FlateDecode"
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), entries, data)


def pdf(objects: Mapping[int, bytes], trailer: bytes = b"", inside: Mapping[int, bytes] | None = None) -> bytes:
    """A whole PDF whose object 1 is the catalog. Those of `inside` stand in an object stream, so they cost little."""
    objects = dict(objects)
    result, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), {}
    size = max([*objects, *(inside or ())]) + 1
    if inside:
        objects[size] = object_stream(inside)
        size += 1
    for number, body in objects.items():
        places[number] = len(result)
        result += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(result)
    trailer = b"/Size %d/Root 1 0 R%s" % (size + bool(inside), trailer)
    if inside:
        rows = {number: struct.pack(">BIH", 1, place, 0) for number, place in places.items()}
        rows |= {number: struct.pack(">BIH", 2, size - 1, index & 0xFFFF) for index, number in enumerate(inside)}
        rows[size] = struct.pack(">BIH", 1, start, 0)
        table = b"".join(rows.get(number, bytes(7)) for number in range(size + 1))
        result += b"%d 0 obj\n%s\nendobj\n" % (size, stream(table, b"/Type/XRef/W[1 4 2]" + trailer))
    else:
        rows = {number: b"%010d 00000 n \n" % place for number, place in places.items()}
        table = b"".join(rows.get(number, b"0000000000 65535 f \n") for number in range(size))
        result += b"xref\n0 %d\n%strailer\n<<%s>>\n" % (size, table, trailer)
    return bytes(result + b"startxref\n%d\n%%%%EOF\n" % start)


def object_stream(objects: Mapping[int, bytes], entries: bytes = b"") -> bytes:
    index, bodies, length = [], [], 0
    for number, body in objects.items():
        index.append(b"%d %d" % (number, length))
        bodies.append(body)
        length += len(body) + 1
    head = b" ".join(index) + b" "
    entries = b"/Type/ObjStm/N %d/First %d" % (len(bodies), len(head)) + entries
    return stream(head + b" ".join(bodies), entries)


def shown(text: str, top: int = 780) -> bytes:
    """The operators that print lines of text down a page."""
    quoted = text.encode("ascii", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    lines = b"".join(b"(%s) Tj T*\n" % line for line in quoted.splitlines())
    return b"BT /F1 9 Tf 40 %d Td 12 TL\n%sET\n" % (top, lines)


FONT, FIRST_PAGE, FREE = 3, 10, 1000  # object numbers; from FREE on they are an attack's


def good_pages(
    pages: int = 3, catalog: bytes = b"", page: bytes = b"", resources: bytes = b"", before: bytes = b""
) -> Objects:
    """The objects of a PDF that makes cards, with more entries in its catalog, its pages and their resources, and
    operators before each page's text."""
    lines = [part for line in article().splitlines() for part in textwrap.wrap(line, 95) or [""]]
    each = -(-len(lines) // pages) if pages <= 10 else 40
    kids = b" ".join(b"%d 0 R" % (FIRST_PAGE + 2 * number) for number in range(pages))
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R%s>>" % catalog,
        2: b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, kids),
        FONT: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    }
    for number in range(pages):
        start = number * each % len(lines)
        objects[FIRST_PAGE + 2 * number] = (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 %d 0 R>>%s>>/Contents %d 0 R%s>>"
            % (FONT, resources, FIRST_PAGE + 2 * number + 1, page)
        )
        objects[FIRST_PAGE + 2 * number + 1] = stream(before + shown("\n".join(lines[start : start + each])))
    return objects


@cache
def good_pdf() -> bytes:
    return pdf(good_pages(5))


def one_page(content: bytes, resources: bytes = b"", **more: bytes) -> Objects:
    """The objects of a PDF of a single page with this stream object for its content."""
    return {**good_pages(1, resources=resources, **more), FIRST_PAGE + 1: content}


# ZIP -----------------------------------------------------------------------------------------------------------------


@dataclass
class Member:
    """One member of a zip, with whatever lies in its headers. packed: as it stands there; size, crc: as claimed."""

    name: bytes
    packed: bytes
    size: int
    crc: int
    method: int = 8
    flags: int = 0
    mode: int = 0


def member(name: str, data: bytes) -> Member:
    return Member(name.encode(), _raw(data, zlib.Z_FINISH), len(data), zlib.crc32(data))


def swollen(name: str, chunk: bytes, times: int, head: bytes = b"", tail: bytes = b"") -> Member:
    """A member that unpacks to head + chunk * times + tail."""
    crc = zlib.crc32(head)
    for _ in range(times):
        crc = zlib.crc32(chunk, crc)
    size = len(head) + len(chunk) * times + len(tail)
    return Member(name.encode(), deflated_raw(chunk, times, head, tail), size, zlib.crc32(tail, crc))


def zipped(members: Iterable[Member], comment: bytes = b"") -> bytes:
    result, directory, count = bytearray(), bytearray(), 0
    for entry in members:
        common = struct.pack(
            "<HHHHHIIIHH", 20, entry.flags, entry.method, 0, 33, entry.crc, len(entry.packed),
            min(entry.size, 0xFFFFFFFF), len(entry.name), 0,
        )  # fmt: skip
        directory += struct.pack("<IH", 0x02014B50, 20) + common
        directory += struct.pack("<HHHII", 0, 0, 0, entry.mode << 16, len(result)) + entry.name
        result += struct.pack("<I", 0x04034B50) + common + entry.name + entry.packed
        count += 1
    end = struct.pack(
        "<IHHHHIIH", 0x06054B50, 0, 0, count & 0xFFFF, count & 0xFFFF, len(directory), len(result), len(comment)
    )
    return bytes(result + directory + end + comment)


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
HEAD = f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:document xmlns:w="{W}"><w:body>'.encode()
TAIL = b"</w:body></w:document>"


def paragraphs(text: str) -> bytes:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in escaped.split("\n\n")).encode()


def docx_members(document: bytes | Member | None = None, **others: bytes) -> list[Member]:
    """The members of a Word document; others: more of them in word/, styles=b"..." is word/styles.xml."""
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    types = f'<Override PartName="/word/document.xml" ContentType="{kind}.document.main+xml"/>'
    link = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    if not isinstance(document, Member):
        document = member("word/document.xml", document or HEAD + paragraphs(article()) + TAIL)
    return [
        member(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            f'<Default Extension="xml" ContentType="application/xml"/>{types}</Types>'.encode(),
        ),
        member(
            "_rels/.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="rId1" Type="{link}" Target="word/document.xml"/></Relationships>'.encode(),
        ),
        document,
        *(member(f"word/{name}.xml", data) for name, data in others.items()),
    ]


def docx(document: bytes | Member | None = None, **others: bytes) -> bytes:
    return zipped(docx_members(document, **others))
