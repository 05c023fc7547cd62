"""Numbers with as many decimals as they mean."""

import json

import msgspec

from streamer.rounding import rounded
from tests import made_records as made


def test_each_kind_of_number_has_its_decimals() -> None:
    record = made.sentiment(
        0,
        0.123456,
        uncertainty=0.98765,
        latency_ms={"total": 110.123456},
        class_probabilities=(0.12346, 0.1, 0.1, 0.1, 0.1, 0.1, 0.37655),
        identity_confidence=0.33333,
    )
    plain = rounded(record)

    assert (plain["valence"], plain["uncertainty"]) == (0.123, 0.988)
    assert plain["latency_ms"] == {"total": 110.1}
    assert plain["class_probabilities"][0] == 0.1235
    assert plain["identity_confidence"] == 0.333
    assert plain["window_index"] == 0 and plain["start_ms"] == 0


def test_nothing_but_numbers_changes() -> None:
    record = made.sentiment(3, 0.5)

    assert rounded(record) == json.loads(msgspec.json.encode(record)) | {
        "class_probabilities": [0.05, 0.05, 0.05, 0.05, 0.7, 0.05, 0.05]
    }
    assert msgspec.convert(rounded(made.alert()), type(made.alert()), strict=False) == made.alert()


def test_what_rounds_to_nothing_has_no_minus() -> None:
    assert str(rounded({"valence": -0.0001})) == "{'valence': 0.0}"
