"""`unefois connector new <slug>`: a connector that works at once, to be turned into the package's own.

The templates lie in `templates/`: `package/` becomes the connector's folder. Each file of `answers/` goes where they
name it, when the connector is to answer for a type of evidence; otherwise nothing does.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from connectors.sdk.written import write_folder
from schemas.errors import ConfigError
from schemas.registry import Registry
from schemas.shape import nearest

_TEMPLATES = Path(__file__).with_name("templates")
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,40}")


def write_connector(slug: str, folder: Path, answers: str = "") -> list[Path]:
    """Write `folder/<slug>`; the paths of all files written. `answers`: a type of evidence that the connector is to
    answer for, besides.

    Raises ConfigError for a slug that cannot be a module, for a type that does not exist, for a folder that is not
    there and for anything that exists already: nothing is overwritten, and nothing half-written is left."""
    place = folder / slug
    check_free(slug, folder)
    words = {"slug": slug, "Class": "".join(part.title() for part in slug.split("_")), "name": display_name(slug)}
    words |= _answer_parts(answers, words)
    try:
        return write_folder(place, _filled_templates(words))
    except OSError as error:
        raise ConfigError(f"the connector cannot be written here ({error.strerror})", key=slug) from None


def check_free(slug: str, folder: Path) -> None:
    """Raises ConfigError for a slug that cannot be a module, and for one that is taken in this folder."""
    place = folder / slug
    if not _SLUG.fullmatch(slug) or keyword.iskeyword(slug):
        raise ConfigError("a connector is named by lower-case letters, digits and underscores", key=slug)
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}: run this where the connectors are, or name their folder", key=slug)
    for taken in (place, place.with_suffix(".py")):
        if taken.exists():
            raise ConfigError(f"{taken} is there already", key=slug)


def _answer_parts(answers: str, words: Mapping[str, str]) -> dict[str, str]:
    """What the templates say of answers: nothing, when none are wanted."""
    parts = {path.stem: path.read_text(encoding="utf-8") for path in (_TEMPLATES / "answers").glob("*.txt")}
    if not answers:
        return dict.fromkeys(parts, "")
    registry = Registry.load()
    types = registry.evidence_types()
    if answers not in types:
        raise ConfigError(f'no evidence "{answers}"{nearest(answers, types)}', key="answers")
    own = {**words, "answers": answers, "fields": json.dumps(registry.evidence_fields(answers))}
    return {name: Template(text).substitute(own).removesuffix("\n") for name, text in parts.items()}


def display_name(slug: str) -> str:
    """What people call a package until somebody says better."""
    return slug.replace("_", " ").capitalize()


def _filled_templates(words: Mapping[str, str]) -> dict[str, str]:
    """The files of the folder, by name."""
    found = {}
    for template in sorted((_TEMPLATES / "package").glob("*.txt")):
        name, text = template.name.removesuffix(".txt"), template.read_text(encoding="utf-8")
        found[Template(name).substitute(words)] = Template(text).substitute(words)
    return found
