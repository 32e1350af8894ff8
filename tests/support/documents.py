"""Documents in memory, for connector tests."""

from __future__ import annotations

import hashlib

from schemas.delivery import StoredDocument


class MemoryDocuments:
    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def store(self, content: bytes, *, name: str, media_type: str, kind: str | None = None) -> StoredDocument:
        digest = hashlib.sha256(content).hexdigest()
        self.contents[digest] = content
        return StoredDocument(digest, name, media_type, len(content), digest, kind)

    def read(self, document_id: str) -> bytes:
        return self.contents[document_id]
