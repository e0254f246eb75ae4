"""bat_os.image.watches: what is kept of a place that is watched."""

import pytest

from bat_os.image.watches import PLACE, versions_of
from bat_os.ports import Survey

FILES = {"a.txt": (3, 5, 7)}


@pytest.mark.parametrize(
    ("survey", "kept"),
    [
        (Survey(FILES, folder=(8, 9)), {**FILES, PLACE: (8, 9, 0)}),
        (Survey(FILES), FILES),  # a file alone
        (Survey({}), {}),
    ],
)
def test_the_files_are_kept_and_the_folder_if_it_is_one(survey, kept):
    assert versions_of(survey) == kept
    assert versions_of(survey, files=False) == {k: v for k, v in kept.items() if k == PLACE}
