"""Importing this loads what every document needs: for a server that forks a process per document, before the first.

The tables and models take half a second, which a fork of a process that has them saves; not the one that tells
languages apart, which few documents need. It makes nothing of its own.
"""

from pipeline import CompletePipeline12Stages

SENTENCE = "The old lighthouse keeper climbed the stairs every evening and lit the paraffin lamp above the bay."

CompletePipeline12Stages().process_document(" ".join([SENTENCE] * 4), "warm", "warm")
