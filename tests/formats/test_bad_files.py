"""Files nobody should have to read: each ends in one line that names the file and the cause."""

import os
import re

import h5py
import numpy as np
import pytest
from helpers.shower_files import showers, write_fixed, write_hdf5
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hepjax import InputError
from hepjax.formats.recognise import recognise
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.showers.writer import ShowerWriter

MADE = showers(20)
TARGET = np.stack([MADE["energy"], MADE["energy"]], axis=1)
GOOD = {"ECAL": MADE["ecal"], "target": TARGET}


def changed(values, event, value):
    copy = np.array(values)
    copy[event] = value
    return copy


BAD_CONTENT = {
    "no ECAL": ({"HCAL": MADE["ecal"], "target": TARGET}, "expected a dataset 'ECAL', found HCAL"),
    "images": ({"ECAL": MADE["ecal"][0]}, r"shape \(n, 25, 25, 25\) .* 51.*, found \(5, 5, 4\)"),
    "text": ({"ECAL": np.full((20, 5, 5, 4), b"a")}, "expected numbers in dataset 'ECAL'"),
    "no events": ({"ECAL": MADE["ecal"][:0], "target": TARGET[:0]}, "expected events in .* none"),
    "short target": (GOOD | {"target": TARGET[:19]}, r"rows in 'target' as showers \(20\).* 19"),
    "wrong target": (
        GOOD | {"target": TARGET[:, 0]},
        r"'target' of shape \(20, 2\), found \(20,\)",
    ),
    "NaN energy": (GOOD | {"target": changed(TARGET, 7, np.nan)}, "found nan GeV in event 7 "),
    "no energy": (GOOD | {"target": changed(TARGET, 7, 0)}, "positive energies .* found 0.0 GeV"),
    "negative energy": (GOOD | {"target": -TARGET}, r"event 0 \(20 of 20 events\)"),
    "an energy too large for single precision": (
        GOOD | {"target": changed(TARGET.astype("f8"), 7, 1e40)},
        r"positive energies .* found 1e\+40 GeV in event 7 ",
    ),
    "an energy too small for it": (
        GOOD | {"target": changed(TARGET.astype("f8"), 7, 1e-60)},
        "found 1e-60 GeV",
    ),
    "NaN sum": (GOOD | {"sum": changed(MADE["energy"], 7, np.nan)}, "sums .* found nan in event 7"),
    "degrees": (GOOD | {"theta": np.full(20, 90.0)}, "polar angles between 0 and pi rad .* 90.0"),
    "angles": (GOOD | {"theta": TARGET}, r"'theta' of shape \(20,\), found \(20, 2\)"),
    "NaN cell": (GOOD | {"ECAL": changed(MADE["ecal"], (5, 1, 1, 1), np.nan)}, "nan in event 5"),
    "inf cell": (GOOD | {"ECAL": changed(MADE["ecal"], (5, 1, 1, 1), np.inf)}, "inf in event 5"),
    "negative cell": (
        GOOD | {"ECAL": changed(MADE["ecal"], (19, 1, 1, 1), -1)},
        "-1.0 in event 19",
    ),
}


def read_all(paths, **options):
    source = open_showers(paths, **options)
    return source[np.arange(len(source))]


@pytest.mark.parametrize(("datasets", "message"), BAD_CONTENT.values(), ids=BAD_CONTENT)
def test_bad_content(tmp_path, datasets, message):
    path = write_hdf5(tmp_path / "bad.h5", **datasets)
    with pytest.raises(InputError, match=rf"^\S*bad\.h5: .*{message}") as raised:
        read_all(path)
    assert "\n" not in str(raised.value)


def test_bad_paths(tmp_path):
    (tmp_path / "empty.h5").touch()
    (tmp_path / "text.h5").write_text("not HDF5 at all, but a letter to the editor")
    whole = write_fixed(tmp_path / "whole.h5", MADE)
    (tmp_path / "cut.h5").write_bytes(whole.read_bytes()[:-1000])
    (tmp_path / "folder").mkdir()
    for path, message in (
        ("none.h5", "expected a file or folder, found none of this name"),
        ("empty.h5", "expected an HDF5 file, found an empty one"),
        ("text.h5", "expected an HDF5 file, found another format"),
        ("cut.h5", "found one cut short at .* copy it again"),
        ("folder", r"expected a folder with \*\.h5 files, found none in it"),
    ):
        with pytest.raises(InputError, match=rf"{path}: .*{message}"):
            open_showers(tmp_path / path)
    with pytest.raises(InputError, match="expected at least one file"):
        open_showers([])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    path = write_fixed(tmp_path / "a.h5", MADE)
    path.chmod(0)
    with pytest.raises(InputError, match="no permission"):
        open_showers(path)


def test_files_that_do_not_go_together(tmp_path):
    write_fixed(tmp_path / "a.h5", MADE)
    others = {
        "layout": GOOD | {"theta": MADE["theta"]},
        "grid": GOOD | {"ECAL": MADE["ecal"][:, :4]},
        "incident energies": {"ECAL": MADE["ecal"]},
    }
    for name, datasets in others.items():
        write_hdf5(tmp_path / "b.h5", **datasets)
        with pytest.raises(InputError, match=rf"b\.h5: expected the {name} of a\.h5"):
            open_showers([tmp_path / "a.h5", tmp_path / "b.h5"])


def test_cuts_that_leave_nothing_and_crops_outside(tmp_path):
    path = write_fixed(tmp_path / "a.h5", MADE)
    with pytest.raises(InputError, match="found none of 20 in 1 file"):
        open_showers(path, energy_window=(900, 1000))
    with pytest.raises(InputError, match="found none of 20"):
        open_showers(path, min_sum=1000)
    with pytest.raises(InputError, match=r"crop .*inside the 5 x 5 cells, found \(13, 38\)"):
        open_showers(path, crop=(13, 38))
    with pytest.raises(InputError, match=r"unit: expected auto, GeV, 0\.02 GeV, .* 'inch'"):
        open_showers(path, unit="inch")


def test_events_that_were_never_written_are_not_read_as_zeros(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        ecal = file.create_dataset("ECAL", (20, 5, 5, 4), "f4", chunks=(4, 5, 5, 4))
        ecal[:8] = MADE["ecal"][:8]
        file["target"] = TARGET
    with pytest.raises(InputError, match="'ECAL', found that some were never written"):
        open_showers(tmp_path / "a.h5")


def test_unknown_layouts_list_what_was_found(tmp_path):
    jets = write_hdf5(tmp_path / "jets.h5", X=np.ones(3), ygen=np.ones(3))
    with pytest.raises(InputError, match=r"jets\.h5: expected ECAL .* found X, ygen"):
        recognise(jets)
    calo = write_hdf5(tmp_path / "c.h5", incident_energies=np.ones((3, 1)), showers=np.ones((3, 9)))
    assert recognise(calo) == "calochallenge"
    assert recognise(write_fixed(tmp_path / "a.h5", MADE)) == "clic"


def pristine(folder, kind):
    path = folder / f"{kind}.h5"
    if not path.exists():
        if kind == "ours":
            with ShowerWriter(path, "fixed", 20) as writer:
                writer.write(MADE)
        else:
            write_fixed(path, MADE)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["published", "ours"])
def test_truncated_files_never_read_as_good(tmp_path, kind):
    """A cut anywhere is an error, unless the whole data come back."""
    whole = pristine(tmp_path, kind)
    path = tmp_path / "cut.h5"
    for length in np.linspace(0, len(whole) - 1, 200).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"^\S*cut\.h5: "):
            read_all(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["published", "ours"]), where=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_an_error_or_leaves_the_shape_alone(tmp_path, kind, where, bit):
    """Metadata and compressed cells show the damage; a bit of one bare number cannot."""
    damaged = bytearray(pristine(tmp_path, kind))
    damaged[int(where * (len(damaged) - 1))] ^= 1 << bit
    path = tmp_path / "flipped.h5"
    path.write_bytes(damaged)
    try:
        read = read_all(path)
    except InputError as error:
        assert re.fullmatch(rf"{path}: [^\n]+", str(error))  # noqa: PT017
        return
    np.testing.assert_array_equal(read["ecal"], MADE["ecal"])
    if "energy" in read:  # a flip in its name makes a file without incident energies
        assert (read["energy"] != MADE["energy"]).sum() <= 1
