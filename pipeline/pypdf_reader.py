"""The text of a PDF by pypdf; the second reader, for what pdfium fails at or finds hardly a word in.

Reads what pdfium's text leaves out: values of form fields, annotations, outline and metadata. It is slow, and a file
can make it slower: this is to be called in a sandbox only. It never uses pypdf's layout mode, which breaks columns.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdf

from pipeline.pdfium import MAX_PAGES
from pipeline.sandbox import Send

_MAX_VALUE = 20_000  # characters of one field or note
_MAX_EXTRAS = 5000  # fields and notes of one page


def read(path: Path, wanted: list[int] | None, send: Send) -> None:
    """Say what `pdfium.read` says, without TYPES; only of the pages in `wanted` (0 is the first), if there are any."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of every flaw, thousands of lines for some files
    # Beside pypdf's own limits: no other program, and half of the work that it would do for one page.
    pypdf.overwrite_configuration(
        jbig2dec_binary=None, disable_legacy_handling=True, stream_parsing_work_maximum_count=1_000_000
    )
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            return send("locked")
        count = len(reader.pages)
        send("open", count)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  pypdf documents PyPdfError only, but a damaged file makes it raise anything
        return send("unopened")
    for number in range(min(count, MAX_PAGES)) if wanted is None else wanted:
        try:
            send("page", number, "\n".join(_page(reader, number, everything=wanted is None)), [], False)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  as above; the other pages may be whole
            send("broken", number)
    return None


def _page(reader: pypdf.PdfReader, number: int, everything: bool) -> list[str]:
    page = reader.pages[number]
    lines = page.extract_text().splitlines()
    if everything:
        lines += _extras(page)
        lines += _about(reader) if number == 0 else []
    return lines


def _extras(page: pypdf.PageObject) -> Iterator[str]:
    """What is written in the form fields and the notes of a page."""
    for annotation in list(page.annotations or [])[:_MAX_EXTRAS]:
        entry = annotation.get_object()
        if entry.get("/Subtype") == "/Widget":
            value = entry.get("/V") or entry.get("/Parent", {}).get("/V")
        else:
            value = entry.get("/Contents")
        yield from _text(value)


def _about(reader: pypdf.PdfReader) -> Iterator[str]:
    if reader.metadata:
        yield from _text(reader.metadata.title)
        yield from _text(reader.metadata.subject)
    for entry in _flat(reader.outline):
        yield from _text(entry.title)


def _flat(outline: list[Any]) -> Iterator[Any]:
    for entry in outline:
        if isinstance(entry, list):
            yield from _flat(entry)
        else:
            yield entry


def _text(value: Any) -> list[str]:
    value = value.get_object() if hasattr(value, "get_object") else value
    if isinstance(value, pypdf.generic.StreamObject):  # rich text
        value = value.get_data().decode("latin-1")
    is_name = isinstance(value, pypdf.generic.NameObject)  # a button's state
    return str(value)[:_MAX_VALUE].splitlines() if isinstance(value, str) and not is_name else []
