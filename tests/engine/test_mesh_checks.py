"""Devices that do not divide and layouts that do not fit the model: each names the setting."""

import jax
import jax.numpy as jnp
import pytest

from hepjax import InputError
from hepjax.engine.config import MeshConfig, RunConfig
from hepjax.engine.mesh import make_mesh, state_shardings
from hepjax.engine.mesh_checks import require_equal_shares, require_fit
from hepjax.engine.rundir import require_shared


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"devices": 9}, "mesh.devices: expected at most 8"),
        ({"devices": 5}, "train.batch_size: expected a multiple of the 5 devices"),
        ({"devices": 8, "layout": "channel", "model_devices": 3}, "mesh.model_devices: .* divisor"),
        ({"devices": 6, "layout": "hybrid", "model_devices": 3}, "mesh.model_devices: .*process"),
        ({"layout": "fsdp", "model_devices": 2}, "mesh.model_devices: .*mesh.layout=fsdp"),
        ({"layout": "spatial", "program": "explicit"}, "mesh.layout: expected replicated"),
        ({"batch_norm": "local"}, "mesh.batch_norm: expected global"),
        ({"overlap": True}, "mesh.overlap: expected false, as the devices here .* cpu"),
        ({"devices": -1}, "mesh.devices: expected 0 or more"),
    ],
)
def test_devices_that_do_not_divide(settings, named):
    with pytest.raises(InputError, match=named):
        make_mesh(RunConfig(mesh=MeshConfig(**settings)).mesh, batch_size=8)


@pytest.mark.parametrize(
    ("layout", "devices", "model_devices", "shape"),
    [("fsdp", 8, 1, (49, 49)), ("channel", 8, 4, (64, 30)), ("hybrid", 8, 4, (51, 49))],
)
def test_a_layout_that_spreads_nothing(layout, devices, model_devices, shape):
    cfg = MeshConfig(layout, devices=devices, model_devices=model_devices)
    mesh = make_mesh(cfg, batch_size=8)

    def check(*shapes):
        abstract = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        require_fit(cfg, mesh, abstract, state_shardings(cfg, mesh, abstract))

    with pytest.raises(InputError, match=rf"^mesh.layout: expected .* for {layout}, found arrays"):
        check(shape, (3,))
    check(shape, (64, 64))  # one that divides is enough
    check((3,))  # small arrays are copied on purpose


def test_processes_have_equal_shares(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    require_equal_shares([0, 0, 1, 1])
    for uneven in ([0, 0, 1], [0, 0], [1]):
        with pytest.raises(InputError, match=r"^mesh.devices: expected as many devices of each"):
            require_equal_shares(uneven)


def test_a_run_directory_of_one_process_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match="--run: expected a folder that all processes see"):
        require_shared(tmp_path)
    (tmp_path / "config.yaml").write_text("workload: gan3d")
    require_shared(tmp_path)
