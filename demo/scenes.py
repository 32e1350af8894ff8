"""The scenes. Each checks what every package really holds at the end, step by step, and tells it in French."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import httpx

from demo.reasons import reason_of_answer, reason_of_problem
from demo.world import CITIZENS, TENANT, World
from hub.journal import sealing, verify
from hub.operations.first_load import FirstLoad, listed_people
from hub.operations.lacking import lacking_of
from hub.operations.pairing_later import PairingLater
from hub.requests import repository as timelines
from hub.requests.timeline import request_view, timeline_lines

ROUNDS = 4
_PATIENCE = 120.0  # seconds for an answer: a loaded machine is no refusal
MOVE = {
    "nom": "GARANCE", "prenoms": "Odette Marie", "genre": "Madame", "naissance": "1984-03-09",
    "commune_naissance": "93001", "courriel": "odette.garance@courriel.example", "ancienne_voie": "3 rue du Moulin",
    "ancien_code_postal": "93001", "ancienne_ville": "Saint-Aubin", "numero": "12", "voie": "rue des Tilleuls",
    "code_postal": "93001", "ville": "Saint-Aubin", "insee": "93001", "cle_ban": "93001_0420_00012",
    "foyer": [{"nom": "GARANCE", "prenom": "Lucien"}],
}  # fmt: skip
SHELTER = MOVE | {
    "nom": "SORBIER", "prenoms": "Blanche", "naissance": "1991-11-23", "courriel": "blanche@courriel.example",
    "ancienne_voie": "8 quai des Brumes", "numero": "5", "voie": "allée des Érables", "cle_ban": "93001_0133_00005",
    "foyer": [],
}  # fmt: skip
TERRACE = {
    "raison_sociale": "Café des Halles", "siret": "21930001100018", "courriel": "cafe-des-halles@courriel.example",
    "lieu": "4 place des Halles", "du": "2027-05-01", "au": "2027-09-30", "objet": "Terrasse de 12 m²",
}  # fmt: skip


@dataclass(slots=True)
class Step:
    """`reason`: of one that failed, as far as somebody gave it."""

    text: str
    ok: bool
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.text} : {self.reason}" if self.reason else self.text


@dataclass(slots=True)
class Scene:
    """A scene as it is played: its steps, and the requests whose timelines it shows."""

    name: str
    title: str
    steps: list[Step] = field(default_factory=list)
    timelines: list[list[str]] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        return [str(step) for step in self.steps if not step.ok]

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps)


Play = Callable[[World], Iterator[Step]]


def civil_record(world: World) -> Iterator[Step]:
    """A: State portal → civil-status package → State portal."""
    case = world.hubee.add_civil_record_request()
    yield Step("Le portail de l'État dépose une demande d'acte de naissance chez HubEE", True)
    world.hurry("hubee")
    yield Step(
        "Le logiciel d'état civil reçoit un ZIP complet et valide", world.until(lambda: world.civil.effects == 1)
    )
    told = world.until(lambda: world.hubee.announced(case) == ["SI_RECEIVED"])
    yield Step("HubEE apprend SI_RECEIVED, par l'état du dossier et par un événement", told)
    yield Step("La notification est effacée une fois tout conservé", world.until(lambda: not world.hubee.notifications))
    reference = next(iter(world.civil.requests), "")
    world.civil.close(reference)
    world.hurry("etat-civil")
    yield Step("L'agent délivre l'acte ; son fichier de retour clôt la demande", True)
    done = world.until(lambda: world.hubee.status(case) == "DONE" and world.hubee.announced(case)[-1] == "DONE")
    yield Step("HubEE apprend DONE, dans l'ordre de sa démarche", done)
    quiet = not world.mail.messages
    yield Step("La plateforme n'écrit pas à l'usager : le portail de l'État le fait", quiet)


def moves(world: World) -> Iterator[Step]:
    """B: one change of address, told once."""
    filed = world.push("changement-adresse", MOVE | {"date": _today(world).isoformat()})
    yield Step("Odette G. déclare son déménagement sur le portail de la ville", True)
    family = world.until(
        lambda: world.family.records.get("F-501", {}).get("Responsable_1_Adresse") == "12 rue des Tilleuls"
    )
    yield Step("Le logiciel famille a la nouvelle adresse (CSV par SFTP)", family)
    koha = world.until(lambda: "Tilleuls" in str(world.koha.patron("C-1001")))
    yield Step("La bibliothèque aussi (API REST de Koha)", koha)
    billing = world.until(lambda: any("Tilleuls" in str(row) for row in world.billing.records.values()))
    yield Step("La facturation aussi (fichier local)", billing)
    yield Step("L'état civil n'a rien reçu", world.civil.effects == 1 and not world.counts("etat-civil").get("refused"))
    narrow = all("odette.garance" not in str(row) for row in world.family.records.values())
    yield Step("Chacun n'a reçu que les champs de sa déclaration", narrow)
    told = world.until(lambda: [name for name, _ in filed.jumps] == ["hub-transmise"])
    yield Step("Le portail apprend que tous les services sont informés (jump/trigger)", told)
    yield from _echo(world)
    yield from _shelter(world)


def _echo(world: World) -> Iterator[Step]:
    world.settle()
    before = dict(world.counts("koha"))
    echoes = _echoes(world)
    world.family.tell_move("F-501", "12 rue des Tilleuls", "93001", "Saint-Aubin", f"{_today(world):%d/%m/%Y}")
    world.hurry("famille")
    heard = world.until(lambda: _echoes(world) == echoes + 1)
    silent = heard and world.counts("koha") == before
    yield Step("Le logiciel famille renvoie l'adresse comme sa propre nouvelle : silence", silent)


def _shelter(world: World) -> Iterator[Step]:
    before = len(world.koha.history)
    world.push("changement-adresse", SHELTER | {"date": _today(world).isoformat()})
    front = world.until(lambda: any("Érables" in str(row) for row in world.front.records.values()))
    yield Step("Blanche S. est sous protection : seul le service qui décide apprend son adresse", front)
    elsewhere = any("Érables" in str(row) for twin in (world.family, world.billing) for row in twin.records.values())
    kept = not elsewhere and len(world.koha.history) == before
    yield Step("Ni la famille, ni la bibliothèque, ni la facturation ne l'apprennent", kept)


def signature(world: World) -> Iterator[Step]:
    """C: a document to sign."""
    filed = world.push("occupation", TERRACE)
    yield Step("Le Café des Halles demande une terrasse sur le portail", True)
    dossier = world.until(lambda: world.parapheur.dossiers)
    yield Step("L'arrêté est au parapheur (SOAP, CreerDossier avec notre identifiant)", dossier)
    acknowledged = world.until(lambda: len(world.mail.messages) == 1)
    text = world.mail.messages[0].text if acknowledged else ""
    complete = all(word in text for word in ("Service de la voirie", "rejetée", "Voies et délais de recours"))
    yield Step("L'accusé de réception part par courriel : date, service, délai, sens du silence, recours", complete)
    for dossier_id in list(world.parapheur.dossiers):
        world.parapheur.finish(dossier_id)
    world.hurry("parapheur")
    granted = world.until(lambda: any(name == "hub-accordee" for name, _ in filed.jumps))
    yield Step("Visa, signature : le portail apprend que la demande est accordée", granted)
    sent = world.until(lambda: len(world.mail.messages) == 2)
    signed = sent and any(content.startswith(b"%PDF") for content in world.mail.messages[1].attachments.values())
    yield Step("La décision part par courriel, l'arrêté signé en pièce jointe", signed)
    again = sum("Accusé de réception" in str(m.message["subject"]) for m in world.mail.messages)
    yield Step("L'accusé de réception n'est parti qu'une fois", again == 1)


def outage(world: World) -> Iterator[Step]:
    """D: a system is away."""
    rows = len(world.family.applied)
    start = {name: world.counts(name).get("delivered", 0) for name in ("famille", "koha", "facturation")}
    world.family.stop()
    yield Step("Le logiciel famille est arrêté", True)
    began = time.monotonic()
    accepted, refusal = _submit_moves(world)
    total = CITIZENS * ROUNDS
    yield Step(f"{accepted} changements pour {CITIZENS} usagers arrivent par l'API", accepted == total, refusal)
    others = world.until(
        lambda: all(world.counts(n).get("delivered", 0) - start[n] == total for n in ("koha", "facturation"))
    )
    yield Step("Bibliothèque et facturation n'ont pas attendu", others and len(world.family.applied) == rows)
    world.family.start()
    back = time.monotonic()
    drained = world.until(lambda: world.counts("famille").get("delivered", 0) - start["famille"] == total)
    arrived = world.until(lambda: len(world.family.applied) - rows == total)
    yield Step(f"Le logiciel famille revient : tout arrive en {time.monotonic() - back:.1f} s", drained and arrived)
    seen: dict[str, list[int]] = {}
    for reference, row in world.family.applied[rows:]:
        seen.setdefault(reference, []).append(int(row["Responsable_1_Adresse"].split()[0]))
    ordered = len(seen) == CITIZENS and all(numbers == list(range(1, ROUNDS + 1)) for numbers in seen.values())
    yield Step(
        "Les changements de chaque usager sont dans l'ordre, chacun une fois", ordered and not world.family.repeated
    )
    yield Step(f"Durée totale de la scène : {time.monotonic() - began:.1f} s", True)


def once_only(world: World) -> Iterator[Step]:
    """E: a fact asked of its source instead of the family."""
    family = world.quotients.person("corvisart")
    with _portal(world, "portail-famille") as portal, _portal(world, "portail-curieux") as curious:
        yield Step("Une famille demande le tarif de la cantine ; le portail demande son quotient à la plateforme", True)
        answer = portal.post("/v1/exchanges", json=_question(family["identity"]))
        got = answer.json() if answer.status_code == 200 else {}
        values = {name: value["value"] for name, value in got.get("values", {}).items()}
        exact = values == {"quotient": 742, "month": f"{_today(world):%Y-%m}", "children_count": 2}
        why = "" if got else reason_of_answer(answer.status_code, answer.content)
        yield Step(
            "La plateforme l'obtient de l'API Particulier (jumeau) : quotient, mois, nombre d'enfants", exact, why
        )
        received = str(family["answers"]["/v3/dss/quotient_familial"])
        narrow = exact and "ISAURE" in received and "ISAURE" not in answer.text and "LAVOIR" not in answer.text
        yield Step("Ni les prénoms, ni l'adresse que la source a donnés ne quittent la plateforme", narrow)
        page = portal.get(f"/v1/citizens/{got.get('citizen')}/exchanges").json()
        seen = [item["fr"] for item in page.get("items", []) if "a obtenu" in item["fr"]]
        yield Step(f"La page de l'usager le montre : « {seen[0] if seen else '?'} »", len(seen) == 1)
        refused = curious.post("/v1/exchanges", json=_question(family["identity"]))
        no_grant = refused.status_code == 403 and refused.json()["code"] == "no_grant"
        yield Step("Un second client, sans habilitation, reçoit un refus clair (403 no_grant)", no_grant)
        proof = world.until(lambda: portal.get(f"/v1/exchanges/{got.get('id')}/receipt").status_code == 200)
        yield Step("L'échange est scellé dans le journal, avec sa preuve d'inclusion", proof)
    yield from _journal(world, got.get("id", ""))


def _journal(world: World, exchange: str) -> Iterator[Step]:
    """Exported, the journal is verified offline; one changed letter is found."""
    whole, forged = world.folder / "journal.jsonl", world.folder / "journal-falsifie.jsonl"
    with whole.open("wb") as file:
        sealing.export_journal(world.hub.ledger, world.hub.signer, file)
    with whole.open("rb") as file:
        report = verify.verify_export(file)
    yield Step(f"Le journal exporté est vérifié hors ligne : {report.lines} lignes", report.ok and report.lines > 0)
    lines = whole.read_text(encoding="utf-8").splitlines(keepends=True)
    place = next((n for n, line in enumerate(lines) if exchange in line), 0)
    lines[place] = lines[place].replace("portail-famille", "portail-curieux")
    forged.write_text("".join(lines), encoding="utf-8")
    with forged.open("rb") as file:
        caught = verify.verify_export(file)
    yield Step("Une ligne falsifiée dans l'export est trouvée", not caught.ok)


def joins(world: World) -> Iterator[Step]:
    """F: a package joins a living town."""
    for number in range(3):
        world.annex.add(f"N-{number}", **_patron(f"Personnage{number:02d}", number))
    world.annex.add("N-9", **_patron("Nouvel", 9, "Isée"))
    with world.hub.ledger.reading() as tx:
        before = tx.counts()
    people = listed_people(world.hub.acceptance, world.hub.connections[f"{TENANT}.annexe"])
    load = FirstLoad(world.hub.ledger, world.hub.acceptance, world.hub.pending, f"{TENANT}.annexe", people, days=180)
    report = load.report()
    yield Step(
        f"La bibliothèque annexe arrive avec ses {len(world.annex.patrons)} abonnés ; le rapport : "
        f"{report.counts['matched']} connus, {report.counts['unmatched']} inconnu, rien d'écrit",
        (report.counts["matched"], report.counts["unmatched"]) == (3, 1) and not world.counts("annexe"),
    )
    with world.hub.ledger.reading() as tx:
        lacks = lacking_of(tx, world.hub.acceptance, f"{TENANT}.annexe", report.people)
    found = [(lack.name, lack.people, lack.hub) for lack in lacks]
    yield Step(
        "Il manque à l'annexe l'adresse de ces trois ; la plateforme peut la dire", found == [("new_address", 3, 3)]
    )
    *_, written = load.write("AIPD-2026-04", "demonstration", lambda tx, facts: None)
    yield Step(
        f"L'analyse d'impact est nommée, le chargement écrit (n° {written.load_id})", written.counts["matched"] == 3
    )
    told = world.until(lambda: sum("4 avenue de la République" in str(p) for p in world.annex.patrons.values()) == 3)
    yield Step("Les trois à qui l'adresse manquait l'apprennent, sans nouvelle déclaration", told)
    yield from _told_once(world, before)
    yield from _waited(world)


def _told_once(world: World, before: Mapping[str, Mapping[str, int]]) -> Iterator[Step]:
    world.settle()
    with world.hub.ledger.reading() as tx:
        others = {name: counts for name, counts in tx.counts().items() if name != f"{TENANT}.annexe"}
    once = world.counts("annexe").get("delivered") == 3
    yield Step("Personne d'autre n'est dérangé, et chacun des trois une fois", once and others == {**before})
    with _state_portal(world) as client:
        again = [_move(number, ROUNDS) | {"id": f"redit-{number}"} for number in range(3)]
        older = _move(0, 77) | {"id": "ancienne-adresse"}
        older["data"]["new_address"]["date"] = "2024-05-17"
        answer = client.post("/v1/events", json=[*again, older]).raise_for_status().json()
    world.settle()
    outcomes = [line["outcome"] for line in answer["verdicts"]]
    kept = world.counts("annexe").get("delivered") == 3
    yield Step(
        "Le portail redit les mêmes adresses : personne n'est informé deux fois", kept and outcomes[:3] == ["echo"] * 3
    )
    away = not any("77 avenue" in str(p) for p in (*world.annex.patrons.values(), *world.koha.patrons.values()))
    yield Step("Une adresse plus ancienne, arrivée après coup, reste dehors", away and outcomes[3:] == ["echo"])


def _waited(world: World) -> Iterator[Step]:
    """Who was unknown becomes known."""
    with _state_portal(world) as client:
        told = _move(9, 5) | {"id": "nouvel-usager"}
        told["data"]["citizen"] = {
            "identity": {"family_name": "Nouvel", "given_names": ["Isée"], "gender": "female",
                         "birthdate": "1970-01-11"},
            "references": [{"system": "portail", "id": "U-900"}],
        }  # fmt: skip
        client.post("/v1/events", json=[told]).raise_for_status()
    looking = PairingLater(world.hub.ledger, world.hub.acceptance, world.hub.pending, world.hub.journal)
    found = world.until(lambda: looking.look()["matched"] or "5 avenue" in str(world.annex.patron("N-9")))
    arrived = world.until(lambda: "5 avenue de la République" in str(world.annex.patron("N-9")))
    yield Step(
        "L'abonné inconnu se déclare au portail : sa fiche, qui attendait scellée, le retrouve", found and arrived
    )


def _patron(name: str, number: int, given: str = "Prénom") -> dict[str, Any]:
    return {
        "surname": name, "firstname": given, "gender": "F", "date_of_birth": f"1970-01-{number % 27 + 2:02d}",
        "address": "?", "city": "Saint-Aubin", "postal_code": "93001",
    }  # fmt: skip


def _question(identity: Any) -> dict[str, Any]:
    return {
        "evidence": "family-quotient", "citizen": {"identity": identity}, "procedure": "formulaire-qf",
        "asker": {"role": "beneficiary", "assurance": "eidas1"},
    }  # fmt: skip


def _today(world: World) -> date:
    return datetime.now(world.hub.settings.tenants[TENANT].zone).date()


def _portal(world: World, name: str) -> httpx.Client:
    return _client(world, name, world.askers[name])


def _state_portal(world: World) -> httpx.Client:
    """The portal that tells of moves by batches of events."""
    client = _client(world, "portail-etat", world.secret or "", scope="events:write")
    client.headers["Content-Type"] = "application/cloudevents-batch+json"
    return client


def _client(world: World, name: str, secret: str, **more: str) -> httpx.Client:
    asked = {"grant_type": "client_credentials", **more}
    answer = httpx.post(f"{world.url}/oauth/token", data=asked, auth=(name, secret), timeout=_PATIENCE)
    token = answer.raise_for_status().json()["access_token"]
    return httpx.Client(base_url=world.url, timeout=_PATIENCE, headers={"Authorization": f"Bearer {token}"})


def _submit_moves(world: World) -> tuple[int, str]:
    """How many were accepted, and why the first of the others was not."""
    with _state_portal(world) as client:
        lines: list[Any] = []
        for number in range(1, ROUNDS + 1):
            batch = [_move(citizen, number) for citizen in range(CITIZENS)]
            lines += client.post("/v1/events", json=batch).raise_for_status().json()["verdicts"]
        refusals = [reason_of_problem(line["problem"]) for line in lines if "problem" in line]
        return sum(line["outcome"] == "accepted" for line in lines), "".join(refusals[:1])


def _move(citizen: int, number: int) -> dict[str, Any]:
    address = {"house_number": str(number), "street": "avenue de la République", "postal_code": "93001",
               "city": "Saint-Aubin", "insee_code": "93001"}  # fmt: skip
    return {
        "specversion": "1.0", "type": "citizen.address-changed", "source": f"/{TENANT}/portail-etat",
        "id": f"demenagement-{citizen}-{number}",
        "data": {
            "citizen": {"references": [{"system": "portail", "id": f"U-{citizen:03d}"}]},
            "new_address": {"value": address, "source": "portail", "date": "2026-11-02", "quality": "declared"},
        },
    }  # fmt: skip


def _echoes(world: World) -> int:
    sample = world.hub.metrics.total(TENANT, "citizen.address-changed", "echo")
    return int(sample)


def timelines_of(world: World, since: float) -> list[list[str]]:
    """The timelines of the requests received since then, as text."""
    with world.hub.ledger.reading() as tx:
        found = [
            r for r in timelines.list_requests(tx, TENANT, intake=None, after=None, limit=500) if r.received_at >= since
        ]
        views = [request_view(tx, world.hub.acceptance.directory, TENANT, r.id) for r in found]
    return [timeline_lines(view) for view in views if view is not None]


SCENES: tuple[tuple[str, str, Play], ...] = (
    ("A", "Une demande d'acte : de l'État au logiciel d'état civil, et retour", civil_record),
    ("B", "Un changement d'adresse, dit une fois", moves),
    ("C", "Un arrêté à signer", signature),
    ("D", "Un logiciel est en panne", outage),
    ("E", "Un quotient familial, demandé à sa source", once_only),
    ("F", "Un logiciel rejoint une ville en service", joins),
)
