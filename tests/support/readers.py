"""A declared connector of an invented library, with its contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOML = """
id = "lecteurs"
name = "Lecteurs"
vendor = "Coopérative d'essai"
domain = "library"
kind = "rest"
owners = ["médiathèque"]

[contract]
from = "https://lecteurs.example/openapi.json"
version = "2"
openapi = "contract/openapi.json"

[settings]
base_url = { type = "url", about = "Adresse." }

[http]
base = "{base_url}"
probe = "GET readers/0"

[[deliver]]
type = "citizen.contact-changed"
call = "PATCH readers/{reference}"
again = "same-state"
map = "out"

[[answer]]
type = "library-card"
fields = ["card_number", "category"]
needs = ["reference"]
call = "GET readers/{reference}"
map = "card"
"""
MAPPING = """map;target;source;convert;required
card;/card_number;/card;text;oui
# une remarque de la ville
card;/category;/level;text;
out;email;/email/value;text;
"""
README = "# Lecteurs\n\n`base_url`\n\n## Ce que la ville doit demander à son éditeur\n\nRien.\n"
READER = {
    "type": "object", "required": ["card"],
    "properties": {"card": {"type": "string"}, "level": {"type": "string"}, "blocked": {"type": "boolean"}},
}  # fmt: skip
CHANGES = {"type": "object", "properties": {"email": {"type": "string"}}}


def document(reader: Mapping[str, Any] = READER, changes: Mapping[str, Any] = CHANGES) -> dict[str, Any]:
    number = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    taken = {"200": {"description": "ok"}}
    given = {"200": {"description": "ok", "content": {"application/json": {"schema": reader}}}}
    body = {"content": {"application/json": {"schema": changes}}}
    way = {"parameters": [number], "get": {"responses": given}, "patch": {"requestBody": body, "responses": taken}}
    return {"openapi": "3.0.3", "info": {"title": "Lecteurs", "version": "2"}, "paths": {"/readers/{id}": way}}


def readers(folder: Path) -> Path:
    """The connector `lecteurs` in a folder of connectors."""
    place = folder / "lecteurs"
    (place / "contract").mkdir(parents=True)
    for name, text in (("connector.toml", TOML), ("mapping.csv", MAPPING), ("README.md", README)):
        (place / name).write_text(text, encoding="utf-8")
    (place / "contract" / "openapi.json").write_text(json.dumps(document()), encoding="utf-8")
    return place
