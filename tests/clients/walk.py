"""What the clients in Python share: every case of the table, one after the other.

The table comes as one JSON document on stdin; each case gives one JSON line on stdout. Nothing is judged here: that is
tests/clients.rs. Invariant: a case that raises is told as that case's error, and the next one is tried.
"""

import json
import sys
from types import SimpleNamespace

# Libraries may print: the answers have a stream of their own.
answers, sys.stdout = sys.stdout, sys.stderr


def answer(city, name):
    """What a tool says."""
    return f"{name} of {city}: fine"


def walk(verbs):
    """Does each case with the verb of its capability, which takes the case and returns what the user of the client sees."""
    for case in json.load(sys.stdin):
        ask = SimpleNamespace(**case, calls=[])
        seen = {"case": ask.case}
        try:
            seen["saw"] = verbs[ask.capability](ask)
        except Exception as error:
            seen["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(seen | {"calls": ask.calls}), file=answers, flush=True)
