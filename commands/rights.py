"""`unefois citizen export` and `erase`: the rights of a person. Each needs a reason, which goes to the journal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import (
    HUB_TOML,
    AsJson,
    By,
    Config,
    Reason,
    fail,
    justified,
    known_connection,
    print_json,
    show_rows,
    with_hub,
)

if TYPE_CHECKING:
    from hub.privacy.rights import Rights
    from hub.wiring import Hub

Tenant = Annotated[str, typer.Option(help="Whose citizen this is.")]
Reference = Annotated[str, typer.Option(metavar="SYSTEM:ID", help="What a system calls the person.")]
Client = Annotated[str, typer.Option(help="With --ref: the client that calls the person so.")]
Ref = Annotated[str, typer.Option(help="The reference that the hub gave to that client.")]


def citizen_export(
    tenant: Tenant, reference: Reference = "", client: Client = "", ref: Ref = "",
    out: Annotated[Path | None, typer.Option(help="A new folder for person.json and person.html.")] = None,
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """All that the hub holds or knows about one person, as data and as a readable page (RGPD art. 15)."""
    from hub.privacy.export_page import person_page

    if (out is None) == (not as_json):
        fail("give --out FOLDER, or --json")
    if out is not None and out.exists():
        fail(f"{out} is there already")

    def act(hub: Hub) -> tuple[dict[str, Any], str]:
        rights = _rights(hub)
        export = rights.export(tenant, _found(rights, tenant, reference, client, ref), justified(by, reason))
        return export, person_page(export, hub.registry, hub.settings.retention)

    export, page = with_hub(config, act)
    if out is None:
        print_json(export)
        return
    _write(out, export, page)
    typer.echo(f"Written to {out}: person.json, person.html. Hand them over, then delete them.")


def citizen_erase(
    tenant: Tenant, reference: Reference = "", client: Client = "", ref: Ref = "",
    check: Annotated[bool, typer.Option("--check", help="Only say what stands against it.")] = False,
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Forget one person, as far as the law lets it (RGPD art. 17); past recipients are told. Name nobody in the reason:
    it stays."""
    from hub.privacy.rights import Erased, ErasureRefused

    def act(hub: Hub) -> Erased | list[str]:
        rights = _rights(hub)
        who = _found(rights, tenant, reference, client, ref)
        if check:
            return rights.obstacles(tenant, who)
        try:
            return rights.erase(tenant, who, justified(by, reason))
        except ErasureRefused as refused:
            return list(refused.obstacles)

    done = with_hub(config, act)
    if isinstance(done, Erased):
        outcome = {"gone": dict(done.deleted), "told": done.recipients_told, "stays": list(done.remaining)}
        lines = ["Effacé.", *(f"  reste : {one}" for one in done.remaining)]
    else:
        outcome = {"obstacles": done}
        lines = [f"  {one}" for one in done] or ["Rien ne s'oppose à l'effacement."]
        lines = (["L'effacement n'est pas possible :"] if done else []) + lines
    print_json(outcome) if as_json else typer.echo("\n".join(lines))
    raise typer.Exit(1 if isinstance(done, list) and done else 0)


def citizen_pending(
    connection: Annotated[str, typer.Argument(metavar="CONNECTION", help="The package, written tenant.name.")],
    native_id: Annotated[str, typer.Argument(metavar="ID", help="What the package calls the person.")],
    erase: Annotated[bool, typer.Option("--erase", help="Forget it, instead of showing it.")] = False,
    reason: Reason = "", by: By = "", config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """What a first load left of somebody of whom the hub knows nothing: shown, or erased (RGPD art. 15, 17 and 21)."""
    decider = justified(by, reason)

    def act(hub: Hub) -> dict[str, Any]:
        known_connection(hub, connection)
        if not erase:
            return _rights(hub).read_pending(connection, native_id, decider)
        _rights(hub).erase_pending(connection, native_id, decider)
        return {"erased": True}

    found = with_hub(config, act)
    if as_json:
        print_json(found)
    elif erase:
        typer.echo("Effacé. Le prochain chargement le redira, si le logiciel le nomme encore.")
    else:
        show_rows([found], as_json=False, one=True)


# --- inside -------------------------------------------------------------------------------------------------------


def _rights(hub: Hub) -> Rights:
    from hub.exchanges.stored_evidence import HeldEvidence
    from hub.privacy.rights import Rights

    return Rights(
        ledger=hub.ledger, acceptance=hub.acceptance, people=hub.people, journal=hub.journal,
        held=HeldEvidence(hub.keys), documents=hub.documents, retention=hub.settings.retention,
        corrections=hub.corrections, pending=hub.pending,
    )  # fmt: skip


def _found(rights: Rights, tenant: str, reference: str, client: str, ref: str) -> str:
    system, _, native = reference.partition(":")
    if bool(reference) == bool(client or ref) or (reference and not native) or bool(client) != bool(ref):
        fail("name the person by --reference SYSTEM:ID, or by --client and --ref")
    if reference:
        return rights.find_citizen_id(tenant, reference=(system, native))
    return rights.find_citizen_id(tenant, client=client, ref=ref)


def _write(out: Path, export: dict[str, Any], page: str) -> None:
    """Readable for whoever runs the command alone."""
    import json

    out.mkdir(parents=True, mode=0o700)
    for name, text in (("person.json", json.dumps(export, ensure_ascii=False, indent=2) + "\n"), ("person.html", page)):
        path = out / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
