"""Meanings that WordNet does not have: what the document itself says a term is, and what linking phrases mean.

A definition is the sentence's own words, mined where the sentence says so outright ("X is a ... that ...", "X means
...", "X, defined as ...", "X: a ...", "a ... called X"). Patterns are few and strict: a wrong meaning is worse than
none. The meanings of linking phrases ("in accordance with") are our own; no open dictionary in reach has them.
"""

import re
from collections.abc import Sequence

from pipeline.context import FRAGMENT, HEADING, Sentence

MINED, OWN = "document", "Docdeck"

_FEWEST, _MOST = 4, 45  # words of a definition
_LOOKED_AT = 300  # places of the term
_LOOKED_BACK = 200  # characters before it
_NOUN = r"(?:an?|any|one of|the|those)\s"
_ASIDE = r"(?:\s*\([^()]{1,60}\)|, or [^,.;:]{1,60},)?"  # "supply chain (SC) is a ...", "a lorry, or truck, is a ..."
_QUOTE = r"[\"'“”‘’]{0,2}"
_MOSTLY = r"(?:just |simply |basically |essentially |formally |often |usually |generally |commonly )?"
# A note's number may stand before it.
_BEFORE = re.compile(r"(?:^\d{0,2}|[,:;]\s)\W{0,2}(?:(?:the term|an?|the)\s)?\W{0,2}$", re.I)
# "X is the main problem" and "X is a good thing" tell what somebody thinks of it.
_OPINION = re.compile(
    r"(?:an?|the|one of the|any|those)\s(?:\w+ly\s)?(?:good|great|bad|big|key|main|major|minor|critical|crucial"
    r"|important|useful|best|better|worst|first|last|next|new|common|popular|huge|serious|significant|simple|same|case|result"
    r"|reason|problem|issue|matter|way to|lot|few|number|part|product of|valuable|weak|effective|strong|recipe"
    r"|example|root|time|most|least|excellent|ideal|perfect|only|more|sign|subject|focus|goal|source|cause|challenge|one)\b",
    re.I,
)
_NARROWS = re.compile(r"\b(?:that|which|who|whose|where|when|of|used|for|to|by|with|in|between|from|at|consisting)\b")
# Makes sense beside its sentence only.
_POINTS = re.compile(
    r"\b(?:(?:figure|table|exhibit) \w?\d|above|below|shown|following|these|this|our|should|must|shall)\b", re.I
)
_AFTER = tuple(
    (re.compile(pattern, re.I), strict)
    for pattern, strict in (
        (rf"{_QUOTE}{_ASIDE},? (?:is|are) {_MOSTLY}defined as ", False),
        (rf"{_QUOTE}{_ASIDE}[,:]? defined as ", False),
        (rf"{_QUOTE}{_ASIDE} (?:means?|denotes?),? (?!that\b|more\b|less\b|for\b|to\b|of\b|you\b|we\b|it\b)", False),
        (rf"{_QUOTE}{_ASIDE} (?:refers? to|(?:is|are) used to (?:refer to|mean|denote|describe)) ", False),
        (rf"{_QUOTE} ?\((?:that is|i\.e\.),? ", False),
        (rf"{_QUOTE}{_ASIDE},? (?:that is|i\.e\.), (?={_NOUN})", False),
        (rf"{_QUOTE}{_ASIDE} (?:is|are) {_MOSTLY}(?={_NOUN})", True),
        # "X: The ..." goes on like a sentence about X.
        (rf"{_QUOTE}{_ASIDE}(?:: | [—–-] )(?!(?-i:The)\b)(?={_NOUN})", True),
        (rf"{_QUOTE}{_ASIDE}, which (?:is|are) {_MOSTLY}(?={_NOUN})", True),
    )
)
# "a sequence of instructions that we call a trace": the words from the last article on.
_WITHIN = r"(?!(?:an?|the|that|which|who|and|or|is|are|was|were|has|have|had|to|it|we|they)\b)[\w’'-]+,? "
_CALLED = re.compile(
    rf"\b(an? (?:{_WITHIN}){{3,12}}?)(?:(?:that|which|we|is|are|often|usually|commonly|generally|sometimes|also) )*"
    r"(?:called|call|known as|termed|referred to as) (?:an? |the )?[\"'“‘]{0,2}$",
    re.I,
)

LINKING = dict(
    line.split(": ", 1)
    for line in """\
in addition to: as well as; besides
as a result of: because of
as a result: because of what was just said; so
on the other hand: looked at from the opposite side
on the one hand: looked at from the first of two sides
in contrast to: differently from
in contrast: showing a clear difference from what was just said
with respect to: about; concerning
with regard to: about; concerning
in terms of: looked at as; as far as this is concerned
in spite of: without being stopped or changed by; despite
on behalf of: as the representative of, or for the good of
by means of: using; with the help of
in accordance with: as a rule, law or wish says
for the purpose of: in order to do; with the aim of
due to the fact that: because
in the case of: where this is concerned; if this is what it is about
in case of: if there is; because there may be
in the event of: if this happens
in the light of: because of what is now known; considering
in light of: because of what is now known; considering
on the basis of: using this as the reason or starting point
at the expense of: so that another thing is harmed or lost; paid for by
for the sake of: in order to help, keep or get
as opposed to: and not; in contrast with
as long as: only if; for all the time that
as soon as: immediately when
as far as: to the degree that; up to this place
even though: although; in spite of the fact that
provided that: only if
regardless of: without being influenced by; whatever this may be
in favor of: supporting; choosing this instead
in favour of: supporting; choosing this instead
in line with: similar to; agreeing with
in relation to: in connection with; compared with
in response to: as an answer or reaction to
in comparison with: when looked at beside
in connection with: about; related to
in conjunction with: together with
prior to: before
subject to: depending on; bound by, as by a rule or condition
pursuant to: following; as required by a law or agreement
rather than: and not; instead of
instead of: in place of
for instance: for example
in particular: especially; more than others
in practice: in real situations; as it really happens
in principle: as a general idea, though not always in detail
in turn: one after the other; as a result of what came before
in other words: said again in a different, simpler way
at most: not more than this
at the same time: together, at one moment; however
to some extent: partly; to a certain degree
by contrast: showing a clear difference from what was just said
by no means: not at all
under no circumstances: never, whatever happens
up to date: having the newest facts; modern
a variety of: many different kinds of
a wide range of: many different kinds of
a great deal of: a large amount of; much
a series of: several, one after the other
the extent to which: how far; how much
as a whole: seen as one thing, not as separate parts
at all times: always
from time to time: sometimes, but not often
in the long run: after a long time; in the end
in the meantime: during the time before something else happens
no longer: in the past but not now
no later than: at this time or before it
nothing but: only
once again: one more time
over time: slowly, as time passes
per se: by itself; as such
sooner or later: at some time that is not known, but certainly
step by step: slowly, one stage after another
with the exception of: but not including
due to: because of
apart from: except; not counting
aside from: except; not counting
as of: from this date on; at this date
at best: if everything is as good as it can be
at odds with: not agreeing with
at the discretion of: as this person thinks right
at the request of: because this person asked
by default: if nobody chooses anything else
by reason of: because of
by virtue of: because of; by having this quality or right
by way of: as a kind of; through
contrary to: in opposition to; not as this says
for lack of: because there is not enough
given that: because it is known that
if any: though perhaps there is none
in any event: whatever happens or has happened
in excess of: more than
in exchange for: as what is given or done for this
in keeping with: right or suitable for; agreeing with
in lieu of: instead of
in return for: as what is given or done for this
in so far as: to the degree that
in support of: in order to help or agree with
in the absence of: where this is missing; without
in the course of: during
in the face of: in spite of; when meeting with this danger or difficulty
in the interest of: in order to help or bring about
in the process of: in the middle of doing
in the wake of: after, and often because of
in view of: because of; considering
irrespective of: without being influenced by; whatever this may be
let alone: and even less
not to mention: and also, which matters even more
on account of: because of
on average: as a middle value; usually
on condition that: only if
on the grounds that: for the reason that
on the part of: done or felt by
on the whole: when everything is considered; mostly
owing to: because of
so as to: in order to
thus far: until now
to the extent that: so far as; to the degree that
until such time as: until
whether or not: in this case and in the other as well
with a view to: hoping or planning to
""".splitlines()
)


def mine(places: Sequence[tuple[int, int, int]], sentences: Sequence[Sentence]) -> str | None:
    """The first definition of what stands in these places (those of a Candidate); the plainest wording counts most."""
    found: list[tuple[int, str]] = []
    for number, first, after in places[:_LOOKED_AT]:
        sentence = sentences[number]
        if sentence.kind == HEADING:
            continue
        begin, end = sentence.starts[first], sentence.starts[after - 1] + len(sentence.tokens[after - 1])
        if _BEFORE.search(sentence.text, max(0, begin - _LOOKED_BACK), begin):
            found += _definitions(sentence, end)
        called = _CALLED.search(sentence.text, max(0, begin - _LOOKED_BACK), begin)
        if called and not _POINTS.search(called[1]):
            found.append((len(_AFTER), called[1].rstrip(", ")))
    return min(found, key=lambda entry: entry[0])[1] if found else None


def _definitions(sentence: Sentence, end: int) -> list[tuple[int, str]]:
    """(place of the pattern, definition) of those that begin at `end`."""
    for place, (pattern, strict) in enumerate(_AFTER):
        match = pattern.match(sentence.text, end)
        if match:
            text = _cut(sentence.text[match.end() :], match[0])
            words = text.split()
            whole = sentence.kind != FRAGMENT or strict
            plain = not strict or (not _OPINION.match(text) and _NARROWS.search(text) and not _POINTS.search(text))
            title = sum(word[0].isupper() for word in words) > 0.5 * len(words)
            if whole and plain and not title and _FEWEST <= len(words) <= _MOST:
                return [(place, text)]
    return []


def _cut(text: str, opened_by: str) -> str:
    """Up to the end of the bracket, the relative clause or the sentence."""
    if "(" in opened_by and ")" not in opened_by:
        text = text.partition(")")[0]
    elif opened_by.startswith(", which"):
        text = text.partition(",")[0]
    return re.split(r";\s|\.\s+(?=[A-Z])", text)[0].strip().rstrip(".,;:").strip("\"“”")
