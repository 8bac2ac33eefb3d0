"""Collectives read from the text of compiled programs, in the spellings of several compilers."""

import pytest

from benchmarks.scaling.collectives import collectives, overlap

SUM = """
ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %all-reduce.1 = (f32[], f32[4,2]{1,0}) all-reduce(%b, %c), channel_id=1, GROUPS, to_apply=%add
  ROOT %gte = f32[4,2]{1,0} get-tuple-element(%all-reduce.1), index=1
}
"""


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("replica_groups={{0,1,2,3},{4,5,6,7}}", 4),
        ("replica_groups=[4,2]<=[8]", 2),
        ("replica_groups={}", 8),
        ("replica_groups=mesh['x'=4,'y'=2] {'x'}", 4),
        ("replica_groups=mesh['x'=4,'y'=2] {'x','y'}", 8),
    ],
)
def test_sum_over_groups(groups, size):
    (found,) = collectives(SUM.replace("GROUPS", groups), 8)
    assert (found.kind, found.group, found.payload) == ("all-reduce", size, 4 + 32)
    assert found.sent == pytest.approx(2 * 36 * (size - 1) / size)
    assert found.overlapped is None


def test_groups_of_one_move_nothing():
    assert collectives(SUM.replace("GROUPS", "replica_groups={{0},{1}}"), 2) == []


def test_gather_scatter_and_halo():
    text = """
ENTRY %main () -> f32[8] {
  %ag = bf16[64,3]{1,0:T(8,128)} all-gather(%x), replica_groups=[1,4]<=[4], dimensions={0}
  %rs = f32[16]{0} reduce-scatter(%y), replica_groups=[1,4]<=[4], to_apply=%add
  %cp = f32[5]{0} collective-permute(%z), source_target_pairs={{0,1},{1,2}}
  %aa = (f32[2]{0}, f32[2]{0}) all-to-all(%u, %v), replica_groups=[2,2]<=[4]
}
"""
    sent = {c.kind: c.sent for c in collectives(text, 4)}
    assert sent == {
        "all-gather": 64 * 3 * 2 * 3 / 4,
        "reduce-scatter": 16 * 4 * 4 * 3 / 4,
        "collective-permute": 20,
        "all-to-all": 16 / 2,
    }


STARTED = """
ENTRY %main () -> f32[1024] {
  %ar = f32[1024]{0} all-reduce-start(%g), replica_groups=[1,4]<=[4], to_apply=%add
  %f = f32[8]{0} fusion(%q), kind=kLoop, calls=%fused
  %c = f32[8]{0} convolution(%f, %w), window={size=3}
  %done = f32[1024]{0} all-reduce-done(%ar)
  %ag = (f32[2]{0}, f32[8]{0}) all-gather-start(%done), replica_groups=[1,4]<=[4]
  %agd = f32[8]{0} all-gather-done(%ag)
}
"""


def test_overlap_is_computation_between_start_and_end():
    reduced, gathered = collectives(STARTED, 4)
    assert reduced.overlapped == 2
    assert gathered.overlapped == 0
    assert gathered.payload == 32
    assert overlap([reduced, gathered]) == pytest.approx(
        reduced.sent / (reduced.sent + gathered.sent)
    )


def test_asynchronous_wrapper_and_fused_scatter():
    text = """
%all-reduce-scatter.1 (p: f32[16]) -> f32[4] {
  %ar = f32[16]{0} all-reduce(%p), replica_groups=[1,4]<=[4], to_apply=%add
}
%wrapped (p: f32[8]) -> f32[8] {
  ROOT %inner = f32[8]{0} all-reduce(%p), replica_groups=[1,4]<=[4], to_apply=%add
}
ENTRY %main () -> f32[8] {
  %s = ((f32[8]), f32[8], u32[]) async-start(%p), calls=%wrapped
  %f = f32[8]{0} fusion(%q), kind=kLoop, calls=%fused
  %d = f32[8]{0} async-done(%s)
  %fs = f32[4]{0} fusion(%g), kind=kCustom, calls=%all-reduce-scatter.1
}
"""
    scattered, wrapped = collectives(text, 4)
    assert (scattered.kind, scattered.sent) == ("reduce-scatter", 16 * 4 * 3 / 4)
    assert wrapped.overlapped == 1


def test_a_sum_carried_on_beside_computation_is_one_sum():
    """As the compiler for TPUs writes it with ``ahead.py --overlap``."""
    text = """
%fused_computation.1 (p: f32[8]) -> (f32[8], u32[]) {
  %ar.1 = f32[8]{0} all-reduce(%p), channel_id=6, replica_groups=[1,4]<=[4], to_apply=%add
  ROOT %cc.1 = (f32[8]{0}, u32[]) custom-call(%ar.1), custom_call_target="AsyncCollectiveStart"
}
%async_collective_fusion.1 (p: f32[8], x: f32[8]) -> (f32[8], f32[8]) {
  %conv = f32[8]{0} convolution(%x, %w), window={size=3}
  %ar.2 = f32[8]{0} all-reduce(%p), channel_id=6, replica_groups=[1,4]<=[4], to_apply=%add
}
%fused_computation.2 (p: f32[8]) -> f32[8] {
  %ar.3 = f32[8]{0} all-reduce(%p), channel_id=6, replica_groups=[1,4]<=[4], to_apply=%add
  ROOT %cc.2 = f32[8]{0} custom-call(%ar.3), custom_call_target="AsyncCollectiveDone"
}
ENTRY %main () -> f32[8] {
  ROOT %last = f32[8]{0} all-reduce(%h), channel_id=7, replica_groups=[1,4]<=[4], to_apply=%add
}
"""
    assert [(c.name, c.overlapped) for c in collectives(text, 4)] == [("ar.1", 1), ("last", None)]
    assert overlap(collectives(text, 4)) == 0.5


def test_a_loop_counts_as_often_as_it_runs():
    text = """
%add (x: f32[], y: f32[]) -> f32[] {
  ROOT %s = f32[] add(%x, %y)
}
%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %in = f32[8]{0} all-reduce(%g), replica_groups=[1,4]<=[4], to_apply=%add
}
%condition (p: (s32[], f32[8])) -> pred[] {
  ROOT %less = pred[] compare(%i, %n), direction=LT
}
ENTRY %main () -> f32[8] {
  %w = (s32[], f32[8]{0}) while(%t), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"6"}}
  ROOT %once = f32[8]{0} all-reduce(%h), replica_groups=[1,4]<=[4], to_apply=%add
}
"""  # noqa: E501
    assert [(c.name, c.times) for c in collectives(text, 4)] == [("in", 6), ("once", 1)]
