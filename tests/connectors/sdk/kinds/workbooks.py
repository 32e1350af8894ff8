"""Spreadsheets as office programs write them, in their smallest form."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Sequence
from xml.sax.saxutils import escape

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_ODF = "urn:oasis:names:tc:opendocument:xmlns"
Cell = str | int | float | None


def zipped(*members: tuple[str, bytes | str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return made.getvalue()


def xlsx(rows: Sequence[Sequence[Cell]], sheet: str = "Export") -> bytes:
    book = (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets><sheet name="{sheet}" sheetId="1" r:id="r1"/></sheets>'
        "</workbook>"
    )
    relations = (
        f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type="{_OFFICE}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>'
    )
    top = (
        f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>'
    )
    data = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
    return zipped(
        ("[Content_Types].xml", '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'),
        ("_rels/.rels", top), ("xl/workbook.xml", book), ("xl/_rels/workbook.xml.rels", relations),
        ("xl/worksheets/sheet1.xml", f'<worksheet xmlns="{_MAIN}"><sheetData>{data}</sheetData></worksheet>'),
    )  # fmt: skip


def far_cell(place: str) -> bytes:
    """A workbook of two cells, the first and this one."""
    book = xlsx([["A1"], [place]])
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        members = [(one.filename, archive.read(one)) for one in archive.infolist()]
    named = [
        (
            name,
            body.replace(
                f'<c t="inlineStr"><is><t>{place}'.encode(), f'<c r="{place}" t="inlineStr"><is><t>x'.encode()
            ),
        )
        for name, body in members
    ]
    return zipped(*named)


def ods(rows: Sequence[Sequence[Cell]], sheet: str = "Export") -> bytes:
    spaces = " ".join(f'xmlns:{short}="{_ODF}:{short}:1.0"' for short in ("office", "table", "text"))
    cells = "".join(f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in rows)
    content = (
        f"<office:document-content {spaces}><office:body><office:spreadsheet>"
        f'<table:table table:name="{sheet}">{cells}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    return zipped(
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"), ("content.xml", content),
        ("META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{_ODF}:manifest:1.0"/>'),
    )  # fmt: skip


def _cell(value: Cell) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c><v>{value}</v></c>"


def _ods_cell(value: Cell) -> str:
    if isinstance(value, str):
        return f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'
    if value is None:
        return "<table:table-cell/>"
    return f'<table:table-cell office:value-type="float" office:value="{value}"/>'


XLS = zlib.decompress(
    base64.b64decode("""
eNrtWE1oE0EUfrPZTZPYn6S2QquUpWDVWgrSix7a1J/ak6WKqIig22aE0E03bBJpPWi19igIelG8FHrxUn8O/qAHvXkQKnoQBCHVi+BJUPDQdn
3v7W5Iq4cGtFTZL8yb9zfzJvvmb/f1XKI4fb95HlagB0Kw5EQhXKYTWKK+EAe0Ow6xfh3B4gT4pxCNYCLDGjyteVVFOaR8z4MC99QXSAE+YjkF
WRiwRqW+htjHYzAEjaEbqYDbqKmFJh5VPdNhphuZ3mXPZ0x7WXOVaTf6FsVJmEsOtO/2ZvEJpZVttUD9PuI271mzCxrhJc3ii9eE66vBXjttmO
vT0KJWwwxg3vrlqLQNswgNmMAZ+O7oAN/8lfpcD/RrqxeA+h/L9VW/0V9XVIAJcM7wBJ/CCblHdRdh31jWsvMLcAM2oEwFs3zAyuXS0g4BrsYM
Oh6z0hJN+62U1LNWLm+YGirTpikjpC3YdlqaKnnnZZQ09rl0zrDz9QBdul2Qekrm9KPkXzBzMWxqmEN2YfyzLbcAZDqHff/eYa+vTjlmZLKmjN
FBwBtHfNnGUcMLqhppCuqYT/CyiuPRsHDn65tDQ4PJ06yZ4MPCPVK20lMABy5RC2xcyxaFKXXdzvxOppe5183MNzNtwMWAddtgo8ccnGSfK2xt
wzhdjLfJbWX8duSnvhx+3DL1KbkD+dn++fMNs++S09CKR1wK29NvEjpEh7h1k/Ak6dfC234+MG36ZSuKKHFv7I53btbBIsSYTTB1JXo6oiQp3r
NypRBKoZKkoqSWJA0lrSSFUQp7UcWKqBeUGOsScDbj+guOWgW+RFEpE64nRX0wq3k2ihoteVJUHrUSRomi9ij18JDT1Ft2SYhBgAABAgQIECBA
gHUM4V21Q3zNBL5Yhr2LN33XWcSyFHwm+W9xBCz85fHFtA9GsbZhvKL5swk04fclVtnG/15IOI7RbRiBIR7HSMXzF1/FRPn/WXXD+J9bQpXGX6
pknH85/k89l/MC
""")
)
"""The head and one row, 7001, in Excel's format of before 2007."""
