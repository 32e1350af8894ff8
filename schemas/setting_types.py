"""The settings of a connector as its `connector.toml` types them, made into a JSON Schema 2020-12.

    base_url = { type = "url", about = "Adresse de l'API." }
    password = { type = "secret", about = "Mot de passe." }
    port = { type = "integer", min = 1, max = 65535, default = 22, about = "Port." }

A setting is required unless it has a `default` or says `optional = true`. `secret` is a type: no text beside it can
turn a password into something that is shown. The schema keeps `"secret": true` and `"procedure": true` at its places,
which readers of settings look for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from schemas.shape import nearest

Table = Mapping[str, Any]
Schema = dict[str, Any]

URL = r"^https?://[^\s]+$"
_DAY = r"^\d{4}-\d\d-\d\d$"
_SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
# what each type may say beside `type`, `about`, `optional` and `default`
TYPE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "text": ("min", "max", "pattern"),
    "url": ("pattern",),
    "secret": ("min",),
    "date": (),
    "procedure": (),
    "choice": ("of",),
    "integer": ("min", "max", "above"),
    "number": ("min", "max", "above"),
    "boolean": (),
    "list": ("of", "min", "max", "unique"),
    "table": ("of", "keys", "min"),
    "record": ("fields", "exactly_one", "at_least_one", "with"),
    "either": ("of",),
}
TYPES = tuple(TYPE_OPTIONS)
_COMMON = ("type", "about", "optional", "default")


class WrongSetting(ValueError):
    """A setting that is not typed as it must be: its `key`, dotted, and what is wrong."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


def settings_schema(settings: Table, types: Table, rules: Table) -> Schema:
    """The JSON Schema of `[settings]`; `types` is `[types]`, names that a setting may use as its type; `rules` is
    `[settings_rules]`: `exactly_one`, `at_least_one` and `with`, as in a record. Raises WrongSetting for the first
    fault."""
    named = {name: _schema(part, f"types.{name}", types) for name, part in types.items()}
    whole = _record({"fields": settings, **rules}, "settings", types)
    return whole | ({"$defs": named} if named else {})


def setting_faults(settings: Table, types: Table, rules: Table) -> Iterator[tuple[str, str]]:
    """Key and message of every fault at once."""
    places = [(f"types.{name}", part) for name, part in types.items()]
    places += [(f"settings.{name}", part) for name, part in settings.items()]
    sound = True
    for key, part in places:
        try:
            _schema(part, key, types)
        except WrongSetting as fault:
            sound = False
            yield fault.key, fault.message
    if sound:
        try:
            settings_schema(settings, types, rules)
        except WrongSetting as fault:
            yield fault.key, fault.message
    for name, part in settings.items():
        if isinstance(part, Mapping) and not str(part.get("about", "")).strip():
            yield f"settings.{name}", "has no `about`: say in French what it is"


def _schema(part: object, key: str, types: Table) -> Schema:
    part = {"type": part} if isinstance(part, str) else part
    if not isinstance(part, Mapping):
        raise WrongSetting(key, 'must be a table such as { type = "text", about = "…" }')
    kind = part.get("type")
    made = _named(part, key, types) if isinstance(kind, str) and kind in types else _of_type(part, key, types)
    if "about" in part:
        made["description"] = part["about"]
    if "default" in part:
        made["default"] = part["default"]
    return made


def _named(part: Table, key: str, types: Table) -> Schema:
    _check_options(part, key, ())
    return {"$ref": f"#/$defs/{part['type']}"}


def _of_type(part: Table, key: str, types: Table) -> Schema:
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in TYPE_OPTIONS:
        known = (*TYPES, *types)
        near = nearest(str(kind), known) if kind else ""
        raise WrongSetting(key, f"no such type{near}; there are {', '.join(known)}")
    _check_options(part, key, TYPE_OPTIONS[kind])
    if kind == "secret" and "default" in part:
        raise WrongSetting(key, "a secret has no default")
    return _MADE[kind](part, key, types)


def _check_options(part: Table, key: str, known: tuple[str, ...]) -> None:
    for name in part:
        if name not in (*_COMMON, *known):
            raise WrongSetting(f"{key}.{name}", f"no such key here{nearest(name, (*_COMMON, *known))}")


def _text(part: Table, key: str, types: Table) -> Schema:
    shortest = part.get("min", 0 if "pattern" in part or part.get("default") == "" else 1)
    made: Schema = {"type": "string"} | ({"minLength": shortest} if shortest else {})
    return made | _renamed(part, {"max": "maxLength", "pattern": "pattern"})


def _url(part: Table, key: str, types: Table) -> Schema:
    return {"type": "string", "pattern": part.get("pattern", URL)}


def _secret(part: Table, key: str, types: Table) -> Schema:
    return {"type": "string", "secret": True, "minLength": part.get("min", 1)}


def _number(part: Table, key: str, types: Table) -> Schema:
    return {"type": part["type"]} | _renamed(part, {"min": "minimum", "max": "maximum", "above": "exclusiveMinimum"})


def _choice(part: Table, key: str, types: Table) -> Schema:
    return {"enum": list(_given(part, "of", key))}


def _list(part: Table, key: str, types: Table) -> Schema:
    made: Schema = {"type": "array", "items": _schema(_given(part, "of", key), f"{key}.of", types)}
    return made | _renamed(part, {"min": "minItems", "max": "maxItems", "unique": "uniqueItems"})


def _table(part: Table, key: str, types: Table) -> Schema:
    made: Schema = {"type": "object", "additionalProperties": _schema(_given(part, "of", key), f"{key}.of", types)}
    keys = part.get("keys")
    if isinstance(keys, str):
        made["propertyNames"] = {"pattern": keys}
    elif keys is not None:
        made["propertyNames"] = {"enum": list(keys)}
    return made | _renamed(part, {"min": "minProperties"})


def _record(part: Table, key: str, types: Table) -> Schema:
    fields = _given(part, "fields", key)
    made: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _schema(item, f"{key}.{name}", types) for name, item in fields.items()},
    }
    if required := [name for name, item in fields.items() if is_required(item)]:
        made["required"] = required
    for rule, word in (("exactly_one", "oneOf"), ("at_least_one", "anyOf")):
        if rule in part:
            made[word] = [{"required": [_known(name, fields, f"{key}.{rule}")]} for name in part[rule]]
    if "with" in part:
        made["dependentRequired"] = {
            _known(name, fields, f"{key}.with"): [_known(one, fields, f"{key}.with.{name}") for one in others]
            for name, others in part["with"].items()
        }
    return made


def _either(part: Table, key: str, types: Table) -> Schema:
    return {"anyOf": [_schema(one, f"{key}.of", types) for one in _given(part, "of", key)]}


def is_required(part: object) -> bool:
    """Whether a connection must give this setting."""
    return not (isinstance(part, Mapping) and (part.get("optional") is True or "default" in part))


def _given(part: Table, name: str, key: str) -> Any:
    if name not in part:
        raise WrongSetting(key, f"a {part['type']} needs `{name}`")
    return part[name]


def _known(name: str, fields: Table, key: str) -> str:
    if name not in fields:
        raise WrongSetting(key, f'no setting "{name}"{nearest(name, tuple(fields))}')
    return name


def _renamed(part: Table, names: Mapping[str, str]) -> Schema:
    return {target: part[source] for source, target in names.items() if source in part}


_MADE: Mapping[str, Callable[[Table, str, Table], Schema]] = {
    "text": _text,
    "url": _url,
    "secret": _secret,
    "date": lambda part, key, types: {"type": "string", "pattern": _DAY},
    "procedure": lambda part, key, types: {"type": "string", "pattern": _SLUG, "procedure": True},
    "choice": _choice,
    "integer": _number,
    "number": _number,
    "boolean": lambda part, key, types: {"type": "boolean"},
    "list": _list,
    "table": _table,
    "record": _record,
    "either": _either,
}
