"""The one error that the pipeline raises on purpose.

Says: this document cannot become cards, and why. It does not cover bugs or a machine short of memory: those
surface as what they are, so that the caller may try again.
"""


class BadDocument(Exception):
    """The document's own fault. `str(error)` is a plain English sentence for the person who uploaded it."""
