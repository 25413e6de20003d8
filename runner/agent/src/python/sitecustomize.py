"""Makes an interpreter wait in front of its script until the agent gives it arguments and variables."""


def _wait():
    import os
    import sys

    os.write(4, b"\n")
    os.close(4)
    parts = []
    while True:
        part = os.read(3, 65536)
        if not part:
            break
        parts.append(part)
    os.close(3)
    count, *fields = b"".join(parts).split(b"\0")
    fields = [os.fsdecode(field) for field in fields]
    count = int(count)
    sys.argv[1:] = fields[:count]
    sys.orig_argv[4:] = fields[:count]
    os.environ.clear()
    for field in fields[count:]:
        name, _, value = field.partition("=")
        os.environ[name] = value
    own = os.path.dirname(__file__)
    sys.path[:] = [path for path in sys.path if path != own]
    sys.path_importer_cache.pop(own, None)
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    os.chdir("/job")
    sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # the image's own, if it has one
    except ImportError:
        pass


_wait()
del _wait
