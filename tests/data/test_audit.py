"""What an audit finds, on sound data and on data that cannot be loaded at all."""

import json
from dataclasses import replace

import pytest

from thresher.data import DataOptions, audit, load_dataset
from thresher.errors import InputError

UNSAID = DataOptions(items="items.csv", queries="queries.csv", pairs="pairs.csv")
SPEC = replace(UNSAID, without_pairs="no_item")


def found(result):
    return {finding.code: finding for finding in result.findings}


def test_everything_that_is_wrong_is_found_at_once(folder):
    at = folder(
        items="id,title\nA,red mug\nA,again\nB,Blue  Mug\nC,blue mug\nD,\nE,abc\ufffd\n",
        queries=(
            "id,title,split\n1,mug,train\n2,MUG,test\n3,red mug,train\n4,,train\n5,tea,train\n"
            "6,Ã©tagÃ¨re,\n"
        ),
        pairs="query_id,item_id,split\n1,A,\n1,A,\n1,B,\n2,C,\n3,A,\n3,A,test\n9,A,\n5,Z,dev\n",
    )
    result = audit(UNSAID, at)
    findings = found(result)
    # two queries are left out, as long as nobody says what they are
    assert (result.items, result.queries, result.pairs) == (5, 6, 4)
    assert result.splits["unlabelled"] == 2
    counts = {
        "duplicate-item-id": 1,  # A
        "unknown-query": 1,  # 9
        "unknown-item": 1,  # Z
        "unknown-split": 1,  # dev
        "query-in-two-splits": 1,  # 3: train with the queries, test with the pairs
        "repeated-pair": 2,  # 1 A and 3 A
        "leak": 1,  # mug in train and test
        "same-text-different-truth": 2,  # 1: A and B, 2: C
        "same-item-text": 2,  # B and C
        "item-without-text": 1,  # D
        "query-without-text": 1,  # 4
        "item-encoding": 1,  # E
        "query-encoding": 1,  # 6
        "query-without-pairs": 2,  # 4 and 6
        "query-without-item": 1,  # 5, its item is unknown
        "item-without-query": 2,  # D and E
        "query-is-item-text": 1,  # 3
    }
    assert {code: findings[code].count for code in counts} == counts
    assert set(findings) - set(counts) <= {"empty-split"}
    assert not result.ok
    order = [finding.severity for finding in result.findings]
    assert order == sorted(order, key=["error", "warning", "note"].index)
    # A takes 1 and 3, B takes 1, C takes 2, D and E nothing.
    assert result.queries_per_item == {"0": 2, "1": 2, "2": 1}
    # 1 has A and B; 2 has C; 3 has A; 5 nothing.
    assert result.items_per_query == {"0": 1, "1": 2, "2": 1}
    assert findings["leak"].examples == ("mug",)
    assert findings["same-item-text"].examples == ("blue mug",)


def test_the_audit_says_what_the_loader_refuses(folder):
    at = folder(pairs="query_id,item_id\n1,A\n9,A\n")
    with pytest.raises(InputError) as refused:
        load_dataset(UNSAID, at)
    errors = [f.sentence() for f in audit(UNSAID, at).findings if f.severity == "error"]
    assert str(refused.value) in errors
    assert len(errors) == 2


def test_sound_data_has_no_errors(folder):
    at = folder(
        pairs="query_id,item_id,split\n1,A,train\n2,B,validation\n3,C,calibration\n",
        queries="id,title,split\n1,mug red,\n2,mug blue,\n3,mug green,\n4,teapot,test\n",
    )
    result = audit(SPEC, at)
    assert result.ok
    assert set(found(result)) == {"query-without-item"}
    assert all(finding.severity == "note" for finding in result.findings)
    assert result.splits == {"train": 1, "validation": 1, "calibration": 1, "test": 1}


def test_missing_ids_and_open_catalogues(folder):
    at = folder(
        items="id,title\nA,red mug\n,nameless\nB,blue mug\n",
        pairs="query_id,item_id\n1,A\n2,B\n3,C\n",
    )
    assert found(audit(SPEC, at))["missing-id"].examples == ("row 2",)
    spec = replace(SPEC, open_catalogue=True)
    assert found(audit(spec, at))["unknown-item"].severity == "note"


def test_large_counts_share_a_bar(folder):
    rows = [f"q{n},text {n}" for n in range(108)]
    # A is true for 101 queries, B for 7, C for none
    pairs = [f"q{n},{'A' if n < 101 else 'B'}" for n in range(108)]
    at = folder(
        queries="\n".join(["id,title", *rows]) + "\n",
        pairs="\n".join(["query_id,item_id", *pairs]) + "\n",
    )
    result = audit(SPEC, at)
    assert result.queries_per_item == {"0": 1, "6-10": 1, "over 100": 1}
    assert len(found(result)["item-without-query"].examples) == 1


def test_it_can_be_read_by_people_and_machines(folder):
    result = audit(SPEC, folder(items="id,title\nA,red mug\nB,blue mug\n"))
    text = "\n".join(result.lines())
    assert text.startswith("2 items, 4 queries, 2 true pairs\n")
    assert "error    unknown-item: " in text
    assert text.splitlines()[-1].startswith("1 error, ")
    values = json.loads(json.dumps(result.to_dict()))
    assert values["findings"][0]["code"] == "unknown-item"
    assert values["ok"] is False


def test_the_bundled_set_as_published():
    result = audit(DataOptions(bundled="pricerunner"))
    assert result.ok
    assert result.queries_per_item["1"] == 12849 - 7840  # products of two offers or more
    assert result.items_per_query == {"1": 35311}
    conflict = found(result)["same-text-different-truth"].count / result.queries
    assert 0.05 < conflict < 0.06  # 5.5 % of the offers


@pytest.mark.parametrize("empty", ["items", "queries", "pairs"])
def test_a_table_without_rows_is_still_audited(folder, empty):
    head = {"pairs": "query_id,item_id\n"}.get(empty, "id,title\n")
    result = audit(SPEC, folder(**{empty: head}))
    assert getattr(result, empty) == 0
    assert found(result)[f"no-{empty}"].severity == "error"
    assert not result.ok


def test_pairs_both_true_and_ignored_are_a_note(folder):
    at = folder()
    (at / "ignored.csv").write_text("query_id,item_id\n1,A\n2,A\n")
    finding = found(audit(replace(SPEC, ignored="ignored.csv"), at))["true-and-ignored"]
    assert (finding.severity, finding.count) == ("note", 1)
    assert "ignored.csv: 1 pair is also in" in finding.meaning
    assert "pairs.csv and no longer true" in finding.meaning
    assert "true-and-ignored" not in found(audit(SPEC, at))


# What training and calibration would refuse.


def test_all_pairs_in_one_split(folder):
    at = folder(pairs="query_id,item_id,split\n1,A,test\n2,B,test\n3,C,test\n4,C,test\n")
    result = audit(SPEC, at, batch_size=256)
    finding = found(result)["no-training-pairs"]
    assert finding.sentence() == (
        "no true pair is in train (4 in test); give queries of train, in a column split or by "
        "[data] shares"
    )
    assert {f.meaning.split(":")[0] for f in result.findings if f.code == "empty-split"} == {
        "no query is in validation",
        "no query is in calibration",
    }
    # a tower that is not trained needs none
    assert "no-training-pairs" not in found(audit(SPEC, at, batch_size=0))


def test_too_few_pairs_for_a_batch(folder):
    at = folder(pairs="query_id,item_id,split\n1,A,train\n2,B,train\n3,C,test\n4,C,test\n")
    assert "few-training-pairs" not in found(audit(SPEC, at, batch_size=2))
    finding = found(audit(SPEC, at, batch_size=3))["few-training-pairs"]
    assert (finding.severity, finding.count) == ("error", 2)
    assert finding.meaning == "there are 2 training pairs, fewer than one batch of 3"


def test_too_few_queries_to_calibrate(folder):
    at = folder(pairs="query_id,item_id,split\n1,A,train\n2,B,calibration\n3,C,test\n4,C,test\n")
    assert "few-calibration-queries" not in found(audit(SPEC, at))
    finding = found(audit(SPEC, at, calibration_queries=100))["few-calibration-queries"]
    assert (finding.severity, finding.count) == ("error", 1)
    assert finding.meaning.startswith("1 query is in calibration, and a threshold needs 100")


def test_a_split_without_a_share_is_not_missed(folder):
    at = folder(pairs="query_id,item_id\n1,A\n2,B\n3,C\n4,C\n")
    result = audit(replace(SPEC, shares={"train": 1.0}), at)
    assert {finding.code for finding in result.findings} == set()
    assert result.splits == {"train": 4, "validation": 0, "calibration": 0, "test": 0}


EVENTS = "user_id,item_id,timestamp\n" + "".join(
    f"u{n},{item},{time}\n" for n in range(20) for time, item in enumerate("AB")
)


def test_events_are_audited_alike(folder):
    at = folder()
    (at / "events.csv").write_text(EVENTS)
    options = DataOptions(items="items.csv", events="events.csv")
    result = audit(options, at, batch_size=8)
    assert result.ok
    # 16, 2 and 2 users of two events: each is one query for the second item
    assert (result.pairs, result.splits["train"], result.splits["test"]) == (20, 16, 2)
    assert found(result)["item-without-query"].count == 2
    assert found(audit(options, at, batch_size=17))["few-training-pairs"].count == 16
    (at / "events.csv").write_text(EVENTS + "u,Z,soon\n")
    refused = audit(options, at)
    assert [finding.code for finding in refused.findings] == ["refused"]
    assert "1 item is not in the catalogue" in refused.findings[0].meaning
    assert (refused.ok, refused.lines()[0]) == (False, "0 items, 0 queries, 0 true pairs")


def test_pairs_of_pages_are_audited_alike(folder):
    at = folder(pairs="query_id,item_id\nA,B\nB,C\nC,A\nA,A\n")
    result = audit(DataOptions(items="items.csv", pairs="pairs.csv", shares={"train": 1.0}), at)
    assert (result.ok, result.queries, result.pairs) == (True, 3, 3)
    assert found(result)["pair-with-itself"].count == 1


def test_texts_that_differ_in_form_alone_leak(folder):
    at = folder(
        queries="id,title,split\n1,caf\u00e9,train\n2,cafe\u0301,test\n3,x,train\n4,y,train\n",
        pairs="query_id,item_id\n1,A\n2,A\n3,B\n4,C\n",
    )
    assert found(audit(SPEC, at))["leak"].count == 1
    assert "leak" not in found(audit(SPEC, folder(queries="id,title\n1,caf\u00e9\n2,cafe\u0301\n")))


def test_queries_without_a_pair_do_not_disagree_with_their_twins(folder):
    at = folder(queries="id,title\n1,mug\n2,MUG\n", pairs="query_id,item_id\n1,A\n")
    unlabelled = found(audit(replace(SPEC, without_pairs="unlabelled"), at))
    assert "same-text-different-truth" not in unlabelled
    assert unlabelled["query-without-pairs"].severity == "note"
    assert found(audit(SPEC, at))["same-text-different-truth"].count == 2
    assert found(audit(UNSAID, at))["query-without-pairs"].severity == "error"


def test_columns_that_tell_true_pairs_are_named(tmp_path):
    """A model number agrees in every pair that has it, a colour in half of all pairs."""
    lines, asked, pairs = [], [], []
    for n in range(200):
        colour = "red" if n % 2 else "blue"
        lines.append(f"{n},good lamp {n % 7} for the room,KX-{1000 + n},$ {n % 4}.50,{colour}")
        own = "" if n < 100 else f"kx {1000 + n}"
        text = f"lamp for me KX{1000 + n}" if n < 40 else "a lamp for the good room"
        asked.append(f"{n},{text},{own},{n % 4}.5,{colour if n % 4 < 2 else 'green'}")
        pairs.append(f"{n},{n}")
    for name, head, rows in (
        ("items", "id,title,modelno,price,colour", lines),
        ("queries", "id,title,modelno,price,colour", asked),
        ("pairs", "query_id,item_id", pairs),
    ):
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *rows]) + "\n")
    options = replace(SPEC, shares={"train": 1.0})
    result = audit(options, tmp_path)
    by = {(one.column, one.of): one for one in result.columns}
    model = by["modelno", "modelno"]
    assert (model.kind, model.pairs, model.filled, model.true) == ("code", 100, 0.5, 1.0)
    assert model.random == 0.0
    assert model.telling
    inside = by["modelno", "text"]
    assert (inside.true, inside.random, inside.pairs) == (40 / 200, 0.0, 200)
    price = by["price", "price"]
    assert (price.kind, price.true) == ("number", 1.0)
    assert 0.2 < price.random < 0.3  # one in four
    assert not price.telling
    assert by["colour", "colour"].true == 0.5
    assert result.columns[0] is model
    line = "  modelno (code) on both sides: 100.0 % of true pairs, 0.0 % of random ones, far more"
    assert any(one.replace("%", " %").startswith(line) for one in result.lines())
    assert result.to_dict()["columns"][0]["telling"] is True
    assert audit(options, tmp_path).columns == result.columns


def test_pages_and_events_have_no_columns_of_two_sides(folder):
    at = folder(pairs="query_id,item_id\nA,B\nB,C\nC,A\n")
    options = DataOptions(items="items.csv", pairs="pairs.csv", shares={"train": 1.0})
    assert audit(options, at).columns == ()
    (at / "events.csv").write_text(EVENTS)
    assert audit(DataOptions(items="items.csv", events="events.csv"), at).columns == ()
