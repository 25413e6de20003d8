"""Runs a candidate's code for a grader: as another user, on a disk of its own, away from the grader and its score.

    from alphagate_candidate import run

    result = run(code, stdin=b"3 4", timeout=5.0)
    return 1.0 if result.exit_code == 0 and result.stdout.strip() == b"7" else 0.0

The candidate gets a fresh, empty folder with the files that it is given, no network, at most half of the grader's
processes, memory and disk, and nothing of the grader: not its files, memory, variables or descriptors. When `run`
returns, no process of the candidate is left. Calls from several threads or processes wait for each other.

The harness that calls the grader writes one JSON document to the descriptor that the variable AG_RESULT_FD names, and
closes it; that is the grader's result. It is at most 1 MiB. A candidate never has this descriptor; code that a grader
executes in its own process does, so run what you do not trust with `run`.
"""

import base64 as _base64
import json as _json
import os as _os
import socket as _socket
import struct as _struct
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, Union

Source = Union[str, bytes]

_MAIN = {"python": "main.py", "javascript": "main.js", "bash": "main.sh"}


class Result(NamedTuple):
    """What became of a candidate."""

    stdout: bytes
    stderr: bytes
    exit_code: Optional[int]
    """Its exit status; None if a signal ended it."""
    signal: Optional[int]
    timed_out: bool
    memory_exceeded: bool
    truncated: bool
    """It wrote more than is kept, and was ended for that."""
    wall_ms: int

    @property
    def ok(self) -> bool:
        """Whether it exited with 0 by itself."""
        return self.exit_code == 0 and not (self.timed_out or self.memory_exceeded or self.truncated)


class CandidateError(Exception):
    """The candidate was not run: the request makes no sense, or the sandbox failed."""


def run(
    source: Union[Source, Mapping[str, Source]],
    language: str = "python",
    argv: Sequence[str] = (),
    stdin: Source = b"",
    timeout: float = 10.0,
    entry: Optional[str] = None,
    env: Optional[Mapping[str, str]] = None,
    output_bytes: int = 1024 * 1024,
) -> Result:
    """Runs a source, or files by their paths, for at most `timeout` seconds.

    With files, `entry` names the one that is run; it may be left out if there is only one.
    """
    files: Dict[str, Source] = {}
    if isinstance(source, Mapping):
        files.update(source)
        entry = entry or (next(iter(files)) if len(files) == 1 else None)
        if entry is None:
            raise CandidateError("entry must name one of the files")
    else:
        entry = entry or _MAIN.get(language, "main")
        files[entry] = source
    request = {
        "language": language,
        "entry": entry,
        "files": [{"path": path, "content": _encode(content)} for path, content in files.items()],
        "argv": list(argv),
        "stdin": _encode(stdin),
        "env": dict(env or {}),
        "timeout_ms": max(0, int(timeout * 1000)),
        "output_bytes": output_bytes,
    }
    answer = _ask(_json.dumps(request).encode())
    if answer["error"] is not None:
        raise CandidateError(answer["error"])
    return Result(
        stdout=_base64.b64decode(answer["stdout"]),
        stderr=_base64.b64decode(answer["stderr"]),
        exit_code=answer["exit_code"],
        signal=answer["signal"],
        timed_out=answer["timed_out"],
        memory_exceeded=answer["memory_exceeded"],
        truncated=answer["truncated"],
        wall_ms=answer["wall_ms"],
    )


def _encode(content: Source) -> str:
    return _base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def _ask(request: bytes) -> dict:
    with _socket.socket(_socket.AF_UNIX) as connection:
        connection.connect(_os.environ["AG_CANDIDATE_SOCKET"])
        connection.sendall(_struct.pack("<I", len(request)) + request)
        with connection.makefile("rb") as answer:
            head = answer.read(4)
            if len(head) < 4:
                raise CandidateError("the sandbox hung up")
            return _json.loads(answer.read(_struct.unpack("<I", head)[0]))
