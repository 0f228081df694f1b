"""One reader of PDFs over some files, in a process of its own: the words it finds, and what it costs.

    python bench/readers.py docdeck|pypdfium2|pypdf|pdfminer|pdftotext FILE ...

Prints JSON: for each file `cpu`, seconds of this process and its children, and `words`, how often each is there.
Docdeck is the whole of stages 1 and 2 but for the language: headers, hyphens and headings are done. pdfminer runs in
`.venv-bench`, the others in `.venv`. Linux only.
"""

import json
import re
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

WORD = re.compile(r"[^\W_]+")
Read = Callable[[Path], str]


def docdeck() -> Read:
    """As the worker's child does it, which has the language model from its parent."""
    import pipeline.warm  # noqa: F401
    from pipeline.headings import find_headings
    from pipeline.ingestion import extract_file
    from pipeline.layout import clean

    def read(path: Path) -> str:
        document, _ = find_headings(clean(extract_file(path, lambda share: None)))
        return " ".join(line.text for line in document.lines)

    return read


def pypdfium2() -> Read:
    """Bare: each page's text in the order of the file."""
    import pypdfium2

    def read(path: Path) -> str:
        pdf = pypdfium2.PdfDocument(path)
        texts = []
        for number in range(len(pdf)):
            page = pdf[number]
            text = page.get_textpage()
            texts.append(text.get_text_range())
            text.close()
            page.close()
        pdf.close()
        return "\n".join(texts)

    return read


def pypdf() -> Read:
    """By itself, as its documentation begins."""
    import pypdf

    return lambda path: "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def pdfminer() -> Read:
    """pdfminer.six's high level, with its layout analysis."""
    from pdfminer.high_level import extract_text

    return lambda path: str(extract_text(path))


def pdftotext() -> Read:
    """poppler's program."""
    return lambda path: subprocess.run(
        ["pdftotext", "-q", str(path), "-"], capture_output=True, check=True
    ).stdout.decode(errors="replace")


READERS = {each.__name__: each for each in (docdeck, pypdfium2, pypdf, pdfminer, pdftotext)}


def cpu() -> float:
    """Seconds of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main(name: str, paths: list[str]) -> dict[str, dict[str, object]]:
    """What the module's docstring says."""
    read = READERS[name]()
    found: dict[str, dict[str, object]] = {}
    for path in paths:
        before = cpu()
        text = read(Path(path))
        found[path] = {"cpu": cpu() - before, "words": Counter(WORD.findall(text.lower()))}
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2:])))
