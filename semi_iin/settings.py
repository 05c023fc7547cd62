"""The configuration of a training run: data, encoders, model, training. Read from TOML.

Every class is frozen and refuses unknown keys. A state or a checkpoint stores these settings, so a
renamed key would make old ones unreadable.
"""

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from semi_iin.data.formats import Format
from semi_iin.errors import SemiIINError
from semi_iin.modalities import Modality


class Settings(BaseModel):
    """Frozen settings in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Training(Settings):
    """How one stage is trained; the defaults are the paper's for Semi-IIN.

    Attributes:
        epochs: the maximum.
        batch_size: samples in a step.
        learning_rate: the highest.
        weight_decay: of Adam; decoupled from the gradient (AdamW) when `decoupled`.
        decoupled: see `weight_decay`.
        warmup: share of all steps over which the rate rises from 0.
        decay: let the rate fall to 0, linearly, by the last step.
        layer_decay: factor on the rate of each layer of a transformer below its last.
        head_rate: factor on the rate of the weights that are trained beside a transformer.
        clip_norm: the largest norm of the gradient; 0 = not clipped.
        patience: epochs without a better selection score after which training stops; 0 = never.
        keep: "best" weights by the selection score, or the "last".
        average: decay of a running mean of the weights, which is measured and kept instead of
            them; 0 = none.
        precision: "float32", or "bfloat16" autocast.
    """

    epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    decoupled: bool = False
    warmup: float = Field(default=0.0, ge=0, lt=1)
    decay: bool = False
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    head_rate: float = Field(default=1.0, gt=0)
    clip_norm: float = Field(default=0.0, ge=0)
    patience: int = Field(default=0, ge=0)
    keep: Literal["best", "last"] = "best"
    average: float = Field(default=0.0, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "float32"


class Objective(Settings):
    """Weights of the loss (the paper's equations of its multi-task loss and of self-training).

    Attributes:
        valence: weight of the valence error.
        error: of valence, "squared" as in the paper, or "absolute", which aims at the MAE.
        wordless_error: the same of clips without words; "" = as `error`. What people hear in a
            doubtful voice differs much: "absolute" aims at the median, which is nearly the same for
            many such voices, "squared" at the mean, which keeps their order.
        classes: weight of the cross-entropy of the seven classes.
        pseudo: weight of the cross-entropy on pseudo-labels, classes only.
        modality_dropout: probability that a sample with several modalities loses some of them.
        head_share: of a voice that is composed with texts, the share of what a linear regression
            makes of its emotion columns in the valence by which it trains; the rest is its label.
            About ten people rated a voice, so its label contains much chance. The emotion head has
            learned from many more voices. It needs `emotion_columns` in the audio encoder's spec.
    """

    valence: float = Field(default=0.6, ge=0)
    error: Literal["squared", "absolute"] = "squared"
    wordless_error: Literal["squared", "absolute", ""] = ""
    classes: float = Field(default=0.4, ge=0)
    pseudo: float = Field(default=0.2, ge=0)
    modality_dropout: float = Field(default=0.0, ge=0, le=1)
    head_share: float = Field(default=0.0, ge=0, le=1)


class Data(Settings):
    """One data set of a run.

    Attributes:
        path: relative to the run's data root.
        format: as `semi_iin.data.formats.read` names it.
        part: its name in metrics; "" = the name of its file or folder.
        labels: for features and clips: the label CSV, relative to the data root.
        media: for clips: the folder, relative to the data root.
        scale: of the labels: "valence", or "sst5" for classes 0 to 4.
        repeat: how often an epoch contains each training sample.
        share: of the training groups that are used, chosen by a fixed hash.
        skip: share of the training groups, by the same hash, that are passed over before `share`
            is taken; so a run can leave out the groups that another run's encoder trained on.
        reported: for a data set without a training part: one group in this many of its validation
            part is reported, the others train; 0 = the data set has a training part.
        selection: one training group in this many is split off for selection and calibration;
            0 = none, the data set's validation part selects.
        fusion: one training group in this many is split off from the encoders' data and trains
            Semi-IIN alone, because encoders are surer of their own training data than they will
            be of anything else. 0 = Semi-IIN trains on the encoders' data; but where any data set
            splits off texts for Semi-IIN, it trains on no other texts.
    """

    path: str
    format: Format = "text-csv"
    part: str = ""
    labels: str = ""
    media: str = ""
    scale: Literal["valence", "sst5"] = "valence"
    repeat: int = Field(default=1, ge=1)
    share: float = Field(default=1.0, gt=0, le=1)
    skip: float = Field(default=0.0, ge=0, lt=1)
    reported: int = Field(default=0, ge=0)
    selection: int = Field(default=0, ge=0)
    fusion: int = Field(default=0, ge=0)


class EncoderSettings(Settings):
    """One encoder of a run.

    Attributes:
        spec: as `semi_iin.encoders` describes it; beside `checkpoint`, the keys that replace those
            of the checkpoint's spec.
        checkpoint: take spec and weights from this checkpoint; a text encoder with a `training`
            goes on from them.
        teacher: a checkpoint whose valences the text encoder learns beside the labels, and alone
            on texts without labels; "" = labels only.
        rank: of the factors by which a fine-tuned transformer is stored.
        words: fine-tune its word embeddings too.
        context: share of the batches that the text encoder reads with their context, which triples
            the cost of a batch; at 0 the teacher reads no context either.
        head: whose error trains the text encoder: "both", that of Semi-IIN and of a linear map of
            the mean state; or "linear", that of the linear map alone, while Semi-IIN learns from
            the states as they are.
        training: how it is trained before Semi-IIN; absent = it is used as it is.
    """

    spec: dict[str, Any] = Field(default_factory=dict)
    checkpoint: str = ""
    teacher: str = ""
    rank: int = Field(default=64, ge=1)
    words: bool = False
    context: float = Field(default=1 / 3, ge=0, le=1)
    head: Literal["both", "linear"] = "both"
    training: Training | None = None


class SelfTraining(Settings):
    """How pseudo-labels are selected, and the number of rounds.

    Attributes:
        rounds: of scoring, selection and retraining.
        select: "per_class": the `k` most confident of each class; "overall": the `k` most
            confident of all; "threshold": all of at least `threshold`.
        k: see `select`; the paper has 40 on MOSI, and all of its AMI segments on MOSEI.
        threshold: confidence (after calibration on the selection part) in [0, 1].
        agreement: keep only those whose predicted valence is in the predicted class.
        share: of the unlabeled examples, chosen by seed, that are scored at all.
    """

    rounds: int = Field(default=1, ge=1)
    select: Literal["per_class", "overall", "threshold"] = "per_class"
    k: int = Field(default=40, ge=1)
    threshold: float = Field(default=0.9, ge=0, le=1)
    agreement: bool = False
    share: float = Field(default=1.0, gt=0, le=1)


class RunConfig(Settings):
    """A run: data, encoders, model, training.

    Attributes:
        name: the checkpoint's name, which published records carry.
        seed: of everything random.
        device: "auto", "cpu", "cuda" or "mps".
        data_root: the folder that the data's paths are relative to; itself relative to the
            working directory of the command.
        data: the data sets.
        encoders: by modality; none at all where the data are ready features.
        feature_precision: of the encoders when they compute the features of the data, and of the
            teacher: "float32", or "bfloat16" autocast, which is several times as fast where the
            processor has it.
        start: a checkpoint whose Semi-IIN gives the weights to start from, where their shapes fit;
            "" = fresh ones. A run that trains its text encoder starts there, and goes on from the
            weights through which that was trained.
        teacher: a checkpoint whose valences Semi-IIN learns on the texts that train it: alone
            where a text has no valence, which then trains Semi-IIN too, else mixed with its label;
            "" = labels only.
        model: settings of `SemiIINConfig`; the encoders' widths are filled in.
        training: of Semi-IIN.
        objective: the loss.
        self_training: of `semi-iin self-train`, on the unlabeled part of the data.
    """

    name: str
    seed: int = 0
    device: str = "auto"
    data_root: str = "."
    data: tuple[Data, ...]
    encoders: dict[Modality, EncoderSettings] = Field(default_factory=dict)
    feature_precision: Literal["float32", "bfloat16"] = "float32"
    start: str = ""
    teacher: str = ""
    model: dict[str, Any] = Field(default_factory=dict)
    training: Training = Training()
    objective: Objective = Objective()
    self_training: SelfTraining = SelfTraining()


Read = TypeVar("Read", bound=Settings)


def read_config(path: str | Path) -> RunConfig:
    """Read a run's TOML; errors as of `read_settings`."""
    tables = (RunConfig, Data, EncoderSettings, Training, Objective, SelfTraining)
    return read_settings(path, RunConfig, tables)


def read_settings(path: str | Path, kind: type[Read], tables: Sequence[type[Settings]]) -> Read:
    """Read settings from a TOML file.

    Args:
        path: of the file.
        kind: of the whole file.
        tables: every kind of table in it, whose keys an unknown one is compared with.

    Raises:
        SemiIINError: for a file that is missing or malformed, an unknown key (naming the nearest
            known one), or a value out of range.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SemiIINError(f"there is no configuration at {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SemiIINError(f"{path} cannot be read as TOML: {error}") from error
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _keys(tables), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SemiIINError(f"{path} has the unknown setting {location}{hint}") from None
        raise SemiIINError(f"{path}: {location}: {first['msg']}") from None


def _keys(tables: Sequence[type[Settings]]) -> set[str]:
    """Return every key that any of the tables may have."""
    return {name for table in tables for name in table.model_fields}
