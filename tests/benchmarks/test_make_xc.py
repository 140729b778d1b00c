"""The made-up set has the layout that `thresher data import xc` reads, and the size it says."""

import pytest

import make_xc
from thresher.data.readers import xc
from thresher.data.tables import read_table


def test_a_hundredth_of_it_is_read(tmp_path):
    counts = make_xc.write(tmp_path / "set", scale=0.002)
    # 0.002 of 131,073, 294,805 and 134,835
    assert [counts[f"{n}.json.gz"] for n in ("lbl", "trn", "tst")] == [262, 590, 270]
    xc.convert(tmp_path / "set", tmp_path / "data")
    names = ("items", "queries", "pairs", "ignored")
    sizes = {n: len(read_table(tmp_path / "data" / f"{n}.parquet")) for n in names}
    assert (sizes["items"], sizes["queries"]) == (262, 860)
    assert sizes["pairs"] / sizes["queries"] == pytest.approx(2.29, abs=0.2)
    assert sizes["ignored"] == sum(v for k, v in counts.items() if k.startswith("filter"))


def test_the_whole_has_the_published_size():
    assert (make_xc.POINTS, make_xc.LABELS) == ({"trn": 294_805, "tst": 134_835}, 131_073)
