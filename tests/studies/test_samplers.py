"""Parameters lie in the space, depend on seed and trials alone, and approach the best."""

import pytest

from hepjax import InputError, MissingExtraError
from hepjax.studies import samplers, space
from hepjax.studies.space import Axis
from hepjax.studies.study import Stage, Study, Trial

AXES = (
    Axis("rate", 1e-4, 1.0, log=True), Axis("size", 4, 64, step=4, whole=True),
    Axis("kind", choice=("a", "b", [1, 2])),
)  # fmt: skip


def study(tmp_path, sampler, axes=AXES, seed=0):
    return Study(tmp_path, "toy", {}, space.to_json(axes), sampler=sampler, seed=seed)


def complete(number, params, score):
    result = {"status": "complete", "score": score, "curve": [score]}
    return Trial(number, params, (Stage(result, 1, 0),))


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "grid"])
def test_parameters_lie_in_the_space_and_come_again(tmp_path, sampler):
    if sampler in ("tpe", "cmaes"):
        pytest.importorskip({"tpe": "optuna"}.get(sampler, sampler))
    trials, one = [], study(tmp_path, sampler)
    for number in range(14):
        params = samplers.propose(one, trials, number)
        assert 1e-4 <= params["rate"] <= 1.0
        assert params["size"] in range(4, 65, 4)
        assert params["kind"] in AXES[2].choice
        assert samplers.propose(one, trials, number) == params
        trials.append(complete(number, params, params["rate"]))
    assert len({str(t.params) for t in trials}) > 10


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_search_comes_nearer_than_chance(tmp_path, sampler):
    pytest.importorskip({"tpe": "optuna"}.get(sampler, sampler))
    axes = (Axis("x", -1.0, 1.0), Axis("y", -1.0, 1.0))

    def best(name):
        trials, one = [], study(tmp_path, name, axes)
        for number in range(60):
            p = samplers.propose(one, trials, number)
            trials.append(complete(number, p, (p["x"] - 0.3) ** 2 + (p["y"] + 0.4) ** 2))
        late = sorted(t.score for t in trials[-20:])
        return late[10]

    assert best(sampler) < 0.3 * best("random")


def test_all_states_are_told_to_optuna(tmp_path):
    pytest.importorskip("optuna")
    params = {"rate": 0.1, "size": 8, "kind": [1, 2]}
    trials = [
        complete(0, params, 0.5),
        Trial(1, params, (Stage({"status": "failed", "reason": "nan"}, 1, 0),)),
        Trial(2, params, (Stage(None, 1, 0),)),
        Trial(3, params, (Stage({"status": "stopped", "score": 1.0, "curve": [1.0, None]}, 1, 0),)),
        Trial(4, None, ()),
    ]
    made = samplers.as_optuna(AXES, trials).trials
    assert [t.state.name for t in made] == ["COMPLETE", "PRUNED", "RUNNING", "PRUNED"]
    assert made[0].params["kind"] == 2
    assert made[3].intermediate_values == {1: 1.0}
    assert made[1].intermediate_values == {}


def test_cmaes_needs_two_settings(tmp_path):
    pytest.importorskip("cmaes")
    with pytest.raises(InputError, match="--sampler: expected tpe"):
        samplers.propose(study(tmp_path, "cmaes", AXES[:1]), [], 0)


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hepjax\[studies\]'"):
        samplers.require_sampler("tpe")


def test_seeds_follow_that_of_the_configuration(tmp_path):
    one = Study(tmp_path, "toy", {"train": {"seed": 7}}, sampler="seeds")
    assert [samplers.propose(one, [], k) for k in range(2)] == [
        {"train.seed": 7},
        {"train.seed": 8},
    ]
    assert samplers.limit(one) is None
