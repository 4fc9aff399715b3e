"""Files are written whole or not at all, whatever ends the writing."""

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fauxscan import disk

KILLED = """
import os, signal, sys
from pathlib import Path
from fauxscan import disk
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
with disk.atomic_write(Path(sys.argv[1])) as file:
    file.write(b"new")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with disk.atomic_write(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old" and names(tmp_path) == ["a", "a.part"]
    assert target.read_bytes() == b"new" and names(tmp_path) == ["a"]


def test_content_reaches_the_disk_before_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        steps.append(f"{source.name} to {target.name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    with disk.atomic_write(tmp_path / "a", tmp_path / "b.tmp") as file:
        file.write(b"new")
    assert steps == ["b.tmp", "b.tmp to a", tmp_path.name]


def test_a_process_killed_before_the_rename_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, target], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old" and (tmp_path / "a.part").read_bytes() == b"new"
    with disk.atomic_write(target) as file:  # what the killed one left is overwritten
        file.write(b"newer")
    assert target.read_bytes() == b"newer" and names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("wrong"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_beside(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(type(error)), disk.atomic_write(target) as file:
        file.write(b"new")
        raise error
    assert target.read_bytes() == b"old" and names(tmp_path) == ["a"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with disk.atomic_write(tmp_path / "a") as file:
            file.write(b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_digests_are_of_all_bytes(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(data)
    assert disk.digest(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    assert disk.digest(tmp_path / "a", "md5") == hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_folders_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_flush(monkeypatch, number, of_folders=True)
    disk.write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new" and names(tmp_path) == ["a"]


@pytest.mark.parametrize(("number", "of_folders"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_other_failures_to_flush_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, of_folders: bool
) -> None:
    refuse_flush(monkeypatch, number, of_folders)
    with pytest.raises(OSError, match=os.strerror(number)):
        disk.write_text(tmp_path / "a", "new")


def refuse_flush(monkeypatch: pytest.MonkeyPatch, number: int, of_folders: bool) -> None:
    """Let `fsync` fail, for folders or for files."""
    fsync = os.fsync

    def refusing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == of_folders:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)
