"""Records of the training in experiment trackers: the real packages where they are installed, else stand-ins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from drawn import Drawn, quick_fit
from tagweave import trackers
from tagweave.config import build_config
from tagweave.errors import InputError
from tagweave.runs import read_json
from tagweave.trackers import TRACKERS, flat, numbers, open_trackers, require_trackers

RECORDS = [
    {"epoch": 1, "loss": 0.5, "val_mAP": None, "learning_rate": 0.1, "seconds": 2},
    {"epoch": 2, "loss": 0.25, "val_mAP": 0.75, "learning_rate": 0.05, "seconds": 2},
]
LOSSES = [(1, 0.5), (2, 0.25)]


def note(name: str, folder: Path, records: list[dict[str, Any]] = RECORDS) -> None:
    with open_trackers([name], folder, "final", {"seed": 3, "train": {"epochs": 2}}) as write:
        for record in records:
            write(record)


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard")
    board = module.EventAccumulator(str(folder)).Reload()
    return [(event.step, round(event.value, 6)) for event in board.Scalars(name)]


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed; pip install 'tagweave[tensorboard]'")
    note("tensorboard", tmp_path)
    assert scalars(tmp_path / "tensorboard" / "final", "loss") == LOSSES
    assert scalars(tmp_path / "tensorboard" / "final", "val_mAP") == [(2, 0.75)]
    again = [{**record, "loss": record["loss"] + 1} for record in RECORDS]
    note("tensorboard", tmp_path, again)
    assert scalars(tmp_path / "tensorboard" / "final", "loss") == [(1, 1.5), (2, 1.25)]


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed; pip install 'tagweave[mlflow]'")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    for folder in ("one", "two"):
        note("mlflow", tmp_path / folder)
    client = mlflow.MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("tagweave").experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["one-final", "two-final"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert runs[0].data.params == {"seed": "3", "train.epochs": "2"}
    history = client.get_metric_history(runs[0].info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == LOSSES


@pytest.mark.parametrize("package", ["wandb", "trackio"])
def test_packages_in_the_manner_of_wandb(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    run = SimpleNamespace(log=lambda values, step: said.append((step, values)), finish=lambda: said.append("finished"))

    def init(**given: Any) -> Any:
        said.append(given)
        return run

    fake = ModuleType(package)
    fake.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package, fake)
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    note(package, tmp_path / "photos")
    about, first, second, end = said
    assert about == {"project": "tagweave", "name": "photos-final", "config": {"seed": 3, "train.epochs": 2}}
    assert first == (1, {"loss": 0.5, "learning_rate": 0.1, "seconds": 2.0})
    assert second == (2, {"loss": 0.25, "val_mAP": 0.75, "learning_rate": 0.05, "seconds": 2.0})
    assert end == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("package", ["wandb", "trackio"])
def test_the_real_packages_offline(package: str, tmp_path: Path) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed; pip install 'tagweave[{package}]'")
    code = (
        "from pathlib import Path; from test_trackers import note\n"
        f"if __name__ == '__main__': note({package!r}, Path('photos'))"
    )
    away = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "TRACKIO_DIR": str(tmp_path)}
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, **away, "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert any(path.is_file() for path in tmp_path.rglob("*"))


def test_what_is_missing_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        require_trackers(["wandb", "comet"])
    assert caught.value.problems == (
        "Expected log_to to name tensorboard, mlflow, trackio, wandb, but got 'comet'.",
        "Expected wandb to log the training to, but it is not installed; pip install 'tagweave[wandb]'.",
    )


def test_it_is_told_before_any_work(drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="mlflow to log the training to"):
        quick_fit(drawn.images, drawn.labels, tmp_path / "run", log_to=("mlflow",))
    assert not (tmp_path / "run").exists()


def test_the_configuration_knows_all_of_them() -> None:
    assert build_config(changes=['log_to=["tensorboard", "mlflow"]']).log_to == ("tensorboard", "mlflow")
    assert build_config(log_to=tuple(TRACKERS)).log_to == tuple(TRACKERS)
    with pytest.raises(InputError, match=r"log_to\.0: input should be 'tensorboard', 'mlflow', 'trackio' or 'wandb'"):
        build_config(log_to=("comet",))


def test_nothing_asked_for_nothing_done(tmp_path: Path) -> None:
    with open_trackers([], tmp_path, "final", {}) as write:
        write(RECORDS[0])
    assert not list(tmp_path.iterdir())


def test_numbers_and_settings() -> None:
    assert numbers(RECORDS[0]) == {"loss": 0.5, "learning_rate": 0.1, "seconds": 2.0}
    assert flat({"seed": 1, "model": {"label_words": {"Kuh": "cow"}, "g": 2}}) == {
        "seed": 1, "model.label_words.Kuh": "cow", "model.g": 2,
    }  # fmt: skip


@pytest.mark.slow
def test_a_whole_job_logs_both_trainings(drawn: Drawn, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed; pip install 'tagweave[tensorboard]'")
    run = quick_fit(drawn.images, drawn.labels, tmp_path / "run", log_to=("tensorboard",))
    for stage in ("choice", "final"):
        steps = [step for step, _ in scalars(run.folder / "tensorboard" / stage, "loss")]
        assert steps == list(range(1, len(steps) + 1))
        assert steps
    done = read_json(run.folder / "steps" / "train.json")["started"]
    quick_fit(drawn.images, drawn.labels, tmp_path / "run")  # what is logged changes no result: nothing runs again
    assert read_json(run.folder / "steps" / "train.json")["started"] == done
