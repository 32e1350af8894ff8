"""`unefois register …`, and what `check` and `client show` say of grants."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import HUB_TOML, Config

if TYPE_CHECKING:
    from hub.exchanges.grants import Grant, Granted
    from hub.settings.model import HubSettings
    from schemas.fault import Fault

register_app = typer.Typer(no_args_is_help=True, help="Registers of processing and flow sheets, from the declarations.")


@register_app.command("export")
def register_export(
    out: Annotated[Path, typer.Option(help="The folder to write into; made when missing.")],
    tenant: Annotated[str, typer.Option(help="Only this tenant's register and sheets.")] = "",
    config: Config = HUB_TOML,
) -> None:
    """Write the registers of RGPD art. 30 and one flow sheet for each connection and client. Needs no database."""
    import os

    from hub.exchanges.grants import Grants, grant_vocabulary
    from hub.privacy.registers import Declared, write_registers
    from hub.settings import procedures
    from hub.settings.reading import load_settings
    from hub.wiring import installed
    from schemas.errors import ConfigError
    from schemas.registry import Registry

    manifests, registry = installed(config), Registry.load()
    settings = load_settings(config, os.environ, manifests)
    if tenant and tenant not in settings.tenants:
        raise ConfigError(f"no tenant {tenant!r} in the settings", key="tenants")
    catalogue = procedures.load_procedures(settings.procedures_dir)
    grants = Grants.load(settings.grants_dir, grant_vocabulary(settings, catalogue, registry.schemas, manifests))
    declared = Declared(settings, manifests, catalogue, registry, grants.all(), date.today())  # noqa: DTZ011
    for path in write_registers(declared, out, tenant):
        typer.echo(str(path))


def grant_faults(config: Path, environ: Mapping[str, str]) -> list[Fault]:
    """The faults of the grants that a settings file names, however faulty that file is itself; when there are none,
    what should be looked at."""
    from hub.exchanges import grants
    from hub.settings import procedures
    from hub.settings.reading import readable_settings
    from hub.wiring import installed
    from schemas.errors import HubError
    from schemas.registry import Registry

    settings = readable_settings(config, environ, installed(config))
    if settings is None or settings.grants_dir is None or not settings.grants_dir.is_dir():
        return []
    slugs = procedures.procedure_slugs(settings.procedures_dir)
    known = grants.grant_vocabulary(settings, slugs, Registry.load().schemas, installed(config))
    found = grants.grant_file_faults(settings.grants_dir, known)
    if found:
        return found
    declared = grants.Grants.load(settings.grants_dir, known).all()
    found = list(grants.grant_warnings(declared, known, date.today()))  # noqa: DTZ011
    with contextlib.suppress(HubError):  # no database here: whether the clients exist is told where there is one
        found += grants.unknown_client_warnings(declared, dict(_clients(settings)))
    return found


def grant_rows(grants: list[Grant]) -> list[dict[str, Any]]:
    """Grants as data, for `client show --json`."""
    return [
        {
            "id": grant.id, "purpose": grant.purpose, "of_tenant": grant.of_tenant, "ground": grant.ground,
            "article": grant.article, "starts": grant.starts.isoformat(), "ends": grant.ends.isoformat(),
            "procedures": list(grant.procedures), "askers": sorted(grant.askers), "assurance": grant.assurance,
            "explicit_request": grant.explicit_request, "preview": grant.preview, "rate": grant.rate,
            "retention_days": grant.retention_days, "compatible_with": grant.compatible_with,
            "account": grant.account,
            "evidence": {name: _evidence(granted) for name, granted in grant.evidence.items()},
        }
        for grant in grants
    ]  # fmt: skip


def grant_lines(grant: Grant) -> Iterator[str]:
    """A grant in plain words, a few lines."""
    yield f"{grant.id}: {grant.purpose}"
    between = "" if grant.of_tenant == grant.tenant else f" to {grant.tenant}, another controller"
    for granted in grant.evidence.values():
        age = f"a stored value of {granted.max_age.days} day(s) at most" if granted.max_age else "the source each time"
        right = granted.authorisation
        under = f"; authorisation {right.number} until {right.expires}" if right else ""
        yield f"  of {grant.of_tenant}{between}: {granted.type} ({', '.join(granted.fields)}); {age}{under}"
        if granted.sensitive:
            yield f"  sensitive: {granted.sensitive}"
    if grant.account:
        yield f"  of {grant.of_tenant}: a signed-in person's own requests of all channels, to read and to complete"
    slugs, askers = ", ".join(grant.procedures) or "all procedures", " or ".join(sorted(grant.askers))
    yield f"  for {slugs}; asked by {askers}, from {grant.assurance}"
    wants = [name for name, on in (("explicit request", grant.explicit_request), ("preview", grant.preview)) if on]
    yield f"  ground {grant.ground}, RGPD {grant.article}{''.join(f'; {want} first' for want in wants)}"
    kept = "shown, not kept" if grant.account else f"kept {grant.retention_days} days"
    yield f"  from {grant.starts} to {grant.ends}, {grant.rate} a minute; {kept}"


def _evidence(granted: Granted) -> dict[str, Any]:
    right = granted.authorisation
    return {
        "version": granted.version, "fields": list(granted.fields), "max_age_days": granted.max_age.days,
        "sensitive": granted.sensitive,
        "authorisation": right
        and {"number": right.number, "scopes": list(right.scopes), "expires": right.expires.isoformat()},
    }  # fmt: skip


def _clients(settings: HubSettings) -> Iterator[tuple[str, tuple[str, bool]]]:
    from bus.ledger import Ledger
    from hub.clients import repository as clients
    from hub.storage.migrations import upgrade
    from schemas.errors import BusUnavailable

    place = settings.database.removeprefix("sqlite:///")
    if place != settings.database and not Path(place).is_file():  # to look must make nothing
        raise BusUnavailable("there is no database yet")
    ledger = Ledger(settings.database, tls=settings.tls_database)
    try:
        if not upgrade.current(ledger):
            raise BusUnavailable("the database has another form")
        with ledger.reading() as tx:
            for client in clients.list_clients(tx):
                yield client.id, (client.tenant, not client.disabled)
    finally:
        ledger.close()
