// What the kernels of a layer and their callers agree on. All arrays are float, dense, by rows.
#pragma once
#include <cstdint>

#include "conv.h"

namespace hepjax {

// y = silu(norm(x w + added) * scale + shift) for each row; norm takes the mean of a row away and
// divides by the square root of its variance and epsilon.
struct Layer {
  int64_t rows, in, out;
  float epsilon;
  const float *x, *w, *scale, *shift;  // (rows, in), (in, out), (out), (out)
};

struct LayerForward {
  const float* added;  // (rows, out), or (out) for all rows alike
  bool alike;
  float* y;                 // (rows, out)
  float *normal, *inverse;  // (rows, out) after the norm and (rows) its factor, or nullptr
};

struct LayerGradient {
  const float *normal, *inverse, *dy;
  float *dx, *dw, *dscale, *dshift, *dadded;  // in the shapes of what they belong to
  bool alike;
};

// One set for each instruction set. They return false if memory runs out.
struct LayerKernels {
  const char* name;
  bool (*forward)(const Layer&, const LayerForward&, const Runner&);
  bool (*gradient)(const Layer&, const LayerGradient&, const Runner&);
};

// nullptr where the processor lacks the instructions.
const LayerKernels* layer_portable_kernels();
const LayerKernels* layer_avx2_kernels();
const LayerKernels* layer_avx512_kernels();

}  // namespace hepjax
