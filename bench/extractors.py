"""One extractor of terms over some texts, in a process of its own: what it finds, and what it costs.

    python bench/extractors.py docdeck|yake|rake FILE

FILE is JSON, {"texts": [...], "stopwords": [...]}. Prints JSON: `terms`, ten for each text, the best first; `cpu`,
seconds for all texts; `start`, seconds for the import and some first words; `peak`, MB. Docdeck is stages 1 to 11 and
runs in `.venv`, the others in `.venv-bench`. Linux only.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

Extract = Callable[[str], list[str]]
FIRST = 1_000  # words that are read before anything is measured, for what is loaded when it is needed


def docdeck(_: Sequence[str]) -> Extract:
    """What no cards can be made from has no terms."""
    import pipeline.warm  # noqa: F401  as the worker's children have it
    from pipeline import BadDocument, CompletePipeline12Stages

    def ranked(text: str) -> list[str]:
        try:
            found = CompletePipeline12Stages().process_document(text, "id", "title", generate_flashcards=False)
        except BadDocument:
            return []
        return [entry["term"] for entry in found["vocabulary"]]

    return ranked


def yake(_: Sequence[str]) -> Extract:
    """As its documentation begins."""
    import yake

    keywords = yake.KeywordExtractor(n=3, top=10)
    return lambda text: [term for term, _ in keywords.extract_keywords(text)]


def rake(stopwords: Sequence[str]) -> Extract:
    """rake-nltk without NLTK's own data, which a download would have to fetch."""
    from rake_nltk import Rake

    split = re.compile(r"(?<=[.!?])\s+").split
    signs = re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]").findall
    extractor = Rake(stopwords=set(stopwords), sentence_tokenizer=split, word_tokenizer=signs)

    def ranked(text: str) -> list[str]:
        extractor.extract_keywords_from_text(text)
        return list(extractor.get_ranked_phrases()[:10])

    return ranked


EXTRACTORS = {each.__name__: each for each in (docdeck, yake, rake)}


def main(name: str, path: Path) -> dict[str, Any]:
    """What the module's docstring says."""
    given = json.loads(path.read_text())
    begun = time.process_time()
    extract = EXTRACTORS[name](given["stopwords"])
    extract(" ".join(given["texts"][0].split()[:FIRST]))
    start = time.process_time() - begun
    begun = time.process_time()
    terms = [extract(text)[:10] for text in given["texts"]]
    cpu = time.process_time() - begun
    # Not getrusage's, which goes on from the parent's.
    peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    return {"terms": terms, "cpu": cpu, "start": start, "peak": int(peak) / 1024}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
