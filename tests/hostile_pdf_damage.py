"""Hostile PDFs that somebody broke, cut, locked, or put together with something else."""

import random
from functools import partial
from io import BytesIO

import pypdf
from pypdf.generic import ArrayObject, ByteStringObject

from tests.hostile_parts import (
    CARDS,
    EITHER,
    FREE,
    SENTENCE,
    add,
    article,
    docx,
    flipped,
    good_pages,
    good_pdf,
    pdf,
)


def noise(seed: int, length: int) -> bytes:
    return b"%PDF-1.7\n" + random.Random(seed).randbytes(length)


def soup(seed: int) -> bytes:
    """The language's own words in no order."""
    words = (
        b"obj endobj stream endstream xref trailer startxref << >> [ ] ( ) < > /Type /Page /Pages /Kids /Count"
        b" /Length R n f /Filter /FlateDecode /Root /Prev /Size null true 0 1 2 10 65535 -1 1e99 % \n %%EOF"
        b" 1 0 obj 10 0 R /ObjStm /XRef"
    ).split(b" ")
    return b"%PDF-1.7\n" + b" ".join(random.Random(seed).choices(words, k=200_000))


def cut(share: float) -> bytes:
    whole = good_pdf()
    return whole[: int(len(whole) * share)]


def damaged(flips: int, seed: int) -> bytes:
    return flipped(good_pdf(), flips, seed)


add("random-bytes.pdf", SENTENCE, partial(noise, 1, 100_000))
add("random-bytes-of-20-mb.pdf", SENTENCE, partial(noise, 2, 20_000_000))
add("soup-1.pdf", SENTENCE, partial(soup, 1))
add("soup-2.pdf", SENTENCE, partial(soup, 2))
add("header-only.pdf", SENTENCE, lambda: b"%PDF-1.7\n")
add("empty.pdf", SENTENCE, lambda: b"")
add("one-byte.pdf", SENTENCE, lambda: b"%")
for percent in (1, 10, 50, 90, 99):
    add(f"cut-at-{percent}-percent.pdf", EITHER, partial(cut, percent / 100))
for seed, flips in enumerate((1, 5, 20, 50, 100, 300, 1000, 3000)):
    add(f"bits-flipped-{flips}.pdf", EITHER, partial(damaged, flips, seed))
add("twice-the-same.pdf", CARDS, lambda: good_pdf() + good_pdf())
add("header-after-1000-bytes.pdf", CARDS, lambda: b"\n" * 1000 + good_pdf())
add("header-of-the-future.pdf", CARDS, lambda: good_pdf().replace(b"%PDF-1.7", b"%PDF-9.9", 1))
add(
    "html-behind-which-a-pdf-stands.pdf",
    EITHER,
    lambda: b"<!DOCTYPE html><html><p>Hi</p><!--" + good_pdf() + b"--></html>",
)
add("pdf-that-is-a-zip.pdf", EITHER, lambda: good_pdf() + docx())
add("docx-that-is-a-pdf.docx", EITHER, lambda: docx() + good_pdf())
add("html.pdf", SENTENCE, lambda: b"<!DOCTYPE html><html><body><p>" + article().encode() + b"</p></body></html>")


# Locks ---------------------------------------------------------------------------------------------------------------


def locked(user: str, owner: str) -> bytes:
    writer = pypdf.PdfWriter(BytesIO(good_pdf()))
    # Not pypdf's random one: the key depends on it.
    writer._ID = ArrayObject([ByteStringObject(b"0123456789abcdef")] * 2)
    writer.encrypt(user, owner, algorithm="RC4-128")
    result = BytesIO()
    writer.write(result)
    return result.getvalue()


def claims_a_lock(entries: bytes) -> bytes:
    return pdf(good_pages(3) | {FREE: b"<<%s>>" % entries}, b"/Encrypt %d 0 R/ID[(0123456789abcdef)(x)]" % FREE)


add("password-needed.pdf", SENTENCE, lambda: locked("sesame", "open"))
add("owner-password-only.pdf", CARDS, lambda: locked("", "open"))
LOCKS = {
    "an-unknown-handler": b"/Filter/Evil/V 4/R 4/O(x)/U(x)/P -1",
    "an-unknown-version": b"/Filter/Standard/V 99/R 99/O(x)/U(x)/P -1/Length 99999999",
    "itself": b"/Filter/Standard/V 4/R 4/O 1000 0 R/U 1000 0 R/CF 1000 0 R/P -1",
    "noise": b"/Filter/Standard/V 5/R 6/Length 256/O(x)/U(x)/OE(x)/UE(x)/Perms(x)/P -1/CF<</StdCF<</CFM/AESV3>>>>"
    b"/StmF/StdCF/StrF/StdCF",
    "a-key-of-no-length": b"/Filter/Standard/V 2/R 3/Length 0/O<%s>/U<%s>/P -1" % (b"00" * 32, b"00" * 32),
}
for name, entries in LOCKS.items():
    add(f"locked-by-{name}.pdf", EITHER, partial(claims_a_lock, entries))
