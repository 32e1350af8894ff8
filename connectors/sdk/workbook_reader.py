"""Run as a program of its own: a workbook comes in, its cells go out as CSV. The one file that knows python-calamine.

The library asks for as much memory as the farthest cell of a sheet wants and ends its process when there is none: a
file of one kilobyte may do that, or a stray blank in the last cell of a sheet. So it has a process to itself, with a
limit. Nothing of ours is imported here.
"""

from __future__ import annotations

import csv
import io
import resource
import sys
from datetime import date, datetime, time, timedelta

import python_calamine

PASSWORD, TOO_LARGE, NO_SHEET, UNREADABLE = 2, 3, 4, 5
MAX_CELLS = 10_000_000
_EXACT = 2**53  # above, a number of a sheet is not exact
_MEMORY = 2 * 1024**3
_SECONDS = 120


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        return _write(sys.stdin.buffer.read(), sys.argv[1] if len(sys.argv) > 1 else "")
    except python_calamine.PasswordError:
        return PASSWORD
    except MemoryError:
        return TOO_LARGE
    except BaseException:  # a panic of the library is no Exception
        return UNREADABLE


def _write(content: bytes, name: str) -> int:
    book = python_calamine.load_workbook(io.BytesIO(content))
    if not book.sheet_names or (name and name not in book.sheet_names):
        return NO_SHEET
    sheet = book.get_sheet_by_name(name) if name else book.get_sheet_by_index(0)
    if sheet.total_height * sheet.total_width > MAX_CELLS:
        return TOO_LARGE
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", errors="surrogatepass", newline="")
    writer = csv.writer(out, delimiter=";", lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in sheet.to_python(skip_empty_area=False):
        writer.writerow([_text(cell) for cell in row])
    out.flush()
    return 0


def _text(cell: object) -> str:
    """In one line: a line of the output is a row of the sheet."""
    if isinstance(cell, bool):
        return "oui" if cell else "non"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= _EXACT:
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat()
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell.total_seconds()) if isinstance(cell, timedelta) else " ".join(str(cell).splitlines())


if __name__ == "__main__":
    sys.exit(main())
