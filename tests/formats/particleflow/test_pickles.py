"""Pickles of strangers: arrays come out, everything else is refused and nothing is ever run."""

import bz2
import collections
import functools
import operator
import os
import pickle
import re

import numpy as np
import pytest
from helpers.event_files import KEYS, events, lists, write_pickle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hepjax import InputError
from hepjax.formats.particleflow import pickles
from hepjax.formats.particleflow.pickles import describe

MADE = events()
GOOD = lists(MADE)


class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def read(path):
    file = describe(path)
    return file.read(0, len(file))


def raw(path, pickled):
    path.write_bytes(bz2.compress(pickled))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_come_back(tmp_path, protocol):
    read_back = read(write_pickle(tmp_path / "a.pkl.bz2", GOOD, protocol))
    np.testing.assert_array_equal(np.diff(read_back.first), [len(e["X"]) for e in MADE])
    for key in KEYS:
        stored = np.concatenate([e[key] for e in MADE])
        np.testing.assert_array_equal(getattr(read_back, key), stored)


def test_part_of_the_events(tmp_path):
    part = describe(write_pickle(tmp_path / "a.pkl.bz2", GOOD)).read(3, 5)
    np.testing.assert_array_equal(part.ygen, np.concatenate([e["ygen"] for e in MADE[3:5]]))
    assert part.first[0] == 0


def test_spellings_orders_and_types_of_older_numpy(tmp_path):
    """numpy.core for numpy._core, 0 and 1 for flags of the type, big-endian, Fortran order."""
    content = lists(MADE)
    content["X"] = [np.asfortranarray(x.astype(">f4")) for x in content["X"]]
    pickled = pickle.dumps(content, 2)
    assert pickled.count(b"numpy._core.multiarray") == 1
    assert b"\x89\x88\x87" in pickled  # False, True, tuple of 3
    older = pickled.replace(b"numpy._core.", b"numpy.core.").replace(b"\x89\x88\x87", b"K\0K\1\x87")
    read_back = read(raw(tmp_path / "a.pkl.bz2", older))
    np.testing.assert_array_equal(read_back.X, np.concatenate([e["X"] for e in MADE]))


CANARY = "touch {}/canary"
HOSTILE = {
    "os.system": lambda folder: Calls(os.system, CANARY.format(folder)),
    "eval": lambda folder: Calls(eval, f"open('{folder}/canary', 'w')"),
    "exec": lambda folder: Calls(exec, f"open('{folder}/canary', 'w')"),
    "open": lambda folder: Calls(open, f"{folder}/canary", "w"),
    "nested in a tuple": lambda folder: ("a", [Calls(os.system, CANARY.format(folder))]),
    "among the arrays": lambda folder: [GOOD["X"][0], Calls(os.system, CANARY.format(folder))],
    "as a shape": lambda folder: Calls(np.zeros, Calls(os.system, CANARY.format(folder))),
    "numpy.load": lambda folder: Calls(np.load, f"{folder}/canary.npy", None, True),
    "numpy.fromfile": lambda folder: Calls(np.fromfile, "/dev/zero"),
    "numpy.ndarray": lambda folder: Calls(np.ndarray, (2**40,)),
    "getattr": lambda folder: Calls(getattr, Calls(__import__, "os"), "system"),
    "attrgetter": lambda folder: operator.attrgetter("system"),
    "partial": lambda folder: functools.partial(os.system, CANARY.format(folder)),
    "defaultdict": lambda folder: collections.defaultdict(list),
    "numpy scalar": lambda folder: np.float64(1.0),
    "record array": lambda folder: np.zeros(3, [("a", "f8"), ("b", "i4")]),
    "objects": lambda folder: np.array([Calls(os.system, CANARY.format(folder))], dtype=object),
    "dates": lambda folder: np.array(["2021-02-24"], "M8[D]"),
    "texts": lambda folder: np.array(["a", "bc"]),
    "masked array": lambda folder: np.ma.masked_array([1.0, 2.0], [True, False]),
    "set": lambda folder: {1, 2},
    "class": lambda folder: Calls,
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_everything_but_arrays_is_refused(tmp_path, make, protocol):
    path = tmp_path / "hostile.pkl.bz2"
    for content in ({**GOOD, "more": make(tmp_path)}, make(tmp_path), [make(tmp_path)]):
        write_pickle(path, content, protocol)
        with pytest.raises(
            InputError, match=r"hostile\.pkl\.bz2: expected a pickle of arrays, found"
        ) as e:
            read(path)
        assert "\n" not in str(e.value)
        assert len(str(e.value)) < 300 + len(str(path))
    assert not (tmp_path / "canary").exists()


def arrays_with(tail):
    """A sound pickle with instructions before its end."""
    return pickle.dumps(GOOD, 4)[:-1] + tail + b"."


def text(string):
    return b"\x8c" + bytes([len(string)]) + string.encode()


HAND_MADE = {
    "name by text on the stack": text("posix") + text("system") + b"\x93",
    "name with dots": text("numpy") + text("dtype.type.mro") + b"\x93",
    "name of a nested module": text("numpy._core.multiarray") + text("os.system") + b"\x93",
    "allowed name in another module": text("os") + text("_reconstruct") + b"\x93",
    "call of text": text("eval") + text("1") + b"\x85R",
    "call of a list": b"](tR",
    "instance of a class": b"cnumpy\nndarray\n)\x81",
    "instance with keywords": b"cnumpy\nndarray\n)}\x92",
    "old instance": b"(inumpy\nndarray\n",
    "object": b"(cnumpy\nndarray\no",
    "persistent name": b"Pfile\n",
    "registered extension": b"\x82\x01",
    "attributes for a name": b"cnumpy\nndarray\n}" + text("a") + b"K\1sb",
    "attributes for a list": b"]}" + text("a") + b"K\1sb",
    "buffer of another process": b"\x97",
    "array of another class": (
        b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\0\x85C\1b\x87R"
    ),
    "array with a shape": (
        b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\xff\xff\xff\x7f\x85C\1b\x87R"
    ),
    "type by another name": b"cnumpy\ndtype\n" + text("O8") + b"\x89\x88\x87R",
    "type from a dictionary": b"cnumpy\ndtype\n}\x89\x88\x87R",
    "encoding to something else": b"c_codecs\nencode\n" + text("a") + text("rot13") + b"\x86R",
    "key that is a tuple": b"}()K\1u",
}  # fmt: skip


@pytest.mark.parametrize("tail", HAND_MADE.values(), ids=HAND_MADE)
def test_hand_made_instructions_are_refused(tmp_path, tail):
    with pytest.raises(InputError, match="expected a pickle of arrays, found"):
        read(raw(tmp_path / "a.pkl.bz2", arrays_with(tail)))


BOMBS = {
    "memo of 2**32 entries": b"]r\xff\xff\xff\xff",
    "memo index in decimals": b"]p99999999999999999999\n",
    "bytes of 2**60": b"\x8e" + (2**60).to_bytes(8, "little"),
    "byte array of 2**40": b"\x96" + (2**40).to_bytes(8, "little"),
    "text of 2**31": b"X\xff\xff\xff\x7f",
    "frame of 2**60": b"\x95" + (2**60).to_bytes(8, "little"),
    "long integer": b"\x8b\xff\xff\xff\x7f",
    "tuples in tuples as a key": b"})" + b"\x85" * 300_000 + b"K\1s",
    "pop of an empty stack": b"\x87\x87\x87",
    "no mark": b"t",
    "mark above the stack": b"((tt",
}


@pytest.mark.parametrize("tail", BOMBS.values(), ids=BOMBS)
def test_bombs_end_in_one_line(tmp_path, tail):
    with pytest.raises(InputError, match=r"a\.pkl\.bz2: expected [^\n]*$"):
        read(raw(tmp_path / "a.pkl.bz2", b"\x80\4" + tail + b"."))


def test_arrays_that_claim_more_than_their_bytes(tmp_path):
    pickled = pickle.dumps({"X": [np.zeros((3, 12))]}, 4)
    shape = b"K\x03K\x0c\x86"
    assert shape in pickled
    for other in (
        b"K\x04K\x0c\x86",
        b"J\xff\xff\xff\x7fK\x0c\x86",
        b"J\xff\xff\xff\xffK\x0c\x86",
        b"}K\x0c\x86",
    ):
        with pytest.raises(InputError, match=r"expected a (sound )?pickle"):
            read(raw(tmp_path / "a.pkl.bz2", pickled.replace(shape, other)))


def test_one_array_named_many_times_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_BYTES", 10**8)
    large = np.zeros((100_000, 12))
    pickled = pickle.dumps({"X": [large] * 2000}, 4)
    assert len(pickled) < 10**7
    with pytest.raises(InputError, match="found 19200000000 bytes of arrays"):
        read(raw(tmp_path / "a.pkl.bz2", pickled))
    encoding = (
        b"c_codecs\nencode\nq\0" + b"X\x40\x42\x0f\0" + b"a" * 10**6 + text("latin1") + b"\x86q\1R"
    )
    with pytest.raises(InputError, match="found too many bytes"):
        read(raw(tmp_path / "a.pkl.bz2", b"\x80\2" + encoding + b"h\0h\1R" * 1000 + b"."))


def test_too_many_instructions(tmp_path):
    with pytest.raises(InputError, match="more than 1000000 instructions"):
        read(raw(tmp_path / "a.pkl.bz2", b"\x80\4" + b"]" * 1_000_001 + b"."))


def test_a_decompression_bomb_stops_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_BYTES", 2**24)
    path = raw(tmp_path / "a.pkl.bz2", bytes(2**26))
    assert path.stat().st_size < 1000
    with pytest.raises(InputError, match="at most 16 MiB when decompressed, found more"):
        read(path)


def test_files_that_are_no_pickles(tmp_path):
    path = tmp_path / "a.pkl.bz2"
    for content, message in (
        (b"", "expected a whole bz2 file|expected a sound pickle"),
        (b"PK\x03\x04 an archive", "expected a readable bz2 file, found no bz2 file"),
        (bz2.compress(b"a letter to the editor"), "expected a"),
        (bz2.compress(b""), "expected a sound pickle"),
        (bz2.compress(pickle.dumps([1, 2])), "found a list in place of a dictionary"),
        (bz2.compress(pickle.dumps({"X": 3})), "a list of arrays 'X', found none"),
        (bz2.compress(pickle.dumps({"X": [], "ygen": [], "ycand": []})), "expected events"),
        (bz2.compress(pickle.dumps(GOOD | {"ygen": GOOD["ygen"][1:]})), "'ygen': 8, 'ycand': 9"),
        (bz2.compress(pickle.dumps(GOOD | {"X": GOOD["ygen"]})), r"12 columns in 'X', .* event 0"),
        (bz2.compress(pickle.dumps(GOOD | {"ycand": GOOD["ycand"][::-1]})), "as many rows in"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"a\.pkl\.bz2: .*({message})"):
            read(path)


def test_cut_files_never_read_as_good(tmp_path):
    path = write_pickle(tmp_path / "a.pkl.bz2", GOOD)
    whole = path.read_bytes()
    pickled = bz2.decompress(whole)
    for length in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"^\S*a\.pkl\.bz2: "):
            read(path)
    for length in np.linspace(0, len(pickled) - 1, 100).astype(int):
        with pytest.raises(InputError, match=r"^\S*a\.pkl\.bz2: "):
            read(raw(path, pickled[:length]))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    protocol=st.sampled_from([0, 2, 4, 5]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_changed_bytes_are_an_error_or_other_numbers(tmp_path, protocol, changes):
    damaged = bytearray(pickle.dumps(lists(MADE[:2]), protocol))
    for where, byte in changes:
        damaged[int(where * (len(damaged) - 1))] = byte
    try:
        read_back = read(raw(tmp_path / "a.pkl.bz2", bytes(damaged)))
    except InputError as error:
        assert re.fullmatch(r"\S*a\.pkl\.bz2: [^\n]+", str(error))  # noqa: PT017
        return
    assert read_back.X.shape[1] == 12
    assert len(read_back.X) == len(read_back.ygen) == len(read_back.ycand) == read_back.first[-1]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([bytes([b]) for b in b"(]})NK\1\x85\x86\x87\x94q\0h\0RbascutdelJ\x93\x8c"]),
        max_size=60,
    )
)
def test_any_instructions_end(tmp_path, instructions):
    """No sequence of instructions gives anything but an error without arrays to begin with."""
    with pytest.raises(InputError):
        read(raw(tmp_path / "a.pkl.bz2", b"\x80\4" + b"".join(instructions) + b"."))
