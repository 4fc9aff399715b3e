"""Scans of single files, several paths and lists: which root, what is removed, what is only left out."""

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from scanning_fixtures import stub_cards, stub_engine, stub_panel, write_many, write_params

from fauxscan import cli
from fauxscan.records import UserError
from fauxscan.scanning import engine as engines
from fauxscan.scanning import scan, selection, tables
from fauxscan.scanning.engine import Engine
from fauxscan.scanning.places import LocalFolder
from fauxscan.scanning.plan import NOT_THERE
from fauxscan.scanning.selection import select

RESULTS = ["--results", "results", "--params", "params.yaml", "--models", "models/wholes"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory: parameters, a stand-in model, a folder of eight images, two of them below `sub`."""
    write_params(tmp_path / "params.yaml")
    stub_cards(tmp_path / "models")
    root = write_many(tmp_path / "in", 8)
    (root / "sub").mkdir()
    for name in ("006.png", "007.png"):
        (root / name).rename(root / "sub" / name)
    monkeypatch.setattr(engines, "Engine", lambda settings: Engine(settings, stub_panel))
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


def states(home: Path) -> dict[str, str]:
    """Return the change in the last row of each path, those of removed files included."""
    rows = tables.last(tables.read(home / "results", tables.MEDIA)).to_pylist()
    return {row["path"]: row["change"] for row in rows}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return what a scan from the command line says that was new."""
    capsys.readouterr()
    assert cli.run(["scan", *arguments, *RESULTS, "--format", "json"]) in (0, 2)
    told = json.loads(capsys.readouterr().out)
    changes = {name.removeprefix("change_"): told[name] for name in told if name.startswith("change_") and told[name]}
    return {"root": told["root"], "unchanged": told["unchanged"]} | changes


# === Which root, which names ===


@pytest.mark.parametrize(
    ("paths", "root", "names"),
    [
        (["in"], "in", {""}),
        (["in/"], "in", {""}),
        (["in/000.png"], "in", {"000.png"}),
        (["in/000.png", "in/sub"], "in", {"000.png", "sub"}),
        (["in/sub/006.png", "./in/sub/../sub//006.png"], "in/sub", {"006.png"}),
        (["in/sub", "in/sub/006.png", "in/001.png"], "in", {"sub", "001.png"}),
        (["in", "in/sub"], "in", {""}),
        (["in", "params.yaml"], ".", {"in", "params.yaml"}),
        (["in/000.png", "in/sub/gone.png"], "in", {"000.png", "sub/gone.png"}),
        (["."], ".", {""}),
    ],
)
def test_paths_are_named_below_the_deepest_folder_that_holds_all(
    home: Path, paths: list[str], root: str, names: set[str]
) -> None:
    found = select(paths)
    assert (found.root, found.names) == (LocalFolder((home / root).resolve()), names)


def test_a_root_that_is_named_stays(home: Path) -> None:
    assert select(["in/sub/006.png"], Path()).names == {"in/sub/006.png"}
    assert select([str(home / "in" / "sub")], Path("in")).names == {"sub"}


def test_a_way_through_a_link_is_what_it_leads_to_and_the_last_name_is_as_it_is(home: Path) -> None:
    (home / "way").symlink_to("in/sub")
    (home / "in" / "link.png").symlink_to("000.png")
    assert select(["way/006.png", "in/link.png"], Path("in")).names == {"sub/006.png", "link.png"}
    assert select(["way"]).root == LocalFolder(home / "in" / "sub")


@pytest.mark.parametrize(
    ("paths", "root", "said"),
    [
        ([], None, "nothing is named to scan"),
        (["gone"], None, "gone is not there"),
        (["gone", "gone too"], None, "none of the 2 paths is there, as gone: see whether their disk is mounted"),
        (["in", "params.yaml"], "in", "params.yaml lies outside the root .*name a wider --root"),
        (["in-other/x", "in/000.png"], "in", "in-other/x lies outside the root"),
        (["in/000.png"], "params.yaml", "params.yaml is not a folder"),
    ],
)
def test_what_cannot_be_scanned_is_said(home: Path, paths: list[str], root: str | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        select(paths, Path(root) if root else None)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (b"a.png\nb c.png\n\n", [b"a.png", b"b c.png"]),
        (b"\xef\xbb\xbfa.png\r\nb.png\r\n", [b"a.png", b"b.png"]),
        (b"a\nb.png\0c\xff.png\0", [b"a\nb.png", b"c\xff.png"]),
        (b"C:\\photos\\a.png\n", [b"C:\\photos\\a.png"]),
        (b"", []),
    ],
)
def test_lists_are_of_lines_or_of_names_that_end_with_nul(text: bytes, paths: list[bytes]) -> None:
    assert [os.fsencode(path) for path in selection.read_list(io.BytesIO(text))] == paths


# === Scans of a part ===


def test_a_scan_of_one_file_calls_no_other_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(home / "in")
    assert run(capsys, "in") == {"root": root, "unchanged": 0, "new": 3, "copied": 5}
    (home / "in" / "001.png").unlink()
    assert run(capsys, "in/000.png") == {"root": root, "unchanged": 1}
    assert run(capsys, "in/sub", "--root", "in") == {"root": root, "unchanged": 2}
    assert "removed" not in states(home).values()
    assert run(capsys, "in") == {"root": root, "unchanged": 7, "removed": 1}


def test_a_file_that_moves_into_the_part_that_is_scanned_is_a_copy(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "in")
    (home / "in" / "001.png").rename(home / "in" / "sub" / "m.png")
    assert run(capsys, "in/sub", "--root", "in")["copied"] == 1
    assert states(home)["001.png"] in ("new", "copied")


def test_missing_names_are_removed_if_known_and_unreadable_if_not_and_told_of_once(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "in")
    (home / "in" / "001.png").unlink()
    shutil.rmtree(home / "in" / "sub")
    (home / "list").write_text("in/000.png\nin/001.png\nin/sub\nin/never.png\nin/000.png\n")
    first = run(capsys, "--list", "list", "--root", "in")
    assert first == {"root": str(home / "in"), "unchanged": 1, "removed": 3, "new": 1}
    assert run(capsys, "--list", "list", "--root", "in") == {"root": str(home / "in"), "unchanged": 1}
    row = {row["path"]: row for row in tables.latest(home / "results").to_pylist()}["never.png"]
    assert (row["status"], row["detail"], row["p_fake"]) == ("unreadable", NOT_THERE, None)
    shutil.copy(home / "in" / "000.png", home / "in" / "never.png")
    assert run(capsys, "--list", "list", "--root", "in")["changed"] == 1


def test_a_list_on_standard_input_keeps_the_bytes_of_names(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [b"new\nline.png", b"not utf-8 \xff.png"]
    for name in names:
        shutil.copy(home / "in" / "000.png", os.fsencode(home / "in") + b"/" + name)
    text = b"".join(b"in/" + name + b"\0" for name in (*names, *names))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert run(capsys, "--list", "-") == {"root": str(home / "in"), "unchanged": 0, "new": 1, "copied": 1}
    rows = tables.latest(home / "results")
    assert sorted(tables.keys(rows)) == names


def test_what_a_filter_leaves_out_keeps_its_last_state(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "in")
    assert run(capsys, "in", "--exclude", "sub/", "--exclude", "00[12].png")["unchanged"] == 4
    assert "removed" not in states(home).values()
    shutil.rmtree(home / "in" / "sub")
    assert "removed" not in run(capsys, "in", "--exclude", "sub/")
    assert run(capsys, "in")["removed"] == 2


def test_filters_that_leave_nothing_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["scan", "in", "--include", "*.gif", *RESULTS]) == 3
    assert "all are left out by scan.include, scan.exclude and scan.hidden" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in", "--include", "!"], "scan.include: "),
        (["--list", "nowhere"], "the list nowhere cannot be read: No such file"),
        (["--list", "/dev/null"], "nothing is named to scan"),
        (["in", "--links", "some"], "--links"),
    ],
)
def test_wrong_use_is_three_and_writes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.run(["scan", *arguments, *RESULTS]) == 3
    assert said in capsys.readouterr().err
    assert not (home / "results").exists()


@pytest.mark.parametrize(("links", "status"), [("never", "unsupported"), ("inside", "ok"), ("all", "ok")])
def test_a_link_is_judged_where_that_is_allowed(home: Path, links: str, status: str) -> None:
    (home / "in" / "link.png").symlink_to("000.png")
    judge = stub_engine(home / "models", only="wholes", links=links)
    scan.scan(home / "in", home / "results", judge)
    assert scan.scan(home / "in", home / "results", judge).changes == {}
    rows = {row["path"]: row for row in tables.latest(home / "results").to_pylist()}
    assert rows["link.png"]["status"] == status
    assert (rows["link.png"]["sha256"] == rows["000.png"]["sha256"]) == (status == "ok")
