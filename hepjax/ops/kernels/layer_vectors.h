// Part of layer.cc: vectors of floats, their exponential, and products of matrices in the cache.
#pragma once
#include "common.h"

#ifndef HEPJAX_LANES
#error "set HEPJAX_LANES (floats in a vector), HEPJAX_REGISTERS and HEPJAX_SET"
#endif

namespace hepjax {
namespace {

constexpr int V = HEPJAX_LANES;
constexpr int kRows = 6, kVectors = HEPJAX_REGISTERS == 32 ? 4 : 2;  // of sums in registers

typedef float vec __attribute__((vector_size(V * 4)));
typedef int32_t ivec __attribute__((vector_size(V * 4)));

inline vec load(const float* from) {
  vec v;
  memcpy(&v, from, sizeof v);
  return v;
}
inline void store(float* to, vec v) { memcpy(to, &v, sizeof v); }

template <int N>
inline float sum_of(const float* s) {
  typedef float half __attribute__((vector_size(N * 2)));
  half low, high;
  memcpy(&low, s, sizeof low), memcpy(&high, s + N / 2, sizeof high);
  low += high;
  float rest[N / 2];
  memcpy(rest, &low, sizeof low);
  return sum_of<N / 2>(rest);
}
template <>
inline float sum_of<2>(const float* s) {
  return s[0] + s[1];
}
inline float sum_lanes(vec v) {
  float s[V];
  store(s, v);
  return sum_of<V>(s);
}

// exp by a polynomial around the nearest power of 2 (coefficients of the Cephes library).
inline vec exponential(vec x) {
  const vec low = vec{} - 87.0f, high = vec{} + 87.0f;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const vec shifter = vec{} + 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const vec power = (x * 1.44269504f + shifter) - shifter;
  const vec r = x - power * 0.693359375f + power * 2.12194440e-4f;
  vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const ivec bits = (__builtin_convertvector(power, ivec) + 127) << 23;
  vec scale;
  memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

inline vec sigmoid(vec x) { return 1.0f / (1.0f + exponential(-x)); }

// c[m, n] = (c[m, n] +) sum over k of a[m * row + k * step] * b[k, n], for M rows and N vectors.
template <int M, int N>
void block(const float* a, int64_t row, int64_t step, int64_t depth, const float* b, int64_t width,
           float* c, int64_t to, bool add) {
  vec sums[M][N];
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) sums[m][n] = add ? load(c + m * to + n * V) : vec{};
  for (int64_t k = 0; k < depth; ++k, a += step, b += width) {
    vec right[N];
    for (int n = 0; n < N; ++n) right[n] = load(b + n * V);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sums[m][n] += a[m * row] * right[n];
  }
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) store(c + m * to + n * V, sums[m][n]);
}

template <int N>
void rows_of_block(int64_t rows, const float* a, int64_t row, int64_t step, int64_t depth,
                   const float* b, int64_t width, float* c, int64_t to, bool add) {
  int64_t m = 0;
  for (; m + kRows <= rows; m += kRows)
    block<kRows, N>(a + m * row, row, step, depth, b, width, c + m * to, to, add);
  for (; m + 2 <= rows; m += 2)
    block<2, N>(a + m * row, row, step, depth, b, width, c + m * to, to, add);
  if (m < rows) block<1, N>(a + m * row, row, step, depth, b, width, c + m * to, to, add);
}

// The product of ``rows`` rows of a and b (depth, width), width a multiple of V.
void product(int64_t rows, const float* a, int64_t row, int64_t step, int64_t depth, const float* b,
             int64_t width, float* c, bool add) {
  int64_t n = 0;
  for (; n + kVectors * V <= width; n += kVectors * V)
    rows_of_block<kVectors>(rows, a, row, step, depth, b + n, width, c + n, width, add);
  for (; n < width; n += V) rows_of_block<1>(rows, a, row, step, depth, b + n, width, c + n, width, add);
}

}  // namespace
}  // namespace hepjax
