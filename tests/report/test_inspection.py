"""Lines, ranges and pictures that all inspectors share."""

import numpy as np
import pytest

from hepjax import InputError
from hepjax.report import inspection

REPORT = {"layout": "L", "files": [{"path": "a/b.h5"}, {"path": "c.h5"}], "events": 1200}


def test_ranges_are_plain_numbers_and_lines_of_one_width():
    found = inspection.value_range(np.array([1, 2, 6], np.int32))
    assert found == {"min": 1.0, "mean": 3.0, "max": 6.0}
    assert inspection.value_range(np.array([])) is None
    lines = [inspection.range_header("x"), inspection.range_line("energy", found),
             inspection.range_line("pt", None)]  # fmt: skip
    assert [len(line) for line in lines] == [58] * 3
    assert lines[1].split() == ["energy", "1", "3", "6"]
    assert lines[2].split() == ["pt", "-", "-", "-"]


def test_head_problems_and_caption():
    assert list(inspection.head_lines(REPORT, "events")) == [
        "layout                L", "files                 a/b.h5 and 1 more",
        "events                1,200",
    ]  # fmt: skip
    assert list(inspection.problem_lines({"problems": []}, "fine")) == [
        "checks                fine"
    ]
    assert list(inspection.problem_lines({"problems": ["p"]}, "")) == ["note                  p"]
    assert inspection.caption(REPORT, "mean") == "b.h5 and 1 more: mean"


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path):
    layout = pytest.importorskip("hepjax.report.layout")
    inspection.save_picture(layout.Figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"none/a.png: expected to write it, found: No such file"):
        inspection.save_picture(layout.Figure, tmp_path / "none" / "a.png")
