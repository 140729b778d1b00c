"""Commands that die, or whose disk fills, at any call that changes the file system.

A process of its own imports everything once, and forks for every command. What the interpreter
tells an audit hook is counted: files opened to write, folders made, names changed and removed, and
files synced. At the n-th of them the command is killed, or the disk is full from then on.
"""

import errno
import json
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

CHANGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink")
REMOVALS = ("os.remove", "os.rmdir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from oracles.crashes import serve; serve()"


class Commands:
    """Runs commands in forks of one process; `with` ends it."""

    def __enter__(self):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(Path(__file__).parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self._process.communicate()
        assert self._process.returncode == 0

    def run(self, folder, *commands, at=None, how="kill"):
        """Runs commands at the same time; exit code, calls that change files, and stderr of each.

        A code below 0 is a signal's. At the call `at` the command is killed ("kill"), or from then
        on nothing can be written ("full").
        """
        lines = [[str(word) for word in command.split()] for command in commands]
        task = {"folder": str(folder), "commands": lines, "at": at, "how": how}
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        return found if len(found) > 1 else found[0]


def serve():
    """Runs what stands on each line of standard input; ends with it."""
    import torch

    import thresher.jobs.compare
    import thresher.jobs.label_errors
    import thresher.jobs.match
    import thresher.jobs.train  # noqa: F401
    from thresher.cli.main import main

    torch.set_num_threads(1)
    for line in sys.stdin:
        task = json.loads(line)
        seen = [mmap.mmap(-1, 8) for _ in task["commands"]]
        children = [
            _fork(main, task, words, count)
            for words, count in zip(task["commands"], seen, strict=True)
        ]
        found = []
        for (child, said), count in zip(children, seen, strict=True):
            status = os.waitpid(child, 0)[1]
            code = os.waitstatus_to_exitcode(status)
            found.append((code, int.from_bytes(count[:8], "little"), Path(said).read_text()))
            os.unlink(said)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def _fork(main, task, words, count):
    said = f"{task['folder']}.{len(os.listdir(Path(task['folder']).parent))}.{id(count)}.err"
    child = os.fork()
    if child:
        return child, said
    signal.alarm(1800)  # one that hangs does not hang the tests
    err = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(err, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.chdir(task["folder"])
    _watch(Path(task["folder"]), task["at"], task["how"], count)
    code = 0
    try:
        main(words)
    except SystemExit as end:
        code = end.code or 0
    sys.stderr.flush()
    os._exit(code)


def _changes(folder, event, arguments):
    """Whether a call writes, makes or removes something below a folder."""
    path = arguments[0]
    if isinstance(path, int) or (event == "open" and not arguments[2] & WRITING):
        return False
    if event in REMOVALS and arguments[1] != -1:  # named within a folder that is open
        return True
    return Path(os.path.abspath(os.fsdecode(path))).is_relative_to(folder)


def _watch(folder, at, how, count):
    """Counts the calls that change files below a folder, and acts at one."""
    seen = 0

    def call(event):
        nonlocal seen
        seen += 1
        count[:8] = seen.to_bytes(8, "little")
        if at is None or seen <= at:
            return
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if event not in REMOVALS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def hook(event, arguments):
        if event in CHANGES and _changes(folder, event, arguments):
            call(event)

    def synced(file, sync=os.fsync):
        call("fsync")
        sync(file)

    os.fsync = synced
    sys.addaudithook(hook)
