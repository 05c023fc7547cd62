"""Errors and exit codes."""

from pathlib import Path

import pytest

from tests.unit.semi_iin.cli.conftest import CommandLine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nowhere"], "there is no checkpoint at nowhere"),
        (["evaluate", "{tiny}", "--data", "none.csv"], "there are no data at none.csv"),
        (["evaluate", "{tiny}", "--data", "{texts}", "--format", "tsv"], "no data format 'tsv'"),
        (["evaluate", "{tiny}", "--data", "{texts}", "--split", "test"], "no samples in the part"),
        (["evaluate", "{tiny}", "--data", "{texts}", "--modalities", "smell"], "no modality"),
        (["evaluate", "{tiny}", "--data", "{texts}", "--device", "cuda:77"], "device"),
        (["export", "{tiny}", "--to", "x.bin", "--format", "tflite"], "no export format"),
        (["info", "runs/[new]/x"], "there is no checkpoint at runs/[new]/x"),
    ],
)
def test_an_unusable_input_is_one_sentence_and_exit_code_1(
    run: CommandLine, tiny: Path, texts: Path, arguments: list[str], message: str
) -> None:
    filled = [word.format(tiny=tiny, texts=texts) for word in arguments]
    code, out, err = run(*filled)
    assert code == 1
    assert out == ""
    assert message in " ".join(err.split())
    assert "Traceback" not in err


def test_a_wrong_argument_is_a_usage_error(run: CommandLine) -> None:
    code, _, err = run("evaluate")
    assert code == 2
    assert "checkpoint" in err.lower()
