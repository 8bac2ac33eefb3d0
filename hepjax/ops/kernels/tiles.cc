// Convolution in bfloat16 on AMX tiles: 16x32 times 32x16 products summed in float.
//
// A plane of x is laid out so that a step to the next output is a constant number of bytes, row ends
// included: the zeros that end one row also begin the next. So one tile of 16 rows takes 16
// consecutive outputs (or `band` of them each, see direct.cc), and its 32 columns are the run of
// (tap, channel) from there on, without copying windows.
//
// An output is summed in an order that depends on shapes alone, never on threads or batch.
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"

namespace hepjax {
namespace {

constexpr int64_t kTile = 16;             // rows of a tile, and floats in a row of sums
constexpr int64_t kDepth = 32;            // bfloat16 values in a row of a tile
constexpr int64_t kGroups = 16;           // as in direct.cc
constexpr int64_t kTileElements = kTile * kDepth;

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

struct TilesInUse {
  TilesInUse() {
    static const TileShapes shapes;
    _tile_loadconfig(&shapes);
  }
  ~TilesInUse() { _tile_release(); }
};

// Where the cells of a plane lie: `pitch` cells to a row; row 0 is the first that a tap reaches.
struct Plane {
  int64_t pitch, rows;
};
Plane plane_of(const Conv& c, int64_t band) {
  const int64_t start = most(0, c.low[2]);
  const int64_t cells = most(c.in[2] + c.low[2], c.out[2] + most(0, c.kernel[2] - 1 - start));
  return {round_up(cells, band), c.out[1] + c.kernel[1] - 1};
}

bool without_strides(const Conv& c) {
  return c.stride[0] == 1 && c.stride[1] == 1 && c.stride[2] == 1;
}

// ---------------------------------------------------------------- forward

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
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + kTileElements, 64);
        _tile_loadd(4, a, bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if constexpr (MB > 1) {
          _tile_loadd(5, a + 16 * step, bytes);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
        }
      } else {
        _tile_loadd(7, b, 64);
        _tile_loadd(4, a, bytes);
        _tile_dpbf16ps(0, 4, 7);
        if constexpr (MB > 1) {
          _tile_loadd(5, a + 16 * step, bytes);
          _tile_dpbf16ps(1, 5, 7);
        }
        if constexpr (MB > 2) {
          _tile_loadd(6, a + 32 * step, bytes);
          _tile_dpbf16ps(2, 6, 7);
        }
        if constexpr (MB > 3) {
          _tile_loadd(4, a + 48 * step, bytes);
          _tile_dpbf16ps(3, 4, 7);
        }
      }
    }
  }
  const int64_t pitch = out_pitch * 4;
  _tile_stored(0, out, pitch);
  if constexpr (NB == 2) {
    _tile_stored(1, out + 16, pitch);
    if constexpr (MB > 1) {
      _tile_stored(2, out + 16 * out_pitch, pitch);
      _tile_stored(3, out + 16 * out_pitch + 16, pitch);
    }
  } else {
    if constexpr (MB > 1) _tile_stored(1, out + 16 * out_pitch, pitch);
    if constexpr (MB > 2) _tile_stored(2, out + 32 * out_pitch, pitch);
    if constexpr (MB > 3) _tile_stored(3, out + 48 * out_pitch, pitch);
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

// ---------------------------------------------------------------- gradient to the kernel

// For each pair (depth tap, second tap) a product over the cells of a plane: rows are (third tap,
// input channel), columns are (neighbouring depth taps, output channel). x is laid out with its cells
// along the row, `shifts` times, each one cell further; dy as pairs of cells.
struct TileGradientPlan {
  Plane plane;
  int64_t shifts, shift_groups, row_tiles, length;     // of x
  int64_t depths, depth_groups, col_tiles;             // of dy
  int64_t chunks, tile_rows, size;                     // 32 cells each; tiles to a product; sums
};

TileGradientPlan make_tile_gradient_plan(const Conv& c) {
  TileGradientPlan p{};
  p.plane = plane_of(c, 1);
  for (int64_t shifts = 1; shifts <= c.kernel[2] && shifts <= 16; ++shifts) {
    const int64_t groups = divide_up(c.kernel[2], shifts), tiles = divide_up(shifts * c.c_in, kTile);
    if (p.shifts == 0 || groups * tiles < p.tile_rows)
      p.shifts = shifts, p.shift_groups = groups, p.row_tiles = tiles, p.tile_rows = groups * tiles;
  }
  int64_t columns = 0;
  for (int64_t depths = 1; depths <= c.kernel[0] && depths <= 16; ++depths) {
    const int64_t groups = divide_up(c.kernel[0], depths), tiles = divide_up(depths * c.c_out, kTile);
    if (p.depths == 0 || groups * tiles < columns)
      p.depths = depths, p.depth_groups = groups, p.col_tiles = tiles, columns = groups * tiles;
  }
  p.chunks = divide_up(c.out[1] * p.plane.pitch, kDepth);
  const int64_t reached = (c.kernel[1] - 1) * p.plane.pitch + c.kernel[2] + p.chunks * kDepth;
  // An odd number of cache lines, so that the rows of a tile fall into different sets.
  p.length = round_up(most(reached, (p.plane.rows + 1) * p.plane.pitch), 64) + 32;
  p.size = p.depth_groups * c.kernel[1] * p.tile_rows * p.col_tiles * 256;
  return p;
}

struct TileGradient {
  const Conv& c;
  TileGradientPlan plan;
  int64_t groups, depth_tasks;
  const bfloat* x;
  const bfloat* dy;
  bfloat* dw;
  float* sums;  // [group][depth group][b][row tile][column tile][16][16]
  volatile bool failed;
};

// One slice of x, (h, w, channel), as rows [shift][channel] of cells.
void turn_slice(const Conv& c, const TileGradientPlan& p, const bfloat* x, bfloat* to) {
  const int64_t begin = most(0, -c.low[2]), end = least(c.in[2], p.plane.pitch - c.low[2]);
  const __m512i lanes = _mm512_mullo_epi32(
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
      _mm512_set1_epi32(static_cast<int>(c.c_in)));
  const bool pairs = c.c_in % 2 == 0;  // then two channels are fetched at once
  for (int64_t row = 0; row < p.plane.rows; ++row) {
    const int64_t h = row - c.low[1];
    if (h < 0 || h >= c.in[1]) continue;
    const bfloat* from = x + (h * c.in[2] + begin) * c.c_in;
    bfloat* out = to + row * p.plane.pitch + begin + c.low[2];
    const int64_t count = end - begin;
    if (!pairs) {
      for (int64_t i = 0; i < c.c_in; ++i)
        for (int64_t at = 0; at < count; ++at) out[i * p.length + at] = from[at * c.c_in + i];
      continue;
    }
    for (int64_t at = 0; at < count; at += 16) {
      const int64_t left = count - at;
      const __mmask16 mask = left >= 16 ? 0xffff : static_cast<__mmask16>((1u << left) - 1);
      for (int64_t i = 0; i < c.c_in; i += 2) {
        const __m512i two = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), mask, lanes,
                                                        from + at * c.c_in + i, 2);
        _mm256_mask_storeu_epi16(out + i * p.length + at, mask, _mm512_cvtepi32_epi16(two));
        _mm256_mask_storeu_epi16(out + (i + 1) * p.length + at, mask,
                                 _mm512_cvtepi32_epi16(_mm512_srli_epi32(two, 16)));
      }
    }
  }
  for (int64_t shift = 1; shift < p.shifts; ++shift)
    for (int64_t i = 0; i < c.c_in; ++i)
      memcpy(to + (shift * c.c_in + i) * p.length, to + i * p.length + shift,
             static_cast<size_t>(p.length - shift) * 2);
}

// One slice of dy as pairs of cells, into columns `column` on of [pair of cells][column][2].
void pair_slice(const Conv& c, const TileGradientPlan& p, const bfloat* dy, int64_t column, bfloat* to) {
  const int64_t width = p.col_tiles * kTile;
  for (int64_t h = 0; h < c.out[1]; ++h) {
    int64_t cell = h * p.plane.pitch;
    const bfloat* from = dy + h * c.out[2] * c.c_out;
    int64_t left = c.out[2];
    // A pair may straddle rows: its other half is a margin, zero, and stays or was written before.
    for (; left > 0; ) {
      const bool odd = cell % 2 != 0, both = !odd && left > 1;
      bfloat* out = to + (cell / 2 * width + column) * 2;
      for (int64_t o = 0; o < c.c_out; o += 16) {
        const int64_t n = c.c_out - o;
        const __mmask16 mask = n >= 16 ? 0xffff : static_cast<__mmask16>((1u << n) - 1);
        __m512i v = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from + o));
        if (odd) {
          v = _mm512_or_si512(_mm512_slli_epi32(v, 16),
                              _mm512_maskz_loadu_epi32(mask, out + o * 2));
        } else if (both) {
          const __m512i next = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from + c.c_out + o));
          v = _mm512_or_si512(v, _mm512_slli_epi32(next, 16));
        }
        _mm512_mask_storeu_epi32(out + o * 2, mask, v);
      }
      const int64_t done = both ? 2 : 1;
      cell += done, left -= done, from += done * c.c_out;
    }
  }
}

// sums[m][n] += x[m] times dy[n] over the cells; MB tiles of rows at x[m], NB tiles of columns.
template <int MB, int NB>
void add_products(const bfloat* const* x, int64_t x_pitch, const bfloat* dy, int64_t dy_pitch,
                  int64_t chunks, float* const* sums) {
  const int64_t x_bytes = x_pitch * 2, dy_bytes = dy_pitch * 2;
  _tile_loadd(0, sums[0], 64);
  if constexpr (NB > 1) _tile_loadd(1, sums[0] + 256, 64);
  if constexpr (MB > 1) _tile_loadd(2, sums[1], 64);
  if constexpr (MB > 1 && NB > 1) _tile_loadd(3, sums[1] + 256, 64);
  if constexpr (MB > 2) _tile_loadd(3, sums[2], 64);
  for (int64_t i = 0; i < chunks; ++i, dy += kTile * dy_pitch) {
    _tile_loadd(6, dy, dy_bytes);
    if constexpr (NB > 1) _tile_loadd(7, dy + 32, dy_bytes);
    _tile_loadd(4, x[0] + i * kDepth, x_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (NB > 1) _tile_dpbf16ps(1, 4, 7);
    if constexpr (MB > 1) {
      _tile_loadd(5, x[1] + i * kDepth, x_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (NB > 1) _tile_dpbf16ps(3, 5, 7);
    }
    if constexpr (MB > 2) {
      _tile_loadd(7, x[2] + i * kDepth, x_bytes);
      _tile_dpbf16ps(3, 7, 6);
    }
  }
  _tile_stored(0, sums[0], 64);
  if constexpr (NB > 1) _tile_stored(1, sums[0] + 256, 64);
  if constexpr (MB > 1) _tile_stored(2, sums[1], 64);
  if constexpr (MB > 1 && NB > 1) _tile_stored(3, sums[1] + 256, 64);
  if constexpr (MB > 2) _tile_stored(3, sums[2], 64);
}

void tile_gradient_task(void* arg, int64_t task) {
  TileGradient& g = *static_cast<TileGradient*>(arg);
  const Conv& c = g.c;
  const TileGradientPlan& p = g.plan;
  const int64_t group = task / g.depth_tasks, part = task % g.depth_tasks;
  const int64_t first = p.depth_groups * part / g.depth_tasks;
  const int64_t last = p.depth_groups * (part + 1) / g.depth_tasks;
  const int64_t ring = c.kernel[0] + p.depths, width = p.col_tiles * kTile;
  const int64_t dy_slice = p.chunks * kDepth * width, per_tap = p.tile_rows * p.col_tiles * 256;
  const int64_t x_size = p.row_tiles * kTile * p.length;
  Buffer x_buffer, dy_buffer;
  if (!x_buffer.allocate(x_size * 2) || !dy_buffer.allocate(ring * dy_slice * 2)) {
    g.failed = true;
    return;
  }
  bfloat* const x = reinterpret_cast<bfloat*>(x_buffer.data);
  bfloat* const dy = reinterpret_cast<bfloat*>(dy_buffer.data);
  memset(x, 0, static_cast<size_t>(x_size) * 2);
  float* const sums = g.sums + group * p.size;
  memset(sums + first * c.kernel[1] * per_tap, 0,
         static_cast<size_t>((last - first) * c.kernel[1] * per_tap) * 4);
  const TilesInUse tiles;

  for (int64_t event = c.n * group / g.groups; event < c.n * (group + 1) / g.groups; ++event) {
    int64_t prepared = 0;
    for (int64_t s = 0; s < c.in[0]; ++s) {
      // Output d meets slice s through depth tap a = s + low - d; columns q of d hold output d - q.
      const int64_t newest = s + c.low[0];
      prepared = most(prepared, newest - c.kernel[0] + 1);
      bool turned = false;
      for (; prepared <= least(newest, c.out[0] + p.depths - 2); ++prepared) {
        bfloat* const to = dy + (prepared % ring) * dy_slice;
        memset(to, 0, static_cast<size_t>(dy_slice) * 2);
        for (int64_t q = 0; q < p.depths; ++q)
          if (prepared - q >= 0 && prepared - q < c.out[0])
            pair_slice(c, p, g.dy + (event * c.out[0] + prepared - q) * c.out[1] * c.out[2] * c.c_out,
                       q * c.c_out, to);
      }
      for (int64_t a = first; a < last; ++a) {
        const int64_t d = newest - a * p.depths;
        if (d < 0 || d > c.out[0] + p.depths - 2) continue;
        if (!turned)
          turn_slice(c, p, g.x + (event * c.in[0] + s) * c.in[1] * c.in[2] * c.c_in, x);
        turned = true;
        const bfloat* const dy_at = dy + (d % ring) * dy_slice;
        const int64_t block = p.col_tiles == 1 ? 3 : 2;
        for (int64_t b = 0; b < c.kernel[1]; ++b)
          for (int64_t m = 0; m < p.tile_rows; m += block) {
            const int64_t count = least(block, p.tile_rows - m);
            const bfloat* rows[3] = {};
            float* to[3] = {};
            for (int64_t n = 0; n < p.col_tiles; n += 2) {
              for (int64_t i = 0; i < count; ++i) {
                rows[i] = x + (m + i) % p.row_tiles * kTile * p.length +
                          (m + i) / p.row_tiles * p.shifts + b * p.plane.pitch;
                to[i] = sums + (a * c.kernel[1] + b) * per_tap + ((m + i) * p.col_tiles + n) * 256;
              }
              const bfloat* const column = dy_at + n * kTile * 2;
              if (p.col_tiles - n > 1)
                (count == 2 ? add_products<2, 2> : add_products<1, 2>)(rows, p.length, column, width * 2,
                                                                       p.chunks, to);
              else
                (count == 3   ? add_products<3, 1>
                 : count == 2 ? add_products<2, 1>
                              : add_products<1, 1>)(rows, p.length, column, width * 2, p.chunks, to);
            }
          }
      }
    }
  }
}

void add_tile_groups_task(void* arg, int64_t ab) {
  TileGradient& g = *static_cast<TileGradient*>(arg);
  const Conv& c = g.c;
  const TileGradientPlan& p = g.plan;
  const int64_t a = ab / c.kernel[1], b = ab % c.kernel[1];
  bfloat* to = g.dw + ab * c.kernel[2] * c.c_in * c.c_out;
  for (int64_t t = 0; t < c.kernel[2]; ++t)
    for (int64_t i = 0; i < c.c_in; ++i)
      for (int64_t o = 0; o < c.c_out; ++o) {
        const int64_t row = t % p.shifts * c.c_in + i, col = a % p.depths * c.c_out + o;
        const int64_t tile = t / p.shifts * p.row_tiles + row / kTile;
        const float* from =
            g.sums +
            (((a / p.depths * c.kernel[1] + b) * p.tile_rows + tile) * p.col_tiles + col / kTile) * 256 +
            row % kTile * kTile + col % kTile;
        float sum = 0;
        for (int64_t group = 0; group < g.groups; ++group) sum += from[group * p.size];
        from_float(sum, to++);
      }
}

bool kernel_gradient(const Conv& c, const void* x, const void* dy, void* dw, const Runner& runner) {
  if (!c.bf16 || !without_strides(c)) return avx512_kernels()->kernel_gradient(c, x, dy, dw, runner);
  const TileGradientPlan p = make_tile_gradient_plan(c);
  const int64_t groups = least(c.n, kGroups);
  const bool split = groups % runner.threads != 0 && groups < 4 * runner.threads;
  Buffer sums;
  if (!sums.allocate(groups * p.size * 4)) return false;
  TileGradient g{c, p, groups, split ? p.depth_groups : 1, static_cast<const bfloat*>(x),
                 static_cast<const bfloat*>(dy), static_cast<bfloat*>(dw),
                 reinterpret_cast<float*>(sums.data), false};
  runner.run(runner.pool, groups * g.depth_tasks, tile_gradient_task, &g);
  if (g.failed) return false;
  runner.run(runner.pool, c.kernel[0] * c.kernel[1], add_tile_groups_task, &g);
  return true;
}

// Linux hands out the tile registers on request only.
bool tiles_allowed() {
  constexpr long kRequest = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

}  // namespace

const Kernels* amx_kernels() {
  static const Kernels kernels = {"amx", forward, kernel_gradient};
  return HEPJAX_SUPPORTED && avx512_kernels() && tiles_allowed() ? &kernels : nullptr;
}

}  // namespace hepjax
