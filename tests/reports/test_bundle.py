import pytest

from thalweg.reports import bundle
from thalweg.reports.bundle import plotting_script, write_whole


@pytest.fixture
def forget():
    plotting_script.cache_clear()
    yield plotting_script.cache_clear
    plotting_script.cache_clear()


def test_the_script_is_made_once_and_read_back(forget, monkeypatch):
    first = plotting_script()
    assert "window.vegaEmbed=" in first and "</script" not in first.lower()
    forget()
    monkeypatch.setattr("vl_convert.javascript_bundle", None)  # making it again would fail
    assert plotting_script() == first


def test_a_torn_file_is_made_again(forget):
    first = plotting_script()
    path = bundle._path()
    path.write_text(path.read_text()[:1000])
    forget()
    assert plotting_script() == first
    assert bundle._read(path) == first


def test_without_a_cache_folder_it_still_comes(forget, monkeypatch):
    monkeypatch.setattr(bundle, "cache_folder", lambda: None)
    assert "window.vegaEmbed=" in plotting_script()


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_whole(tmp_path / "folder", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
