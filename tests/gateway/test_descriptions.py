"""`/openapi.json`, `/asyncapi.json`, `/schemas/…`, `/docs`: whole, true, and served without anybody else's help."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from gateway.access import PUBLIC
from gateway.problems import codes
from tests.gateway.conftest import House, event, post, problem, record
from tests.gateway.test_requests import asked, submit


@pytest.fixture
def openapi(house: House) -> dict[str, Any]:
    found: dict[str, Any] = house.anonymous().get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_every_route_is_described(house: House, openapi: dict[str, Any]) -> None:
    app: Any = house.serving._server.config.app
    described = operations(openapi)
    for route in app.routes:
        if route.path == "/in/{where:path}":
            assert {"POST /in/{connection}", "POST /in/{tenant}/{connection}"} <= described.keys()
            continue
        path = route.path.replace(":path}", "}")
        for method in route.methods:
            assert f"{method} {path}" in described


def test_every_operation_has_a_summary_a_tag_a_name_and_its_scope(openapi: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in openapi["tags"]}
    names = [operation["operationId"] for operation in operations(openapi).values()]
    assert len(set(names)) == len(names)
    public = {path.replace(":path}", "}") for path in PUBLIC} | {"/in/{connection}", "/in/{tenant}/{connection}"}
    for place, operation in operations(openapi).items():
        assert operation["summary"], place
        assert set(operation["tags"]) <= tags, place
        assert bool(operation.get("security")) == (place.split(" ")[1] not in public), place


def test_every_reference_leads_somewhere(openapi: dict[str, Any]) -> None:
    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                target: Any = openapi
                for name in part["$ref"].removeprefix("#/").split("/"):
                    assert name in target, part["$ref"]
                    target = target[name]
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    assert openapi["openapi"].startswith("3.1")
    assert openapi["servers"] == [{"url": "http://hub.example"}]
    walk(openapi)


def test_every_schema_is_one_and_its_examples_fit(openapi: dict[str, Any]) -> None:
    for name, schema in openapi["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        for example in schema.get("examples", []):
            assert faults(openapi, name, example) == [], name


def faults(openapi: dict[str, Any], name: str, value: object) -> list[str]:
    registry: Registry[Any] = Registry().with_resource("urn:api", DRAFT202012.create_resource(openapi))
    schema = {"$ref": f"urn:api#/components/schemas/{name}"}
    return [f"{e.json_path}: {e.message}" for e in Draft202012Validator(schema, registry=registry).iter_errors(value)]


def test_the_answers_are_as_described(house: House, openapi: dict[str, Any]) -> None:
    http = house.client()
    hook = {"url": "https://portail.example/", "types": ["request.received"]}
    view = submit(http, asked()).json()
    for name, value in (
        ("Accepted", post(http, event()).json()),
        ("Verdicts", post(http, [event(2), {}]).json()),
        ("Request", view),
        ("Timeline", http.get(f"/v1/requests/{view['id']}/timeline").json()),
        ("Requests", http.get("/v1/requests").json()),
        ("Procedures", http.get("/v1/procedures").json()),
        ("Requests", http.get("/v1/requests", params={"limit": 1}).json()),
        ("document.v1", http.post("/v1/documents", content=b"a;b", headers={"content-type": "text/csv"}).json()),
        ("WebhookWithKey", http.post("/v1/webhooks", json=hook).json()),
        ("Webhooks", http.get("/v1/webhooks").json()),
        ("Problem", http.get("/v1/requests/x").json()),
        ("TokenError", http.post("/oauth/token", data={}).json()),
    ):
        assert faults(openapi, name, value) == [], name


def test_the_examples_of_bodies_are_accepted(house: House, openapi: dict[str, Any]) -> None:
    http = house.client()
    described = operations(openapi)
    events = described["POST /v1/events"]["requestBody"]["content"]
    assert post(http, events["application/cloudevents+json"]["example"]).status_code == 202
    assert post(http, events["application/cloudevents-batch+json"]["example"]).json()["verdicts"][0]["outcome"]
    example = described["POST /v1/requests"]["requestBody"]["content"]["application/json"]["example"]
    assert submit(http, example).status_code == 201
    assert http.post("/v1/webhooks", json=openapi["components"]["schemas"]["NewWebhook"]["examples"][0]).is_success


def test_the_schemas_are_served_for_writers_and_for_readers(house: House) -> None:
    http = house.anonymous()
    listed = http.get("/schemas").json()
    assert "request.received" in [line["type"] for line in listed["events"]]
    for path in listed["schemas"]:
        answer = http.get(path)
        assert answer.headers["content-type"] == "application/schema+json"
        Draft202012Validator.check_schema(answer.json())
    path = "/schemas/events/request.received.v1.json"
    later = {"request": record(), "plus_tard": True}
    assert not Draft202012Validator(http.get(path).json()).is_valid(later)
    assert Draft202012Validator(http.get(path, params={"face": "reader"}).json()).is_valid(later)


@pytest.mark.parametrize(
    "name", ["", "x", "events/x.v1.json", "..%2f..%2fpyproject.toml", "events/request.received.v9.json"]
)
def test_a_schema_that_is_not_there_is_not_found(house: House, name: str) -> None:
    problem(house.anonymous().get(f"/schemas/{name}"), 404, "not_found")


def test_the_broker_is_described_too(house: House) -> None:
    document = house.anonymous().get("/asyncapi.json").json()
    assert document["asyncapi"] == "3.0.0"
    assert "inlet" in document["channels"]
    assert "servers" not in document


class Page(HTMLParser):
    """What the page loads, where its links lead, and the places they may lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.places: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loaded += [tag] if tag in ("script", "link", "img", "iframe", "object", "embed") or "src" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        self.places += [given["id"] or ""] if "id" in given else []


def test_the_page_for_people_stands_alone_and_all_its_links_lead_somewhere(
    house: House, openapi: dict[str, Any]
) -> None:
    http = house.anonymous()
    answer = http.get("/docs")
    page = Page(answer.text)

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert page.loaded == []
    assert len(set(page.places)) == len(page.places)
    for link in page.links:
        assert link.removeprefix("#") in page.places if link.startswith("#") else http.get(link).is_success, link
    for place in operations(openapi):
        assert f"<code>{place.split(' ')[1]}</code>" in answer.text
    for name in [*openapi["components"]["schemas"], *codes()]:
        assert f"<code>{name}</code>" in answer.text


def test_the_policy_of_the_page_allows_its_own_style_only(house: House) -> None:
    answer = house.anonymous().get("/docs")
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert " style=" not in answer.text
