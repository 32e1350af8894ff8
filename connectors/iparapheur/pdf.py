"""A plain text as a PDF: A4, Helvetica, headings, page numbers. No library does less."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT, _MARGIN = 595, 842, 71
_LEADING = 1.4
_LETTERS = {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "\u202f": "\u00a0", "−": "-"}
# Widths of Helvetica for the characters 32 to 126, in thousandths of the size (Adobe's font metrics).
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: int = 11
    heading: bool = False

    @property
    def x(self) -> float:
        return (_WIDTH - _width(self.text, self.size, bold=True)) / 2 if self.heading else _MARGIN


def write_pdf(text: str, *, title: str) -> bytes:
    """The text as a PDF. A line that starts with "# " is a heading; an empty one is a gap; others are wrapped.

    French letters are written as they are; other Latin letters lose the marks that French civil status does not know.
    Raises ValueError when a character has no Latin form.
    """
    pages = list(_pages(list(_lines(_printable(text)))))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (fr-FR) >>",
        f"<< /Type /Pages /Kids [{_kids(len(pages))}] /Count {len(pages)} >>".encode(),
        _font("Helvetica"), _font("Helvetica-Bold"),
        b"<< /Title <feff" + _printable(title).encode("utf-16-be").hex().encode() + b"> >>",
    ]  # fmt: skip
    for number, lines in enumerate(pages, start=1):
        objects += _page(lines, f"{number} / {len(pages)}", content=len(objects) + 2)
    return _assemble(objects)


def _printable(text: str) -> str:
    return "".join(_latin(character) for character in unicodedata.normalize("NFC", text))


def _latin(character: str) -> str:
    known = _LETTERS.get(character, character)
    plain = "".join(part for part in unicodedata.normalize("NFKD", known) if not unicodedata.combining(part))
    for candidate in (known, plain):
        if candidate == "\n" or ((candidate.isprintable() or candidate == "\u00a0") and _encodable(candidate)):
            return candidate
    raise ValueError("a character has no Latin form")


def _encodable(text: str) -> bool:
    try:
        return bool(text.encode("cp1252"))
    except UnicodeEncodeError:
        return False


def _width(text: str, size: int, *, bold: bool = False) -> float:
    base = (unicodedata.normalize("NFD", character)[0] for character in text)
    units = sum(_WIDTHS[ord(c) - 32] if 32 <= ord(c) <= 126 else 556 for c in base)
    return units * size / 1000 * (1.06 if bold else 1.0)


def _lines(text: str) -> Iterator[_Line]:
    for paragraph in text.strip("\n").split("\n"):
        heading = paragraph.startswith("# ")
        size = 13 if heading else 11
        for line in _wrapped(paragraph[2:] if heading else paragraph, size):
            yield _Line(line, size, heading)


def _wrapped(paragraph: str, size: int) -> Iterator[str]:
    line = ""
    for word in paragraph.split(" "):
        for piece in _pieces(word, size):
            longer = f"{line} {piece}" if line else piece
            if line and _width(longer, size, bold=True) > _WIDTH - 2 * _MARGIN:
                yield line
                longer = piece
            line = longer
    yield line


def _pieces(word: str, size: int) -> Iterator[str]:
    room = int((_WIDTH - 2 * _MARGIN) / (size * 1.08))  # no character is wider than the widest
    for start in range(0, max(len(word), 1), room):
        yield word[start : start + room]


def _pages(lines: Sequence[_Line]) -> Iterator[list[tuple[float, _Line]]]:
    page: list[tuple[float, _Line]] = []
    y = float(_HEIGHT - _MARGIN)
    for line in lines:
        if y < _MARGIN + 20:
            yield page
            page, y = [], float(_HEIGHT - _MARGIN)
        page.append((y, line))
        y -= line.size * _LEADING
    yield page


def _page(lines: Sequence[tuple[float, _Line]], footer: str, *, content: int) -> list[bytes]:
    shown = [_shown(line.x, y, line) for y, line in lines if line.text]
    stream = b"\n".join([*shown, _shown(_WIDTH - _MARGIN - 20, 40, _Line(footer, 9))])
    page = (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_WIDTH} {_HEIGHT}] /Contents {content} 0 R "
        "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>"
    )
    return [page.encode(), b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)]


def _shown(x: float, y: float, line: _Line) -> bytes:
    font = "F2" if line.heading else "F1"
    return f"BT /{font} {line.size} Tf {x:.1f} {y:.1f} Td (".encode() + _escaped(line.text) + b") Tj ET"


def _escaped(text: str) -> bytes:
    raw = text.encode("cp1252")
    return b"".join(b"\\" + bytes([c]) if c in b"\\()" else bytes([c]) if c < 127 else b"\\%03o" % c for c in raw)


def _font(name: str) -> bytes:
    return f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>".encode()


def _kids(pages: int) -> str:
    return " ".join(f"{6 + 2 * number} 0 R" for number in range(pages))


def _assemble(objects: Sequence[bytes]) -> bytes:
    file = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % place for place in places)
    file += b"trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(file)
