"""Stage 6: what the document does not bear out goes. The ranking stays.

Each candidate is looked up as a query of its words among the document's sentences, by BM25 (Robertson and Zaragoza
2009), and judged by the best sentence that holds it. Those whose words are spread all over the document, or that only
stand in endless enumerations, find no sentence that is about them.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.candidates import Candidates
from pipeline.tokens import Flags, Tokens

_K1, _B = 1.2, 0.75
_LEAST = 0.35  # of the median of all candidates


def relevance(tokens: Tokens, candidates: Candidates) -> NDArray[np.float32]:
    """The score of each candidate's best sentence, for each of its words on average."""
    if not len(candidates):
        return np.empty(0, np.float32)
    lengths = np.diff(tokens.starts)
    pairs = np.unique(tokens.lemmas.astype(np.int64) * len(lengths) + tokens.sentence)
    holding = np.bincount(pairs // len(lengths), minlength=len(tokens.words))
    rarity = np.log1p((len(lengths) - holding + 0.5) / (holding + 0.5))
    rarity[0] = 0.0
    weight = rarity[candidates.ids].sum(1) / candidates.lengths
    # A word comes once in a sentence, but for a few: the sentence's length alone makes the difference.
    length = lengths[tokens.sentence[candidates.at]] / lengths.mean()
    worth = (_K1 + 1) / (1 + _K1 * (1 - _B + _B * length))
    return (weight * np.maximum.reduceat(worth, candidates.bounds[:-1])).astype(np.float32)


def borne_out(tokens: Tokens, candidates: Candidates) -> Flags:
    """Whether each candidate stays."""
    scores = relevance(tokens, candidates)
    return scores >= _LEAST * np.median(scores) if len(scores) else np.ones(0, bool)
