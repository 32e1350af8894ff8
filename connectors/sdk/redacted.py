"""What a connection would have sent, for a report that many may read: its shape without a value, and of the names in it
those alone that are surely names of the package's format.

A name is shown when it stands in the shared schemas or in what the connector itself is made of, and no word of it
stands in what was said. A key that is somebody's name, a file named after a person or a step of
a path with a login is `…`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from connectors.sdk.trace import shape, shape_of_message, showing_only, shown_path
from schemas.delivery import Inbound
from schemas.json_text import parse_json
from schemas.words import words_in

_NAME = re.compile(r"[^\W\d]\w*(?:[.-]\w+)*")
_INVENTED = ("twin.py", "case.py", "contents.py", "people.json")  # what holds people, though invented ones
_MOST_BYTES = 4 * 1024 * 1024
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_CODES = frozenset({"procedure", "status", "phase", "quality", "intake", "gender", "country"})
"""Members of shared records that hold words of closed lists: these words are nobody's."""


class Redactor:
    """Makes the samples of one connection. `names`: those that its package's format has."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)

    @staticmethod
    def of(
        folder: Path | None, schemas: Iterable[Mapping[str, Any]], settings: Mapping[str, Any] | None = None
    ) -> Redactor:
        """Of a connection: by the folder of its connector (None: of none), the shared schemas, and the names in its
        settings, which are those of the town's own forms; no value of them."""
        own = _names_of_folder(folder) if folder is not None else ()
        return Redactor({*own, *_names_of_schemas(schemas), *_keys_of(settings)})

    def sample(self, message: Any, said: Any) -> str:
        """The shape of a message that was prepared out of what was `said`, or of a call that came."""
        if isinstance(message, Inbound):
            return self._call(message)
        with showing_only(self._vouched(said)):
            method, path = getattr(message, "method", None), getattr(message, "path", None)
            line = f"{method} {shown_path(path)}  " if method in _METHODS and isinstance(path, str) else ""
            whole = is_dataclass(message) or isinstance(message, bytes)
            return line + (shape_of_message(message) if whole else shape(message))

    def _vouched(self, said: Any) -> Callable[[str], bool]:
        spoken = words_in(_without_codes(said))
        return lambda name: name in self._names and spoken.isdisjoint(words_in(name))

    def _call(self, call: Inbound) -> str:
        """Without a schema that vouches for it: the shape of a body that can be read as JSON, of any other its
        length."""
        try:
            body = parse_json(call.body)
        except ValueError:
            return f"{len(call.body)} octets"
        with showing_only(self._vouched(body)):
            return f"{call.method if call.method in _METHODS else '…'} {shown_path(call.path)}  {shape(body)}"


def _names_of_folder(folder: Path) -> Iterator[str]:
    for file in sorted((*folder.glob("*"), *folder.glob("contract/**/*"))):
        wanted = file.suffix in (".py", ".toml", ".csv", ".json", ".yaml", ".yml", ".xsd", ".wsdl", ".sql")
        if wanted and file.name not in _INVENTED and file.is_file() and file.stat().st_size <= _MOST_BYTES:
            yield from _NAME.findall(file.read_text(encoding="utf-8", errors="replace"))


def _names_of_schemas(schemas: Iterable[Any]) -> Iterator[str]:
    waiting: list[Any] = list(schemas)
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            own = one.get("properties")
            yield from own if isinstance(own, Mapping) else ()
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)


def _keys_of(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        for name, part in settings.items():
            yield str(name)
            yield from _keys_of(part)


def _without_codes(said: Any) -> Any:
    if isinstance(said, Mapping):
        return {name: _without_codes(part) for name, part in said.items() if name not in _CODES}
    return [_without_codes(part) for part in said] if isinstance(said, list | tuple) else said
