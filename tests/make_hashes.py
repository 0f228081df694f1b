"""Writes the hashes of all files of each pinned package into requirements.txt and requirements-ocr.txt.

    pip install uv && python -m tests.make_hashes

Comments and order stay. A release step: pip then installs nothing but these very files, on each Python and machine.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = ("requirements.txt", "requirements-ocr.txt")
COMMAND = "pip compile --generate-hashes --universal --python-version 3.11 --no-deps --no-annotate --no-header --quiet"


def without_hashes(text: str) -> str:
    """A requirements file as people write it."""
    return re.sub(r" \\\n(?: +--hash=\S+(?: \\)?\n)+", "\n", text)


def hashes_of(name: str, plain: str) -> dict[str, str]:
    """For each pinned line its hashes, as uv finds them in the package index."""
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder) / name, Path(folder) / "hashed.txt"
        asked.write_text(plain)
        subprocess.run(["uv", *COMMAND.split(), str(asked), "-o", str(told)], check=True)
        entries = re.findall(r"^(\S+==\S+)((?: \\\n +--hash=\S+)+)", told.read_text(), re.MULTILINE)
    return dict(entries)


def main() -> None:
    """Renew both files; exits with a sentence where a package has no hashes."""
    for name in FILES:
        plain = without_hashes((ROOT / name).read_text())
        hashes = hashes_of(name, plain)
        lines = []
        for line in plain.splitlines():
            if "==" in line and not line.startswith("#") and line not in hashes:
                sys.exit(f"{line} has no hashes: is there such a version?")
            lines.append(line + hashes.get(line, ""))
        (ROOT / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
