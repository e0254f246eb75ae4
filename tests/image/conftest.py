"""A real image in a scratch folder."""

import pytest

from bat_os.image.store import ImageStore


@pytest.fixture
async def image():
    store = ImageStore.in_memory()
    yield store
    await store.close()
