"""Importing this loads what every document needs: for a server that forks a process per document, before the first.

The language model alone takes half a second, which a fork of a process that has it saves. It makes nothing of its own.
"""

from pipeline import CompletePipeline12Stages

SENTENCE = "The old lighthouse keeper climbed the stairs every evening and lit the paraffin lamp above the bay."

CompletePipeline12Stages().process_document(" ".join([SENTENCE] * 4), "warm", "warm")
