"""bat_os.image.history.entries: who cites a document, without reading every method."""

import pytest

from bat_os.image.history import entries


def selectors(doc_id):
    return lambda root, robot: sorted(m.selector for m in entries.citing(root, doc_id))


@pytest.fixture
async def three(learn):
    await learn("a", 1, passages=["document:x", "seed:s"])
    await learn("b", 2, passages=["document:x", "document:y"])
    await learn("c", 3)


@pytest.mark.usefixtures("three")
async def test_a_document_is_cited_by_the_methods_whose_current_version_was_shown_it(
    change, learn, unlearn, redo
):
    assert await change(selectors("document:x")) == ["a", "b"]
    await learn("a", 4)
    await unlearn("b")
    assert await change(selectors("document:x")) == []
    await redo("b")
    await redo("a", 1)
    assert await change(selectors("document:x")) == ["a", "b"]
    assert await change(selectors("document:z")) == []


@pytest.mark.usefixtures("three")
async def test_only_documents_are_indexed(change):
    assert await change(lambda root, _: sorted(root[entries.CITATIONS])) == [
        "document:x",
        "document:y",
    ]
