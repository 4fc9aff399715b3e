"""The operating system and the extras that are needed: errors that say what to install."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fauxscan.records import MissingExtraError, PlatformError

# The extras of pyproject.toml, and the modules that the library imports from each.
EXTRAS = {
    "train": (
        "gdown", "h5py", "imagehash", "keras", "matplotlib", "multivolumefile", "pandas", "py7zr",
        "requests", "scipy", "sklearn", "tensorflow", "urllib3",
    ),
    "pipeline": ("dvclive", "ruamel"),
}  # fmt: skip


@contextmanager
def checked_installation() -> Iterator[None]:
    """Run a block, or a decorated function, that needs Linux and may need extras.

    Raise PlatformError on another system, and MissingExtraError for a module of an extra that is not installed.
    """
    check_platform()
    try:
        yield
    except MissingExtraError:
        raise
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        extra = next((name for name, modules in EXTRAS.items() if module in modules), None)
        if extra is None:
            raise
        message = f'the package {module} is not installed: pip install "fauxscan[{extra}]"'
        raise MissingExtraError(message, name=error.name) from error


def check_platform() -> None:
    """Raise PlatformError if the operating system is not Linux."""
    if sys.platform != "linux":
        raise PlatformError(
            f"fauxscan runs on Linux only, not on {sys.platform}: use a Linux machine, a Linux container, or, on "
            "Windows, WSL"
        )
