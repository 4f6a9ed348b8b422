"""The kernel cache: built once, safe between processes, and never in the way where there is no disk."""

import errno
import os
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import pytest

from thalweg.core import cache
from thalweg.core.errors import InputError

SOURCE = "def double(x):\n    return 2 * x\n\n\ndef fail(x):\n    return x / 0  # the line to be shown\n"


class Builder:
    """A build function that counts its calls."""

    def __init__(self, source=SOURCE):
        self.source, self.calls = source, 0

    def __call__(self):
        self.calls += 1
        return self.source


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    new_process(monkeypatch)
    return tmp_path


def new_process(monkeypatch):
    """Forget what this process has loaded, as a new one would start."""
    monkeypatch.setattr(cache, "_modules", {})


def kernel_files(folder):
    return sorted(folder.glob("kernels/*/*.py"))


def test_the_source_is_built_once_and_found_by_the_next_process(folder, monkeypatch):
    build = Builder()
    module = cache.source_module("once", build)
    assert module.double(4) == 8
    assert module.ON_DISK is True
    assert sys.modules["thalweg_kernel_once"] is module
    assert cache.source_module("once", build) is module
    new_process(monkeypatch)
    assert cache.source_module("once", build).double(5) == 10
    assert build.calls == 1
    assert [file.name for file in kernel_files(folder)] == ["once.py"]


def test_a_sound_file_keeps_its_time_so_that_compiled_code_beside_it_stays_valid(folder, monkeypatch):
    cache.source_module("still", Builder())
    before = kernel_files(folder)[0].stat()
    new_process(monkeypatch)
    cache.source_module("still", Builder())
    after = kernel_files(folder)[0].stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: b"",
        lambda text: text.replace(b"2 * x", b"3 * x"),
        lambda text: text.partition(b"\n")[2],
        lambda text: b"\xff\xfe" + text,
        lambda text: b"def double(x):\n    return -1\n",
        lambda text: text + b"\n",
    ],
    ids=["torn", "empty", "altered", "headless", "not text", "foreign", "longer"],
)
def test_a_file_that_is_not_what_was_written_is_built_again(folder, monkeypatch, spoil):
    cache.source_module("spoilt", Builder())
    file = kernel_files(folder)[0]
    whole = file.read_bytes()
    file.write_bytes(spoil(whole))
    new_process(monkeypatch)
    build = Builder()
    assert cache.source_module("spoilt", build).double(4) == 8
    assert build.calls == 1
    assert file.read_bytes() == whole


def test_another_build_of_thalweg_meets_none_of_these_files(folder, monkeypatch):
    cache.source_module("versioned", Builder())
    new_process(monkeypatch)
    monkeypatch.setattr(cache, "_build_tag", lambda: "another")
    build = Builder("def double(x):\n    return x + x\n")
    assert cache.source_module("versioned", build).double(4) == 8
    assert build.calls == 1
    assert len(kernel_files(folder)) == 2


def test_the_build_changes_with_the_sources_and_only_with_them(tmp_path, monkeypatch):
    package = tmp_path / "thalweg"
    (package / "core").mkdir(parents=True)
    for name in ("__init__.py", "core/cache.py"):
        (package / name).write_text("x = 1\n")
    monkeypatch.setattr(cache, "__file__", str(package / "core" / "cache.py"))
    tag = cache._build_tag.__wrapped__
    first = tag()
    (package / "core" / "cache.cpython-311.pyc").write_text("compiled")
    assert tag() == first
    (package / "__init__.py").write_text("x = 12\n")
    second = tag()
    (package / "new.py").write_text("")
    assert len({first, second, tag()}) == 3


@pytest.mark.parametrize("where", ["/dev/null/x", "/proc/thalweg/x"])
def test_where_no_file_can_be_written_the_kernel_lives_in_memory_in_silence(where, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", where)
    new_process(monkeypatch)
    build = Builder()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = cache.source_module("homeless", build)
        assert cache.source_module("homeless", build) is module
    assert (module.double(4), module.ON_DISK, build.calls) == (8, False, 1)
    assert cache.cache_folder() is None


def test_a_disk_that_fills_up_while_writing_leaves_nothing_behind(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    module = cache.source_module("full", Builder())
    assert (module.double(4), module.ON_DISK) == (8, False)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_the_folder_is_the_named_one_else_xdg_else_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "own"))
    assert cache.cache_folder() == tmp_path / "own"
    monkeypatch.setenv("THALWEG_CACHE", "")
    assert cache.cache_folder() == tmp_path / "xdg" / "thalweg"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache.cache_folder() == tmp_path / "home" / ".cache" / "thalweg"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # neither HOME nor the user database knows a home
    assert cache.cache_folder() is None


@pytest.mark.parametrize("key", ["", "../up", "a/b", "a.b", "a b", "é", "a\n", "x" * 101, 7, None])
def test_a_key_that_is_no_file_name_is_refused_before_anything_is_built(folder, key):
    build = Builder()
    with pytest.raises(InputError, match="key=.*; use 1 to 100 ASCII letters, digits and underscores"):
        cache.source_module(key, build)
    assert build.calls == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_traceback_shows_the_line_of_the_kernel(folder, monkeypatch, on_disk):
    if not on_disk:
        monkeypatch.setenv("THALWEG_CACHE", "/dev/null/x")
    module = cache.source_module(f"shown_{on_disk}", Builder())
    try:
        module.fail(1)
    except ZeroDivisionError:
        shown = traceback.format_exc()
    assert "return x / 0  # the line to be shown" in shown


def test_source_that_fails_is_not_taken_for_loaded(folder):
    with pytest.raises(ZeroDivisionError):
        cache.source_module("broken", Builder("1 / 0\n"))
    assert "thalweg_kernel_broken" not in sys.modules
    assert "broken" not in cache._modules


def test_the_oldest_files_go_and_take_their_compiled_code_along(folder, monkeypatch):
    monkeypatch.setattr(cache, "MAX_FILES", 3)
    old_build = folder / "kernels" / "gone"
    compiled = old_build / "__pycache__"
    compiled.mkdir(parents=True)
    (old_build / "k0.py").write_text("")
    (compiled / "k0.f-1.py311.nbi").write_text("")
    os.utime(old_build / "k0.py", (1, 1))
    for index in range(1, 4):
        cache.source_module(f"k{index}", Builder())
        file = folder / "kernels" / cache._build_tag() / f"k{index}.py"
        os.utime(file, (10 * index, 10 * index))
    assert not old_build.exists()
    abandoned, in_use = file.with_name("k9.a.tmp"), file.with_name("k9.b.tmp")
    abandoned.write_text("")
    in_use.write_text("")
    os.utime(abandoned, (1, 1))
    cache.source_module("k4", Builder())
    assert [path.name for path in kernel_files(folder)] == ["k2.py", "k3.py", "k4.py"]
    assert (abandoned.exists(), in_use.exists()) == (False, True)


PROCESS = """
import sys, time
from pathlib import Path
from thalweg.core.cache import source_module

folder, me, others = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
(folder / f"ready-{me}").touch()
while len(list(folder.glob("ready-*"))) < others:
    time.sleep(0.001)

def build(k):
    # As long as a page buffer and more, so that an unguarded write could be seen half done.
    return f"VALUE = {k}\\n" + "".join(f"def f{i}(x):\\n    return x + {i}\\n" for i in range(2000))

total = sum(source_module(f"shared_{k}", lambda: build(k)).VALUE for k in range(20))
print(total, sys.modules["thalweg_kernel_shared_3"].f7(1))
"""


def test_processes_that_start_at_once_all_get_whole_files(folder):
    children = [
        subprocess.Popen([sys.executable, "-c", PROCESS, folder, str(me), "3"], stdout=subprocess.PIPE, text=True)
        for me in range(3)
    ]
    assert [child.communicate(timeout=120)[0].strip() for child in children] == ["190 8"] * 3
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len(kernel_files(folder)) == 20
    assert all(cache._read(file) is not None for file in kernel_files(folder))
    assert list(folder.rglob("*.tmp")) == []


COMPILED = """
import numba
from thalweg.core.cache import source_module

source = "import numba\\n\\n@numba.njit('f8(f8)', cache=ON_DISK, nogil=True)\\ndef half(x):\\n    return x / 2\\n"
half = source_module("compiled", lambda: source).half
print(half(3.0), sum(half.stats.cache_hits.values()), sum(half.stats.cache_misses.values()))
"""


@pytest.mark.parametrize(("where", "hits"), [("disk", ["0 1", "1 0"]), ("/dev/null/x", ["0 1", "0 1"])])
def test_numba_keeps_its_code_where_there_is_a_disk_and_compiles_where_there_is_none(tmp_path, where, hits):
    environment = os.environ | {"THALWEG_CACHE": str(tmp_path / where)}  # an absolute `where` replaces tmp_path
    for expected in hits:
        run = subprocess.run(
            [sys.executable, "-c", COMPILED], env=environment, capture_output=True, text=True, timeout=120, check=True
        )
        assert run.stdout.strip() == f"1.5 {expected}"


def test_this_sessions_folder_is_not_the_users(thalweg_cache):
    assert cache.cache_folder() == thalweg_cache
    assert Path.home() not in thalweg_cache.parents
