"""The gallery is drawn as the page shows it."""

import importlib.util
import re
import struct
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_gallery_draws_every_picture_of_its_page(tmp_path):
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    gallery.main(tmp_path)
    shown = set(re.findall(r"pictures/(pde-[a-z]+)\.png", (ROOT / "docs" / "pde.md").read_text()))
    assert shown == {path.stem for path in tmp_path.iterdir()} == set(gallery.PICTURES)
    for path in tmp_path.iterdir():
        kept = (ROOT / "docs" / "pictures" / path.name).read_bytes()
        new = path.read_bytes()
        assert struct.unpack(">II", new[16:24]) == struct.unpack(
            ">II", kept[16:24]
        )  # as wide and high as the one shown
        assert len(new) > 20_000
