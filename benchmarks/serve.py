"""The service beside the bare call and beside the least that a server can do, in one run.

    python benchmarks/serve.py ARTIFACT
    python benchmarks/serve.py ARTIFACT --requests 2000 --clients 1 16 64

ARTIFACT is the folder of a calibrated run on texts. Three answer the same offers, one a request:
`Retriever.match`, called in this process; `thresher serve`, with its log on the disk; and a FastAPI
handler that only encodes and searches with FAISS. For each number of clients: p50 and p99 in
milliseconds, requests a second, and the processor time of the server for each request, which other
work on the machine changes less. Clients are threads of this process with one connection each;
after their bounded number of requests the servers are ended.
"""

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from thresher.data.bundled import bundled
from thresher.data.tables import read_table

TOP = 5


def titles(count: int, seed: int = 0) -> list[str]:
    """Titles of the bundled set with two letters swapped, so that hardly any is known."""
    given = read_table(bundled("pricerunner") / "queries.parquet")["title"].to_pylist()
    draw = np.random.default_rng(seed)
    made = []
    for title in draw.choice(given, count):
        at = int(draw.integers(max(len(title) - 1, 1)))
        made.append(title[:at] + title[at : at + 2][::-1] + title[at + 2 :])
    return made


def minimal(artifact: Path) -> None:
    """A server that encodes and searches, and no more."""
    import faiss
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    from thresher.retriever import Retriever

    class Asked(BaseModel):
        queries: str

    model = Retriever.open(artifact)
    index = faiss.IndexFlatIP(model.catalogue.index.vectors.shape[1])
    index.add(np.ascontiguousarray(model.catalogue.index.vectors))
    ids = model.items["id"].to_pylist()
    faiss.omp_set_num_threads(1)
    app = FastAPI()

    @app.post("/v1/match")
    def match(asked: Asked):
        scores, rows = index.search(model.encode([asked.queries]), TOP)
        return [
            {"item_id": ids[row], "score": float(score)}
            for row, score in zip(rows[0], scores[0], strict=True)
        ]

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets=sockets)
            port = self.servers[0].sockets[0].getsockname()[1]
            print(f"minimal: http://127.0.0.1:{port}", flush=True)

    Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False)).run()


class Started:
    """A server in a process of its own."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        found = re.search(r"127\.0\.0\.1:(\d+)", self.process.stdout.readline())
        self.port = int(found[1])

    def seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def under_load(server: Started, texts: list[str], clients: int) -> dict[str, float]:
    """Milliseconds and requests a second of so many clients that share the texts."""
    taken, failed = [], []

    def work(own: list[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for text in own:
            began = time.perf_counter()
            body = json.dumps({"queries": text})
            connection.request("POST", "/v1/match", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            taken.append(time.perf_counter() - began)
            if response.status != 200:
                failed.append(answer)
        connection.close()

    threads = [threading.Thread(target=work, args=(texts[i::clients],)) for i in range(clients)]
    began, before = time.perf_counter(), server.seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failed:
        raise SystemExit(f"{len(failed)} requests failed, such as {failed[0]!r}")
    return row(taken, len(texts) / seconds, (server.seconds() - before) / len(texts))


def row(taken: list[float], rate: float, processor: float) -> dict[str, float]:
    milliseconds = np.array(taken) * 1e3
    return {
        "p50": float(np.quantile(milliseconds, 0.5)),
        "p99": float(np.quantile(milliseconds, 0.99)),
        "rate": rate,
        "processor": processor * 1e3,
    }


def bare(artifact: Path, texts: list[str]) -> dict[str, float]:
    """`Retriever.match` of one text at a time."""
    from thresher.retriever import Retriever

    model = Retriever.open(artifact)
    for text in texts[:20]:
        model.match([text], TOP)
    taken = []
    began, before = time.perf_counter(), time.process_time()
    for text in texts:
        start = time.perf_counter()
        model.match([text], TOP)
        taken.append(time.perf_counter() - start)
    seconds, processor = time.perf_counter() - began, time.process_time() - before
    return row(taken, len(texts) / seconds, processor / len(texts))


def compare(
    artifact: Path, texts: list[str], clients: list[int]
) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Of both servers and each number of clients what `row` gives."""
    with tempfile.TemporaryDirectory() as folder:
        run = "from thresher.cli.main import main; main()"
        database = str(Path(folder, "reviews.db"))
        served = ["serve", str(artifact), "--port", "0", "--database", database]
        commands = {
            "thresher serve": [sys.executable, "-c", run, *served],
            "encode + FAISS only": [sys.executable, __file__, str(artifact), "--minimal"],
        }
        servers = {name: Started(command) for name, command in commands.items()}
        try:
            for many in clients:
                for name, server in servers.items():
                    under_load(server, texts[: 4 * many], many)
                    yield name, many, under_load(server, texts, many)
        finally:
            for server in servers.values():
                server.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--minimal", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.minimal:
        minimal(given.artifact)
        return
    texts = titles(given.requests)
    line = "{:<22}{:>8}{:>9.1f}{:>9.1f}{:>12.0f}{:>14.2f}"
    print(f"{'':<22}{'clients':>8}{'p50 ms':>9}{'p99 ms':>9}{'requests/s':>12}{'processor ms':>14}")
    print(line.format("Retriever.match", 1, *bare(given.artifact, texts).values()))
    for name, clients, found in compare(given.artifact, texts, given.clients):
        print(line.format(name, clients, *found.values()), flush=True)


if __name__ == "__main__":
    main()
