"""Operations of compiled programs: what is in them, and which class they are of."""

import re

import jax
import jax.numpy as jnp
import pytest

from hepjax.bench.operations import (
    CLASSES,
    CONVOLUTIONS,
    INPUT,
    LAYOUT,
    PRODUCTS,
    REST,
    SUMS,
    Operation,
    by_kernel,
    classify,
    operations,
)

GPU = """
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[8,8]{1,0})->f32[8,8]{1,0}}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add.1 = f32[] add(%a, %b)
}

%fused_transpose (p0: bf16[8,8]) -> f32[8,8] {
  %p0 = bf16[8,8]{1,0} parameter(0)
  %t = bf16[8,8]{1,0:T(8,128)} transpose(%p0), dimensions={1,0}
  ROOT %c = f32[8,8]{1,0} convert(%t)
}

%scaled_transpose (p0: f32[8,8]) -> f32[8,8] {
  %p0.1 = f32[8,8]{1,0} parameter(0)
  %t.1 = f32[8,8]{0,1} transpose(%p0.1), dimensions={1,0}
  ROOT %m = f32[8,8]{1,0} multiply(%t.1, %t.1)
}

%gemm_fusion_dot_computation (q: f32[8,8]) -> f32[8,8] {
  %q = f32[8,8]{1,0} parameter(0)
  ROOT %dot.1 = f32[8,8]{1,0} dot(%q, %q), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%body (s: (s32[], f32[8,8])) -> (s32[], f32[8,8]) {
  %s = (s32[], f32[8,8]{1,0}) parameter(0)
  %g = f32[8,8]{1,0} get-tuple-element(%s), index=1
  %i = s32[] get-tuple-element(%s), index=0
  %inner = f32[8,8]{1,0} fusion(%g), kind=kCustom, calls=%gemm_fusion_dot_computation
  ROOT %r = (s32[], f32[8,8]{1,0}) tuple(%i, %inner)
}

%cond (s2: (s32[], f32[8,8])) -> pred[] {
  %s2 = (s32[], f32[8,8]{1,0}) parameter(0)
  ROOT %p = pred[] constant(true)
}

ENTRY %main (x: f32[8,8]) -> f32[8,8] {
  %x = f32[8,8]{1,0} parameter(0)
  %cudnn-conv.3 = (f32[8,8]{1,0}, u8[0]{0}) custom-call(%x, %x), CUDNN
  %gemm_fusion_dot.7 = f32[8,8]{1,0} fusion(%x), kind=kCustom, TRITON
  %cublas-gemm.1 = f32[8,8]{1,0} custom-call(%x, %x), custom_call_target="__cublas$gemm"
  %loop_transpose_fusion = f32[8,8]{1,0} fusion(%x), kind=kLoop, calls=%fused_transpose
  %loop_multiply_fusion.2 = f32[8,8]{1,0} fusion(%x), kind=kLoop, calls=%scaled_transpose
  %all-reduce-start.1 = f32[8,8]{1,0} all-reduce-start(%x), replica_groups={{0,1}}, to_apply=%add
  %reduce.4 = f32[8]{0} reduce(%x, %x), dimensions={1}, to_apply=%add
  %bitcast-convert.9 = s32[8,8]{1,0} bitcast-convert(%x)
  %topk.2 = f32[8]{0} custom-call(%x), custom_call_target="__gpu$TopK"
  ROOT %while.5 = (s32[], f32[8,8]{1,0}) while(%x), condition=%cond, body=%body
}
""".replace(
    "CUDNN",
    'custom_call_target="__cudnn$convForward", '
    'metadata={op_name="jit(step)/jvp(Net)/Conv_0/conv_general_dilated"}',
).replace(
    "TRITON",
    "calls=%gemm_fusion_dot_computation, "
    'backend_config={"fusion_backend_config":{"kind":"__triton_gemm"}}',
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cudnn-conv.3", CONVOLUTIONS),
        ("gemm_fusion_dot.7", PRODUCTS),
        ("cublas-gemm.1", PRODUCTS),
        ("loop_transpose_fusion", LAYOUT),
        ("loop_multiply_fusion.2", REST),
        ("all-reduce-start.1", SUMS),
        ("reduce.4", REST),
        ("bitcast-convert.9", REST),
        ("topk.2", REST),
        ("while.5", PRODUCTS),
        ("t", LAYOUT),
    ],
)
def test_a_program_for_a_gpu(name, kind):
    known = operations(GPU)
    assert classify(name, known[name]) == kind


def test_what_is_in_a_loop_and_where_an_operation_comes_from():
    known = operations(GPU)
    assert known["while.5"].opcode == "while"
    assert {"dot", "fusion", "tuple"} <= known["while.5"].inside
    assert known["cudnn-conv.3"].source == "jit(step)/jvp(Net)/Conv_0/conv_general_dilated"
    assert known["reduce.4"].source == ""
    assert by_kernel(known)["gemm_fusion_dot_7"] == "gemm_fusion_dot.7"


def test_a_text_with_a_cycle_ends():
    text = "%a (p: f32[]) -> f32[] {\n  %x = f32[] call(%p), to_apply=%a\n}\n"
    assert operations(text)["x"].inside == {"call"}


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("MemcpyH2D", INPUT),
        ("MemcpyD2D", LAYOUT),
        ("ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)", SUMS),
        ("void cudnn::ops::nchwToNhwcKernel<__nv_bfloat16>(...)", LAYOUT),
        ("sm80_xmma_dgrad_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", CONVOLUTIONS),
        ("void cutlass__5x_cudnn::Kernel<cutlass_tensorop_bf16_s16816fprop>", CONVOLUTIONS),
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NNT_gemm", PRODUCTS),
        ("gemm_fusion_dot_12", PRODUCTS),
        ("ampere_sgemm_128x64_nn", PRODUCTS),
        ("loop_add_fusion_3", REST),
        ("loop_convert_fusion", REST),
        ("input_reduce_fusion_7", REST),
        ("MemsetD32", REST),
    ],
)  # fmt: skip
def test_kernels_of_an_unknown_operation_go_by_their_names(kernel, kind):
    assert classify(kernel) == kind


def test_a_library_converts_layouts_for_its_convolutions():
    convolution = operations(GPU)["cudnn-conv.3"]
    assert classify("void cudnn::ops::nchwToNhwcKernel<float>(...)", convolution) == LAYOUT
    assert classify("sm90_xmma_fprop_implicit_gemm_tf32", convolution) == CONVOLUTIONS
    # Kernels of XLA itself are what is in them, whatever they are called.
    assert classify("transpose_fusion", Operation("fusion", frozenset({"fusion", "add"}))) == REST


def test_programs_of_this_jax():
    """The text that the installed jax writes is read."""

    @jax.jit
    def step(x, kernel, w):
        y = jax.lax.conv_general_dilated(x, kernel, (1,), "SAME")
        return jnp.tanh(y.reshape(len(y), -1) @ w).sum()

    x = jnp.ones((4, 3, 64))
    text = step.lower(x, jnp.ones((5, 3, 7)), jnp.ones((5 * 64, 32))).compile().as_text()
    known = operations(text)
    names = set(re.findall(r"([\w.\-]+) = ", text))
    assert known.keys() <= names
    assert len(known) > 0.9 * len(names)
    found = {classify(name, operation) for name, operation in known.items()}
    assert {CONVOLUTIONS, PRODUCTS, REST} <= found <= set(CLASSES)
    assert any("dot_general" in operation.source for operation in known.values())
