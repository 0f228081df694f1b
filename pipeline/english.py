"""What is known of English words one by one: closed classes, general frequency, and likely parts of speech.

Does not look at a document and does not tag sentences: `tagger.py` decides what an ambiguous word is by its
neighbours. General frequencies are wordfreq's Zipf values (3 = once per million words, 6 = once per thousand).
"""

import math
from collections.abc import Iterator
from functools import cache, lru_cache

from marisa_trie import RecordTrie

from pipeline import tables
from pipeline.wordnet import NOUN, PARTS_OF_SPEECH, open_wordnet

# No document has as many different words; one that is made of such words must not fill the memory with them.
bounded_cache = lru_cache(maxsize=1 << 17)


def word_set(text: str) -> frozenset[str]:
    """The words of a list written as one string."""
    return frozenset(text.split())


DETERMINERS = word_set(
    "a an the this that these those my your his her its our their each every either neither some any no all both half"
    " such what which whose another"
)
PREPOSITIONS = word_set(
    "about above across after against along amid among around as at before behind below beneath beside besides between"
    " beyond by concerning despite down during except for from in inside into like near of off on onto out outside over"
    " past per regarding since through throughout till toward towards under underneath until up upon via versus with"
    " within without than"
)
PRONOUNS = word_set(
    "i you he she it we they me him us them who whom myself yourself himself herself itself ourselves themselves"
    " anyone anybody anything everyone everybody everything someone somebody something nobody nothing one ones"
    " mine yours hers ours theirs none"
)
VERB_MARKERS = word_set(
    "to can could may might must shall should will would do does did not cannot can't don't doesn't didn't won't"
    " couldn't shouldn't wouldn't let let's please"
)
OTHER_FUNCTION_WORDS = word_set(
    "and or but nor so yet if then else when where why how whether while because although though unless whereas be is"
    " are was were been being am have has had having done doing there here also however therefore thus hence only just"
    " very too more most less least much many few fewer several other others own same even still already almost always"
    " never ever often sometimes usually again once twice now today yesterday tomorrow soon later ago else rather quite"
    " perhaps maybe instead otherwise moreover furthermore meanwhile e.g i.e etc et al vs yes ok okay that's it's he's"
    " she's there's what's i'm you're we're they're i've you've we've they've isn't aren't wasn't weren't hasn't"
    " haven't hadn't onto further via upon etc ie eg ibid op cit zero one two three four five six seven eight nine ten"
    " eleven twelve fifteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion"
    " first second third fourth fifth sixth seventh eighth ninth tenth monday tuesday wednesday thursday friday"
    " saturday sunday january february march april june july august september october november december jan feb mar apr"
    " jun jul aug sep sept oct nov dec mr mrs ms dr prof inc ltd co corp st vol no pp fig figs eq ref refs sec ch dept"
    " whenever wherever whatever whichever whoever whereof whereby wherein whereupon thereupon thereto therein hereby"
    " herein hereof heretofore hereinafter kg km cm mm mg ml am pm"
)
# Adjectives that say nothing by themselves: they lead a phrase only where WordNet has the whole of it.
GENERIC_ADJECTIVES = word_set(
    "able above actual additional applicable appropriate available bad basic best better big certain clear common"
    " complete corresponding current different due early easy entire equal essential existing extra final following"
    " former full further future general given good great greater hard helpful high higher huge ideal important"
    " individual initial interesting key large larger last late latest latter likely little long longer low lower main"
    " major minor necessary new next nice normal numerous obvious old older only original overall particular past"
    " possible potential present previous primary proper real recent related relevant remaining respective responsible"
    " right second secondary separate short significant similar simple single small smaller special specific strong"
    " subsequent sufficient suitable sure total true typical unable unlikely upcoming useful usual valid various vast"
    " well whole wide wrong young first least most more said so-called based used using including included followed"
    " unnecessary"
)
# Nouns that head thousands of phrases without making any of them a term.
GENERIC_NOUNS = word_set(
    "thing things way ways lot lots kind kinds sort sorts type types example examples case cases number numbers amount"
    " part parts fact facts reason reasons bit rest end time times day days week weeks month months year years page"
    " pages section sections chapter figure figures table tables appendix paragraph item items list etc people person"
    " man men woman women point points use uses side set place issue issues matter question questions area areas"
    " addition order purpose purposes manner extent regard respect note notes total copy"
)


CLOSED_CLASSES = DETERMINERS | PREPOSITIONS | PRONOUNS | VERB_MARKERS | OTHER_FUNCTION_WORDS


@cache
def _frequencies() -> RecordTrie:
    return tables.open_table("zipf", "wordfreq", "<f", _read_frequencies)


def _read_frequencies() -> Iterator[tables.Row]:
    from wordfreq import get_frequency_dict  # here, as it brings along much that a look-up does without

    for word, frequency in get_frequency_dict("en", wordlist="large").items():
        yield word, (math.log10(frequency) + 9,)


@bounded_cache
def zipf(word: str) -> float:
    """Zipf frequency of a lower-case word in general English; 0.0 when wordfreq's large list lacks it."""
    found: list[tuple[float]] = _frequencies().get(word.replace("’", "'"), [(0.0,)])
    return found[0][0]


@bounded_cache
def usage(word: str, part_of_speech: str) -> float:
    """How often WordNet's corpus has a lower-case word as this part of speech: 0 never could, 0.5 could but was not."""
    wordnet = open_wordnet()
    lemmas = wordnet.lemmas(word, part_of_speech)
    return max((wordnet.usage(lemma, part_of_speech) + 0.5 for lemma in lemmas), default=0.0)


@bounded_cache
def base_form(word: str, part_of_speech: str) -> str:
    """The base form of a lower-case word; the word itself when WordNet knows no other."""
    lemmas = open_wordnet().lemmas(word, part_of_speech)
    if lemmas:
        # "instructions" has an entry of its own, yet is the plural of "instruction"; "means" is not that of "mean".
        return max(lemmas, key=lambda lemma: (open_wordnet().usage(lemma, part_of_speech), -len(lemma)))
    if part_of_speech == NOUN and len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@bounded_cache
def is_common_word(word: str) -> bool:
    """Whether a lower-case word is written so in English: WordNet spells one of its first senses without capitals."""
    wordnet = open_wordnet()
    return word in CLOSED_CLASSES or any(
        lemma in wordnet.spellings(offset, part)
        for part in PARTS_OF_SPEECH
        for lemma in wordnet.lemmas(word, part)
        for offset in wordnet.senses(lemma, part)[:3]
    )
