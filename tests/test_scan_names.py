"""Names, links and things that are no files, on a real file system; a folder that changes under the scan; locales."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scanning_fixtures import stub_engine, write_many

from fauxscan.records import Status
from fauxscan.scanning import scan, tables
from fauxscan.scanning.engine import Engine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of twenty small images, the last five copies of the first."""
    return write_many(tmp_path / "in", 20)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Return an engine over one stand-in."""
    return stub_engine(tmp_path / "models", only="wholes")


def rows(results: Path) -> dict[bytes, dict[str, Any]]:
    """Return the last row of each name, by the bytes of the name."""
    found = tables.latest(results)
    return dict(zip(tables.keys(found), found.to_pylist(), strict=True))


# === T05: what is no file, cannot be read, or is called so ===


def test_what_is_no_image_has_a_row_that_says_why(root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "empty.jpg").touch()
    (root / "folder.jpg").mkdir()
    shutil.copy(root / "000.png", root / "folder.jpg" / "inside.png")
    os.mkfifo(root / "pipe.jpg")
    monkeypatch.chdir(root)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        scan.scan(root, root.parent / "results", engine)
        assert scan.scan(root, root.parent / "results", engine).changes == {}
    found = {key: (row["status"], row["detail"]) for key, row in rows(root.parent / "results").items()}
    assert found[b"empty.jpg"] == ("corrupt", "the file is empty")
    assert found[b"pipe.jpg"] == found[b"socket.jpg"] == ("unsupported", "not a regular file")
    assert found[b"folder.jpg/inside.png"] == ("ok", None)
    assert b"folder.jpg" not in found
    assert len(found) == 20 + 4


def test_a_device_is_not_opened(root: Path, engine: Engine) -> None:
    try:
        os.mknod(root / "null.jpg", 0o666 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may make devices")
    scan.scan(root, root.parent / "results", engine)
    row = rows(root.parent / "results")[b"null.jpg"]
    assert (row["status"], row["detail"], row["sha256"]) == ("unsupported", "not a regular file", None)


def unprivileged() -> list[str]:
    """Return what to put before a command so that it has not root's right to read everything."""
    if os.geteuid():
        return []
    rights = "-dac_override,-dac_read_search"
    taking = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
    if not shutil.which("setpriv") or subprocess.run([*taking, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root reads everything here")
    return taking


SCAN = """
import sys
from pathlib import Path
from scanning_fixtures import stub_engine
from fauxscan.scanning import scan
home = Path(sys.argv[1])
print(scan.scan(home / "in", home / "results", stub_engine(home / "models", only="wholes")).statuses["unreadable"])
"""


def unreadable(home: Path) -> int:
    """Return how many files a scan by somebody who is not root could not read."""
    command = [*unprivileged(), sys.executable, "-c", SCAN, str(home)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_what_may_not_be_read_is_unreadable_and_tried_again(root: Path) -> None:
    home = root.parent
    (root / "shut").mkdir(mode=0)
    (root / "001.png").chmod(0)
    assert unreadable(home) == 2
    found = rows(home / "results")
    assert (found[b"001.png"]["status"], found[b"001.png"]["detail"]) == ("unreadable", "Permission denied")
    assert (found[b"shut"]["status"], found[b"shut"]["detail"]) == ("unreadable", "the folder cannot be listed")
    assert found[b"001.png"]["p_fake"] is None
    (root / "shut").chmod(0o755)
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
    found = rows(results)
    assert {*NAMES, b"folder \xff/" + NAMES[0]} <= set(found)
    assert len(found) == 20 + len(NAMES) + 1
    for number, name in enumerate(NAMES):
        assert found[name]["sha256"] == found[f"{number:03d}.png".encode()]["sha256"]
        assert found[name]["path_bytes"] in (None, name)
    assert scan.scan(root, results, engine).changes == {}


# === T07: links and copies ===


def test_links_and_copies_are_bounded_and_judged_once(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 6)
    outside = write_many(tmp_path / "out", 6)
    (root / "loop").symlink_to(".")
    (root / "out").symlink_to(outside)
    os.link(root / "001.png", root / "hard.png")
    for place in ("a", "b"):
        (root / place).mkdir()
        shutil.copy(root / "000.png", root / place)
    for links, files in (("never", 6 + 3), ("inside", 6 + 3), ("all", 6 + 3 + 6)):
        engine = stub_engine(tmp_path / "models", only="wholes", links=links)
        scan.scan(root, tmp_path / links, engine)
        found = rows(tmp_path / links)
        assert len([row for row in found.values() if row["status"] == "ok"]) == files
        assert found[b"loop"]["status"] == "unsupported"
        scores = tables.read(tmp_path / links, tables.SCORES)
        assert len(scores) == len({row["sha256"] for row in found.values()} - {None})
        assert {found[name]["p_fake"] for name in (b"000.png", b"a/000.png", b"b/000.png")} == {
            found[b"000.png"]["p_fake"]
        }


def test_a_file_that_becomes_a_link_between_walk_and_open_is_not_followed(
    root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = root.parent / "secret.png"
    shutil.copy(root / "000.png", secret)
    really = engine.score

    def swapping(*given: Any) -> Any:
        if "003.png" in {entry.path for entry in given[1]} and not (root / "003.png").is_symlink():
            (root / "003.png").unlink()
            (root / "003.png").symlink_to(secret)
        return really(*given)

    monkeypatch.setattr(engine, "score", swapping)
    scan.scan(root, root.parent / "results", engine)
    row = rows(root.parent / "results")[b"003.png"]
    assert (row["status"], row["detail"], row["sha256"]) == ("unreadable", "has become a link: not followed", None)
    scan.scan(root, root.parent / "results", engine)
    assert rows(root.parent / "results")[b"003.png"]["detail"] == "a link: not followed"


# === T09: a folder that changes under the scan ===


def test_a_folder_that_gains_and_loses_files_during_the_scan(
    root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, really = root.parent / "results", engine.score

    def changing(*given: Any) -> Any:
        if "019.png" in {entry.path for entry in given[1]}:  # the last batch, the first one being in the tables
            for gone in ("001.png", "019.png"):  # a tenth goes, and a tenth comes
                (root / gone).unlink()
            shutil.copy(root / "002.png", root / "010b.png")
            (root / "new").mkdir()
            shutil.copy(root / "003.png", root / "new" / "n.png")
        return really(*given)

    monkeypatch.setattr(engine, "score", changing)
    first = scan.scan(root, results, engine)
    assert (first.statuses["ok"], first.statuses["unreadable"]) == (19, 1)  # what was there when it was walked
    assert rows(results)[b"019.png"]["detail"] == "No such file or directory"
    assert scan.scan(root, results, engine).changes == {"removed": 2, "copied": 2}
    assert set(rows(results)) == {os.fsencode(path.relative_to(root)) for path in root.rglob("*.png")}
    assert scan.scan(root, results, engine).changes == {}


# === T36: the same keys in every locale ===

IN_A_LOCALE = """
import json, locale, sys
from pathlib import Path
from scanning_fixtures import stub_engine
from fauxscan.scanning import scan, tables
locale.setlocale(locale.LC_ALL, "")
home = Path(sys.argv[1])
engine = stub_engine(home / "models", only="wholes", exclude=("*.gif",))
scan.scan(home / "in", Path(sys.argv[2]), engine)
rows = tables.latest(Path(sys.argv[2]))
told = [(key.hex(), change) for key, change in zip(tables.keys(rows), rows["change"].to_pylist())]
print(json.dumps([sys.getfilesystemencoding(), told]))
"""


def in_locale(home: Path, **environment: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the encoding of names, and the name and change of each file that a scan in this locale finds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    command = [sys.executable, "-c", IN_A_LOCALE, str(home), str(home / "_".join(environment))]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, env=kept | environment, capture_output=True, text=True, check=True
    )
    encoding, told = json.loads(done.stdout)
    return encoding, [(key, change) for key, change in told]


def turkish(places: Path) -> str | None:
    """Make a Turkish locale with one byte a letter; return the encoding that it has, None where none can be made."""
    places.mkdir()
    command = ["localedef", "-i", "tr_TR", "-f", "ISO-8859-9", str(places / "tr_TR")]
    if not shutil.which("localedef") or subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    return "iso8859-9"


def test_keys_and_copies_are_the_same_in_every_locale(tmp_path: Path, engine: Engine) -> None:
    write_many(tmp_path / "in", 6)  # all of one content: which of them is new tells their order
    for name in ("I\u0131\u0130i.png", "\u011f.png", "\u00ff.png", "\u015fark\u0131.gif", "I.png", "i.png"):
        shutil.copy(tmp_path / "in" / "000.png", tmp_path / "in" / name)
    other = (tmp_path / "in" / "000.png").read_bytes()[:-30]
    for name in ("\u0440.jpg", "\u0430.jpg"):  # in ISO 8859-9 the bytes of the second would sort last
        (tmp_path / "in" / name).write_bytes(other)
    scan.scan(tmp_path / "in", tmp_path / "results", engine)
    expected = [(key.hex(), row["change"]) for key, row in rows(tmp_path / "results").items() if key[-4:] != b".gif"]
    assert len(expected) == 13
    assert ("\u0430.jpg".encode().hex(), "new") in expected
    plain = in_locale(tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert plain == ("ascii", expected)
    made = turkish(tmp_path / "locales")
    encoding, told = in_locale(tmp_path, LANG="tr_TR", LOCPATH=str(tmp_path / "locales"))
    assert told == expected
    assert encoding == (made or encoding)
