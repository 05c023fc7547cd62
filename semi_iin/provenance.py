"""What trained a checkpoint: its own run, and the runs of all that it took from other checkpoints.

What enters: a run's configuration, while those checkpoints are still there. What leaves: JSON-able
provenance for the new checkpoint, and from it the data sets behind all of its weights.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from semi_iin import checkpoint as checkpoints
from semi_iin.modalities import Modality
from semi_iin.settings import RunConfig

Provenance = Mapping[str, Any]
TEACHING = {  # modality to the formats of data sets that can train its encoder
    "text": {"text-csv", "clips", "emobank", "goemotions", "dailydialog", "emorynlp"},
    "audio": {"clips", "ravdess", "crema-d"},
    "vision": {"clips", "expression-npz"},
}


def inherited(config: RunConfig) -> dict[str, Any]:
    """Return the provenance of all weights that a run starts from.

    Returns:
        `encoders`: by modality, of every encoder that comes from another checkpoint; `start`: of
        the Semi-IIN that the run starts from. Either is absent where nothing is taken.

    Raises:
        SemiIINError: for a checkpoint that cannot be read.
    """
    encoders = {
        modality: _of_encoder(_provenance(encoder.checkpoint), modality)
        for modality, encoder in config.encoders.items()
        if encoder.checkpoint
    }
    start = {"start": _of_model(_provenance(config.start))} if config.start else {}
    return {**({"encoders": encoders} if encoders else {}), **start}


def training_folders(provenance: Provenance) -> list[str]:
    """Return the first folder of every data set that trained any weight, each once."""
    paths = [
        *_paths(provenance),
        *(
            path
            for modality, encoder in provenance.get("encoders", {}).items()
            for path in _of_teachers(encoder, modality)
        ),
        *(training_folders(provenance["start"]) if "start" in provenance else ()),
    ]
    return list(dict.fromkeys(Path(path).parts[0] for path in paths))


def _provenance(checkpoint: str) -> Provenance:
    content: Provenance = checkpoints.load(checkpoint).config.get("provenance", {})
    return content


def _of_encoder(provenance: Provenance, modality: Modality) -> Provenance:
    """Return the provenance of one encoder of a checkpoint: of the run that trained it last.

    That run has under `encoders` the provenance of the encoder from which it went on.
    """
    settings = provenance.get("configuration", {}).get("encoders", {}).get(modality, {})
    earlier = provenance.get("encoders", {}).get(modality)
    if earlier is not None and "training" not in settings:
        return dict(earlier)
    own = {key: value for key, value in provenance.items() if key not in ("encoders", "start")}
    return own | ({"encoders": {modality: earlier}} if earlier is not None else {})


def _of_model(provenance: Provenance) -> Provenance:
    """Return the provenance of a checkpoint's Semi-IIN, without that of its encoders."""
    return {key: value for key, value in provenance.items() if key != "encoders"}


def _of_teachers(provenance: Provenance, modality: str) -> Iterator[str]:
    """Yield the paths of the data that trained an encoder, in each run that trained it."""
    yield from _paths(provenance, TEACHING[modality])
    if modality in provenance.get("encoders", {}):
        yield from _of_teachers(provenance["encoders"][modality], modality)


def _paths(provenance: Provenance, formats: Collection[str] | None = None) -> Iterator[str]:
    """Yield the paths of a run's data sets of some formats; None = of all."""
    for data in provenance.get("configuration", {}).get("data", ()):
        if formats is None or data.get("format", "text-csv") in formats:
            yield data["path"]
