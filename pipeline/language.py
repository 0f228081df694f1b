"""Whether a text is English, and the English name of what it is otherwise.

Looks at samples across the text with py3langid. It does not separate the languages of a mixed document.
"""

import re
from collections import Counter

from pipeline.english import word_set
from pipeline.errors import BadDocument

_SAMPLES = 16
_SAMPLE_LENGTH = 500
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


def require_english(text: str) -> None:
    """Raise BadDocument with the name of the language unless at least half of the samples are English."""
    # Imported here because its model takes half a second and 100 MB: start-up is free of that.
    from py3langid import classify

    votes = Counter(classify(sample)[0] for sample in _samples(text))
    if votes["en"] * 2 >= votes.total():
        return
    found = min((language for language in votes if language != "en"), key=lambda language: (-votes[language], language))
    name = _NAMES.get(found) if votes[found] * 2 > votes.total() else None
    language = f"is in {name}" if name else "does not seem to be in English"
    raise BadDocument(f"This document {language}; Docdeck makes cards from English documents only.")


def _samples(text: str) -> list[str]:
    step = max(len(text) // _SAMPLES, _SAMPLE_LENGTH)
    samples = (text[start : start + _SAMPLE_LENGTH] for start in range(0, len(text), step))
    # Capitals, figures and signs tell py3langid nothing, and tables of them mislead it.
    cleaned = [_NOT_LETTERS.sub(" ", sample).strip().lower() for sample in samples]
    return [sample for sample in cleaned if len(sample) >= 80] or [" ".join(cleaned)]
