"""The hostile files: what people upload by mistake and attackers on purpose, some hundreds of them, made in code.

    python -m tests.make_hostile FOLDER     writes them all there, about 400 MB

FILES has them by name, each with its builder and what it has to end in: "cards", a readable "sentence", or "either".
They stand in the files called hostile_*.py.
"""

import sys
from pathlib import Path

from tests import (
    hostile_office,
    hostile_pdf,
    hostile_pdf_damage,
    hostile_pdf_structure,
    hostile_pictures,
    hostile_text,
)
from tests.hostile_parts import FILES

__all__ = ["FILES", "KINDS"]

KINDS = (hostile_pdf, hostile_pdf_structure, hostile_pdf_damage, hostile_office, hostile_pictures, hostile_text)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES.values():
        (folder / file.name).write_bytes(file.build())
    print(f"{len(FILES)} files in {folder}")


if __name__ == "__main__":
    main()
