"""Plain text and Markdown into raw pages.

Finds the encoding (byte order mark, pattern of NULs, UTF-8, then charset-normalizer's guess), parts pages at form
feeds, and takes Markdown's marks off, keeping the levels of its headings. Whether a text is Markdown is told by its
signs.
"""

import codecs
import re
from collections.abc import Iterator
from itertools import islice

from pipeline.document import PLAIN, Extract, Page, Style
from pipeline.errors import BadDocument
from pipeline.filetypes import ACCEPTED
from pipeline.layout import MAX_CHARACTERS, TOO_LONG

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
_LOST_BREAK = re.compile("[\ufffe\x02](?!\n)")  # text that others took from a PDF has pdfium's hyphens
_MAX_PAGES = 20_000  # what comes after is counted to the last
MAX_BYTES = 4 * MAX_CHARACTERS + 4
_SAMPLE = 100_000  # bytes, or characters, from which a whole text is judged
# What English documents come in when it is not UTF-8; the first is taken where nothing speaks for another.
_CODE_PAGES = ["cp1252", "cp1258", "cp1250", "cp1251", "mac_roman", "cp437"]


def read_bytes(data: bytes) -> Extract:
    """A file's text, or that of its first MAX_BYTES. Raises BadDocument where it is none."""
    return read_string(_decode(data))


def read_string(text: str) -> Extract:
    """Plain text or Markdown; form feeds part the pages of plain text."""
    whole = len(text)
    text = text[:MAX_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")
    text = _LOST_BREAK.sub("\ufffe\n", text)
    if _is_markdown(text):
        lines = list(_markdown_lines(text))
        extract = Extract([Page([line for line, _ in lines], [style for _, style in lines])])
    else:
        extract = Extract([Page(page.split("\n")) for page in text.split("\f", _MAX_PAGES)])
    if whole > MAX_CHARACTERS:
        extract.counts["cut"] = 1
        extract.notes.append(TOO_LONG)
    return extract


# Encoding -------------------------------------------------------------------------------------------------------------


def _decode(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data.decode(encoding, "replace")
            break
    else:
        text = _decode_unmarked(data)
    sample = text[:_SAMPLE]
    strange = sum(1 for character in sample if character < " " and character not in "\t\n\r\f") + sample.count("\ufffd")
    if strange * 50 > len(sample):
        raise BadDocument(f"This file is damaged, or of an unknown kind. Docdeck reads {ACCEPTED}.")
    return text


def _decode_unmarked(data: bytes) -> str:
    wide = _wide_encoding(data[:_SAMPLE])
    if wide:
        return data.decode(wide, "replace")
    try:
        return codecs.utf_8_decode(data, "strict", False)[0]  # whose last character may be cut
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    # Some broken characters in a text that has good ones: it is UTF-8 still.
    broken = text.count("\ufffd")
    if broken * 4 < sum(1 for character in text if character > "\x7f" and character != "\ufffd"):
        return text
    return data.decode(_guess(data), "replace")


def _wide_encoding(sample: bytes) -> str | None:
    """UTF-16 without its mark: in English every other byte is NUL."""
    half = len(sample) // 2
    first, second = sample[0::2].count(0), sample[1::2].count(0)
    if second > 0.6 * half and first < 0.05 * half:
        return "utf-16-le"
    if first > 0.6 * half and second < 0.05 * half:
        return "utf-16-be"
    return None


def _guess(data: bytes) -> str:
    # Imported here: few texts need it.
    from charset_normalizer import from_bytes

    # Only what is not ASCII tells code pages apart, so the sample is taken from around that.
    around = b"\n".join(match[0] for match in islice(re.finditer(rb"[^\n]{0,80}[\x80-\xff][^\n]{0,80}", data), 200))
    best = from_bytes(around, cp_isolation=_CODE_PAGES).best()
    return best.encoding if best else _CODE_PAGES[0]


# Markdown -------------------------------------------------------------------------------------------------------------

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.+)")
_LONG_LINE = 10_000  # characters, beyond which no marks are looked for within a line
_UNDERLINE = re.compile(r" {0,3}(?:(=+)|-{2,})\s*")
# The lengths are bounded: unbounded, a file of brackets alone would take minutes.
_SIGN = re.compile(
    r"^(?:#{1,6} \S|```|~~~|[-*] \[[ x]\] )|\[[^\]\n]{1,300}\]\((?:https?:|[./#])[^)\n]{0,500}\)", re.M
)
_FENCE = re.compile(r"\s*(?:```|~~~)")
_RULE = re.compile(r"\s*[-=*_]{3,}\s*")
_INLINE = (
    (re.compile(r"!\[([^\]]{0,300})\]\([^)]{0,500}\)"), ""),
    (re.compile(r"\[([^\]]{1,300})\]\([^)]{0,500}\)"), r"\1"),
    (re.compile(r"\[([^\]]{1,300})\]\[[^\]]{0,300}\]"), r"\1"),
    (re.compile(r"<!--.{0,2000}?-->|</?[a-zA-Z][^>\n]{0,300}>"), ""),
    (re.compile(r"`([^`]{0,300})`"), r"\1"),
    (re.compile(r"(\*\*|__)(?=[^\s*_])(.{1,300}?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])[*_](?=\S)([^*_\n]{1,300})(?<=\S)[*_](?![\w*])"), r"\1"),
)


def _is_markdown(text: str) -> bool:
    return sum(1 for _ in islice(_SIGN.finditer(text[:_SAMPLE]), 2)) == 2


def _markdown_lines(text: str) -> Iterator[tuple[str, Style]]:
    fenced = False
    lines = text.split("\n")
    for raw, following in zip(lines, [*lines[1:], ""], strict=True):
        if _FENCE.match(raw):
            fenced = not fenced
            yield "", PLAIN
        elif not fenced:
            yield _markdown_line(raw, following)


def _markdown_line(raw: str, following: str) -> tuple[str, Style]:
    heading, underline = _HEADING.match(raw), _UNDERLINE.fullmatch(following)
    style, line = PLAIN, raw
    if heading:
        style, line = Style(level=len(heading[1])), heading[2].rstrip("# ")
    elif _RULE.fullmatch(raw) or _UNDERLINE.fullmatch(raw) or raw.lstrip().startswith("|"):
        line = ""  # a rule, the line under a heading, or a table's row
    elif underline and raw[:1].isalnum():
        style = Style(level=1 if underline[1] else 2)
    for pattern, replacement in _INLINE if len(line) < _LONG_LINE else ():
        line = pattern.sub(replacement, line)
    return line.lstrip("> "), style
