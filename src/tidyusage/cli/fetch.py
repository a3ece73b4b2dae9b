"""The command `fetch`."""

from __future__ import annotations

from typing import Annotated

import typer

from tidyusage.cli.console import plainly
from tidyusage.typing import Every, Partial, RemoteData  # noqa: TC001 - typer reads them

_EXAMPLES = (
    "fetch --account 3f0c… --since 2026-01-01 --into usage/",
    "fetch --account 3f0c… --account 77ab… --report cost --report user_usage --into usage/",
    "fetch --account 3f0c… --since 2026-01-01 --every 1d --into usage/ && tidyusage cost usage/",
)


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    lines = (f"`tidyusage {line}`" for line in _EXAMPLES)
    app.command(epilog="\n\n".join(["**Examples**", *lines]))(fetch)


def fetch(
    *,
    into: Annotated[str, typer.Option("--into", metavar="FOLDER", help="Where the pages land.")],
    account: Annotated[
        list[str] | None,
        typer.Option("--account", help="The integrated account; may be given several times."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="2026-01-01", help="The first day asked of the service."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="2026-02-01",
            help="The day after the last, asked of the service; today by default.",
        ),
    ] = None,
    report: Annotated[
        list[str] | None,
        typer.Option("--report", help="A report type; may be given several times."),
    ] = None,
    product: Annotated[list[str] | None, typer.Option("--product", help="A product's id.")] = None,
    user: Annotated[list[str] | None, typer.Option("--user", help="A user's id.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", help="A model's id.")] = None,
    surface: Annotated[
        list[str] | None, typer.Option("--surface", help="A surface, such as cli.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A parameter by the service's name."),
    ] = None,
    every: Annotated[
        Every | None, typer.Option("--every", help="Ask for each day or month on its own.")
    ] = None,
    lookback: Annotated[
        int, typer.Option("--lookback", min=0, help="Days that a later fetch asks for again.")
    ] = 30,
    partial: Annotated[
        Partial, typer.Option("--partial", help="A page that the service calls partial.")
    ] = "raise",
    remote_data: Annotated[
        RemoteData, typer.Option("--remote-data", help="The vendor's raw object.")
    ] = "drop",
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="The service's address.")
    ] = None,
) -> None:
    """Fetch records from the API into a folder; what was fetched before is gone on with.

    The token is that of the environment variable TRUTO_API_TOKEN, else the password that the netrc
    file has for the host.
    """
    from tidyusage.api import fetch_usage
    from tidyusage.api.plan import BASE_URL

    with plainly():
        before = _pages(into)
        fetch_usage(
            integrated_account_id=account,
            start_date=since,
            end_date=until,
            report_type=report,
            product_ids=product,
            user_ids=user,
            model_ids=model,
            surfaces=surface,
            params=_pairs(param or []),
            every=every,
            lookback=lookback,
            partial=partial,
            remote_data=remote_data,
            base_url=BASE_URL if base_url is None else base_url,
            into=into,
        )
        landed = {file: count for file, count in _pages(into).items() if file not in before}
        typer.echo(
            f"{sum(landed.values()):,} records on {len(landed):,} pages landed in {into}", err=True
        )


def _pages(into: str) -> dict[str, int]:
    """Return the pages that a folder has, with how many records are on each."""
    from tidyusage.io import fetch_manifest

    return {page.file: page.records for run in fetch_manifest.read(into) for page in run.pages}


def _pairs(params: list[str]) -> dict[str, list[str] | str]:
    """Return parameters of texts such as ``bucket=day``; of a name given twice, all values."""
    found: dict[str, list[str] | str] = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is no NAME=VALUE.", param_hint="--param")
        before = found.get(name)
        if name.endswith("[]") or before is not None:
            found[name] = [*([before] if isinstance(before, str) else before or []), value]
        else:
            found[name] = value
    return found
