"""The guard over a real store: verdicts tighten or stop, once, and a webhook hears of it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from thresher.errors import InputError
from thresher.review import Decided
from thresher.serve import guarding
from thresher.serve.options import ServiceOptions


def audits(service, rights, *, confidence=0.9, kind="none"):
    """As many accepted and audited answers, some right, all judged by ann."""
    live, store = service.live, service.store
    store.log(
        [
            Decided(
                at=store.clock(),
                query_id=str(i),
                query={"title": "x"},
                item_id="i1",
                confidence=confidence,
                decision="accept",
                policy=live.policy_id,
                threshold=live.policy.accept_at,
                audit_probability=0.1,
                audited=True,
            )
            for i in range(len(rights))
        ]
    )
    for case, right in zip(store.cases("audit", limit=1000), rights, strict=True):
        said = {"kind": "item", "item_id": "i1"} if right else {"kind": kind}
        store.verdict(case.id, reviewer="ann", **said)


@pytest.fixture
def hook():
    """An address, and the messages that were posted to it."""
    told, came = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()
            came.set()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/alert", told, came
    server.shutdown()
    server.server_close()
    thread.join()


def test_right_answers_keep_the_threshold(service):
    audits(service, [True] * 60)
    action = service.look()
    assert (action.kind, action.live.audits) == ("keep", 60)
    assert service.rules().stopped is None
    assert service.store.events("guard") == []


def test_many_errors_stop_accepting_and_say_why_once(open_service, hook, offers):
    url, told, came = hook
    service = open_service(audit_rate=0.0, webhook=url)
    audits(service, [False] * 20)
    for _ in range(200):  # the keeper may have looked already
        service.look()
        if service.rules().stopped:
            break
    assert "were wrong" in service.rules().stopped
    assert {one.decision for one in service.match(offers)} == {"review"}
    assert came.wait(20)
    assert [one["event"] for one in told] == ["stop"]
    assert told[0]["reason"] == service.rules().stopped
    assert service.look() is None
    assert len(service.store.events("guard")) == 1
    again = open_service(audit_rate=0.0)
    assert again.rules().stopped == service.rules().stopped
    again.set("guard", None, reason="the queue was wrong")
    assert again.rules().stopped is None
    audits(again, [True])  # what stood against it before is not counted again
    again.look()
    assert again.rules().stopped is None


def test_what_the_guard_did_ends_with_its_policy(service):
    service.store.set("guard", {"policy": "another", "stopped": "wrong", "threshold": 0.99})
    service.refresh()
    assert service.rules().stopped is None
    assert service.rules().threshold is None


def test_a_raised_threshold_holds_for_what_comes_after(service, offers):
    told = {"policy": service.live.policy_id, "at": 0.0, "threshold": 0.999, "stopped": None}
    service.set("guard", told, reason="audits")
    decided = service.match(offers)
    assert service.rules().threshold == 0.999
    assert all(one.confidence >= 0.999 for one in decided if one.decision == "accept")


def test_who_is_not_sure_leaves_it_to_a_second_person(service):
    audits(service, [False] * 20, kind="not_sure")
    assert service.look().live.audits == 0
    for case in service.store.cases("second", limit=100)[:5]:
        service.store.verdict(case.id, reviewer="bob", kind="not_sure")
    assert guarding.guarded(service.live, service.store).live.audits == 5


def test_audits_of_another_policy_or_a_machine_do_not_count(service):
    store = service.store
    audits(service, [True] * 3)
    one = store.decisions(decision="accept")[0]
    store.log([Decided(**{**one.__dict__, "id": "0" * 32, "policy": "old"})])
    store.verdict(store.cases("audit")[0].id, reviewer="ann", kind="none")
    store.log([Decided(**{**one.__dict__, "id": "1" * 32})])
    store.verdict(store.cases("audit")[0].id, reviewer="m", kind="none", source="model")
    assert service.look().live.audits == 3


def test_a_webhook_that_is_away_holds_nothing_up(caplog):
    guarding.tell("http://127.0.0.1:9/none", {"event": "stop"})
    for thread in threading.enumerate():
        if thread.name == "webhook":
            thread.join(20)
    assert "cannot be told" in caplog.text


@pytest.mark.parametrize("url", ["file:///etc/passwd", "example.org"])
def test_a_webhook_is_an_address_of_the_web(url):
    with pytest.raises(InputError, match="https://"):
        ServiceOptions(webhook=url)
