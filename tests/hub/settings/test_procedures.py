"""The catalogue is sound, and its legal clocks are those of the texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.settings.procedures import SHIPPED, load_procedures, procedure_faults, procedure_slugs
from schemas.errors import ConfigError

TOLERATED = """
slug = "{slug}"
label = "Installation d'un banc"
service = "voirie"
authority = "Le maire"
channels = ["online", "mail"]
deciding_system = "roads"
acknowledgement = "hub"
delay = "P2M"

[silence]
rule = "acceptance"
text = "Le banc reste à votre charge."
source = "article L. 231-1 du code des relations entre le public et l'administration"

[phases]
processing = "Instruction"
"""


# The catalogue


def test_the_shipped_procedures_have_no_fault() -> None:
    assert procedure_faults(SHIPPED) == []


def test_the_procedures_of_the_scenes_and_of_hubee_are_shipped() -> None:
    assert set(load_procedures()) == {
        "acte-naissance", "acte-mariage", "acte-deces", "acte-reconnaissance", "changement-adresse",
        "occupation-domaine-public", "recensement-citoyen", "depot-dossier-pacs", "je-change-de-coordonnees",
        "hebergement-tourisme", "certificat-deces", "formulaire-qf", "declaration-prealable",
    }  # fmt: skip


def test_the_state_portal_acknowledges_what_comes_by_it_and_the_hub_does_not() -> None:
    issuers = {procedure.acknowledgement for procedure in load_procedures().values() if procedure.hubee}

    assert issuers == {"portal", "none"}


def test_a_town_adds_a_procedure_and_replaces_a_shipped_one(tmp_path: Path) -> None:
    for slug in ("banc", "acte-naissance"):
        (tmp_path / f"{slug}.toml").write_text(TOLERATED.format(slug=slug), encoding="utf-8")

    catalogue = load_procedures(tmp_path)

    assert catalogue["banc"].silence == "acceptance"
    assert catalogue["acte-naissance"].label == "Installation d'un banc"
    assert procedure_slugs(tmp_path) == set(catalogue)


@pytest.mark.parametrize(
    ("before", "after", "key", "message"),
    [
        ('slug = "banc"', 'slug = "bancs"', "slug", "name of its file"),
        ('label = "', 'labell = "', "labell", 'did you mean "label"'),
        ('delay = "P2M"\n', "", "delay", "silence means acceptance"),
        ('"P2M"', '"2 mois"', "delay", "P2M"),
        ('"P2M"', '"P"', "delay", "P2M"),
        ('"P2M"', '"PT1H"', "delay", "P2M"),
        ("acceptance", "rejection", "appeals", "R112-5"),
        ("acceptance", "acceptation", "silence.rule", 'did you mean "acceptance"'),
        ('source = "', '# source = "', "silence.source", "which text"),
        ('"online"', '"fax"', "channels[0]", "must be one of"),
        ('"hub"', '"mairie"', "acknowledgement", "must be one of"),
        ("[phases]", "[phase]", "phases", "missing"),
        ("[silence]", "[silence", "", "not TOML"),
        ("[silence]", '[form]\ntype = "array"\n[silence]', "form.type", "must be"),
        ("[silence]", '[form]\ntype = "object"\nrequired = "x"\n[silence]', "form", "not a JSON Schema"),
        (
            "[silence]",
            '[form]\ntype = "object"\nallOf = [{ "$ref" = "https://x.example/a" }]\n[silence]',
            "form",
            "$ref",
        ),
    ],
)
def test_a_fault_of_a_procedure_is_found_at_its_key(
    tmp_path: Path, before: str, after: str, key: str, message: str
) -> None:
    text = TOLERATED.format(slug="banc")
    assert before in text
    (tmp_path / "banc.toml").write_text(text.replace(before, after), encoding="utf-8")

    found = {fault.key: fault for fault in procedure_faults(tmp_path)}

    assert message in found[key].message
    assert found[key].file == str(tmp_path / "banc.toml")
    with pytest.raises(ConfigError):
        load_procedures(tmp_path)


def test_every_faulty_file_is_listed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text("", encoding="utf-8")

    assert {Path(fault.file).name for fault in procedure_faults(tmp_path)} == {"a.toml", "b.toml"}


# Days


# Clocks


# The acknowledgement


def test_every_key_and_every_shipped_procedure_is_documented() -> None:
    root = SHIPPED.parents[2]
    keys = json.loads((SHIPPED.parent / "procedure.schema.json").read_text("utf-8"))["properties"]
    guide, french = ((root / "docs" / page).read_text("utf-8") for page in ("procedures.md", "fr/demarches.md"))

    assert [key for key in keys if f"| `{key}` |" not in guide] == []
    assert [slug for slug in load_procedures() if f"`{slug}`" not in french] == []
