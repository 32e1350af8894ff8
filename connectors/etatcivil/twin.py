"""A civil-status office: a package that collects ZIP files over SFTP, and an agent who answers by return files."""

from __future__ import annotations

import io
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from connectors.sdk.sftp_twin import SftpTwin
from connectors.sdk.xml import Element, parse_xml, text_at, validate_xsd
from schemas.errors import InvalidMessage

XSD = Path(__file__).parent / "contract" / "demande.xsd"
DROP, RETURN = "depot", "retours"


@dataclass
class Collected:
    """A request as the package holds it; `drops` counts how often its file came."""

    request: Element
    attachments: dict[str, bytes]
    drops: int = 1

    def text(self, path: str) -> str | None:
        return text_at(self.request, path)


@dataclass
class CivilStatusTwin:
    """`with CivilStatusTwin() as office:` starts the SFTP account; `connection_settings()` is what a connection to it
    sets. `collect()` takes what was dropped; `collecting=True` does so by itself. `stop()`, `start()`: an outage.
    `misbehave(...)` as `SftpTwin` does: `full`, `denied`, `cut`, `cut-rename`, `slow`."""

    collecting: bool = False
    requests: dict[str, Collected] = field(default_factory=dict)
    rejected: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sftp = SftpTwin()
        self.drop, self.returns = self.sftp.root / DROP, self.sftp.root / RETURN
        self.drop.mkdir()
        self.returns.mkdir()
        self._ended = threading.Event()
        self._collector = threading.Thread(target=self._collect_on, name="etatcivil-twin", daemon=True)
        self._taking = threading.Lock()

    def __enter__(self) -> CivilStatusTwin:
        self.sftp.__enter__()
        if self.collecting:
            self._collector.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        if self._collector.is_alive():
            self._collector.join()
        self.sftp.__exit__(kind, error, at)

    def connection_settings(self, **changes: Any) -> dict[str, Any]:
        folders = {"drop_folder": f"/{DROP}", "return_folder": f"/{RETURN}"}
        return self.sftp.settings(**(folders | changes))

    def stop(self) -> None:
        self.sftp.stop()

    def start(self) -> None:
        self.sftp.start()

    def misbehave(self, kind: str, times: int = 1) -> None:
        self.sftp.misbehave(kind, times)

    @property
    def effects(self) -> int:
        """Requests in the package, each once however often its file came."""
        return len(self.requests)

    def collect(self) -> list[str]:
        """Take every ZIP that lies in the drop folder; the identifiers of those taken now."""
        with self._taking:
            return [name for path in sorted(self.drop.glob("*.zip")) if (name := self._take(path))]

    def start_work(self, reference: str) -> None:
        self.answer(reference, "EN_COURS")

    def close(self, reference: str) -> None:
        """The agent has sent the record to the citizen, outside the hub."""
        self.answer(reference, "TRAITEE")

    def reject(self, reference: str, reason: str) -> None:
        self.answer(reference, "REJETEE", reason)

    def ask_more(self, reference: str, reason: str) -> None:
        self.answer(reference, "INCOMPLETE", reason)

    def answer(self, reference: str, status: str, reason: str = "", date: str = "2026-03-04") -> None:
        quoted = '"' + reason.replace('"', '""') + '"' if reason else ""
        row = f"{reference};{status};{date};{quoted}"
        self.leave(f"retour-{reference}.csv", f"reference;statut;date;motif\r\n{row}\r\n")

    def leave(self, name: str, content: str | bytes) -> None:
        """Put any file into the return folder, as an agent's tool would: under another name, then renamed."""
        raw = content if isinstance(content, bytes) else content.encode()
        temporary = self.returns / f".{name}.tmp"
        temporary.write_bytes(raw)
        temporary.rename(self.returns / name)

    def _collect_on(self) -> None:
        while not self._ended.wait(0.1):
            self.collect()

    def _take(self, path: Path) -> str | None:
        try:
            name, request, attachments = _open(path)
        except (InvalidMessage, zipfile.BadZipFile) as error:
            self.rejected.append((path.name, str(error)))
            path.rename(path.with_suffix(".refuse"))
            return None
        path.unlink()
        if name in self.requests:
            self.requests[name].drops += 1
        else:
            self.requests[name] = Collected(request, attachments)
        return name


def _open(path: Path) -> tuple[str, Element, dict[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        members = archive.namelist()
        if any("/" in name or "\\" in name or name.startswith(".") for name in members):
            raise InvalidMessage("a member leaves the archive")
        if len(set(members)) != len(members) or members.count(f"{path.stem}.xml") != 1:
            raise InvalidMessage("the request file is not in the archive once")
        contents = {name: archive.read(name) for name in members}
    request = parse_xml(contents.pop(f"{path.stem}.xml"))
    if faults := validate_xsd(request, XSD):
        raise InvalidMessage(str(faults[0]))
    if text_at(request, "identifiant") != path.stem:
        raise InvalidMessage("the archive is not named after its request")
    return path.stem, request, contents
