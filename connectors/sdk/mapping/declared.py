"""The converters of one connection: the closed words, and those that its `connector.toml` declares of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.mapping import converters as closed
from connectors.sdk.mapping.converters import Converter, Reader
from schemas.errors import ConfigError
from schemas.shape import nearest

_WORD = re.compile(r"[a-z][a-z0-9_-]*")
_SEPARATORS = re.compile(r"[\s,]+")
_BOUNDS = re.compile(r"(-?[0-9]{1,15})?\.\.(-?[0-9]{1,15})?")
WORDS = ("text", "upper", "integer", "decimal", "cents", "date", "instant", "boolean", "postal_code", "setting", "py")
_KINDS = ("date", "instant", "boolean", "table", "decimal", "cents")
_OPTIONS = {"date": ("zone",), "instant": ("zone",), "decimal": ("mark",), "cents": ("mark",)}


class Converters(Mapping[str, Converter]):
    """What the column `convert` may say. The mapping holds the declared names; `of` knows the closed words too.

    `settings`: those of the connection, for `setting:name`; None while only the files are checked: then every table is
    there and empty. `hooks`: the functions of the connector's `hooks.py`, for `py:name`. `readers`: further words, each
    a reader of one line of text.
    """

    def __init__(
        self, *, zone: tzinfo, settings: Mapping[str, Any] | None = None,
        hooks: Mapping[str, Callable[[Any], Any]] | None = None, readers: Mapping[str, Reader] | None = None,
    ) -> None:  # fmt: skip
        self.zone = zone
        self.settings = settings
        self.hooks = hooks or {}
        self._readers = {name: closed.reader(name, read) for name, read in (readers or {}).items()}
        self._named: dict[str, Converter] = {}

    def __getitem__(self, name: str) -> Converter:
        return self._named[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    def of(self, words: str) -> list[Converter]:
        """The converters that a cell names, in its order, separated by commas or spaces; none for an empty cell. Raises
        ConfigError, with the nearest right word, for one that is none."""
        return [self._of(word) for word in _SEPARATORS.split(words) if word]

    def declare(self, name: str, raw: object) -> None:
        """Add one line of `[converters]`; a closed word may be given another meaning (`instant = { date = "…" }`).
        Raises ConfigError."""
        if not _WORD.fullmatch(name) or name in ("setting", "py"):
            raise ConfigError("a name is of a-z, 0-9, - and _, and begins with a letter; setting and py are taken")
        if isinstance(raw, str):
            found = self.of(raw)
            self._named[name] = closed.chain(found) if found else closed.plain()
            return
        if not isinstance(raw, Mapping) or len(kinds := [kind for kind in raw if kind in _KINDS]) != 1:
            raise ConfigError(f"must be converters as a text, or a table with one of {', '.join(_KINDS)}")
        for option in raw.keys() - {kinds[0], *_OPTIONS.get(kinds[0], ())}:
            raise ConfigError(f'unknown key "{option}"{nearest(str(option), (*_KINDS, "zone", "mark"))}')
        self._named[name] = self._table(kinds[0], raw)

    def _of(self, word: str) -> Converter:
        if word in self._named or word in self._readers:
            return self._named.get(word) or self._readers[word]
        name, colon, argument = word.partition(":")
        if name == "setting" and argument:
            return closed.table(self._setting(argument))
        if name == "py" and argument:
            return self._hook(argument)
        try:
            return _closed(name, argument, self.zone) if name in WORDS and bool(colon) == bool(argument) else _no(name)
        except ValueError as error:
            known = [*WORDS, *self._readers, *self._named]
            raise ConfigError(
                f'"{word}": {error}' if str(error) else f'no converter "{word}"{nearest(name, known)}'
            ) from None

    def _setting(self, name: str) -> Mapping[str, Any]:
        found = (self.settings or {}).get(name, {})
        if not isinstance(found, Mapping):
            raise ConfigError(f"the setting {name} is not a table")
        return {str(code): meaning for code, meaning in found.items()}

    def _hook(self, name: str) -> Converter:
        if name not in self.hooks:
            raise ConfigError(f"hooks.py has no function {name}{nearest(name, self.hooks)}")
        return closed.hook(name, self.hooks[name])

    def _table(self, kind: str, raw: Mapping[str, Any]) -> Converter:
        said = raw[kind]
        try:
            if kind in ("date", "instant"):
                return getattr(closed, kind)(_texts(said), _zone(raw.get("zone"), self.zone))  # type: ignore[no-any-return]
            if kind == "table":
                return closed.table(_codes(said))
            if kind == "boolean":
                return closed.boolean(*_yes_and_no(said))
            return _number(kind, said, raw.get("mark", ","))
        except ValueError as error:
            raise ConfigError(f"{kind}: {error}") from None


def converters_from(
    raw: Mapping[str, object], *, zone: tzinfo, settings: Mapping[str, Any] | None = None,
    hooks: Mapping[str, Callable[[Any], Any]] | None = None, readers: Mapping[str, Reader] | None = None,
) -> Converters:  # fmt: skip
    """The converters of a connection: `raw` is the table `[converters]` of its `connector.toml`, in which a name may
    use those above it. Raises ConfigError with the key of the first that is none."""
    found = Converters(zone=zone, settings=settings, hooks=hooks, readers=readers)
    for name, fault in declare_all(found, raw):
        raise ConfigError(fault, key=f"converters.{name}")
    return found


def declare_all(found: Converters, raw: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Declare each line of `[converters]`; the names of those that cannot be, each with its fault."""
    for name, said in raw.items():
        try:
            found.declare(name, said)
        except ConfigError as error:
            yield name, str(error)


def _closed(name: str, argument: str, zone: tzinfo) -> Converter:
    if name in ("integer", "cents"):
        return _number(name, argument, ",")
    if name == "date":
        return closed.date([argument or "%Y-%m-%d"], zone)
    if name == "instant":
        return closed.instant([argument] if argument else [], zone)
    if argument:
        raise ValueError("takes nothing after a colon")
    makers: dict[str, Callable[[], Converter]] = {
        "text": closed.text, "upper": closed.upper, "decimal": closed.decimal, "boolean": closed.boolean,
        "postal_code": closed.postal_code,
    }  # fmt: skip
    return makers[name]() if name in makers else _no(name)


def _no(name: str) -> Converter:
    raise ValueError


def _number(kind: str, said: object, mark: object) -> Converter:
    if mark not in (",", "."):
        raise ValueError('mark is "," or "."')
    if kind == "decimal":
        return closed.decimal(str(mark))
    bounds = _BOUNDS.fullmatch(said) if isinstance(said, str) and said else None
    if said and bounds is None:
        raise ValueError("bounds are min..max, one of them may be left out")
    lowest, highest = (int(one) if one else None for one in (bounds.groups() if bounds else (None, None)))
    if kind == "integer":
        return closed.integer(lowest, highest)
    return closed.cents(lowest, highest, str(mark))


def _texts(said: object) -> list[str]:
    found = [said] if isinstance(said, str) else said
    if not isinstance(found, list | tuple) or not found or not all(isinstance(one, str) and one for one in found):
        raise ValueError("must be a format or a list of formats")
    return list(found)


def _codes(said: object) -> Mapping[str, Any]:
    if not isinstance(said, Mapping) or not said:
        raise ValueError("must be a table of codes")
    for meaning in said.values():
        if not isinstance(meaning, str | int | float):
            raise ValueError("a code means a text, a number, true or false")
    return said


def _yes_and_no(said: object) -> tuple[list[str], list[str]]:
    if not isinstance(said, Mapping) or set(said) != {"true", "false"}:
        raise ValueError("must say the words of true and of false")
    return _texts(said["true"]), _texts(said["false"])


def _zone(said: object, usual: tzinfo) -> tzinfo:
    if said is None:
        return usual
    try:
        return ZoneInfo(str(said))
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError("zone is no time zone") from None
    except KeyError:
        raise ValueError("zone is no time zone") from None
