"""Requests that schemathesis makes from the OpenAPI description: none is a fault of ours."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from thresher.serve.app import create_app

FEW, MANY = 4, 800  # examples of an operation; some have fewer different ones


def requests_of(client, examples):
    """Call every operation with so many generated requests; the statuses that came back."""
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    seen = []

    def call_often(operation):
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(data=st.data())
        def call(data):
            case = data.draw(operation.as_strategy())
            method, path = case.operation.method.upper(), case.formatted_path
            body = case.body if isinstance(case.body, dict | list) else None
            headers = {k: str(v) for k, v in (case.headers or {}).items() if str(v).isascii()}
            response = client.request(
                method, path, params=case.query or None, json=body, headers=headers
            )
            assert response.status_code < 500, (method, path, case.query, body, response.text)
            if response.status_code >= 400:
                assert response.headers["content-type"] == "application/problem+json"
                assert response.json()["detail"]
            seen.append((path, response.status_code))

        call()

    for result in schema.get_all_operations():
        call_often(result.ok())
    return seen


def check(open_service, examples):
    service = open_service(audit_rate=0.5)
    with TestClient(
        create_app(service), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        client.post("/v1/match", json={"queries": ["kettle"] * 20})
        seen = requests_of(client, examples)
        assert {path for path, status in seen if status == 200} >= {"/v1/match", "/v1/search"}
        # It still answers, and the log is whole.
        assert client.get("/readyz").status_code == 200
        assert client.post("/v1/match", json={"queries": "kettle"}).status_code == 200
    return seen


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_generated_requests_are_answered_or_refused(open_service):
    assert len(check(open_service, FEW)) > 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_ten_thousand_generated_requests(open_service):
    assert len(check(open_service, MANY)) >= 10_000


TEXTS = [
    "Ελληνικά",
    "русский",
    "українська",
    "עברית",
    "العربية",
    "فارسی",
    "हिन्दी",
    "বাংলা",
    "தமிழ்",
    "తెలుగు",
    "ไทย",
    "ລາວ",
    "မြန်မာ",
    "ខ្មែរ",
    "한국어",
    "日本語",
    "中文",
    "አማርኛ",
    "հայերեն",
    "ქართული",
    "😀👩‍👩‍👧‍👦",
    "<script>alert(1)</script>",
    "a\u202eb",
    "\x00\x07\x1b[31m",
    "e\u0301" * 50,
    "'; drop table",
]


def test_text_of_any_script_is_kept_as_it_came(open_service):
    service = open_service()
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        queries = [{"id": f"q{i}", "title": text} for i, text in enumerate(TEXTS)]
        response = client.post("/v1/match", json={"queries": queries})
        assert response.status_code == 200, response.text
        log = client.get("/v1/decisions").json()
    assert [one["query"]["title"] for one in log] == TEXTS
