"""Reading data sets by the name of their format."""

from pathlib import Path

import pytest

from semi_iin.data.formats import read
from semi_iin.data.samples import check_no_leaks
from semi_iin.errors import SemiIINError


def test_an_error_names_missing_data_and_unknown_formats(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="no data at"):
        read(tmp_path / "none.csv", "text-csv")
    with pytest.raises(SemiIINError, match="no data format 'pickle'"):
        read(tmp_path, "pickle")  # type: ignore[arg-type]


@pytest.mark.slow
def test_real_data_sets_are_read_completely_and_do_not_leak(shared_data: Path) -> None:
    mosi = read(shared_data / "mosi" / "mosi_text.csv", "text-csv")
    mosei = read(shared_data / "mosei" / "mosei_text.csv", "text-csv")
    counts = [
        sum(sample.split == split for sample in samples)
        for samples in (mosi, mosei)
        for split in ("train", "valid")
    ]
    assert counts == [1284, 229, 16274, 1861]
    check_no_leaks([*mosi, *mosei])
    voices = read(shared_data / "ravdess", "ravdess")
    check_no_leaks(voices)
    assert sum(sample.split == "valid" for sample in voices) == 240
