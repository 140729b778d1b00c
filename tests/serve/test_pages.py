"""The pages as a browser without script gets them, and as htmx asks for parts of them."""

import re
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from oracles.desk import Parsed, open_desk
from oracles.shop import trained
from thresher.review import Decided, Store, Unavailable
from thresher.serve.app import create_app
from thresher.serve.render import STATIC

SCRIPTS = [
    "žluťoučký kůň 64 GB", "смартфон чёрный", "έξυπνο τηλέφωνο", "هاتف ذكي أسود", "טלפון חכם שחור",
    "स्मार्टफ़ोन काला", "স্মার্টফোন কালো", "ஸ்மார்ட்போன்", "స్మార్ట్\u200cఫోన్", "സ്മാർട്ട്ഫോൺ",
    "สมาร์ทโฟน", "ສະມາດໂຟນ", "စမတ်ဖုန်း", "ស្មាតហ្វូន", "智能手机 黑色", "スマートフォン", "스마트폰 검정",
    "სმარტფონი", "սմարթֆոն", "ስማርትፎን", "ᠤᠬᠠᠭᠠᠨ", "ગુજરાતી ફોન", "ਪੰਜਾਬੀ ਫ਼ੋਨ",
    "\U0001f469\u200d\U0001f52c \U0001f3f3\ufe0f\u200d\U0001f308",
]  # fmt: skip
HOSTILE = "</h1><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"
PARTIAL = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return trained(tmp_path_factory)


@pytest.fixture(scope="module")
def served(shop, tmp_path_factory):
    with open_desk(shop, tmp_path_factory.mktemp("desk")) as made:
        yield made


@pytest.fixture
def service(served, tmp_path):
    """The service over a store of the test's own."""
    before = served.store
    with Store.open(f"sqlite:///{tmp_path / 'own.db'}") as served.store:
        served.refresh()
        yield served
    served.store = before
    served.refresh()


@pytest.fixture
def app(service):
    return create_app(service)


def browser(app, host="http://localhost"):
    return TestClient(app, base_url=host, follow_redirects=False)


def enter(app, secret):
    """A browser that is logged in."""
    made = browser(app)
    action, fields = Parsed(made.get("/login").text).form("/login")
    answer = made.post(action, data={**fields, "key": secret})
    assert (answer.status_code, answer.headers["location"]) == (303, "/review")
    return made


@pytest.fixture
def ann(app, service):
    return enter(app, service.store.create_key("ann", "reviewer"))


def decided(query_id="q1", **given):
    """A decision of the catalogue's first items, for a person to look at."""
    found = [
        {"item_id": f"i{n}", "item": f"Item {n}", "score": 0.9 - n / 10, "confidence": 0.5 - n / 10}
        for n in range(3)
    ]
    made = {
        "at": 1_000_000.0,
        "query_id": query_id,
        "query": {"title": f"kettle {query_id}"},
        "item_id": "i0",
        "confidence": 0.5,
        "threshold": 0.6,
        "decision": "review",
        "candidates": found,
    }
    return Decided(**{**made, **given})


def ask(service, *texts):
    service.store.log([decided(f"q{n}", query={"title": text}) for n, text in enumerate(texts)])


def answer(page, client, headers=None, **said):
    action, fields = Parsed(page.text).form("/review/cases/")
    return client.post(action, data={**fields, **said}, headers=headers)


def given(service):
    return [(v.reviewer, v.kind, v.item_id) for v in service.store.verdicts()]


# Who may come in.


def test_pages_ask_for_a_key(app, service):
    service.store.create_key("ann", "reviewer")
    anyone = browser(app)
    for path in ("/review", "/dashboard", "/costs", "/review/cases/x"):
        found = anyone.get(path)
        assert (found.status_code, found.headers["location"]) == (303, "/login")
    part = anyone.get("/review", headers=PARTIAL)
    assert part.status_code == 401
    assert "Log in" in part.text
    secret = service.store.create_key("eve", "reviewer")
    header = {"Authorization": f"Bearer {secret}"}
    assert anyone.get("/review", headers=header).status_code == 303  # a session, not a header


def test_a_session_is_for_reviewers_and_its_cookie_is_closed(app, service):
    reviewer, client = (service.store.create_key(r, r) for r in ("reviewer", "client"))
    anyone = browser(app, "https://localhost")
    action, fields = Parsed(anyone.get("/login").text).form("/login")
    assert anyone.post(action, data={**fields, "key": "thresher_x_y"}).status_code == 401
    refused = anyone.post(action, data={**fields, "key": client})
    assert refused.status_code == 403
    assert "client" in Parsed(refused.text).words
    assert "thresher_session" not in refused.headers.get("set-cookie", "")
    cookie = anyone.post(action, data={**fields, "key": f" {reviewer} "}).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Secure", "Path=/"} <= set(cookie.split("; "))
    assert reviewer not in cookie


def test_a_session_ends_with_its_key_and_with_logging_out(app, service):
    one, other = (enter(app, service.store.create_key(n, "reviewer")) for n in ("a", "b"))
    service.store.revoke(service.store.keys()[0].id)
    assert one.get("/review").status_code == 303
    page = other.get("/review")
    assert page.status_code == 200
    action, fields = Parsed(page.text).form("/logout")
    assert other.post(action, data=fields).headers["location"] == "/login"
    assert other.get("/review").status_code == 303


def test_without_a_key_only_this_machine_reviews(app, service):
    near, far = browser(app), browser(app, "http://example.com")
    assert near.get("/login").headers["location"] == "/review"
    assert near.get("/review").status_code == 200
    assert far.get("/login").status_code == 403
    service.store.create_key("ann", "reviewer")
    assert near.get("/review").status_code == 303


def test_every_form_carries_a_token_and_none_is_taken_without(app, service, ann):
    ask(service, "kettle red")
    service.store.log([decided("l", decision="label")], labels=["i1"])
    forms = []
    for path in ("/review", "/review?queue=label", "/dashboard"):
        page = Parsed(ann.get(path).text)
        forms += [f for f in page.forms if f[0]["method"] == "post"]
    forms.append(Parsed(browser(app).get("/login").text).forms[0])
    assert len(forms) >= 6
    for form, fields in forms:
        assert len(fields["csrf"]) == 64
        for token in ("", "0" * 64, "é"):
            found = ann.post(form["action"], data={**fields, "csrf": token, "answer": "none"})
            assert found.status_code == 403, form
    assert given(service) == []


def test_nothing_runs_but_the_pages_own_files(app, service, ann):
    ask(service, HOSTILE)
    paths = [
        "/review",
        "/review/cases/none",
        "/dashboard",
        "/login",
        "/static/none",
        "/review?trail=1",
    ]
    for path in [*paths, *(f"/static/{name}" for name in STATIC)]:
        found = ann.get(path)
        policy = found.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["x-frame-options"] == "DENY"
        if "html" in found.headers.get("content-type", ""):
            page = Parsed(found.text)
            scripts = [given for tag, given in page.tags if tag == "script"]
            assert all(given["src"].startswith("/static/") for given in scripts)
            names = {name for _, given in page.tags for name in given}
            assert not {n for n in names if n == "style" or re.match(r"on|hx-on", n)}
            links = page.attributes("href") + page.attributes("src") + page.attributes("action")
            assert all(re.match(r"[/#](?!/)", link) for link in links)
            assert found.headers["cache-control"] == "no-store"


# A case, and the verdicts on it.


def test_choosing_an_item_keeps_it_and_shows_the_next_case(service, ann):
    ask(service, "kettle red", "toaster blue")
    page = ann.get("/review")
    first = Parsed(page.text).form("/review/cases/")[0]
    keys = {
        b["data-key"]: b["value"]
        for b in Parsed(page.text).buttons
        if "data-key" in b and "value" in b
    }
    assert [keys[k] for k in "123"] == ["i0", "i1", "i2"]
    after = answer(page, ann, PARTIAL, item=keys["2"])
    assert after.status_code == 200
    assert after.text.lstrip().startswith('<div id="case">')
    assert Parsed(after.text).form("/review/cases/")[0].split("?")[0] != first
    assert given(service) == [("ann", "item", "i1")]
    (verdict,) = service.store.verdicts()
    assert 0 <= verdict.seconds < 60


@pytest.mark.parametrize("kind", ["none", "not_sure", "skip"])
def test_other_answers(service, ann, kind):
    ask(service, "kettle red")
    after = answer(ann.get("/review"), ann, answer=kind)
    assert after.status_code == 303
    assert after.headers["location"].startswith("/review?trail=")
    assert given(service) == [("ann", kind, None)]
    assert "Nothing waits here" in ann.get(after.headers["location"]).text


@pytest.mark.parametrize("said", [{}, {"answer": "perhaps"}, {"answer": "item"}])
def test_what_is_no_answer_is_refused(service, ann, said):
    ask(service, "kettle red")
    assert answer(ann.get("/review"), ann, **said).status_code == 422
    assert given(service) == []


def test_answers_are_taken_back_one_after_the_other(service, ann):
    ask(service, "kettle one", "kettle two")
    page, seen = ann.get("/review"), []
    for _ in range(2):
        seen.append(Parsed(page.text).form("/review/cases/")[0].split("?")[0])
        page = answer(page, ann, PARTIAL, item="i0")
    for case in reversed(seen):
        action, fields = Parsed(page.text).form("/review/undo")
        page = ann.post(action, data=fields, headers=PARTIAL)
        assert "Taken back" in page.text
        assert Parsed(page.text).form("/review/cases/")[0].split("?")[0] == case
    assert given(service) == []
    again = answer(page, ann, answer="none")
    assert again.status_code == 303
    assert given(service) == [("ann", "none", None)]
    assert [v.kind for v in service.store.verdicts(in_force=False)] == [
        "item", "item", "undo", "undo", "none",
    ]  # fmt: skip


def test_there_may_be_nothing_to_take_back(service, ann):
    ask(service, "kettle red")
    action, fields = Parsed(ann.get("/review").text).form("/review/undo")
    assert "nothing to take back" in ann.post(action, data=fields).text


def test_two_reviewers_have_different_cases(app, service, ann):
    bob = enter(app, service.store.create_key("bob", "admin"))
    ask(service, "kettle red", "toaster blue")
    pages = [who.get("/review") for who in (ann, bob)]
    actions = [Parsed(page.text).form("/review/cases/")[0] for page in pages]
    assert actions[0] != actions[1]
    fields = Parsed(pages[1].text).form("/review/cases/")[1]
    taken = bob.post(actions[0], data={**fields, "answer": "none"})
    assert "Not kept: the case is leased to another reviewer" in Parsed(taken.text).words
    assert given(service) == []


def test_an_answer_sent_twice_is_one(service, ann):
    ask(service, "kettle red")
    page = ann.get("/review")
    for _ in range(2):
        assert answer(page, ann, item="i0").status_code == 303
    assert given(service) == [("ann", "item", "i0")]


def test_scores_are_hidden_until_asked_for(service, ann):
    ask(service, "kettle red")
    blind, open_ = ann.get("/review"), ann.get("/review?scores=1")
    assert "0.900" not in blind.text
    assert "0.500" not in blind.text
    assert "0.900" in open_.text
    assert "0.600" in open_.text  # the threshold
    after = answer(open_, ann, answer="none")
    assert "scores=1" in after.headers["location"]


def test_an_audit_does_not_show_what_was_accepted(service, ann):
    candidates = decided().candidates
    for name, found in (("a", candidates), ("b", candidates[::-1])):
        one = decided(name, id=f"{'0' * 31}7", decision="accept", audited=True, candidates=found)
        case = type("Case", (), {"decision": one, "reason": "audit", "label": None})
        view = _shower(service).view(case, scores=False)
        assert {row.item_id for row in view.rows} == {"i0", "i1", "i2"}
        if name == "a":
            order = [row.item_id for row in view.rows]
        else:
            assert [row.item_id for row in view.rows] == order
        shown = _shower(service).view(case, scores=True)
        assert [row.item_id for row in shown.rows] == [c["item_id"] for c in found]


def _shower(service):
    from thresher.serve.pages import Pages

    return Pages(service)._shower()


def test_queues_and_orders(service, ann):
    service.store.log([decided("near", confidence=0.59), decided("far", confidence=0.1)])
    service.store.log([decided("label", decision="label")], labels=["i7"])
    seen = {
        path: re.search(r"kettle (\w+)", Parsed(_released(service, ann, path).text).words)[1]
        for path in ("/review?queue=review", "/review?queue=label")
    }
    assert seen == {"/review?queue=review": "near", "/review?queue=label": "label"}
    assert "Nothing waits here" in ann.get("/review?queue=second").text
    assert ann.get("/review?queue=x&order=y&segment=&scores=&trail=").status_code == 200


def _released(service, client, path):
    found = client.get(path)
    for case in service.store.cases():
        service.store.release(case.id, "ann")
    return found


def test_what_differs_between_candidates_stands_beside_them(service):
    """By hand: no candidate has "sale", the second lacks "red", the third has another code."""
    titles = ("Kettle red AK-100", "Kettle AK-100", "Kettle red AK-200")
    found = [{"item_id": f"x{n}", "item": title} for n, title in enumerate(titles)]
    one = decided(query={"title": "kettle red AK-100 sale", "shop": "north"}, candidates=found)
    case = type("Case", (), {"decision": one, "reason": "review", "label": None})
    view = _shower(service).view(case, scores=False)
    assert [(s.text, s.kind) for s in view.query] == [
        ("kettle red AK-100 ", "same"), ("sale", "only"),
    ]  # fmt: skip
    assert [row.lacks for row in view.rows] == [[], ["red"], []]
    assert [[c.item for c in row.marked.conflicts] for row in view.rows] == [[], [], ["200"]]
    assert view.columns == {"shop": "north"}


def test_a_suspected_label_is_among_the_candidates_and_may_be_wrong(service, ann):
    service.store.log([decided("label", decision="label")], labels=["i7"])
    page = ann.get("/review")
    found = Parsed(page.text)
    assert "Is the label right?" in found.words
    values = [b["value"] for b in found.buttons if b.get("name") == "item"]
    assert values == ["i0", "i1", "i2", "i7"]
    assert service.live.rows(["i7"])["i7"]["title"] in found.words
    assert any(b.get("data-key") == "w" for b in found.buttons)
    answer(page, ann, answer="label_wrong")
    assert given(service) == [("ann", "label_wrong", None)]
    ask(service, "kettle red")
    assert 'data-key="w"' not in ann.get("/review").text


# Searching.


def test_the_catalogue_is_searched_and_a_found_item_chosen(service, ann):
    ask(service, "kettle red")
    page = ann.get("/review")
    path = Parsed(page.text).form("/review/cases/")[0].split("?")[0]
    wanted = service.live.rows(["i123"])["i123"]["title"]
    for headers in (PARTIAL, {}):
        found = ann.get(f"{path}/search", params={"q": wanted}, headers=headers)
        assert ('id="case"' in found.text) == (not headers)
        values = [
            b["value"]
            for b in Parsed(found.text).buttons
            if b.get("form") == "verdict" and "item" in b.values()
        ]
        assert "i123" in values
    answer(page, ann, item="i123")
    assert given(service) == [("ann", "item", "i123")]
    assert ann.get(f"{path}/search", params={"q": "  "}, headers=PARTIAL).text.strip() == ""


# Any text.


def test_text_of_any_script_is_shown_whole(service, ann):
    ask(service, *SCRIPTS)
    for case in service.store.cases():
        shown = Parsed(ann.get(f"/review/cases/{case.id}").text).words
        assert case.decision.query["title"] in shown


def test_markup_and_control_characters_are_shown_as_text(service, ann):
    odd = 'i"<\x01&\n%2F é'
    text = f"{HOSTILE} \x00\x1b[31m\u202egnp.exe"
    candidates = [{"item_id": odd, "item": text, "score": 1.0, "confidence": 0.1}]
    row = {"title": text, HOSTILE: HOSTILE}
    service.store.log([decided(HOSTILE, query=row, candidates=candidates, item_id=odd)])
    page = ann.get("/review")
    found = Parsed(page.text)
    assert HOSTILE in found.text
    assert {tag for tag, _ in found.tags} & {"img"} == set()
    assert not set("\x00\x1b\x01\u202e") & set(page.text)
    button = next(b for b in found.buttons if b.get("name") == "item")
    assert button["value"] == quote(odd, safe="")
    assert answer(page, ann, item=button["value"]).status_code == 303
    assert given(service) == [("ann", "item", odd)]


# How the service does.


def test_the_dashboard_counts_the_week(service, ann, app):
    bob = enter(app, service.store.create_key("bob", "reviewer"))
    now = service.store.clock()
    accepted = [
        decided(f"a{n}", at=now, decision="accept", audited=n < 4, audit_probability=0.5,
                policy=service.live.policy_id)
        for n in range(30)
    ]  # fmt: skip
    service.store.log([*accepted, *(decided(f"r{n}", at=now) for n in range(10))])
    service.store.log([decided("old", at=now - 8 * 86_400, decision="accept")])
    service.store.set("second_opinion", 1.0)
    for who in ("ann", "bob"):
        for case in service.store.cases(queue="audit" if who == "ann" else "second"):
            service.verdict(case.id, reviewer=who, kind="item", item_id="i0", seconds=30.0)
    service.set("audit_rate", 0.5, reason="a <b>new</b> shop", by="ann")
    words = Parsed(bob.get("/dashboard").text).words
    assert "75.0 % 30 of 40 queries" in words
    assert "75 % of this week's queries were accepted automatically" in words
    policy = service.live.policy
    assert f"{policy.errors} wrong of {policy.accepted} labels" in words
    assert "live precision 100.0 %" in words
    assert "at any time; 4 audits" in words
    assert "cases waiting 10" in words
    assert "4 min 8 cases, 30 s each" in words
    assert "saved, 7 days 15 min" in words
    assert "said the same of 100 %: too alike" in words
    assert "audit rate 0.5 a <b>new</b> shop ann" in words


def test_an_empty_service_has_a_dashboard(ann):
    words = Parsed(ann.get("/dashboard").text).words
    assert "No query has come in this week" in words
    assert "no audit is judged yet" in words


def test_a_stopped_service_says_why(service, ann):
    service.set("stopped", "the audits speak against it", reason="by hand")
    words = Parsed(ann.get("/dashboard").text).words
    assert "Nothing is accepted at present The audits speak against it." in words


def test_what_a_target_costs(service, ann):
    asked = {"minutes": "2", "wage": "30", "error": "10,0"}
    assert "What does a target cost?" in ann.get("/costs").text
    refused = ann.get("/costs", params=asked)
    assert refused.status_code == 422
    assert "0 verdicts of people" in Parsed(refused.text).words
    # Of four answers to review, the two surest are right: as in the example of `decide.costs`.
    ask(service, *"abcd")
    for n, confidence in enumerate((0.9, 0.8, 0.2, 0.1)):
        one = decided(f"c{n}", confidence=confidence)
        service.store.log([one])
        (case,) = [c for c in service.store.cases() if c.decision.id == one.id]
        kind, item = ("item", "i0") if n < 2 else ("none", None)
        service.verdict(case.id, reviewer="ann", kind=kind, item_id=item, seconds=6.0)
    found = Parsed(ann.get("/costs", params=asked).text).words
    assert "500 for 1,000 queries: 500 of them reviewed in 16.7 hours, and 0.0 accepted" in found
    wrong = ann.get("/costs", params={**asked, "wage": "-1"})
    assert wrong.status_code == 422
    assert "Wage is -1.0" in wrong.text


# When something is wrong.


def test_unknown_things_are_not_found(ann):
    for path in ("/review/cases/none", "/review/cases/none/search?q=a", "/static/none"):
        assert ann.get(path).status_code == 404
    assert ann.get("/static/..%2fpages.py").status_code == 404


def test_a_database_that_is_away_is_a_page_that_says_so(service, ann, monkeypatch):
    ask(service, "kettle red")
    page = ann.get("/review")

    def away(*_, **__):
        raise Unavailable("no connection")

    monkeypatch.setattr(service.store, "verdict", away)
    found = answer(page, ann, PARTIAL, answer="none")
    assert found.status_code == 503
    assert "Nothing was changed" in found.text
    assert "<html" not in found.text
