"""Hostile DOCX files: zips that lie and overlap, XML that swells, parts that refer to themselves."""

import random
import struct
import zlib
from dataclasses import replace
from functools import partial
from typing import Any

from tests.hostile_parts import (
    CARDS,
    EITHER,
    HEAD,
    SENTENCE,
    TAIL,
    Member,
    W,
    add,
    article,
    docx,
    docx_members,
    flipped,
    hostile,
    member,
    paragraphs,
    swollen,
    zipped,
)

MEGABYTE = 1 << 20
PARAGRAPH = paragraphs("The old lighthouse keeper climbed the stairs every evening and lit the paraffin lamp.")
DOCUMENT = "word/document.xml"
GOOD = HEAD + paragraphs(article()) + TAIL


# ZIP -----------------------------------------------------------------------------------------------------------------


@hostile(".docx")
def zip_bomb() -> bytes:
    return docx(swollen(DOCUMENT, bytes(MEGABYTE), 1500))


@hostile(".docx")
def gigabyte_of_paragraphs() -> bytes:
    return docx(swollen(DOCUMENT, PARAGRAPH * 10_000, 1 + (1 << 30) // (len(PARAGRAPH) * 10_000), HEAD, TAIL))


@hostile(".docx")
def gigabyte_of_empty_paragraphs() -> bytes:
    return docx(swollen(DOCUMENT, b"<w:p/>" * 100_000, 1700, HEAD, TAIL))


@hostile(".docx")
def gigabyte_in_one_run() -> bytes:
    head, tail = HEAD + paragraphs(article()) + b"<w:p><w:r><w:t>", b"</w:t></w:r></w:p>" + TAIL
    return docx(swollen(DOCUMENT, b"water " * 100_000, 1700, head, tail))


@hostile(".docx", CARDS)
def bombs_in_members_that_nobody_needs() -> bytes:
    bombs = [swollen(f"word/media/image{number}.png", bytes(MEGABYTE), 300) for number in range(3)]
    return zipped([*docx_members(), *bombs])


@hostile(".docx")
def bombs_in_styles_and_notes() -> bytes:
    names = ("styles", "footnotes", "endnotes", "numbering", "comments", "settings")
    return zipped([*docx_members(), *(swollen(f"word/{name}.xml", b" " * MEGABYTE, 500, b"<w:x>") for name in names)])


def lying(**lies: Any) -> bytes:
    """A good document whose text's member is described wrongly."""
    return zipped([replace(entry, **lies) if entry.name == DOCUMENT.encode() else entry for entry in docx_members()])


LIES: dict[str, dict[str, Any]] = {
    "that-says-it-is-empty": {"size": 0},
    "that-says-it-is-small": {"size": 10},
    "that-says-it-has-4-gb": {"size": 0xFFFFFFFE},
    "of-a-wrong-checksum": {"crc": 1},
    "that-is-encrypted": {"flags": 1},
    "of-an-unknown-method": {"method": 99},
    "that-says-it-is-stored": {"method": 0},
    "that-says-it-is-lzma": {"method": 14},
    "that-is-a-link": {"mode": 0o120777},
    "that-is-cut": {"packed": zlib.compress(GOOD)[2:200]},
    "of-noise": {"packed": random.Random(5).randbytes(5000)},
}
for name, lies in LIES.items():
    add(f"member-{name}.docx", EITHER, partial(lying, **lies))


@hostile(".docx")
def bomb_that_says_it_is_small() -> bytes:
    return docx(replace(swollen(DOCUMENT, PARAGRAPH * 10_000, 400, HEAD, TAIL), size=5000))


@hostile(".docx")
def members_that_overlap() -> bytes:
    """A hundred thousand names in the directory for one and the same bomb."""
    whole = docx(swollen(DOCUMENT, bytes(MEGABYTE), 100))
    start = whole.rfind(b"PK\x01\x02")
    end = whole.rfind(b"PK\x05\x06")
    entry = whole[start:end]
    directory = whole[whole.find(b"PK\x01\x02") : end] + entry * 60_000
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 60_003, 60_003, len(directory), whole.find(b"PK\x01\x02"), 0)
    return whole[: whole.find(b"PK\x01\x02")] + directory + tail


@hostile(".docx", CARDS)
def members_that_climb_out() -> bytes:
    names = (
        "../../../climbed.txt",
        "/tmp/docdeck-climbed.txt",
        "..\\..\\climbed.txt",
        "word/../../climbed.txt",
        "C:\\climbed.txt",
    )
    return zipped([*docx_members(), *(member(name, b"out") for name in names)])


@hostile(".docx")
def sixty_thousand_members() -> bytes:
    return zipped([*docx_members(), *(member(f"word/x{number}.xml", b"<a/>") for number in range(60_000))])


@hostile(".docx")
def two_documents_of_one_name() -> bytes:
    return zipped([*docx_members(), member(DOCUMENT, HEAD + b"<w:p/>" + TAIL)])


@hostile(".docx")
def names_of_noise() -> bytes:
    names = (b"\x00\xff\xfe", b"word/\x00document.xml", b"a" * 65000, b"", b"\n\r%s%n", b"word/document.xml/")
    return zipped([*docx_members(), *(Member(name, b"", 0, 0, method=0) for name in names)])


@hostile(".zip")
def zips_in_zips() -> bytes:
    data = zipped([swollen("bomb", bytes(MEGABYTE), 200)])
    for level in range(6):
        data = zipped([member(f"{level}-{number}.zip", data) for number in range(4)])
    return data


def office(part: str, kind: str) -> bytes:
    return zipped(
        [member("[Content_Types].xml", kind.encode()), member(part, b"<a/>"), member("x.txt", article().encode())]
    )


add("zip-of-text.docx", SENTENCE, partial(office, "a/b.txt", "x"))
add("sheet.docx", SENTENCE, partial(office, "xl/workbook.xml", "spreadsheetml"))
add("docx-without-its-document.docx", SENTENCE, partial(office, "word/styles.xml", "wordprocessingml"))
add("zip-of-nothing.docx", SENTENCE, lambda: zipped([]))
add("zip-header-only.docx", SENTENCE, lambda: b"PK\x03\x04")
add("zip-of-noise.docx", SENTENCE, lambda: b"PK\x03\x04" + random.Random(6).randbytes(100_000))
add("old-office.doc", SENTENCE, lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + random.Random(7).randbytes(100_000))
add("junk-before-the-zip.docx", EITHER, lambda: b"junk" * 1000 + docx())
add("end-of-zip-in-its-comment.docx", EITHER, lambda: zipped(docx_members(), b"PK\x05\x06" + b"\xff" * 18))


def cut(share: float) -> bytes:
    whole = docx()
    return whole[: int(len(whole) * share)]


def damaged(flips: int, seed: int) -> bytes:
    return flipped(docx(), flips, seed)


for percent in (10, 50, 90, 99):
    add(f"cut-at-{percent}-percent.docx", EITHER, partial(cut, percent / 100))
for seed, flips in enumerate((1, 5, 20, 100, 1000)):
    add(f"bits-flipped-{flips}.docx", EITHER, partial(damaged, flips, seed))


# XML -----------------------------------------------------------------------------------------------------------------


def declared(declarations: str, use: str) -> bytes:
    """A good document with a DTD of its own, and a paragraph that uses it."""
    head, body = HEAD.decode().split("?>", 1)
    paragraph = f"<w:p><w:r><w:t>{use}</w:t></w:r></w:p>"
    return docx((f"{head}?><!DOCTYPE w [{declarations}]>{body}{paragraph}" + GOOD[len(HEAD) :].decode()).encode())


def laughter() -> str:
    return '<!ENTITY l0 "laughter ">' + "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(10))


DECLARATIONS = {
    "billion-laughs": (laughter(), "&l9;"),
    "quadratic-entity": (f'<!ENTITY a "{"water " * 20_000}">', "&a;" * 20_000),
    "entity-of-itself": ('<!ENTITY a "&b;"><!ENTITY b "&a;">', "&a;"),
    "entity-of-a-file": ('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;"),
    "entity-of-an-address": ('<!ENTITY a SYSTEM "http://127.0.0.1:9/">', "&a;"),
    "parameter-entities": ('<!ENTITY % a SYSTEM "file:///etc/passwd"><!ENTITY % b "&#37;a;"> %a; %b;', "x"),
    "entity-in-an-attribute": (laughter(), '<w:br w:type="&l8;"/>'),
    "attribute-defaults": (f"<!ATTLIST w:p {' '.join(f'a{n} CDATA {chr(34)}x{chr(34)}' for n in range(20_000))}>", "x"),
}
for name, (declarations, use) in DECLARATIONS.items():
    add(f"{name}.docx", EITHER, partial(declared, declarations, use))
add(
    "dtd-of-an-address.docx",
    EITHER,
    lambda: docx(GOOD.replace(b"?>", b'?><!DOCTYPE w SYSTEM "http://127.0.0.1:9/">', 1)),
)


@hostile(".docx")
def elements_a_million_deep() -> bytes:
    body = b"<w:p><w:r><w:t>water</w:t></w:r></w:p>"
    return docx(HEAD + b"<w:sdt>" * 1_000_000 + body + b"</w:sdt>" * 1_000_000 + TAIL)


@hostile(".docx")
def tables_in_tables_in_tables() -> bytes:
    start, end = b"<w:tbl><w:tr><w:tc><w:p/>", b"</w:tc></w:tr></w:tbl>"
    return docx(HEAD + paragraphs(article()) + start * 20_000 + end * 20_000 + TAIL)


@hostile(".docx")
def table_of_a_million_cells() -> bytes:
    cell = b'<w:tc><w:tcPr><w:gridSpan w:val="2147483647"/></w:tcPr><w:p><w:r><w:t>water</w:t></w:r></w:p></w:tc>'
    return docx(swollen(DOCUMENT, cell * 1000, 1000, HEAD + b"<w:tbl><w:tr>", b"</w:tr></w:tbl>" + TAIL))


@hostile(".docx")
def a_million_runs_of_a_letter() -> bytes:
    return docx(swollen(DOCUMENT, b"<w:r><w:t>a</w:t></w:r>" * 1000, 1000, HEAD + b"<w:p>", b"</w:p>" + TAIL))


@hostile(".docx")
def attribute_of_half_a_gigabyte() -> bytes:
    return docx(swollen(DOCUMENT, b"a" * MEGABYTE, 500, HEAD + b'<w:p w:rsid="', b'"/>' + GOOD[len(HEAD) :]))


@hostile(".docx")
def element_of_a_million_attributes() -> bytes:
    attributes = b"".join(b' a%d=""' % number for number in range(1_000_000))
    return docx(HEAD + b"<w:p" + attributes + b"/>" + GOOD[len(HEAD) :])


@hostile(".docx")
def name_of_a_hundred_megabytes() -> bytes:
    return docx(swollen(DOCUMENT, b"a" * MEGABYTE, 100, HEAD + b"<", b"/>" + TAIL))


@hostile(".docx")
def comment_of_half_a_gigabyte() -> bytes:
    return docx(swollen(DOCUMENT, b"a" * MEGABYTE, 500, HEAD + b"<!--", b"-->" + GOOD[len(HEAD) :]))


@hostile(".docx")
def a_hundred_thousand_namespaces() -> bytes:
    names = b"".join(b' xmlns:n%d="u:%d"' % (number, number) for number in range(100_000))
    return docx(HEAD + b"<w:p" + names + b"/>" + GOOD[len(HEAD) :])


STYLE = b'<w:p><w:pPr><w:pStyle w:val="A"/><w:outlineLvl w:val="-9999999999999999999"/></w:pPr>'
STYLED = GOOD.replace(b"<w:p>", STYLE)


def styled(chain: list[tuple[str, str]]) -> bytes:
    """A good document in style A; chain: each style and the one that it is based on."""
    rows = "".join(
        f'<w:style w:type="paragraph" w:styleId="{own}"><w:name w:val="{own}"/><w:basedOn w:val="{base}"/></w:style>'
        for own, base in chain
    )
    return docx(STYLED, styles=f'<w:styles xmlns:w="{W}">{rows}</w:styles>'.encode())


CHAIN = [(f"S{number}", f"S{number + 1}") for number in range(50_000)]
add("styles-in-a-circle.docx", CARDS, partial(styled, [("A", "B"), ("B", "C"), ("C", "A"), ("D", "D")]))
add("styles-in-a-chain-of-fifty-thousand.docx", CARDS, partial(styled, [("A", "S0"), *CHAIN]))


@hostile(".docx", CARDS)
def notes_that_refer_to_themselves() -> bytes:
    note = '<w:footnote w:id="1"><w:p><w:r><w:footnoteReference w:id="1"/><w:t>Round</w:t></w:r></w:p></w:footnote>'
    document = GOOD.replace(b"</w:t></w:r>", b'</w:t></w:r><w:r><w:footnoteReference w:id="1"/></w:r>')
    return docx(document, footnotes=f'<w:footnotes xmlns:w="{W}">{note}</w:footnotes>'.encode())


@hostile(".docx")
def note_that_is_shown_a_million_times() -> bytes:
    text = f"<w:p><w:r><w:t>{'water ' * 2000}</w:t></w:r></w:p>"
    note = f'<w:footnotes xmlns:w="{W}"><w:footnote w:id="1">{text}</w:footnote></w:footnotes>'
    shown = b'<w:r><w:footnoteReference w:id="1"/></w:r>' * 1000
    head, tail = HEAD + paragraphs(article()) + b"<w:p>", b"</w:p>" + TAIL
    return zipped(
        [*docx_members(swollen(DOCUMENT, shown, 1000, head, tail)), member("word/footnotes.xml", note.encode())]
    )


def broken_xml(old: bytes, new: bytes) -> bytes:
    return docx(GOOD.replace(old, new, 1))


BROKEN = {
    "xml-with-a-nul": (b"<w:t>", b"<w:t>\x00"),
    "xml-with-a-nul-by-number": (b"<w:t>", b"<w:t>&#0;"),
    "xml-with-half-a-character": (b"<w:t>", b"<w:t>&#xD800;\xed\xa0\x80"),
    "xml-with-bad-utf-8": (b"<w:t>", b"<w:t>\xff\xfe\xc0\x80"),
    "xml-that-stops": (TAIL, b""),
    "xml-of-wrong-order": (b"</w:p>", b"</w:r>"),
    "xml-of-an-unknown-encoding": (b"UTF-8", b"x-evil"),
    "xml-called-utf-7": (b"UTF-8", b"UTF-7"),
    "xml-called-utf-32": (b"UTF-8", b"UTF-32"),
    "xml-of-no-namespace": (b' xmlns:w="' + W.encode() + b'"', b""),
}
for name, (old, new) in BROKEN.items():
    add(f"{name}.docx", EITHER, partial(broken_xml, old, new))
add("xml-in-utf-16.docx", EITHER, lambda: docx(GOOD.decode().replace("UTF-8", "UTF-16").encode("utf-16")))
add(
    "chunk-of-an-address.docx",
    EITHER,
    lambda: docx(GOOD.replace(TAIL, b'<w:altChunk r:id="http://127.0.0.1:9/"/>' + TAIL)),
)
