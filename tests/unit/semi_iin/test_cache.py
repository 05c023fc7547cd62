"""The feature cache."""

from pathlib import Path

import torch

from semi_iin.cache import extract
from semi_iin.clips import Clip
from semi_iin.features import Encoders


class Named:
    """A sample that counts how often it is read."""

    reads = 0

    def __init__(self, name: str, text: str) -> None:
        self.id, self.text = name, text

    def __repr__(self) -> str:
        return f"{self.id}: {self.text}"

    def clip(self) -> Clip:
        Named.reads += 1
        return Clip(text=self.text)


def test_features_are_computed_once_and_in_shards(embedded: Encoders, tmp_path: Path) -> None:
    samples = [Named(str(index), "good " * (1 + index % 3)) for index in range(7)]
    Named.reads = 0
    rows = extract(samples, embedded, tmp_path, shard_size=3)
    assert [len(row["text"]) for row in rows] == [3, 4, 5, 3, 4, 5, 3]
    (folder,) = tmp_path.iterdir()
    assert len(list(folder.iterdir())) == 3
    (folder / "00001.safetensors").unlink()  # as if stopped before it was written
    again = extract(samples, embedded, tmp_path, shard_size=3)
    assert Named.reads == 7 + 3
    for row, other in zip(rows, again, strict=True):
        torch.testing.assert_close(row["text"], other["text"], atol=1e-3, rtol=1e-3)


def test_other_weights_have_a_folder_of_their_own(
    embedded: Encoders, tiny_bert: Path, tmp_path: Path
) -> None:
    samples = [Named("a", "good")]
    extract(samples, embedded, tmp_path)
    other = Encoders.build({"text": {"kind": "transformer_text", "source": str(tiny_bert)}})
    assert other.fingerprint() != embedded.fingerprint()
    extract(samples, other, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
