"""XML of which no schema is published: elements come twice, names in two cases. So they are found by their local names
whatever the case, and the first one that says something wins."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.sdk.values import one_line
from connectors.sdk.xml import Element, local_name


@dataclass(frozen=True, slots=True)
class LooseElement:
    element: Element

    @property
    def name(self) -> str:
        """In small letters."""
        return local_name(self.element).lower()

    def children(self, *names: str) -> list[LooseElement]:
        """Those of the first name, then those of the next."""
        found = [LooseElement(child) for child in self.element]
        return [child for name in names for child in found if child.name == name.lower()]

    def child(self, name: str) -> LooseElement | None:
        return next(iter(self.children(name)), None)

    def text(self, *paths: str) -> str | None:
        """The first text on one line that one of the paths leads to; None when there is none."""
        return next((text for path in paths if (text := self._text_at(path))), None)

    def texts(self) -> list[str]:
        """What its children say, each on one line."""
        return [text for child in self.element if (text := one_line(child.text or ""))]

    def _text_at(self, path: str) -> str | None:
        head, _, rest = path.partition("/")
        for child in self.children(head):
            if text := child._text_at(rest) if rest else one_line(child.element.text or ""):
                return text
        return None
