"""Embedding and condensation: losses by hand, tracks of points, and stages one after the other."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

from hepjax import InputError
from hepjax.cli import main
from hepjax.formats.tracking.event import Event
from hepjax.physics.tracking.graph import near, places, true_pairs
from hepjax.simulate.hits.events import simulate_event
from hepjax.workloads.tracking import condensation, embedding
from hepjax.workloads.tracking.config import DataConfig, ModelConfig, TrackingConfig

KEY = jax.random.key(0)
loss, counts = (jax.jit(f, static_argnums=0) for f in (embedding.loss, embedding.counts))
CFG = TrackingConfig(model=ModelConfig(kind="embedding", dimensions=2, radius=1.0))


def batch(**changed):
    """Three hits of particle 1 on layers 0, 1, 2, one of particle 2, one of noise, one padded."""
    fields = {
        "particle": [1, 1, 1, 2, 0, 0], "place": [0, 1, 2, 3, -1, -1],
        "surface": [0, 1, 2, 1, 0, 0], "counts": [True, True, True, False, False, False],
    } | changed  # fmt: skip
    return {k: jnp.array([v]) for k, v in fields.items()} | {"hits": jnp.array([5])}


POINTS = jnp.array([[[0.0, 0.0], [0.5, 0.0], [2.0, 0.0], [0.0, 0.6], [0.0, 9.0], [0.0, 0.0]]])


def test_the_loss_of_an_embedding_by_hand():
    # Wanted: 0-1 at 0.5, 1-2 at 1.5, each seen from both ends. Others within 1 on other layers: 0-3
    # at 0.6, while 1-3 are on one layer; 0 and 2 are of one particle but do not follow each other.
    wanted = 2 * (0.5**2 + 1.5**2) / 4
    hinge = 2 * (1 - 0.6**2) / 4
    assert loss(CFG, POINTS, batch(), KEY).tolist() == pytest.approx([wanted + hinge])
    narrow = replace(
        CFG, model=replace(CFG.model, radius=0.7),
        objective=replace(CFG.objective, weight_false=0.2),
    )  # fmt: skip
    hinge = 2 * (1 - 0.6**2 / 0.7**2) / 4
    found = loss(narrow, POINTS, batch(), KEY)
    assert found.tolist() == pytest.approx([wanted / 0.7**2 + 0.2 * hinge])


def test_what_lies_within_the_radius_is_counted():
    found = {k: int(v[0]) for k, v in counts(CFG, POINTS, batch(), KEY).items()}
    assert found == {"kept": 4, "right": 2, "found": 2, "wanted": 4}


def test_soft_particles_are_neither_wanted_nor_false():
    points = POINTS.at[0, 2].set(jnp.array([0.4, 0.0]))
    found = counts(CFG, points, batch(counts=[False] * 6), KEY)
    assert (int(found["wanted"][0]), int(found["right"][0])) == (0, 4)
    # 0-1 and 1-2 lie near each other without a loss; 0-2 do not follow each other, and 0-3, 2-3.
    hinge = [1 - 0.4**2, 1 - 0.6**2, 1 - 0.4**2 - 0.6**2]
    assert loss(CFG, points, batch(counts=[False] * 6), KEY).tolist() == pytest.approx(
        [2 * sum(hinge)]
    )


def test_some_hits_are_drawn():
    cfg = replace(CFG, objective=replace(CFG.objective, queries=2))
    drawn = jax.eval_shape(partial(embedding.compared, cfg), POINTS, batch(), KEY)
    assert drawn.square.shape == (1, 2, 6)
    losses = {float(loss(cfg, POINTS, batch(), jax.random.key(k))[0]) for k in range(8)}
    assert len(losses) > 1


def test_pairs_of_near_points_go_outwards():
    xyz = np.array([[72, 0, 0], [32, 0, 0], [33, 0, 0], [116, 0, 0]], np.float32)
    event = Event(xyz, np.array([1, 0, 0, 2]), np.ones(4, int))
    points = np.array([[0.0], [0.1], [0.1], [5.0]])
    assert sorted(near(event, points, 0.5).tolist()) == [[1, 0], [2, 0]]


def test_places_tell_which_hits_follow_each_other():
    event = simulate_event(40, 2)
    place, pairs = places(event), true_pairs(event)
    assert (place[pairs[:, 1]] - place[pairs[:, 0]] == 1).all()
    same = event.particle[:, None] == event.particle
    follows = same & (event.particle > 0) & (place - place[:, None] == 1)
    assert follows.sum() == len(pairs)
    assert (place[event.particle == 0] == -1).all()


def by_loops(beta, points, particle, hits):
    """The loss of Kieser's paper, hit by hit."""
    charge = np.arctanh(beta) ** 2 + condensation.LEAST
    names = sorted(set(particle[:hits]) - {0})
    attraction = repulsion = coward = members = 0.0
    for name in names:
        own = [i for i in range(hits) if particle[i] == name]
        peak = max(own, key=lambda i: beta[i])
        coward += (1 - beta[peak]) / len(names)
        members += len(own)
        for i in range(hits):
            distance = np.linalg.norm(points[i] - points[peak])
            if i in own:
                attraction += charge[i] * charge[peak] * distance**2
            else:
                repulsion += charge[i] * charge[peak] * max(0.0, 1 - distance)
    noise = [beta[i] for i in range(hits) if particle[i] == 0]
    return attraction / members + repulsion / (len(names) * hits) + coward + np.mean(noise)


def test_the_loss_of_a_condensation_is_that_of_the_paper():
    rng = np.random.default_rng(1)
    made = rng.normal(size=(1, 6, 3)).astype(np.float32)
    cfg = replace(CFG, model=replace(CFG.model, kind="condensation"))
    events = batch(counts=[True] * 4 + [False] * 2)
    found = jax.jit(jax.value_and_grad(lambda x: condensation.loss(cfg, x, events, KEY)[0]))
    value, gradient = found(jnp.array(made))
    beta = 1 / (1 + np.exp(-made[0, :, 0].astype(float)))
    expected = by_loops(beta, made[0, :, 1:].astype(float), [1, 1, 1, 2, 0, 0], 5)
    assert float(value) == pytest.approx(expected, rel=1e-4)
    step = 1e-2 * np.eye(18).reshape(18, 1, 6, 3)[4]
    slope = (found(made + step)[0] - found(made - step)[0]) / 2e-2
    assert float(gradient[0, 1, 1]) == pytest.approx(float(slope), rel=0.02)
    assert np.isfinite(found(jnp.zeros((1, 6, 3)))[1]).all()  # all points in one place


def test_tracks_of_points():
    points = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [9.0], [9.1]])
    beta = np.array([0.9, 0.1, 0.8, 0.2, 0.7, 0.1, 0.9, 0.1])
    found = condensation.tracks(beta, points, 0.5, 0.5)
    assert found.tolist() == [0, 0, 0, 1, 1, 1, -1, -1]  # two hits are no track
    assert (condensation.tracks(beta, points, 0.95, 0.5) == -1).all()


@pytest.mark.slow
def test_stages_one_after_the_other(tmp_path, capsys):
    hits = tmp_path / "hits"
    assert main(["simulate", "hits", "--events", "4", "--particles", "20", "--out", str(hits),
                 "--format", "packed", "--quiet"]) == 0  # fmt: skip
    small = [f"data.files=[{hits}]", "data.hits=[512]", "data.edges=[65536]", "train.epochs=1",
             "data.validation_fraction=0.25", "model.hidden=8", "model.layers=2"]  # fmt: skip

    def train(config, *words):
        run = tmp_path / config
        made = main(["train", f"tracking/{config}", *small, *words, "--run", str(run), "--quiet"])
        assert made == 0, capsys.readouterr().err
        capsys.readouterr()
        assert main(["evaluate", str(run), "--json", "--quiet"]) == 0
        return run, json.loads(capsys.readouterr().out)

    first, graph = train("embedding", "model.radius=0.3")
    second, kept = train("filter", f"data.graph={first}", "tracks.cut=0.3")
    _, found = train("demo", f"data.graph={second}", "model.steps=1")
    # Each stage sees what the one before it left: of all true edges fewer and fewer.
    whole, share = graph["edge_efficiency"], kept["edge_efficiency"]
    assert 1 >= whole >= share >= found["edge_efficiency"] >= 0
    assert kept["graph_purity"] == pytest.approx(graph["graph_purity"])
    assert found["edge_efficiency_in_graph"] * share == pytest.approx(found["edge_efficiency"])
    out = tmp_path / "points.parquet"
    assert main(["predict", str(first), "--data", str(hits), "--out", str(out), "--quiet"]) == 0
    refused = main(["train", "tracking/filter", *small, f"data.graph={tmp_path / 'demo'}",
                    "--run", str(tmp_path / "no"), "--quiet"])  # fmt: skip
    assert refused == 2
    assert "expected a run of tracking with model.kind=embedding" in capsys.readouterr().err


@pytest.mark.slow
def test_a_condensation_from_hits_to_the_report(tmp_path, capsys):
    hits, run, out = (tmp_path / name for name in ("hits", "run", "tracks.parquet"))
    words = ["--events", "4", "--particles", "20", "--out", str(hits), "--quiet"]
    assert main(["simulate", "hits", *words]) == 0
    small = [f"data.files=[{hits}]", "data.hits=[512]", "data.edges=[2048]", "train.epochs=2",
             "data.validation_fraction=0.25", "model.hidden=8", "model.steps=1",
             "tracks.cut=0.0"]  # fmt: skip
    assert main(["train", "tracking/condensation", *small, "--run", str(run), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", "--quiet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["tracks"] > 0
    assert 0 <= scores["double_majority"] <= 1
    assert main(["predict", str(run), "--data", str(hits), "--out", str(out), "--quiet"]) == 0
    assert set(pq.read_table(out)["track"].to_pylist()) > {0}


def test_an_embedding_takes_no_graph():
    with pytest.raises(InputError, match=r"data.graph: expected none with model.kind=embedding"):
        replace(CFG, data=DataConfig(graph="runs/filter"))
