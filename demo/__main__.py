"""`python -m demo`, which `unefois demo` runs; its options are those of the command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from demo.play import play
from schemas.errors import HubError


def main(argv: Sequence[str]) -> int:
    """0 when every step ended as it should, 1 when one did not, 2 when the demonstration cannot be played here."""
    parser = argparse.ArgumentParser(prog="unefois demo")
    parser.add_argument("--exit", action="store_true", dest="exit_after", help="return when the scenes are over")
    parser.add_argument("--json", action="store_true", dest="as_json", help="data for programs")
    parser.add_argument("--bus", default="", help="amqp:// address; without it all runs in this process")
    parser.add_argument("--database", default="", help="postgresql:// address; without it SQLite")
    parser.add_argument("--port", type=int, default=0, help="port of the gateway; 0 chooses one")
    try:
        return play(**vars(parser.parse_args(argv)))
    except HubError as error:
        sys.stderr.write(f"unefois: {error.reason}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
