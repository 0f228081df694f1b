"""How terms are pronounced, in IPA: American by CMUdict and, where that lacks a word, eSpeak NG; British by eSpeak NG.

American stress marks stand where the syllable begins (maximal onset), none on words of one syllable; the British
transcription is eSpeak's own, which marks the vowel. A word that is stressed by its part of speech ("record") is
read as that. CMUdict is looked up in its sorted file, which is mapped, not loaded; eSpeak starts at the first look-up
(10 ms, no thread, no sound) and serves the process. It makes no audio.
"""

import ctypes
import importlib.util
import mmap
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache, lru_cache
from pathlib import Path

from pipeline.english import CLOSED_CLASSES, word_set
from pipeline.wordnet import NOUN, VERB

_VOICES = {"uk": "en-gb-x-rp", "us": "en-us"}  # "en-gb" is refused, and the voice stays what it was
_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000
_UTF8, _IPA = 1, 0x02
_SEPARATOR = "_"
_KEPT = 1 << 12

_VOWELS = {
    "AA": "ɑː", "AE": "æ", "AH": "ʌ", "AO": "ɔː", "AW": "aʊ", "AY": "aɪ", "EH": "ɛ", "ER": "ɝː", "EY": "eɪ",
    "IH": "ɪ", "IY": "iː", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ", "UW": "uː",
}
_UNSTRESSED = {"AH": "ə", "ER": "ɚ", "IY": "i"}
_CONSONANTS = {
    "B": "b", "CH": "tʃ", "D": "d", "DH": "ð", "F": "f", "G": "ɡ", "HH": "h", "JH": "dʒ", "K": "k", "L": "l",
    "M": "m", "N": "n", "NG": "ŋ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "V": "v",
    "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}
_STRESS = "ˈˌ"
_VOWEL = re.compile(r"[ɑæʌɔaɛɝeɪioʊuəɚᵻɐɜɒ]")
_ONSETS = word_set(
    "pl pɹ pj bl bɹ bj tɹ tw tj dɹ dw dj kl kɹ kw kj ɡl ɡɹ ɡw fl fɹ fj θɹ θw ʃɹ sl sm sn sp st sk sw sf spl spɹ spj stɹ"
    " stj skɹ skw skj vj mj nj hj lj"
)


def american(text: str, part_of_speech: str) -> str:
    """A term's American pronunciation, words apart."""
    words = re.split(r"[\s/]+|(?<=\w)[-–](?=\w)", _spelled(text, "a.").strip())
    return " ".join(filter(None, (_american_word(word, part_of_speech, len(words) > 1) for word in words)))


def british(text: str, part_of_speech: str) -> str:
    """A term's British pronunciation, Received Pronunciation."""
    spoken = _speak(_spelled(text, "eh").replace("/", " "), "uk", part_of_speech if text.isalpha() else "")
    return spoken.replace(_SEPARATOR, "")


def _spelled(text: str, a: str) -> str:
    """Abbreviations of two and three capitals letter by letter; longer ones may be words ("NASA"). `a`: how the letter
    A is written, which alone is the article."""
    return re.sub(r"\b[A-Z]{2,3}\b", lambda match: " ".join(match[0]).replace("A", a), text)


@lru_cache(_KEPT)
def _american_word(word: str, part_of_speech: str, in_phrase: bool) -> str:
    low = word.lower().replace("’", "'")
    found = [] if len(word) > 1 and word.isupper() else _look_up(low)  # abbreviations are often other words in CMUdict
    spoken = "" if len(found) == 1 else _speak(word, "us", "" if in_phrase else part_of_speech)
    if found:
        # Of several, which may be of other parts of speech, that which is nearest to eSpeak's.
        heard = [[_sound(symbol) for symbol in symbols] for symbols in found[: 1 if low in CLOSED_CLASSES else None]]
        sounds = max(heard, key=lambda each: _likeness(each, spoken.split(_SEPARATOR)))
        return _syllables(sounds, in_phrase and low in CLOSED_CLASSES)
    return " ".join(_syllables(part.split(_SEPARATOR), False) for part in spoken.split(" "))


def _likeness(sounds: Sequence[str], spoken: Sequence[str]) -> tuple[bool, float]:
    """How alike two pronunciations are: first whether the same vowel is stressed, then the share of common sounds."""
    stressed = [[_STRESS[0] in sound for sound in each if _VOWEL.search(sound)] for each in (sounds, spoken)]
    return stressed[0] == stressed[1], SequenceMatcher(None, sounds, spoken, False).ratio()


def _sound(symbol: str) -> str:
    """One ARPABET symbol, a vowel with its stress mark before it."""
    if symbol in _CONSONANTS:
        return _CONSONANTS[symbol]
    vowel, stress = symbol[:-1], symbol[-1]
    if stress == "0":
        return _UNSTRESSED.get(vowel, _VOWELS[vowel])
    return _STRESS[int(stress) - 1] + _VOWELS[vowel]


def _syllables(sounds: Sequence[str], weak: bool) -> str:
    """The sounds as one word, the stress marks moved from vowels to where their syllables begin."""
    vowels = [place for place, sound in enumerate(sounds) if _VOWEL.search(sound)]
    bare = [sound.strip(_STRESS) for sound in sounds]
    if len(vowels) < 2 or weak:
        return "".join(bare)
    for number, place in enumerate(vowels):
        if sounds[place][0] in _STRESS:
            start = vowels[number - 1] + 1 if number else 0
            while number and place - start > 1 and "".join(bare[start:place]) not in _ONSETS:
                start += 1
            start += place - start == 1 and bare[start] == "ŋ"
            bare[start] = sounds[place][0] + bare[start]
    return "".join(bare)


# CMUdict --------------------------------------------------------------------------------------------------------------


@cache
def _cmudict() -> mmap.mmap:
    """The package's file, found without importing it."""
    with (_package("cmudict") / "data" / "cmudict.dict").open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _look_up(word: str) -> list[list[str]]:
    """All pronunciations of a lower-case word, as ARPABET symbols; [] where there is none. The lines are sorted."""
    data, wanted = _cmudict(), word.encode()
    low, high = 0, len(data)
    while low < high:
        start = data.rfind(b"\n", 0, (low + high) // 2) + 1
        if _head(data, start) < wanted:
            low = data.find(b"\n", (low + high) // 2) + 1 or high
        else:
            high = start
    found = []
    while low < len(data) and _head(data, low) == wanted:
        line = data[low : data.find(b"\n", low)].decode("ascii").partition(" #")[0]
        found.append(line.split(" ")[1:])
        low = data.find(b"\n", low) + 1
    return found


def _head(data: mmap.mmap, start: int) -> bytes:
    return data[start : data.find(b" ", start)].partition(b"(")[0]


# eSpeak NG ------------------------------------------------------------------------------------------------------------


@cache
def _espeak() -> ctypes.CDLL:
    folder = _package("espeakng_loader")
    library = ctypes.CDLL(str(next(path for path in sorted(folder.iterdir()) if path.stem == "libespeak-ng")))
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    data = str(folder / "espeak-ng-data").encode()
    if library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DO_NOT_EXIT) < 0:
        raise RuntimeError("eSpeak NG did not start: its data folder is missing or of another version.")
    return library


@lru_cache(_KEPT)
def _speak(text: str, accent: str, part_of_speech: str) -> str:
    """What eSpeak says, its sounds parted by _SEPARATOR and its words by spaces."""
    library = _espeak()
    if library.espeak_SetVoiceByName(_VOICES[accent].encode()):
        raise RuntimeError(f"eSpeak NG has no voice {_VOICES[accent]}.")
    before = {VERB: "to ", NOUN: "the "}.get(part_of_speech, "")  # tells it how a word like "record" is stressed
    buffer = ctypes.c_char_p((before + text).encode())
    at = ctypes.c_void_p(ctypes.cast(buffer, ctypes.c_void_p).value)
    clauses = []
    while at.value:
        clauses.append(library.espeak_TextToPhonemes(ctypes.byref(at), _UTF8, _IPA | ord(_SEPARATOR) << 8).decode())
    words = " ".join(clauses).split()
    return " ".join(word.strip(_SEPARATOR) for word in words[bool(before) and len(words) > 1 :])


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"The package {name!r} is missing: install requirements.txt.")
    return Path(spec.submodule_search_locations[0])
