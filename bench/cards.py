"""What the cards of documents lack, and the cards themselves for reading.

    python bench/cards.py FOLDER                        coverage, a line for each document
    python bench/cards.py FOLDER --show NAME COUNT      the first cards of one, as Markdown

Own: from WordNet, the document or, for linking phrases, ourselves; head: with those whose head noun's gloss stands in.
CPU is that of stage 12 alone, in a process that has made cards before, as the worker's have. What is refused is named.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import pipeline
from pipeline import BadDocument, CompletePipeline12Stages
from pipeline.flashcards import HEAD_NOUN, make_cards

NEEDED = ("id", "word", "part_of_speech", "ipa_us", "ipa_uk", "example", "example_page", "cloze")


def main() -> None:
    """Print what the command line names."""
    parser = argparse.ArgumentParser(description="Look at the cards of documents.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", nargs=2, metavar=("NAME", "COUNT"))
    options = parser.parse_args()
    if options.show:
        name, count = options.show
        show(CompletePipeline12Stages().process_file(options.folder / name, "id", name)["flashcards"][: int(count)])
        return
    seconds: list[float] = []
    pipeline.make_cards = timed(make_cards, seconds)  # type: ignore[assignment]
    CompletePipeline12Stages().process_document("The old keeper lit the lamp above the bay every evening. " * 9, "", "")
    print(f"{'':28}cards  whole   words: own   phrases: own  head    CPU s")
    for file in sorted(options.folder.iterdir()):
        try:
            cards = CompletePipeline12Stages().process_file(file, "id", file.name)["flashcards"]
        except BadDocument as error:
            print(f"{file.name:28}{error}")
            continue
        words, phrases = ([card for card in cards if card["word_type"] == kind] for kind in ("word", "phrase"))
        whole = share(cards, lambda card: all(card[name] for name in NEEDED) and restores(card))
        print(
            f"{file.name:28}{len(cards):5}{whole:6.0f} %{share(words, own):10.0f} %{share(phrases, own):13.0f} %"
            f"{share(phrases, lambda card: bool(card['meaning'])):4.0f} %{seconds[-1]:9.2f}",
            flush=True,
        )


def timed(make: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """The same function, which adds the CPU seconds of each call to the list."""

    def run(*arguments: Any) -> Any:
        begun = time.process_time()
        cards = make(*arguments)
        seconds.append(time.process_time() - begun)
        return cards

    return run


def share(cards: Sequence[dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> float:
    """Percent of the cards."""
    return 100 * sum(map(holds, cards)) / (len(cards) or 1)


def own(card: dict[str, Any]) -> bool:
    """Whether the meaning is the whole term's."""
    return card["definition_source"] not in (None, HEAD_NOUN)


def restores(card: dict[str, Any]) -> bool:
    """Whether the cloze without its marks is the example."""
    return bool(re.sub(r"\{\{c1::(.*?)\}\}", r"\1", card["cloze"]) == card["example"])


def show(cards: Sequence[dict[str, Any]]) -> None:
    """One paragraph for each card."""
    for number, card in enumerate(cards, 1):
        print(f"{number}. **{card['word']}** ({card['part_of_speech']}, {card['cefr']}) /{card['ipa_us']}/", end=" ")
        print(f"/{card['ipa_uk']}/: {card['meaning']} [{card['definition_source']}]")
        print(f"   > {card['example']} (page {card['example_page']})")


if __name__ == "__main__":
    main()
