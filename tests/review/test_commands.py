from __future__ import annotations

import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tagweave.errors import InputError
from tagweave.review.commands import review
from tagweave.review.desk import Change, Desk
from tagweave.review.server import ADDRESS, USUAL_PORT, listen

app = typer.Typer()
app.command()(review)


def run_command(*words: str | Path) -> tuple[str, BaseException | None]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.output, done.exception


def test_export_writes_what_was_decided(desk: Desk, run: Path, tmp_path: Path) -> None:
    desk.decide("window", "gesture", "q", "dog", [Change("dog", "no", (desk.ids[7],), True)])
    said, _ = run_command(run, "--export", tmp_path / "out.csv")
    assert said == f"1 images written to {tmp_path / 'out.csv'}\n"
    assert (tmp_path / "out.csv").read_text() == "image,cat,dog\nsub/0007.png,,0\n"
    error = run_command(run, "--export", tmp_path / "out.csv", "--all")[1]
    assert isinstance(error, InputError)
    assert str(error).endswith("out.csv is there, perhaps somebody's own; give another name, or --overwrite.")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 2
    run_command(run, "--export", tmp_path / "out.csv", "--all", "--overwrite")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6
    run_command(run, "--export", tmp_path / "all.csv", "--all", "--quiet")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 6


def test_wrong_use_is_told(run: Path, tmp_path: Path) -> None:
    for words, fault in (
        ((run, "--all"), "Expected --export FILE with --all."),
        ((run, "--export", tmp_path / "out.csv"), "Expected a review log at"),
        ((tmp_path,), "Expected a run folder"),
    ):
        error = run_command(*words)[1]
        assert isinstance(error, InputError)
        assert str(error).startswith(fault)


def test_only_this_computer_is_listened_to() -> None:
    with listen(0) as found:
        assert found.getsockname()[0] == ADDRESS == "127.0.0.1"
        taken = found.getsockname()[1]
        with pytest.raises(InputError, match=f"Expected a free port, but {taken} cannot be had .*: give another with"):
            listen(taken)


def test_another_port_is_taken_where_the_usual_one_is_not_free() -> None:
    with socket.socket() as holder:
        try:
            holder.bind((ADDRESS, USUAL_PORT))
            holder.listen()
        except OSError:
            pass  # somebody else holds it, which serves as well
        with listen(None) as found:
            assert found.getsockname()[1] != USUAL_PORT


def test_another_address_needs_the_flag_and_is_warned_of(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: list[str] = []

    def note(desk: Desk, listening: socket.socket, announce: object, host: str) -> None:
        served.append(listening.getsockname()[0])
        listening.close()
        desk.close()

    monkeypatch.setattr("tagweave.review.server.serve", note)
    review(run, port=0, quiet=True)
    assert capsys.readouterr().err == ""
    review(run, port=0, quiet=True, host="0.0.0.0")
    assert capsys.readouterr().err.startswith("warning: with --host 0.0.0.0 other computers can reach this page.")
    assert served == ["127.0.0.1", "0.0.0.0"]
    error = run_command(run, "--host", "192.0.2.1", "--port", "0")[1]
    assert str(error).startswith("Expected an address of this computer with --host, but got '192.0.2.1'")


def test_small_answers_are_sent_at_once() -> None:
    """Asyncio turns the delay of small packets off only for sockets that name TCP."""
    with listen(0) as found:
        assert found.proto == socket.IPPROTO_TCP
