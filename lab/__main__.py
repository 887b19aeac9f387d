"""`python -m lab [--data DIR] [--once]`: four partners on one machine."""

from __future__ import annotations

import argparse
import fcntl
import signal
import sys
from pathlib import Path
from types import FrameType

from lab.child import ChildError
from lab.show import Show
from lab.texts import TEXTS, language
from lab.venvs import HOME


def main() -> int:
    """Perform the show; 0 also when it is interrupted after its success."""
    parser = argparse.ArgumentParser(prog="python -m lab", description="Four partners on one machine.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="real intelligence to add (STIX 2.1, MISP events)")
    parser.add_argument("--once", action="store_true", help="end as soon as the round is complete; 1 if it is not")
    parser.add_argument("--port", type=int, default=0, help="where exchange listens on 127.0.0.1; 0: a free port")
    given = parser.parse_args()
    if given.data and not given.data.is_dir():
        parser.error(f"{given.data}: no such folder")
    signal.signal(signal.SIGTERM, _interrupt)
    speech = language()
    HOME.mkdir(parents=True, exist_ok=True)
    try:
        with (HOME / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Show(HOME / "run", speech, data=given.data, port=given.port).run(once=given.once)
    except BlockingIOError:
        print(TEXTS[speech]["busy"], file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{TEXTS[speech]['stopped']}")
        return 0
    except ChildError as error:
        print(error, file=sys.stderr)
        return 1


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
