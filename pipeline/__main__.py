"""`python -m pipeline FILE` prints the result of one document as JSON; with --stages, what each stage did."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pipeline import BadDocument, CompletePipeline12Stages
from pipeline.cefr import LEVELS


def main() -> int:
    """0 and the JSON on stdout, or 1 and the sentence of BadDocument on stderr."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="Turn a document into flashcards.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--max-phrases", type=int, default=40)
    parser.add_argument("--max-words", type=int, default=10)
    parser.add_argument("--min-cefr", choices=LEVELS, help="leave out what is easier")
    parser.add_argument("--known", nargs="*", default=(), metavar="WORD", help="leave these out")
    parser.add_argument("--stages", action="store_true", help="print what each stage did, and the terms")
    options = parser.parse_args()
    try:
        result = CompletePipeline12Stages().process_file(
            options.file,
            document_id=options.file.stem,
            document_title=options.file.name,
            max_phrases=options.max_phrases,
            max_words=options.max_words,
            known_words=options.known,
            min_cefr=options.min_cefr,
        )
    except BadDocument as error:
        print(error, file=sys.stderr)
        return 1
    if options.stages:
        _print_stages(result)
    else:
        json.dump(result, sys.stdout, ensure_ascii=False, indent=2)
        print()
    return 0


def _print_stages(result: dict[str, Any]) -> None:
    for number, stage in result["stages"].items():
        counts = ", ".join(f"{key} {value}" for key, value in stage.items() if key not in ("name", "seconds"))
        print(f"{number.removeprefix('stage'):>2} {stage['name']:10} {stage['seconds']:7.3f} s  {counts}")
    for entry in result["vocabulary"]:
        print(f"{entry['score']:.3f}  {entry['frequency']:4} x  {entry['term']}  ({entry['kind']})")
    print(result["knowledge_graph"]["markdown"])


if __name__ == "__main__":
    sys.exit(main())
