"""Hostile PDFs whose skeleton is the attack: page trees, cross-reference tables, object streams, outlines and forms."""

import random
import struct
from functools import partial

from tests.hostile_parts import (
    CARDS,
    EITHER,
    FIRST_PAGE,
    FREE,
    add,
    deflated,
    good_pages,
    good_pdf,
    hostile,
    object_stream,
    pdf,
    stream,
)

PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 11 0 R>>"


# Page trees ----------------------------------------------------------------------------------------------------------


def with_objects(**objects: bytes) -> bytes:
    """A good document with some of its objects replaced: o2=b"..." is object 2."""
    return pdf(good_pages(3) | {int(name[1:]): body for name, body in objects.items()})


TREES = {
    "page-tree-that-is-its-own-kid": {"o2": b"<</Type/Pages/Count 3/Kids[2 0 R 2 0 R 10 0 R]>>"},
    "page-tree-of-two-that-hold-each-other": {
        "o2": b"<</Type/Pages/Count 9/Kids[1000 0 R 10 0 R]>>",
        "o1000": b"<</Type/Pages/Parent 2 0 R/Count 9/Kids[2 0 R 10 0 R]>>",
    },
    "parents-in-a-loop": {
        "o2": b"<</Type/Pages/Parent 1000 0 R/Count 3/Kids[10 0 R 12 0 R 14 0 R]>>",
        "o1000": b"<</Type/Pages/Parent 2 0 R/Count 3/Kids[2 0 R]>>",
        "o10": b"<</Type/Page/Parent 2 0 R/Contents 11 0 R>>",
    },
    "page-that-is-its-own-parent": {"o10": PAGE.replace(b"2 0 R", b"10 0 R", 1)},
    "a-million-pages-by-its-count": {"o2": b"<</Type/Pages/Count 1000000/Kids[10 0 R 12 0 R 14 0 R]>>"},
    "two-billion-pages-by-its-count": {"o2": b"<</Type/Pages/Count 2147483647/Kids[10 0 R 12 0 R 14 0 R]>>"},
    "pages-below-zero": {"o2": b"<</Type/Pages/Count -5/Kids[10 0 R 12 0 R 14 0 R]>>"},
    "count-that-is-a-loop": {"o2": b"<</Type/Pages/Count 1000 0 R/Kids[10 0 R]>>", "o1000": b"1000 0 R"},
    "kids-that-are-no-pages": {
        "o2": b"<</Type/Pages/Count 4/Kids[(a) 5 null [10 0 R] <<>> true 1 0 R 999 0 R 10 0 R]>>"
    },
    "media-box-below-zero": {"o10": PAGE.replace(b"0 0 612 792", b"-1e38 5 -99999999999999999999 -7")},
    "media-box-without-end": {"o10": PAGE.replace(b"0 0 612 792", b"0 0 1e38 1e38")},
    "page-turned-a-billion-times": {"o10": PAGE.replace(b"/Type", b"/Rotate 1000000007/UserUnit 1e38/Type", 1)},
    "catalog-that-is-a-stream": {"o1": stream(b"", b"/Type/Catalog/Pages 2 0 R")},
    "catalog-that-is-null": {"o1": b"null"},
    "contents-in-a-loop": {"o11": b"[11 0 R 11 0 R 11 0 R]"},
    "length-that-is-its-own-stream": {"o11": b"<</Length 11 0 R>>stream\nBT ET\nendstream"},
    "length-of-two-billion": {"o11": b"<</Length 2147483647>>stream\nBT ET\nendstream"},
    "length-below-zero": {"o11": b"<</Length -20>>stream\nBT ET\nendstream"},
}
for name, objects in TREES.items():
    add(f"{name}.pdf", EITHER, partial(with_objects, **objects))


@hostile(".pdf")
def a_million_kids_that_are_one_page() -> bytes:
    objects = good_pages(1)
    del objects[2]
    return pdf(objects, inside={2: b"<</Type/Pages/Count 1000000/Kids[" + b"10 0 R " * 1_000_000 + b"]>>"})


@hostile(".pdf")
def page_tree_a_hundred_thousand_deep() -> bytes:
    objects = good_pages(1)
    objects[2] = b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % FREE
    levels = {
        number: b"<</Type/Pages/Parent %d 0 R/Count 1/Kids[%d 0 R]>>" % (number - 1, number + 1)
        for number in range(FREE, FREE + 60_000)
    }
    levels[FREE + 60_000] = objects.pop(FIRST_PAGE)
    return pdf(objects, inside=levels)


@hostile(".pdf")
def page_tree_that_doubles_thirty_times() -> bytes:
    """Two kids each, both the same: 2**30 pages in 30 objects."""
    objects = good_pages(1)
    objects[2] = b"<</Type/Pages/Count 1073741824/Kids[1000 0 R 1000 0 R]>>"
    for level in range(29):
        kid = FREE + level + 1 if level < 28 else FIRST_PAGE
        objects[FREE + level] = b"<</Type/Pages/Parent 2 0 R/Count %d/Kids[%d 0 R %d 0 R]>>" % (
            2 ** (29 - level),
            kid,
            kid,
        )
    return pdf(objects)


@hostile(".pdf", CARDS)
def ten_of_a_hundred_pages_are_broken() -> bytes:
    objects, noise = good_pages(100), random.Random(3)
    for page in range(5, 100, 10):
        objects[FIRST_PAGE + 2 * page + 1] = stream(noise.randbytes(5000), b"/Filter/FlateDecode", packed=False)
        if page % 20 == 5:
            objects[FIRST_PAGE + 2 * page] = (
                b"<</Type/Page/Parent 2 0 R/Contents 11 0 R/Resources %s" % noise.randbytes(40)
            )
    return pdf(objects)


@hostile(".pdf")
def a_hundred_pages_of_which_one_is_a_bomb() -> bytes:
    bomb = stream(deflated(bytes(1 << 20), 2000), b"/Filter/FlateDecode", packed=False)
    return pdf(good_pages(100) | {FIRST_PAGE + 2 * 50 + 1: bomb})


# Cross-reference tables ----------------------------------------------------------------------------------------------


def body() -> bytes:
    """A good document up to its table."""
    return good_pdf()[: good_pdf().rfind(b"xref\n0 ")]


def with_table(table: bytes, start: int | None = None) -> bytes:
    head = body()
    return (
        head
        + table.replace(b"@HERE", b"%d" % len(head))
        + b"startxref\n%d\n%%%%EOF\n" % (len(head) if start is None else start)
    )


TRAILER = b"trailer\n<</Size 30/Root 1 0 R%s>>\n"
XREF = b"/Type/XRef/Root 1 0 R"


def xref_stream(entries: bytes) -> bytes:
    return b"900 0 obj\n%s\nendobj\n" % stream(b"\x01" * 90, XREF + entries)


TABLES = {
    "xref-of-eight-million-entries-claimed": b"xref\n0 8388607\n" + TRAILER % b"",
    "xref-of-two-billion-entries-claimed": b"xref\n0 2147483647\n0000000000 65535 f \n" + TRAILER % b"",
    "xref-that-is-its-own-past": b"xref\n0 1\n0000000000 65535 f \n" + TRAILER % b"/Prev @HERE",
    "xref-whose-stream-is-itself": b"xref\n0 1\n0000000000 65535 f \n" + TRAILER % b"/XRefStm @HERE/Prev @HERE",
    "xref-before-zero": b"xref\n-5 10\n" + TRAILER % b"/Prev -1",
    "trailer-that-names-nothing": b"xref\n0 0\ntrailer\n<<>>\n",
    "trailer-of-a-loop": b"xref\n0 0\ntrailer\n<</Size 30/Root 999 0 R/Info 999 0 R>>\n999 0 obj 999 0 R endobj\n",
    "xref-stream-of-two-billion": xref_stream(b"/Size 2147483647/W[1 8 8]/Index[0 2147483647]"),
    "xref-stream-of-mad-widths": xref_stream(b"/Size 30/W[2147483647 2147483647 -1]"),
    "xref-stream-of-no-width": xref_stream(b"/Size 8000000/W[0 0 0]"),
}  # fmt: skip
for name, table in TABLES.items():
    add(f"{name}.pdf", EITHER, partial(with_table, table))
for name, start in {"beyond-the-end": 10**12, "before-the-start": -7, "in-the-middle": 500}.items():
    add(f"startxref-{name}.pdf", EITHER, partial(with_table, b"xref\n0 0\n" + TRAILER % b"", start))


@hostile(".pdf")
def xref_stream_bomb() -> bytes:
    packed = deflated(b"\x01\x00\x00\x00\x0f\x00\x00" * 100_000, 1000)
    entries = XREF + b"/Size 100000000/W[1 4 2]/Filter/FlateDecode"
    return with_table(b"900 0 obj\n" + stream(packed, entries, packed=False) + b"\nendobj\n")


@hostile(".pdf")
def xref_of_a_million_sections() -> bytes:
    return with_table(
        b"xref\n" + b"".join(b"%d 1\n0000000015 00000 n \n" % n for n in range(1_000_000)) + TRAILER % b""
    )


@hostile(".pdf")
def ten_thousand_updates() -> bytes:
    result = bytearray(good_pdf())
    last = result.rfind(b"xref\n0 ")
    trailer = b"xref\n0 1\n0000000000 65535 f \ntrailer\n<</Size 30/Root 1 0 R/Prev %d>>\n"
    for _ in range(10_000):
        here = len(result)
        result += trailer % last + b"startxref\n%d\n%%%%EOF\n" % here
        last = here
    return bytes(result)


@hostile(".pdf")
def object_numbers_that_overflow() -> bytes:
    return b"%PDF-1.7\n" + b"".join(
        b"%d %d obj\n<</Type/Catalog/Pages %d 0 R>>\nendobj\n" % (number, number, number + 1)
        for number in (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 10**40, 8388607, 8388608)
    )


# Objects -------------------------------------------------------------------------------------------------------------


@hostile(".pdf")
def a_million_and_a_half_empty_objects() -> bytes:
    # In front of good pages, whose table is lost: a reader that mends has to walk them all.
    empty = b"".join(b"%d 0 obj<<>>endobj\n" % number for number in range(FREE, 1_501_000))
    return good_pdf().replace(b"\n1 0 obj", b"\n" + empty + b"1 0 obj", 1).replace(b"startxref", b"startxfer")


@hostile(".pdf")
def a_million_and_a_half_empty_objects_in_a_stream() -> bytes:
    return pdf(good_pages(3), inside=dict.fromkeys(range(FREE, 1_501_000), b"<<>>"))


@hostile(".pdf")
def object_stream_within_itself() -> bytes:
    objects = good_pages(3)
    extends = object_stream({FREE + 5: b"<<>>"}, b"/Extends %d 0 R" % FREE)
    return pdf(
        objects | {FREE: extends}, inside={FREE + 1: b"<</Type/ObjStm/N 1/First 4/Length 1002 0 R>>", 1002: b"1002 0 R"}
    )


@hostile(".pdf")
def object_streams_whose_table_says_they_hold_each_other() -> bytes:
    head = body()
    rows = {number: struct.pack(">BIH", 2, 900 + number % 2, 0) for number in range(30)}
    rows[900], rows[901] = struct.pack(">BIH", 2, 901, 0), struct.pack(">BIH", 2, 900, 0)
    table = stream(b"".join(rows.get(number, bytes(7)) for number in range(903)), XREF + b"/Size 903/W[1 4 2]")
    return head + b"902 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF" % (table, len(head))


@hostile(".pdf")
def object_stream_of_a_billion() -> bytes:
    bomb = deflated(b"1 0 " * 250_000, 500)
    entries = b"/Type/ObjStm/N 1000000000/First 1000000000/Filter/FlateDecode"
    whole = pdf(good_pages(3), inside={FREE: b"<<>>"})
    return whole.replace(b"%PDF-1.7\n", b"%%PDF-1.7\n800 0 obj\n%s\nendobj\n" % stream(bomb, entries, packed=False), 1)


@hostile(".pdf", CARDS)
def outlines_in_a_circle() -> bytes:
    objects = good_pages(3, catalog=b"/Outlines 1000 0 R/PageMode/UseOutlines/Names<</Dests 1003 0 R>>")
    objects[1000] = b"<</Type/Outlines/First 1001 0 R/Last 1002 0 R/Count 99999999>>"
    objects[1001] = b"<</Title(One)/Parent 1000 0 R/Next 1002 0 R/First 1001 0 R/Dest[10 0 R/Fit]>>"
    objects[1002] = b"<</Title(Two)/Parent 1002 0 R/Prev 1002 0 R/Next 1001 0 R/First 1000 0 R/Dest(loop)>>"
    objects[1003] = b"<</Kids[1003 0 R 1003 0 R]/Names[(loop)(loop)]/Limits[(a)(z)]>>"
    return pdf(objects)


@hostile(".pdf", CARDS)
def outlines_fifty_thousand_deep() -> bytes:
    objects = good_pages(3, catalog=b"/Outlines 1000 0 R")
    objects[1000] = b"<</Type/Outlines/First 1001 0 R/Last 1001 0 R/Count 1>>"
    entry = b"<</Title(Deep)/Parent %d 0 R/First %d 0 R/Last %d 0 R/Dest[10 0 R/Fit]>>"
    deep = {number: entry % (number - 1, number + 1, number + 1) for number in range(FREE + 1, FREE + 50_000)}
    return pdf(objects, inside=deep)


@hostile(".pdf", CARDS)
def a_million_annotations() -> bytes:
    objects = good_pages(3, page=b"/Annots 1000 0 R")
    note = b"<</Type/Annot/Subtype/Text/Rect[0 0 9 9]/Contents(A note about water.)/Parent 1001 0 R/Popup 1001 0 R>>"
    return pdf(objects, inside={FREE: b"[" + b"1001 0 R " * 1_000_000 + b"]", FREE + 1: note})


@hostile(".pdf", CARDS)
def form_fields_in_a_circle() -> bytes:
    objects = good_pages(3, catalog=b"/AcroForm<</Fields[1000 0 R 1001 0 R]/XFA 1002 0 R>>")
    objects[1000] = b"<</T(a)/FT/Tx/V(water)/Kids[1001 0 R 1000 0 R]/Parent 1001 0 R>>"
    objects[1001] = b"<</T(b)/Kids[1000 0 R 1000 0 R]/Parent 1000 0 R/V 1001 0 R>>"
    laugh = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'
    return pdf(objects | {1002: stream(laugh)})


@hostile(".pdf", CARDS)
def form_fields_that_double_forty_times() -> bytes:
    objects = good_pages(3, catalog=b"/AcroForm<</Fields[1000 0 R]>>")
    field = b"<</T(f)/FT/Tx/V(water)/Kids[%d 0 R %d 0 R]>>"
    return pdf(objects | {number: field % (number + 1, number + 1) for number in range(FREE, FREE + 40)})


@hostile(".pdf", CARDS)
def structure_tree_in_a_circle() -> bytes:
    objects = good_pages(3, catalog=b"/MarkInfo<</Marked true>>/StructTreeRoot 1000 0 R/PageLabels 1001 0 R")
    objects[1000] = b"<</Type/StructTreeRoot/K[1000 0 R 1001 0 R]/ParentTree 1001 0 R/RoleMap<</P/Q/Q/P>>>>"
    objects[1001] = b"<</Type/StructElem/S/P/P 1001 0 R/K[1000 0 R 1001 0 R]/Kids[1001 0 R]/Nums[0 1001 0 R]>>"
    return pdf(objects)


@hostile(".pdf")
def arrays_a_million_deep() -> bytes:
    return with_objects(o1=b"<</Type/Catalog/Pages 2 0 R/Deep " + b"[" * 1_000_000 + b"]" * 1_000_000 + b">>")


@hostile(".pdf")
def dictionaries_a_million_deep() -> bytes:
    return with_objects(o10=PAGE[:-2] + b"/Deep" + b"<</A" * 1_000_000 + b" 1" + b">>" * 1_000_000 + b">>")


@hostile(".pdf")
def references_in_a_chain_of_a_hundred_thousand() -> bytes:
    chain = {number: b"%d 0 R" % (number + 1) for number in range(FREE, FREE + 50_000)}
    objects = {number: content for number, content in good_pages(3).items() if number != 11}
    objects[FIRST_PAGE] = PAGE.replace(b"11 0 R", b"%d 0 R" % FREE)
    return pdf(objects, inside=chain)


@hostile(".pdf", CARDS)
def javascript_attachments_and_launches() -> bytes:
    catalog = (
        b"/OpenAction<</S/JavaScript/JS(while(1){app.alert\\(1\\)})>>/AA<</WC<</S/Launch/F(/bin/sh)>>>>"
        b"/Names<</EmbeddedFiles<</Names[(../../evil.exe) 1000 0 R]>>"
        b"/JavaScript<</Names[(x)<</S/JavaScript/JS(x\\(\\))>>]>>>>"
    )
    objects = good_pages(3, catalog=catalog, page=b"/AA<</O<</S/URI/URI(http://127.0.0.1/)>>>>")
    objects[1000] = b"<</Type/Filespec/F(../../evil.exe)/EF<</F 1001 0 R>>>>"
    return pdf(objects | {1001: stream(b"MZ" + bytes(1000), b"/Type/EmbeddedFile")})


@hostile(".pdf", CARDS)
def attached_bombs_that_nobody_needs() -> bytes:
    objects = good_pages(3, catalog=b"/Metadata 1000 0 R/Names<</EmbeddedFiles<</Names[(a) 1001 0 R]>>>>")
    objects[1000] = stream(
        deflated(bytes(1 << 20), 2000), b"/Type/Metadata/Subtype/XML/Filter/FlateDecode", packed=False
    )
    return pdf(objects | {1001: b"<</Type/Filespec/F(a)/EF<</F 1000 0 R>>>>"}, b"/Info 1000 0 R")
