"""What operators see: one line of JSON on stdout for each event.

stdout, since Railway shows stderr as errors; one line each, since it drops what passes 500 lines a second. Document
text and secrets do not belong into a field.
"""

import json
import sys
import time
from typing import Any


def log(message: str, level: str = "info", **fields: Any) -> None:
    """Write one event. message: what happened, always the same words for the same event; fields: what it was about."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + "Z"
    line = {"time": stamp, "level": level, "message": message, **fields}
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()
