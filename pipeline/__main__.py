"""`python -m pipeline FILE` prints the result of one document as JSON."""

import argparse
import json
import sys
from pathlib import Path

from pipeline import BadDocument, CompletePipeline12Stages


def main() -> int:
    """0 and the JSON on stdout, or 1 and the sentence of BadDocument on stderr."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="Turn a document into flashcards.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--max-phrases", type=int, default=40)
    parser.add_argument("--max-words", type=int, default=10)
    options = parser.parse_args()
    try:
        result = CompletePipeline12Stages().process_file(
            options.file,
            document_id=options.file.stem,
            document_title=options.file.name,
            max_phrases=options.max_phrases,
            max_words=options.max_words,
        )
    except BadDocument as error:
        print(error, file=sys.stderr)
        return 1
    json.dump(result, sys.stdout, ensure_ascii=False, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
