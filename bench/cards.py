"""What the cards of documents lack, and the cards themselves for reading.

    python bench/cards.py FOLDER                        coverage, a line for each document
    python bench/cards.py FOLDER --show NAME COUNT      the first cards of one, as Markdown

Own: from WordNet, the document or, for linking phrases, ourselves; head: with those whose head noun's gloss stands in.
The last line is of all documents. CPU is that of stage 12, and of all stages with reading (but for what reading does in
forks of its own), and the memory the process's greatest: each document is in a fresh fork of a process that has
imported pipeline.warm, as the worker's are. What is refused is named.
"""

import argparse
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the worker

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
    import pipeline.warm  # noqa: F401 - what the worker's forkserver does before it forks

    print(f"{'':28}cards  whole   words: own  head   phrases: own  head   stage 12 s  all s    MB")
    everything: list[dict[str, Any]] = []
    for file in sorted(options.folder.iterdir()):
        with ProcessPoolExecutor(1, get_context("fork")) as fork:
            found = fork.submit(made_of, file).result()
        if isinstance(found, str):
            print(f"{file.name:28}{found}")
            continue
        cards, cost = found
        everything += cards
        print(coverage(file.name, cards), f"{cost[0]:11.2f}{cost[1]:7.2f}{cost[2]:6.0f}", flush=True)
    print(coverage("all", everything))


def made_of(file: Path) -> tuple[list[dict[str, Any]], tuple[float, float, float]] | str:
    """A document's cards, with CPU seconds of stage 12 and of all, and megabytes; or why it has none."""
    seconds: list[float] = []
    pipeline.make_cards = timed(make_cards, seconds)  # type: ignore[assignment]
    begun = time.process_time()
    try:
        cards = CompletePipeline12Stages().process_file(file, "id", file.name)["flashcards"]
    except BadDocument as error:
        return str(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return cards, (seconds[0], time.process_time() - begun, peak)


def coverage(name: str, cards: Sequence[dict[str, Any]]) -> str:
    """The line of a document, without what it costs."""
    words, phrases = ([card for card in cards if card["word_type"] == kind] for kind in ("word", "phrase"))
    whole = share(cards, lambda card: all(card[name] for name in NEEDED) and restores(card))
    return (
        f"{name:28}{len(cards):5}{whole:6.0f} %{share(words, own):10.0f} %{share(words, any_meaning):4.0f} %"
        f"{share(phrases, own):12.0f} %{share(phrases, any_meaning):4.0f} %"
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


def any_meaning(card: dict[str, Any]) -> bool:
    """Whether it has one, be it its head noun's."""
    return bool(card["meaning"])


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
