"""Bad input: one line that names the file or setting, exit code 2, nothing written."""

import h5py
import numpy as np
import pytest
from helpers.gan3d import raw_showers

from hepjax.cli import main
from hepjax.formats.showers.writer import write_showers


@pytest.fixture
def good(tmp_path):
    write_showers(tmp_path / "good", [raw_showers(20)], layout="fixed", events_per_file=20)
    return next((tmp_path / "good").glob("*.h5"))


def edit(path, **datasets):
    with h5py.File(path, "a") as file:
        for key, values in datasets.items():
            del file[key]
            if values is not None:
                file[key] = values
    return path


def damage(kind, good):
    folder, showers = good.parent, raw_showers(20)
    target = np.stack([np.full(20, 11.0), showers["energy"]], 1)
    if kind == "missing file":
        return [folder / "none.h5"]
    if kind == "empty folder":
        (folder / "empty").mkdir()
        return [folder / "empty"]
    if kind == "empty file":
        (folder / "e.h5").touch()
        return [folder / "e.h5"]
    if kind == "not HDF5":
        (folder / "t.h5").write_text("Ep,ECAL\n1,2\n")
        return [folder / "t.h5"]
    if kind == "truncated":
        good.write_bytes(good.read_bytes()[:-5000])
    elif kind == "missing key":
        edit(good, target=None)
    elif kind == "wrong shape":
        edit(good, ECAL=showers["ecal"][:, :24])
    elif kind == "NaN cell":
        showers["ecal"][3, 12, 12, 12] = np.nan
        edit(good, ECAL=showers["ecal"])
    elif kind == "negative energy":
        target[5, 1] = -1
        edit(good, target=target)
    elif kind == "NaN energy":
        target[5, 1] = np.nan
        edit(good, target=target)
    elif kind == "angle file":
        angle = folder / "angle"
        cells = np.zeros((4, 51, 51, 25), np.float32)
        cells[:, 25, 25, 10] = 1.0
        batch = {"ecal": cells, "energy": np.full(4, 50.0, np.float32), "theta": np.full(4, 1.6)}
        write_showers(angle, [batch], layout="angle", events_per_file=4)
        return [next(angle.glob("*.h5"))]
    elif kind == "mixed layouts":
        return [good, *damage("angle file", good)]
    return [good]


KINDS = [
    "missing file", "empty folder", "empty file", "not HDF5", "truncated", "missing key",
    "wrong shape", "NaN cell", "negative energy", "NaN energy", "angle file", "mixed layouts",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_bad_training_files(kind, good, tmp_path, capsys):
    paths = damage(kind, good)
    files = ",".join(str(p) for p in paths)
    code = main(
        ["train", "gan3d/small", f"data.files=[{files}]", "train.batch_size=8", "--devices=1",
         "train.steps=1", "--run", str(tmp_path / "run"), "--quiet"]
    )  # fmt: skip
    err = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(err) == 1
    assert err[0].startswith("hepjax: error: ")
    assert any(str(p) in err[0] for p in paths)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train.batch_szie=8"], "train.batch_size"),
        (["train.batch_size=eight"], "train.batch_size"),
        (["train.batch_size=9", "mesh.devices=2"], "train.batch_size"),
        (["mesh.devices=64"], "mesh.devices"),
        (["data.energy_range=[600, 700]"], "data.energy_range"),
        (["train.batch_size=64"], "train.batch_size"),
        (["data.validation_fraction=0.99"], "data.validation_fraction"),
    ],
)
def test_bad_settings(arguments, named, good, tmp_path, capsys):
    argv = ["train", "gan3d/small", f"data.files=[{good}]", *arguments]
    assert main([*argv, "--run", str(tmp_path / "run"), "--quiet"]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1
    assert named in err[0]


def test_training_events_do_not_judge_the_training(good, tmp_path, capsys):
    (tmp_path / "link").symlink_to(good)
    lists = [f"data.files=[{good}]", f"data.validation_files=[{tmp_path / 'link'}]"]
    assert main(["train", "gan3d/small", *lists, "--run", str(tmp_path / "run"), "--quiet"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "expected it in one of data.files and data.validation_files, found the same" in said


def test_unknown_configuration(capsys):
    assert main(["train", "gan3d/demmo"]) == 2
    assert "gan3d/demo" in capsys.readouterr().err


def test_run_directory_of_another_configuration(tiny_run, tiny_config, capsys):
    argv = ["train", str(tiny_config), "--run", str(tiny_run), "--quiet"]
    assert main([*argv, "model.latent=5"]) == 2
    assert "model.latent" in capsys.readouterr().err
    before = (tiny_run / "config.yaml").read_text()
    (tiny_run / "config.yaml").write_text(before.replace("gan3d", "gan4d", 1))
    assert main(argv) == 2
    assert "gan4d" in capsys.readouterr().err
    (tiny_run / "config.yaml").write_text(before)


def test_a_folder_that_is_no_run(tiny_config, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("precious")
    assert main(["train", str(tiny_config), "--run", str(tmp_path)]) == 2
    assert main(["evaluate", str(tmp_path)]) == 2
    assert main(["generate", str(tmp_path), "--events=1", f"--out={tmp_path / 'x.h5'}"]) == 2
    assert capsys.readouterr().err.count("hepjax: error:") == 3
    assert sorted(p.name for p in tmp_path.iterdir()) in (["thesis.tex"], ["lock", "thesis.tex"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--events=0"],
        ["--events=5", "--energy=500:10"],
        ["--events=5", "--energy=ten"],
        ["--events=5", "--energy=-5:10"],
        ["--events=5", "--batch-size=0"],
        ["--events=5", "--like=none.h5"],
        [],
    ],
)
def test_bad_generate_arguments(arguments, tiny_run, tmp_path, capsys):
    out = tmp_path / "g.h5"
    assert main(["generate", str(tiny_run), f"--out={out}", *arguments, "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("hepjax: error:")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [["bench", "tagger"], ["bench", "gan3d"], ["bench", "mlpf"]])
def test_a_refused_command_leaves_no_folder(verb, tmp_path, capsys):
    argv = [*verb, "--data", str(tmp_path / "none"), "--out", str(tmp_path / "new" / "out")]
    assert main(argv) == 2
    assert "none: expected a file or folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["--reference=x.h5"], ["run", "--reference=x.h5"]])
def test_bad_evaluate_arguments(arguments, capsys):
    assert main(["evaluate", *arguments]) == 2
    assert "expected RUN alone, or --reference with --generated, found" in capsys.readouterr().err
