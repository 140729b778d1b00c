"""`thresher certify`: a threshold for the scores of any system."""

import json

import numpy as np
import pytest

from thresher.cli.main import main


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.csv"

    def write(correct, extra=""):
        values = np.linspace(0, 1, len(correct))
        lines = [f"{s:.4f},{c}{extra}" for s, c in zip(values, correct, strict=True)]
        header = "score,correct" + (",cluster" if extra else "")
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return write


def test_a_threshold_is_certified(scores, capsys):
    # every answer above 0.3 is right, none below
    path = scores([str(i > 300) for i in range(1000)])
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(path), "--target", "0.9", "--json"])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["certified"]
    assert 0.2 < found["accept_at"] < 0.35
    assert found["target_precision"] == 0.9


def test_the_answer_no_is_exit_code_1(scores, capsys):
    path = scores(["no"] * 200)
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(path)])
    assert ended.value.code == 1
    assert "No threshold reaches" in capsys.readouterr().out


def test_one_cluster_certifies_nothing(scores, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(scores(["1"] * 200, extra=",same"))])
    assert ended.value.code in (1, 2)


def test_a_seed_is_0_or_more(scores, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(scores(["1"] * 200)), "--seed", "-1"])
    assert ended.value.code == 2
    assert "the seed is -1; give a whole number that is 0 or more" in capsys.readouterr().err


def test_every_row_has_a_cluster(tmp_path, scores, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(scores(["1"] * 200, extra=","))])
    assert ended.value.code == 2
    assert "the cluster of row 1 is missing" in capsys.readouterr().err
    rows = '{"score": 0.5, "correct": true, "cluster": ["a"]}\n'
    (tmp_path / "scores.jsonl").write_text(rows * 200)
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(tmp_path / "scores.jsonl")])
    assert ended.value.code == 2
    assert "`cluster` holds list<" in capsys.readouterr().err


def test_clusters_that_are_all_distinct_are_named(tmp_path, scores, capsys):
    path = scores(["1"] * 200)
    rows = path.read_text().splitlines()
    path.write_text(
        "\n".join([f"{rows[0]},cluster", *(f"{r},c{n}" for n, r in enumerate(rows[1:]))])
    )
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(path), "--target", "0.9"])
    assert ended.value.code == 0
    assert "Every row has a cluster of its own, so each label counts as one." in (
        capsys.readouterr().out
    )


def test_clusters_too_few_to_certify_anything(scores, capsys):
    path = scores(["1"] * 200)
    rows = path.read_text().splitlines()
    path.write_text(
        "\n".join([f"{rows[0]},cluster", *(f"{r},c{n % 50}" for n, r in enumerate(rows[1:]))])
    )
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(path)])
    assert ended.value.code == 2
    assert "200 labels are of 50 distinct clusters" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["high", ""])
def test_scores_that_are_none_are_named(tmp_path, capsys, value):
    path = tmp_path / "scores.csv"
    path.write_text(f"score,correct\n0.5,true\n{value},false\n")
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(path)])
    assert ended.value.code == 2
    assert "in row 2; give a number" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "message"), [("maybe", "'maybe' in row 1"), ("", "row 1")])
def test_labels_that_are_none_are_named(scores, capsys, value, message):
    with pytest.raises(SystemExit) as ended:
        main(["certify", str(scores([value, *["true"] * 99]))])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_several_targets_hold_together(scores, capsys):
    path = scores([str(i > 300) for i in range(1000)])

    def certified(target, *more):
        with pytest.raises(SystemExit) as ended:
            main(["certify", str(path), "--target", target, *more])
        return ended.value.code, capsys.readouterr()

    code, said = certified("0.8,0.9", "--json")
    found = json.loads(said.out)
    assert (code, found["certified"]) == (0, True)
    assert [own["target_precision"] for own in found["answers"]] == [0.8, 0.9]
    assert [own["confidence_level"] for own in found["answers"]] == [0.975, 0.975]
    code, said = certified("0.9,0.9999")
    assert code == 0
    assert [line.partition(" ")[0] for line in said.out.splitlines()] == ["Accepting", "No"]
    assert certified("0.9999")[0] == 1
    code, said = certified("0.9,high")
    assert code == 2
    assert "--target takes a precision or several, as in 0.9,0.95, got '0.9,high'" in said.err
    assert "write 0.95 for 95 %" in certified("95")[1].err
