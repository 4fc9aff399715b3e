"""The walk through a local folder: links by policy, filters with the meaning of .gitignore, a fixed order of names."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fauxscan import params
from fauxscan.media import files
from fauxscan.params import ScanParams
from fauxscan.records import MediaError, Status, UserError
from fauxscan.scanning.inputs import filters
from fauxscan.scanning.inputs.local import Walk
from fauxscan.scanning.rows import Entry


def tree(root: Path, *names: str) -> Path:
    """Write files of one byte, and return the resolved root."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root.resolve()


def walked(walk: Walk) -> dict[str, str | None]:
    """Return the detail of each name that a walk yields, and check that it yields none twice."""
    entries = list(walk)
    assert len({entry.path for entry in entries}) == len(entries)
    return {entry.path: entry.detail for entry in entries}


def filtered(settings: params.Params, **options: Any) -> filters.Filters | None:
    """Return the filters that command-line options make."""
    return filters.read_filters(filters.add_filters(settings, **options).scan)


# === Order and selections ===


def test_names_are_sorted_by_their_bytes_with_files_before_subfolders(tmp_path: Path) -> None:
    root = tree(tmp_path, "b.png", "a/z.png", "a.png", "é.png", "B.png", "a/b/c.png", "z/y.png", "\U0001f600.png")
    (root / os.fsdecode(b"\xff.png")).touch()
    names = [entry.key for entry in Walk(root)]
    top = [b"B.png", b"a.png", b"b.png", "é.png".encode(), "\U0001f600.png".encode(), b"\xff.png"]
    assert names == [*top, b"a/z.png", b"a/b/c.png", b"z/y.png"]


def test_the_walk_makes_no_stat_call_per_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, stat_calls = tree(tmp_path, *(f"a/{number}.png" for number in range(20))), []
    real_stat = os.stat
    monkeypatch.setattr(os, "stat", lambda *args, **kwargs: stat_calls.append(args) or real_stat(*args, **kwargs))
    assert len(list(Walk(root))) == 20
    assert len(stat_calls) <= 2  # the root; DirEntry has its own call for each name


def test_named_files_and_folders_are_walked_and_missing_names_are_recorded(tmp_path: Path) -> None:
    root = tree(tmp_path, "a/1.png", "a/2.png", "b/3.png", "c.png")
    walk = Walk(root, names=("a", "c.png", "gone.png", "c.png/below"))
    assert list(walked(walk)) == ["a/1.png", "a/2.png", "c.png"]
    assert walk.missing == ["c.png/below", "gone.png"]
    assert [walk.covers(key) for key in (b"a/9.png", b"gone.png", b"gone.png/x", b"b/3.png", b"ab.png")] == [
        True, True, True, False, False,
    ]  # fmt: skip


# === Filters ===


@pytest.mark.parametrize(
    ("options", "included"),
    [
        ({}, {"a.jpg", "b.png", "sub/a.jpg", "sub/deep/c.jpg", ".h.jpg", ".d/e.jpg", "n\nl/f.jpg"}),
        ({"hidden": False}, {"a.jpg", "b.png", "sub/a.jpg", "sub/deep/c.jpg", "n\nl/f.jpg"}),
        ({"include": ["*.png"]}, {"b.png"}),
        ({"include": ["/a.jpg"]}, {"a.jpg"}),
        ({"include": ["sub/"]}, {"sub/a.jpg", "sub/deep/c.jpg"}),
        ({"include": ["*.jpg"], "exclude": ["sub"]}, {"a.jpg", ".h.jpg", ".d/e.jpg", "n\nl/f.jpg"}),
        ({"include": ["*.jpg", "!a.jpg"]}, {"sub/deep/c.jpg", ".h.jpg", ".d/e.jpg", "n\nl/f.jpg"}),
        ({"exclude": ["*.jpg", "!/sub/a.jpg"]}, {"b.png", "sub/a.jpg"}),
        ({"exclude": ["sub/", "!sub/a.jpg", ".*"]}, {"a.jpg", "b.png", "n\nl/f.jpg"}),
        ({"include": ["**/deep/**", "n\nl"]}, {"sub/deep/c.jpg", "n\nl/f.jpg"}),
    ],
)
def test_filters_have_the_meaning_of_gitignore(
    tmp_path: Path, settings: params.Params, options: dict[str, Any], included: set[str]
) -> None:
    names = {"a.jpg", "b.png", "sub/a.jpg", "sub/deep/c.jpg", ".h.jpg", ".d/e.jpg", "n\nl/f.jpg"}
    walk = Walk(tree(tmp_path, *names), filters=filtered(settings, **options))
    assert set(walked(walk)) == included
    assert {
        name for name in names if walk.covers(name.encode())
    } == included  # an excluded file does not count as removed


def test_an_excluded_folder_is_not_entered(
    tmp_path: Path, settings: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, real_scandir = tree(tmp_path, "a/1.png", "skip/b/2.png"), os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: "skip" not in str(path) and real_scandir(path))
    assert set(walked(Walk(root, filters=filtered(settings, exclude=["skip/"])))) == {"a/1.png"}


def test_filters_apply_to_named_files_too(tmp_path: Path, settings: params.Params) -> None:
    root = tree(tmp_path, "a.png", "b.jpg", ".d/c.png")
    names = ("a.png", "b.jpg", ".d/c.png", "gone.jpg", "gone.png")
    walk = Walk(root, names=names, filters=filtered(settings, include=["*.png"], hidden=False))
    assert (list(walked(walk)), walk.missing) == (["a.png"], ["gone.png"])


def test_without_patterns_there_are_no_filters(settings: params.Params) -> None:
    assert filtered(settings) is None


@pytest.mark.parametrize("pattern", ["!", "a\\", "[z-a]"])
def test_an_invalid_pattern_is_refused_with_its_parameter(settings: params.Params, pattern: str) -> None:
    with pytest.raises(UserError, match=r"scan.exclude: .*is not a valid pattern in the syntax of .gitignore"):
        filters.add_filters(settings, exclude=["*.png", pattern])


def test_patterns_are_added_to_those_in_the_parameters(settings: params.Params) -> None:
    once = filters.add_filters(settings, ["*.png"], ["a"], hidden=False, links="all")
    twice = filters.add_filters(once, ["*.jpg"]).scan
    assert (twice.include, twice.exclude, twice.hidden, twice.links) == (("*.png", "*.jpg"), ("a",), False, "all")


# === Links ===


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Return a folder with links to files and folders, inside and outside the root, to nothing and in loops."""
    tree(tmp_path / "out", "o.png")
    root = tree(tmp_path / "in", "a/1.png", "b.png")
    for name, target in {
        "file": "a/1.png",
        "folder": "a",
        "again": "a",
        "out.png": "../out/o.png",
        "out": tmp_path / "out",
        "nowhere": "gone.png",
        "self": "self",
        "a/up": "..",
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "a" / "pipe")
    (root / "to pipe").symlink_to("a/pipe")
    return root


def details(entries: Iterable[Entry]) -> dict[str, str | None]:
    """Return for each name the first words of its detail, or None if the file can be opened."""
    return {entry.path: entry.detail and entry.detail.partition(":")[0] for entry in entries}


LOOP, NOWHERE, SPECIAL = "leads back to a folder above it", "a link that leads nowhere", "not a regular file"


def test_links_are_never_followed(linked: Path) -> None:
    link = "a link"
    assert details(Walk(linked)) == {
        "a/1.png": None, "a/pipe": SPECIAL, "b.png": None, "a/up": link, "again": link, "file": link, "folder": link,
        "nowhere": link, "out": link, "out.png": link, "self": link, "to pipe": link,
    }  # fmt: skip


def test_links_that_stay_inside_the_root_are_followed(linked: Path) -> None:
    out = "a link to outside the root"
    below = {"1.png": None, "pipe": SPECIAL, "up": LOOP}
    assert details(Walk(linked, links="inside")) == {
        **{f"{folder}/{name}": detail for folder in ("a", "again", "folder") for name, detail in below.items()},
        "b.png": None, "file": None, "nowhere": NOWHERE, "self": NOWHERE, "out": out, "out.png": out,
        "to pipe": SPECIAL,
    }  # fmt: skip


def test_all_links_are_followed_and_loops_end(linked: Path) -> None:
    (linked.parent / "out" / "back").symlink_to(linked.parent)
    by_path = details(Walk(linked, links="all"))
    assert by_path["out/o.png"] is None and by_path["out.png"] is None
    assert by_path["out/back/in"] == LOOP and by_path["out/back/out"] == LOOP


def test_a_followed_link_has_the_size_and_time_of_its_target(linked: Path) -> None:
    (linked / "a" / "1.png").write_bytes(b"longer")
    by_path = {entry.path: entry for entry in Walk(linked, links="inside")}
    assert (by_path["file"].size, by_path["file"].link, by_path["a/1.png"].link) == (6, True, False)
    assert by_path["file"].mtime_ns == by_path["a/1.png"].mtime_ns


def test_a_walk_through_folders_that_link_to_each_other_ends(tmp_path: Path) -> None:
    root = tree(tmp_path, *(f"{number}/x.png" for number in range(4)))
    for one in range(4):
        for other in range(4):
            (root / str(one) / f"to {other}").symlink_to(f"../{other}")
    by_path = details(Walk(root, links="all"))
    assert len([name for name in by_path if name.endswith("x.png")]) == 4 + 4 * 3 + 4 * 3 * 2 + 4 * 3 * 2 * 1


def test_files_behind_a_link_that_is_not_followed_do_not_count_as_removed(linked: Path) -> None:
    walk = Walk(linked)
    assert "folder/1.png" not in walked(walk)
    assert not walk.covers(b"folder/1.png")
    assert walk.covers(b"a/gone.png")


def test_a_link_to_the_results_is_not_followed(linked: Path) -> None:
    results = tree(linked / "results", "media.parquet")
    (linked / "to results").symlink_to(results)
    assert not [name for name in walked(Walk(linked, results, links="all")) if "media.parquet" in name]


def test_a_file_that_is_replaced_by_a_link_is_not_opened(linked: Path, settings: params.Params) -> None:
    with files.open_file(linked / "file", settings.media) as content:
        assert content.size == 1
    with (
        pytest.raises(MediaError, match="has become a link") as refused,
        files.open_file(linked / "file", settings.media, follow=False),
    ):
        pass
    assert refused.value.status is Status.UNREADABLE
    with files.open_file(linked / "b.png", settings.media, follow=False) as content:
        assert content.size == 1


def test_hard_links_are_ordinary_files(tmp_path: Path) -> None:
    root = tree(tmp_path, "a.png")
    os.link(root / "a.png", root / "b.png")
    assert details(Walk(root)) == {"a.png": None, "b.png": None}


def test_by_default_everything_is_included_and_no_link_is_followed() -> None:
    fields = ScanParams.model_fields
    assert [fields[name].default for name in ("include", "exclude", "hidden", "links")] == [(), (), True, "never"]
