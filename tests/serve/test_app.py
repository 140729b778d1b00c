"""The HTTP API over a real model: what is answered, what is refused and how, and who may ask."""

import itertools
import shutil

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from thresher.artifact import Transaction
from thresher.retriever import Retriever
from thresher.review import Unavailable
from thresher.serve.app import create_app
from thresher.serve.batching import Busy, Job

HERE = "http://127.0.0.1"
NEW = {"id": "n1", "title": "Wundervolt QZ-771 samovar turquoise"}


def problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["title"]
    return body


def match(client, queries, **more):
    return client.post("/v1/match", json={"queries": queries, **more})


# Matching.


def test_the_service_decides_as_the_retriever_does(client, shop, offers):
    body = match(client, offers, top=3).json()
    model = Retriever.open(shop / "model")
    expected = model.match(pa.Table.from_pylist(offers), 3).to_pylist()
    ranked = {row["query_id"]: row for row in expected if row["rank"] == 1}
    accepted = [row for row in ranked.values() if row["decision"] == "accept"]
    assert 0 < len(accepted) < len(offers)
    for one in body["results"]:
        row = ranked[one["query_id"]]
        assert (one["decision"], one["item_id"]) == (row["decision"], row["item_id"])
        assert one["confidence"] == pytest.approx(row["confidence"], abs=1e-6)
    found = [c["item_id"] for one in body["results"] for c in one["candidates"]]
    assert found == [row["item_id"] for row in expected]
    assert (body["policy"], body["index"]) == (model.policy.id, model.fingerprint)
    assert (body["accepting"], body["changed_items"]) == (True, 0)


def test_one_query_is_an_object_or_a_text(client, offers):
    text = match(client, offers[0]["title"]).json()["results"]
    alone = match(client, {"title": offers[0]["title"]}).json()["results"]
    assert [one["query_id"] for one in (*text, *alone)] == ["0", "0"]
    assert text[0]["item_id"] == alone[0]["item_id"]


def test_what_was_decided_is_in_the_log_and_what_is_unsure_is_a_case(client, offers):
    results = match(client, offers).json()["results"]
    log = client.get("/v1/decisions", params={"limit": 1000}).json()
    assert [one["id"] for one in log] == [one["id"] for one in results]
    assert log[0]["query"] == {"title": offers[0]["title"]}
    unsure = [one["id"] for one in results if one["decision"] == "review"]
    cases = client.get("/v1/cases", params={"limit": 1000}).json()
    assert [case["decision"]["id"] for case in cases] == unsure
    page = client.get("/v1/decisions", params={"after": log[1]["id"], "limit": 2}).json()
    assert page == log[2:4]


def test_a_share_of_accepted_answers_is_audited_with_its_probability(open_service, offers):
    decided = open_service(audit_rate=1.0).match(offers)
    accepted = [one for one in decided if one.decision == "accept"]
    assert accepted
    assert all(one.audited and one.audit_probability == 1 for one in accepted)
    store = open_service(audit_rate=0.3).store
    assert store.queue()["by_reason"]["audit"] == len(accepted)
    again = open_service(audit_rate=0.0).match(offers)
    assert not any(one.audited for one in again)
    assert {one.audit_probability for one in again if one.decision == "accept"} == {0.0}


def test_the_threshold_is_that_of_new_or_of_known_texts(service, shop, offers):
    model = Retriever.open(shop / "model")
    titles = [one["title"] for one in offers]
    seen = titles[model.known(model.as_queries(titles)).argmax()]
    new, known = service.match([{"title": "Nordal kettle XX 1"}, {"title": seen}])
    assert new.threshold == model.policy.accept_at
    assert (known.threshold, known.decision) == (None, "review")


def test_search_lists_the_closest_items(client, shop):
    body = client.post("/v1/search", json={"queries": ["kettle", "red mixer"], "k": 4}).json()
    expected = Retriever.open(shop / "model").search(["kettle", "red mixer"], 4).to_pylist()
    found = [(one["item_id"], one["score"]) for query in body["results"] for one in query]
    assert found == [(row["item_id"], pytest.approx(row["score"])) for row in expected]
    assert "kettle" in body["results"][0][0]["item"]
    assert client.get("/v1/decisions").json() == []


def test_requests_together_are_answered_as_alone(service, offers):
    """Of one id in two requests, and of a request that fails, the others know nothing."""
    alone = [service.match([one])[0] for one in offers[:6]]
    jobs = [service.submit("match", [one], 5) for one in (*offers[:6], offers[0])]
    bad = service.submit("match", [{"colour": "red"}], 5)
    found = [job.result()[0] for job in jobs]
    with pytest.raises(ValueError, match="no column 'title'"):
        bad.result()
    for one, other in zip(found, [*alone, alone[0]], strict=True):
        assert (one.item_id, one.decision, one.query_id) == (
            other.item_id,
            other.decision,
            other.query_id,
        )


@pytest.fixture
def by_shop(open_service, shop, tmp_path):
    """A service whose policy reads a second column of queries."""
    folder = shutil.copytree(shop / "model", tmp_path / "own")
    Retriever.open(folder).calibrate(0.9, by="shop")
    return open_service(folder)


def test_a_query_without_a_column_is_refused_whatever_stands_beside_it(by_shop):
    whole, short = {"title": "kettle", "shop": "north"}, {"id": "b", "title": "mixer"}
    for rows, name in (([short], "'b'"), ([whole, short], "'b'"), ([whole, {"shop": "x"}], "'1'")):
        with pytest.raises(ValueError, match=f"query {name} has no column"):
            by_shop.match(rows)
    batch = [Job("match", [whole], 1), Job("match", [short], 1), Job("match", [whole], 1)]
    by_shop._run(batch)
    with pytest.raises(ValueError, match="query 'b' has no column 'shop'"):
        batch[1].future.result()
    for job in (batch[0], batch[2]):
        assert job.future.result(60)[0].segment == "north"
    (decided,) = by_shop.match([{"title": "kettle", "shop": None}])
    assert decided.segment is None
    assert by_shop.search([{"title": "kettle"}])  # a search does not read it


def test_what_a_text_leaves_empty_is_said(by_shop, client):
    with TestClient(create_app(by_shop), base_url=HERE) as asked:
        assert match(asked, "kettle").json()["left_empty"] == ["shop"]
        assert match(asked, [{"title": "a", "shop": "b"}, "c"]).json()["left_empty"] == ["shop"]
        assert match(asked, {"title": "kettle", "shop": None}).json()["left_empty"] == []
    assert match(client, "kettle").json()["left_empty"] == []


# What is refused.


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.queries"),
        ({"queries": []}, "body.queries"),
        ({"queries": ["x"], "top": 0}, "body.top"),
        ({"queries": ["x"], "top": True}, "body.top"),
        ({"queries": ["x"], "top": "3"}, "body.top"),
        ({"queries": ["x"], "top": 3.0}, "body.top"),
        ({"queries": ["x"], "topp": 1}, "body.topp"),
        ({"queries": [{"title": {"a": 1}}]}, "body.queries.0"),
        ({"queries": ["x" * 20_001]}, "body.queries.0"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(client, body, field):
    errors = problem(client.post("/v1/match", json=body), 422)["errors"]
    assert any(one["field"].startswith(field) and one["reason"] for one in errors)


def test_a_number_beyond_64_bits_is_answered(client):
    body = {"queries": [{"title": "kettle", "price": 10**30}]}
    assert client.post("/v1/match", json=body).status_code == 200


def test_what_the_model_cannot_read_is_one_sentence(client):
    assert "no column 'title'" in problem(match(client, [{"colour": "red"}]), 422)["detail"]
    twice = [{"id": "a", "title": "x"}, {"id": "a", "title": "y"}]
    assert "same id" in problem(match(client, twice), 422)["detail"]
    for name in (None, True, 2.5, "", [1.0]):
        detail = problem(match(client, [{"id": name, "title": "kettle"}]), 422)["detail"]
        assert "a text or a whole number" in detail


def test_requests_beyond_a_limit_are_refused(open_service):
    service = open_service(max_rows=3, max_body=2000)
    with TestClient(create_app(service), base_url=HERE) as client:
        assert "at most 3" in problem(match(client, ["x"] * 4), 422)["detail"]
        assert "2000 bytes" in problem(match(client, ["x" * 3000]), 413)["detail"]

        def stream():
            yield b'{"queries": "'
            yield from itertools.repeat(b"x" * 500, 10)

        response = client.post(
            "/v1/match", content=stream(), headers={"Content-Type": "application/json"}
        )
        problem(response, 413)


def test_broken_json_and_unknown_paths_are_problems(client):
    headers = {"Content-Type": "application/json"}
    problem(client.post("/v1/match", content=b'{"queries": ', headers=headers), 422)
    problem(client.post("/v1/match", content=b"\xff\xfe", headers=headers), 422)
    problem(client.get("/v1/nothing"), 404)
    problem(client.get("/v1/match"), 405)
    problem(client.get(f"/v1/cases/{'0' * 32}"), 404)


@pytest.mark.parametrize(
    ("content", "field", "reason"),
    [
        (b'{"queries": ', "body.12", "not JSON"),
        (b'{"queries": "kettle \xff"}', "body.20", "not UTF-8"),
        (b'{"queries": ' + b"[" * 100_000, "body", "too deep"),
        (b'{"queries": "x", "top": ' + b"1" * 5000 + b"}", "body", "cannot be read"),
    ],
)
def test_a_body_that_cannot_be_parsed_says_where_and_why(client, content, field, reason):
    headers = {"Content-Type": "application/json"}
    body = problem(client.post("/v1/match", content=content, headers=headers), 422)
    (error,) = body["errors"]
    assert error["field"] == field
    assert reason in error["reason"]


@pytest.mark.parametrize("given", [True, [1], 1.5, None, "", "  "])
def test_the_id_of_an_item_is_a_text_or_a_whole_number(client, service, given):
    bad = {"items": [{**NEW, "id": given}]}
    assert "item 1 has" in problem(client.put("/v1/items", json=bad), 422)["detail"]
    assert service.store.items_since() == []


def test_an_item_may_be_number_0(client, service):
    assert client.put("/v1/items", json={"items": [{**NEW, "id": 0}]}).status_code == 200
    assert service.live.rows(["0"])["0"]["title"] == NEW["title"]


def test_lone_halves_of_characters_are_refused(client):
    headers = {"Content-Type": "application/json"}
    problem(client.post("/v1/match", content=rb'{"queries": "\ud800"}', headers=headers), 422)
    problem(
        client.post("/v1/match", content=rb'{"queries": {"title": "\ud800"}}', headers=headers), 422
    )


def test_too_many_waiting_queries_are_told_when_to_come_again(client, service, monkeypatch):
    def full(*_, **__):
        raise Busy(3)

    monkeypatch.setattr(service, "submit", full)
    response = match(client, "kettle")
    assert "try again in 3 s" in problem(response, 429)["detail"]
    assert response.headers["retry-after"] == "3"


def test_without_its_database_nothing_is_accepted_and_the_client_told(client, service, monkeypatch):
    def away(*_, **__):
        raise Unavailable("the database cannot be used now (gone); try again")

    monkeypatch.setattr(service.store, "log", away)
    response = match(client, "kettle")
    assert "gone" in problem(response, 503)["detail"]
    assert response.headers["retry-after"] == "1"
    monkeypatch.setattr(service.store, "items_version", away)
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_fault_of_ours_is_a_problem_without_its_details(service, monkeypatch, caplog):
    monkeypatch.setattr(service.store, "queue", lambda: 1 / 0)
    with TestClient(create_app(service), HERE, raise_server_exceptions=False) as client:
        body = problem(client.get("/metrics"), 500)
    assert "division" not in str(body)
    assert "division" in caplog.text


# Twice.


def test_a_request_with_an_idempotency_key_is_answered_once(client, offers):
    headers = {"Idempotency-Key": "k-1"}
    first = client.post("/v1/match", json={"queries": offers[:2]}, headers=headers)
    again = client.post("/v1/match", json={"queries": offers[:2]}, headers=headers)
    assert first.json() == again.json()
    assert len(client.get("/v1/decisions").json()) == 2
    other = client.post("/v1/match", json={"queries": offers[:3]}, headers=headers)
    assert "another request" in problem(other, 409)["detail"]


def test_a_request_that_failed_may_be_tried_again(client):
    headers = {"Idempotency-Key": "k-2"}
    body = {"queries": [{"colour": "red"}]}
    for _ in range(2):
        problem(client.post("/v1/match", json=body, headers=headers), 422)
    bad = {"items": [{"id": "n1", "titles": "x"}]}
    for _ in range(2):
        problem(client.put("/v1/items", json=bad, headers=headers), 422)


# Items.


def test_items_are_live_with_the_answer_and_survive_a_restart(client, open_service):
    body = client.put("/v1/items", json={"items": [NEW]}).json()
    assert body == {"version": 1, "changed_items": 1}
    search = {"queries": "samovar wundervolt qz771", "k": 1}
    assert client.post("/v1/search", json=search).json()["results"][0][0]["item_id"] == "n1"
    answer = match(client, "samovar wundervolt qz771").json()
    assert answer["changed_items"] == 1
    assert answer["index"].endswith("+1")
    again = open_service()
    assert again.search([again.query_of("samovar wundervolt qz771")], 1)[0][0]["item_id"] == "n1"
    request = {"ids": ["n1", "unknown"]}
    assert client.request("DELETE", "/v1/items", json=request).json()["changed_items"] == 0
    assert client.post("/v1/search", json=search).json()["results"][0][0]["item_id"] != "n1"


def test_an_item_that_comes_back_is_what_it_was(service, offers):
    before = service.match(offers)
    row = dict(service.live.rows(["i7"])["i7"])
    service.delete(["i7"])
    assert service.live.rows(["i7"]) == {}
    service.upsert([row])
    assert service.live.touched == frozenset()
    after = service.match(offers)
    assert [(one.item_id, one.confidence) for one in after] == [
        (one.item_id, one.confidence) for one in before
    ]


def test_beyond_a_number_of_changed_items_nothing_is_accepted(open_service, offers):
    service = open_service(max_changed_items=1)
    service.upsert([NEW])
    assert any(one.decision == "accept" for one in service.match(offers))
    service.upsert([{**NEW, "id": "n2"}])
    assert "2 items have changed" in service.rules().stopped
    assert {one.decision for one in service.match(offers)} == {"review"}
    service.delete(["n2"])
    assert service.rules().stopped is None


def test_an_item_that_the_catalogue_cannot_hold_changes_nothing(client, service):
    bad = {"items": [NEW, {"id": "n2", "titles": "x"}]}
    assert "did you mean 'title'" in problem(client.put("/v1/items", json=bad), 422)["detail"]
    assert service.store.items_since() == []
    every = {"ids": [f"i{i}" for i in range(300)]}
    assert (
        "at least one" in problem(client.request("DELETE", "/v1/items", json=every), 422)["detail"]
    )


def test_deletions_that_are_not_live_yet_count(service):
    """As of two requests at once, or of another replica."""
    with service._changing:  # the keeper waits: nothing that is stored goes live
        service.store.delete([f"i{i}" for i in range(150)])
        with pytest.raises(ValueError, match="no item would be left"):
            service.delete([f"i{i}" for i in range(150, 300)])
    assert len(service.store.items_since()) == 150


def test_a_store_that_leaves_no_item_is_survived_and_nothing_accepted(open_service, offers):
    service = open_service()
    seen = service.live.version
    service._until_live(service.store.delete([f"i{i}" for i in range(300)]))
    assert service.live.version > seen
    for one in (service, open_service()):
        assert len(one.live.retriever.items) == 300
        assert "leave no item" in one.rules().stopped
        assert {decided.decision for decided in one.match(offers)} == {"review"}
        one.reload()
        assert "leave no item" in one.rules().stopped
    service.upsert([NEW])
    assert service.live.retriever.items["id"].to_pylist() == ["n1"]
    assert "leave no item" not in service.rules().stopped
    with pytest.raises(ValueError, match="no item would be left"):
        service.delete(["n1"])


def test_another_replica_follows(open_service):
    one, other = open_service(), open_service()
    one.upsert([NEW])
    with other._applied:  # told when a change is live
        assert other._applied.wait_for(lambda: other.live.version == 1, 600)
    assert other.live.rows(["n1"])


# Cases.


def test_a_case_is_leased_judged_and_taken_back(client, offers):
    match(client, offers)
    case = client.post("/v1/cases/lease", json={"order": "age"}).json()
    path = f"/v1/cases/{case['id']}"
    given = client.post(f"{path}/verdict", json={"kind": "item", "item_id": "i1"}).json()
    assert (given["reviewer"], given["kind"]) == ("local", "item")
    assert client.get(path).json()["status"] == "done"
    problem(client.post(f"{path}/verdict", json={"kind": "none"}), 409)
    problem(client.post(f"{path}/verdict", json={"kind": "item"}), 422)
    other = client.post("/v1/cases/lease", json={"order": "age"}).json()["id"]
    unknown = {"kind": "item", "item_id": "there is none"}
    problem(client.post(f"/v1/cases/{other}/verdict", json=unknown), 422)
    client.post(f"/v1/cases/{other}/release")
    assert client.post(f"{path}/undo").json()["undone"]["undoes"] == given["id"]
    assert client.post(f"{path}/undo").json()["undone"] is None
    assert client.get(path).json()["status"] == "open"
    assert client.post(f"{path}/release").json() == {"released": False}


def test_without_a_free_case_there_is_nothing(client):
    assert client.post("/v1/cases/lease", json={}).status_code == 204


# Who may ask.

WORK = {
    "client": [("POST", "/v1/match", {"queries": "x"}), ("PUT", "/v1/items", {"items": [NEW]})],
    "reviewer": [("GET", "/v1/cases", None), ("GET", "/v1/decisions", None)],
    "admin": [("POST", "/v1/admin/reload", None), ("GET", "/v1/admin/events", None)],
}


def test_a_key_does_the_work_of_its_role_alone(client, service):
    secrets = {role: service.store.create_key(f"the {role}", role) for role in WORK}
    app = TestClient(create_app(service), base_url=HERE)
    for role, secret in secrets.items():
        headers = {"Authorization": f"Bearer {secret}"}
        for owner, requests in WORK.items():
            for method, path, body in requests:
                response = app.request(method, path, json=body, headers=headers)
                if role in (owner, "admin"):
                    assert response.status_code == 200, (role, path, response.text)
                else:
                    assert repr(role) in problem(response, 403)["detail"]
    assert service.store.decisions(newest=True)[0].client == "the admin"


def test_a_share_of_second_opinions_stays_until_another_is_given(open_service):
    shares = []
    for given in ({}, {"second_opinion": 0.5}, {}, {"second_opinion": 0.0}, {}):
        service = open_service(**given)
        shares.append(service.store.settings("second_opinion"))
    assert shares == [0.05, 0.5, 0.5, 0.0, 0.0]


def test_with_any_key_nobody_passes_without_one(service):
    secret = service.store.create_key("ops", "admin")
    key = service.store.who(secret)
    client = TestClient(create_app(service), base_url=HERE)
    for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {secret}"}):
        response = client.get("/v1/policy", headers=headers)
        assert "keys create" in problem(response, 401)["detail"]
        assert response.headers["www-authenticate"] == "Bearer"
    for ask in (client.get, client.head):  # load balancers ask with either
        assert ask("/healthz").status_code == ask("/readyz").status_code == 200
    service.store.revoke(key.id)
    fresh = TestClient(create_app(service), base_url=HERE)
    problem(fresh.get("/v1/policy", headers={"Authorization": f"Bearer {secret}"}), 401)


def test_without_keys_only_this_machine_is_answered(service):
    elsewhere = TestClient(create_app(service), base_url="http://example.org")
    assert "localhost" in problem(elsewhere.get("/v1/policy"), 403)["detail"]


# Operators.


def test_a_live_setting_holds_at_once_and_says_why(client, service, offers):
    def put(name, value):
        body = {"name": name, "value": value, "reason": "stock-taking"}
        return client.put("/v1/admin/settings", json=body)

    assert put("stopped", "stock-taking").json()["reason"] == "stock-taking"
    assert {one.decision for one in service.match(offers)} == {"review"}
    assert put("stopped", None).json()["accepting"]
    assert put("threshold", 0.99).json()["threshold"] == 0.99
    decided = service.match(offers)
    assert all(one.confidence >= 0.99 for one in decided if one.decision == "accept")
    assert {one.threshold for one in decided} == {0.99, None}
    assert put("threshold", None).json()["threshold"] is None
    problem(put("threshold", "high"), 422)
    problem(put("guard", 0.5), 422)
    problem(put("stopped", ""), 422)
    problem(put("audit_rate", False), 422)
    events = client.get("/v1/admin/events").json()
    assert (events[0]["name"], events[0]["reason"], events[0]["by"]) == (
        "threshold",
        "stock-taking",
        "local",
    )


def test_a_new_artifact_goes_live_beside_requests_and_back(open_service, shop, tmp_path, offers):
    folder = shutil.copytree(shop / "model", tmp_path / "own")
    service = open_service(folder)
    before = service.live
    with pytest.raises(ValueError, match="nothing to go to"):
        service.roll_back()
    service.upsert([NEW])
    model = Retriever.open(folder)
    model.calibrate(0.9)
    after = service.reload()
    assert after.policy_id != before.policy_id
    assert after.rows(["n1"])
    assert {one.policy for one in service.match(offers)} == {after.policy_id}
    assert service.roll_back().policy_id == before.policy_id
    assert {one.policy for one in service.match(offers)} == {before.policy_id}
    assert [event.reason for event in service.store.events("artifact")] == [
        "rolled back",
        "reloaded",
    ]


def test_an_artifact_that_cannot_be_served_leaves_the_live_one(open_service, shop, tmp_path):
    folder = shutil.copytree(shop / "model", tmp_path / "own")
    service = open_service(folder)
    before = service.live
    decision = next(folder.glob("decision-*/policy.json"))
    good = decision.read_bytes()
    decision.write_bytes(good.replace(b"0.95", b"0.50"))
    with pytest.raises(ValueError, match="not what was written"):
        service.reload()
    decision.write_bytes(good)
    edit = Transaction(folder)
    edit.drop("decision")
    edit.commit()
    with pytest.raises(ValueError, match="no policy yet"):
        service.reload()
    assert service.live is before


def test_metrics_count_requests_decisions_and_cases(client, offers):
    match(client, offers)
    match(client, [])
    text = client.get("/metrics").text
    assert 'thresher_requests_total{method="POST",route="/v1/match",status="200"} 1.0' in text
    assert 'thresher_requests_total{method="POST",route="/v1/match",status="422"} 1.0' in text
    cases = len(client.get("/v1/cases").json())
    assert f'thresher_decisions_total{{decision="review"}} {cases}.0' in text
    assert f'thresher_open_cases{{reason="review"}} {cases}.0' in text
    assert "thresher_accepting 1.0" in text


def test_the_description_has_an_example_of_every_body(client):
    found = client.get("/openapi.json").json()
    bodies = [
        name for name, schema in found["components"]["schemas"].items() if name.endswith("Request")
    ]
    assert len(bodies) == 7
    assert all(found["components"]["schemas"][name]["examples"] for name in bodies)
