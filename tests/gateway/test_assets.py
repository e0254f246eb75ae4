"""bat_os.gateway.assets: the files of the page."""

import os

from bat_os.gateway.assets import Assets


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path):
    assets, path = Assets(), tmp_path / "page.js"
    read = []
    for text, changed in (("one", 1), ("two", 1), ("two", 2)):
        path.write_text(text)
        os.utime(path, ns=(changed, changed))
        read.append(assets._load("page.js", path)[1])
    assert read == [b"one", b"one", b"two"]
