"""Hostile pictures: sizes that nobody could hold, directories in circles, and what recognition never finishes."""

import random
import struct
import zlib

from tests.hostile_parts import SENTENCE, add, deflated, hostile

MEGABYTE = 1 << 20


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data) if length is None else length)
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


def png(width: int, height: int, data: bytes, depth: int = 8, before: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg(width: int, height: int, scans: int = 0, marker: int = 0xC0) -> bytes:
    def segment(kind: int, data: bytes) -> bytes:
        return bytes((0xFF, kind)) + struct.pack(">H", len(data) + 2) + data

    tables = segment(0xDB, b"\x00" + b"\x01" * 64)
    for kind in (0x00, 0x10):
        tables += segment(0xC4, bytes([kind, 1]) + bytes(15) + b"\x00")  # one code, for zero
    frame = segment(marker, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00")
    scan = segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes(20)
    return b"\xff\xd8" + tables + frame + scan * scans + b"\xff\xd9"


def tiff(width: int, height: int, following: int = 0, tags: tuple[tuple[int, int, int, int], ...] = ()) -> bytes:
    """tags: (tag, type, count, value) beside the size; following: where the next directory is said to be."""
    rows = sorted([(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1), *tags])
    directory = struct.pack("<H", len(rows)) + b"".join(struct.pack("<HHII", *row) for row in rows)
    return b"II*\x00\x08\x00\x00\x00" + directory + struct.pack("<I", following) + bytes(1000)


def tiff_of_pages(pages: int) -> bytes:
    page = struct.pack("<HHHIIHHII", 2, 256, 4, 1, 9, 257, 4, 1, 9)
    each = len(page) + 4
    chain = (page + struct.pack("<I", 8 + each * number) for number in range(1, pages))
    return b"II*\x00\x08\x00\x00\x00" + b"".join(chain) + page + bytes(4)


def webp(kind: bytes, data: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


NO_PICTURE = {
    "65535-squared.png": lambda: png(65535, 65535, b""),
    "2-billion-squared.png": lambda: png(2**31 - 1, 2**31 - 1, deflated(bytes(MEGABYTE), 100)),
    "no-pixels.png": lambda: png(0, 0, b""),
    "of-noise.png": lambda: png(500, 500, random.Random(8).randbytes(50_000)),
    "long-chunks.png": lambda: png(9, 9, b"", before=chunk(b"zTXt", b"x" * 99, 2**31 - 1)),
    "65535-squared.jpg": lambda: jpeg(65535, 65535),
    "header-only.jpg": lambda: b"\xff\xd8\xff\xe0",
    "65535-squared.tiff": lambda: tiff(65535, 65535),
    "2-billion-squared.tiff": lambda: tiff(2**31 - 1, 2**31 - 1, tags=((273, 4, 2**31 - 1, 8), (279, 4, 2**31 - 1, 8))),
    "directory-in-a-circle.tiff": lambda: tiff(9, 9, 8),
    "strip-of-4-gb.tiff": lambda: tiff(60000, 60000, tags=((273, 4, 1, 8), (278, 4, 1, 60000), (279, 4, 1, 2**32 - 1))),
    "a-million-pages.tiff": lambda: tiff_of_pages(1_000_000),
    "16384-squared.webp": lambda: webp(b"VP8X", b"\x10\x00\x00\x00" + b"\xff\x3f\x00" * 2),
    "16384-squared-lossless.webp": lambda: webp(b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(100)),
    "16384-squared-lossy.webp": lambda: webp(b"VP8 ", b"\x10\x00\x00\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(100)),
    "65535-squared.gif": lambda: b"GIF89a\xff\xff\xff\xff\x80\x00\x00" + bytes(100),
    "65535-squared.bmp": lambda: b"BM" + struct.pack("<IIIIiiHHI", 99, 0, 54, 40, 65535, 65535, 1, 24, 0) + bytes(99),
}  # fmt: skip
for name, build in NO_PICTURE.items():
    add(f"picture-{name}", SENTENCE, build)


@hostile(".png", SENTENCE)
def picture_bomb_of_65535_squared() -> bytes:
    return png(65535, 65535, deflated(bytes(8192), 65535), depth=1)


@hostile(".png", SENTENCE)
def picture_bomb_in_its_text() -> bytes:
    return png(
        9, 9, zlib.compress(bytes(90)), before=chunk(b"zTXt", b"Comment\x00\x00" + deflated(bytes(MEGABYTE), 1000)) * 20
    )


@hostile(".png")
def picture_of_noise_that_looks_like_letters() -> bytes:
    """12 million pixels of specks: recognition takes as long as it can."""
    noise = random.Random(9)
    rows = [b"\x00" + noise.randbytes(500) for _ in range(40)]
    return png(4000, 3000, zlib.compress(b"".join(noise.choice(rows) for _ in range(3000)), 1), depth=1)


@hostile(".jpg", SENTENCE)
def picture_of_ten_thousand_scans() -> bytes:
    return jpeg(8000, 8000, scans=10_000, marker=0xC2)


add("picture-called-pdf.pdf", SENTENCE, lambda: png(9, 9, zlib.compress(bytes(90))))
