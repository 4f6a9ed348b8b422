"""Examples run: the Python blocks of the pages and the docstrings of src; README's two commands stand as they are."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import thalweg

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """The page's Python blocks, each behind so many empty lines that a traceback shows the page's own line number."""
    text = page.read_text()
    for match in BLOCK.finditer(text):
        yield "\n" * text.count("\n", 0, match.start(1)) + match.group(1)


def modules_with_examples():
    paths = [path for path in sorted((ROOT / "src").rglob("*.py")) if ">>>" in path.read_text()]
    return [".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__") for path in paths]


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page))], ids=lambda page: page.name)
def test_the_blocks_of_a_page_run_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for source in blocks(page):
        exec(compile(source, str(page), "exec"), namespace)


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_in_docstrings_hold(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert (result.failed, result.attempted > 0) == (0, True)


def test_every_export_is_documented():
    silent = [name for name in thalweg.__all__ if not (getattr(thalweg, name).__doc__ or "").strip()]
    assert silent == []


def test_readme_states_the_two_commands_once_each():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines.count("pip install -c constraints.txt . && thalweg fit breast_cancer") == 1
    assert lines.count("pip install -c constraints.txt -e '.[all,test]' && pytest") == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
