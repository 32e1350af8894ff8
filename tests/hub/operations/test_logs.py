"""A log says where a mistake was made, and nothing of what its message quotes; and it never holds anybody up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

from hub.operations.logs import LogPipe, code_places

TALKER = """
import logging, sys, threading, time
import structlog
from hub.operations.logs import configure_logs, lines_dropped

configure_logs("info")
log = structlog.get_logger()

def talk(number):
    for line in range(10_000):
        log.info("delivery parked", connection="saint-aubin.famille", lane=number, line=line, text="x" * 100)
        logging.getLogger("uvicorn.error").warning("%s", "y" * 100)

began = time.monotonic()
lanes = [threading.Thread(target=talk, args=(number,)) for number in range(3)]
for lane in lanes: lane.start()
for lane in lanes: lane.join()
print(time.monotonic() - began, lines_dropped(), flush=True)
"""


def talker(stderr: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", TALKER], stdout=subprocess.PIPE, stderr=stderr, text=True)


def test_a_pipe_that_nobody_reads_holds_no_thread_up_and_the_process_ends() -> None:
    child = talker(subprocess.PIPE)
    try:
        child.wait(60)  # neither of its pipes is read before
        assert child.stdout is not None
        took, dropped = map(float, child.stdout.read().split())
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0
    assert took < 45
    assert dropped > 10_000


def test_a_pipe_whose_reader_has_gone_stops_nothing() -> None:
    reader, writer = os.pipe()
    child = talker(writer)
    os.close(writer)
    os.close(reader)
    try:
        out, _ = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 0
    assert float(out.split()[1]) > 0


def test_a_reader_that_comes_late_gets_whole_lines_in_order_and_how_many_are_missing() -> None:
    reader, writer = os.pipe()
    pipe = LogPipe(writer, most=200_000)
    for number in range(10_000):
        pipe.write(json.dumps({"line": number, "text": "é" * 30}) + "\n")
    time.sleep(0.1)
    pipe.write("")
    with os.fdopen(reader, "rb") as file:
        lines: list[dict[str, int]] = []
        reading = threading.Thread(target=lambda: lines.extend(map(json.loads, file)))
        reading.start()
        pipe.drain(10)
        pipe.write(json.dumps({"line": 10_000}) + "\n")
        pipe.drain(10)
        os.close(writer)
        reading.join(10)
    told = [line["line"] for line in lines if "line" in line]
    missing = [line["lines"] for line in lines if "lines" in line]
    assert told == sorted(told)
    assert told[-1] == 10_000
    assert pipe.dropped == sum(missing) == 10_001 - len(told)
    assert pipe.dropped > 1000


def test_a_line_of_any_text_and_length_is_one_line() -> None:
    reader, writer = os.pipe()
    pipe = LogPipe(writer)
    pipe.write("\ud800 lone\n")
    pipe.write("z" * 60_000 + "\n")
    with os.fdopen(reader, "rb") as file:
        assert file.readline() == b"\\ud800 lone\n"
        assert len(file.readline()) == 60_001
    pipe.drain(1)


def test_every_line_is_written_before_the_process_ends() -> None:
    script = "import structlog; from hub.operations.logs import configure_logs; configure_logs('info')\n"
    script += "for n in range(500): structlog.get_logger().info('last words', n=n)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert [json.loads(line)["n"] for line in done.stderr.splitlines()] == list(range(500))


def test_places_name_files_lines_and_functions_without_the_message() -> None:
    def fail() -> None:
        raise ValueError("Sorbier")

    try:
        fail()
    except ValueError as error:
        places = code_places(error)
    assert places[-1].startswith("test_logs.py:")
    assert places[-1].endswith(" fail")
    assert "Sorbier" not in str(places)
