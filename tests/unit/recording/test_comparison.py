"""Two recordings side by side: figures computed by hand."""

from pathlib import Path

import pytest

from streamer.errors import ConfigError
from streamer.recording.comparison import compare
from streamer.recording.recorded import Recording
from streamer.records import Spoken, SpokenWord
from tests.made_records import recorded, sentiment, session, session_sentiment


def scored(folder: Path, name: str, values: dict[tuple[str, int], float | None]) -> Recording:
    records = [
        sentiment(index, value, participant_id=who, session_id=name, model=f"m-{name}")
        for (who, index), value in values.items()
    ]
    whole = [session_sentiment(k, k / 4, session_id=name) for k in range(len(values))]
    return recorded(folder, *records, *whole, session_id=name)


def test_agreement_per_participant_and_over_all(tmp_path: Path) -> None:
    a = scored(
        tmp_path,
        "a",
        {("ana", 0): 1.0, ("ana", 1): 2.0, ("ana", 2): None, ("ana", 3): 1.0, ("bo", 0): -1.0},
    )
    b = scored(
        tmp_path,
        "b",
        {("ana", 0): 1.5, ("ana", 1): 1.0, ("ana", 2): 0.5, ("bo", 0): -1.0, ("cy", 0): 1.0},
    )
    result = compare(a, b)
    ana, bo, cy, everybody = result.agreement
    assert (ana.windows, ana.only_a, ana.only_b) == (2, 1, 1)
    assert ana.mean_a == pytest.approx(4 / 3)
    assert ana.mean_b == 1.0
    assert (ana.mean_difference, ana.mean_absolute) == (-0.25, 0.75)
    assert ana.correlation == pytest.approx(-1.0)
    assert (bo.windows, bo.correlation, bo.same_label) == (1, None, 1.0)
    assert (cy.windows, cy.only_b, cy.mean_a) == (0, 1, None)
    assert everybody.participant_id == "*"
    assert (everybody.windows, everybody.mean_absolute) == (3, 0.5)
    assert (everybody.mean_a, everybody.mean_b) == (a.summary.mean_valence, b.summary.mean_valence)
    assert (result.models_a, result.models_b) == (("m-a",), ("m-b",))


def test_the_largest_differences_come_first_and_lie_apart(tmp_path: Path) -> None:
    a = scored(tmp_path, "a", {("ana", k): 0.0 for k in range(40)})
    apart = {5: 2.0, 6: 1.9, 30: -2.5}
    b = scored(tmp_path, "b", {("ana", k): apart.get(k, 0.0) for k in range(40)})
    assert [(d.window_index, d.valence_b) for d in compare(a, b).differences] == [
        (30, -2.5),
        (5, 2.0),
    ]


def test_the_words_of_a_difference_are_those_that_people_see(tmp_path: Path) -> None:
    doubted = Spoken((), (SpokenWord("shit", 0, 1, 0.3),))
    a = recorded(tmp_path / "a", session(names={"ana": "Ana Lind"}), sentiment(0, 0.0))
    b = recorded(tmp_path / "b", sentiment(0, 1.0, text="oh shit", spoken=doubted))
    assert compare(b, a).differences[0].text == "oh […]"
    assert compare(b, a).names == compare(a, b).names == {"ana": "Ana Lind"}


def test_recordings_without_a_common_window_are_refused(tmp_path: Path) -> None:
    a = scored(tmp_path, "a", {("ana", 0): 1.0})
    b = scored(tmp_path, "b", {("bo", 0): 1.0})
    with pytest.raises(ConfigError, match="no participant and window in common"):
        compare(a, b)
