"""The town of the demo: its packages as twins, its settings file, its hub and gateway."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from connectors.apiparticulier.twin import ApiParticulierTwin
from connectors.etatcivil.twin import CivilStatusTwin
from connectors.filedrop.twin import PackageTwin
from connectors.hubee.twin import HubEETwin
from connectors.iparapheur.twin import ParapheurTwin
from connectors.koha.twin import KohaTwin
from connectors.mail.twin import MailTwin
from connectors.publik.twin import PublikTwin
from demo.reasons import AnsweredNo, one_line, reason_of_answer
from gateway.serving.app import create_app
from gateway.serving.server import serve_in_thread
from hub.clients import repository as clients
from hub.operations.link_import import import_links
from hub.storage.root_key import WrongKey
from hub.wiring import Hub, open_hub
from schemas.errors import ConfigError
from schemas.secret import Secret

TENANT = "saint-aubin"
PUSH_ORIGIN, PUSH_KEY = "demarches.saint-aubin.example", "clef-push-du-jumeau"
CITIZENS = 50
MOVING = ("expected", "received", "started")
TROUBLES = {"refused": "refusé", "parked": "mis de côté", "waiting": "en attente", "held": "retenu"}
_GLANCE, _STILL, _LONGEST = 0.05, 60.0, 900.0  # seconds
ASKERS = {"portail-famille": "Portail famille", "portail-curieux": "Portail sans habilitation"}
QUOTIENT_GRANT = """
[grants.tarif-cantine]
client = "portail-famille"
tenant = "saint-aubin"
purpose = "Calculer le tarif de la cantine"
ground = "L114-8 I"
article = "6.1.e"
starts = 2026-01-01
ends = 2099-12-31
procedures = ["formulaire-qf"]
askers = ["beneficiary"]
assurance = "eidas1"
rate = 60
retention_days = 365

[grants.tarif-cantine.evidence.family-quotient]
fields = ["quotient", "month", "children_count"]
authorisation = { number = "DP-DEMO", scopes = ["cnaf_quotient_familial", "cnaf_enfants"], expires = 2099-12-31 }
"""

MOVE_FORM = {
    "procedure": "changement-adresse",
    "fields": {
        "nom": "/requester/identity/family_name", "prenoms": "/requester/identity/given_names",
        "genre": "/requester/identity/gender", "naissance": "/requester/identity/birthdate",
        "commune_naissance": "/requester/identity/birthplace", "courriel": "/requester/email",
        "menace": "/requester/confidential", "ancienne_voie": "/old_address/street",
        "ancien_code_postal": "/old_address/postal_code", "ancienne_ville": "/old_address/city",
        "numero": "/new_address/house_number", "voie": "/new_address/street",
        "code_postal": "/new_address/postal_code", "ville": "/new_address/city",
        "insee": "/new_address/insee_code", "cle_ban": "/new_address/ban_key", "date": "/effective_on",
    },
    "household": {"block": "foyer", "fields": {"nom": "/identity/family_name", "prenom": "/identity/given_names"}},
}  # fmt: skip
TERRACE_FORM = {
    "procedure": "occupation-domaine-public",
    "fields": {
        "raison_sociale": "/organisation/name", "siret": "/organisation/siret", "courriel": "/organisation/email",
        "lieu": "/form/lieu", "du": "/form/du", "au": "/form/au", "objet": "/form/objet",
    },
}  # fmt: skip


class World:
    """`with World(...) as world:` starts twins, hub and gateway; all of it ends with the block."""

    def __init__(self, *, bus: str = "", database: str = "", port: int = 0) -> None:
        self._bus, self._database, self._port = bus, database, port
        self._stack = ExitStack()
        self.ended: list[Callable[[], None]] = []

    def __enter__(self) -> World:
        enter = self._stack.enter_context
        try:
            self.folder = Path(enter(tempfile.TemporaryDirectory(prefix="unefois-demo-")))
            self.hubee = enter(HubEETwin())
            self.civil = enter(CivilStatusTwin(collecting=True))
            self.publik = enter(PublikTwin())
            self.koha = enter(KohaTwin())
            self.annex = enter(KohaTwin())
            self.family = enter(PackageTwin("family", collecting=True, answering=True))
            self.billing = enter(PackageTwin("billing", collecting=True))
            self.front = enter(PackageTwin("family", collecting=True))
            self.parapheur = enter(ParapheurTwin())
            self.quotients = enter(ApiParticulierTwin())
            self.mail = MailTwin().start()
            self._stack.callback(self.mail.stop)
            self.hub = self._start_hub()
            self._serve()
            self._people()
            self.hub.start_relay()
            self.hub.start_workers()
            self.hub.start_inlet()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return str(self.server.url)

    def until(self, condition: Callable[[], object]) -> bool:
        """Wait for a condition; False when it has not come true and nothing more happens. A slow machine is waited for:
        patience ends only after _STILL seconds in which no delivery moved, or after _LONGEST."""
        began = looked = time.monotonic()
        before = self._standing()
        while not condition():
            now = time.monotonic()
            if now - looked > _STILL:
                looked, standing = now, self._standing()
                if standing == before or now - began > _LONGEST:
                    return False
                before = standing
            time.sleep(_GLANCE)
        return True

    def settle(self) -> bool:
        """Wait until every delivery under way has its outcome in the ledger; those that wait or are parked are not."""
        return self.until(lambda: not self.moving())

    def moving(self) -> int:
        with self.hub.ledger.reading() as tx:
            return sum(states.get(state, 0) for states in tx.counts().values() for state in MOVING)

    def trouble(self, since: float) -> str:
        """The first delivery that has gone wrong since then, with its reason; "" when none has."""
        with self.hub.ledger.reading() as tx:
            rows = [row for state in TROUBLES for row in tx.troubles(state=state) if row["at"] >= since]
        for row in rows[:1]:
            label = self.hub.acceptance.directory.label(row["connection"])
            return one_line(f"{label} : {TROUBLES[row['state']]}, {row['cause'] or row['answer'] or row['type']}")
        return ""

    def hurry(self, connection: str) -> None:
        """Poll now instead of in a while."""
        poller = self.hub.pollers.get(f"{TENANT}.{connection}")
        if poller is not None:
            poller.hurry()

    def counts(self, connection: str) -> Mapping[str, int]:
        with self.hub.ledger.reading() as tx:
            return tx.counts().get(f"{TENANT}.{connection}", {})

    def push(self, form: str, fields: Mapping[str, Any]) -> Any:
        """A citizen files a form, and the portal's workflow pushes it to the hub. The form as the portal keeps it."""
        filed = self.publik.submit(form, fields, user={"NameID": [secrets.token_hex(16)]})
        answer = self.publik.push(filed, f"{self.url}/in/{TENANT}/publik/{form}", orig=PUSH_ORIGIN, key=PUSH_KEY)
        if answer.status != 200:
            raise AnsweredNo(reason_of_answer(answer.status, answer.body))
        return filed

    # --- inside -------------------------------------------------------------------------------------------------

    def _standing(self) -> tuple[int, Mapping[str, Mapping[str, int]]]:
        with self.hub.ledger.reading() as tx:
            return tx.accepted(), tx.counts()

    def _start_hub(self) -> Hub:
        path = self.folder / "hub.toml"
        (self.folder / "secrets").mkdir(mode=0o700)
        (self.folder / "grants").mkdir()
        (self.folder / "grants" / "famille.toml").write_text(QUOTIENT_GRANT, encoding="utf-8")
        path.write_text(toml(self._settings(), self.folder / "secrets"), encoding="utf-8")
        try:
            hub = open_hub(path, {})
        except WrongKey:
            raise ConfigError(
                "the demo wants a database of its own, and this is another hub's", key="database"
            ) from None
        self._stack.callback(hub.close)
        hub.prepare()
        with hub.ledger.reading() as tx:
            if tx.accepted():
                raise ConfigError("the demo wants a database of its own, and this one holds events", key="database")
        return hub

    def _serve(self) -> None:
        self.secret = clients.add(
            self.hub.ledger, client_id="portail-etat", tenant=TENANT, label="Portail de démonstration",
            scopes=["events:write", "requests:read", "requests:write", "documents:read", "documents:write"],
            types=["citizen.address-changed"], speaks_for=["portail"],
        )  # fmt: skip
        # The portal of the families has a grant; the curious one has none.
        self.askers = {name: self._asker(name, label) for name, label in ASKERS.items()}
        self.server = serve_in_thread(create_app(self.hub.services()), "127.0.0.1", self._port)
        self._stack.callback(self.server.stop)

    def _asker(self, name: str, label: str) -> str:
        scopes = ["exchanges:write", "exchanges:read", "citizens:read"]
        secret = clients.add(self.hub.ledger, client_id=name, tenant=TENANT, label=label, scopes=scopes)
        assert secret is not None
        return secret

    def _people(self) -> None:
        """Patrons in the library, and the link table: who is who in which package."""
        lines = ["family_name;given_names;gender;birthdate;birthplace;system;id;confidential"]
        for person, links in (
            (
                "GARANCE;Odette Marie;female;1984-03-09;93001",
                {"koha": "C-1001", "famille": "F-501", "facturation": "T-77"},
            ),
            ("SORBIER;Blanche;female;1991-11-23;93001", {"koha": "C-1002", "famille": "F-502", "accueil": "A-12"}),
        ):
            for system, native in links.items():
                hidden = "oui" if "SORBIER" in person else ""
                lines.append(f"{person};{system};{native};{hidden}")
        self.koha.add("C-1001", surname="Garance", address="3 rue du Moulin", city="Saint-Aubin", postal_code="93001")
        self.koha.add("C-1002", surname="Sorbier", address="8 quai des Brumes", city="Saint-Aubin", postal_code="93001")
        for n in range(CITIZENS):
            person = f"PERSONNAGE{n:02d};Prénom;female;1970-01-{n % 27 + 2:02d};93001"
            self.koha.add(
                f"D-{n:03d}", surname=f"Personnage{n:02d}", address="?", city="Saint-Aubin", postal_code="93001"
            )
            links = {
                "koha": f"D-{n:03d}",
                "famille": f"FD-{n:03d}",
                "facturation": f"TD-{n:03d}",
                "portail": f"U-{n:03d}",
            }
            lines += [f"{person};{system};{native};" for system, native in links.items()]
        import_links(self.hub.ledger, self.hub.acceptance, TENANT, "\n".join(lines) + "\n")

    def _settings(self) -> dict[str, Any]:
        polled = {"poll_seconds": 0.5}
        moves = {"consumes": [{"type": "citizen.address-changed"}], **polled}
        koha = {"base_url": self.koha.base, "client_id": "unefois", "client_secret": Secret("clef-koha")}
        signed = {"procedures": ["occupation-domaine-public"], **polled}
        connections: dict[str, dict[str, Any]] = {
            "hubee": _connection("HubEE", "hubee", self.hubee.settings(), polled),
            "etat-civil": _connection("État civil", "etatcivil", self.civil.connection_settings(), polled),
            "publik": _connection("Portail de la ville", "publik", self._publik()),
            "koha": _connection("Bibliothèque", "koha", koha),
            "annexe": _connection("Bibliothèque annexe", "koha", koha | {"base_url": self.annex.base}),
            "famille": _connection("Famille et école", "filedrop", self.family.connection_settings(), moves),
            "facturation": _connection("Facturation", "filedrop", self.billing.local_settings(), moves),
            "accueil": _connection("Accueil des usagers", "filedrop", self.front.local_settings(), moves),
            "parapheur": _connection("Parapheur", "iparapheur", self.parapheur.settings(), signed),
            "courriel": _connection("Courriel", "mail", self.mail.settings()),
            "api-particulier": _connection("API Particulier", "apiparticulier", self._quotients()),
        }
        return {
            "mode": "development",
            "database": self._database or "sqlite:///hub.db",
            "bus": self._bus or "embedded",
            "documents": "documents",
            "grants_dir": "grants",
            "encryption_key": Secret(b64encode(secrets.token_bytes(32)).decode()),
            "log_level": "error",
            "tenants": {TENANT: {
                "label": "Ville de Saint-Aubin", "siret": "21930001100018", "insee": "93001",
                "roles": {"civil-status": "etat-civil", "signature-book": "parapheur", "citizen-relations": "accueil"},
                "contacts": {"default": {
                    "service": "Service de la voirie", "address": "1 place de la Mairie, 93001 Saint-Aubin",
                    "phone": "01 00 00 00 00", "email": "voirie@saint-aubin.example"}},
            }},
            "connections": connections,
        }  # fmt: skip

    def _quotients(self) -> dict[str, Any]:
        return {"base_url": self.quotients.url, "token": Secret(self.quotients.token)}

    def _publik(self) -> dict[str, Any]:
        return {
            "base_url": self.publik.url, "client_id": "unefois", "client_secret": Secret("clef-api"),
            "incoming_id": PUSH_ORIGIN, "incoming_secret": Secret(PUSH_KEY),
            "forms": {"changement-adresse": MOVE_FORM, "occupation": TERRACE_FORM},
        }  # fmt: skip


def _connection(
    label: str, connector: str, settings: Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    basics = {"tenant": TENANT, "mode": "live", "label": label, "connector": connector, "settings": settings}
    return {**basics, **(more or {})}


def toml(settings: Mapping[str, Any], target: Path) -> str:
    """The settings as TOML. Secrets become files in `target`, as a town would keep them."""
    tables = {k: v for k, v in settings.items() if isinstance(v, Mapping)}
    plain = {k: v for k, v in settings.items() if k not in tables}
    lines = [f"{key} = {_value(value, target)}" for key, value in plain.items()]
    for key, table in tables.items():
        for name, item in table.items():
            lines += ["", f"[{key}.{name}]", *(f"{json.dumps(k)} = {_value(v, target)}" for k, v in item.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any, folder: Path) -> str:
    if isinstance(value, Secret):
        path = folder / secrets.token_hex(8)
        path.write_text(value.reveal(), encoding="utf-8")
        path.chmod(0o600)
        return f"{{ file = {json.dumps(str(path))} }}"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {_value(v, folder)}" for k, v in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item, folder) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)
