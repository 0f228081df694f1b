"""The list of mutations.py does not rot: what it changes is still in the code, and the tests that it names are there.

Whether each test turns red is for `python -m tests.mutations` to say, which takes minutes.
"""

import re

import pytest

from tests.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutations_text_stands_once_in_its_file_and_its_test_is_there(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.new != mutation.old
    file, _, test = mutation.test.partition("::")
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.MULTILINE)
