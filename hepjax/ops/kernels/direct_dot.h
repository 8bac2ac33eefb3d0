// Part of direct.cc: the convolution with the products of one output in the lanes.
#pragma once

namespace hepjax {
namespace {

constexpr int kDotOutputs = 8;
constexpr int64_t kValues = V * kPer;  // in a vector

inline float sum_lanes(vec v) {
  float s[V];
  store(s, v);
  for (int width = V / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) s[i] += s[i + width];
  return s[0];
}

// Copies a row of x with zeros around it: `cells` cells from -low on.
template <typename T>
void pad_row(const Conv& c, const T* x, int64_t cells, value* out) {
  const int64_t begin = most(0, -c.low[2]), end = least(c.in[2], cells - c.low[2]);
  if (end <= begin) {
    memset(out, 0, static_cast<size_t>(cells * c.c_in) * sizeof(value));
    return;
  }
  const int64_t left = (begin + c.low[2]) * c.c_in, right = (end + c.low[2]) * c.c_in;
  memset(out, 0, static_cast<size_t>(left) * sizeof(value));
  const T* from = x + begin * c.c_in;
  for (int64_t i = 0; i < right - left; ++i) stage(from[i], out + left + i);
  memset(out + right, 0, static_cast<size_t>(cells * c.c_in - right) * sizeof(value));
}

template <typename T>
void dot_task(void* arg, int64_t task) {
  Forward<T>& f = *static_cast<Forward<T>*>(arg);
  const Conv& c = f.c;
  const int64_t event = task / f.chunks, chunk = task % f.chunks;
  const int64_t first = c.out[0] * chunk / f.chunks, last = c.out[0] * (chunk + 1) / f.chunks;
  const int64_t run = round_up(c.kernel[2] * c.c_in, kValues), step = c.stride[2] * c.c_in;
  const int64_t outputs = round_up(c.out[2], kDotOutputs);
  const int64_t width = (outputs - 1) * c.stride[2] + divide_up(run, c.c_in);
  const int64_t row = width * c.c_in, ring = least(c.in[0], c.kernel[0]), slice = c.in[1] * row;
  Buffer slices;
  if (!slices.allocate((ring * slice + kValues) * sizeof(value))) {
    f.failed = true;
    return;
  }
  value* const padded = reinterpret_cast<value*>(slices.data);
  const value* const packed = reinterpret_cast<const value*>(f.packed);
  int64_t prepared = most(0, first * c.stride[0] - c.low[0]);
  for (int64_t d = first; d < last; ++d) {
    const Taps a = valid_taps(c, 0, d);
    const int64_t at_d = d * c.stride[0] - c.low[0];
    prepared = most(prepared, at_d + a.first);
    for (; prepared < at_d + a.last; ++prepared)
      for (int64_t h = 0; h < c.in[1]; ++h)
        pad_row(c, f.x + (((event * c.in[0] + prepared) * c.in[1] + h) * c.in[2]) * c.c_in, width,
                padded + (prepared % ring) * slice + h * row);
    for (int64_t h = 0; h < c.out[1]; ++h) {
      const Taps b = valid_taps(c, 1, h);
      const int64_t at_h = h * c.stride[1] - c.low[1];
      T* to = f.y + ((event * c.out[0] + d) * c.out[1] + h) * c.out[2] * c.c_out;
      for (int64_t w0 = 0; w0 < c.out[2]; w0 += kDotOutputs)
        for (int64_t o = 0; o < c.c_out; ++o) {
          vec acc[kDotOutputs] = {};
          for (int64_t i = a.first; i < a.last; ++i)
            for (int64_t j = b.first; j < b.last; ++j) {
              const value* from = padded + ((at_d + i) % ring) * slice + (at_h + j) * row + w0 * step;
              const value* taps = packed + ((i * c.kernel[1] + j) * c.c_out + o) * run;
              for (int64_t k = 0; k < run; k += kValues) {
                const vec t = load(taps + k);
#pragma GCC unroll 8
                for (int m = 0; m < kDotOutputs; ++m) acc[m] = add_products(acc[m], load(from + k + m * step), t);
              }
            }
          for (int64_t m = 0; m < least(kDotOutputs, c.out[2] - w0); ++m)
            from_float(sum_lanes(acc[m]), to + (w0 + m) * c.c_out + o);
        }
    }
  }
}

template <typename T>
bool forward_dot(const Conv& c, const T* x, const T* w, T* y, const Runner& runner) {
  const int64_t run = round_up(c.kernel[2] * c.c_in, kValues), planes = c.kernel[0] * c.kernel[1];
  Buffer buffer;
  if (!buffer.allocate(planes * c.c_out * run * sizeof(value))) return false;
  value* const packed = reinterpret_cast<value*>(buffer.data);
  memset(packed, 0, static_cast<size_t>(planes * c.c_out * run) * sizeof(value));
  for (int64_t ab = 0; ab < planes; ++ab)
    for (int64_t t = 0; t < c.kernel[2]; ++t)
      for (int64_t i = 0; i < c.c_in; ++i)
        for (int64_t o = 0; o < c.c_out; ++o)
          from_float(kernel_element(c, w, ab / c.kernel[1], ab % c.kernel[1], t, i, o),
                     packed + (ab * c.c_out + o) * run + t * c.c_in + i);
  Forward<T> f{c, {}, depth_chunks(c, runner), x, w, y, reinterpret_cast<unit*>(packed), nullptr, false};
  runner.run(runner.pool, c.n * f.chunks, dot_task<T>, &f);
  return !f.failed;
}

}  // namespace
}  // namespace hepjax
