"""Hostile text: what decoders choke on, what regular expressions never finish, what the later stages cannot hold.

Those of a megabyte and more stand before a good article or in one, so that a pipeline that survives them makes cards.
"""

import gzip
import itertools
import random
from functools import partial

from tests.hostile_parts import CARDS, EITHER, SENTENCE, add, article, english_words, flipped, hostile, strange_words

MILLION = 1_000_000


# Signs without end ---------------------------------------------------------------------------------------------------

SIGNS = {
    "hyphens": "-", "dots": ".", "newlines": "\n", "digits": "7", "blanks": " ", "tabs": "\t", "form-feeds": "\f",
    "brackets": "[", "round-brackets": "(", "brackets-in-pairs": "[]()", "braces": "{", "stars": "*", "ticks": "`",
    "tildes": "~", "angles": "<", "tags": "<a", "entities": "&lt;", "quotes": '"', "quoted-dots": '."', "pipes": "|",
    "hashes": "#", "underscores": "_", "slashes": "/", "ats": "a@", "addresses": "www.", "capitals": "A",
    "letters": "a", "apostrophes": "a'", "hyphened-letters": "a-", "dotted-letters": "a.", "single-letters": "a ",
    "initials": "A. ", "abbreviations": "e.g. ", "ends": "! ", "ends-and-numbers": "a.1 A",
    "lines-of-a-letter": "a\n", "lines-of-a-hyphen": "a-\n", "lines-of-dots": ". . . .\n", "bullets": "• a\n",
    "numbered-items": "1) a\n", "page-numbers": "- 1 -\f", "headings": "The Old Pump\n\n",
    "markdown-headings": "# The Old Pump\n", "markdown-links": "[a](", "markdown-pictures": "![a](",
    "markdown-bold": "**a", "fences": "```\n", "quote-marks": "> ", "table-rows": "|a|b|\n", "soft-hyphens": "a\xad",
    "broken-words": "pump\xad\n", "joiners": "a\u200d", "right-to-left-marks": "a\u202e",
    "byte-order-marks": "\ufeff", "line-separators": "a\u2028", "ligatures": "ﬁ rst ", "split-ligatures": "fi rst ",
    "emoji": "👩\u200d", "circled": "㍿", "superscripts": "a⁹", "nuls-between": "a\x00", "escapes": "\x1b[31m",
    "noncharacters": "\uffff", "private-signs": "\ue000",
}  # fmt: skip
MILLIONS = [
    "hyphens",
    "dots",
    "newlines",
    "digits",
    "blanks",
    "form-feeds",
    "brackets",
    "round-brackets",
    "stars",
    "ticks",
    "angles",
    "tags",
    "quotes",
    "capitals",
    "ats",
    "single-letters",
    "hyphened-letters",
    "lines-of-a-letter",
    "lines-of-a-hyphen",
    "lines-of-dots",
    "bullets",
    "page-numbers",
    "headings",
    "markdown-headings",
    "markdown-links",
    "broken-words",
    "right-to-left-marks",
    "ligatures",
    "nuls-between",
    "escapes",
]


def behind(sign: str) -> bytes:
    """A million of them, then good text."""
    return (sign * MILLION + "\n\n" + article()).encode()


def amid(sign: str) -> bytes:
    """So few between good text that the whole still passes for English, and the later stages get them."""
    good = (article() + "\n\n") * 2
    return (good + sign * (90_000 // len(sign)) + "\n\n" + good).encode()


for name, sign in SIGNS.items():
    add(f"amid-good-text-{name}.txt", EITHER, partial(amid, sign))
for name in MILLIONS:
    add(f"a-million-{name}.txt", EITHER, partial(behind, SIGNS[name]))


@hostile(".txt")
def one_line_of_50_mb_without_a_blank() -> bytes:
    return b"water" * 10_400_000


@hostile(".txt")
def one_line_of_50_mb() -> bytes:
    return b"the old water pump " * 2_700_000


@hostile(".txt")
def one_sentence_of_5_mb() -> bytes:
    return ("The " + "old water pump " * 350_000 + "works.\n\n" + article()).encode()


@hostile(".txt")
def letters_that_grow_eighteen_times() -> bytes:
    """NFKC makes eighteen letters of one: 50 MB are 300 million."""
    return behind("\ufdfa" * 16)


@hostile(".txt")
def marks_on_one_letter() -> bytes:
    """Normalising has to sort them, each against each."""
    return ("a" + "\u0301\u0323" * MILLION + "\n\n" + article()).encode()


@hostile(".txt", CARDS)
def marks_on_all_letters() -> bytes:
    return (
        "".join(letter + "\u0336\u0489" if letter == "z" else letter for letter in article()) + article() * 3
    ).encode()


# Encodings -----------------------------------------------------------------------------------------------------------


@hostile(".txt")
def nuls_and_halves_of_characters() -> bytes:
    return article().replace(" ", " \x00 \udc80 \ud800 ", 50).encode("utf-8", "surrogatepass")


ENCODED = {
    "utf-32-with-mark": lambda: b"\xff\xfe\x00\x00" + article().encode("utf-32-le"),
    "utf-32-of-nothing": lambda: b"\xff\xfe\x00\x00" + b"\xff\xff\xff\xff" * MILLION,
    "utf-32-bomb": lambda: b"\xff\xfe\x00\x00" + ("\U0001f600" * 12 * MILLION).encode("utf-32-le"),
    "utf-16-of-halves": lambda: b"\xff\xfe" + b"\x00\xd8" * MILLION,
    "utf-16-of-an-odd-length": lambda: article().encode("utf-16") + b"x",
    "utf-16-without-mark": lambda: article().encode("utf-16-le"),
    "utf-7": lambda: article().replace("w", "ŵ").encode("utf-7"),
    "mark-only": lambda: b"\xef\xbb\xbf",
    "bad-utf-8": lambda: article().encode().replace(b"w", b"\xc0\xaf\xf8\x88"),
    "escape-codes": lambda: b"\x1b$B\x1b(J" * MILLION,
    "gzip": lambda: gzip.compress(article().encode(), mtime=0),
    "gzip-bomb": lambda: gzip.compress(bytes(300 << 20), mtime=0),
    "bytes": lambda: bytes(range(256)) * 20_000,
    "random-bytes": lambda: random.Random(1).randbytes(5_000_000),
    "zeros": lambda: bytes(20_000_000),
    "one-byte": lambda: b"a",
    "elf": lambda: b"\x7fELF\x02\x01\x01" + random.Random(2).randbytes(100_000),
    "web-page": lambda: b"<html><script>alert(1)</script>" + article().encode(),
    "json-a-million-deep": lambda: b"[" * MILLION + b"]" * MILLION,
}
for name, build in ENCODED.items():
    add(f"{name}.txt", EITHER, build)


def damaged(flips: int, seed: int) -> bytes:
    return flipped(article().encode(), flips, seed)


for seed, flips in enumerate((10, 100, 1000, 10_000)):
    add(f"bits-flipped-{flips}.txt", EITHER, partial(damaged, flips, seed))


# Words without end ---------------------------------------------------------------------------------------------------


def sentences(words: list[str], each: int = 12) -> str:
    return "\n".join(" ".join(words[i : i + each]).capitalize() + "." for i in range(0, len(words), each))


@hostile(".txt")
def ten_mb_of_nonsense() -> bytes:
    """Three quarters of a million words, hardly one of them twice, none of them known."""
    return (article() + "\n\n" + sentences(strange_words(750_000))).encode()[:10_000_000]


@hostile(".txt")
def twenty_mb_of_nonsense() -> bytes:
    text = sentences(strange_words(750_000)) + "\n"
    return (article() + "\n\n" + "".join(text.replace("a", vowel) for vowel in "ae")).encode()


@hostile(".txt")
def fifty_mb_of_one_article() -> bytes:
    return (article() + "\n\n").encode() * 1950


@hostile(".txt")
def ten_mb_of_english_words_in_no_order() -> bytes:
    return sentences(random.Random(3).choices(english_words(), k=1_700_000)).encode()[:10_000_000]


@hostile(".txt")
def a_million_words_in_one_sentence() -> bytes:
    return (article() + "\n\n" + " ".join(random.Random(4).choices(english_words(), k=MILLION))).encode()


@hostile(".txt")
def a_million_nouns_in_a_row() -> bytes:
    nouns = ["water", "pump", "valve", "pressure", "engine", "station", "reservoir", "filter", "pipe", "basin"]
    return (article() + "\n\n" + " ".join(random.Random(5).choices(nouns, k=MILLION))).encode()


@hostile(".txt")
def a_million_words_with_of_between() -> bytes:
    return (article() + "\n\n" + " of ".join(random.Random(6).choices(english_words(), k=500_000))).encode()


@hostile(".txt")
def a_million_different_compounds() -> bytes:
    words = english_words()
    pairs = itertools.islice(itertools.product(words, words), 600_000)
    return (article() + "\n\n" + sentences(["-".join(pair) for pair in pairs])).encode()


@hostile(".txt")
def a_word_of_a_million_parts() -> bytes:
    return (
        article() + "\n\nThe " + "-".join(random.Random(7).choices(english_words(), k=MILLION)) + " works."
    ).encode()


@hostile(".txt")
def words_of_a_hundred_thousand_letters() -> bytes:
    return sentences(["w" + "ater" * 25_000 + word for word in strange_words(50)] + article().split()).encode()


@hostile(".txt")
def the_article_in_one_line_with_long_words_between() -> bytes:
    long = " " + "x" * 200_000 + " "
    return article().replace("\n", " ").replace(" pump", long + "pump").encode()[:20_000_000]


@hostile(".txt")
def a_million_names() -> bytes:
    return (article() + "\n\n" + sentences([word.capitalize() for word in strange_words(MILLION // 2)])).encode()


@hostile(".md", CARDS)
def headings_without_text() -> bytes:
    return (
        "\n\n".join(f"{'#' * (number % 6 + 1)} Old pump {number}" for number in range(200_000)) + "\n\n" + article()
    ).encode()


@hostile(".txt", CARDS)
def a_page_for_each_word() -> bytes:
    return ("\f".join(["The water pump works well."] * 200_000) + "\f" + article()).encode()


@hostile(".txt", SENTENCE)
def another_language() -> bytes:
    return "Der alte Leuchtturmwärter stieg jeden Abend die Treppe hinauf und zündete die Lampe an. ".encode() * 20_000


add("empty.txt", SENTENCE, lambda: b"")
add("a-hundred-blanks.txt", SENTENCE, lambda: b" " * 100)
