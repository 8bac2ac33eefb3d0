// A dense layer, layer norm and SiLU in one pass over the rows, compiled once for each instruction
// set. A tile of rows stays in the first cache from its product to its result, so that memory is read
// and written once.
//
// A sum over rows is made of groups whose number depends on the shapes alone, never on threads.
#include "layer.h"

#include <math.h>

#include "common.h"
#include "layer_vectors.h"

namespace hepjax {
namespace {

constexpr int64_t kTile = 8 * kRows;  // rows at work
constexpr int64_t kRowsATask = 8 * kTile;  // of the forward pass
constexpr int64_t kRowsAGroup = 256, kGroups = 64;

// Arrays as wide as vectors need, filled up with zeros; the same for all threads.
struct Padded {
  Buffer buffer;
  int64_t in, out;
  const float* w;  // (in, out), or (out, in) for the gradient
  const float *scale, *shift, *inside;  // ``inside``: 1, and 0 in the padding

  bool fill(const Layer& l, bool gradient) {
    in = round_up(l.in, V), out = round_up(l.out, V);
    const int64_t kernel = gradient ? l.out * in : l.in * out;
    if (!buffer.allocate((3 * out + kernel) * 4)) return false;
    float* const at = reinterpret_cast<float*>(buffer.data);
    memset(at, 0, static_cast<size_t>(3 * out + kernel) * 4);
    memcpy(at, l.scale, static_cast<size_t>(l.out) * 4);
    memcpy(at + out, l.shift, static_cast<size_t>(l.out) * 4);
    for (int64_t o = 0; o < l.out; ++o) at[2 * out + o] = 1.0f;
    float* const products = at + 3 * out;
    for (int64_t i = 0; i < l.in; ++i)
      for (int64_t o = 0; o < l.out; ++o)
        products[gradient ? o * in + i : i * out + o] = l.w[i * l.out + o];
    w = products, scale = at, shift = at + out, inside = at + 2 * out;
    return true;
  }
};

// ``count`` numbers of a row, in ``space`` (zero from there on) where vectors would read beyond it.
inline const float* whole(const float* row, int64_t count, float* space) {
  return count % V ? static_cast<float*>(memcpy(space, row, static_cast<size_t>(count) * 4)) : row;
}

// The first ``count`` numbers of a padded row.
inline void store_row(float* to, const float* row, int64_t count) {
  memcpy(to, row, static_cast<size_t>(count) * 4);
}

struct Forward {
  const Layer& l;
  const LayerForward& f;
  const Padded& p;
  bool failed;
};

// The sums before the norm with their mean taken away, and in ``inverse`` the factor of each row.
// Each loop takes all rows, so that sums of neighbouring rows overlap in the processor.
void normalise(const Forward& f, int64_t first, int64_t rows, float* z, float* inverse, float* space) {
  const Layer& l = f.l;
  const Padded& p = f.p;
  product(rows, l.x + first * l.in, l.in, 1, l.in, p.w, p.out, z, false);
  const float* more = f.f.alike ? whole(f.f.added, l.out, space) : nullptr;
  for (int64_t t = 0; t < rows; ++t) {
    float* const row = z + t * p.out;
    if (!f.f.alike) more = whole(f.f.added + (first + t) * l.out, l.out, space);
    vec sum = {};
    for (int64_t o = 0; o < p.out; o += V) {
      const vec v = load(row + o) + load(more + o);
      store(row + o, v), sum += v;
    }
    inverse[t] = sum_lanes(sum);
  }
  const float share = 1.0f / static_cast<float>(l.out);
  for (int64_t t = 0; t < rows; ++t) {
    float* const row = z + t * p.out;
    const float mean = inverse[t] * share;
    vec squares = {};
    for (int64_t o = 0; o < p.out; o += V) {
      const vec v = (load(row + o) - mean) * load(p.inside + o);
      store(row + o, v), squares += v * v;
    }
    inverse[t] = sum_lanes(squares);
  }
  for (int64_t t = 0; t < rows; ++t) inverse[t] = 1.0f / sqrtf(inverse[t] * share + l.epsilon);
}

void forward_task(void* arg, int64_t task) {
  Forward& f = *static_cast<Forward*>(arg);
  const Layer& l = f.l;
  const Padded& p = f.p;
  Buffer buffer;
  if (!buffer.allocate((kTile * (p.out + 1) + p.out) * 4)) {
    f.failed = true;
    return;
  }
  float* const z = reinterpret_cast<float*>(buffer.data);
  float *const inverse = z + kTile * p.out, *const space = inverse + kTile;
  memset(space, 0, static_cast<size_t>(p.out) * 4);
  const bool fits = p.out == l.out;
  const int64_t last = least(l.rows, (task + 1) * kRowsATask);
  for (int64_t first = task * kRowsATask; first < last; first += kTile) {
    const int64_t rows = least(kTile, last - first);
    normalise(f, first, rows, z, inverse, space);
    for (int64_t t = 0; t < rows; ++t) {
      float *const row = z + t * p.out, *const y = f.f.y + (first + t) * l.out;
      float* const to = fits ? y : row;
      if (f.f.normal) {
        for (int64_t o = 0; o < p.out; o += V) store(row + o, load(row + o) * inverse[t]);
        store_row(f.f.normal + (first + t) * l.out, row, l.out);
        f.f.inverse[first + t] = inverse[t];
      }
      const float factor = f.f.normal ? 1.0f : inverse[t];
      for (int64_t o = 0; o < p.out; o += V) {
        const vec u = load(row + o) * factor * load(p.scale + o) + load(p.shift + o);
        store(to + o, u * sigmoid(u));
      }
      if (!fits) store_row(y, row, l.out);
    }
  }
}

bool forward(const Layer& l, const LayerForward& f, const Runner& runner) {
  Padded p;
  if (!p.fill(l, false)) return false;
  Forward all{l, f, p, false};
  runner.run(runner.pool, divide_up(l.rows, kRowsATask), forward_task, &all);
  return !all.failed;
}

struct Gradient {
  const Layer& l;
  const LayerGradient& g;
  const Padded& p;
  int64_t groups, size;  // of the sums of a group: dw, dscale, dshift and the sum of dz
  float* sums;
  bool failed;
};

// Memory of one thread: gradients of the sums before the norm, of rows before their kernel, two sums
// of each row, and two padded rows.
struct Rows {
  float *dz, *dx, *mean, *along, *normal, *dy;
};

// dz of rows from ``first`` on; the sums of this group grow.
void gradient_of_rows(const Gradient& f, int64_t first, int64_t rows, const Rows& at, float* of_group) {
  const Layer& l = f.l;
  const Padded& p = f.p;
  float *const dscale = of_group, *const dshift = dscale + p.out, *const sum_dz = dshift + p.out;
  for (int64_t t = 0; t < rows; ++t) {
    const float* const normal = whole(f.g.normal + (first + t) * l.out, l.out, at.normal);
    const float* const dy = whole(f.g.dy + (first + t) * l.out, l.out, at.dy);
    float* const dz = at.dz + t * p.out;
    vec sum = {}, along = {};
    for (int64_t o = 0; o < p.out; o += V) {
      const vec n = load(normal + o), scale = load(p.scale + o), u = n * scale + load(p.shift + o);
      const vec s = sigmoid(u), du = load(dy + o) * s * (1.0f + u * (1.0f - s)), inner = du * scale;
      store(dshift + o, load(dshift + o) + du);
      store(dscale + o, load(dscale + o) + du * n);
      store(dz + o, inner);
      sum += inner, along += inner * n;
    }
    at.mean[t] = sum_lanes(sum), at.along[t] = sum_lanes(along);
  }
  const float share = 1.0f / static_cast<float>(l.out);
  for (int64_t t = 0; t < rows; ++t) {
    const float* const normal = whole(f.g.normal + (first + t) * l.out, l.out, at.normal);
    float* const dz = at.dz + t * p.out;
    const float mean = at.mean[t] * share, along = at.along[t] * share, inverse = f.g.inverse[first + t];
    for (int64_t o = 0; o < p.out; o += V) {
      const vec v = (load(dz + o) - mean - load(normal + o) * along) * inverse * load(p.inside + o);
      store(dz + o, v);
      if (f.g.alike) store(sum_dz + o, load(sum_dz + o) + v);
    }
    if (!f.g.alike) store_row(f.g.dadded + (first + t) * l.out, dz, l.out);
  }
}

void gradient_task(void* arg, int64_t group) {
  Gradient& f = *static_cast<Gradient*>(arg);
  const Layer& l = f.l;
  const Padded& p = f.p;
  Buffer buffer;
  if (!buffer.allocate((kTile * (p.out + p.in + 2) + 2 * p.out) * 4)) {
    f.failed = true;
    return;
  }
  float* const dz = reinterpret_cast<float*>(buffer.data);
  float *const dx = dz + kTile * p.out, *const mean = dx + kTile * p.in, *const along = mean + kTile;
  float* const space = along + kTile;
  const Rows at{dz, dx, mean, along, space, space + p.out};
  memset(space, 0, static_cast<size_t>(2 * p.out) * 4);
  float *const dw = f.sums + group * f.size, *const of_group = dw + l.in * p.out;
  memset(dw, 0, static_cast<size_t>(f.size) * 4);
  const int64_t last = l.rows * (group + 1) / f.groups;
  for (int64_t first = l.rows * group / f.groups; first < last; first += kTile) {
    const int64_t rows = least(kTile, last - first);
    gradient_of_rows(f, first, rows, at, of_group);
    product(l.in, l.x + first * l.in, 1, l.in, rows, dz, p.out, dw, true);
    float* const to = f.g.dx + first * l.in;
    product(rows, dz, p.out, 1, l.out, p.w, p.in, p.in == l.in ? to : dx, false);
    if (p.in != l.in)
      for (int64_t t = 0; t < rows; ++t) store_row(to + t * l.in, dx + t * p.in, l.in);
  }
}

// Sums over groups of ``count`` numbers at ``at``, in one order.
void add_groups(const Gradient& f, int64_t at, int64_t count, float* to) {
  memset(to, 0, static_cast<size_t>(count) * 4);
  for (int64_t group = 0; group < f.groups; ++group)
    for (int64_t i = 0; i < count; ++i) to[i] += f.sums[group * f.size + at + i];
}

bool gradient(const Layer& l, const LayerGradient& g, const Runner& runner) {
  Padded p;
  Buffer sums;
  const int64_t groups = most(1, least(kGroups, l.rows / kRowsAGroup));
  const int64_t out = round_up(l.out, V), size = (l.in + 3) * out;
  if (!p.fill(l, true) || !sums.allocate(groups * size * 4)) return false;
  Gradient f{l, g, p, groups, size, reinterpret_cast<float*>(sums.data), false};
  runner.run(runner.pool, groups, gradient_task, &f);
  if (f.failed) return false;
  for (int64_t i = 0; i < l.in; ++i) add_groups(f, i * out, l.out, g.dw + i * l.out);
  add_groups(f, l.in * out, l.out, g.dscale);
  add_groups(f, (l.in + 1) * out, l.out, g.dshift);
  if (g.alike) add_groups(f, (l.in + 2) * out, l.out, g.dadded);
  return true;
}

}  // namespace

const LayerKernels* HEPJAX_SET() {
  static const LayerKernels kernels = {HEPJAX_NAME, forward, gradient};
  return HEPJAX_SUPPORTED ? &kernels : nullptr;
}

}  // namespace hepjax
