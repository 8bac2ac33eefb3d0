// Runs every kernel set on random small shapes against a plain loop, with arrays that end exactly
// where their memory does. Built with sanitizers by benchmarks/sanitize_kernels.sh; no part of the
// library.
#include <math.h>
#include <stdio.h>

#include <random>
#include <thread>
#include <vector>

#include "common.h"

using namespace hepjax;

namespace {

std::mt19937 draw(1);
int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(draw() % (high - low + 1)); }

void run_on_two_threads(void*, int64_t tasks, void (*body)(void*, int64_t), void* arg) {
  auto half = [&](int64_t first) {
    for (int64_t i = first; i < tasks; i += 2) body(arg, i);
  };
  std::thread other(half, 1);
  half(0);
  other.join();
}

template <typename T>
struct Array {  // exactly as long as its elements, so that any step beyond is caught
  T* data;
  int64_t size;
  explicit Array(int64_t n) : data(static_cast<T*>(malloc(n * sizeof(T)))), size(n) {
    for (int64_t i = 0; i < n; ++i) from_float(static_cast<float>(between(-8, 8)) / 8, data + i);
  }
  ~Array() { free(data); }
};

template <typename T>
double worst_error(const Kernels& kernels, Conv c) {
  const int64_t cells_in = c.n * c.in[0] * c.in[1] * c.in[2], taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
  const int64_t cells_out = c.n * c.out[0] * c.out[1] * c.out[2];
  Array<T> x(cells_in * c.c_in), w(taps * c.c_in * c.c_out), dy(cells_out * c.c_out), y(dy.size), dw(w.size);
  std::vector<double> ye(y.size), dwe(dw.size);
  c.flipped = draw() % 2;
  for (int64_t p = 0; p < cells_out; ++p)
    for (int64_t k = 0; k < taps; ++k) {
      const int64_t o[3] = {p / (c.out[2] * c.out[1]) % c.out[0], p / c.out[2] % c.out[1], p % c.out[2]};
      const int64_t t[3] = {k / (c.kernel[2] * c.kernel[1]), k / c.kernel[2] % c.kernel[1], k % c.kernel[2]};
      int64_t cell = p / (c.out[0] * c.out[1] * c.out[2]);
      bool inside = true;
      for (int i = 0; i < 3; ++i) {
        const int64_t at = o[i] * c.stride[i] + t[i] - c.low[i];
        inside = inside && at >= 0 && at < c.in[i];
        cell = cell * c.in[i] + at;
      }
      if (!inside) continue;
      for (int64_t i = 0; i < c.c_in; ++i)
        for (int64_t j = 0; j < c.c_out; ++j) {
          const double v = to_float(x.data[cell * c.c_in + i]);
          ye[p * c.c_out + j] += v * kernel_element(c, w.data, t[0], t[1], t[2], i, j);
          dwe[(k * c.c_in + i) * c.c_out + j] += v * to_float(dy.data[p * c.c_out + j]);
        }
    }
  const Runner runner{run_on_two_threads, nullptr, 2};
  double worst = 0;
  auto compare = [&](const Array<T>& found, const std::vector<double>& expected) {
    for (int64_t i = 0; i < found.size; ++i)
      worst = fmax(worst, fabs(to_float(found.data[i]) - expected[i]) / (1 + fabs(expected[i])));
  };
  if (!kernels.forward(c, x.data, w.data, y.data, runner)) return INFINITY;
  compare(y, ye);
  c.flipped = false;
  if (!kernels.kernel_gradient(c, x.data, dy.data, dw.data, runner)) return INFINITY;
  compare(dw, dwe);
  return worst;
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t rounds = argc > 1 ? atoi(argv[1]) : 100;
  const int64_t channels[] = {1, 2, 3, 5, 6, 8, 16, 17, 33, 64};
  const Kernels* sets[] = {portable_kernels(), avx2_kernels(), avx512_kernels(), bf16_kernels(),
                           amx_kernels()};
  bool good = true;
  for (const Kernels* kernels : sets) {
    if (!kernels) continue;
    double worst[2] = {0, 0};
    for (int64_t round = 0; round < rounds;) {
      Conv c{};
      c.n = between(1, 4), c.c_in = channels[draw() % 10], c.c_out = channels[draw() % 10];
      bool fits = true;
      const bool strided = draw() % 3 == 0, flat = draw() % 4 == 0;  // flat: images of one slice
      for (int i = 0; i < 3; ++i) {
        c.in[i] = !flat ? between(1, 12) : i == 0 ? 1 : between(1, i == 1 ? 20 : 130);
        c.kernel[i] = between(1, 6), c.stride[i] = strided ? between(1, 3) : 1;
        c.low[i] = between(-2, 5);
        const int64_t room = c.in[i] + c.low[i] + between(-2, 5) - c.kernel[i];
        fits = fits && room >= 0;
        c.out[i] = room / c.stride[i] + 1;
      }
      if (!fits) continue;
      c.bf16 = round++ % 2;
      worst[c.bf16] = fmax(worst[c.bf16], c.bf16 ? worst_error<bfloat>(*kernels, c) : worst_error<float>(*kernels, c));
    }
    printf("%-8s float32 %.1e  bfloat16 %.1e  (%ld shapes)\n", kernels->name, worst[0], worst[1], (long)rounds);
    good = good && worst[0] < 1e-5 && worst[1] < 1e-2;
  }
  return good ? 0 : 1;
}
