"""Scans of single files, several paths and lists: the root, removed files, and files that are only left out."""

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.scanning import stub_cards, stub_engine, stub_ensemble, write_many, write_params

from fauxscan import cli
from fauxscan.records import UserError
from fauxscan.scanning import scan
from fauxscan.scanning.engine import engine as engines
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.history.plan import NOT_THERE
from fauxscan.scanning.inputs import selection
from fauxscan.scanning.inputs.roots import LocalFolder
from fauxscan.scanning.inputs.selection import select
from fauxscan.scanning.tables import parquet, queries, schemas

RESULTS = ["--results", "results", "--params", "params.yaml", "--models", "models/wholes"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory: parameters, a stub model, and a folder of eight images, two of them in `sub`."""
    write_params(tmp_path / "params.yaml")
    stub_cards(tmp_path / "models")
    root = write_many(tmp_path / "in", 8)
    (root / "sub").mkdir()
    for name in ("006.png", "007.png"):
        (root / name).rename(root / "sub" / name)
    monkeypatch.setattr(engines, "Engine", lambda settings: Engine(settings, stub_ensemble))
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


def states(home: Path) -> dict[str, str]:
    """Return the change in the last row of each path, including removed files."""
    rows = parquet.last(parquet.read(home / "results", schemas.MEDIA)).to_pylist()
    return {row["path"]: row["change"] for row in rows}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return the root, the number of unchanged files and the changes that a scan from the command line reports."""
    capsys.readouterr()
    assert cli.run(["scan", *arguments, *RESULTS, "--format", "json"]) in (0, 2)
    summary = json.loads(capsys.readouterr().out)
    counts = {name.removeprefix("change_"): n for name, n in summary.items() if name.startswith("change_") and n}
    return {"root": summary["root"], "unchanged": summary["unchanged"]} | counts


# === The root and the names ===


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
def test_names_are_relative_to_the_deepest_common_folder(
    home: Path, paths: list[str], root: str, names: set[str]
) -> None:
    selected = select(paths)
    assert (selected.root, selected.names) == (LocalFolder((home / root).resolve()), names)


def test_a_named_root_is_used(home: Path) -> None:
    assert select(["in/sub/006.png"], Path()).names == {"in/sub/006.png"}
    assert select([str(home / "in" / "sub")], Path("in")).names == {"sub"}


def test_links_in_parent_folders_are_resolved_and_the_last_name_is_kept(home: Path) -> None:
    (home / "shortcut").symlink_to("in/sub")
    (home / "in" / "link.png").symlink_to("000.png")
    assert select(["shortcut/006.png", "in/link.png"], Path("in")).names == {"sub/006.png", "link.png"}
    assert select(["shortcut"]).root == LocalFolder(home / "in" / "sub")


@pytest.mark.parametrize(
    ("paths", "root", "message"),
    [
        ([], None, "nothing to scan"),
        (["gone"], None, "gone does not exist"),
        (["gone", "gone too"], None, "none of the 2 paths exists, for example gone: check that their disk is mounted"),
        (["in", "params.yaml"], "in", "params.yaml lies outside the root .*name a wider --root"),
        (["in-other/x", "in/000.png"], "in", "in-other/x lies outside the root"),
        (["in/000.png"], "params.yaml", "params.yaml is not a folder"),
    ],
)
def test_paths_that_cannot_be_scanned_are_refused(home: Path, paths: list[str], root: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
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
def test_lists_have_one_path_per_line_or_are_nul_terminated(text: bytes, paths: list[bytes]) -> None:
    assert [os.fsencode(path) for path in selection.read_list(io.BytesIO(text))] == paths


# === Scans of a selection ===


def test_a_scan_of_one_file_marks_no_other_file_as_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(home / "in")
    assert run(capsys, "in") == {"root": root, "unchanged": 0, "new": 3, "copied": 5}
    (home / "in" / "001.png").unlink()
    assert run(capsys, "in/000.png") == {"root": root, "unchanged": 1}
    assert run(capsys, "in/sub", "--root", "in") == {"root": root, "unchanged": 2}
    assert "removed" not in states(home).values()
    assert run(capsys, "in") == {"root": root, "unchanged": 7, "removed": 1}


def test_a_file_that_moves_into_the_selection_counts_as_a_copy(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "in")
    (home / "in" / "001.png").rename(home / "in" / "sub" / "m.png")
    assert run(capsys, "in/sub", "--root", "in")["copied"] == 1
    assert states(home)["001.png"] in ("new", "copied")


def test_missing_names_are_removed_if_known_or_else_unreadable_and_recorded_once(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "in")
    (home / "in" / "001.png").unlink()
    shutil.rmtree(home / "in" / "sub")
    (home / "list").write_text("in/000.png\nin/001.png\nin/sub\nin/never.png\nin/000.png\n")
    first = run(capsys, "--list", "list", "--root", "in")
    assert first == {"root": str(home / "in"), "unchanged": 1, "removed": 3, "new": 1}
    assert run(capsys, "--list", "list", "--root", "in") == {"root": str(home / "in"), "unchanged": 1}
    row = {row["path"]: row for row in queries.latest(home / "results").to_pylist()}["never.png"]
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
    rows = queries.latest(home / "results")
    assert sorted(parquet.keys(rows)) == names


def test_files_that_a_filter_leaves_out_keep_their_last_state(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "in")
    assert run(capsys, "in", "--exclude", "sub/", "--exclude", "00[12].png")["unchanged"] == 4
    assert "removed" not in states(home).values()
    shutil.rmtree(home / "in" / "sub")
    assert "removed" not in run(capsys, "in", "--exclude", "sub/")
    assert run(capsys, "in")["removed"] == 2


def test_filters_that_leave_out_everything_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["scan", "in", "--include", "*.gif", *RESULTS]) == 3
    assert "all are left out by scan.include, scan.exclude and scan.hidden" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in", "--include", "!"], "scan.include: "),
        (["--list", "nowhere"], "the list nowhere cannot be read: No such file"),
        (["--list", "/dev/null"], "nothing to scan"),
        (["in", "--links", "some"], "--links"),
    ],
)
def test_wrong_usage_exits_with_3_and_writes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.run(["scan", *arguments, *RESULTS]) == 3
    assert message in capsys.readouterr().err
    assert not (home / "results").exists()


@pytest.mark.parametrize(("links", "status"), [("never", "unsupported"), ("inside", "ok"), ("all", "ok")])
def test_a_link_is_judged_where_the_policy_allows_it(home: Path, links: str, status: str) -> None:
    (home / "in" / "link.png").symlink_to("000.png")
    judge = stub_engine(home / "models", only="wholes", links=links)
    scan.scan(home / "in", home / "results", judge)
    assert scan.scan(home / "in", home / "results", judge).changes == {}
    rows = {row["path"]: row for row in queries.latest(home / "results").to_pylist()}
    assert rows["link.png"]["status"] == status
    assert (rows["link.png"]["sha256"] == rows["000.png"]["sha256"]) == (status == "ok")
