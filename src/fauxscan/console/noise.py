"""Standard error without the noise of libraries: our own lines and real errors are left, and no figure changes."""

import atexit
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib.abc import MetaPathFinder
from io import TextIOWrapper
from typing import Any

# What TensorFlow, absl and oneDNN print although nothing is wrong, as a pattern for grep: messages that are not errors,
# and complaints of CUDA about machines without a GPU. TF_CPP_MIN_LOG_LEVEL does not apply to all of them.
NOISE = "|".join((
    "^WARNING: All log messages before absl::InitializeLog",
    r"^[IW][0-9]{4} [0-9:.]+ +[0-9]+ [^ ]+:[0-9]+\]",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+: [IW] ",
    "Unable to register cu[A-Z]+ (plugin )?factory",
    "failed call to cuInit",
    "^To enable the following instructions",
))  # fmt: skip

IMPORTED = ("tensorflow", "keras")  # whichever comes first; Keras imports TensorFlow


def quiet_libraries(on_tensorflow: Callable[[], None]) -> None:
    """Drop warnings of libraries, and what their C++ code prints once TensorFlow or Keras is imported.

    `on_tensorflow` is called immediately before that import, in whichever thread.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if isinstance(sys.stderr, TextIOWrapper):  # from now on only C++ code and other processes use descriptor 2
        ours = os.dup(sys.stderr.fileno())
        sys.stderr = open(ours, "w", buffering=1, encoding=sys.stderr.encoding)  # noqa: SIM115
        sys.meta_path.insert(0, _TensorFlowWatch([lambda: _filter(ours), on_tensorflow]))


class _TensorFlowWatch(MetaPathFinder):
    """Calls functions when TensorFlow is about to be imported. It finds no modules itself."""

    def __init__(self, functions: list[Callable[[], None]]) -> None:
        self._functions = functions

    def find_spec(self, name: str, *_: Any) -> None:
        """Return None, so that other finders find the module."""
        while name in IMPORTED and self._functions:
            self._functions.pop(0)()


def _filter(stderr: int) -> None:
    """Drop NOISE from what is written to descriptor 2, by way of another process.

    Unlike a thread or a file, that process also passes on the last words of a process that crashes.
    """
    command = ["grep", "-a", "-v", "-E", "--line-buffered", NOISE]
    environment = {**os.environ, "LC_ALL": "C"}
    read, write = os.pipe()
    try:  # a process group of its own: Ctrl-C reaches only the parent
        grep = subprocess.Popen(command, stdin=read, stdout=stderr, env=environment, process_group=0)
        os.dup2(write, 2)
        atexit.register(_end_filter, grep, stderr)
    except OSError:
        pass  # without grep the noise is shown
    finally:
        os.close(read)
        os.close(write)


def _end_filter(grep: "subprocess.Popen[bytes]", stderr: int) -> None:
    os.dup2(stderr, 2)
    with suppress(subprocess.TimeoutExpired):
        grep.wait(1)
