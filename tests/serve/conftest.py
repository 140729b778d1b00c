"""The small shop behind a service, with a store of its own."""

import pytest
from starlette.testclient import TestClient

from oracles.shop import trained
from thresher.data.tables import read_table
from thresher.review import Store
from thresher.serve.app import create_app
from thresher.serve.options import ServiceOptions
from thresher.serve.service import Service

HERE = "http://127.0.0.1"


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    return trained(tmp_path_factory)


@pytest.fixture(scope="session")
def offers(shop):
    """Offers as clients send them."""
    rows = read_table(shop / "queries.csv").slice(0, 60).to_pylist()
    return [{"id": row["id"], "title": row["title"]} for row in rows]


@pytest.fixture
def open_service(shop, tmp_path):
    """Opens services over one store, with options; closes them."""
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    opened = []

    def opens(folder=shop / "model", **options):
        opened.append(Service(folder, store, ServiceOptions(**options)))
        return opened[-1]

    yield opens
    for service in opened:
        service.close()
    store.close()


@pytest.fixture
def service(open_service):
    return open_service(audit_rate=0.0)


@pytest.fixture
def client(service):
    with TestClient(create_app(service), base_url=HERE) as opened:
        yield opened
