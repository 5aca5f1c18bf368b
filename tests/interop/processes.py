"""Programs that are started, waited for within limits, and ended whatever happens."""

import os
import shutil
import signal
import subprocess
import threading
import time


LOG_SECONDS = 10


class Failure(Exception):
    """Why something did not come about, in a line."""


class Process:
    """A program whose output goes to files in the directory of logs."""

    def __init__(self, registry, name, command, stdin=False):
        self.name = name
        self.out = os.path.join(registry.logs, f"{name}.out")
        self.err = os.path.join(registry.logs, f"{name}.err")
        # The kernel ends it even if we are killed.
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            self.popen = subprocess.Popen(
                guard + command,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def lines(self):
        with open(self.out, errors="replace") as file:
            return file.read().split("\n")[:-1]

    def line(self, word, seconds, count=1):
        """Waits for the line number `count` that begins with a word; with any, if the word is empty."""
        deadline = time.monotonic() + seconds
        while True:
            found = [line for line in self.lines() if not word or line.split(maxsplit=1)[:1] == [word]]
            if len(found) >= count:
                return found[count - 1]
            if self.popen.poll() is not None:
                raise Failure(f"{self.name} ended with {self.popen.returncode}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} did not say {word!r} within {seconds} s")
            time.sleep(0.02)

    def logged(self, words):
        """How many lines on standard error have these words in them."""
        with open(self.err, errors="replace") as file:
            return sum(words in line for line in file)

    def logs(self, words, count):
        """Whether so many lines come to have these words in them: a peer may hear of a fault before the log does."""
        deadline = time.monotonic() + LOG_SECONDS
        while self.logged(words) < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def say(self, line):
        self.popen.stdin.write(f"{line}\n".encode())
        self.popen.stdin.flush()

    def wait(self, seconds):
        """The lines of a program that ends by itself."""
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{self.name} was not done after {seconds} s") from None
        return self.lines()

    def kill(self):
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()

    def runs(self):
        return self.popen.poll() is None

    def last_words(self):
        with open(self.err, errors="replace") as file:
            lines = file.read().strip().splitlines()
        return lines[-1][:300] if lines else "(nothing on standard error)"


class Processes:
    """All that run. Leaving the `with` block kills them."""

    def __init__(self, logs):
        self.logs = logs
        self.all = []
        self.closed = False
        # Signals come in the middle of anything.
        self.lock = threading.RLock()

    def start(self, name, command, stdin=False):
        with self.lock:
            if self.closed:
                raise Failure("asked to stop")
            process = Process(self, name, command, stdin)
            self.all.append(process)
        return process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """Ends all. None are started after that."""
        with self.lock:
            self.closed = True
            for process in self.all:
                if process.runs():
                    process.kill()
