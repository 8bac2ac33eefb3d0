// Helpers of the kernel files. Everything is static: each file is compiled for its own instruction
// set, and code shared through the linker could end up on a processor that lacks them.
#pragma once
#include <stdlib.h>
#include <string.h>

#include "conv.h"

namespace hepjax {
namespace {

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

typedef uint16_t bfloat;

inline float to_float(float v) { return v; }
inline float to_float(bfloat v) {
  uint32_t bits = static_cast<uint32_t>(v) << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
inline void from_float(float v, float* out) { *out = v; }
inline void from_float(float v, bfloat* out) {  // to nearest, ties to even; NaN stays NaN
  uint32_t bits;
  memcpy(&bits, &v, 4);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  *out = static_cast<bfloat>((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 0x40 : rounded);
}

// Memory of one thread, aligned to a cache line, released with the object.
struct Buffer {
  char* data = nullptr;
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  ~Buffer() { free(data); }
  bool allocate(int64_t bytes) {
    free(data);
    data = static_cast<char*>(aligned_alloc(64, static_cast<size_t>(round_up(bytes + 64, 64))));
    return data != nullptr;
  }
};

// Taps k along one axis for which o * stride + k - low lies in [0, size).
struct Taps {
  int64_t first, last;  // last is one past
};
inline Taps valid_taps(const Conv& c, int axis, int64_t o) {
  int64_t at = o * c.stride[axis] - c.low[axis];
  return {most(0, -at), least(c.kernel[axis], c.in[axis] - at)};
}

// Outputs o along one axis for which o * stride + k - low lies in [0, size).
inline Taps valid_outputs(const Conv& c, int axis, int64_t k) {
  int64_t offset = c.low[axis] - k;  // o * stride >= offset and o * stride < size + offset
  int64_t first = offset <= 0 ? 0 : divide_up(offset, c.stride[axis]);
  int64_t end = c.in[axis] + offset;
  return {first, end <= 0 ? 0 : least(c.out[axis], divide_up(end, c.stride[axis]))};
}

// Element (a, b, t, i, o) of the kernel, whichever way it is stored.
template <typename T>
inline float kernel_element(const Conv& c, const T* w, int64_t a, int64_t b, int64_t t, int64_t i,
                            int64_t o) {
  const int64_t* k = c.kernel;
  if (!c.flipped) return to_float(w[(((a * k[1] + b) * k[2] + t) * c.c_in + i) * c.c_out + o]);
  a = k[0] - 1 - a, b = k[1] - 1 - b, t = k[2] - 1 - t;
  return to_float(w[(((a * k[1] + b) * k[2] + t) * c.c_out + o) * c.c_in + i]);
}

// Into how many pieces to cut the depth of one event so that all threads have work.
inline int64_t depth_chunks(const Conv& c, const Runner& runner) {
  if (runner.threads <= 1 || c.n % runner.threads == 0 || c.n >= 4 * runner.threads) return 1;
  return least(c.out[0], divide_up(4 * runner.threads, c.n));
}

}  // namespace
}  // namespace hepjax
