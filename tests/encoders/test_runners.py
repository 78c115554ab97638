"""Runners: the exported session gives the module's numbers, one image at a time, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tagweave.encoders import runners
from tagweave.encoders.backbones import Encoder
from tagweave.encoders.runners import PARITY, Runner, build_runner, onnx_runner, torch_runner


def noise(encoder: Encoder, images: int) -> NDArray[np.uint8]:
    side = encoder.preprocessing.size
    coarse = np.random.default_rng(2).integers(0, 256, (images, 9, 9, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side))) for image in coarse])


@pytest.fixture
def tiny_runner(tiny: Encoder, tiny_folder: Path) -> Runner:
    return onnx_runner(tiny, tiny_folder)


def test_onnx_and_torch_agree_on_the_embedded_default(lite0: Encoder, tmp_path: Path) -> None:
    pixels = noise(lite0, 2)
    expected = torch_runner(lite0, "cpu")(pixels)
    got = onnx_runner(lite0, tmp_path)(pixels)
    assert got.shape == expected.shape == (2, lite0.layout.map_values + lite0.layout.features)
    assert got.dtype == expected.dtype == np.float32
    assert np.abs(got - expected).max() < PARITY * np.abs(expected).max()
    features, others = (lite0.layout.split(records)[1] for records in (got, expected))
    for one, other in zip(features, others, strict=True):
        assert np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other) > 1 - 1e-6


def test_onnx_and_torch_agree_on_a_small_network(tiny: Encoder, tiny_runner: Runner) -> None:
    pixels = noise(tiny, 3)
    expected = torch_runner(tiny, "cpu")(pixels)
    assert np.abs(tiny_runner(pixels) - expected).max() < 1e-4 * np.abs(expected).max()


def test_numbers_of_an_image_do_not_depend_on_its_batch(tiny: Encoder, tiny_runner: Runner) -> None:
    pixels = noise(tiny, 5)
    together = tiny_runner(pixels)
    np.testing.assert_array_equal(np.concatenate([tiny_runner(pixels[n : n + 1]) for n in range(5)]), together)
    np.testing.assert_array_equal(tiny_runner(pixels[[4, 1, 0, 1]]), together[[4, 1, 0, 1]])
    assert len(np.unique(together, axis=0)) == 5


def test_a_kept_export_is_used_again(tiny: Encoder, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(tiny, 1)
    before = onnx_runner(tiny, tiny_folder)(pixels)
    assert [path.name for path in tiny_folder.iterdir()] == ["encoder.onnx"]

    def never(*_: Any) -> None:
        raise AssertionError("exported again")

    monkeypatch.setattr(runners, "export_onnx", never)
    np.testing.assert_array_equal(onnx_runner(tiny, tiny_folder)(pixels), before)


@pytest.mark.parametrize("wrong", [2e-3, np.nan])
def test_an_export_that_differs_is_refused_and_leaves_nothing(
    tiny: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    class Session:
        def run(self, _: None, inputs: dict[str, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
            record = torch_runner(tiny, "cpu")(inputs["pixels"])
            record[0, 3] += wrong * np.abs(record).max()
            return [record]

    monkeypatch.setattr(torch.onnx, "export", lambda module, args, path, **_: Path(path).write_bytes(b"a graph"))
    monkeypatch.setattr(runners, "open_session", lambda _: Session())
    with pytest.raises(RuntimeError) as caught:
        onnx_runner(tiny, tmp_path / "new")
    assert str(caught.value) == (
        f"The exported test_resnet differs from the torch module by {wrong:.2e} (at most 0.001)."
    )
    assert list((tmp_path / "new").iterdir()) == []


def test_session_uses_the_threads_it_is_given(tiny: Encoder, tiny_runner: Runner, tiny_folder: Path) -> None:
    for threads in (1, 2):
        options = runners.open_session(tiny_folder / "encoder.onnx", threads).get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)


def test_the_runner_follows_the_machine(tiny: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "torch_runner", lambda _, device: f"torch on {device}")
    monkeypatch.setattr(runners, "onnx_runner", lambda _, folder: f"onnx in {folder.name}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert build_runner(tiny, tmp_path / "place") == "torch on cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert build_runner(tiny, tmp_path / "place") == "onnx in place"


@pytest.mark.gpu
def test_torch_runner_on_a_gpu_agrees_with_the_cpu(lite0: Encoder) -> None:
    pixels = noise(lite0, 3)
    expected = torch_runner(lite0, "cpu")(pixels)
    got = torch_runner(lite0, "cuda")(pixels)
    lite0.module.cpu()
    assert np.abs(got - expected).max() < 5e-3 * np.abs(expected).max()  # convolutions in TF32
