"""Unusual names, links and special files on a real file system; a folder that changes during the scan; locales."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import TESTS
from support.scanning import stub_engine, write_many

from fauxscan.records import Status, UserError
from fauxscan.scanning import scan
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import parquet, queries, schemas


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of twenty small images, the last five copies of the first."""
    return write_many(tmp_path / "in", 20)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Return an engine with one stub model."""
    return stub_engine(tmp_path / "models", only="wholes")


def rows(results: Path) -> dict[bytes, dict[str, Any]]:
    """Return the last row of each name, by the bytes of the name."""
    table = queries.latest(results)
    return dict(zip(parquet.keys(table), table.to_pylist(), strict=True))


# === Special files, unreadable files and unusual names ===


def test_files_that_are_not_images_have_a_reason(root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "empty.jpg").touch()
    (root / "folder.jpg").mkdir()
    shutil.copy(root / "000.png", root / "folder.jpg" / "inside.png")
    os.mkfifo(root / "pipe.jpg")
    monkeypatch.chdir(root)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        scan.scan(root, root.parent / "results", engine)
        assert scan.scan(root, root.parent / "results", engine).changes == {}
    by_name = {key: (row["status"], row["detail"]) for key, row in rows(root.parent / "results").items()}
    assert by_name[b"empty.jpg"] == ("corrupt", "the file is empty")
    assert by_name[b"pipe.jpg"] == by_name[b"socket.jpg"] == ("unsupported", "not a regular file")
    assert by_name[b"folder.jpg/inside.png"] == ("ok", None)
    assert b"folder.jpg" not in by_name
    assert len(by_name) == 20 + 4


def test_a_device_is_not_opened(root: Path, engine: Engine) -> None:
    try:
        os.mknod(root / "null.jpg", 0o666 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may create devices")
    scan.scan(root, root.parent / "results", engine)
    row = rows(root.parent / "results")[b"null.jpg"]
    assert (row["status"], row["detail"], row["sha256"]) == ("unsupported", "not a regular file", None)


def unprivileged() -> list[str]:
    """Return the command prefix that takes away the right of root to read every file."""
    if os.geteuid():
        return []
    rights = "-dac_override,-dac_read_search"
    prefix = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
    if not shutil.which("setpriv") or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root can read every file here")
    return prefix


SCAN = """
import sys
from pathlib import Path
from support.scanning import stub_engine
from fauxscan.scanning import scan
home = Path(sys.argv[1])
print(scan.scan(home / "in", home / "results", stub_engine(home / "models", only="wholes")).statuses["unreadable"])
"""


def unreadable(home: Path) -> int:
    """Return the number of files that a scan without root's rights could not read."""
    command = [*unprivileged(), sys.executable, "-c", SCAN, str(home)]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_files_without_permission_are_unreadable_and_tried_again(root: Path) -> None:
    home = root.parent
    (root / "private").mkdir(mode=0)
    (root / "001.png").chmod(0)
    assert unreadable(home) == 2
    by_name = rows(home / "results")
    assert (by_name[b"001.png"]["status"], by_name[b"001.png"]["detail"]) == ("unreadable", "Permission denied")
    assert (by_name[b"private"]["status"], by_name[b"private"]["detail"]) == (
        "unreadable",
        "the folder cannot be listed",
    )
    assert by_name[b"001.png"]["p_fake"] is None
    (root / "private").chmod(0o755)
    (root / "001.png").chmod(0o644)
    assert unreadable(home) == 0
    assert rows(home / "results")[b"001.png"]["status"] == Status.OK


NAMES = [
    b"new\nline.png",
    b"tab\tand\rreturn.png",
    b"not utf-8 \xff\xfe.png",
    b"\xed\xa0\x80 a surrogate as bytes.png",
    b"x" * 251 + b".png",
    "\U0001f600.png".encode(),
    "é composed.png".encode(),
    "e\u0301 composed.png".encode(),
    b"-rf.png",
    b" .png",
    b"'quotes\" and \\ and $(x).png",
    "\u202egnp.exe".encode(),
    b"%00.png",
    b"C:\\photos\\a.png",
]


def test_every_name_comes_back_as_its_bytes(root: Path, engine: Engine) -> None:
    home, results = os.fsencode(root), root.parent / "results"
    for number, name in enumerate(NAMES):
        shutil.copy(root / f"{number:03d}.png", home + b"/" + name)
    os.makedirs(home + b"/folder \xff")
    shutil.copy(root / "000.png", home + b"/folder \xff/" + NAMES[0])
    scan.scan(root, results, engine)
    by_name = rows(results)
    assert {*NAMES, b"folder \xff/" + NAMES[0]} <= set(by_name)
    assert len(by_name) == 20 + len(NAMES) + 1
    for number, name in enumerate(NAMES):
        assert by_name[name]["sha256"] == by_name[f"{number:03d}.png".encode()]["sha256"]
        assert by_name[name]["path_bytes"] in (None, name)
    assert scan.scan(root, results, engine).changes == {}


# === Links and copies ===


def test_links_and_copies_are_judged_once(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 6)
    outside = write_many(tmp_path / "out", 6)
    (root / "loop").symlink_to(".")
    (root / "out").symlink_to(outside)
    os.link(root / "001.png", root / "hard.png")
    for folder in ("a", "b"):
        (root / folder).mkdir()
        shutil.copy(root / "000.png", root / folder)
    for links, files in (("never", 6 + 3), ("inside", 6 + 3), ("all", 6 + 3 + 6)):
        engine = stub_engine(tmp_path / "models", only="wholes", links=links)
        scan.scan(root, tmp_path / links, engine)
        by_name = rows(tmp_path / links)
        assert len([row for row in by_name.values() if row["status"] == "ok"]) == files
        assert by_name[b"loop"]["status"] == "unsupported"
        scores = parquet.read(tmp_path / links, schemas.SCORES)
        assert len(scores) == len({row["sha256"] for row in by_name.values()} - {None})
        assert {by_name[name]["p_fake"] for name in (b"000.png", b"a/000.png", b"b/000.png")} == {
            by_name[b"000.png"]["p_fake"]
        }


def test_a_file_that_becomes_a_link_between_walk_and_open_is_not_followed(
    root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = root.parent / "secret.png"
    shutil.copy(root / "000.png", secret)
    real_judge = engine.judge_until_cancelled

    def judge_after_swap(*args: Any) -> Any:
        if "003.png" in {entry.path for entry in args[1]} and not (root / "003.png").is_symlink():
            (root / "003.png").unlink()
            (root / "003.png").symlink_to(secret)
        return real_judge(*args)

    monkeypatch.setattr(engine, "judge_until_cancelled", judge_after_swap)
    scan.scan(root, root.parent / "results", engine)
    row = rows(root.parent / "results")[b"003.png"]
    assert (row["status"], row["detail"], row["sha256"]) == ("unreadable", "has become a link: not followed", None)
    scan.scan(root, root.parent / "results", engine)
    assert rows(root.parent / "results")[b"003.png"]["detail"] == "a link: not followed"


# === A folder that changes during the scan ===


def test_a_folder_that_gains_and_loses_files_during_the_scan(
    root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, real_judge = root.parent / "results", engine.judge_until_cancelled

    def judge_after_changes(*args: Any) -> Any:
        if "019.png" in {entry.path for entry in args[1]}:  # the last batch; the first one is in the tables
            for gone in ("001.png", "019.png"):  # a tenth of the files is removed, and a tenth is added
                (root / gone).unlink()
            shutil.copy(root / "002.png", root / "010b.png")
            (root / "new").mkdir()
            shutil.copy(root / "003.png", root / "new" / "n.png")
        return real_judge(*args)

    monkeypatch.setattr(engine, "judge_until_cancelled", judge_after_changes)
    first = scan.scan(root, results, engine)
    assert (first.statuses["ok"], first.statuses["unreadable"]) == (19, 1)  # the files that existed during the walk
    assert rows(results)[b"019.png"]["detail"] == "No such file or directory"
    assert scan.scan(root, results, engine).changes == {"removed": 2, "copied": 2}
    assert set(rows(results)) == {os.fsencode(path.relative_to(root)) for path in root.rglob("*.png")}
    assert scan.scan(root, results, engine).changes == {}


# === The same keys in every locale ===

IN_A_LOCALE = """
import json, locale, sys
from pathlib import Path
from support.scanning import stub_engine
from fauxscan.scanning import scan
from fauxscan.scanning.tables import parquet, queries, schemas
locale.setlocale(locale.LC_ALL, "")
home = Path(sys.argv[1])
engine = stub_engine(home / "models", only="wholes", exclude=("*.gif",))
scan.scan(home / "in", Path(sys.argv[2]), engine)
rows = queries.latest(Path(sys.argv[2]))
changes = [(key.hex(), change) for key, change in zip(parquet.keys(rows), rows["change"].to_pylist())]
print(json.dumps([sys.getfilesystemencoding(), changes]))
"""


def in_locale(home: Path, **environment: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the encoding of names in a locale, and the name and change of each file that a scan there finds."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))
    }
    command = [sys.executable, "-c", IN_A_LOCALE, str(home), str(home / "_".join(environment))]
    done = subprocess.run(command, cwd=TESTS, env=inherited | environment, capture_output=True, text=True, check=True)
    encoding, changes = json.loads(done.stdout)
    return encoding, [(key, change) for key, change in changes]


def turkish(locales: Path) -> str | None:
    """Create a Turkish locale with one byte per letter; return its encoding, or None if it cannot be created."""
    locales.mkdir()
    command = ["localedef", "-i", "tr_TR", "-f", "ISO-8859-9", str(locales / "tr_TR")]
    if not shutil.which("localedef") or subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    return "iso8859-9"


def test_keys_and_copies_are_the_same_in_every_locale(tmp_path: Path, engine: Engine) -> None:
    write_many(tmp_path / "in", 6)  # all have the same content: the new one shows their order
    for name in ("I\u0131\u0130i.png", "\u011f.png", "\u00ff.png", "\u015fark\u0131.gif", "I.png", "i.png"):
        shutil.copy(tmp_path / "in" / "000.png", tmp_path / "in" / name)
    other = (tmp_path / "in" / "000.png").read_bytes()[:-30]
    for name in ("\u0440.jpg", "\u0430.jpg"):  # in ISO 8859-9, the second would be sorted last
        (tmp_path / "in" / name).write_bytes(other)
    scan.scan(tmp_path / "in", tmp_path / "results", engine)
    expected = [(key.hex(), row["change"]) for key, row in rows(tmp_path / "results").items() if key[-4:] != b".gif"]
    assert len(expected) == 13
    assert ("\u0430.jpg".encode().hex(), "new") in expected
    plain = in_locale(tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert plain == ("ascii", expected)
    expected_encoding = turkish(tmp_path / "locales")
    encoding, changes = in_locale(tmp_path, LANG="tr_TR", LOCPATH=str(tmp_path / "locales"))
    assert changes == expected
    assert encoding == (expected_encoding or encoding)


def test_results_whose_name_is_not_utf8_are_refused_before_anything_is_read(
    root: Path, engine: Engine, tmp_path: Path
) -> None:
    results = tmp_path / os.fsdecode(b"res\xff")
    with pytest.raises(UserError, match=r"the results folder b'.*res\\xff' is not UTF-8: name another folder"):
        scan.scan(root, results, engine)
    assert not results.exists()
    (results / "media").mkdir(parents=True)
    with pytest.raises(UserError, match="is not UTF-8"):
        queries.latest(results)


@pytest.mark.parametrize(
    "name", ["a b", "it's; DROP", "50%20[a]*?", "file:x", "s3:bucket", "new\nline", "gr\u00fc\u00dfe"]
)
def test_results_may_have_any_other_name(root: Path, engine: Engine, tmp_path: Path, name: str) -> None:
    scan.scan(root, tmp_path / name, engine)
    assert scan.scan(root, tmp_path / name, engine).unchanged == len(queries.latest(tmp_path / name)) == 20
