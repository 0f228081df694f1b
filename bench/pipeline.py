"""How good, how fast and how large the choice of terms is, beside YAKE and RAKE in the same run.

    pip install -r bench/requirements.txt
    python bench/pipeline.py FOLDER                       all of it
    python bench/pipeline.py FOLDER --without 5 6 9       what leaving out a stage does

FOLDER holds documents whose terms people have chosen (keyphrases.py). Quality is macro F1 of the first ten terms, of
100 documents drawn of each set. Speed is CPU seconds and peak memory for texts that are made of those documents, each
in a process of its own; ours is stages 2 to 11. Linux only.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from keyphrases import Documents, f1, read, sample

sys.path.insert(0, str(Path(__file__).parent.parent))

STAGES = (2, 5, 6, 7, 8, 9, 10, 11)  # that can be left out
SIZES = (10_000, 100_000, 1_000_000)
Extract = Callable[[str], list[str]]


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description="Measure the choice of terms.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without", type=int, nargs="+", choices=STAGES, help="compare with these stages left out")
    parser.add_argument("--documents", type=int, default=100, help="of each set (100)")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "WORDS"), help="measure this one only and print JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(cost(options.one[0], long_text(options.folder, int(options.one[1])))))
    elif options.without:
        compare(options.folder, options.without, options.documents)
    else:
        quality(options.folder, options.documents)
        speed(options.folder)


def quality(folder: Path, count: int) -> None:
    """A line for each set."""
    print("F1@10         ours    YAKE    RAKE", flush=True)
    for name, documents in drawn(folder, count):
        figures = [f1(documents, list(map(extractor(peer), texts(documents)))) for peer in ("ours", "yake", "rake")]
        print(f"{name:10}", *(f"{figure:7.1f}" for figure in figures), flush=True)


def compare(folder: Path, stages: list[int], count: int) -> None:
    """A line for each set and stage: F1 with and without it, and of how many documents terms or graph change."""
    print("F1@10       stage    with  without  results that differ", flush=True)
    for name, documents in drawn(folder, count):
        whole = list(map(result, texts(documents)))
        with_it = f1(documents, list(map(names, whole)))
        for stage in stages:
            parts = [result(text, {stage}) for text in texts(documents)]
            differ = sum(one | {"stages": 0} != other | {"stages": 0} for one, other in zip(whole, parts, strict=True))
            without = f1(documents, list(map(names, parts)))
            print(f"{name:12}{stage:5}{with_it:8.1f}{without:9.1f}{differ:9} of {len(documents)}", flush=True)


def drawn(folder: Path, count: int) -> list[tuple[str, Documents]]:
    """Some documents of each set."""
    return [(name, sample(documents, count)) for name, documents in read(folder).items()]


def texts(documents: Documents) -> list[str]:
    """Those of the documents."""
    return [document.text for document in documents]


def long_text(folder: Path, words: int) -> str:
    """So many words of the set with the longest documents, and over again when they are used up."""
    longest = max(read(folder).values(), key=lambda each: sum(map(len, texts(each))) / len(each))
    text: list[str] = []
    while len(text) < words:
        for document in longest:
            text += [*document.text.split(" "), "\n\n"]
    return " ".join(text[:words])


def speed(folder: Path) -> None:
    """A line for each length and extractor; then our stages one by one."""
    print("\nwords         who      CPU s   words/s   peak MB   start s", flush=True)
    for words in SIZES:
        for name in ("ours", "yake", "rake"):
            if name == "yake" and words > 100_000:
                continue  # takes minutes and tells nothing new
            command = [sys.executable, __file__, str(folder), "--one", name, str(words)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{row['words']:<10,}{name:>7}{row['cpu']:11.2f}{row['words'] / row['cpu']:10,.0f}{row['peak']:10.0f}"
                f"{row['start']:10.2f}",
                *(f"{stage} {seconds:.2f}" for stage, seconds in row["stages"].items()),
                flush=True,
            )


def cost(name: str, text: str) -> dict[str, Any]:
    """CPU seconds and peak megabytes of one extractor on one text, and what its import and a first sentence take."""
    begun = time.process_time()
    extract = extractor(name)
    start = time.process_time() - begun
    stages: dict[str, float] = {}
    reading = 0.0
    if name == "ours":
        from pipeline.ingestion import read_text

        reading = cpu_of(lambda: read_text(text))
        cpu = cpu_of(lambda: stages.update({one["name"]: one["seconds"] for one in result(text)["stages"].values()}))
        del stages["ingestion"]
    else:
        cpu = cpu_of(lambda: extract(text))
    # Not getrusage's, which goes on from the parent's.
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]
    return {"words": len(text.split()), "cpu": cpu - reading, "peak": peak, "start": start, "stages": stages}


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


# Extractors -----------------------------------------------------------------------------------------------------------


def extractor(name: str) -> Extract:
    """A function from a text to its terms, the best first."""
    if name == "ours":
        result("")
        return lambda text: names(result(text))
    if name == "yake":
        import yake

        keywords = yake.KeywordExtractor(n=3, top=10)
        return lambda text: [term for term, _ in keywords.extract_keywords(text)]
    from rake_nltk import Rake

    from pipeline.english import CLOSED_CLASSES

    # Its own defaults are data of NLTK's that a download would have to fetch.
    rake = Rake(stopwords=CLOSED_CLASSES, sentence_tokenizer=re.compile(r"(?<=[.!?])\s+").split, word_tokenizer=tokens)

    def ranked(text: str) -> list[str]:
        rake.extract_keywords_from_text(text)
        return list(rake.get_ranked_phrases()[:10])

    return ranked


def tokens(text: str) -> list[str]:
    """Words and single signs."""
    return re.findall(r"\w+(?:[-'’]\w+)*|[^\w\s]", text)


def result(text: str, without: Collection[int] = ()) -> dict[str, Any]:
    """Ours; what no cards can be made from has no terms."""
    from pipeline import BadDocument, CompletePipeline12Stages

    pipeline = CompletePipeline12Stages(without)
    try:
        found = pipeline.process_document(text, "id", "title", generate_flashcards=False)
    except BadDocument:
        return {"vocabulary": [], "knowledge_graph": {}, "stages": {}}
    return {key: found[key] for key in ("vocabulary", "knowledge_graph", "stages")}


def names(found: dict[str, Any]) -> list[str]:
    """The terms of a result, the best first."""
    return [entry["term"] for entry in found["vocabulary"]]


if __name__ == "__main__":
    main()
