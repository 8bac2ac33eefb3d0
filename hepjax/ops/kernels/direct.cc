// Direct convolution in float on vector registers, compiled once for each instruction set.
//
// forward, "lanes": the lanes of a vector are (neighbouring outputs along the row, output channel).
// Several outputs share a vector where the channels alone would leave lanes empty; their kernel is
// a band matrix. A block of MxN vectors stays in registers while all taps and channels stream past.
// forward, "dot": for very few output channels the lanes are the products of one output.
// kernel_gradient: lanes are the run of (tap, channel) along a row, or the output channels.
//
// HEPJAX_PAIRS: the same in bfloat16, by the processor's dot products of pairs (direct_units.h).
//
// An output is summed in an order that depends on shapes alone, never on threads or batch.
#ifdef HEPJAX_PAIRS
#include <immintrin.h>
#endif

#include "common.h"

#ifndef HEPJAX_LANES
#error "set HEPJAX_LANES (floats in a vector), HEPJAX_REGISTERS and HEPJAX_SET"
#endif

namespace hepjax {
namespace {

constexpr int V = HEPJAX_LANES;
constexpr int kAccumulators = HEPJAX_REGISTERS == 32 ? 28 : 12;
constexpr int kMaxVectors = 4;
constexpr int kMaxChannelsDot = 2;
constexpr int64_t kKernelBytes = 512 << 10;  // of a packed kernel that stays in the second cache
constexpr int64_t kStripBytes = 32 << 10;    // of rows at work, in the first cache
constexpr int kGroups = 16;  // partial kernel gradients; fixed, so that sums do not depend on threads

typedef float vec __attribute__((vector_size(V * 4)));

}  // namespace
}  // namespace hepjax

#include "direct_units.h"
#include "direct_lanes.h"
#include "direct_dot.h"
#include "direct_gradient.h"

namespace hepjax {
namespace {

template <typename T>
bool forward_of(const Conv& c, const void* x, const void* w, void* y, const Runner& runner) {
  const T *xt = static_cast<const T*>(x), *wt = static_cast<const T*>(w);
  const bool dot = c.c_out <= kMaxChannelsDot && c.kernel[2] * c.c_in >= V / 2;
  return (dot ? forward_dot<T> : forward_lanes<T>)(c, xt, wt, static_cast<T*>(y), runner);
}

#ifdef HEPJAX_PAIRS

bool forward(const Conv& c, const void* x, const void* w, void* y, const Runner& runner) {
  return c.bf16 ? forward_of<bfloat>(c, x, w, y, runner) : avx512_kernels()->forward(c, x, w, y, runner);
}

bool kernel_gradient(const Conv& c, const void* x, const void* dy, void* dw, const Runner& runner) {
  return c.bf16 ? kernel_gradient_of<bfloat>(c, x, dy, dw, runner)
                : avx512_kernels()->kernel_gradient(c, x, dy, dw, runner);
}

bool supported() { return HEPJAX_SUPPORTED && avx512_kernels(); }

#else

bool forward(const Conv& c, const void* x, const void* w, void* y, const Runner& runner) {
  return (c.bf16 ? forward_of<bfloat> : forward_of<float>)(c, x, w, y, runner);
}

bool kernel_gradient(const Conv& c, const void* x, const void* dy, void* dw, const Runner& runner) {
  return (c.bf16 ? kernel_gradient_of<bfloat> : kernel_gradient_of<float>)(c, x, dy, dw, runner);
}

bool supported() { return HEPJAX_SUPPORTED; }

#endif

}  // namespace

const Kernels* HEPJAX_SET() {
  static const Kernels kernels = {HEPJAX_NAME, forward, kernel_gradient};
  return supported() ? &kernels : nullptr;
}

}  // namespace hepjax
