"""API Particulier held against its official description and all its fictitious answers, read where they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from connectors.apiparticulier.client import data_of, error_of, fault_of
from connectors.apiparticulier.connector import ApiParticulierConnector, evidence_parts
from connectors.apiparticulier.operations import Operation, identity_parameters
from connectors.apiparticulier.twin import TOKEN, ApiParticulierTwin, Person, Query
from connectors.sdk import Secret
from connectors.sdk.http import HttpAnswer
from connectors.sdk.twin import TwinAnswer
from schemas.errors import HubError, Refused, TryLater
from schemas.exchange import AmbiguousIdentity, AuthorisationExpired, Evidence, NotMatched, Question
from schemas.registry import Registry
from tests.support.context import NOON, context_for

_BESIDE = Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts"
CONTRACT = Path(os.environ.get("UNEFOIS_CONTRACTS", _BESIDE)) / "api-particulier"
SAMPLES = CONTRACT / "samples"
pytestmark = pytest.mark.skipif(not CONTRACT.is_dir(), reason="contracts folder absent")
REGISTRY = Registry.load()
WINTER = datetime(2024, 12, 10, 12, 0, tzinfo=UTC)  # when the sandbox's quotients were computed

_SAMPLE = re.compile(r"(v[34])_(cnav|cnous|mesri|men|france_travail|gip_mds|dsnj|ants)_(\w+?)_with_(\w+)")
_MODES = {"civility": "identite", "france_connect": "france_connect", "ine": "ine", "identifiant": "identifiant"}


def sample_path(folder: str) -> str | None:
    """The address of the operation whose official answers are in this folder of samples."""
    match = _SAMPLE.fullmatch(folder)
    if match is None:
        return None
    version, provider, name, mode = match.groups()
    return f"/{version}/{'dss' if provider == 'cnav' else provider}/{name}/{_MODES[mode]}"


class SampledTwin(ApiParticulierTwin):
    """Serves the official fictitious answers too, for the very parameters that they name."""

    def _identified(self, base: str, mode: str, query: Query) -> TwinAnswer:
        asked = {name: values if len(values) > 1 else values[0] for name, values in query.items()}
        return self._sample(f"{base}/{mode}", asked) or super()._identified(base, mode, query)

    def _of(self, base: str, mode: str, person: Person, scopes: frozenset[str], query: Query) -> TwinAnswer:
        if "answers" in person:
            return super()._of(base, mode, person, scopes, query)
        sample = self._sample(f"{base}/{mode}", person)
        assert sample is not None, "one of the samples"
        return sample

    def _sample(self, path: str, params: Mapping[str, Any]) -> TwinAnswer | None:
        """The official answer whose parameters are all there, the most precise one."""
        fitting = [
            (len(sample["params"]), number, sample)
            for number, (where, sample) in enumerate(read_samples())
            if where == path and sample["params"] and covers(params, sample["params"])
        ]
        sample = max(fitting)[2] if fitting else None
        return TwinAnswer(sample["status"], sample["body"]) if sample else None


@cache
def read_samples() -> list[tuple[str | None, dict[str, Any]]]:
    return [(sample_path(file.parent.name), json.loads(file.read_text(encoding="utf-8"))) for file in samples()]


def covers(params: Mapping[str, Any], due: Mapping[str, Any]) -> bool:
    for name, value in due.items():
        given = params.get(name, params.get(f"{name}[]"))
        if name == "anneeScolaire" and given is not None:
            given = str(given)[:4]  # 2025 and 2025-2026 are the same school year
        if given is None or texts(given) != texts(value):
            return False
    return True


def texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


Reader = Callable[[Mapping[str, Any], datetime], dict[str, dict[str, Any]]]


def the_reader(evidence: str) -> tuple[str, Reader]:
    return evidence, evidence_parts()[evidence][0].read


# Operations that the connector does not ask, but whose answers are read the same way.
_EARLIER = {
    "/v3/cnous/etudiant_boursier": [the_reader("scholarship")],
    "/v3/men/scolarites": [the_reader("school-registration")],
    "/v3/dss/participation_familiale_eaje": [
        the_reader("family-composition"), the_reader("residence-address"),
    ],
}  # fmt: skip
# No type of evidence holds what these say: their envelope and their errors are read, their content is not.
_WITHOUT_EVIDENCE = {
    "/v3/dsnj/service_national",
    "/v3/gip_mds/service_civique",
    "/v3/ants/extrait_immatriculation_vehicule",
    "/v3/france_travail/indemnites",
}
_EXPECTED: Mapping[int, type[HubError]] = {
    403: AuthorisationExpired,
    404: NotMatched,
    422: Refused,
    429: TryLater,
    502: TryLater,
    504: TryLater,
}


def samples() -> list[Path]:
    return sorted(SAMPLES.glob("*/*.json"))


def readers(base: str) -> list[tuple[str, Reader]]:
    ours = [
        (name, part.read) for name, parts in evidence_parts().items() for part in parts if part.operation.path == base
    ]
    return ours or list(_EARLIER.get(base, ()))


def name_of(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


# The official fictitious answers


@pytest.mark.parametrize("file", samples(), ids=name_of)
def test_every_official_answer_becomes_evidence_or_the_right_error(file: Path) -> None:
    sample, path = json.loads(file.read_text(encoding="utf-8")), sample_path(file.parent.name)
    assert path is not None, "an operation whose name we cannot tell"
    base, _, mode = path.rpartition("/")
    answer = HttpAnswer(sample["status"], {}, json.dumps(sample["body"]).encode())

    if sample["status"] == 200:
        data, found = data_of(answer), readers(base)
        assert found or base in _WITHOUT_EVIDENCE
        for evidence, read in found:
            values = read(data, WINTER)
            REGISTRY.validate_evidence(Evidence(evidence, 1, values))
            assert values, "nothing was read"
    else:
        error, code = error_of(fault_of(answer), mode), sample["body"]["errors"][0]["code"]
        expected = AmbiguousIdentity if code == "00391" else _EXPECTED[sample["status"]]
        assert type(error) is expected
        assert code in str(error)
        if isinstance(error, NotMatched | Refused):
            assert error.native == code


def test_every_official_answer_is_of_an_operation_that_we_know() -> None:
    known = (
        {part.operation.path for parts in evidence_parts().values() for part in parts}
        | _EARLIER.keys()
        | _WITHOUT_EVIDENCE
    )
    found = {str(sample_path(file.parent.name)).rpartition("/")[0] for file in samples()}
    assert found <= known
    assert len(samples()) > 150


# The same, over the wire


def connect(twin: ApiParticulierTwin, at: datetime = WINTER) -> ApiParticulierConnector:
    settings = {"base_url": twin.url, "token": Secret(TOKEN), "school_departments": ["013"]}
    return ApiParticulierConnector(context_for("apiparticulier", settings, now=lambda: at))


def identity_of(params: Mapping[str, Any]) -> dict[str, Any]:
    born = [params.get(name) for name in ("anneeDateNaissance", "moisDateNaissance", "jourDateNaissance")]
    told = {
        "family_name": params.get("nomNaissance"),
        "given_names": params.get("prenoms"),
        "gender": {"M": "male", "F": "female"}.get(params.get("sexeEtatCivil", "")),
        "birthdate": "-".join(f"{part:02}" for part in born if part is not None),
        "birthplace": params.get("codeCogInseeCommuneNaissance"),
        "birthcountry": params.get("codeCogInseePaysNaissance"),
        "preferred_name": params.get("nomUsage"),
    }
    return {name: value for name, value in told.items() if value}


def asked_as(operation: Operation, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters of a question that make our call exactly what the sample waits for; None when we cannot."""
    identity = identity_of(params)
    more = {name: params[name] for name in ("annee", "mois", "anneeScolaire", "codeEtablissement") if name in params}
    try:
        sent = identity_parameters(operation, identity) | more
    except (Refused, KeyError):
        return None
    said = {name.removesuffix("[]"): value for name, value in sent.items()}
    if any(said.get(name) != value for name, value in params.items()):
        return None
    asked: dict[str, Any] = {}
    if "annee" in more:
        asked["month"] = f"{more['annee']}-{more['mois']:02}"
    if "codeEtablissement" in more:
        year = int(more["anneeScolaire"])
        asked |= {"school": more["codeEtablissement"], "school_year": f"{year}-{year + 1}"}
    return asked


def by_identity() -> Iterator[Any]:
    for file in samples():
        base, _, mode = str(sample_path(file.parent.name)).rpartition("/")
        params = json.loads(file.read_text(encoding="utf-8"))["params"]
        for evidence, parts in evidence_parts().items():
            if mode == "identite" and base == parts[0].operation.path:
                asked = asked_as(parts[0].operation, params)
                if asked is not None and (evidence == "family-quotient" or "month" not in asked):
                    yield pytest.param(file, evidence, asked, id=f"{name_of(file)}-{evidence}")


def by_franceconnect() -> Iterator[Any]:
    for file in samples():
        base, _, mode = str(sample_path(file.parent.name)).rpartition("/")
        for evidence, parts in evidence_parts().items():
            if mode == "france_connect" and base == parts[0].operation.path:
                yield pytest.param(file, evidence, id=f"{name_of(file)}-{evidence}")


def hold(file: Path, evidence: str, told: Callable[[tuple[str, ...]], Evidence]) -> None:
    """What was told over the wire is what the sample says."""
    sample = json.loads(file.read_text(encoding="utf-8"))
    part = evidence_parts()[evidence][0]
    if sample["status"] != 200:
        with pytest.raises(_EXPECTED[sample["status"]], match=sample["body"]["errors"][0]["code"]):
            told(part.fields)
        return
    found = told(part.fields)
    REGISTRY.validate_evidence(found)
    assert dict(found.values) == {
        name: value for name, value in part.read(sample["body"]["data"], WINTER).items() if name in part.fields
    }


@pytest.mark.parametrize(("file", "evidence", "parameters"), list(by_identity()))
def test_an_official_identity_gets_its_official_answer(file: Path, evidence: str, parameters: dict[str, Any]) -> None:
    identity = identity_of(json.loads(file.read_text(encoding="utf-8"))["params"])
    with SampledTwin(now=lambda: WINTER) as twin:
        hold(
            file, evidence,
            lambda fields: connect(twin).answer(
                Question("q", evidence, 1, fields, "cantine", 5.0, identity=identity, parameters=parameters)
            ),
        )  # fmt: skip


@pytest.mark.parametrize(("file", "evidence"), list(by_franceconnect()))
def test_an_official_citizen_of_franceconnect_gets_their_official_answer(file: Path, evidence: str) -> None:
    params = json.loads(file.read_text(encoding="utf-8"))["params"]
    with SampledTwin(now=lambda: WINTER) as twin:
        token = twin.log_in(params)
        hold(
            file, evidence,
            lambda fields: connect(twin).answer(Question("q", evidence, 1, fields, "cantine", 5.0, token=token)),
        )  # fmt: skip


def test_enough_of_the_official_people_can_be_asked_about() -> None:
    assert len(list(by_identity())) > 60
    assert len(list(by_franceconnect())) > 40


# The official description


@cache
def document() -> dict[str, Any]:
    """As published, but for its security scheme, which mixes two kinds."""
    text = (CONTRACT / "openapi-api-particulier-v3.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    read["components"]["securitySchemes"] = {
        "jwt_bearer_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    return read


def plain(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: `nullable` becomes a type."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return plain(document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    made = {name: plain(value) for name, value in schema.items() if name not in ("nullable", "example", "examples")}
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    return made


def call_faults(path: str, query: Mapping[str, list[str]]) -> list[str]:
    """What the description has against one of our calls."""
    due = {item["name"]: item for item in document()["paths"][path]["get"]["parameters"] if item["in"] == "query"}
    faults = [f"{name} is unknown" for name in query if name not in due]
    faults += [f"{name} lacks" for name, item in due.items() if item.get("required") and name not in query]
    for name, texts in query.items():
        if name not in due:
            continue
        schema = plain(due[name]["schema"])
        kind = schema.get("type")
        value: Any = texts if kind == "array" else int(texts[0]) if kind == "integer" else texts[0]
        faults += [f"{name}: {fault.message}" for fault in Draft202012Validator(schema).iter_errors(value)]
        faults += [f"{name} twice"] if kind != "array" and len(texts) > 1 else []
    return faults


def answer_faults(path: str, status: int, body: Any) -> list[str]:
    """What the description has against an answer of our twin. It forgets some errors of some operations: those are held
    to the form of all errors."""
    responses = document()["paths"][path]["get"]["responses"]
    if str(status) in responses:
        schema = responses[str(status)]["content"]["application/json"]["schema"]
    else:
        assert status >= 400
        schema = document()["components"]["schemas"]["Error"]
    return [f"{fault.json_path}: {fault.message}" for fault in Draft202012Validator(plain(schema)).iter_errors(body)]


def everything_asked(twin: ApiParticulierTwin) -> None:
    """Each kind of evidence about each of our people, in each way, and each error."""
    connector = connect(twin, NOON)
    for person in twin.people:
        for evidence in evidence_parts():
            fields = REGISTRY.evidence_fields(evidence)
            month = {"month": "2025-04"} if evidence == "family-quotient" else {}
            for token in (None, twin.log_in(person["key"])):
                told(
                    connector,
                    Question(
                        "q", evidence, 1, fields, "cantine", 5.0, identity=person["identity"],
                        reference=person.get("identifier"), parameters=month, token=token,
                    ),
                )  # fmt: skip
    for evidence in ("student-status", "scholarship"):
        asked = Question("q", evidence, 1, ("institution",), "bourse", 5.0, parameters={"ine": "0939000000A"})
        told(connector, asked)


def told(connector: ApiParticulierConnector, question: Question) -> None:
    try:
        connector.answer(question)
    except (NotMatched, Refused):
        pass


def test_the_description_has_nothing_against_our_calls_and_the_answers_of_our_twin() -> None:
    with ApiParticulierTwin(now=lambda: NOON, per_minute=10_000) as twin:
        everything_asked(twin)
        assert len(twin.asked) > 60
        assert {path.rpartition("/")[0] for path, _ in twin.asked} == {
            part.operation.path for parts in evidence_parts().values() for part in parts
        }
        calls = {f"{path}: {fault}" for path, query in twin.asked for fault in call_faults(path, query)}
        answers = {
            f"{path} {answer.status}: {fault}"
            for path, answer in twin.given
            for fault in answer_faults(path, answer.status, answer.body)
        }

    assert not calls
    assert not answers


def test_the_errors_of_our_twin_are_those_of_the_description() -> None:
    listed = json.loads((CONTRACT / "endpoints-and-error-codes.json").read_text(encoding="utf-8"))
    known = {
        (status, line.partition(" ")[0])
        for item in listed
        for status, lines in item["errors"].items()
        for line in lines
    } | {("404", "37003")}  # only the answers of the sandbox say this one for a quotient
    path = "/v3/dss/quotient_familial/identite"
    with ApiParticulierTwin(now=lambda: NOON) as twin:
        for code in twin.codes():
            twin.answer_error(code)
        identity = twin.person("corvisart")["identity"]
        connector = connect(twin, NOON)
        connector.client.pause = lambda seconds: None
        for _ in twin.codes():
            try:
                connector.client.operation_data(
                    evidence_parts()["family-quotient"][0].operation,
                    "identite",
                    identity_parameters(evidence_parts()["family-quotient"][0].operation, identity),
                    seconds=5,
                )
            except HubError:
                pass
        said = [(str(answer.status), answer.body["errors"][0]["code"]) for _, answer in twin.given]
        faults = [fault for _, answer in twin.given for fault in answer_faults(path, answer.status, answer.body)]

    assert set(said) <= known
    assert not faults


def listed_errors() -> Iterator[Any]:
    if CONTRACT.is_dir():
        listed = json.loads((CONTRACT / "endpoints-and-error-codes.json").read_text(encoding="utf-8"))
        found = {(status, line) for item in listed for status, lines in item["errors"].items() for line in lines}
        for status, line in sorted(found):
            code, _, title = line.partition(" ")
            yield pytest.param(int(status), code, title, id=f"{status}-{line}")


@pytest.mark.parametrize(("status", "code", "title"), list(listed_errors()))
def test_every_error_of_the_description_has_a_meaning(status: int, code: str, title: str) -> None:
    body: dict[str, Any] = {"errors": [{"code": code, "title": title, "detail": "…", "source": None, "meta": {}}]}
    error = error_of(fault_of(HttpAnswer(status, {}, json.dumps(body).encode())), "identite")

    assert "inattendue" not in error.reason or title == "Erreur inattendue"
    if status == 404:
        assert isinstance(error, TryLater if title == "Erreur inattendue" else NotMatched)
    if status in (502, 504):
        assert isinstance(error, TryLater)
