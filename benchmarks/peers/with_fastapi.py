"""What a portal would have without a hub: FastAPI, one route, one row read from PostgreSQL. No rights, no journal."""

from __future__ import annotations

import argparse
import threading

import psycopg
import uvicorn
from fastapi import FastAPI

app = FastAPI()
_here = threading.local()


@app.get("/rows/{number}")
def row(number: int) -> dict[str, object]:
    connection = getattr(_here, "connection", None)
    if connection is None:
        connection = _here.connection = psycopg.connect(_here_url[0], autocommit=True)
    found = connection.execute("SELECT number, said FROM bench_rows WHERE number = %s", (number,)).fetchone()
    assert found is not None
    return {"number": found[0], "said": found[1]}


_here_url: list[str] = []

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    _here_url.append(options.database)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)
