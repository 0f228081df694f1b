"""The same work without a queue: a WSGI application that makes the cards in the request that uploads the document.

What the specification's "today" does, for end_to_end.py: no job, no record, no limits, nothing that outlives a kill.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from flask import Flask, request

sys.path.insert(0, str(Path(__file__).parent.parent))

import pipeline.warm  # noqa: F401  once, before processes are forked
from pipeline import CompletePipeline12Stages

app = Flask(__name__)


@app.post("/")
def cards() -> dict[str, Any]:
    """The whole result."""
    sent = request.files["file"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document"
        sent.save(path)
        return CompletePipeline12Stages().process_file(path, "id", sent.filename or "")
