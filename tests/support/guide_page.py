"""A guide as its reader follows it: files to write, changes to make, commands to run with what they say."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^`(?P<path>[^`\n]+)`[^\n]*\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_ANYTHING = "…"
_FAILS = re.compile(r"\bKO\b|BREAKING")


@dataclass(frozen=True, slots=True)
class Step:
    """`kind`: the word behind the fence. A `console` block is run, a `diff` changes the file `path`, any other block
    with a path is the file. Blocks without a path are for the eye."""

    kind: str
    path: str
    text: str


def steps(page: Path) -> Sequence[Step]:
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Step(one["kind"], one["path"] or "", one["text"]) for one in found]


def follow(page: Path, folder: Path, programs: Path) -> Iterator[str]:
    """Do all that a page says, in `folder`, with the commands of `programs`; each command as it is done. Raises
    AssertionError where a command says something else than the page, or a change does not fit."""
    for step in steps(page):
        if step.kind == "console":
            yield from _run(step.text, folder, programs)
        elif step.kind == "diff":
            _change(folder / step.path, step.text)
        elif step.path:
            (folder / step.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / step.path).write_text(step.text, encoding="utf-8")


def _run(text: str, folder: Path, programs: Path) -> Iterator[str]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        known = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
        done = subprocess.run(
            command, shell=True, cwd=folder, env=known, capture_output=True, text=True, timeout=300, check=False
        )  # fmt: skip
        said = done.stdout + done.stderr
        code = done.returncode
        assert code == 0 or _FAILS.search(expected), f"$ {command}\nended with {code}:\n{said}"
        _compare(command, expected, said)
        yield command


def _compare(command: str, expected: str, said: str) -> None:
    """Each line of the page comes in the order of the page; `…` stands for anything, a line of it for any lines."""
    rest = said.splitlines()
    for line in expected.splitlines():
        if line.strip() == _ANYTHING:
            continue
        wanted = re.compile(".*".join(re.escape(part.strip()) for part in line.split(_ANYTHING)))
        place = next((at for at, one in enumerate(rest) if wanted.search(one)), None)
        assert place is not None, f"$ {command}\nthe page says: {line}\nbut it said:\n{said}"
        rest = rest[place + 1 :]


def _change(path: Path, text: str) -> None:
    lines = text.splitlines()
    before = "\n".join(line[1:] for line in lines if line[:1] in (" ", "-"))
    after = "\n".join(line[1:] for line in lines if line[:1] in (" ", "+"))
    whole = path.read_text(encoding="utf-8")
    assert whole.count(before) == 1, f"{path.name}: this stands there {whole.count(before)} times:\n{before}"
    path.write_text(whole.replace(before, after), encoding="utf-8")
