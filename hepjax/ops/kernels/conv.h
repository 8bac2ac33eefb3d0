// What the convolution kernels and their callers agree on. All arrays are dense, channels last.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hepjax {

// y[n, o, out] = sum over taps k and channels of x[n, o * stride + k - low, in] * w[k, in, out];
// cells outside x count as zero. `low` may be negative (cells skipped).
struct Conv {
  int64_t n;
  int64_t in[3], kernel[3], out[3], stride[3], low[3];
  int64_t c_in, c_out;
  bool bf16;     // elements of all three arrays: bfloat16, else float; sums are float always
  bool flipped;  // w is stored as (k, out, in) with the taps reversed: the gradient to the input
};

// Runs body(arg, task) for every task below `tasks`, on any threads, and returns when all are done.
struct Runner {
  void (*run)(void* pool, int64_t tasks, void (*body)(void* arg, int64_t task), void* arg);
  void* pool;
  int64_t threads;
};

// One kernel set for each instruction set. They return false if memory runs out.
struct Kernels {
  const char* name;
  bool (*forward)(const Conv&, const void* x, const void* w, void* y, const Runner&);
  // dw[k, in, out] = sum over n, o of x[n, o * stride + k - low, in] * dy[n, o, out]
  bool (*kernel_gradient)(const Conv&, const void* x, const void* dy, void* dw, const Runner&);
};

// nullptr where the processor lacks the instructions.
const Kernels* portable_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();
const Kernels* bf16_kernels();  // AVX-512 with dot products of bfloat16 pairs; float by the above
const Kernels* amx_kernels();   // likewise, and bfloat16 with strides too

}  // namespace hepjax
