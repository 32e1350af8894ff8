"""A connector is drafted from a contract: each operation as what it does best, nothing that the contract refuses."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors import conformance
from connectors.sdk.check import connector_faults
from connectors.sdk.drafting.draft import Choices, Draft, contract_at, draft_connector, write_draft
from connectors.sdk.mapping import fields_of
from schemas.errors import ConfigError
from schemas.manifest import Manifest
from schemas.registry import Registry

MEDIAS = Path(__file__).with_name("medias.json")
SLUG = "medias"
Drafted = tuple[Draft, dict[str, Any], list[list[str]], Path]


@pytest.fixture
def drafted(tmp_path: Path) -> Callable[..., Drafted]:
    """Draft from the invented contract: the draft, its manifest, the lines of its mapping, its folder."""

    def make(*operations: str, **choices: Any) -> Drafted:
        chosen = Choices(operations, **choices)
        with contract_at(MEDIAS, chosen) as contract:
            draft, _ = draft_connector(SLUG, contract, chosen, tmp_path, Registry.load())
        folder = tmp_path / SLUG
        lines = list(csv.reader((folder / "mapping.csv").read_text(encoding="utf-8").splitlines(), delimiter=";"))
        return draft, tomllib.loads((folder / "connector.toml").read_text(encoding="utf-8")), lines, folder

    return make


def passes(folder: Path) -> None:
    faults = connector_faults(folder.parent, Registry.load(), ("formulaire-qf",))
    assert [str(fault) for fault in faults] == []
    conformance.check(Manifest.load(folder / "connector.toml", fields_of))


def used(lines: Sequence[Sequence[str]]) -> dict[str, str]:
    return {line[1]: line[2] for line in lines[1:] if not line[0].startswith("#")}


def test_without_a_choice_the_most_useful_operation_is_taken(drafted: Callable[..., Drafted]) -> None:
    draft, raw, _, folder = drafted()

    assert len(draft.does) == 1
    assert raw["contract"] == {"from": "medias.json", "version": "7", "openapi": "contract/medias.json",
                               "samples": "samples"}  # fmt: skip
    assert raw["http"]["auth"] == {"kind": "api-key", "header": "X-App", "value": "{api_key}"}
    assert raw["http"]["headers"] == {"X-Device": "{key_x_device}"}
    assert 'keep = ["X-App", "X-Device"] }\n' in (folder / "connector.toml").read_text(encoding="utf-8")
    passes(folder)


def test_several_operations_become_one_connector_that_passes_at_once(drafted: Callable[..., Drafted]) -> None:
    draft, raw, _, folder = drafted("PATCH members/{id}", "GET members", "GET members/{id}")

    assert draft.does == (
        "tells citizen.contact-changed by PATCH members/{id}", "reads request.status-changed from GET members",
        "answers library-card by GET members/{id}",
    )  # fmt: skip
    assert raw["deliver"][0]["form"] == {"member": {"email": "/email/value | text", "phone": "/phone/value | text"}}
    assert raw["deliver"][0]["call"] == "PATCH members/{reference}"
    assert raw["deliver"][0]["again"] == "same-state"
    assert raw["deliver"][0]["scope"] == "linked"
    assert raw["poll"]["paging"] == {"kind": "page", "param": "page", "size": 50, "size_param": "per_page"}
    assert raw["poll"]["cursor"]["param"] == "updated_since"
    assert raw["poll"]["list"] == "/items"
    assert (folder / "statuses.csv").read_text(encoding="utf-8").splitlines()[1:] == [
        "*,en_cours,in_progress,processing,en_cours,in", "*,clos,closed,delivery,clos,in", "*,perdu,,,perdu,in",
    ]  # fmt: skip
    assert draft.mapped < draft.found
    passes(folder)


def test_what_must_be_said_and_is_nowhere_shared_becomes_a_setting_or_a_constant(
    drafted: Callable[..., Drafted],
) -> None:  # fmt: skip
    _, raw, lines, folder = drafted("POST members")

    said = used(lines)
    assert said["surname"] == "/request/requester/citizen/identity/family_name"
    assert said["contact/email"] == "/request/requester/citizen/email"
    assert said["contact/label"] == "={contact_label}"  # its neighbour wants it
    assert (said["branch"], said["kind"], said["rank"]) == ("={branch}", "=person", "={rank}")
    assert said["newsletter"] == "={newsletter}"
    assert not {"id", "status", "updated_at"} & said.keys()  # only read, never written
    assert raw["settings"]["rank"]["type"] == "integer"
    assert raw["deliver"][0]["reference"] == "/id"
    assert [error["status"] for error in raw["error"]] == [422]
    assert ["#to-received", "cardnumber", "", "", "", "text ·"] in lines
    branch = next(line for line in lines if line[1] == "branch")
    assert branch[5] == "Code of"
    passes(folder)


def test_a_question_is_asked_by_the_citizens_identity_in_the_packages_words(drafted: Callable[..., Drafted]) -> None:
    _, raw, lines, folder = drafted("GET people")

    answer = raw["answer"][0]
    assert answer["needs"] == ["identity"]
    assert answer["query"] == {
        "nomNaissance": "/identity/family_name | text", "dateNaissance": "/identity/birthdate | date",
        "sexe": "/identity/gender | sexe",
    }  # fmt: skip
    assert raw["converters"] == {"sexe": {"table": {"M": "male", "F": "female"}}}
    assert raw["http"]["headers"]["x-town"] == "{x_town}"
    assert used(lines) == {"/address/street": "/adresse/voie", "/address/city": "/adresse/ville"}
    assert ["#residence-address", "", "/adresse/etage", "", "", "integer ·"] in lines
    passes(folder)


def test_each_field_of_the_chosen_operations_has_one_line(drafted: Callable[..., Drafted]) -> None:
    _, _, lines, _ = drafted("GET members/{id}")

    assert sorted(line[2] for line in lines[1:]) == ["/cardnumber", "/id", "/status", "/surname", "/updated_at"]


def test_the_author_says_what_it_is_to_carry(drafted: Callable[..., Drafted]) -> None:
    draft, _, _, folder = drafted("GET members/{id}", carries="library-card")

    assert draft.does == ("answers library-card by GET members/{id}",)
    passes(folder)


def test_a_reduced_contract_keeps_what_is_used_without_its_prose(drafted: Callable[..., Drafted]) -> None:
    _, _, _, folder = drafted("GET people", reduced=True)

    written = json.loads((folder / "contract" / "medias.json").read_text(encoding="utf-8"))
    text = json.dumps(written)
    assert set(written["paths"]) == {"/people", "/members"}  # what is asked, and the probe
    assert set(written["paths"]["/members"]) == {"get"}
    assert set(written["components"]["schemas"]) == {"Member"}
    assert not any(word in text for word in ("Somebody", "The members", "inventée", "://"))
    assert [one["url"] for one in written["servers"]] == ["/api/v3"]
    passes(folder)


@pytest.mark.parametrize(("probe", "expected"), [("", "GET opening-hours"), ("GET members", "GET members")])
def test_the_probe_tells_of_nobody_unless_the_author_says_so(probe: str, expected: str, tmp_path: Path) -> None:
    document = json.loads(MEDIAS.read_text(encoding="utf-8"))
    empty = {"responses": {"200": {"description": ""}}}
    document["paths"] |= {"/opening-hours": {"get": empty}, "/loans": {"get": empty}}
    document["paths"]["/loans/{id}"] = document["paths"]["/members/{id}"]  # its list tells of people, too
    source, chosen = tmp_path / "medias.json", Choices(("GET members",), reduced=True, probe=probe)
    source.write_text(json.dumps(document), encoding="utf-8")

    with contract_at(source, chosen) as contract:
        draft_connector(SLUG, contract, chosen, tmp_path, Registry.load())

    folder = tmp_path / SLUG
    assert tomllib.loads((folder / "connector.toml").read_text(encoding="utf-8"))["http"]["probe"] == expected
    kept = json.loads((folder / "contract" / "medias.json").read_text(encoding="utf-8"))["paths"]
    assert set(kept) == {"/members", f"/{expected.removeprefix('GET ')}"}
    passes(folder)


@pytest.mark.parametrize(
    ("operations", "choices", "said"),
    [
        ((), {"probe": "GET member"}, 'probe: the contract has no operation "GET member"'),
        ((), {"probe": "POST members"}, "POST members may change something"),
        (("GET member",), {}, 'no operation "GET member" (did you mean "GET members"?)'),
        (("GET members",), {"carries": "library-cart"}, 'no event or evidence "library-cart"'),
        (("POST members/{id}/photo",), {}, "it is sent as multipart/form-data"),
        (("GET people",), {"carries": "citizen.merged"}, "GET people cannot be declared"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    operations: Sequence[str], choices: dict[str, Any], said: str, drafted: Callable[..., Drafted], tmp_path: Path
) -> None:  # fmt: skip
    with pytest.raises(ConfigError) as refused:
        drafted(*operations, **choices)

    assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    broken = Draft({"connector.toml": "", "a": "a file", "a/b": "below a file"})
    with pytest.raises(ConfigError):
        write_draft(SLUG, broken, tmp_path)
    assert list(tmp_path.iterdir()) == []

    write_draft(SLUG, Draft({"connector.toml": "mine"}), tmp_path)
    with pytest.raises(ConfigError, match="is there already"):
        write_draft(SLUG, Draft({"connector.toml": "theirs"}), tmp_path)
    assert (tmp_path / SLUG / "connector.toml").read_text(encoding="utf-8") == "mine"


def test_the_same_contract_gives_the_same_connector(drafted: Callable[..., Drafted], tmp_path: Path) -> None:
    first, *_ = drafted("GET members")
    with contract_at(MEDIAS, Choices(("GET members",))) as contract:
        (tmp_path / "again").mkdir()
        second, _ = draft_connector(SLUG, contract, Choices(("GET members",)), tmp_path / "again", Registry.load())

    assert first.files == second.files
