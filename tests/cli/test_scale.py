"""`thresher encode`, and `thresher match --on`: jobs in parts."""

import pyarrow.parquet as pq
import pytest

from thresher.data.tables import read_table


@pytest.fixture
def parquet(shop, tmp_path):
    """Forty queries."""
    pq.write_table(read_table(shop / "queries.csv").slice(0, 40), tmp_path / "q.parquet")
    return tmp_path / "q.parquet"


def test_match_and_encode_write_parts_and_go_on(answer, run, shop, parquet, tmp_path):
    given = ("--queries", parquet, "--part-rows", 15)
    for verb, on in (("match", ("--on", "local")), ("encode", ())):
        out = ("--out", tmp_path / verb)
        found = answer(verb, shop / "model", *given, *out, *on)
        names = [f"part-{number:06}.parquet" for number in range(3)]
        assert sorted(path.name for path in (tmp_path / verb).iterdir()) == ["job.json", *names]
        assert [found[k] for k in ("queries", "parts", "were_there")] == [40, 3, 0]
        (tmp_path / verb / names[1]).unlink()
        said = run(verb, shop / "model", *given, *out, *on).out
        assert "3 parts, of which 2 were there, in " in said
        assert ("accepted" in said) == (verb == "match")


def test_what_match_takes_only_in_one_file_is_refused(refused, shop, parquet, tmp_path):
    model, out = shop / "model", ("--out", tmp_path / "out")
    expected = "--on takes --queries FILE.parquet and --out FOLDER, and none of --text, --review"
    for given in (["--text", "a", *out], ["--queries", parquet], ["--queries", parquet, *out]):
        more = ["--review", tmp_path / "r.csv"] if len(given) == 4 and "--text" not in given else []
        assert refused("match", model, "--on", "local", *given, *more).startswith(expected)
    assert refused("encode", model, "--queries", parquet, *out, "--on", "dask").startswith(
        "--on is 'dask'; give one of local, ray"
    )


def test_training_is_on_ray_or_here(refused, shop, tmp_path):
    given = ("train", shop / "run.toml", "--out", tmp_path / "model", "--on", "local")
    assert refused(*given) == "--on takes ray alone, and then no --from-reviews"
