"""The command line: one sentence and an exit code for what fails, JSON, quiet, what Ctrl+C keeps."""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import perturbed
from numpy.typing import NDArray
from PIL import Image, ImageCms

import mkpn
from mkpn import __main__ as command_line
from mkpn.__main__ import _kept_in
from mkpn.console import Failed, Interrupted, Output, exit_code, keeping
from mkpn.distributed import shows_progress
from mkpn.evaluation import synthetic
from mkpn.evaluation import verify as verification
from mkpn.model.checkpoint import digest, load_model, read_tensors, save_model, shipped_models, write_tensors
from mkpn.model.config import MODELS, model_config
from mkpn.synthesis.writing import FileFormat, icc_profile, write_picture

Mkpn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mkpn_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mkpn:
    """Runs a command; returns exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mkpn", *map(str, arguments)])
        code = 0
        try:
            command_line.main()
        except SystemExit as error:
            code = int(error.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["app", "--port", "80000"], "port"),
        (["app", "--port", "-1"], "port"),
        (["bench", "--quick", "--threads", "-3"], "threads"),
        (["bench", "--quick", "--models", "mkpn", "nonsense"], "model"),
        (["bench", "--sides", "0"], "sides"),
        (["bench", "--quick", "--sides", "64"], "sides"),
        (["bench", "--only", "large", "--sides", "64"], "sides"),
        (["bench", "--only", "ops", "--models", "mkpn"], "models"),
        (["app", "--host", "nowhere.invalid"], "host"),
        (["app", "--host", "203.0.113.5", "--port", "7999"], "host"),
        (["app", "--checkpoints", "OUT/typo"], "checkpoints"),
        (["evaluate", "--images", "PHOTOS", "--out", "OUT", "--seed", "-1"], "seed"),
        (["evaluate", "--images", "PHOTOS", "--out", "OUT", "--downsample", "0"], "downsample"),
        (["register", "--images", "PHOTOS", "--out", "OUT/a.safetensors", "--sharp", "5"], "sharp"),
        (["curves", "PHOTOS", "--out", "OUT/a.pdf"], "out"),
        (["train", "mkpn", "--images", "PHOTOS", "--run", "OUT", "--threads", "-3"], "threads"),
        (["train", "mkpn", "--images", "PHOTOS", "--run", "OUT", "--lr", "inf"], "lr"),
        (["register", "--images", "PHOTOS", "--out", "OUT/a.safetensors", "--threads", "-3"], "threads"),
        (["evaluate", "--images", "PHOTOS", "--out", "OUT", "--threads", "-3"], "threads"),
        (["register", "--images", "PHOTOS", "--out", "/proc/none/a.safetensors"], "out"),
        (["train", "mkpn", "--images", "PHOTOS", "--run", "/proc/none/run", "--recipe", "tiny"], "run"),
        (["bench", "--quick", "--out", "OUT"], "out"),
        (["curves", "--out", "OUT/a.png"], "runs"),
        (["curves", "PHOTOS", "--out", "OUT/a.png"], "runs"),
        (["denoise", "--out", "OUT"], "images"),
        (["denoise", "PHOTOS", "--out", "OUT", "--models", "nonsense"], "model"),
        (["denoise", "PHOTOS", "--out", "OUT", "--gain", "3"], "gain"),
        (["verify", "--checkpoints", "PHOTOS"], "checkpoints"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_ends_in_one_sentence(
    mkpn_command: Mkpn, photo_folder: Path, tmp_path: Path, arguments: list[str], field: str
) -> None:
    folders = {"PHOTOS": str(photo_folder), "OUT": str(tmp_path)}
    given = [
        argument.replace("OUT", folders["OUT"]) if argument != "PHOTOS" else folders[argument] for argument in arguments
    ]
    code, out, err = mkpn_command(*given)
    assert (code, out) == (2, ""), err
    assert f" {field}: " in err
    assert "Traceback" not in err
    assert err.startswith("mkpn: ")
    assert len(err.splitlines()) == 1


GOES_ON = "and the same command goes on from there"


def interrupted(*_: object) -> object:
    raise KeyboardInterrupt


def no_chart(*_: object) -> bytes:
    return b""


def fails(error: BaseException) -> Callable[[], object]:
    def command() -> object:
        raise error

    return command


NO_MEMORY = "out of memory; a larger --downsample needs less, and --device cpu uses none of the GPU's"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("gain: wrong"), 2, "mkpn: gain: wrong\n"),
        (FloatingPointError("lr: too large"), 1, "mkpn: lr: too large\n"),
        (Failed("not as it should be"), 1, "mkpn: not as it should be\n"),
        (OSError(28, "No space left on device", "out/a.png"), 1, "mkpn: out/a.png: No space left on device\n"),
        (PermissionError(13, "Permission denied", "a.png"), 2, "mkpn: a.png: Permission denied\n"),
        (MemoryError(), 1, f"mkpn: {NO_MEMORY}\n"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 GB"), 1, f"mkpn: {NO_MEMORY}\n"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), 1, f"mkpn: {NO_MEMORY}\n"),
        (KeyboardInterrupt(), 130, "\nmkpn: stopped\n"),
        (Interrupted("out keeps the pictures"), 130, "\nmkpn: stopped; out keeps the pictures\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes(error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(fails(error)) == code
    assert capsys.readouterr().err == said


def test_an_error_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="memory format"):
        exit_code(fails(RuntimeError("unsupported memory format")))


def test_ctrl_c_says_what_is_kept(
    mkpn_command: Mkpn, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mkpn.training import train as module

    run = ("train", "kpn-l1", "--images", photo_folder, "--run", tmp_path, "--downsample", 1, "--batch", 1)
    run += ("--patch", 16, "--device", "cpu", "--checkpoint-every", 2, "--sample-every", 0, "--quiet")
    real_step = module._step

    def interrupted_at(step: int) -> None:
        def step_or_stop(network: object, state: module.TrainingState, *others: object) -> float:
            if state.step == step:
                raise KeyboardInterrupt
            return real_step(network, state, *others)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(module, "_step", step_or_stop)

    interrupted_at(1)
    code, _, err = mkpn_command(*run)
    assert code == 130
    assert err.endswith(f"mkpn: stopped; {tmp_path} holds no checkpoint yet, so a new run starts from the beginning\n")
    interrupted_at(3)
    code, _, err = mkpn_command(*run)
    assert code == 130
    assert err.endswith(f"mkpn: stopped; {tmp_path} keeps step 2, and the same command goes on from there\n")


@pytest.mark.parametrize("command", [("all",), ("kpn-l1", "--recipe", "tiny")], ids=" ".join)
def test_ctrl_c_says_what_is_kept_of_a_recipe(
    mkpn_command: Mkpn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("mkpn.training.phases.train_recipe", interrupted)
    run = ("train", *command, "--images", tmp_path, "--run", tmp_path)
    code, _, err = mkpn_command(*run)
    assert code == 130
    assert err.endswith(f"mkpn: stopped; {tmp_path} holds no checkpoint yet, so a new run starts from the beginning\n")
    write_tensors(tmp_path / "registering.safetensors", {}, {})
    assert mkpn_command(*run)[2].endswith(f"mkpn: stopped; {tmp_path} keeps registering.safetensors, {GOES_ON}\n")
    for age, (phase, step) in enumerate({"zebra": 300, "apart": 200, "trunk": 100}.items()):
        state = tmp_path / phase / "kpn-l1" / "state.safetensors"
        write_tensors(state, {}, {"step": step})
        os.utime(state, (1e9 - abs(age - 1), 1e9 - abs(age - 1)))
    _, _, err = mkpn_command(*run)
    assert err.endswith(f"mkpn: stopped; {tmp_path / 'apart' / 'kpn-l1'} keeps step 200, {GOES_ON}\n")


def test_json_and_quiet(mkpn_command: Mkpn) -> None:
    code, out, err = mkpn_command("models", "--json", "--quiet")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert [row["model"] for row in rows] == list(MODELS)
    _, table, _ = mkpn_command("models")
    assert f"{rows[-1]['paper']:,}" in table
    assert mkpn_command("models", "--json")[1:] == (out, table)


def test_quiet_keeps_errors(caplog: pytest.LogCaptureFixture) -> None:
    with Output(quiet=True).results():
        assert os.environ["TQDM_DISABLE"] == "1"
        synthetic.log.root.warning("left out")
        synthetic.log.error("lost")
    synthetic.log.warning("said again")
    assert "TQDM_DISABLE" not in os.environ
    assert [record.message for record in caplog.records] == ["lost", "said again"]


@pytest.mark.parametrize(
    "command",
    [
        "train kpn-l1 --images PHOTOS --run OUT/run --downsample 1 --batch 1 --patch 16 --steps 1 --device cpu",
        "register --images PHOTOS --out OUT/start.safetensors --downsample 1 --patches 64 --bursts 32 --steps 1",
        "evaluate --images PHOTOS --out OUT --models kpn-l1 --gains 8 --crop 48 --limit 1 --device cpu",
        "explain --out OUT --device cpu",
    ],
    ids=lambda command: command.split()[0],
)
def test_quiet_commands_show_no_progress(
    mkpn_command: Mkpn, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def studied(*_: object, progress: Callable[[str], None], **__: object) -> SimpleNamespace:
        progress("1/1, what is measured")
        return SimpleNamespace(record=dict)

    # The chart and the study take long, and of both only the progress matters.
    monkeypatch.setattr("mkpn.evaluation.evaluate.table1_chart", no_chart)
    monkeypatch.setattr("mkpn.explain.study.study", studied)
    monkeypatch.setattr("mkpn.explain.figures.FIGURES", {})
    for out, options in ((tmp_path / "loud", ()), (tmp_path / "quiet", ("--quiet",))):
        out.mkdir()
        given = [word.replace("PHOTOS", str(photo_folder)).replace("OUT", str(out)) for word in command.split()]
        code, _, err = mkpn_command(*given, *options)
        assert code == 0, err
        assert "1/1" not in err if options else "1/1" in err
    assert err == ""


def test_explain_takes_as_large_pictures_as_the_other_commands(
    mkpn_command: Mkpn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reached(Exception):
        """The picture was read."""

    def studied(pixels: NDArray[np.float32], *_: object, **__: object) -> None:
        raise Reached(pixels.shape)

    monkeypatch.setattr("mkpn.explain.study.study", studied)
    # A file of so many pixels must be large enough to be believed.
    noise = np.random.default_rng(0).integers(0, 256, (4100, 4200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.jpg", quality=20)
    with pytest.raises(Reached, match=r"4100, 4200, 3"):
        mkpn_command("explain", "--image", tmp_path / "large.jpg", "--out", tmp_path, "--device", "cpu")


def test_explain_spares_its_picture(mkpn_command: Mkpn, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    picture = tmp_path / "explain-maps.png"
    Image.fromarray(photo[:96, :96]).save(picture)
    code, _, err = mkpn_command("explain", "--image", picture, "--out", tmp_path, "--device", "cpu")
    assert (code, list(tmp_path.iterdir())) == (2, [picture])
    assert err.endswith("explain-maps.png would be replaced\n")


def test_only_the_first_process_shows_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    assert [shows_progress(), shows_progress(0), shows_progress(1)] == [True, True, False]
    with Output(quiet=True).results():
        assert not shows_progress(0)
    assert shows_progress(0)


# verify


def test_stored_figures_are_those_of_the_shipped_weights() -> None:
    """After new weights: `python -m mkpn verify --store`."""
    stored = verification._stored(Path(__file__).parent.parent / "checkpoints" / verification.EXPECTED)
    assert {name: row["weights"] for name, row in stored.items()} == {
        name: digest(read_tensors(path)[0]) for name, path in shipped_models().items()
    }
    _, decibel = verification._measured(shipped_models()["mkpn"], verification.verification_burst(), "cpu")
    assert decibel == pytest.approx(stored["mkpn"]["psnr"], abs=verification.DECIBEL)


def test_verify_finds_what_is_wrong(mkpn_command: Mkpn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("kpn-l1", "kpn-l3", "kpn-l5")
    monkeypatch.setattr(verification, "MODELS", names)
    for name in names[:2]:
        (tmp_path / f"{name}.safetensors").write_bytes(shipped_models()[name].read_bytes())
    code, out, _ = mkpn_command("verify", "--checkpoints", tmp_path, "--device", "cpu", "--store")
    assert code == 0
    assert json.loads((tmp_path / "verify.json").read_text(encoding="utf-8"))["networks"].keys() == set(names[:2])
    # The right weights, but a figure that they do not reach.
    stored = json.loads((tmp_path / "verify.json").read_text(encoding="utf-8"))
    stored["networks"]["kpn-l3"]["psnr"] += 0.02
    (tmp_path / "verify.json").write_text(json.dumps(stored), encoding="utf-8")
    code, out, _ = mkpn_command("verify", "--checkpoints", tmp_path, "--device", "cpu", "--json", "--quiet")
    checks = {check["name"]: check for check in json.loads(out)}
    assert (code, checks["kpn-l1"]["right"], checks["kpn-l3"]["right"]) == (1, True, False)
    # One network that is a little different, one that is damaged, one that is not there.
    path = tmp_path / "kpn-l1.safetensors"
    network, metadata = load_model(path)
    with torch.no_grad():
        network.last.bias += 0.01  # pyright: ignore[reportOperatorIssue]
    save_model(path, network.config, network.state_dict(), metadata["training"], metadata["metrics"])
    other = tmp_path / "kpn-l3.safetensors"
    other.write_bytes(other.read_bytes()[:-100])
    code, out, err = mkpn_command("verify", "--checkpoints", tmp_path, "--device", "cpu", "--json", "--quiet")
    assert code == 1
    assert err == "mkpn: not as it should be: kpn-l1, kpn-l3, kpn-l5\n"
    checks = {check["name"]: check for check in json.loads(out)}
    assert [checks[name]["right"] for name in names] == [False, False, False]
    assert "other weights than the shipped ones; gain 8: " in checks["kpn-l1"]["found"]
    assert "damaged" in checks["kpn-l3"]["found"]
    assert "no such file" in checks["kpn-l5"]["found"]


def test_verify_leaves_out_back_ends_of_other_devices() -> None:
    # An Apple GPU has neither: its tensors must not reach the CPU's kernels.
    assert {check.name: check.right for check in verification.check_backends(torch.device("mps"))} == {
        "cpu": None,
        "triton": None,
    }


def test_verify_finds_a_wrong_back_end(monkeypatch: pytest.MonkeyPatch) -> None:
    (right,) = [check for check in verification.check_backends(torch.device("cpu")) if check.name == "cpu"]
    assert right.right in (True, None), right.found
    real = verification.local_conv

    def wrong(*tensors: object, backend: str) -> torch.Tensor:
        image = real(*tensors, backend="reference")  # pyright: ignore
        return image * (1.001 if backend == "cpu" else 1)

    monkeypatch.setattr(verification, "local_conv", wrong)
    monkeypatch.setattr(verification, "backends", lambda: {"reference": None, "cpu": None, "triton": "no GPU"})
    found = {check.name: check.right for check in verification.check_backends(torch.device("cpu"))}
    assert found == {"cpu": False, "triton": None}


@pytest.mark.parametrize("wrong", ["image of full kernels", "gradient of separable kernels"])
def test_verify_finds_a_back_end_that_returns_nan(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    real = verification.local_conv

    def broken(frames: torch.Tensor, coeffs: torch.Tensor, sizes: tuple[int, ...], backend: str) -> torch.Tensor:
        separable = coeffs.dim() == 6
        image = real(frames, coeffs, sizes, backend="reference")
        if backend == "cpu" and wrong.startswith("image") and not separable:
            return image * torch.nan
        if backend == "cpu" and wrong.startswith("gradient") and separable:
            # The square root of 0 is 0, and its slope is infinite.
            return image + 0 * (0 * coeffs).sqrt().sum()
        return image

    monkeypatch.setattr(verification, "local_conv", broken)
    monkeypatch.setattr(verification, "backends", lambda: {"reference": None, "cpu": None})
    (check,) = verification.check_backends(torch.device("cpu"))
    assert check.right is False
    assert "differs from the reference by nan" in check.found


def test_verify_needs_networks_and_figures(mkpn_command: Mkpn, tmp_path: Path) -> None:
    code, _, err = mkpn_command("verify", "--checkpoints", tmp_path, "--store")
    assert code == 2
    assert err.startswith("mkpn: checkpoints: expected NAME.safetensors of kpn-l1, ")
    assert err.endswith(f" in {tmp_path}, got none\n")
    assert not list(tmp_path.iterdir())
    code, _, err = mkpn_command("verify", "--checkpoints", tmp_path / "none")
    path = tmp_path / "none" / "verify.json"
    assert (code, err) == (2, f"mkpn: checkpoints: expected stored figures in {path}, got no file of this name\n")


# denoise: several pictures, whole bursts, file formats, colour profiles


@pytest.fixture(scope="module")
def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_a_folder_gives_a_folder_per_picture(
    mkpn_command: Mkpn, photo: NDArray[np.uint8], tmp_path: Path, srgb: bytes
) -> None:
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    for name, start in (("a.png", 0), ("more/a.tif", 80)):
        Image.fromarray(photo[start : start + 96, :96]).save(photos / name, icc_profile=srgb)
    (photos / "bad.jpg").write_bytes(b"no picture")
    given = (photos, "--models", "kpn-l1", "--device", "cpu", "--save-burst", "--format", "tiff")
    code, out, err = mkpn_command("denoise", *given, "--out", tmp_path / "out")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "a-2"}
    assert {path.name for path in (tmp_path / "out" / "a").iterdir()} == {
        *("clean.tiff", "noisy.tiff", "kpn-l1.tiff", "burst")
    }
    assert "mean of 2 pictures:" in out
    # The burst on disk is the burst.
    burst = mkpn.synthesize(photos / "a.png", gain=4, seed=0)
    import tifffile

    folder = tmp_path / "out" / "a" / "burst"
    for index, frame in enumerate(burst.frames):
        np.testing.assert_array_equal(tifffile.imread(folder / f"frame-{index}.tiff").transpose(2, 0, 1), frame.numpy())
    for written in (folder / "clean.tiff", folder / "frame-7.tiff", tmp_path / "out" / "a-2" / "kpn-l1.tiff"):
        with tifffile.TiffFile(written) as file:
            assert file.pages.first.tags["InterColorProfile"].value == srgb
    facts = json.loads((folder / "burst.json").read_text(encoding="utf-8"))
    assert facts["offsets"] == burst.offsets.tolist()
    assert (facts["image"], facts["gain"], facts["seed"]) == ("a.png", 4, 0)
    assert facts["sigma_s"] == burst.noise.sigma_s
    code, out, err = mkpn_command("denoise", *given, "--out", tmp_path / "strict", "--strict")
    assert (code, out) == (2, "")
    assert "bad.jpg" in err
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize("name", ["clean", "noisy", "kpn-l1"])
def test_a_picture_is_not_replaced_by_its_own_result(
    mkpn_command: Mkpn, photo: NDArray[np.uint8], tmp_path: Path, name: str
) -> None:
    picture = tmp_path / f"{name}.png"
    Image.fromarray(photo[:96, :96]).save(picture)
    before = picture.read_bytes()
    given = ("--models", "kpn-l1", "--device", "cpu")
    code, out, err = mkpn_command("denoise", picture, "--out", tmp_path, *given)
    reason = f"out: expected a folder without the photographs themselves, got {tmp_path}, where"
    assert (code, out, err) == (2, "", f"mkpn: {reason} {name}.png would be replaced\n")
    assert picture.read_bytes() == before
    assert list(tmp_path.iterdir()) == [picture]
    code, _, err = mkpn_command("denoise", picture, "--out", tmp_path, *given, "--format", "tiff")
    assert code == 0, err


def test_a_frame_is_not_replaced_by_a_saved_burst(mkpn_command: Mkpn, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    frame = tmp_path / "burst" / "frame-3.png"
    frame.parent.mkdir()
    Image.fromarray(photo[:96, :96]).save(frame)
    given = ("--out", tmp_path, "--models", "kpn-l1", "--device", "cpu", "--save-burst")
    code, _, err = mkpn_command("denoise", frame, *given)
    assert (code, list(tmp_path.iterdir())) == (2, [frame.parent])
    assert "frame-3.png would be replaced" in err


@pytest.mark.parametrize("out", ["photos", "photos/out", "."])
def test_results_do_not_lie_among_the_photographs(
    mkpn_command: Mkpn, photo: NDArray[np.uint8], tmp_path: Path, out: str
) -> None:
    """A second run would take them for photographs; at `.` the picture of the folder's name has it as its own."""
    picture = tmp_path / "photos" / "photos.png"
    picture.parent.mkdir()
    Image.fromarray(photo[:96, :96]).save(picture)
    given = ("--models", "kpn-l1", "--device", "cpu")
    code, _, err = mkpn_command("denoise", picture.parent, "--out", tmp_path / out, *given)
    assert code == 2
    assert err.startswith("mkpn: out: expected a folder without the photographs themselves, got ")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [picture]


@pytest.mark.parametrize("file_format", ["png", "png16", "tiff"])
def test_a_picture_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: FileFormat
) -> None:
    path = write_picture(tmp_path, "a", torch.zeros(3, 8, 8), file_format)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_picture(tmp_path, "a", torch.ones(3, 8, 8), file_format)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_networks_of_one_file_name_are_two(mkpn_command: Mkpn, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    Image.fromarray(photo[:96, :96]).save(tmp_path / "a.png")
    network = perturbed(model_config("kpn-l1"))
    files = [tmp_path / name for name in ("mine/kpn-l1.safetensors", "noisy.safetensors", "clean.safetensors")]
    for file in files:
        save_model(file, network.config, network.state_dict(), {})
    given = ("--device", "cpu", "--out", tmp_path / "out", "--json", "--quiet")
    code, out, err = mkpn_command("denoise", tmp_path / "a.png", *given, "--models", *files, "kpn-l1")
    assert code == 0, err
    names = ["kpn-l1-2", "noisy-2", "clean-2", "kpn-l1"]
    rows = {row["model"]: row["psnr"] for row in json.loads(out)}
    assert list(rows) == ["noisy", "mean", *names]
    assert rows["kpn-l1"] != rows["kpn-l1-2"] == rows["noisy-2"]
    pictures = {path.stem: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(pictures) == {"clean", "noisy", *names}
    assert len(set(pictures.values())) == 4


def test_bad_pictures_are_named(photo_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    synthesis = synthetic.Synthesis(gain=4, downsample=1, seed=0, file_format="png", save_burst=False)
    good = sorted(photo_folder.iterdir())[0]
    bad = tmp_path / "small.png"
    Image.new("RGB", (8, 8)).save(bad)
    assert synthetic.usable_images([good, bad, good, good.parent / "." / good.name], synthesis, False) == [good]
    assert [record.message for record in caplog.records if "small.png" in record.message]
    with pytest.raises(ValueError, match=r"small\.png: expected an image of at least"):
        synthetic.usable_images([bad], synthesis, False)
    with pytest.raises(ValueError, match=r"images: .*small\.png cannot be used: "):
        synthetic.usable_images([good, bad], synthesis, True)
    with pytest.raises(ValueError, match="got 2 files of which none can be used"):
        synthetic.usable_images([bad, tmp_path / "none.png"], synthesis, False)


def test_a_picture_that_cannot_be_measured_is_left_out(
    mkpn_command: Mkpn, photo: NDArray[np.uint8], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, side in (("a", 84), ("b", 86), ("c", 300)):
        Image.fromarray(photo[:side, :side]).save(photos / f"{name}.png")
    given = ("--models", "kpn-l1", "--device", "cpu", "--out", tmp_path / "out", "--downsample", 2)
    code, out, err = mkpn_command("denoise", photos, *given)
    assert code == 0, err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b", "c"}
    assert "mean of 2 pictures, 1 of which had another metric:" in out
    (said,) = [record.message for record in caplog.records]
    assert said.startswith(f"left out {photos / 'a.png'}: image: expected room for one 11x11 window of SSIM")
    assert said.endswith("got 42x42 after downsampling by 2")
    code, out, err = mkpn_command("denoise", photos, *given, "--downsample", 200)
    assert (code, out) == (2, "")


def test_a_single_picture_keeps_its_profile(
    mkpn_command: Mkpn, photo: NDArray[np.uint8], tmp_path: Path, srgb: bytes
) -> None:
    Image.fromarray(photo[:96, :96]).save(tmp_path / "a.jpg", icc_profile=srgb)
    given = ("--models", "kpn-l1", "--device", "cpu", "--out", tmp_path / "out")
    code, out, _ = mkpn_command("denoise", tmp_path / "a.jpg", *given, "--json", "--quiet")
    assert code == 0
    rows = json.loads(out)
    assert [row["model"] for row in rows] == ["noisy", "mean", "kpn-l1"]
    assert {row["folder"] for row in rows} == {str(tmp_path / "out")}
    for name in ("clean", "noisy", "kpn-l1"):
        assert Image.open(tmp_path / "out" / f"{name}.png").info["icc_profile"] == srgb


def test_real_bursts_keep_the_profile(
    mkpn_command: Mkpn, photo: NDArray[np.uint8], tmp_path: Path, srgb: bytes
) -> None:
    burst = mkpn.synthesize(photo[:150, :150], gain=4, seed=0, config=mkpn.BurstConfig(rate=0))
    for index, frame in enumerate(burst.frames[:2]):
        write_picture(tmp_path, f"{index}", frame, "png", srgb)
    given = ("--models", "kpn-l1", "--device", "cpu", "--out", tmp_path / "out")
    code, out, err = mkpn_command("denoise", tmp_path / "0.png", tmp_path / "1.png", *given, "--json", "--quiet")
    assert code == 0, err
    found = json.loads(out)
    assert [row["model"] for row in found["models"]] == ["kpn-l1"]
    assert any(note.startswith("2 photographs are repeated") for note in found["notes"])
    assert Image.open(tmp_path / "out" / "kpn-l1.png").info["icc_profile"] == srgb
    code, _, err = mkpn_command("denoise", tmp_path / "0.png", tmp_path / "1.png", *given, "--save-burst")
    assert code == 2
    assert err == "mkpn: save_burst: expected an image with a synthetic burst, got a real burst\n"


def test_ctrl_c_says_whether_anything_is_kept(tmp_path: Path) -> None:
    def stopped(kept: Callable[[], str]) -> str:
        with pytest.raises(KeyboardInterrupt) as caught, keeping(kept):
            raise KeyboardInterrupt
        return str(caught.value)

    assert stopped(lambda: _kept_in(tmp_path / "out")) == stopped(lambda: _kept_in(tmp_path)) == "nothing was written"
    (tmp_path / "a.png").touch()
    assert stopped(lambda: _kept_in(tmp_path)) == f"{tmp_path} keeps the pictures so far"
    # An import that Ctrl+C has interrupted may fail when it is asked again.
    assert stopped(lambda: torch.not_there) == ""  # pyright: ignore


def test_a_profile_of_another_colour_space_is_left_out(tmp_path: Path, srgb: bytes) -> None:
    for space, expected in ((b"RGB ", True), (b"CMYK", False), (b"GRAY", False)):
        profile = srgb[:16] + space + srgb[20:]
        Image.new("RGB", (64, 64)).save(tmp_path / "a.png", icc_profile=profile)
        assert icc_profile(tmp_path / "a.png", 1) == (profile if expected else None)
    Image.new("RGB", (64, 64)).save(tmp_path / "b.png")
    assert icc_profile(tmp_path / "b.png", 1) is None


@pytest.mark.parametrize("at_once", [2**18, 5 * 23], ids=["at once", "in strips"])
def test_sixteen_bits_are_all_there(tmp_path: Path, srgb: bytes, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("mkpn.synthesis.images._STRIP", at_once)
    picture = torch.rand(3, 17, 23, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    path = write_picture(tmp_path, "a", picture, "png16", srgb)
    expected = np.rint(picture.clamp(0, 1).numpy() * 65535).astype(np.uint16).transpose(1, 2, 0)
    opened = Image.open(io.BytesIO(path.read_bytes()))
    opened.load()
    assert opened.info["icc_profile"] == srgb
    # Pillow, which checks the sums, reads the upper eight bits.
    assert np.abs(np.asarray(opened).astype(int) - expected / 257).max() <= 1
    start = path.read_bytes().index(b"IDAT")
    rows = np.frombuffer(zlib.decompressobj().decompress(path.read_bytes()[start + 4 :]), np.uint8).reshape(17, -1)
    assert set(rows[:, 0]) == {2}, "every row is the difference to the row above"
    levels = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(17, 23, 3, 2) @ np.array([256, 1])
    np.testing.assert_array_equal(levels, expected)
