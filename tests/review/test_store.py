"""The store, on SQLite and on PostgreSQL: what goes in comes out, and nobody gets a case twice."""

import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from thresher.errors import InputError
from thresher.review import Answer, Conflict, Store, Unavailable
from thresher.review.reviews import kappa
from thresher.review.schema import metadata


def test_the_migrations_make_the_tables_of_the_schema(store):
    with store.database.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_a_store_is_opened_again_with_what_it_holds(url, review):
    with Store.open(url) as first:
        one = review(query={"title": "naïve 😀 \u202e <b>", "price": 9.5, "gone": None})
        first.log([one])
    with Store.open(url) as second:
        assert second.decision(one.id) == one.__class__(
            **{**one.__dict__, "candidates": list(one.candidates)}
        )


def test_accepted_answers_open_a_case_only_where_they_are_audited(store, review):
    store.log(
        [
            review(query_id="1"),
            review(query_id="2", decision="accept", audit_probability=0.1),
            review(query_id="3", decision="accept", audit_probability=0.1, audited=True),
        ]
    )
    store.log([review(query_id="4", decision="label")], labels=["b"])
    found = [(case.decision.query_id, case.reason, case.label) for case in store.cases()]
    assert found == [("1", "review", None), ("3", "audit", None), ("4", "label", "b")]
    assert [one.query_id for one in store.decisions()] == ["1", "2", "3"]
    assert [one.query_id for one in store.decisions(decision="label")] == ["4"]
    assert store.queue()["by_reason"] == {"review": 1, "audit": 1, "label": 1}


def test_decisions_are_paged_in_both_directions(store, review):
    store.log([review(query_id=str(i)) for i in range(5)])
    page = store.decisions(limit=2)
    assert [one.query_id for one in page] == ["0", "1"]
    assert [one.query_id for one in store.decisions(page[-1].id)] == ["2", "3", "4"]
    assert [one.query_id for one in store.decisions(page[-1].id, newest=True)] == ["0"]
    with pytest.raises(InputError, match="no decision"):
        store.decisions("x")


def test_a_case_is_leased_once_and_comes_back_when_the_lease_ends(store, review, clock):
    store.log([review()])
    case = store.lease("ann", seconds=60)
    assert case.leased_to == "ann"
    assert store.lease("bob") is None
    assert store.lease("ann").id == case.id
    with pytest.raises(Conflict, match="another reviewer"):
        store.verdict(case.id, reviewer="bob", kind="none")
    clock.now += 601
    assert store.lease("bob").id == case.id
    with pytest.raises(Conflict, match="another reviewer"):
        store.verdict(case.id, reviewer="ann", kind="none")
    assert store.release(case.id, "bob")
    assert not store.release(case.id, "bob")
    assert store.lease("ann").id == case.id


def test_cases_come_by_distance_from_the_threshold_or_by_age(store, review):
    store.log(
        [
            review(query_id="far", confidence=0.1),
            review(query_id="unknown", confidence=float("-inf"), item_id=None),
            review(query_id="near", confidence=0.89, segment="tv"),
        ]
    )

    def order(how):
        names = [store.lease(who, order=how).decision.query_id for who in ("1", "2", "3")]
        for case in store.cases():
            store.release(case.id, case.leased_to)
        return names

    assert order("uncertainty") == ["near", "far", "unknown"]
    assert order("age") == ["far", "unknown", "near"]
    store.log([review(query_id="sure", confidence=0.999, decision="accept", audited=True)])
    audit = store.lease("audits first")
    assert (audit.decision.query_id, audit.reason) == ("sure", "audit")
    assert store.lease("4", segment="tv").decision.query_id == "near"
    assert store.lease("5", queue="audit") is None
    with pytest.raises(InputError, match="order"):
        store.lease("5", order="size")


def test_nobody_gets_what_they_skipped_or_judged(store, review):
    store.log([review()])
    case = store.lease("ann")
    store.verdict(case.id, reviewer="ann", kind="skip")
    assert store.lease("ann") is None
    assert store.lease("bob").id == case.id
    store.release(case.id, "bob")
    store.undo(case.id, "ann")
    assert store.lease("ann").id == case.id


def test_a_verdict_closes_the_case_and_repeated_it_is_one_event(store, review):
    store.log([review()])
    case = store.lease("ann")
    first = store.verdict(case.id, reviewer="ann", kind="item", item_id="b", seconds=2.5)
    again = store.verdict(case.id, reviewer="ann", kind="item", item_id="b")
    assert again == first
    assert store.case(case.id).status == "done"
    with pytest.raises(Conflict, match="done"):
        store.verdict(case.id, reviewer="ann", kind="none")
    assert store.verdicts() == [first]
    assert store.progress("ann") == {"judged": 1, "seconds": 2.5, "kinds": {"item": 1}}


def test_undo_is_an_event_and_opens_the_case(store, review):
    store.log([review()])
    case = store.lease("ann")
    first = store.verdict(case.id, reviewer="ann", kind="none")
    undo = store.undo(case.id, "ann")
    assert (undo.kind, undo.undoes) == ("undo", first.id)
    assert store.verdicts() == []
    assert store.judged() == []
    assert [v.kind for v in store.verdicts(in_force=False)] == ["none", "undo"]
    assert store.undo(case.id, "ann") is None
    second = store.verdict(case.id, reviewer="ann", kind="item", item_id="a")
    assert store.verdicts(after=first.id) == [second]


def test_undoing_a_skip_leaves_the_case_to_whom_it_is(store, review):
    store.log([review()])
    case = store.lease("ann")
    store.verdict(case.id, reviewer="ann", kind="skip")
    assert store.lease("bob").id == case.id
    store.undo(case.id, "ann")
    assert store.case(case.id).leased_to == "bob"
    store.log([review()])
    other = store.lease("ann")
    assert other.id != case.id
    store.verdict(other.id, reviewer="ann", kind="skip")
    store.verdict(other.id, reviewer="eve", kind="none")
    store.undo(other.id, "ann")
    assert store.case(other.id).status == "done"


def test_files_that_are_no_database_are_one_sentence(tmp_path):
    (tmp_path / "text.db").write_text("no database " * 99)
    with pytest.raises(InputError, match="is no SQLite database"):
        Store.open(f"sqlite:///{tmp_path / 'text.db'}")


def test_only_a_suspected_label_can_be_wrong_and_every_source_has_a_name(store, review):
    store.log([review()])
    case = store.lease("ann")
    with pytest.raises(InputError, match="is about a suspected label"):
        store.verdict(case.id, reviewer="ann", kind="label_wrong")
    with pytest.raises(InputError, match="needs a source"):
        store.verdict(case.id, reviewer="ann", kind="none", source="")
    assert store.verdicts(in_force=False) == []


def test_an_audit_that_finds_an_error_goes_to_a_second_person(store, review):
    for item, asked in (("a", 0), ("b", 1)):
        store.log([review(item_id="a", decision="accept", audited=True)])
        case = store.lease("ann", queue="audit")
        store.verdict(case.id, reviewer="ann", kind="item", item_id=item)
        assert len(store.cases("second")) == asked
    store.log([review(item_id="a", decision="accept", audited=True)])
    case = store.lease("ann", queue="audit")
    store.verdict(case.id, reviewer="ann", kind="skip")
    assert len(store.cases("second")) == 1


def test_not_sure_and_a_share_of_all_cases_go_to_a_second_person_once(store, review):
    store.log([review(query_id="1")])
    case = store.lease("ann")
    store.verdict(case.id, reviewer="ann", kind="not_sure")
    assert store.lease("ann") is None
    second = store.lease("bob")
    assert second.reason == "second"
    store.verdict(second.id, reviewer="bob", kind="not_sure")
    assert store.lease("eve") is None
    store.set("second_opinion", 1.0)
    store.log([review(query_id="2")])
    case = store.lease("ann")
    store.verdict(case.id, reviewer="ann", kind="none")
    store.undo(case.id, "ann")
    store.verdict(case.id, reviewer="ann", kind="item", item_id="a")
    assert len(store.cases("second")) == 1


def test_people_come_before_other_sources_and_answers_before_not_sure(store, review):
    store.set("second_opinion", 1.0)
    store.log([review(query_id=str(i)) for i in range(3)])
    cases = store.cases()
    store.verdict(cases[0].id, reviewer="rule 7", kind="none", source="rule")
    assert [(v.source, v.kind) for _, v in store.judged()] == [("rule", "none")]
    assert store.case(cases[0].id).status == "open"
    store.verdict(cases[0].id, reviewer="ann", kind="item", item_id="a")
    store.verdict(cases[0].id, reviewer="rule 8", kind="none", source="rule")
    store.verdict(cases[1].id, reviewer="ann", kind="item", item_id="b")
    store.verdict(cases[2].id, reviewer="ann", kind="none")
    for case, kind in zip(store.cases("second")[1:], ("not_sure", "none"), strict=True):
        store.verdict(case.id, reviewer="bob", kind=kind)
    found = [(one.query_id, v.reviewer, v.kind) for one, v in store.judged()]
    assert found == [("0", "ann", "item"), ("1", "ann", "item"), ("2", "bob", "none")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "maybe"}, "kind of a verdict"),
        ({"kind": "item"}, "give item_id"),
        ({"kind": "none", "item_id": "a"}, "leave item_id out"),
        ({"kind": "none", "reviewer": ""}, "needs a reviewer"),
    ],
)
def test_a_verdict_that_says_nothing_is_refused(store, given, message):
    with pytest.raises(InputError, match=message):
        store.verdict("x", **({"reviewer": "ann"} | given))
    with pytest.raises(InputError, match="no case"):
        store.verdict("x", reviewer="ann", kind="none")


def test_kappa_by_hand():
    # 20 cases: 15 of yes-yes, yes-no, no-yes, no-no = 10, 3, 2, 5 agree; chance is
    # (13 * 12 + 7 * 8) / 400 = 0.53, so kappa is (0.75 - 0.53) / 0.47.
    pairs = [("y", "y")] * 10 + [("y", "n")] * 3 + [("n", "y")] * 2 + [("n", "n")] * 5
    found = kappa(pairs)
    assert (found.cases, found.observed) == (20, 0.75)
    assert found.kappa == pytest.approx(0.22 / 0.47)
    assert kappa([]).kappa is None
    assert kappa([("y", "y")]).kappa is None


def test_agreement_counts_decisions_that_two_people_judged(store, review):
    store.set("second_opinion", 1.0)
    store.log([review(query_id=str(i)) for i in range(4)])
    for case, item in zip(store.cases(), "aabb", strict=True):
        store.verdict(case.id, reviewer="ann", kind="item", item_id=item)
    for case, item in zip(store.cases("second")[:3], "aba", strict=True):
        store.verdict(case.id, reviewer="bob", kind="item", item_id=item)
    found = store.agreement()
    # (a, a), (a, b), (b, a): one of three agree; chance is (2*2 + 1*1) / 9.
    assert (found.cases, found.observed) == (3, pytest.approx(1 / 3))
    assert found.kappa == pytest.approx((1 / 3 - 5 / 9) / (1 - 5 / 9))


def test_the_latest_change_of_each_item_is_read_back(store):
    assert store.items_version() == 0
    store.upsert([{"id": "a", "title": "one"}, {"id": "b", "title": "two"}])
    seen = store.items_version()
    store.delete(["b"])
    store.upsert([{"id": "c", "title": "three"}])
    assert [(c.item_id, c.row and c.row["title"]) for c in store.items_since()] == [
        ("a", "one"),
        ("b", None),
        ("c", "three"),
    ]
    assert [c.item_id for c in store.items_since(seen)] == ["b", "c"]
    with pytest.raises(InputError, match="no id"):
        store.upsert([{"title": "x"}])


def test_one_item_stays(store):
    catalogue = ["a", "b"]
    store.delete(["a", "unknown"], catalogue)
    with pytest.raises(InputError, match="no item would be left"):
        store.delete(["b"], catalogue)
    store.upsert([{"id": "c"}])
    store.delete(["b"], catalogue)
    with pytest.raises(InputError, match="no item would be left"):
        store.delete(["c"], catalogue)
    assert [(c.item_id, c.row is None) for c in store.items_since()] == [
        ("a", True),
        ("unknown", True),
        ("c", False),
        ("b", True),
    ]


def test_a_key_is_known_by_its_secret_alone_until_it_is_revoked(store):
    secret = store.create_key("shop", "client")
    key = store.who(secret)
    assert (key.name, key.role) == ("shop", "client")
    wrong = [secret[:-1], secret + "x", "", "thresher_x_y", secret.upper(), "thresher_é_x"]
    assert [store.who(one) for one in wrong] == [None] * 6
    with store.database.read() as connection:
        rows = connection.execute(sa.text("select * from keys")).all()
    assert secret.rsplit("_", 1)[1] not in str(rows)
    store.revoke(key.id)
    assert store.who(secret) is None
    assert store.keys()[0].revoked_at is not None
    with pytest.raises(InputError, match="no key"):
        store.revoke("x")
    with pytest.raises(InputError, match="role"):
        store.create_key("x", "boss")


@pytest.mark.parametrize(
    "name", ["", "  ", "a\nb", "a\x00", "a\u202eb", "x" * 101, "guard", "Local", " guard "]
)
def test_a_name_that_misleads_is_refused(store, name):
    with pytest.raises(InputError, match="name"):
        store.create_key(name, "reviewer")
    assert store.keys() == []


def test_a_name_is_one_reviewer(store):
    first = store.who(store.create_key("ann", "reviewer"))
    for again in ("ann", " ann "):
        with pytest.raises(InputError, match="revoke that one first"):
            store.create_key(again, "admin")
    store.revoke(first.id)
    assert store.who(store.create_key("ann", "reviewer")).name == "ann"


def test_a_request_is_answered_once(store, clock):
    assert store.once("shop", "k", "d") is None
    with pytest.raises(Conflict, match="in work"):
        store.once("shop", "k", "d")
    store.remember("shop", "k", Answer(200, {"a": 1}))
    assert store.once("shop", "k", "d") == Answer(200, {"a": 1})
    with pytest.raises(Conflict, match="another request"):
        store.once("shop", "k", "e")
    assert store.once("other", "k", "e") is None
    store.forget("other", "k")
    assert store.once("other", "k", "e") is None
    clock.now += 61
    assert store.once("other", "k", "e") is None
    clock.now += 86_401
    assert store.once("shop", "k", "e") is None


def test_a_setting_is_its_latest_event(store, clock):
    assert store.settings("threshold") is None
    store.set("threshold", 0.9, reason="first")
    clock.now += 1
    store.set("threshold", None, reason="the bound fell", by="guard")
    assert store.settings("threshold") is None
    assert [(e.value, e.reason, e.by) for e in store.events("threshold")] == [
        (None, "the bound fell", "guard"),
        (0.9, "first", ""),
    ]


def test_twenty_reviewers_at_once_never_get_the_same_case(url, review):
    count, taken, failed = 60, [], []
    with Store.open(url) as store:
        store.log([review(query_id=str(i)) for i in range(count)])

        def work(name):
            try:
                while (case := store.lease(name, order="age")) is not None:
                    taken.append(case.id)
                    store.verdict(case.id, reviewer=name, kind="none")
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(f"r{i}",)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(taken) == len(set(taken)) == count
        assert len(store.verdicts()) == count


@pytest.mark.parametrize(
    ("given", "message"),
    [("nonsense", "no URL"), ("mysql://x/y", "not supported"), ("sqlite://", "needs a file")],
)
def test_a_url_of_no_database_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        Store.open(given)


def test_a_database_that_cannot_be_reached_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="cannot be used"):
        Store.open(f"sqlite:///{tmp_path / 'no' / 'folder.db'}")
