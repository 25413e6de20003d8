"""Makes an interpreter wait in front of its script until the agent gives it arguments and variables."""


def _wait():
    import os
    import sys

    # Afterwards this module is the image's own: what is needed then has to be at hand.
    read, failure = _order, None
    _leave_the_path()
    _touch()
    try:
        _become_the_images_own()
    except Exception as error:
        failure = error
    os.write(4, b"\n")
    os.close(4)
    count, *fields = read()
    sys.argv[1:] = fields[: int(count)]
    sys.orig_argv[4:] = fields[: int(count)]
    os.environ.clear()
    for field in fields[int(count) :]:
        name, _, value = field.partition("=")
        os.environ[name] = value
    # A script is no archive, or the agent would have started it afresh: nobody need look.
    sys.path_importer_cache[sys.orig_argv[3]] = None
    # As it would have failed without this one.
    if failure is not None:
        raise failure


def _order():
    import os

    order = b""
    while len(order) < 9 or len(order) < 9 + int(order[:8]):
        piece = os.read(3, 1 << 14)
        if not piece:
            os._exit(0)
        order += piece
    os.close(3)
    return [os.fsdecode(field) for field in order[9:].split(b"\0")]


def _leave_the_path():
    import os
    import sys

    own = os.path.dirname(__file__)
    sys.path[:] = [path for path in sys.path if path != own]
    sys.path_importer_cache.pop(own, None)


def _touch():
    # Parser, compiler and the search for modules: what they need is in memory before the job is there.
    import sys
    from _frozen_importlib_external import PathFinder

    exec(compile(_SAMPLE, "", "exec"), {})
    PathFinder.find_spec("usercustomize")
    for hook in sys.path_hooks:
        try:
            hook(__file__)
        except ImportError:
            pass


_SAMPLE = '''
import sys
class A:
    def f(self, *a, b=1, **c):
        return [f"{x!r:>4}" for x in a if x] + [b * 2 ** 0.5, {**c}, {1, 2}, a[:1]]
try:
    with open("/dev/null") as file:
        text = str(A().f(1, 2, c=3)) + "%s" % (lambda: file.read())()
    for n in range(3):
        assert n < 3, "n"
    raise ValueError(text)
except (ValueError, OSError) as error:
    pass
'''


def _become_the_images_own():
    import sys
    from _frozen_importlib_external import PathFinder

    own = sys.modules[__name__]
    found = PathFinder.find_spec(__name__)
    for name in [name for name in vars(own) if name != "__name__"]:
        delattr(own, name)
    if found is None or found.loader is None:
        # As if nobody had found one: `site` expects this, and the module is gone.
        raise ModuleNotFoundError("No module named 'sitecustomize'", name=__name__)
    own.__spec__, own.__loader__, own.__file__ = found, found.loader, found.origin
    found.loader.exec_module(own)


_wait()
