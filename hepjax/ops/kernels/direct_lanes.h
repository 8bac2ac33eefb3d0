// Part of direct.cc: the convolution with output channels in the lanes.
#pragma once

namespace hepjax {
namespace {

// How one convolution is cut: `band` outputs of a row to a vector group, N vectors at a time,
// M groups at a time, of R rows.
struct Plan {
  int64_t band, lanes, vectors, vector_blocks, groups, m, m_blocks, r, phases, taps, k, pitch, row;
};

// x of the r-th row is rows[r * n_taps + tap]; adds to `out`, or begins there.
typedef void (*Tile)(const unit* const* rows, int64_t at, const int32_t* offsets, int64_t k,
                     const unit* const* taps, int64_t n_taps, bool begin, float* out,
                     int64_t out_pitch, int64_t out_row);

template <int M, int N, int R>
void tile(const unit* const* rows, int64_t at, const int32_t* offsets, int64_t k,
          const unit* const* taps, int64_t n_taps, bool begin, float* out, int64_t out_pitch,
          int64_t out_row) {
  vec acc[R][M][N];
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 28
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n)
        acc[r][m][n] = begin ? vec{} : load(out + r * out_row + m * out_pitch + n * V);
  for (int64_t tap = 0; tap < n_taps; ++tap) {
    const unit* x = rows[tap] + at;
    const int64_t next = R > 1 ? rows[n_taps + tap] - rows[tap] : 0;
    const unit* b = taps[tap];
    for (int64_t i = 0; i < k; ++i, b += N * V) {
      const unit* p = x + offsets[i];
      vec bv[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) bv[n] = load(b + n * V);
#pragma GCC unroll 2
      for (int r = 0; r < R; ++r, p += next)
#pragma GCC unroll 28
        for (int m = 0; m < M; ++m) {
          const unit s = p[m];
#pragma GCC unroll 4
          for (int n = 0; n < N; ++n) acc[r][m][n] = add_products(acc[r][m][n], s, bv[n]);
        }
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 28
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) store(out + r * out_row + m * out_pitch + n * V, acc[r][m][n]);
}

template <int M = kAccumulators / kMaxVectors, int N = kMaxVectors>
Tile find_tile(int64_t m, int64_t n, int64_t r) {
  if constexpr (N == 0) {
    return nullptr;
  } else if constexpr (M == 0) {
    return find_tile<kAccumulators / most(1, N - 1), N - 1>(m, n, r);
  } else {
    if (n != N) return find_tile<0, N>(m, n, r);
    if (m != M) return find_tile<M - 1, N>(m, n, r);
    if constexpr (M * N * 2 <= kAccumulators)
      if (r == 2) return tile<M, N, 2>;
    return tile<M, N, 1>;
  }
}

Plan make_plan(const Conv& c) {
  Plan best{};
  double best_cost = 0;
  for (int64_t band = 1; band <= least(16, c.out[2]); ++band) {
    for (int64_t n = 1; n <= kMaxVectors; ++n) {
      Plan p{};
      p.band = band;
      p.lanes = band * c.c_out;
      if (n > divide_up(p.lanes, V)) break;
      p.vectors = n;
      p.vector_blocks = divide_up(divide_up(p.lanes, V), n);
      p.groups = divide_up(c.out[2], band);
      p.m_blocks = divide_up(p.groups, kAccumulators / n);
      p.m = divide_up(p.groups, p.m_blocks);
      p.r = p.m * n * 2 <= kAccumulators && c.out[1] > 1 ? 2 : 1;
      p.phases = band * c.stride[2];
      p.taps = c.kernel[2] + (band - 1) * c.stride[2];
      p.k = units_of(p.taps, c.c_in);
      p.pitch = p.m * p.m_blocks + divide_up(p.taps, p.phases);
      p.row = p.pitch * p.phases * units_of(c.c_in);
      // Cycles: two products, or two loads, a cycle; a sum waits four cycles for itself.
      const double products = 0.5 * static_cast<double>(p.r * p.m * n);
      const double loads = 0.5 * static_cast<double>(p.r * p.m + n + 1);
      const double cycles = products > loads ? products : loads;
      const double cost = (cycles > 4 ? cycles : 4) *
                          static_cast<double>(p.k * p.m_blocks * p.vector_blocks) /
                          static_cast<double>(p.r);
      if (best.band == 0 || cost < best_cost) best = p, best_cost = cost;
    }
  }
  return best;
}

// Packed kernel: [vector block][a][b][tap, channel][lane].
template <typename T>
void pack_lanes(const Conv& c, const Plan& p, const T* w, int64_t ab, unit* out) {
  const int64_t width = p.vectors * V, planes = c.kernel[0] * c.kernel[1];
  const int64_t a = ab / c.kernel[1], b = ab % c.kernel[1];
  for (int64_t block = 0; block < p.vector_blocks; ++block) {
    unit* to = out + (block * planes + ab) * p.k * width;
    zero(to, p.k * width);
    for (int64_t lane = block * width; lane < least(p.lanes, (block + 1) * width); ++lane) {
      const int64_t j = lane / c.c_out, o = lane % c.c_out;
      for (int64_t t = 0; t < c.kernel[2]; ++t)
        for (int64_t i = 0; i < c.c_in; ++i)
          put(to + lane - block * width, width, place_of(t + j * c.stride[2], i, c.c_in),
              kernel_element(c, w, a, b, t, i, o));
    }
  }
}

// One row of x, (w, channel), as [unit of a cell][phase][group], padded with zeros.
template <typename T>
void spread_row(const Conv& c, const Plan& p, const T* x, unit* out) {
  zero(out, p.row);
  const int64_t step = p.phases * p.pitch, units = units_of(c.c_in);
  const int64_t end = least(c.in[2], p.pitch * p.phases - c.low[2]);
  const int64_t begin = most(0, -c.low[2]);
  if (begin >= end) return;
  int64_t phase = (begin + c.low[2]) % p.phases;
  unit* to = out + (begin + c.low[2]) / p.phases;
#ifdef HEPJAX_PAIRS
  if (c.c_in == 1 && begin + c.low[2] > 0) {  // the zero before the row pairs with its first cell
    const int64_t before = begin + c.low[2] - 1;
    out[before % p.phases * p.pitch + before / p.phases] = pair(0, x[begin]);
  }
#endif
  for (int64_t at = begin; at < end; ++at) {
    const T* from = x + at * c.c_in;
    unit* const here = to + phase * p.pitch;
    for (int64_t i = 0; i < units; ++i) here[i * step] = unit_at(from, i, c.c_in, at + 1 == c.in[2]);
    if (++phase == p.phases) phase = 0, ++to;
  }
}

template <typename T>
struct Forward {
  const Conv& c;
  Plan plan;
  int64_t chunks;
  const T* x;
  const T* w;
  T* y;
  const unit* packed;  // of floats or pairs; forward_dot: of values
  const int32_t* offsets;
  volatile bool failed;
};

template <typename T>
void lanes_task(void* arg, int64_t task) {
  Forward<T>& f = *static_cast<Forward<T>*>(arg);
  const Conv& c = f.c;
  const Plan& p = f.plan;
  const int64_t event = task / f.chunks, chunk = task % f.chunks;
  const int64_t first = c.out[0] * chunk / f.chunks, last = c.out[0] * (chunk + 1) / f.chunks;
  const int64_t width = p.vectors * V, planes = c.kernel[0] * c.kernel[1];
  const int64_t out_pitch = p.vector_blocks * width, cells = c.in[1] * c.in[2];
  // Slices of x wait in a ring, prepared when first needed; after them a row of zeros.
  const int64_t ring = least(c.in[0], c.kernel[0]), slice = c.in[1] * p.row;
  const int64_t out_row = p.m * p.m_blocks * out_pitch;
  // Taps of one depth at a time if the kernel would not stay in the cache from row to row.
  const int64_t depth_step = planes * p.k * out_pitch * 4 > kKernelBytes ? 1 : c.kernel[0];
  const int64_t fitting = round_up(most(1, kStripBytes / (out_row * 4)), p.r);
  const int64_t strip = depth_step == 1 ? c.out[1] : least(c.out[1], fitting);
  Buffer slices, row, lists;
  if (!slices.allocate((ring * slice + p.row + V) * 4) || !row.allocate(strip * out_row * 4) ||
      !lists.allocate(planes * (p.r + 1) * 8)) {
    f.failed = true;
    return;
  }
  unit* const padded = reinterpret_cast<unit*>(slices.data);
  unit* const zeros = padded + ring * slice;
  float* const out = reinterpret_cast<float*>(row.data);
  const unit** const rows = reinterpret_cast<const unit**>(lists.data);
  const unit** const taps = rows + planes * p.r;
  zero(zeros, p.row);
  const Tile run[2] = {find_tile(p.m, p.vectors, 1), find_tile(p.m, p.vectors, p.r)};
  int64_t prepared = most(0, first * c.stride[0] - c.low[0]);

  for (int64_t d = first; d < last; ++d) {
    const Taps a = valid_taps(c, 0, d);
    const int64_t at_d = d * c.stride[0] - c.low[0];
    prepared = most(prepared, at_d + a.first);
    for (; prepared < at_d + a.last; ++prepared)
      for (int64_t h = 0; h < c.in[1]; ++h)
        spread_row(c, p, f.x + ((event * c.in[0] + prepared) * cells + h * c.in[2]) * c.c_in,
                   padded + (prepared % ring) * slice + h * p.row);
    const int64_t length = c.out[2] * c.c_out;
    T* to = f.y + (event * c.out[0] + d) * c.out[1] * length;
    for (int64_t top = 0; top < c.out[1]; top += strip) {
      const int64_t bottom = least(c.out[1], top + strip);
      if (a.first >= a.last) zero(out, strip * out_row);
      for (int64_t part = a.first; part < a.last; part += depth_step)
        for (int64_t block = 0; block < p.vector_blocks; ++block)
          for (int64_t h = top; h < bottom; h += p.r) {
            const int64_t count = least(p.r, bottom - h);
            // Taps that any of these rows has; a row without the tap reads zeros.
            const Taps b = {valid_taps(c, 1, h + count - 1).first, valid_taps(c, 1, h).last};
            const int64_t end = least(a.last, part + depth_step);
            const int64_t n_taps = (end - part) * most(0, b.last - b.first);
            int64_t tap = 0;
            for (int64_t i = part; i < end; ++i)
              for (int64_t j = b.first; j < b.last; ++j, ++tap) {
                taps[tap] = f.packed + (block * planes + i * c.kernel[1] + j) * p.k * width;
                for (int64_t r = 0; r < count; ++r) {
                  const int64_t at_h = (h + r) * c.stride[1] - c.low[1] + j;
                  const bool outside = at_h < 0 || at_h >= c.in[1];
                  rows[r * n_taps + tap] =
                      outside ? zeros : padded + ((at_d + i) % ring) * slice + at_h * p.row;
                }
              }
            for (int64_t m = 0; m < p.m_blocks; ++m)
              run[count - 1](rows, m * p.m, f.offsets, p.k, taps, n_taps, part == a.first,
                             out + (h - top) * out_row + m * p.m * out_pitch + block * width,
                             out_pitch, out_row);
          }
      for (int64_t h = top; h < bottom; ++h, to += length)
        for (int64_t g = 0; g < p.groups; ++g) {
          const float* from = out + (h - top) * out_row + g * out_pitch;
          const int64_t lanes = least(p.lanes, length - g * p.lanes);
          for (int64_t l = 0; l < lanes; ++l) from_float(from[l], to + g * p.lanes + l);
        }
    }
  }
}

template <typename T>
void pack_lanes_task(void* arg, int64_t ab) {
  Forward<T>& f = *static_cast<Forward<T>*>(arg);
  pack_lanes(f.c, f.plan, f.w, ab, const_cast<unit*>(f.packed));
}

template <typename T>
bool forward_lanes(const Conv& c, const T* x, const T* w, T* y, const Runner& runner) {
  const Plan p = make_plan(c);
  const int64_t planes = c.kernel[0] * c.kernel[1];
  Buffer packed, offsets;
  if (!packed.allocate(p.vector_blocks * planes * p.k * p.vectors * V * 4) ||
      !offsets.allocate(p.k * 4))
    return false;
  int32_t* const at = reinterpret_cast<int32_t*>(offsets.data);
  for (int64_t k = 0; k < p.k; ++k) {
    const int64_t units = units_of(c.c_in), i = k % units;
    const int64_t t = k / units * (c.c_in == 1 ? kPer : 1);
    at[k] = static_cast<int32_t>((i * p.phases + t % p.phases) * p.pitch + t / p.phases);
  }
  Forward<T> f{c, p, depth_chunks(c, runner), x, w, y, reinterpret_cast<unit*>(packed.data), at, false};
  runner.run(runner.pool, planes, pack_lanes_task<T>, &f);
  runner.run(runner.pool, c.n * f.chunks, lanes_task<T>, &f);
  return !f.failed;
}

}  // namespace
}  // namespace hepjax
