// Part of tiles.cc: the convolution, which is also the gradient to the input.
#pragma once

namespace hepjax {
namespace {

struct TilePlan {
  Plane plane;
  bool stacked;  // the taps along the second axis are channels too, for very few channels
  int64_t band, lanes, n_tiles, groups, cell, rows, k_tiles, m_tiles, slice, planes;
};

TilePlan make_tile_plan(const Conv& c) {
  TilePlan best{};
  double best_cost = 0;
  for (int stacked = 0; stacked < 2; ++stacked) {
    for (int64_t band = 1; band <= least(16, c.out[2]); ++band) {
      TilePlan p{};
      p.plane = plane_of(c, band);
      p.stacked = stacked != 0;
      p.band = band;
      p.lanes = band * c.c_out;
      p.n_tiles = divide_up(p.lanes, kTile);
      p.groups = p.plane.pitch / band;
      p.cell = stacked ? c.c_in * c.kernel[1] : c.c_in;
      p.rows = stacked ? c.out[1] : p.plane.rows;
      p.planes = c.kernel[0] * (stacked ? 1 : c.kernel[1]);
      p.k_tiles = divide_up((c.kernel[2] + band - 1) * p.cell, kDepth);
      p.m_tiles = divide_up(c.out[1] * p.groups, kTile);
      const int64_t reached = (stacked ? 0 : (c.kernel[1] - 1) * p.plane.pitch) + p.m_tiles * kTile * band;
      p.slice = round_up(most((p.rows + 1) * p.plane.pitch, reached) * p.cell + p.k_tiles * kDepth, 32);
      // Cycles: 16 a product; more where a loaded tile serves one product only; copies of stacking.
      double cost = static_cast<double>(p.m_tiles * p.k_tiles * p.n_tiles * p.planes) *
                        (p.n_tiles % 2 ? 20 : 16) +
                    (stacked ? 2.0 * static_cast<double>(c.in[1] * c.in[2] * p.cell) : 0);
      if (best.band == 0 || cost < best_cost) best = p, best_cost = cost;
    }
  }
  return best;
}

// Sums of MB x NB tiles over the planes of taps; A tiles start at rows[r] + m * 16 groups.
template <int MB, int NB>
void sum_tiles(const bfloat* const* rows, const bfloat* const* taps, int64_t n_rows, int64_t k_tiles,
               int64_t step, float* out, int64_t out_pitch) {
  const int64_t bytes = step * 2;
  _tile_zero(0);
  if constexpr (MB * NB > 1) _tile_zero(1);
  if constexpr (MB * NB > 2) _tile_zero(2);
  if constexpr (MB * NB > 3) _tile_zero(3);
  for (int64_t r = 0; r < n_rows; ++r) {
    const bfloat *a = rows[r], *b = taps[r];
    for (int64_t k = 0; k < k_tiles; ++k, a += kDepth, b += NB * kTileElements) {
      if constexpr (NB == 2) {
        LOAD_TILE(6, b, 64);
        LOAD_TILE(7, b + kTileElements, 64);
        LOAD_TILE(4, a, bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if constexpr (MB > 1) {
          LOAD_TILE(5, a + 16 * step, bytes);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
        }
      } else {
        LOAD_TILE(7, b, 64);
        LOAD_TILE(4, a, bytes);
        _tile_dpbf16ps(0, 4, 7);
        if constexpr (MB > 1) {
          LOAD_TILE(5, a + 16 * step, bytes);
          _tile_dpbf16ps(1, 5, 7);
        }
        if constexpr (MB > 2) {
          LOAD_TILE(6, a + 32 * step, bytes);
          _tile_dpbf16ps(2, 6, 7);
        }
        if constexpr (MB > 3) {
          LOAD_TILE(4, a + 48 * step, bytes);
          _tile_dpbf16ps(3, 4, 7);
        }
      }
    }
  }
  const int64_t pitch = out_pitch * 4;
  STORE_TILE(0, out, pitch);
  if constexpr (NB == 2) {
    STORE_TILE(1, out + 16, pitch);
    if constexpr (MB > 1) {
      STORE_TILE(2, out + 16 * out_pitch, pitch);
      STORE_TILE(3, out + 16 * out_pitch + 16, pitch);
    }
  } else {
    if constexpr (MB > 1) STORE_TILE(1, out + 16 * out_pitch, pitch);
    if constexpr (MB > 2) STORE_TILE(2, out + 32 * out_pitch, pitch);
    if constexpr (MB > 3) STORE_TILE(3, out + 48 * out_pitch, pitch);
  }
}

struct TileForward {
  const Conv& c;
  TilePlan plan;
  int64_t chunks;
  const bfloat* x;
  const bfloat* w;
  bfloat* y;
  bfloat* packed;
  volatile bool failed;
};

// Packed kernel: for each pair of lane tiles [plane][k tile][lane tile], rows of (k, k + 1) pairs.
void pack_tiles_task(void* arg, int64_t plane) {
  TileForward& f = *static_cast<TileForward*>(arg);
  const Conv& c = f.c;
  const TilePlan& p = f.plan;
  for (int64_t tile = 0; tile < p.n_tiles; ++tile) {
    const int64_t pair = tile / 2, tiles = least(2, p.n_tiles - pair * 2);
    bfloat* const base = f.packed + (pair * 2 * p.planes + plane * tiles) * p.k_tiles * kTileElements;
    for (int64_t k = 0; k < p.k_tiles; ++k) {
      bfloat* const to = base + (k * tiles + tile % 2) * kTileElements;
      for (int64_t row = 0; row < kDepth; ++row) {
        const int64_t at = k * kDepth + row, cell = at % p.cell;
        const int64_t a = p.stacked ? plane : plane / c.kernel[1];
        const int64_t b = p.stacked ? cell / c.c_in : plane % c.kernel[1];
        for (int64_t col = 0; col < kTile; ++col) {
          const int64_t lane = tile * kTile + col, tap = at / p.cell - lane / c.c_out;
          float v = 0;
          if (lane < p.lanes && tap >= 0 && tap < c.kernel[2])
            v = kernel_element(c, f.w, a, b, tap, cell % c.c_in, lane % c.c_out);
          from_float(v, to + row / 2 * kDepth + col * 2 + row % 2);
        }
      }
    }
  }
}

// Writes one slice of x (depth, event fixed) into a plane whose margins are zero already.
void lay_slice(const Conv& c, const TilePlan& p, const bfloat* x, bfloat* to) {
  const int64_t begin = most(0, -c.low[2]), end = least(c.in[2], p.plane.pitch - c.low[2]);
  for (int64_t row = 0; row < p.rows; ++row) {
    for (int64_t b = 0; b < (p.stacked ? c.kernel[1] : 1); ++b) {
      const int64_t h = row + b - c.low[1];
      if (h < 0 || h >= c.in[1]) continue;
      const bfloat* from = x + (h * c.in[2] + begin) * c.c_in;
      bfloat* out = to + (row * p.plane.pitch + begin + c.low[2]) * p.cell + b * c.c_in;
      if (!p.stacked) {
        memcpy(out, from, static_cast<size_t>((end - begin) * c.c_in) * 2);
      } else {
        for (int64_t at = begin; at < end; ++at, from += c.c_in, out += p.cell)
          for (int64_t i = 0; i < c.c_in; ++i) out[i] = from[i];
      }
    }
  }
}

inline void round_lanes(const float* from, bfloat* to, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    const int64_t left = count - i;
    const __mmask16 mask = left >= 16 ? 0xffff : static_cast<__mmask16>((1u << left) - 1);
    const __m256i v = (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from + i));
    _mm256_mask_storeu_epi16(to + i, mask, v);
  }
}

void tiles_task(void* arg, int64_t task) {
  TileForward& f = *static_cast<TileForward*>(arg);
  const Conv& c = f.c;
  const TilePlan& p = f.plan;
  const int64_t event = task / f.chunks, chunk = task % f.chunks;
  const int64_t first = c.out[0] * chunk / f.chunks, last = c.out[0] * (chunk + 1) / f.chunks;
  const int64_t ring = least(c.in[0], c.kernel[0]), cells = c.in[1] * c.in[2];
  const int64_t step = p.band * p.cell, out_pitch = p.n_tiles * kTile;
  Buffer slices, sums, lists;
  if (!slices.allocate(ring * p.slice * 2) || !sums.allocate(4 * kTile * out_pitch * 4) ||
      !lists.allocate(p.planes * 16)) {
    f.failed = true;
    return;
  }
  bfloat* const x = reinterpret_cast<bfloat*>(slices.data);
  float* const out = reinterpret_cast<float*>(sums.data);
  const bfloat** const rows = reinterpret_cast<const bfloat**>(lists.data);
  const bfloat** const taps = rows + p.planes;
  memset(x, 0, static_cast<size_t>(ring * p.slice) * 2);
  int64_t prepared = most(0, first - c.low[0]);
  const TilesInUse tiles;

  for (int64_t d = first; d < last; ++d) {
    const Taps a = valid_taps(c, 0, d);
    const int64_t at_d = d - c.low[0];
    prepared = most(prepared, at_d + a.first);
    for (; prepared < at_d + a.last; ++prepared)
      lay_slice(c, p, f.x + (event * c.in[0] + prepared) * cells * c.c_in,
                x + (prepared % ring) * p.slice);
    const int64_t block = p.n_tiles == 1 ? 4 : 2, per_depth = p.planes / c.kernel[0];
    for (int64_t m = 0; m < p.m_tiles; m += block) {
      const int64_t count = least(block, p.m_tiles - m);
      for (int64_t n = 0; n < p.n_tiles; n += 2) {
        const int64_t width = least(2, p.n_tiles - n);
        int64_t n_rows = 0;
        for (int64_t i = a.first; i < a.last; ++i)
          for (int64_t b = 0; b < per_depth; ++b, ++n_rows) {
            rows[n_rows] = x + ((at_d + i) % ring) * p.slice + b * p.plane.pitch * p.cell +
                           m * kTile * step;
            taps[n_rows] = f.packed + (n * p.planes + (i * per_depth + b) * width) * p.k_tiles *
                                          kTileElements;
          }
        float* const to = out + n * kTile;
        if (width == 2)
          (count == 2 ? sum_tiles<2, 2> : sum_tiles<1, 2>)(rows, taps, n_rows, p.k_tiles, step, to,
                                                           out_pitch);
        else
          (count == 4   ? sum_tiles<4, 1>
           : count == 3 ? sum_tiles<3, 1>
           : count == 2 ? sum_tiles<2, 1>
                        : sum_tiles<1, 1>)(rows, taps, n_rows, p.k_tiles, step, to, out_pitch);
      }
      bfloat* const plane = f.y + (event * c.out[0] + d) * c.out[1] * c.out[2] * c.c_out;
      for (int64_t i = 0; i < count * kTile; ++i) {
        const int64_t at = m * kTile + i, h = at / p.groups, g = at % p.groups;
        const int64_t lanes = least(p.lanes, (c.out[2] - g * p.band) * c.c_out);
        if (h >= c.out[1]) break;
        if (lanes > 0)
          round_lanes(out + i * out_pitch, plane + h * c.out[2] * c.c_out + g * p.lanes, lanes);
      }
    }
  }
}

bool forward(const Conv& c, const void* x, const void* w, void* y, const Runner& runner) {
  if (!c.bf16 || !without_strides(c)) return avx512_kernels()->forward(c, x, w, y, runner);
  const TilePlan p = make_tile_plan(c);
  Buffer packed;
  if (!packed.allocate(p.n_tiles * p.planes * p.k_tiles * kTileElements * 2)) return false;
  TileForward f{c, p, depth_chunks(c, runner), static_cast<const bfloat*>(x),
                static_cast<const bfloat*>(w), static_cast<bfloat*>(y),
                reinterpret_cast<bfloat*>(packed.data), false};
  runner.run(runner.pool, p.planes, pack_tiles_task, &f);
  runner.run(runner.pool, c.n * f.chunks, tiles_task, &f);
  return !f.failed;
}

}  // namespace
}  // namespace hepjax
