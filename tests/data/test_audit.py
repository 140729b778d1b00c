"""What an audit finds, on sound data and on data that cannot be loaded at all."""

import json
from dataclasses import replace

import pytest

from thresher.data import DataSpec, audit, audit_files, load_dataset

SPEC = DataSpec("items.csv", "queries.csv", "pairs.csv")


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
    result = audit_files(SPEC, at)
    findings = found(result)
    assert (result.items, result.queries, result.pairs) == (5, 6, 4)
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
        "query-without-item": 3,  # 4, 5 (its item is unknown) and 6
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
    # 1 has A and B; 2 has C; 3 has A.
    assert result.items_per_query == {"0": 3, "1": 2, "2": 1}
    assert findings["leak"].examples == ("mug",)
    assert findings["same-item-text"].examples == ("blue mug",)


def test_the_loader_and_the_audit_say_the_same(folder):
    at = folder()
    assert audit(load_dataset(SPEC, at)).to_dict() == audit_files(SPEC, at).to_dict()


def test_sound_data_has_no_errors(folder):
    at = folder(
        pairs="query_id,item_id,split\n1,A,train\n2,B,validation\n3,C,calibration\n",
        queries="id,title,split\n1,mug red,\n2,mug blue,\n3,mug green,\n4,teapot,test\n",
    )
    result = audit_files(SPEC, at)
    assert result.ok
    assert set(found(result)) == {"query-without-item"}
    assert result.splits == {"train": 1, "validation": 1, "calibration": 1, "test": 1}


def test_missing_ids_and_open_catalogues(folder):
    at = folder(
        items="id,title\nA,red mug\n,nameless\nB,blue mug\n",
        pairs="query_id,item_id\n1,A\n2,B\n3,C\n",
    )
    assert found(audit_files(SPEC, at))["missing-id"].examples == ("row 2",)
    spec = DataSpec("items.csv", "queries.csv", "pairs.csv", open_catalogue=True)
    assert found(audit_files(spec, at))["unknown-item"].severity == "note"


def test_large_counts_share_a_bar(folder):
    rows = [f"q{n},text {n}" for n in range(108)]
    # A is true for 101 queries, B for 7, C for none
    pairs = [f"q{n},{'A' if n < 101 else 'B'}" for n in range(108)]
    at = folder(
        queries="\n".join(["id,title", *rows]) + "\n",
        pairs="\n".join(["query_id,item_id", *pairs]) + "\n",
    )
    result = audit_files(SPEC, at)
    assert result.queries_per_item == {"0": 1, "6-10": 1, "over 100": 1}
    assert len(found(result)["item-without-query"].examples) == 1


def test_it_can_be_read_by_people_and_machines(folder):
    result = audit_files(SPEC, folder(items="id,title\nA,red mug\nB,blue mug\n"))
    text = "\n".join(result.lines())
    assert text.startswith("2 items, 4 queries, 2 true pairs\n")
    assert "error    unknown-item: " in text
    assert text.splitlines()[-1].startswith("1 error, ")
    values = json.loads(json.dumps(result.to_dict()))
    assert values["findings"][0]["code"] == "unknown-item"
    assert values["ok"] is False


def test_the_bundled_set_as_published():
    result = audit_files(DataSpec(bundled="pricerunner"))
    assert result.ok
    assert result.queries_per_item["1"] == 12849 - 7840  # products of two offers or more
    assert result.items_per_query == {"1": 35311}
    conflict = found(result)["same-text-different-truth"].count / result.queries
    assert 0.05 < conflict < 0.06  # 5.5 % of the offers


@pytest.mark.parametrize("empty", ["items", "queries", "pairs"])
def test_a_table_without_rows_is_still_audited(folder, empty):
    head = {"pairs": "query_id,item_id\n"}.get(empty, "id,title\n")
    result = audit_files(SPEC, folder(**{empty: head}))
    assert getattr(result, empty) == 0
    assert found(result)[f"no-{empty}"].severity == "error"


def test_pairs_both_true_and_ignored_are_a_note(folder):
    at = folder()
    (at / "ignored.csv").write_text("query_id,item_id\n1,A\n2,A\n")
    finding = found(audit_files(replace(SPEC, ignored="ignored.csv"), at))["true-and-ignored"]
    assert (finding.severity, finding.count) == ("note", 1)
    assert "ignored.csv: 1 pair is also in" in finding.meaning
    assert "pairs.csv and no longer true" in finding.meaning
    assert "true-and-ignored" not in found(audit_files(SPEC, at))
