"""What a document's abbreviations stand for, where it says so itself.

"Angle of attack (AOA)", "AOA (angle of attack)", "angle of attack (or AOA)", "AOA stands for angle of attack" and a
glossary's "AOA: angle of attack". The letters must be the words' first: those of short function words and behind a
hyphen may be left out (Schwartz and Hearst 2003 look within words too, which finds more and errs more).
"""

import re
from collections import Counter
from collections.abc import Sequence

from pipeline.context import Sentence
from pipeline.english import CLOSED_CLASSES, base_form
from pipeline.wordnet import NOUN

_SHORT = r"[A-Z][A-Za-z0-9&]{1,9}"
_BEHIND = re.compile(rf" ?\((?:or |the )?[\"'‘“]{{0,2}}({_SHORT})[\"'’”]{{0,2}}(?:-\d+)?\)")
_BEFORE = re.compile(rf"\b({_SHORT})(?: \(|(?:: | [—–-] | stands for | is short for )[\"“‘]?)")
_WORDS = re.compile(r"[^\W\d_][\w’'&/-]*(?: [\w’'&/-]+){0,8}$")
_WORDS_BEHIND = re.compile(r"[^\W\d_][\w’'&/-]*(?: [\w’'&/-]+){0,8}")
_LONGEST = 150  # characters of a long form


def abbreviations(sentences: Sequence[Sentence]) -> dict[str, str]:
    """Long forms by abbreviation, both as they are written; of several the commonest, of those the first."""
    found: dict[str, Counter[str]] = {}
    for sentence in sentences:
        text = sentence.text
        for match in _BEHIND.finditer(text) if "(" in text else ():
            before = _WORDS.search(text[max(0, match.start() - _LONGEST) : match.start()])
            words = before[0].split(" ") if before else []
            _add(found, match[1], [words[-count:] for count in range(1, len(words) + 1)])
        for match in _BEFORE.finditer(text):
            behind = _WORDS_BEHIND.match(text, match.end())
            words = behind[0].split(" ") if behind else []
            whole = [len(words)] if match[0].endswith("(") else range(1, len(words) + 1)
            _add(found, match[1], [words[:count] for count in whole])
    return {short: max(forms, key=lambda form: forms[form]) for short, forms in found.items()}


def _add(found: dict[str, Counter[str]], written: str, offered: Sequence[Sequence[str]]) -> None:
    """The first of the offered that spells the abbreviation, or its singular."""
    for short in dict.fromkeys([written.removesuffix("s"), written]):
        words = next((words for words in offered if _spell(words, short)), None)
        if words and sum(map(str.isupper, short)) > 1:
            last = words[-1] if short == written else base_form(words[-1], NOUN)  # "displays (PFDs)"
            found.setdefault(short, Counter())[" ".join([*words[:-1], last])] += 1
            return


def _spell(words: Sequence[str], short: str) -> bool:
    """Whether the words' first letters are those of the abbreviation, which is none of them itself."""
    letters = [
        (part[0].lower(), number > 0 or word.lower() in CLOSED_CLASSES)
        for word in words
        for number, part in enumerate(filter(None, re.split(r"[-–’'/&]", word)))
    ]
    wanted = short.lower().replace("&", "")
    if short in words or not letters or words[0].lower() in CLOSED_CLASSES or words[-1].lower() in CLOSED_CLASSES:
        return False
    reached = {0}  # how many letters of the abbreviation may be spelled by now
    for letter, may_be_left_out in letters:
        reached = {
            place
            for at in reached
            for place in ([at + 1] if wanted[at : at + 1] == letter else []) + ([at] if may_be_left_out else [])
        }
    return len(wanted) in reached
