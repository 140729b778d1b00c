"""Pages of other sites change nothing, and only this machine's own names are local."""

import pytest
from starlette.testclient import TestClient

from thresher.serve.app import create_app
from thresher.serve.origins import is_local

HERE = "http://127.0.0.1"
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": HERE},
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
    {"Origin": "http://[::1"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_changes_nothing(client, service, headers):
    before = service.live
    for method, path in (
        ("POST", "/v1/admin/reload"),
        ("POST", "/v1/admin/rollback"),
        ("PUT", "/v1/items"),
        ("DELETE", "/v1/items"),
        ("POST", f"/v1/cases/{'0' * 32}/undo"),
        ("POST", f"/v1/cases/{'0' * 32}/release"),
        ("POST", "/review/undo"),
    ):
        response = client.request(method, path, headers=headers)
        assert response.status_code == 403, path
        assert "another site" in response.json()["detail"]
    assert service.live is before
    assert client.get("/v1/policy", headers=headers).status_code == 200


def test_own_pages_other_clients_and_keys_pass(client, service):
    lease = ("/v1/cases/lease",)
    own = [{}, {"Origin": HERE}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
    for headers in own:
        assert client.post(*lease, json={}, headers=headers).status_code == 204
    key = {"Authorization": f"Bearer {service.store.create_key('ops', 'admin')}"}
    with TestClient(create_app(service), base_url=HERE) as asked:
        for headers in FOREIGN:
            assert asked.post(*lease, json={}, headers=headers | key).status_code == 204


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:65535"])
def test_this_machine_has_few_names(host):
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "localhost@evil", "evil@localhost", "[::1", "::1", "localhost:99999", "localhost:0",
        "localhost:", "localhost:8000:1", "127.0.0.1.evil.example", "localhost/", "localhost\n",
        "localhost:\u0661",
    ],
)  # fmt: skip
def test_what_only_looks_like_this_machine_is_refused(client, host):
    assert not is_local(host)
    if host.isascii() and "\n" not in host:
        assert client.get("/v1/policy", headers={"Host": host}).status_code == 403
