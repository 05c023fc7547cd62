"""Checks everything that a run needs; for each thing, its state and a fix.

Opens nothing for longer than a look, and never changes anything.
"""

from __future__ import annotations

import asyncio
import ctypes.util
import shutil
from collections.abc import Iterator
from typing import Literal

import msgspec

from streamer.config import Config
from streamer.errors import StreamerError

BROKER_S = 8.0
"""Longest time to wait for the broker."""


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's report.

    `ok` works; `missing` is not there and something optional will not work; `broken` stops a run
    with these settings.
    """

    what: str
    state: Literal["ok", "missing", "broken"]
    found: str
    fix: str = ""


async def examine(config: Config) -> list[Finding]:
    """Every check, in the order of the data path."""
    local, broker = await asyncio.gather(
        asyncio.to_thread(lambda: list(_local(config))), examine_broker(config)
    )
    answers = broker.state == "ok" and config.kafka.broker != "embedded"
    return [*local, broker, *(await examine_workers(config) if answers else [])]


def _local(config: Config) -> Iterator[Finding]:
    yield from _media()
    yield from _devices()
    yield examine_faces(config)
    yield _speech(config)
    yield _program("espeak-ng", "speech of the demo", "apt-get install espeak-ng")
    yield _model(config)
    yield _gpu(config)
    yield _program("java", "`streamer broker --kafka`", "apt-get install default-jre-headless")


def _media() -> Iterator[Finding]:
    import av

    versions = [f"{name} {'.'.join(map(str, v))}" for name, v in av.library_versions.items()]
    yield Finding("ffmpeg libraries", "ok", f"PyAV {av.__version__}: {', '.join(versions[:3])}")
    for name in ("h264", "aac", "opus", "mjpeg"):
        if name not in av.codecs_available:
            yield Finding(f"decoder {name}", "missing", "not built in", "reinstall PyAV's wheel")


def _devices() -> Iterator[Finding]:
    from streamer.capture.devices import list_devices

    if ctypes.util.find_library("portaudio") is None:
        yield Finding("PortAudio", "missing", "no library", "apt-get install libportaudio2")
    else:
        yield Finding("PortAudio", "ok", "found")
    try:
        listed = list_devices()
    except StreamerError as error:
        yield Finding("devices", "missing", str(error), "recordings and URLs work without")
        return
    for kind in ("camera", "microphone"):
        names = [device.name_to_type for device in listed if device.kind == kind]
        fix = "" if names else "plug one in, or give this user access to it (groups video, audio)"
        state: Literal["ok", "missing"] = "ok" if names else "missing"
        yield Finding(f"{kind}s", state, ", ".join(names) or "none", fix)


def examine_faces(config: Config) -> Finding:
    """Which face detector the settings give, and whether a better one could be had."""
    from semi_iin.blazeface import default_name
    from streamer.faces import chosen_detector

    faces = config.faces
    try:
        chosen_detector(faces)
    except StreamerError as error:
        return Finding("face detector", "broken", str(error), "see the settings of [faces]")
    name = default_name() if faces.detector == "auto" else faces.detector
    if faces.yunet_model:
        name = "YuNet"
    if name == "cascade" and faces.detector == "auto":
        fix = "run `streamer models get blazeface`"
        return Finding("face detector", "missing", "only OpenCV's cascade, which finds fewer", fix)
    return Finding("face detector", "ok", name)


def _speech(config: Config) -> Finding:
    if config.asr.engine not in ("auto", "whisper"):
        return Finding("speech recognition", "ok", f"{config.asr.engine} as configured")
    from streamer.speech.models import on_disk, remedy

    name = on_disk(config.asr)
    if name is not None:
        return Finding("speech recognition", "ok", f"{name} on disk")
    state: Literal["missing", "broken"] = "broken" if config.asr.engine == "whisper" else "missing"
    return Finding("speech recognition", state, "no Whisper model", remedy(config.asr))


def _model(config: Config) -> Finding:
    from semi_iin.errors import SemiIINError
    from semi_iin.predict import Predictor

    try:
        predictor = Predictor.from_checkpoint(config.inference.checkpoint, device="cpu")
    except SemiIINError as error:
        return Finding("checkpoint", "broken", str(error), "set inference.checkpoint")
    return Finding("checkpoint", "ok", predictor.name)


def _gpu(config: Config) -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", "ok", torch.cuda.get_device_name())
    if torch.backends.mps.is_available():
        return Finding("GPU", "ok", "Apple MPS")
    device = config.inference.device
    if device in ("auto", "cpu"):
        return Finding("GPU", "missing", f"none; {torch.get_num_threads()} CPU threads are used")
    return Finding("GPU", "broken", f"none, but inference.device = {device!r}", "set it to 'auto'")


def _program(name: str, purpose: str, fix: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, "missing", f"not installed; needed for {purpose}", fix)
    return Finding(name, "ok", path)


async def examine_broker(config: Config) -> Finding:
    """Return whether the broker answers, within about BROKER_S."""
    from streamer.kafka.producer import Producer

    if config.kafka.broker == "embedded":
        return Finding("broker", "ok", "embedded (for trying out; see `streamer broker --kafka`)")
    limit_s = min(config.kafka.connect_timeout_s, BROKER_S)
    kafka = config.kafka.model_copy(update={"connect_timeout_s": limit_s})
    try:
        async with Producer(config.model_copy(update={"kafka": kafka})):
            pass
    except StreamerError as error:
        return Finding("broker", "broken", str(error), "start it, or correct --broker")
    return Finding("broker", "ok", f"{config.kafka.broker} answers")


async def examine_workers(config: Config) -> list[Finding]:
    """The workers of each stage on a running broker, as far as it lists them."""
    from streamer.kafka.presence import COMMANDS, worker_counts

    broker = config.kafka.broker
    findings = []
    for stage, count in (await worker_counts(config)).items():
        what = f"{stage} workers"
        if count == 0:
            fix = f"run `streamer {COMMANDS[stage]} --broker {broker}`"
            findings.append(Finding(what, "missing", f"none on {broker}", fix))
        elif count is not None:
            findings.append(Finding(what, "ok", f"{count} on {broker}"))
    return findings
