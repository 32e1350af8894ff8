"""The binary HTTP form of an event, as a client sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_AS_IT_IS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')  # HTTP binding, 3.1.3.2


def binary_http(event: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a structured event."""
    headers = {"content-type": "application/json"}
    for name, value in event.items():
        if name not in ("data", "datacontenttype"):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            headers[f"ce-{name}"] = quote(text, safe=_AS_IT_IS)
    return headers, json.dumps(event["data"]).encode()
