"""Whatever bytes come in, each reader gives a document or one sentence: random ones, and good files that were hurt."""

import string
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import pypdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import ocr
from pipeline.context import find_sentences
from pipeline.document import Document
from pipeline.errors import BadDocument
from pipeline.headings import find_headings
from pipeline.ingestion import MIN_WORDS, read_file, read_text
from tests.pipeline.docx_files import make_docx, paragraph
from tests.pipeline.pdf_pages import Set, encrypt, make_set_pdf, written

PROSE = [
    "The valley had been dry for most of the year, and the farmers were",
    "waiting for the first rain of the season. When it came at last, it",
    "came with a storm that nobody in the village would forget.",
]
QUICK = settings(
    max_examples=60, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


def outcome(read: Callable[[], Document]) -> Document | str:
    """A document, or BadDocument's sentence."""
    try:
        return read()
    except BadDocument as error:
        return str(error)


def survives(folder: Path, data: bytes) -> None:
    """A document that the next stages can work on, or a sentence: nothing else."""
    path = folder / "upload"
    path.write_bytes(data)
    check(outcome(lambda: read_file(path, lambda share: None)))


def check(found: Document | str) -> None:
    if isinstance(found, str):
        assert found.endswith(".")
        assert found.isprintable()
        return
    assert found.words >= MIN_WORDS
    assert all(1 <= line.page <= found.pages for line in found.lines)
    assert [line.page for line in found.lines] == sorted(line.page for line in found.lines)
    for line in found.lines:
        assert not set(line.text) & set("\x00\x02\n\r\ufffe\ufffd")
        line.text.encode()
    find_sentences(find_headings(found)[0])


@cache
def pdf() -> bytes:
    """With sizes, an outline, a form field's value and deflated streams: something for each part of a reader."""
    pages = [[Set("The Dry Year", 20), *map(Set, PROSE)] for _ in range(3)]
    data = make_set_pdf(pages, [(1, "The Dry Year", 1), (2, "The Dry Year", 2)])
    writer = pypdf.PdfWriter(clone_from=BytesIO(data))
    for page in writer.pages:
        page.compress_content_streams()
    return written(writer)


@cache
def docx() -> bytes:
    return make_docx(paragraph("Water", "berschrift1") + "".join(map(paragraph, PROSE)))


def markdown() -> bytes:
    return (
        "# Water\n\n" + "\n".join(PROSE) + "\n\n## [Wells](./wells.md)\n\n* one\n* **two**\n\n```\nx\n```\n"
    ).encode()


def text() -> bytes:
    return "\f".join(PROSE * 2).encode("utf-16-le")


@cache
def picture(kind: str) -> bytes:
    from PIL import Image

    out = BytesIO()
    Image.new("L", (300, 60), 255).save(out, kind)
    return out.getvalue()


Wounds = list[tuple[str, float, int | bytes]]
HURT = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.floats(0, 1), st.integers(1, 255)),
        st.tuples(st.just("cut"), st.floats(0, 1), st.integers(1, 400)),
        st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=60)),
        st.tuples(st.just("repeat"), st.floats(0, 1), st.integers(1, 3000)),
    ),
    min_size=1,
    max_size=6,
)
NUMBERS = st.sampled_from([b"0", b"-1", b"65535", b"2147483648", b"99999999999999999999", b"1 0 R", b"<<", b"]"])


def hurt(data: bytes, wounds: Wounds) -> bytes:
    for kind, place, what in wounds:
        at = int(place * len(data))
        if isinstance(what, bytes):
            data = data[:at] + what + data[at:]
        elif kind == "flip":
            data = data[:at] + bytes([byte ^ what for byte in data[at : at + 1]]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + what :]
        else:
            data = data[:at] + data[at : at + 20] * what + data[at + 20 :]
    return data


@QUICK
@given(
    head=st.sampled_from([b"", b"%PDF-1.7\n", b"PK\x03\x04word/", b"\x89PNG\r\n\x1a\n", b"\xff\xfe", b"# "]),
    tail=st.binary(max_size=3000),
)
def test_random_bytes(tmp_path: Path, head: bytes, tail: bytes) -> None:
    survives(tmp_path, head + tail)


@QUICK
@given(wounds=HURT)
@pytest.mark.parametrize("good", [pdf, docx, markdown, text], ids=lambda good: good.__name__)
def test_good_files_that_were_hurt(tmp_path: Path, good: Callable[[], bytes], wounds: Wounds) -> None:
    survives(tmp_path, hurt(good(), wounds))


@QUICK
@given(wounds=HURT, kind=st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP"]))
@pytest.mark.skipif(not ocr.tessdata(), reason="the extra requirements-ocr.txt is missing")
def test_pictures_that_were_hurt(tmp_path: Path, kind: str, wounds: Wounds) -> None:
    survives(tmp_path, hurt(picture(kind), wounds))


@QUICK
@given(places=st.lists(st.floats(0, 1), min_size=1, max_size=4), number=NUMBERS)
def test_a_pdf_with_other_numbers(tmp_path: Path, places: list[float], number: bytes) -> None:
    parts = make_set_pdf([[Set("The Dry Year", 20), *map(Set, PROSE)]] * 3).split(b" ")
    for place in places:
        parts[int(place * (len(parts) - 1))] = number
    survives(tmp_path, b" ".join(parts))


@QUICK
@given(
    content=st.lists(
        st.sampled_from(
            [
                b"q",
                b"Q",
                b"BT",
                b"ET",
                b"(x) Tj",
                b"/F1 9e9 Tf",
                b"0 0 0 0 0 0 Tm",
                b"[(a) -9e9 (b)] TJ",
                b"BI /W 9 ID xx EI",
                b"/Fm0 Do",
                b"T*",
                b"9e99 TL",
                b"<</a[[[[",
                b"\xff" * 9,
            ]
        ),
        max_size=60,
    )
)
def test_a_pdf_with_other_operators(tmp_path: Path, content: list[bytes]) -> None:
    good = make_set_pdf([list(map(Set, PROSE))])
    survives(tmp_path, good.replace(b"BT 50 800 Td", b"\n".join([*content, b"BT 50 800 Td"])))


@QUICK
@given(xml=st.text(alphabet=string.ascii_lowercase + "<>/:=\"'&;! [", max_size=200))
def test_word_documents_with_other_xml(tmp_path: Path, xml: str) -> None:
    survives(tmp_path, make_docx(paragraph(PROSE[0] * 3) + xml))


@QUICK
@given(user=st.booleans(), wounds=HURT)
def test_encrypted_files_that_were_hurt(tmp_path: Path, user: bool, wounds: Wounds) -> None:
    survives(tmp_path, hurt(encrypt(pdf(), "secret" if user else "", "owner"), wounds))


@settings(QUICK, max_examples=100)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=200), st.sampled_from([*PROSE, "\n", "\n\n", "# ", "1.2 ", "- ", "```", "\f", "-\n"])
        )
    )
)
def test_any_text(pieces: list[str]) -> None:
    check(outcome(lambda: read_text("".join(pieces))))


def test_streams_that_lie_about_their_length_and_filter(tmp_path: Path) -> None:
    content = zlib.compress(b"BT /F1 11 Tf 50 780 Td (x) Tj ET")
    for named in (
        b"[" + b"/FlateDecode " * 40 + b"]",
        b"/LZWDecode",
        b"/ASCII85Decode",
        b"/Crypt",
        b"null",
        b"[[/FlateDecode]]",
    ):
        good = make_set_pdf([list(map(Set, PROSE))] * 2)
        start = good.index(b"<< /Length")
        survives(
            tmp_path, good[:start] + b"<< /Filter " + named + b" /Length 99999 >>\nstream\n" + content + good[start:]
        )
