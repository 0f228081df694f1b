"""Stage 3: lines into sentences, each with its page, the heading above it and its tokens.

Puts lines together into blocks (paragraphs, list items, headings) and cuts blocks into sentences. Headings are those
that `headings.py` has marked, and lines that look like one; other layout is guessed from the lines' text alone. A
"sentence" without end, which no printed document has, is cut, so that the stages behind this one need no limits of
their own. It does not parse or tag.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter

from pipeline.document import Document, Line
from pipeline.english import CLOSED_CLASSES, word_set

SENTENCE, FRAGMENT, HEADING = "sentence", "fragment", "heading"


@dataclass(frozen=True, slots=True)
class Sentence:
    """`kind`: a whole sentence, a fragment (list item, caption, cell) or a heading. `starts[i]` is where `tokens[i]`
    stands in `text`; `page` is where the sentence begins; `under` is the text of the heading above it, or ""."""

    text: str
    page: int
    kind: str
    tokens: tuple[str, ...]
    starts: tuple[int, ...]
    under: str = ""


_LONGEST = 3000  # characters; what goes on for longer is no sentence
_LONGEST_HEADING = 300
_LONGEST_TITLE = 20  # words

# Addresses first, whole, so that no part of one is taken for a word.
TOKEN = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+|\w+(?:[-'’&/.]\w+)*|\S")
_BULLET = re.compile(r"(?:[•●▪■□◦∙◆►▶➢✓*·]|[-–—o](?=\s))\s*|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)]\s+(?=\S)")
_NUMBERED_HEADING = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2})*\.?|[A-Z]\.|[IVX]{1,5}\.|(?:Chapter|Article) \w+[.:]?)\s+[A-Z]"
)
_TERMINAL = re.compile(r"[.!?][\"'”’)\]]*\d{0,2}$")
_BOUNDARY = re.compile(r"([.!?])[\"'”’)\]]*(?:(?<=[^\W\d][.!?\"”’)\]])\d{1,2}(?=\s))?(\s+)(?=[\"'“‘(\[]*[A-Z0-9])")
_ABBREVIATIONS = word_set(
    "mr mrs ms dr prof st sr jr rev gen col sen rep gov hon inc ltd co corp vs etc al cf fig figs eq eqs ref refs sec"
    " no nos vol vols p pp ch art approx dept est ed eds e.g i.e a.m p.m u.s u.k u.n d.c ph.d jan feb mar apr jun jul"
    " aug sep sept oct nov dec para supra infra ibid viz resp"
)


def find_sentences(document: Document) -> list[Sentence]:
    """All sentences in reading order."""
    sentences: list[Sentence] = []
    under = ""
    for pages, text, heading in _blocks(document.lines):
        sentences += _split(pages, text, heading, under)
        under = text if heading else under
    return sentences


def _blocks(lines: list[Line]) -> Iterator[tuple[list[tuple[int, int]], str, bool]]:
    """(offsets at which pages begin, text, is a heading) of each block."""
    block: list[Line] = []
    gap = False
    title = _title(lines)
    for number, line in enumerate(lines):
        if not _is_prose(line.text):
            gap = True
            continue
        # A page break may leave a blank line or a table inside a sentence.
        goes_on = gap and block and line.page != block[-1].page and line.text[0].islower()
        if block and not goes_on and (gap or number == title + 1 or _starts_block(lines, number, block[-1])):
            yield _block(block)
            block = []
        block.append(replace(line, style=line.style._replace(level=1)) if number == title else line)
        gap = False
    if block:
        yield _block(block)


def _title(lines: list[Line]) -> int:
    """The document's first line, if it reads like a title over the text: the sentence does not go on in the next
    line. -1 if it does not."""
    written = [number for number, line in enumerate(lines[:20]) if line.text]
    if len(written) < 2 or written[0] + 1 != written[1] or lines[written[0]].heading:
        return -1
    words, after = lines[written[0]].text.split(), lines[written[1]].text.lstrip("\"'“‘([")
    ends = (
        _TERMINAL.search(words[-1]) or words[-1].endswith((",", ";", ":", "-")) or words[-1].lower() in CLOSED_CLASSES
    )
    return -1 if ends or len(words) > _LONGEST_TITLE or not after[:1].isupper() else written[0]


def _block(block: list[Line]) -> tuple[list[tuple[int, int]], str, bool]:
    heading = block[0].heading or (len(block) <= 2 and _looks_like_heading(" ".join(line.text for line in block)))
    parts, pages, length = [], [], 0
    for number, line in enumerate(block):
        text = line.text
        if number == 0 and not heading:
            text = _BULLET.sub("", text, count=1) if _BULLET.match(text) else text
        pages.append((length, line.page))
        parts.append(text)
        length += len(text) + 1
    return pages, " ".join(parts), heading


def _starts_block(lines: list[Line], number: int, last: Line) -> bool:
    """Whether lines[number] begins a new block, after `last`, the last line of the block so far."""
    line = lines[number]
    if line.heading or last.heading:
        return True
    if _BULLET.match(line.text) and not line.text[0].isalpha():
        return True
    if line.text[0].islower() or last.text.endswith((",", ";", "-")):
        return False
    if _BULLET.match(line.text):
        return True
    around = lines[max(0, number - 4) : number + 4]
    width = max(len(neighbour.text) for neighbour in around)
    short = len(last.text) < 0.7 * width
    if _TERMINAL.search(last.text) or last.text.endswith(":"):
        return short
    return short or _looks_like_heading(last.text) or _looks_like_heading(line.text)


def _looks_like_heading(text: str) -> bool:
    if len(text) > _LONGEST_HEADING:
        return False
    words = [word for word in re.findall(r"[^\W\d_]+", text) if len(word) > 1]
    if not words or len(words) > 14 or re.search(r"[.;,]$", text) or text[0].islower() or words[-1] in CLOSED_CLASSES:
        return False
    if text.isupper():
        return True
    content = [word for word in words if word.lower() not in CLOSED_CLASSES]
    capitals = sum(1 for word in content if word[0].isupper())
    return bool(content) and (capitals == len(content) or bool(_NUMBERED_HEADING.match(text)))


def _is_prose(text: str) -> bool:
    """Not a blank line, nor mostly figures and signs as a table's row, a formula or a drawing is."""
    signs = text.replace(" ", "")
    return bool(signs) and sum(map(str.isalpha, signs)) >= 0.6 * len(signs)


def _split(pages: list[tuple[int, int]], text: str, heading: bool, under: str) -> Iterator[Sentence]:
    start = 0
    cuts = [match.span(2) for match in _BOUNDARY.finditer(text) if not _is_abbreviation(text, match.start())]
    for end, after in [*([] if heading else cuts), (len(text), len(text))]:
        for first, last in _readable(text, start, end):
            piece = text[first:last].strip()
            if piece:
                page = pages[bisect_right(pages, first, key=itemgetter(0)) - 1][1]
                yield _sentence(piece, page, heading, under)
        start = after


def _readable(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The span in pieces of bounded length, cut at blanks if it has any."""
    while end - start > _LONGEST:
        cut = text.rfind(" ", start + 1, start + _LONGEST)
        cut = cut if cut > 0 else start + _LONGEST
        yield start, cut
        start = cut
    yield start, end


def _is_abbreviation(text: str, dot: int) -> bool:
    """Whether the sign at `dot` closes an abbreviation or an initial."""
    word = text[text.rfind(" ", 0, dot) + 1 : dot].lstrip("(\"'“‘[").lower()
    single = len(word) == 1 and word.isalpha()
    return text[dot] == "." and (word in _ABBREVIATIONS or single or bool(re.fullmatch(r"(?:[a-z]\.)+[a-z]", word)))


def _sentence(text: str, page: int, heading: bool, under: str) -> Sentence:
    kind = HEADING if heading else FRAGMENT
    if not heading and _TERMINAL.search(text) and text.lstrip("\"'“‘([")[:1].isupper():
        kind = SENTENCE
    tokens, starts = [], []
    for match in TOKEN.finditer(text):
        tokens.append(match[0])
        starts.append(match.start())
    return Sentence(text, page, kind, tuple(tokens), tuple(starts), under)
