"""`thresher serve` and `thresher keys`: the service, and who may call it."""

import contextlib
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thresher.errors import InputError

if TYPE_CHECKING:
    from thresher.review import Store
    from thresher.serve.service import Service

keys = typer.Typer(help="API keys of the service.", no_args_is_help=True)

Database = Annotated[
    str | None,
    typer.Option(
        envvar="THRESHER_DATABASE",
        help="SQLite file, or URL such as postgresql://user@host/database.",
    ),
]
NeededDatabase = Annotated[
    str,
    typer.Option(envvar="THRESHER_DATABASE", help="The service's database: a file, or its URL."),
]


def add_serving(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(serve)
    app.add_typer(keys, name="keys")


def serve(
    artifact: Annotated[Path, typer.Argument(help="Folder that `thresher train` wrote.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    database: Database = None,
    audit_rate: Annotated[
        float, typer.Option(help="Share of accepted answers that a person sees all the same.")
    ] = 0.02,
    second_opinion: Annotated[
        float | None,
        typer.Option(help="Share of cases that a second person judges; as before, or 0.05."),
    ] = None,
    max_changed_items: Annotated[
        int | None,
        typer.Option(
            help="Items changed since certification beyond which nothing is accepted; else 1 %."
        ),
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(help="URL to notify when the guard tightens or stops.")
    ] = None,
) -> None:
    """Answer queries over HTTP, accept what is certain, and give people the rest to review."""
    with _needs_extra():
        import uvicorn

        from thresher.artifact import Artifact
        from thresher.serve.app import create_app
        from thresher.serve.options import ServiceOptions
        from thresher.serve.security import check_host
        from thresher.serve.service import Service
    options = ServiceOptions(
        audit_rate=audit_rate,
        second_opinion=second_opinion,
        max_changed_items=max_changed_items,
        webhook=webhook,
    )
    Artifact.open(artifact)  # before a database is made beside what is none
    if database == "":
        raise InputError("the database is empty text; give a file, a URL, or leave --database out")
    typer.echo(f"opening {artifact} ...", err=True)
    # Beside the artifact: what is inside it is replaced as a whole.
    beside = artifact.with_name(f"{artifact.resolve().name}.reviews.db")
    with _opened(database or str(beside)) as store:
        check_host(host, store)
        service = Service(artifact, store, options)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: _reload(service))
        config = uvicorn.Config(
            create_app(service), host=host, port=port, log_level="warning", access_log=False
        )

        class Server(uvicorn.Server):
            """Says where it listens once it does."""

            async def startup(self, sockets: Any = None) -> None:
                await super().startup(sockets=sockets)
                if self.started:
                    own = self.servers[0].sockets[0].getsockname()
                    name = f"[{own[0]}]" if ":" in own[0] else own[0]
                    print(f"review: http://{name}:{own[1]}/review", flush=True)

        server = Server(config)
        with contextlib.suppress(SystemExit):  # which it raises where it cannot listen
            server.run()
        if not server.started:
            service.close()
            raise InputError(f"{host}:{port} cannot be listened on; give another --port")


def _reload(service: "Service") -> None:
    """Reload beside the requests that are answered; an artifact that is refused changes nothing."""

    def run() -> None:
        try:
            service.reload()
        except InputError as error:
            typer.echo(f"not reloaded: {error}", err=True)

    threading.Thread(target=run, name="reload", daemon=True).start()


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Of the client or reviewer.")],
    database: NeededDatabase,
    role: Annotated[str, typer.Option(help="client, reviewer or admin.")] = "client",
) -> None:
    """Make a key; its secret is printed this once."""
    with _opened(database) as store:
        print(store.create_key(name, role))


@keys.command("list")
def show(database: NeededDatabase) -> None:
    """Show all keys, without their secrets."""
    with _there(database) as store:
        for key in store.keys():  # noqa: SIM118 - no mapping
            ended = "  revoked" if key.revoked_at is not None else ""
            print(f"{key.id}  {key.role:<8}  {key.name}{ended}")


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="As `thresher keys list` shows it.")],
    database: NeededDatabase,
) -> None:
    """End a key; a service that runs knows it no longer within two seconds."""
    with _there(database) as store:
        store.revoke(key_id)


def _there(database: str) -> "Store":
    from thresher.jobs.reviews import open_store

    return open_store(database)


def _opened(database: str) -> "Store":
    with _needs_extra():
        from thresher.review import Store, Unavailable
    try:
        return Store.open(database if "://" in database else f"sqlite:///{database}")
    except Unavailable as error:
        raise InputError(f"{database}: {error}") from None


class _needs_extra:  # noqa: N801 - reads as a statement
    """InputError with the line of pip where the packages of the service are missing."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if isinstance(error, ImportError):
            raise InputError(
                f"the service needs the package {error.name}; run `pip install 'thresher[serve]'`"
            ) from error
