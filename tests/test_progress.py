"""Progress is for a terminal, and for what takes long; text from data gives it no orders."""

import io

import pytest

from thresher.progress import Bar, printable, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, **options):
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with Bar("pairs", **options) as bar:
        bar.start("training", total=10)
        if "delay" in options and isinstance(stream, Terminal) and not options.get("quiet"):
            bar._timer.join()
        bar.advance(4, note="loss 0.5")
        bar.advance(6)
    return stream.getvalue()


def test_a_terminal_is_shown_what_takes_long(monkeypatch):
    said = shown(monkeypatch, Terminal(), delay=0)
    assert "training" in said
    assert "100%" in said


@pytest.mark.parametrize(
    ("stream", "options"),
    [(Terminal(), {}), (Terminal(), {"quiet": True, "delay": 0}), (io.StringIO(), {"delay": 0})],
)
def test_nothing_is_shown_at_once_or_quietly_or_to_a_file(monkeypatch, stream, options):
    assert "training" not in shown(monkeypatch, stream, **options)


def test_values_pass_under_a_bar():
    assert list(track(iter("abc"), "reading", total=3, unit="rows")) == ["a", "b", "c"]


def test_control_characters_are_shown_and_not_sent():
    assert printable("größe 5\u00a0cm 👩‍👩‍👧") == "größe 5\u00a0cm 👩‍👩‍👧"
    assert printable("a\x1b]0;b\x07c\r\n\t\x9b\x7f") == r"a\x1b]0;b\x07c\r\n\t\x9b\x7f"
    assert printable("a\u202eb\u2028") == r"a\u202eb\u2028"
