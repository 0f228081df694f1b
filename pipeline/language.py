"""Keeps what is English of a document, and names the language of one that is not.

Passages that lack the small words of English are shown to py3langid, paragraph by paragraph, so that a document in two
languages loses the other one only. A foreign word or title within an English paragraph stays.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from pipeline.document import Document, Line
from pipeline.english import CLOSED_CLASSES, is_common_word, word_set
from pipeline.errors import BadDocument

ENGLISH, _NONE = "en", "zxx"  # the second is py3langid's for what is no language
_PASSAGE = 60  # words; a paragraph's next line begins a new passage behind so many
_TOO_SHORT = 8  # words; a shorter passage goes with the one before, unless its words are English
_SMALL_WORDS = 0.25  # the share of English small words below which a passage is looked at: prose has 0.4 to 0.5
_ENOUGH = 200  # words
_CERTAIN = 0.9
_COMMON = 0.7  # the share of words that English has as well
_LEAST_SHARE = 0.1  # of English words, below which a document counts as foreign with English quotations
_FEW = 60  # words, below which foreign passages are taken for names and titles and stay
_LARGE = 20_000  # words of a document beside which half a second to load the model again is little, and 75 MB are much
_NOT_LETTERS = re.compile(r"[\W\d_]+")

# py3langid answers with ISO 639-1 codes; these are their English names.
_NAMES = dict(
    entry.split("=")
    for entry in word_set(
        "af=Afrikaans am=Amharic an=Aragonese ar=Arabic as=Assamese az=Azerbaijani be=Belarusian bg=Bulgarian"
        " bn=Bengali br=Breton bs=Bosnian ca=Catalan cs=Czech cy=Welsh da=Danish de=German dz=Dzongkha el=Greek"
        " en=English eo=Esperanto es=Spanish et=Estonian eu=Basque fa=Persian fi=Finnish fo=Faroese fr=French ga=Irish"
        " gl=Galician gu=Gujarati he=Hebrew hi=Hindi hr=Croatian ht=Haitian hu=Hungarian hy=Armenian id=Indonesian"
        " is=Icelandic it=Italian ja=Japanese jv=Javanese ka=Georgian kk=Kazakh km=Khmer kn=Kannada ko=Korean"
        " ku=Kurdish ky=Kyrgyz la=Latin lb=Luxembourgish lo=Lao lt=Lithuanian lv=Latvian mg=Malagasy mk=Macedonian"
        " ml=Malayalam mn=Mongolian mr=Marathi ms=Malay mt=Maltese nb=Norwegian ne=Nepali nl=Dutch nn=Norwegian"
        " no=Norwegian oc=Occitan or=Odia pa=Punjabi pl=Polish ps=Pashto pt=Portuguese qu=Quechua ro=Romanian"
        " ru=Russian rw=Kinyarwanda se=Sami si=Sinhala sk=Slovak sl=Slovenian sq=Albanian sr=Serbian sv=Swedish"
        " sw=Swahili ta=Tamil te=Telugu th=Thai tl=Tagalog tr=Turkish ug=Uyghur uk=Ukrainian ur=Urdu vi=Vietnamese"
        " vo=Volapük wa=Walloon xh=Xhosa zh=Chinese zu=Zulu"
    )
)


def keep_english(document: Document) -> Document:
    """The document without its foreign passages; `counts` says how many words those had. Raises BadDocument with the
    name of the language when hardly anything is left."""
    others: Counter[str] = Counter()  # words in other languages, and in none
    kept: list[Line] = []
    english = 0
    language = ENGLISH
    for lines, words in _passages(document.lines):
        if len(words) >= _TOO_SHORT:
            language = _language(words)
        elif language != ENGLISH and sum(map(is_common_word, words)) > len(words) / 2:
            language = ENGLISH  # a heading behind a foreign paragraph
        if language == ENGLISH:
            english += len(words)
        else:
            others[language] += len(words)
        if language in (ENGLISH, _NONE):
            kept += lines
    if document.words > _LARGE:
        _identifier.cache_clear()
    if english < _LEAST_SHARE * others.total() or (others.total() and english < _TOO_SHORT):
        raise BadDocument(_refusal(others))
    foreign = others.total() - others[_NONE]
    if foreign < _FEW:
        return document
    document.counts["foreign_words"] = foreign
    document.notes.append(f"{foreign:,} words that are not English were left out.")
    return Document(
        kept, document.pages, document.words - foreign, document.furniture, document.bookmarks, document.counts,
        document.notes,
    )  # fmt: skip


def _passages(lines: list[Line]) -> Iterator[tuple[list[Line], list[str]]]:
    """Lines that stand together, at least a sentence's worth where there is one, with their words in lower case."""
    passage: list[Line] = []
    words: list[str] = []
    for line in lines:
        ends = not line.text or line.heading or len(words) > _PASSAGE or (passage and passage[-1].page != line.page)
        if ends and passage:
            yield passage, words
            passage, words = [], []
        passage.append(line)
        # Capitals, figures and signs tell py3langid nothing, and tables of them mislead it.
        words += _NOT_LETTERS.sub(" ", line.text).lower().split()
    yield passage, words


def _language(words: list[str]) -> str:
    """py3langid's code, or "en" where it is not certain; "zxx" for what is no language."""
    words = words[:_ENOUGH]  # the longer a text, the less certain is py3langid
    if sum(map(CLOSED_CLASSES.__contains__, words)) >= _SMALL_WORDS * len(words):
        return ENGLISH
    # A list of terms has no small words, and those of the sciences are Latin enough to be taken for it.
    if sum(map(is_common_word, words)) >= _COMMON * len(words):
        return ENGLISH
    language, certainty = _identifier().classify(" ".join(words))
    # What has no name here is a creole of English, or too rare to be believed.
    return language if certainty >= _CERTAIN and language in (_NONE, *_NAMES) else ENGLISH


@cache
def _identifier() -> Any:
    # Imported here because its model takes half a second and 100 MB: start-up is free of that.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _refusal(others: Counter[str]) -> str:
    found = min(others, key=lambda language: (-others[language], language))
    name = _NAMES.get(found) if others[found] * 2 > others.total() else None
    language = f"is in {name}" if name else "does not seem to be in English"
    return f"This document {language}; Docdeck makes cards from English documents only."
