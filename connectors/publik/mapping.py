"""From a Publik form to the hub's words. Pure: what each field means is a setting of the connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from connectors.publik.canteen import json_object
from connectors.sdk import values
from connectors.sdk.documents import decoded_file, file_name, media_type
from connectors.sdk.kinds.calls import value_at
from connectors.sdk.links import reference_link
from connectors.sdk.local_times import instant
from connectors.sdk.values import Reading, Unread, present
from schemas.errors import InvalidMessage, Refused
from schemas.identities import read_identity
from schemas.times import to_rfc3339

MAX_FILE = 10 * 1024 * 1024
_CHANNELS = {"web": "online", "counter": "desk", "mail": "mail", "phone": "phone", "email": "online"}
_BAN_KEY = re.compile(r"(?P<insee>(?:0[1-9]|[1-9][0-9]|2[AB])[0-9]{3})_[0-9A-Za-z_-]{1,58}")
_NUMBER = re.compile(r"[0-9A-Za-z-]{1,40}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,119}")
# What each part of a person, an organisation or an address is read by; a citizen may have written anything there.
_READERS: Mapping[str, Callable[[str], Reading[Any]]] = {
    "family_name": values.text_of(100), "preferred_name": values.text_of(100), "given_names": values.given_names,
    "gender": values.gender, "birthdate": values.partial_date, "birthplace": values.insee_code,
    "birthcountry": values.birth_country, "email": values.email, "name": values.text_of(200),
    "siret": values.siret, "rna": values.rna, "effective_on": values.calendar_date,
    "house_number": values.text_of(20), "street": values.text_of(200), "complement": values.text_of(200),
    "postal_code": values.postal_code, "city": values.text_of(100), "insee_code": values.insee_code,
    "country": values.country, "ban_key": values.text_of(200),
}  # fmt: skip
_ADDRESSES = ("old_address", "new_address", "requester/address", "beneficiary/address")

Answers = Mapping[str, Any]
References = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Form:
    """What one form said. `request` lacks its documents: they are added once `files` are stored. It keeps in its form,
    as they were written, the optional answers that could not be read. `files`: each as `Documents.store` takes it."""

    reference: str
    received_at: str
    request: dict[str, Any]
    address_change: dict[str, Any] | None
    contact_change: dict[str, Any] | None
    files: Sequence[Mapping[str, Any]] = field(repr=False)


def reference_of(slug: str, number: object) -> str:
    """The identifier of a form in the hub's links: `<slug>/<number>`."""
    if not isinstance(number, str | int) or not _NUMBER.fullmatch(str(number)):
        raise InvalidMessage("le numéro de la demande manque", pointer="/id", code="no_form_number")
    return f"{slug}/{number}"


def split_reference(reference: str) -> tuple[str, str]:
    """Slug and number. Raises Refused for what `reference_of` cannot have made."""
    slug, _, number = reference.partition("/")
    if not _SLUG.fullmatch(slug) or not _NUMBER.fullmatch(number):
        raise Refused("la référence Publik n'a pas la forme formulaire/numéro")
    return slug, number


def holds_value(data: object, name: str, value: str) -> bool:
    """Whether `name` is `value` in workflow data: at the top, or in the content kept of one trigger."""
    if not isinstance(data, Mapping):
        return False
    return any(
        ((key == name or key.endswith(f"_content_{name}")) and item == value)
        or (key.endswith("_content") and holds_value(item, name, value))
        for key, item in data.items()
    )


def lacks_content(formdata: Mapping[str, Any]) -> bool:
    """True when a file is named without being there, as a list without file contents gives it."""
    return any(not isinstance(item.get("content"), str) for _, item in _files_in(formdata.get("fields"), ""))


def read_form(
    slug: str, setting: Mapping[str, Any], formdata: Mapping[str, Any], *, system: str, source: str, zone: tzinfo,
    territory: str = "",
) -> Form:  # fmt: skip
    """Map one formdata; `territory`: as `Unread` has it. An optional answer that nobody can read stands in the way of
    nothing. Raises InvalidMessage, with a pointer into the formdata, for what a request cannot do without; never quotes
    a value."""
    answers = formdata.get("fields")
    if not isinstance(answers, Mapping):
        raise InvalidMessage("la demande n'a pas de champs", pointer="/fields", code="not_a_formdata")
    reference = reference_of(slug, formdata.get("id"))
    received_at = to_rfc3339(instant(formdata.get("receipt_time"), zone, "/receipt_time"), "seconds")
    unread = Unread(territory)
    tree = _assemble(setting["fields"], answers, "/fields", unread)
    _set_aside_addresses(tree, setting["fields"], answers, unread)
    account = _account(formdata, system)
    link = reference_link(system, reference)
    sourced = {"source": source, "date": received_at, "quality": "declared"}
    request = _request(setting, formdata, tree, account, link, unread) | {"submitted_at": received_at}
    moved = _address_change(setting, answers, tree, account, link, sourced, unread)
    reached = _contact_change(tree, account, link, sourced)
    files = [_attached(pointer, item, setting) for pointer, item in _files_in(answers, "/fields")]
    return Form(reference, received_at, unread.added_to(request), moved, reached, files)


def _request(
    setting: Mapping[str, Any], formdata: Mapping[str, Any], tree: Mapping[str, Any], account: References,
    link: Mapping[str, Any], unread: Unread,
) -> dict[str, Any]:  # fmt: skip
    channel = value_at(formdata, "/submission/channel") or "web"
    beneficiaries = [_citizen(tree["beneficiary"], [], "/fields")] if "beneficiary" in tree else []
    beneficiaries += _people(setting.get("beneficiaries"), formdata["fields"], unread)
    return present({
        **link, "procedure": setting["procedure"], "intake": _CHANNELS.get(str(channel), "online"),
        **_requester(tree, account), "beneficiaries": beneficiaries, "form": tree.get("form"),
    })  # fmt: skip


def _requester(tree: Mapping[str, Any], account: References) -> dict[str, Any]:
    """The organisation when one is named, with the person who asks as its agent; else that person."""
    organisation = tree.get("organisation", {})
    if "name" not in organisation:
        return {"requester": {"citizen": _citizen(tree.get("requester", {}), account, "/fields")}}
    asked: dict[str, Any] = {"requester": {"organisation": organisation}}
    if "requester" in tree or account:
        person = {"citizen": _citizen(tree.get("requester", {}), account, "/fields")}
        asked["representative"] = {"role": "agent", "person": person}
    return asked


def _address_change(
    setting: Mapping[str, Any], answers: Answers, tree: Mapping[str, Any], account: References,
    link: Mapping[str, Any], sourced: Mapping[str, Any], unread: Unread,
) -> dict[str, Any] | None:  # fmt: skip
    if "new_address" not in tree:
        return None
    new = _address(tree["new_address"])
    if new is None:
        raise InvalidMessage("la nouvelle adresse est incomplète", pointer="/fields", code="incomplete_address")
    if not _is_whole(new):
        names = (n for n, paths in setting["fields"].items() if "new_address/postal_code" in _paths(paths))
        place = f"/fields/{next(names)}"
        raise InvalidMessage("le code postal français a cinq chiffres", pointer=place, code="bad_postal_code")
    old = _address(tree.get("old_address", {}))
    return present({
        "citizen": _citizen(tree.get("requester", {}), account, "/fields"),
        "new_address": {"value": new, **sourced}, "request": link, "old_address": old,
        "household": _people(setting.get("household"), answers, unread), "effective_on": tree.get("effective_on"),
    })  # fmt: skip


def _contact_change(
    tree: Mapping[str, Any], account: References, link: Mapping[str, Any], sourced: Mapping[str, Any]
) -> dict[str, Any] | None:
    if "contact" not in tree:
        return None
    told = {name: {"value": value, **sourced} for name, value in tree["contact"].items()}
    return {"citizen": _citizen(tree.get("requester", {}), account, "/fields"), "request": link, **told}


def _citizen(said: Mapping[str, Any], account: References, pointer: str) -> dict[str, Any]:
    citizen = {name: value for name, value in said.items() if name not in ("identity", "address")}
    citizen["identity"] = read_identity({"family_name": "", "given_names": [], **said.get("identity", {})})
    citizen["references"] = account
    if not citizen["identity"] and not account:
        raise InvalidMessage("la demande ne dit pas de qui elle parle", pointer=pointer, code="nobody")
    return present({**citizen, "address": _address(said.get("address", {}))})


def _people(block: Mapping[str, Any] | None, answers: Answers, unread: Unread) -> list[dict[str, Any]]:
    """The rows of a block of fields, one person each; an empty row is nobody."""
    if block is None:
        return []
    name = block["block"]
    rows = answers.get(f"{name}_raw", answers.get(name)) or []
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise InvalidMessage("un bloc de champs était attendu", pointer=f"/fields/{name}", code="not_a_block")
    pointers = [f"/fields/{name}/{number}" for number in range(len(rows))]
    trees = [(_assemble(block["fields"], row, place, unread), place) for row, place in zip(rows, pointers, strict=True)]
    return [_citizen(tree, [], place) for tree, place in trees if tree]


def _address(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """None without a town, or in France without a postal code."""
    if not said.get("city") or not (said.get("postal_code") or said.get("country", "FR") != "FR"):
        return None
    address = dict(said)
    match = _BAN_KEY.fullmatch(str(address.get("ban_key", "")))
    if match is None:
        address.pop("ban_key", None)  # an autocompletion may give another identifier than the BAN's
    else:
        address.setdefault("insee_code", match["insee"])
    return address


def _account(formdata: Mapping[str, Any], system: str) -> References:
    """The portal account that filed the form; nothing for a form without account."""
    user = json_object(formdata.get("user"))
    names = user.get("NameID") or user.get("uuid") or user.get("id")
    name = names[0] if isinstance(names, list) else names
    return [{"system": system, "id": str(name)[:200]}] if isinstance(name, str | int) and name != "" else []


def _assemble(
    fields: Mapping[str, str | list[str]], answers: Answers, pointer: str, unread: Unread
) -> dict[str, Any]:  # fmt: skip
    """The answers as a tree, by the paths that the settings give; what is empty or cannot be read is absent."""
    tree: dict[str, Any] = {}
    for name, paths in fields.items():
        raw = _answer(answers, name)
        if raw is None or raw in ("", [], {}):
            continue
        for path in _paths(paths):
            steps = path.split("/")
            value = _read_answer(steps, raw, f"{pointer}/{name}", unread)
            if value is not None:
                _put_answer(tree, steps, value)
    return tree


def _paths(paths: str | list[str]) -> list[str]:
    return [path.strip("/") for path in ([paths] if isinstance(paths, str) else paths)]


def _answer(answers: Answers, name: str) -> Any:
    """A field by its name; `field.key` reads inside a structured answer."""
    value: Any = answers
    for step in [name] if name in answers else name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value.strip() if isinstance(value, str) else value


def _put_answer(tree: dict[str, Any], steps: Sequence[str], value: Any) -> None:
    for step in steps[:-1]:
        tree = tree.setdefault(step, {})
    tree[steps[-1]] = value


def _read_answer(steps: Sequence[str], raw: Any, pointer: str, unread: Unread) -> Any:
    if steps[0] == "form":
        return raw
    if steps[-1] == "confidential":
        return unread.read_mark(pointer.removeprefix("/fields/"), raw)
    if isinstance(raw, Mapping | list):
        raise InvalidMessage("une réponse simple était attendue", pointer=pointer, code="not_a_text")
    reader = unread.phone if steps[-1] == "phone" else _READERS[steps[-1]]
    return unread.read(pointer.removeprefix("/fields/"), str(raw), reader)


def _set_aside_addresses(
    tree: dict[str, Any], fields: Mapping[str, str | list[str]], answers: Answers, unread: Unread
) -> None:
    """An address of an unknown country, and an optional one that is not whole, stays as it was written."""
    for place in _ADDRESSES:
        named = {name: path for name, paths in fields.items() for path in _paths(paths) if path.startswith(f"{place}/")}
        written = {name: text for name in named if (text := str(_answer(answers, name) or ""))}
        *above, last = place.split("/")
        holder = tree.get(above[0], {}) if above else tree
        lost = any(named[name].endswith("/country") for name in written) and "country" not in holder.get(last, {})
        if last in holder and (lost or (last != "new_address" and not _is_whole(holder[last]))):
            del holder[last]
            for name, text in written.items():
                unread.keep(name, text)


def _is_whole(said: Mapping[str, Any]) -> bool:
    address = _address(said)
    french = address is not None and address.get("country", "FR") == "FR"
    return address is not None and (not french or values.has_five_digits(address["postal_code"]))


def _files_in(value: Any, pointer: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if isinstance(value.get("filename"), str):
            yield pointer, value
            return
        for name, item in value.items():
            yield from _files_in(item, f"{pointer}/{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _files_in(item, f"{pointer}/{number}")


def _attached(pointer: str, item: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": file_name(item["filename"]), "media_type": media_type(str(item.get("content_type") or "")),
        "kind": setting.get("documents", {}).get(pointer.split("/")[2]),
        "content": decoded_file(item.get("content"), MAX_FILE, f"{pointer}/content"),
    }  # fmt: skip
