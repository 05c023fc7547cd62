"""The folder of a worker's tables: one worker each, found again, refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.config import Config, build
from streamer.errors import ConfigError
from streamer.processing.worker import tables_folder


def rocksdb_in(folder: Path) -> Config:
    return build({"smoothing": {"store": "rocksdb", "data_dir": str(folder)}})


def test_tables_in_memory_need_no_folder(tmp_path: Path) -> None:
    config = build({"smoothing": {"store": "memory", "data_dir": str(tmp_path)}})
    with tables_folder(config, embedded=False) as folder:
        assert folder is None
    assert not list(tmp_path.iterdir())


def test_two_workers_have_two_folders_and_the_next_one_finds_the_first(tmp_path: Path) -> None:
    config = rocksdb_in(tmp_path)
    with tables_folder(config, embedded=False) as first:
        assert first is not None
        first.mkdir()
        (first / "table").touch()
        with tables_folder(config, embedded=False) as second:
            assert second != first
    with tables_folder(config, embedded=False) as again:
        assert again == first
        assert (again / "table").exists()


def test_tables_of_the_embedded_broker_are_deleted(tmp_path: Path) -> None:
    config = rocksdb_in(tmp_path)
    with tables_folder(config, embedded=True) as folder:
        assert folder is not None
        folder.mkdir()
    with tables_folder(config, embedded=True) as folder:
        assert folder is not None
        assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"set smoothing\.data_dir"),
        tables_folder(rocksdb_in(tmp_path / "file"), embedded=False),
    ):
        pass
