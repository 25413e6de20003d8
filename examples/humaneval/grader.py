"""Grades one answer to a problem of HumanEval: 1.0 if it passes the problem's tests, else 0.0.

The tests run here, in the grader; the candidate's code runs elsewhere, as another user, and all that comes back from it
are the values that its function returned, as plain data. So there is nothing to forge: a candidate that exits early,
patches `check` or `assert`, prints a result or returns an object that equals everything only fails its tests.

The calls that the tests make are not known before they run. A first pass notes them: asserts are taken out of the tests,
and a stand-in is given for every result. The candidate answers them all in one go, and the second pass runs the tests
as they are on its answers. A call that the first pass did not foresee is asked in another round.
"""

import ast
import json
import random
import re
import signal

from alphagate_candidate import run

CALLS_MAX_SECONDS = 10.0  # For all calls of one round; the slowest right solution takes a second.
TESTS_MAX_SECONDS = 60  # For one pass of the tests, here: results may be made to be slow to compare.
ROUNDS_MAX = 8  # One is enough, unless the tests call the function with what it returned.

# Values travel as JSON. A list has its kind in front, so that tuples stay tuples and keys of a dict any value.
CODEC = '''
KINDS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}

def encode(value):
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is dict:
        return ["dict"] + [[encode(key), encode(item)] for key, item in value.items()]
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind is complex:
        return ["complex", value.real, value.imag]
    if kind.__name__ in KINDS and KINDS[kind.__name__] is kind:
        return [kind.__name__] + [encode(item) for item in value]
    raise TypeError("a result of type " + kind.__name__)

def decode(value):
    if not isinstance(value, list):
        if isinstance(value, dict):
            raise ValueError("not a value")
        return value
    kind, rest = value[0], value[1:]
    if kind == "dict":
        return {decode(key): decode(item) for key, item in rest}
    if kind == "bytes":
        return bytes.fromhex(rest[0])
    if kind == "complex":
        return complex(rest[0], rest[1])
    return KINDS[kind](decode(item) for item in rest)
'''
exec(CODEC)

# Runs beside the candidate. What it writes is the candidate's word, and taken as no more than that.
DRIVER = CODEC + '''
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
asked = json.load(sys.stdin)
space = {"__name__": "solution"}
exec(compile(open("solution.py", encoding="utf-8").read(), "solution.py", "exec"), space)
function = space[asked["function"]]
for arguments in asked["calls"]:
    try:
        args, kwargs = decode(arguments)
        answer = ["returned", encode(function(*args, **kwargs))]
    except Exception as error:
        answer = ["raised", type(error).__name__]
    answers.write(json.dumps(answer) + "\\n")
    answers.flush()
'''


class Failed(Exception):
    """The candidate failed; not an AssertionError, which tests might catch."""


class Unforeseen(BaseException):
    """The tests made a call that nobody has answered yet."""


class Anything:
    """Stands for a result in the first pass: whatever the tests do with it, they go on."""

    def __call__(self, *_args, **_kwargs):
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self):
        return iter(())

    def __bool__(self):
        return True

    def __hash__(self):
        return 0

    def __len__(self):
        return 0

    def __float__(self):
        return 0.0

    def __int__(self):
        return 0

    __index__ = __int__


for _name in "eq ne lt le gt ge contains".split():
    setattr(Anything, f"__{_name}__", lambda self, *_: True)
for _name in "add sub mul truediv floordiv mod pow and or xor lshift rshift".split():
    setattr(Anything, f"__{_name}__", Anything.__call__)
    setattr(Anything, f"__r{_name}__", Anything.__call__)
for _name in "abs neg pos invert round getitem".split():
    setattr(Anything, f"__{_name}__", Anything.__call__)


class Candidate:
    """The candidate's function as the tests see it: gives the answers that are there, and notes what else is asked."""

    def __init__(self, answered, noting):
        self.answered, self.noting, self.new = answered, noting, {}

    def __call__(self, *args, **kwargs):
        call = json.dumps(encode((args, kwargs)))
        if call in self.answered:
            kind, value = self.answered[call]
            if kind == "returned":
                return decode(value)
            if not self.noting:
                raise Failed(f"a call ended with {value}")
        elif self.noting:
            self.new[call] = None
        else:
            raise Unforeseen
        return Anything()


class NoAsserts(ast.NodeTransformer):
    """Takes the asserts out of the tests, and leaves what they ask."""

    def visit_Assert(self, node):
        """The question alone."""
        return ast.copy_location(ast.Expr(node.test), node)


def program(item, text):
    """The candidate's program: a completion of the prompt, or a whole function that replaces it."""
    blocks = re.findall(r"```[ \t]*\w*[ \t]*\n(.*?)```", text, re.DOTALL)
    code = "\n\n".join(blocks) if blocks else text
    if re.search(rf"^(async )?def {item['entry_point']}\b", code, re.MULTILINE):
        return f"{item['prompt']}    pass\n\n\n{code}\n"
    return f"{item['prompt']}{code}\n"


def tests(item, candidate):
    """Runs the tests of the problem; the helpers that they use come from the prompt, not from the candidate."""
    tree = ast.parse(item["test"])
    if candidate.noting:
        tree = ast.fix_missing_locations(NoAsserts().visit(tree))
    space = {"__name__": "tests"}
    exec(f"{item['prompt']}    pass\n", space)
    exec(compile(tree, "tests", "exec"), space)
    space[item["entry_point"]] = candidate  # One problem's tests call it by its name.
    random.seed(item["task_id"])  # Every pass asks the same.
    signal.alarm(TESTS_MAX_SECONDS)
    try:
        space["check"](candidate)
    finally:
        signal.alarm(0)


def ask(item, source, calls):
    """The candidate's answers to calls; those that are missing or make no sense have failed."""
    files = {"main.py": DRIVER, "solution.py": source}
    asked = json.dumps({"function": item["entry_point"], "calls": [json.loads(call) for call in calls]})
    result = run(files, entry="main.py", stdin=asked, timeout=CALLS_MAX_SECONDS)
    answers = []
    for line in result.stdout.split(b"\n")[: len(calls)]:
        try:
            kind, value = json.loads(line)
            decode(value)  # Must be possible; a bomb ends here.
            answers.append((kind, value))
        except Exception:
            break
    if len(answers) < len(calls):
        why = result._replace(stdout=len(result.stdout), stderr=result.stderr[-300:].decode("utf-8", "replace"))
        print(f"{len(answers)} of {len(calls)} calls were answered: {why}")
        answers += [("ended", "the program")] * (len(calls) - len(answers))
    return dict(zip(calls, answers))


def passes(item, source):
    """Whether the candidate passes the tests."""
    answered = {}
    for _ in range(ROUNDS_MAX):
        noted = Candidate(answered, noting=True)
        try:
            tests(item, noted)
        except Exception as error:  # As far as it came: what is missing is asked in the next round.
            print(f"the first pass ended early: {type(error).__name__}: {error}"[:300])
        if noted.new:
            answered.update(ask(item, source, list(noted.new)))
        try:
            tests(item, Candidate(answered, noting=False))
            return True
        except Unforeseen:
            continue
        except Exception as error:
            print(f"{type(error).__name__}: {error}"[:300])
            return False
    print("the tests ask something else every time")
    return False


def too_slow(_signal, _frame):
    """Ends a pass of the tests."""
    raise Failed("the tests took too long")


def grade(sample, item):
    """The score: 1.0 or 0.0."""
    signal.signal(signal.SIGALRM, too_slow)
    return 1.0 if passes(item, program(item, sample["output_text"])) else 0.0
