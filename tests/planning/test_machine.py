"""The machine profile: measured once, kept, and measured again when it may no longer hold."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from thalweg.methods import METHODS
from thalweg.planning import machine
from thalweg.planning.machine import MAX_AGE, MachineProfile, machine_profile, measure

NOW = 1.8e9


def made_up(measured=NOW, key=None):
    return MachineProfile(
        1e9, 1e10, 1e-8, dict.fromkeys(METHODS, 1e-4), measured, machine._key() if key is None else key
    )


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """A cache folder of the test's own, a clock that stands still, and a measurement that only counts."""
    calls = []

    def stand_in():
        calls.append(1)
        return made_up()

    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    monkeypatch.setattr(machine, "measure", stand_in)
    monkeypatch.setattr(machine.time, "time", lambda: NOW)
    machine_profile.cache_clear()
    yield calls
    machine_profile.cache_clear()


def again():
    """As the next process would ask."""
    machine_profile.cache_clear()
    return machine_profile()


def keep(folder, profile):
    (folder / "machine.json").write_text(json.dumps(dataclasses.asdict(profile)))


def test_it_is_measured_once_and_kept(counted, tmp_path):
    first = machine_profile()
    assert machine_profile() is first
    assert again() == first
    assert len(counted) == 1
    assert json.loads((tmp_path / "machine.json").read_text()) == dataclasses.asdict(first)
    assert [path.name for path in tmp_path.iterdir()] == ["machine.json"]  # no partial file is left


def test_what_is_kept_is_used_as_it_stands(counted, tmp_path):
    kept = dataclasses.replace(made_up(measured=NOW - 100.0), bandwidth=123.0)
    keep(tmp_path, kept)
    assert again() == kept
    assert not counted


@pytest.mark.parametrize(
    "profile",
    [
        made_up(measured=NOW - MAX_AGE - 1),
        made_up(measured=NOW + 3600),
        made_up(key="another machine"),
    ],
    ids=["stale", "from the future", "of another machine"],
)
def test_a_profile_that_does_not_hold_is_measured_again(counted, tmp_path, profile):
    keep(tmp_path, profile)
    assert again() == made_up()
    assert len(counted) == 1
    assert again() == made_up()
    assert len(counted) == 1


def test_a_profile_is_kept_up_to_its_age(counted, tmp_path):
    keep(tmp_path, made_up(measured=NOW - MAX_AGE + 1))
    again()
    assert not counted


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", "null", "[1, 2]", '"text"', json.dumps({**dataclasses.asdict(made_up()), "extra": 1}), "\x00\xff"],
    ids=["empty", "torn", "no fields", "null", "list", "string", "unknown field", "binary"],
)
def test_a_file_that_cannot_be_read_is_measured_again_and_replaced(counted, tmp_path, text):
    (tmp_path / "machine.json").write_text(text)
    assert again() == made_up()
    assert len(counted) == 1
    again()
    assert len(counted) == 1


def test_bytes_that_are_no_text_are_measured_again(counted, tmp_path):
    (tmp_path / "machine.json").write_bytes(b"\xff\xfe\x00\x80")
    assert again() == made_up()
    assert len(counted) == 1


def test_a_folder_in_place_of_the_file(counted, tmp_path):
    (tmp_path / "machine.json").mkdir()
    assert again() == made_up()
    assert len(counted) == 1


def test_a_folder_that_cannot_be_written(counted, tmp_path, monkeypatch):
    """Permission bits mean nothing to root, so the refusal is made up."""

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert again() == made_up()
    assert len(counted) == 1
    assert not list(tmp_path.iterdir())


def test_without_a_cache_folder(counted, monkeypatch):
    monkeypatch.setattr(machine, "cache_folder", lambda: None)
    assert again() == made_up()
    assert machine_profile() == made_up()
    assert len(counted) == 1


def test_a_disk_that_fills_up_while_writing(counted, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine.os, "replace", full)
    assert again() == made_up()
    assert not (tmp_path / "machine.json").exists()


def test_the_key_tells_versions_and_cores():
    key = machine._key()
    assert np.__version__ in key
    assert f"{machine.available_cores()} cores" in key


def test_a_measurement_fills_every_field_with_a_positive_number():
    profile = measure()
    for number in (profile.bandwidth, profile.gram_rate, profile.element_seconds, *profile.step_seconds.values()):
        assert np.isfinite(number)
        assert number > 0
    assert set(profile.step_seconds) == set(METHODS)
    assert profile.measured > 0
    assert profile.key == machine._key()
    # It survives the file it is kept in.
    assert MachineProfile(**json.loads(json.dumps(dataclasses.asdict(profile)))) == profile


@pytest.mark.parametrize(
    "change", [{"measured": None}, {"step_seconds": {}}, {"bandwidth": 0.0}, {"bandwidth": "fast"}]
)
def sound_profile():
    return MachineProfile(1e9, 1e10, 1e-8, dict.fromkeys(METHODS, 1e-4), machine.time.time(), machine._key())


@pytest.mark.parametrize(
    "change", [{"measured": None}, {"step_seconds": {}}, {"bandwidth": 0.0}, {"bandwidth": "fast"}, {"key": "other"}]
)
def test_a_file_with_senseless_fields_is_measured_again(change, tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    good = sound_profile()
    monkeypatch.setattr(machine, "measure", lambda: good)
    (tmp_path / "machine.json").write_text(json.dumps({**dataclasses.asdict(good), **change}))
    machine_profile.cache_clear()
    try:
        assert machine_profile() == good
    finally:
        machine_profile.cache_clear()


def test_a_disk_that_fills_leaves_no_partial_file(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    monkeypatch.setattr(machine, "measure", sound_profile)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine.os, "replace", full)
    machine_profile.cache_clear()
    try:
        machine_profile()
    finally:
        machine_profile.cache_clear()
    assert not list(tmp_path.iterdir())
