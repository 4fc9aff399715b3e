"""Progress is a bar in a terminal and plain log lines elsewhere."""

import io

import pytest

from fauxscan import progress
from fauxscan.progress import Progress


class Terminal(io.StringIO):
    """What a person would see."""

    def isatty(self) -> bool:
        return True


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_terminal_shows_a_bar_and_no_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level("INFO")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)  # here, as pytest puts its own back after fixtures
    with Progress("scanning") as shown:
        shown.update(0, 8)
        shown.update(6, 8, "2 frames")
    last = terminal.getvalue().rpartition("\r")[2]
    assert "scanning:  75%" in last and "6/8" in last and "2 frames" in last
    assert lines(caplog) == []


def test_a_bar_of_bytes_begins_where_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress("a.zip", 4_000_000, "B", done=1_000_000) as shown:
        shown.advance(1_000_000)
    assert "2.00M/4.00M" in terminal.getvalue()


def test_elsewhere_the_first_and_the_last_count_are_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with Progress("faces", 3) as shown:
        shown.update(0, 3)
        for done in range(3):
            shown.advance(note=f"{done} frames")
    assert lines(caplog) == ["faces: 0 of 3 files", "faces: 3 of 3 files, 2 frames"]


def test_elsewhere_a_line_comes_every_few_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("a", None, "examples", ends=False) as shown:
        for second in range(50):
            now[0] = 101.0 + second
            shown.advance()
    assert lines(caplog) == ["a: 21 of ? examples", "a: 42 of ? examples"]


def test_the_line_may_have_a_text_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with Progress("scanning", line="Scanned {} of {} files.".format) as shown:
        shown.update(2, 2)
    assert lines(caplog) == ["Scanned 2 of 2 files."]
