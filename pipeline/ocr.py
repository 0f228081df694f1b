"""Text recognition for pages and pictures that have no text, with Tesseract; an extra that may not be installed.

Reads English in printed type, page by page, in a sandbox. It finds no columns beyond what Tesseract does, and no
sizes of type. It takes seconds for a page: so a document has so many pages, and it stops where no words come.
"""

import importlib.util
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pypdfium2

from pipeline import sandbox
from pipeline.document import Page
from pipeline.errors import BadDocument
from pipeline.layout import count_words
from pipeline.sandbox import Ending, Limits, Send

if TYPE_CHECKING:
    from PIL import Image
    from tesserocr import PyTessBaseAPI

MAX_PAGES = 100
EXTRA = "requirements-ocr.txt"
_MAX_PIXELS = 80_000_000  # of a picture: A4 at 800 dpi; more is refused before it is decoded
_PIXELS = 10_000_000  # that Tesseract gets: A4 at 300 dpi
_TOO_SMALL = 1500  # pixels; the letters of a narrower picture, from a screen, are doubled
_PAGE = 15.0  # seconds for one page, and without a word
_ALL = 900.0  # seconds
_RESTARTS = 3
_TESSDATA = (
    "/usr/share/tesseract-ocr/*/tessdata", "/usr/share/tessdata", "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)  # fmt: skip

TOO_BIG = (
    "This picture has {width:,} × {height:,} pixels, more than Docdeck can read. Scan it at 300 dpi and upload that."
)
DAMAGED = "This picture is cut off or damaged: it cannot be opened. Upload it again from the original."
NO_WORDS = "Text recognition found no words in this document. A clearer scan, at 300 dpi, may help."
_MISSING = (
    "This document is made of pictures, as from a scanner, and this Docdeck has no text recognition "
    f"(it comes with {EXTRA}). Run OCR over it and upload the result."
)


def tessdata() -> Path | None:
    """The folder of Tesseract's language data; None where recognition is not installed."""
    if not all(importlib.util.find_spec(name) for name in ("tesserocr", "PIL")):
        return None
    folders = (folder for pattern in _TESSDATA for folder in sorted(Path("/").glob(pattern[1:]), reverse=True))
    return next((folder for folder in folders if (folder / "eng.traineddata").is_file()), None)


def read_pages(path: Path, numbers: list[int], on_progress: Callable[[float], None]) -> dict[int, Page]:
    """What is written on these pages (0 is the first) of a PDF, at most MAX_PAGES of them."""
    wanted = numbers[:MAX_PAGES]
    return _recognise(lambda left, send: _read_pdf(path, left, send), wanted, on_progress)


def read_picture(path: Path, on_progress: Callable[[float], None]) -> tuple[dict[int, Page], int]:
    """What is written in a picture, and how many pages it has: a TIFF may have several. Raises BadDocument."""
    count = _examine(path)
    wanted = list(range(min(count, MAX_PAGES)))
    pages = _recognise(lambda left, send: _read_picture(path, left, send), wanted, on_progress)
    if not pages:
        raise BadDocument(DAMAGED)
    return pages, count


def _examine(path: Path) -> int:
    """The number of pages of a picture, from its header."""
    if not tessdata():
        raise BadDocument(_MISSING)
    found: list[Any] = []
    sandbox.run(lambda send: _measure(path, send), found.extend, Limits(10, 10))
    match found:
        case ["size", width, height, _] if width * height > _MAX_PIXELS:
            raise BadDocument(TOO_BIG.format(width=width, height=height))
        case ["size", _, _, frames]:
            return int(frames)
    raise BadDocument(DAMAGED)


def _recognise(
    work: Callable[[list[int], Send], None], wanted: list[int], on_progress: Callable[[float], None]
) -> dict[int, Page]:
    if not tessdata():
        raise BadDocument(_MISSING)
    pages: dict[int, Page] = {}
    left = list(wanted)
    ends = time.monotonic() + _ALL
    fruitful = time.monotonic()

    def hear(message: list[Any]) -> None:
        nonlocal fruitful
        left.remove(message[1])
        on_progress((len(wanted) - len(left)) / len(wanted))
        if message[0] == "page":
            pages[message[1]] = Page(message[2])
        if message[0] == "page" and count_words(message[2], 1):
            fruitful = time.monotonic()
        elif time.monotonic() > fruitful + _PAGE:
            left.clear()  # nothing is to be found: what is running is ended below
            raise _Barren

    for _ in range(_RESTARTS):
        try:
            limits = Limits(max(ends - time.monotonic(), 1), _PAGE)
            ending = sandbox.run(lambda send: work(list(left), send), hear, limits)
        except _Barren:
            break
        if ending is Ending.DONE or not left or time.monotonic() > fruitful + _PAGE:
            break
        left.pop(0)  # the page at which it ended
    return pages


class _Barren(Exception):
    """Time was spent and no words came of it."""


# In the sandbox -------------------------------------------------------------------------------------------------------


def _read_pdf(path: Path, numbers: list[int], send: Send) -> None:
    pdf = pypdfium2.PdfDocument(path)
    with _tesseract() as engine:
        for number in numbers:
            page = pdf[number]
            width, height = page.get_size()
            scale = min(300 / 72, math.sqrt(_PIXELS / max(width * height, 1)))
            image = page.render(scale=scale, grayscale=True, no_smoothpath=True)
            engine.SetImageBytes(bytes(image.buffer), image.width, image.height, 1, image.stride)
            send("page", number, _lines(engine))
            image.close()
            page.close()


def _read_picture(path: Path, numbers: list[int], send: Send) -> None:
    with _tesseract() as engine, _open(path) as image:
        for number in numbers:
            try:
                image.seek(number)
                data, width, height = _prepared(image)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  Pillow's readers raise anything on a picture that is damaged
                send("broken", number)
                continue
            engine.SetImageBytes(data, width, height, 1, width)
            send("page", number, _lines(engine))


def _measure(path: Path, send: Send) -> None:
    try:
        with _open(path) as image:
            send("size", *image.size, getattr(image, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  as above
        send("damaged")


def _open(path: Path) -> "Image.Image":
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # counted by ourselves, and told in a sentence
    return Image.open(path, formats=["PNG", "JPEG", "TIFF", "WEBP"])


def _prepared(image: "Image.Image") -> tuple[bytes, int, int]:
    """A picture's pixels, upright, grey, and of a size that Tesseract reads well and soon."""
    from PIL import Image, ImageOps

    width, height = image.size
    if width * height > _MAX_PIXELS:
        raise ValueError("a page of a TIFF may be larger than its first")
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        grey = paper.convert("L")
    else:
        grey = image.convert("L")
    scale = math.sqrt(min(1.0, _PIXELS / (width * height)))
    if max(width, height) < _TOO_SMALL:
        scale = 2.0
    if scale != 1:
        grey = grey.resize((max(1, int(width * scale)), max(1, int(height * scale))))
    grey.getexif().update(image.getexif())
    grey = ImageOps.exif_transpose(grey)  # last, when it is small: it copies
    return grey.tobytes(), grey.width, grey.height


def _tesseract() -> "PyTessBaseAPI":
    os.environ["OMP_THREAD_LIMIT"] = "1"  # read when the library is loaded; more threads are slower on two cores
    import tesserocr

    return tesserocr.PyTessBaseAPI(path=str(tessdata()), lang="eng", psm=tesserocr.PSM.AUTO)


def _lines(engine: "PyTessBaseAPI") -> list[str]:
    engine.SetSourceResolution(300)
    return str(engine.GetUTF8Text()).splitlines()
