"""The names that schemas give to things, and their values, as people read them: in French."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

_PARIS = ZoneInfo("Europe/Paris")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\S*")
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_WORDS = {
    "address": "adresse", "adults": "adultes", "ban_key": "clé d’adresse", "beneficiaries": "bénéficiaires",
    "birthcountry": "pays de naissance (code)", "birthdate": "date de naissance",
    "birthplace": "commune de naissance (code)", "change": "changement", "children": "enfants",
    "children_count": "nombre d’enfants", "citizen": "personne", "city": "commune", "complement": "complément",
    "confidential": "confidentiel", "country": "pays", "country_name": "pays", "date": "date",
    "document": "document", "documents": "documents", "effective": "date d’effet", "effective_on": "date d’effet",
    "email": "courriel", "entitled": "droit ouvert", "evidence": "justificatif", "family_name": "nom de naissance",
    "fields": "champs", "form": "formulaire", "from": "depuis", "gender": "sexe", "given_names": "prénoms",
    "house_number": "numéro", "household": "foyer", "id": "identifiant", "identity": "identité",
    "increased": "avec majoration", "insee_code": "commune (code)", "intake": "voie de dépôt", "kind": "nature",
    "label": "libellé", "masked": "masqué", "media_type": "format", "month": "mois", "name": "nom",
    "native": "état dans le logiciel", "new_address": "nouvelle adresse", "new_references": "nouvelles références",
    "old_address": "ancienne adresse", "phase": "étape", "phone": "téléphone", "postal_code": "code postal",
    "preferred_name": "nom d’usage", "procedure": "démarche", "quality": "qualité", "quotient": "quotient familial",
    "reason": "motif", "recipient": "à l’attention de", "references": "références",
    "representative": "représentant", "request": "demande", "requester": "demandeur", "role": "rôle",
    "sha256": "empreinte", "size": "taille", "source": "source", "status": "état", "street": "voie",
    "subject": "objet", "submitted_at": "déposée le", "system": "logiciel", "template": "modèle", "text": "texte",
    "to": "destinataire", "uai": "établissement (code)", "valid_until": "valable jusqu’au", "value": "valeur",
    "version": "version",
}  # fmt: skip
_PLAIN = {
    "female": "féminin", "male": "masculin", "declared": "déclarée", "verified": "vérifiée",
    "authoritative": "fait autorité", "corrected": "corrigé", "erased": "effacé", "online": "en ligne",
    "desk": "au guichet", "mail": "par courrier",
}  # fmt: skip


def member_label(name: object) -> str:
    """What a member of a schema is called."""
    return _WORDS.get(str(name), str(name).replace("_", " "))


def display_text(value: Any) -> str:
    """Dates as people write them, in Paris time; the words of schemas in French."""
    if value is None:
        return "non renseigné"
    text = str(value)
    if _MOMENT.fullmatch(text):
        return datetime.fromisoformat(text).astimezone(_PARIS).strftime("%d/%m/%Y à %H h %M")
    if day := _DAY.fullmatch(text):
        return f"{day[3]}/{day[2]}/{day[1]}"
    return _PLAIN.get(text, text)
