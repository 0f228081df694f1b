"""From raw pages to clean lines: undoes what typesetting did and drops page furniture.

Ligatures, odd signs, words broken at line ends; running headers and footers, page numbers, tables of contents. Line
breaks are kept: headings and paragraphs are found by them later. It reads no files.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from pipeline.document import PLAIN, Document, Extract, Line, Page
from pipeline.english import is_common_word, zipf

MAX_CHARACTERS = 7_000_000  # of text; more than a million words, ten times what Docdeck promises

TOO_LONG = f"Only the first {MAX_CHARACTERS:,} characters or so were read: the document is longer."

_HYPHEN = "\x02"  # a hyphen at a line's end, as pdfium marks it (U+FFFE or U+0002)
_TRANSLATION = {
    **dict.fromkeys([*range(2), *range(3, 9), *range(14, 32), 127], None),
    **dict.fromkeys(range(0xD800, 0xE000), None),  # halves of characters, which no UTF-8 can carry on
    **dict.fromkeys([0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0xFFFD], None),
    **dict.fromkeys([*range(0xE000, 0xF900), 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029], " "),  # fonts' own ornaments
    **dict.fromkeys(map(ord, "⁰¹²³⁴⁵⁶⁷⁸⁹"), None),  # note marks, which NFKC would glue to the word as figures
    **dict.fromkeys(map(ord, "\u2010\u2011"), "-"),
    **dict.fromkeys([0xFDFA, 0xFDFB], " "),  # of each of which NFKC makes a whole sentence
    0xFFFE: _HYPHEN,
}
# Looked for first, since translating whole texts takes three times as long as all else that is done here.
_ODD = re.compile(
    "[\x00\x01\x03-\x08\x0b-\x1f\x7f\x85\u200b-\u200d\u2060\ufeff\ufffd\ufffe\ud800-\uf8ff\ufdfa\ufdfb\u2028\u2029⁰¹²³⁴-⁹\u2010\u2011]+"
)
# Marks upon marks: NFKC sorts those of one letter, for which a million of them takes hours.
_PILE = re.compile(r"([^\w\s\x00-\x7f]{30})[^\w\s\x00-\x7f]+")
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_PAGE_NUMBER = re.compile(r"(?:page\s*)?[-–—|\s]*(?:\d{1,4}|[ivxlc]{1,7}|[A-Z]-?\d{1,3})[-–—|\s]*(?:of\s+\d+)?", re.I)
_LEADERS = re.compile(r"(?:\.{4}|(?:\. ){3}\.|……|_{6})[._… ]*(?:(\d{1,4})|[ivxlc]{1,7}|[A-Z]-?\d{1,3})?$")
_NUMBERED = re.compile(r"(?:chapter|part|section|article|appendix|lesson|unit|book) [\divxlc]+", re.I)
_EDGE = 5  # lines at the top and bottom of a page among which running headers are looked for
_SHORT = 6  # words
_RISING = 0.8  # the share of a table of contents' lines that lead to no earlier page than the line before
_RUNNING = 3  # pages on which a line must stand there


def clean(extract: Extract) -> Document:
    """The document of what a reader got; its pages are emptied on the way."""
    pages = [_page_lines(number, page) for number, page in enumerate(extract.pages, 1)]
    furniture: list[str] = []
    if extract.flows:
        lines = [line for page in pages for line in page]
    else:
        lines, furniture = _without_furniture(pages)
    lines, words = _join_broken_words(lines)
    words += count_words(furniture)
    return Document(lines, len(pages), words, len(furniture), extract.bookmarks, extract.counts, extract.notes)


def count_words(lines: Iterable[str], enough: int | None = None) -> int:
    """How many words there are; counting stops behind the line at which there are `enough`."""
    words = 0
    for line in lines:
        words += len(_WORD.findall(line))
        if enough is not None and words >= enough:
            break
    return words


def _page_lines(number: int, page: Page) -> list[Line]:
    texts = _clean_characters("\n".join(page.lines)).split("\n") if page.lines else []
    styles = page.styles or [PLAIN] * len(texts)
    page.lines, page.styles = [], []
    return [Line(number, " ".join(text.split()), style) for text, style in zip(texts, styles, strict=True)]


def _clean_characters(text: str) -> str:
    """The same number of lines, of decent characters."""
    text = text.replace("\xad\n", _HYPHEN + "\n").replace("\xad", "")
    text = _ODD.sub(_decent, text)
    if text.isascii():
        return text
    text = _PILE.sub(r"\1", text)
    return text if unicodedata.is_normalized("NFKC", text) else unicodedata.normalize("NFKC", text)


def _decent(odd: re.Match[str]) -> str:
    return odd[0].translate(_TRANSLATION)


def _without_furniture(pages: list[list[Line]]) -> tuple[list[Line], list[str]]:
    gone = [_contents(page) for page in pages]
    if len(pages) >= _RUNNING:
        for page, lines, running in zip(pages, gone, _running(pages), strict=True):
            edge = {*range(len(page))[:_EDGE], *range(len(page))[-_EDGE:]}
            lines |= running | {number for number in edge if _PAGE_NUMBER.fullmatch(page[number].text)}
    dropped = [page[number].text for page, lines in zip(pages, gone, strict=True) for number in sorted(lines)]
    if 2 * sum(map(len, dropped)) > sum(len(line.text) for page in pages for line in page):
        # Pages that are all alike, as of a form: what is long is no header.
        gone = [{n for n in lines if page[n].text.count(" ") < _SHORT} for page, lines in zip(pages, gone, strict=True)]
        dropped = [page[number].text for page, lines in zip(pages, gone, strict=True) for number in sorted(lines)]
    kept = [line for page, lines in zip(pages, gone, strict=True) for n, line in enumerate(page) if n not in lines]
    return kept, dropped


def _running(pages: list[list[Line]]) -> list[set[int]]:
    """By page, the lines near its top or bottom that stand on at least so many pages, and in the same place of the next
    page or the one behind it, or before. What a reference says at the foot of many pages ("See also") does not."""
    edges = [
        {(_shape(page[place]), place) for place in range(min(_EDGE, len(page)))}
        | {(_shape(page[place]), place) for place in range(-1, -1 - min(_EDGE, len(page)), -1)}
        for page in pages
    ]
    seen = Counter(shape for places in edges for shape in {shape for shape, _ in places} if shape[0])
    result = []
    for number, places in enumerate(edges):
        around = set().union(*edges[max(0, number - 2) : number], *edges[number + 1 : number + 3])
        result.append(
            {
                place % len(pages[number])
                for shape, place in places
                if seen[shape] >= _RUNNING and any((shape, place + step) in around for step in (0, 1, -1))
            }
        )
    return result


def _contents(page: list[Line]) -> set[int]:
    """The lines that lead to a page by dots, if such lines make up a table of contents here: its numbers rise. Those
    of a price list or a questionnaire do not."""
    leading, pages = set(), []
    for number, line in enumerate(page):
        text = line.text
        if "...." in text or ". . . ." in text or "……" in text or "______" in text:
            leaders = _LEADERS.search(text)
            if leaders:
                leading.add(number)
                pages += [int(leaders[1])] if leaders[1] else []
    steps = list(pairwise(pages))
    rising = sum(1 for before, after in steps if before <= after)
    return leading if rising >= _RISING * len(steps) else set()


def _shape(line: Line) -> tuple[str, int]:
    """A line with its figures levelled, so that a header with the page's number is one header; "Chapter 2" and
    "Chapter 3" stay two: they are headings. So is what is set larger than the running header that repeats it."""
    text = line.text.strip().lower()
    size = 0 if line.text[:1].islower() else round(line.style.size)  # readers look few such lines' sizes up
    return (text if _NUMBERED.match(text) else re.sub(r"\d+", "#", text)), size


_SPLIT_LIGATURE = re.compile(r"\b([^\W\d_]*(?:fi|fl|ff|ffi|ffl)) ([^\W\d_]+)")
_LINE_END_HYPHEN = re.compile(r"([^\W\d_]+)(?: ?-|\x02)$")
_LONG_LINE, _LONGEST_WORD = 2000, 60  # characters
_LINE_START = re.compile(r"([a-zß-ÿ][^\W\d_]*)(\S*)\s?")


def _join_broken_words(lines: list[Line]) -> tuple[list[Line], int]:
    """Brings the rest of a word that was broken at a line's end back to that line. Returns the number of words, too."""
    words = _WORD.findall("\n".join([line.text for line in lines]).lower())
    known = Counter(words)
    # Some files have a blank behind each ligature: "fi rst", "Offi cers". Ordinary text is left alone.
    ligatures_split = sum(known[stump] for stump in ("fi", "fl", "offi", "ffi", "affi", "diffi")) >= 3
    result: list[Line] = []
    count = len(words)
    for line in lines:
        text = line.text
        before = result[-1] if result else line
        # No printed line is that long; without the limit a chain of hyphens would cost its length squared.
        if before.text.endswith(("-", _HYPHEN)) and len(before.text) < _LONG_LINE:
            at = max(0, len(before.text) - _LONGEST_WORD)
            end, start = _LINE_END_HYPHEN.search(before.text, at), _LINE_START.match(text)
            if end and start and result:
                whole = before.text[: end.start()] + _join(end[1], start[1], known) + start[2]
                result[-1] = Line(before.page, whole, before.style)
                text = text[start.end() :]
                count -= 1
                if not text:
                    continue
        if ligatures_split:
            text = _SPLIT_LIGATURE.sub(_join_ligature, text)
        result.append(line if text is line.text else Line(line.page, text, line.style))
    for number, line in enumerate(result):
        if _HYPHEN in line.text:
            result[number] = Line(line.page, line.text.replace(_HYPHEN, "-").strip(), line.style)
    return result, count


def _join(left: str, right: str, known: Counter[str]) -> str:
    """The word that was broken: with its hyphen where English or the document writes it so."""
    joined, hyphened = left + right, f"{left}-{right}"
    if is_common_word(joined.lower()) or known[joined.lower()] > known[hyphened.lower()]:
        return joined
    # wordfreq has "wellknown" too, once in a while: two common words do not make a rare one.
    parts = min(zipf(left.lower()), zipf(right.lower()))
    if known[hyphened.lower()] or (parts >= 4 and zipf(joined.lower()) < 3):
        return hyphened
    return joined if zipf(joined.lower()) or parts < 3 else hyphened


def _join_ligature(match: re.Match[str]) -> str:
    left, right = match.groups()
    # Not in "off ice" or "sci-fi films".
    return left + right if not is_common_word(left.lower()) and zipf((left + right).lower()) >= 2 else match[0]
