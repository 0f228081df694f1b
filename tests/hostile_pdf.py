"""Hostile PDFs whose contents are the attack: streams that swell, operators without end, fonts, forms and pictures."""

import base64
import random
import struct
import zlib
from functools import partial
from typing import Any

from tests.hostile_parts import (
    CARDS,
    EITHER,
    FIRST_PAGE,
    FONT,
    FREE,
    SENTENCE,
    add,
    article,
    deflated,
    good_pages,
    hostile,
    one_page,
    pdf,
    shown,
    strange_words,
    stream,
)

MEGABYTE = 1 << 20
FLATE = b"/Filter/FlateDecode"
WORDS = b"(The old lighthouse keeper climbed the stairs every evening and lit the lamp.) Tj T*\n"


def unpacked(data: bytes, entries: bytes = FLATE) -> bytes:
    return stream(data, entries, packed=False)


# Bombs ---------------------------------------------------------------------------------------------------------------


@hostile(".pdf")
def flate_bomb() -> bytes:
    return pdf(one_page(unpacked(deflated(bytes(MEGABYTE), 1024))))


@hostile(".pdf")
def flate_bomb_of_spaces_before_good_text() -> bytes:
    return pdf(one_page(unpacked(deflated(b" " * MEGABYTE, 1500, tail=shown(article()[:2000])))))


@hostile(".pdf")
def flate_bomb_twice_packed_4_kb_to_3_gb() -> bytes:
    inner = deflated(bytes(MEGABYTE), 3000)
    packed = zlib.compress(zlib.compress(inner, 9), 9)
    return pdf(one_page(unpacked(packed, b"/Filter[/FlateDecode/FlateDecode/FlateDecode]")))


@hostile(".pdf")
def flate_bomb_of_text() -> bytes:
    return pdf(one_page(unpacked(deflated(WORDS * 1000, 4000, b"BT /F1 9 Tf 40 780 Td 12 TL\n", b"ET"))))


@hostile(".pdf")
def flate_bomb_of_a_never_ending_string() -> bytes:
    return pdf(one_page(unpacked(deflated(b"water " * 100_000, 1000, b"BT /F1 9 Tf (", b") Tj ET"))))


@hostile(".pdf")
def fifty_pages_of_20_mb() -> bytes:
    objects = good_pages(50)
    packed = unpacked(deflated(WORDS * 500, 490, b"BT /F1 9 Tf 40 780 Td 12 TL\n", b"ET"))
    return pdf(objects | {FIRST_PAGE + 2 * number + 1: packed for number in range(50)})


@hostile(".pdf")
def fifty_pages_of_20_mb_of_nothing() -> bytes:
    objects = good_pages(50)
    packed = unpacked(deflated(b"q Q\n" * 250_000, 20))
    return pdf(objects | {FIRST_PAGE + 2 * number + 1: packed for number in range(50)})


@hostile(".pdf")
def one_page_of_1000_references_to_a_bomb() -> bytes:
    objects = good_pages(1)
    objects[FREE] = unpacked(deflated(WORDS * 1000, 120))
    objects[FREE + 1] = b"[" + b"%d 0 R " % FREE * 1000 + b"]"
    return pdf({**objects, FIRST_PAGE: objects[FIRST_PAGE].replace(b"/Contents 11", b"/Contents %d" % (FREE + 1))})


def run_lengths(data: bytes) -> bytes:
    """RunLength of 128 of each byte that the data has: zeros packed again are four bytes of a kind."""
    return b"".join(bytes((129, byte)) for byte in data) + b"\x80"


@hostile(".pdf")
def run_length_chain() -> bytes:
    # Each layer unpacks 2 bytes to 128: five layers make 64**5 of one.
    data = run_lengths(b"\x81\x00" * 40)
    filters = b"/Filter[" + b"/FlateDecode/RunLengthDecode/RunLengthDecode/RunLengthDecode/RunLengthDecode" + b"]"
    return pdf(one_page(unpacked(zlib.compress(run_lengths(run_lengths(data))), filters)))


def lzw_zeros(rounds: int) -> bytes:
    """LZW that unpacks to 7 MB of zeros in each round, in 6 kB."""
    codes = [0, *range(258, 4094)]
    bits = [format(256, "09b")]
    bits += [format(code, f"0{9 + sum(code >= limit for limit in (511, 1023, 2047))}b") for code in codes]
    bits.append(format(256, "012b"))
    text = bits[0] + "".join(bits[1:]) * rounds + format(257, "09b")
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


@hostile(".pdf")
def lzw_bomb() -> bytes:
    return pdf(one_page(unpacked(lzw_zeros(100), b"/Filter/LZWDecode")))


@hostile(".pdf")
def ascii85_and_hex_chain() -> bytes:
    data, filters = zlib.compress(shown(article()[:3000])), b"/FlateDecode"
    for number in range(10):
        coded = number % 2 == 0
        data = base64.a85encode(data) + b"~>" if coded else data.hex().encode() + b">"
        filters = (b"/ASCII85Decode" if coded else b"/ASCIIHexDecode") + filters
    return pdf(one_page(unpacked(data, b"/Filter[%s]" % filters)))


@hostile(".pdf")
def a_hundred_thousand_filters() -> bytes:
    return pdf(one_page(unpacked(zlib.compress(b"q Q"), b"/Filter[" + b"/FlateDecode" * 100_000 + b"]")))


@hostile(".pdf")
def predictor_with_two_billion_columns() -> bytes:
    parameters = b"/DecodeParms<</Predictor 15/Columns 2147483647/Colors 32/BitsPerComponent 16>>"
    return pdf(one_page(unpacked(zlib.compress(shown(article()[:2000])), FLATE + parameters)))


@hostile(".pdf")
def predictor_bomb() -> bytes:
    parameters = b"/DecodeParms<</Predictor 12/Columns 1>>"
    return pdf(one_page(unpacked(deflated(bytes(MEGABYTE), 200), FLATE + parameters)))


# Operators -----------------------------------------------------------------------------------------------------------


def content_of(operators: bytes, times: int, head: bytes = b"", tail: bytes = b"") -> bytes:
    return pdf(one_page(unpacked(deflated(operators * 1000, times // 1000, head, tail))))


TEXT = b"BT /F1 9 Tf 40 780 Td 12 TL\n"
OPERATORS: dict[str, tuple[Any, ...]] = {
    "a-million-operators": (b"(water) Tj\n", 1_000_000, TEXT, b"ET"),
    "a-million-moves": (b"0 -12 Td (pump) Tj\n", 1_000_000, TEXT, b"ET"),
    "three-million-states-saved": (b"q ", 3_000_000),
    "a-million-matrices": (b"1 0 0 1 1e30 1e30 cm ", 1_000_000),
    "a-million-path-segments": (b"1 2 m 3 4 l 5 6 7 8 9 10 c ", 1_000_000, b"", b"S"),
    "a-million-text-objects": (b"BT /F1 9 Tf 9 9 Td (a) Tj ET ", 1_000_000),
    "a-million-marks": (b"/P <</MCID 1/ActualText (water)>> BDC ", 1_000_000, TEXT, b"(x) Tj ET"),
    "a-million-inline-images": (b"BI /W 1 /H 1 /BPC 8 /CS /G ID x EI ", 1_000_000),
    "a-million-clips": (b"0 0 100 100 re W n ", 1_000_000),
    "a-million-brackets": (b"[", 3_000_000),
    "a-million-dictionaries": (b"<</A", 1_000_000),
    "a-million-open-strings": (b"(", 3_000_000),
    "a-million-operands": (b"1 ", 5_000_000, b"", b"re f"),
    "a-million-unknown-operators": (b"foo bar baz ", 1_000_000),
    "a-million-letters-in-one-place": (b"(w) Tj 0 0 Td ", 1_000_000, TEXT, b"ET"),
    "a-million-font-changes": (b"/F1 1 Tf (w) Tj /F1 2 Tf ", 1_000_000, TEXT, b"ET"),
    "a-million-kerned-letters": (b"(w) -900 ", 1_000_000, TEXT + b"[", b"] TJ ET"),
}
for name, arguments in OPERATORS.items():
    add(f"{name}.pdf", EITHER, partial(content_of, *arguments))


@hostile(".pdf", CARDS)
def text_with_mad_numbers() -> bytes:
    mad = b"BT /F1 1e38 Tf 99999999999999999999 -1e300 Td 0 0 0 0 0 0 Tm (mad) Tj 1e-40 Tz 1e38 Tc (mad) Tj ET "
    return pdf(good_pages(3, before=mad + b"NaN Infinity -- 1.2.3.4 +-5 cm "))


@hostile(".pdf")
def a_name_of_a_megabyte() -> bytes:
    name = b"/" + b"N" * MEGABYTE
    return pdf(good_pages(3, catalog=name + b" true", resources=b"/XObject<<%s 1 0 R>>" % name, before=name + b" Do "))


# Fonts ---------------------------------------------------------------------------------------------------------------


@hostile(".pdf")
def ninety_thousand_fonts_in_a_megabyte() -> bytes:
    fonts = {FREE + number: b"<</Type/Font/Subtype/Type1/BaseFont/F%d>>" % number for number in range(90_000)}
    names = b"".join(b"/G%d %d 0 R" % (number, FREE + number) for number in range(90_000))
    used = b"".join(b"/G%d 9 Tf(w)Tj\n" % number for number in range(90_000))
    objects = one_page(stream(b"BT 40 780 Td " + used + b"ET"))
    page = objects.pop(FIRST_PAGE).replace(b"<</F1 3 0 R>>", b"999 0 R")
    return pdf(objects, inside={FIRST_PAGE: page, 999: b"<<%s>>" % names, **fonts})


def with_font(font: bytes, content: bytes, **more: bytes) -> bytes:
    """A good page, then one in a font of the attack's own; more objects are o1001, o1002..."""
    objects = good_pages(3, resources=b"/Font<</F1 %d 0 R/A %d 0 R>>" % (FONT, FREE))
    objects[FREE] = font
    objects[FIRST_PAGE] = objects[FIRST_PAGE].replace(b"/Font<</F1 3 0 R>>", b"", 1)
    objects[FIRST_PAGE + 1] = stream(b"BT /A 9 Tf 40 780 Td 12 TL\n" + content + b" ET")
    return pdf(objects | {int(name[1:]): body for name, body in more.items()})


TYPE3 = b"<</Type/Font/Subtype/Type3/FontBBox[0 0 1 1]/FontMatrix[1 0 0 1 0 0]/FirstChar 97/LastChar 97/Widths[1]"


@hostile(".pdf")
def type_3_glyph_that_shows_itself() -> bytes:
    font = TYPE3 + b"/Encoding<</Differences[97/a]>>/CharProcs<</a 1001 0 R>>/Resources<</Font<</A 1000 0 R>>>>>>"
    return with_font(font, b"(aaaa) Tj", o1001=stream(b"1 0 d0 BT /A 1 Tf (aaaaaaaaaa) Tj ET"))


def to_unicode(rows: bytes, times: int = 1, head: bytes = b"") -> bytes:
    begin = b"/CIDInit/ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00><FF>"
    return unpacked(deflated(rows, times, begin + b" endcodespacerange " + head, b" endcmap"))


MAPPED = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 1001 0 R>>"


@hostile(".pdf")
def to_unicode_with_two_million_ranges() -> bytes:
    rows = b"100 beginbfrange\n" + b"<0000> <FFFF> <0041>\n" * 100 + b"endbfrange\n"
    return with_font(MAPPED, WORDS, o1001=to_unicode(rows, 20_000))


@hostile(".pdf")
def to_unicode_that_makes_a_megabyte_of_each_letter() -> bytes:
    long = b"<" + b"00770061" * 130_000 + b">"
    return with_font(MAPPED, WORDS * 50, o1001=to_unicode(b"", 1, b"1 beginbfrange <00> <FF> %s endbfrange " % long))


@hostile(".pdf")
def to_unicode_bomb() -> bytes:
    return with_font(MAPPED, WORDS, o1001=to_unicode(b" " * MEGABYTE, 1000))


@hostile(".pdf")
def to_unicode_that_uses_itself() -> bytes:
    return with_font(MAPPED, WORDS, o1001=stream(b"/Self usecmap begincmap endcmap", b"/UseCMap 1001 0 R"))


@hostile(".pdf")
def font_with_boundless_widths() -> bytes:
    font = b"<</Type/Font/Subtype/Type0/BaseFont/A/Encoding/Identity-H/DescendantFonts[1001 0 R]>>"
    inner = (
        b"<</Type/Font/Subtype/CIDFontType2/BaseFont/A/W[0 2147483647 500 -5 99999999 1]/DW 1e30/CIDSystemInfo<<>>>>"
    )
    return with_font(font, WORDS, o1001=inner)


@hostile(".pdf")
def font_that_is_its_own_descendant() -> bytes:
    font = b"<</Type/Font/Subtype/Type0/BaseFont/A/Encoding 1000 0 R/DescendantFonts[1000 0 R]/ToUnicode 1000 0 R>>"
    return with_font(font, WORDS)


@hostile(".pdf")
def font_with_a_million_differences() -> bytes:
    names = b"".join(b"/n%d" % number for number in range(1_000_000))
    return with_font(
        b"<</Type/Font/Subtype/Type1/BaseFont/A/Encoding 1001 0 R>>", WORDS, o1001=b"<</Differences[0%s]>>" % names
    )


@hostile(".pdf", CARDS)
def embedded_fonts_of_noise() -> bytes:
    noise = b"\x00\x01\x00\x00" + random.Random(1).randbytes(50_000)
    objects = good_pages(3)
    objects[FONT] = b"<</Type/Font/Subtype/TrueType/BaseFont/A/Encoding/WinAnsiEncoding/FontDescriptor 1000 0 R>>"
    objects[FREE] = (
        b"<</Type/FontDescriptor/FontName/A/Flags 32/FontFile2 1001 0 R/FontFile 1001 0 R/FontFile3 1001 0 R>>"
    )
    return pdf(objects | {1001: stream(noise, b"/Length1 2147483647")})


# Pictures and forms ---------------------------------------------------------------------------------------------------


def with_picture(data: bytes, entries: bytes, width: int = 65535, height: int = 65535) -> bytes:
    """A page that is a picture only, as of a scanner."""
    size = b"/Type/XObject/Subtype/Image/Width %d/Height %d" % (width, height)
    objects = good_pages(1, resources=b"/XObject<</I %d 0 R>>" % FREE)
    objects[FIRST_PAGE + 1] = stream(b"q 612 0 0 792 0 0 cm /I Do Q")
    return pdf(objects | {FREE: unpacked(data, size + entries)})


GREY = b"/ColorSpace/DeviceGray/BitsPerComponent 8"
SCANS = {
    "picture-of-65535-squared": partial(with_picture, b"", GREY + b"/Filter/DCTDecode"),
    "picture-of-noise-called-jbig2": partial(with_picture, bytes(range(256)) * 200, GREY + b"/Filter/JBIG2Decode"),
    "picture-of-noise-called-jpx": partial(with_picture, bytes(range(256)) * 200, GREY + b"/Filter/JPXDecode"),
    "picture-of-fax-lines": partial(
        with_picture, bytes(MEGABYTE), b"/Filter/CCITTFaxDecode/DecodeParms<</K -1/Columns 65535/Rows 65535>>"
    ),
    "picture-of-negative-size": partial(with_picture, b"x", GREY, -5, 2**31),
}
for name, build in SCANS.items():
    add(f"{name}.pdf", SENTENCE, build)


@hostile(".pdf", SENTENCE)
def picture_bomb() -> bytes:
    return with_picture(deflated(bytes(65535), 65535), GREY + FLATE)


@hostile(".pdf", SENTENCE)
def two_thousand_pages_of_a_picture() -> bytes:
    objects = good_pages(2000, resources=b"/XObject<</I %d 0 R>>" % FREE)
    drawn = stream(b"q 612 0 0 792 0 0 cm /I Do Q")
    objects |= dict.fromkeys(range(FIRST_PAGE + 1, FIRST_PAGE + 4000, 2), drawn)
    picture = b"/Type/XObject/Subtype/Image/Width 2000/Height 2000" + GREY + FLATE
    return pdf(objects | {FREE: unpacked(deflated(b"\xff\x00\xff\x00" * 500, 2000), picture)})


def form(content: bytes, resources: bytes = b"") -> bytes:
    return stream(content, b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<<%s>>" % resources)


@hostile(".pdf")
def form_that_draws_itself() -> bytes:
    objects = good_pages(3, resources=b"/XObject<</X %d 0 R>>" % FREE, before=b"/X Do ")
    return pdf(objects | {FREE: form(b"q /X Do Q /X Do", b"/XObject<</X %d 0 R>>" % FREE)})


@hostile(".pdf")
def forms_that_laugh_a_billion_times() -> bytes:
    objects = good_pages(3, resources=b"/XObject<</X %d 0 R>>" % FREE, before=b"/X Do ")
    for number in range(FREE, FREE + 12):
        objects[number] = form(b"/X Do " * 10, b"/XObject<</X %d 0 R>>" % (number + 1))
    objects[FREE + 12] = form(shown("ha"), b"/Font<</F1 %d 0 R>>" % FONT)
    return pdf(objects)


@hostile(".pdf")
def forms_ten_thousand_deep() -> bytes:
    objects = good_pages(3, resources=b"/XObject<</X %d 0 R>>" % FREE, before=b"/X Do ")
    for number in range(FREE, FREE + 10_000):
        objects[number] = form(b"/X Do", b"/XObject<</X %d 0 R>>" % (number + 1))
    return pdf(objects)


@hostile(".pdf", CARDS)
def pattern_that_paints_itself() -> bytes:
    pattern = b"/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1 1]/XStep 1e-9/YStep 1e-9"
    own = b"/Resources<</Pattern<</P %d 0 R>>>>" % FREE
    fill = b"/Pattern cs /P scn 0 0 612 792 re f "
    objects = good_pages(3, resources=b"/Pattern<</P %d 0 R>>" % FREE, before=fill)
    return pdf(objects | {FREE: stream(fill, pattern + own)})


@hostile(".pdf")
def words_that_are_all_different() -> bytes:
    """A megabyte of nonsense in a good skeleton: what costs is what comes after reading."""
    lines = strange_words(120_000)
    objects = good_pages(200)
    for number in range(200):
        words = lines[number * 600 : number * 600 + 600]
        text = "\n".join(" ".join(words[i : i + 10]).capitalize() + "." for i in range(0, 600, 10))
        objects[FIRST_PAGE + 2 * number + 1] = stream(shown(text))
    return pdf(objects)


@hostile(".pdf")
def jpeg_of_65535_squared_as_scan() -> bytes:
    frame = struct.pack(">BHHBBBB", 8, 65535, 65535, 1, 1, 0x11, 0)
    jpeg = b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"
    return with_picture(jpeg, GREY + b"/Filter/DCTDecode")
