"""Runs a python grader: reads the datum, calls `grade(sample, item)`, and reports one number or one error.

The report is one JSON document on the result channel, whose descriptor is named by AG_RESULT_FD. What the grader
prints goes to the job's output and is never read as a score. Exit status: 0 whenever a report was written.
"""

import json
import linecache
import math
import numbers
import os
import sys
import traceback

GRADER = "grader.py"


def open_result():
    """The result channel, out of the reach of programs that the grader starts."""
    descriptor = int(os.environ.pop("AG_RESULT_FD"))
    os.set_inheritable(descriptor, False)
    return descriptor


def read(name):
    """A file of the datum. It is removed: what a grader starts shall not find the expected answer."""
    with open(name, encoding="utf-8") as file:
        text = file.read()
    try:
        os.unlink(name)
    except OSError:
        pass
    return text


def load(source):
    """The grader as a module of its own, with its lines at hand for tracebacks."""
    linecache.cache[GRADER] = (len(source), None, source.splitlines(True), GRADER)
    module = type(sys)("grader")
    module.__file__ = GRADER
    sys.modules["grader"] = module
    exec(compile(source, GRADER, "exec"), module.__dict__)
    grade = getattr(module, "grade", None)
    if not callable(grade):
        raise NameError("the grader defines no function grade(sample, item)")
    return grade


def number(value):
    """The score, or a TypeError or ValueError that says what came instead."""
    if hasattr(value, "item") and getattr(value, "size", None) == 1:
        value = value.item()  # A numpy scalar, or an array of one.
    if not isinstance(value, (numbers.Real, int, float)):
        raise TypeError(f"grade returned {type(value).__name__}, not a number")
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"grade returned {value}, not a finite number")
    return value


def explain(error):
    """Message and traceback of the user's error, without our own frames."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename == report.__code__.co_filename:
        tb = tb.tb_next
    try:
        lines = traceback.format_exception(type(error), error, tb, limit=-20)
        text = "".join(lines)
    except BaseException:
        text = ""
    try:
        message = f"{type(error).__name__}: {error}"
    except BaseException:
        message = type(error).__name__
    return {"message": message[:4000], "traceback": text[-16000:]}


def report():
    """What is to be said of this datum."""
    source = read(GRADER)
    sample, item = json.loads(read("sample.json")), json.loads(read("item.json"))
    try:
        return {"score": number(load(source)(sample, item))}
    except BaseException as error:  # SystemExit too: leaving early is not a score.
        return {"error": explain(error)}


def main():
    """Reports, and ends at once: threads and exit handlers of the grader have no say in it."""
    sys.path.insert(0, os.getcwd())
    sys.dont_write_bytecode = True
    descriptor, process = open_result(), os.getpid()
    document = json.dumps(report()).encode("ascii")
    if os.getpid() != process:
        os._exit(1)  # A copy of this process that the grader made and did not end.
    while document:
        document = document[os.write(descriptor, document):]
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
    os._exit(0)


main()
