"""What each stage does to the choice of terms. (How good, fast and large it is beside others: side_by_side.py.)

    pip install -r bench/requirements.txt
    python bench/pipeline.py FOLDER [--without 5 6 9]

FOLDER holds documents whose terms people have chosen (keyphrases.py). Quality is macro F1 of the first ten terms, of
100 documents drawn of each set, with and without a stage.
"""

import argparse
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from keyphrases import Documents, f1, read, sample

sys.path.insert(0, str(Path(__file__).parent.parent))

STAGES = (2, 5, 6, 7, 8, 9, 10, 11)  # that can be left out


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description="Measure what stages do to the choice of terms.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without", type=int, nargs="+", choices=STAGES, default=STAGES, help="these stages only")
    parser.add_argument("--documents", type=int, default=100, help="of each set (100)")
    options = parser.parse_args()
    compare(options.folder, options.without, options.documents)


def compare(folder: Path, stages: Collection[int], count: int) -> None:
    """A line for each set and stage: F1 with and without it, and of how many documents terms or graph change."""
    print("F1@10       stage    with  without  results that differ", flush=True)
    for name, documents in read(folder).items():
        texts = [document.text for document in sample(documents, count)]
        whole = list(map(result, texts))
        with_it = quality(sample(documents, count), whole)
        for stage in stages:
            parts = [result(text, {stage}) for text in texts]
            differ = sum(one | {"stages": 0} != other | {"stages": 0} for one, other in zip(whole, parts, strict=True))
            without = quality(sample(documents, count), parts)
            print(f"{name:12}{stage:5}{with_it:8.1f}{without:9.1f}{differ:9} of {len(texts)}", flush=True)


def quality(documents: Documents, results: list[dict[str, Any]]) -> float:
    """F1 of the results' terms."""
    return f1(documents, [[entry["term"] for entry in found["vocabulary"]] for found in results])


def result(text: str, without: Collection[int] = ()) -> dict[str, Any]:
    """Ours; what no cards can be made from has no terms."""
    from pipeline import BadDocument, CompletePipeline12Stages

    pipeline = CompletePipeline12Stages(without)
    try:
        found = pipeline.process_document(text, "id", "title", generate_flashcards=False)
    except BadDocument:
        return {"vocabulary": [], "knowledge_graph": {}, "stages": {}}
    return {key: found[key] for key in ("vocabulary", "knowledge_graph", "stages")}


if __name__ == "__main__":
    main()
