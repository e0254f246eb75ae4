"""An image in a file, in a home of its own."""

import pytest

from tests.image.files.images import make_image


@pytest.fixture
async def image(tmp_path):
    """An image in ``home/live_image.fs``, open."""
    store = await make_image(tmp_path / "home" / "live_image.fs")
    yield store
    await store.close()


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"
