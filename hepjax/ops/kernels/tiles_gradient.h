// Part of tiles.cc: the gradient to the kernel.
#pragma once

namespace hepjax {
namespace {

// For each pair (depth tap, second tap) a product over the cells of a plane of x: rows are
// (neighbouring depth taps, input channel), columns are (third tap, output channel). Cells lie along
// the rows of x, at a pitch whose zeros keep taps from reaching into the next row; dy is laid out as
// pairs of cells, once for each third tap, moved by it. The second tap is a step of whole rows.
struct TileGradientPlan {
  int64_t pitch, length, chunks, strip;      // cells to a row; of a row of x; steps of 32 cells
  int64_t depths, depth_groups, row_tiles;   // of x
  int64_t col_tiles, above, cells;           // of dy: cells before the first output; all cells
  int64_t size;                              // of the sums
};

TileGradientPlan make_tile_gradient_plan(const Conv& c) {
  TileGradientPlan p{};
  p.pitch = round_up(most(c.in[2] + most(0, c.low[2]),
                          c.out[2] + most(0, c.kernel[2] - 1 - c.low[2])), 2);
  p.chunks = divide_up(c.in[1] * p.pitch, kDepth);
  // An odd number of cache lines, so that the rows of a tile fall into different sets.
  p.length = round_up(p.chunks * kDepth, 64) + 32;
  int64_t rows = 0;
  for (int64_t depths = 1; depths <= least(16, c.kernel[0]); ++depths) {
    const int64_t groups = divide_up(c.kernel[0], depths), tiles = divide_up(depths * c.c_in, kTile);
    if (p.depths == 0 || groups * tiles < rows)
      p.depths = depths, p.depth_groups = groups, p.row_tiles = tiles, rows = groups * tiles;
  }
  p.col_tiles = divide_up(c.kernel[2] * c.c_out, kTile);
  p.strip = most(16, kStripBytes / (p.col_tiles * kTileElements * 2));
  p.above = most(0, c.kernel[1] - 1 - c.low[1]) * p.pitch + round_up(most(0, c.low[2]), 2);
  const int64_t below = most(0, c.low[1]) * p.pitch + p.chunks * kDepth;
  const int64_t written = c.out[1] * p.pitch + c.kernel[2] + most(0, -c.low[2]);
  p.cells = round_up(p.above + most(below, written), 2) + 2;
  p.size = p.depth_groups * c.kernel[1] * p.row_tiles * p.col_tiles * 256;
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

// One slice of x, (h, w, channel), as rows of cells, one row to a channel.
void turn_slice(const Conv& c, const TileGradientPlan& p, const bfloat* x, bfloat* to) {
  const __m512i lanes = _mm512_mullo_epi32(
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
      _mm512_set1_epi32(static_cast<int>(c.c_in)));
  const bool pairs = c.c_in % 2 == 0;  // then two channels are fetched at once
  for (int64_t h = 0; h < c.in[1]; ++h) {
    const bfloat* from = x + h * c.in[2] * c.c_in;
    bfloat* out = to + h * p.pitch;
    for (int64_t i = 0; !pairs && i < c.c_in; ++i)
      for (int64_t at = 0; at < c.in[2]; ++at) out[i * p.length + at] = from[at * c.c_in + i];
    for (int64_t at = 0; pairs && at < c.in[2]; at += 16) {
      const int64_t left = c.in[2] - at;
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
}

// Slices s, s + 1, ... of x, as many as there are neighbouring depth taps; `previous` is the same
// from s - 1 on, or null.
void turn_slices(const Conv& c, const TileGradientPlan& p, const bfloat* event, int64_t s,
                 const bfloat* previous, bfloat* to) {
  const int64_t rows = c.c_in * p.length;
  for (int64_t i = 0; i < p.depths; ++i) {
    if (s + i < 0 || s + i >= c.in[0])
      memset(to + i * rows, 0, static_cast<size_t>(rows) * 2);
    else if (previous && i + 1 < p.depths)
      memcpy(to + i * rows, previous + (i + 1) * rows, static_cast<size_t>(rows) * 2);
    else
      turn_slice(c, p, event + (s + i) * c.in[1] * c.in[2] * c.c_in, to + i * rows);
  }
}

// One slice of dy, (h, w, channel), as [pair of cells][third tap, channel][2].
void pair_slice(const Conv& c, const TileGradientPlan& p, const bfloat* dy, bfloat* to) {
  const int64_t width = p.col_tiles * kTile * 2;
  for (int64_t h = 0; h < c.out[1]; ++h)
    for (int64_t t = 0; t < c.kernel[2]; ++t) {
      const bfloat* from = dy + h * c.out[2] * c.c_out;
      int64_t cell = p.above + h * p.pitch + t - c.low[2], left = c.out[2];
      while (left > 0) {
        const bool odd = cell % 2 != 0, both = !odd && left > 1;
        bfloat* const out = to + cell / 2 * width + t * c.c_out * 2;
        for (int64_t o = 0; o < c.c_out; o += 16) {
          const int64_t n = c.c_out - o;
          const __mmask16 mask = n >= 16 ? 0xffff : static_cast<__mmask16>((1u << n) - 1);
          __m512i v = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from + o));
          if (odd) {  // the first of the pair is a margin, or the end of the row before
            const __m512i before = _mm512_maskz_loadu_epi32(mask, out + o * 2);
            v = _mm512_or_si512(_mm512_slli_epi32(v, 16),
                                _mm512_and_si512(before, _mm512_set1_epi32(0xffff)));
          } else if (both) {
            const __m512i next =
                _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from + c.c_out + o));
            v = _mm512_or_si512(v, _mm512_slli_epi32(next, 16));
          }
          _mm512_mask_storeu_epi32(out + o * 2, mask, v);
        }
        const int64_t done = both ? 2 : 1;
        cell += done, left -= done, from += done * c.c_out;
      }
    }
}

// sums[m][n] += x[m] times dy[n] over the cells; NB tiles of columns, side by side.
template <int MB, int NB>
void add_products(const bfloat* const* x, int64_t x_bytes, const bfloat* dy, int64_t width,
                  int64_t chunks, float* const* sums) {
  LOAD_TILE(0, sums[0], 64);
  if constexpr (NB > 1) LOAD_TILE(1, sums[0] + 256, 64);
  if constexpr (NB > 2) LOAD_TILE(2, sums[0] + 512, 64);
  if constexpr (MB > 1) LOAD_TILE(3, sums[1], 64);
  if constexpr (MB > 1 && NB > 1) LOAD_TILE(4, sums[1] + 256, 64);
  if constexpr (MB > 1 && NB > 2) LOAD_TILE(5, sums[1] + 512, 64);
  for (int64_t i = 0; i < chunks; ++i, dy += kTile * width) {
    LOAD_TILE(6, x[0] + i * kDepth, x_bytes);
    LOAD_TILE(7, dy, width * 2);
    _tile_dpbf16ps(0, 6, 7);
    if constexpr (NB > 1) {
      LOAD_TILE(7, dy + 32, width * 2);
      _tile_dpbf16ps(1, 6, 7);
    }
    if constexpr (NB > 2) {
      LOAD_TILE(7, dy + 64, width * 2);
      _tile_dpbf16ps(2, 6, 7);
    }
    if constexpr (MB > 1) {
      LOAD_TILE(6, x[1] + i * kDepth, x_bytes);
      if constexpr (NB > 2) _tile_dpbf16ps(5, 6, 7);
      if constexpr (NB > 1) {
        if constexpr (NB > 2) LOAD_TILE(7, dy + 32, width * 2);
        _tile_dpbf16ps(4, 6, 7);
        LOAD_TILE(7, dy, width * 2);
      }
      _tile_dpbf16ps(3, 6, 7);
    }
  }
  STORE_TILE(0, sums[0], 64);
  if constexpr (NB > 1) STORE_TILE(1, sums[0] + 256, 64);
  if constexpr (NB > 2) STORE_TILE(2, sums[0] + 512, 64);
  if constexpr (MB > 1) STORE_TILE(3, sums[1], 64);
  if constexpr (MB > 1 && NB > 1) STORE_TILE(4, sums[1] + 256, 64);
  if constexpr (MB > 1 && NB > 2) STORE_TILE(5, sums[1] + 512, 64);
}

// Products of the row tiles at x with one slice of dy, for one second tap and a strip of cells.
void add_row_tiles(const Conv& c, const TileGradientPlan& p, const bfloat* const* x, float* const* sums,
                   int64_t n_tiles, const bfloat* dy, int64_t b, int64_t strip) {
  const int64_t width = p.col_tiles * kTile * 2, moved = (b - c.low[1]) * p.pitch;
  // Steps of cells that meet an output at all.
  const int64_t before = most(0, moved - most(0, c.low[2])), outputs = c.out[1] * p.pitch;
  const int64_t first = most(strip * p.strip, before / kDepth);
  const int64_t end = moved + outputs + c.kernel[2] + most(0, -c.low[2]);
  const int64_t last = end <= 0 ? 0 : least(least(p.chunks, (strip + 1) * p.strip), divide_up(end, kDepth));
  if (first >= last) return;
  const bfloat* const start = dy + (p.above + first * kDepth - moved) / 2 * width;
  for (int64_t m = 0; m < n_tiles; m += 2) {
    const bool two = n_tiles - m > 1;
    const bfloat* const rows[2] = {x[m] + first * kDepth, two ? x[m + 1] + first * kDepth : nullptr};
    for (int64_t n = 0; n < p.col_tiles; n += 3) {
      float* const to[2] = {sums[m] + n * 256, two ? sums[m + 1] + n * 256 : nullptr};
      const int64_t count = least(3, p.col_tiles - n);
      const auto run = two ? (count == 3   ? add_products<2, 3>
                              : count == 2 ? add_products<2, 2>
                                           : add_products<2, 1>)
                           : (count == 3   ? add_products<1, 3>
                              : count == 2 ? add_products<1, 2>
                                           : add_products<1, 1>);
      run(rows, p.length * 2, start + n * kTile * 2, width, last - first, to);
    }
  }
}

void tile_gradient_task(void* arg, int64_t task) {
  TileGradient& g = *static_cast<TileGradient*>(arg);
  const Conv& c = g.c;
  const TileGradientPlan& p = g.plan;
  const int64_t group = task / g.depth_tasks, part = task % g.depth_tasks;
  const int64_t first = p.depth_groups * part / g.depth_tasks;
  const int64_t last = p.depth_groups * (part + 1) / g.depth_tasks;
  const int64_t ring = p.depth_groups * p.depths, slice = p.row_tiles * kTile * p.length;
  const int64_t dy_slice = p.cells / 2 * p.col_tiles * kTile * 2, tap = p.row_tiles * p.col_tiles * 256;
  const int64_t tiles_at_once = p.depth_groups * p.row_tiles;
  Buffer x_buffer, dy_buffer, lists;
  if (!x_buffer.allocate(ring * slice * 2) || !dy_buffer.allocate(dy_slice * 2) ||
      !lists.allocate(tiles_at_once * 16)) {
    g.failed = true;
    return;
  }
  bfloat* const x = reinterpret_cast<bfloat*>(x_buffer.data);
  bfloat* const dy = reinterpret_cast<bfloat*>(dy_buffer.data);
  const bfloat** const rows = reinterpret_cast<const bfloat**>(lists.data);
  float** const to = reinterpret_cast<float**>(lists.data) + tiles_at_once;
  memset(x, 0, static_cast<size_t>(ring * slice) * 2);
  memset(dy, 0, static_cast<size_t>(dy_slice) * 2);
  float* const sums = g.sums + group * p.size;
  memset(sums + first * c.kernel[1] * tap, 0,
         static_cast<size_t>((last - first) * c.kernel[1] * tap) * 4);
  const TilesInUse tiles;

  for (int64_t event = c.n * group / g.groups; event < c.n * (group + 1) / g.groups; ++event) {
    const bfloat* const x_event = g.x + event * c.in[0] * c.in[1] * c.in[2] * c.c_in;
    bool have_previous = false;
    int64_t prepared = 0;
    for (int64_t d = 0; d < c.out[0]; ++d) {
      // Output d meets slices s, s + 1, ... of x through the depth taps of a group.
      const int64_t oldest = d - c.low[0] + first * p.depths;
      const int64_t newest = d - c.low[0] + (last - 1) * p.depths;
      if (newest + p.depths <= 0 || oldest >= c.in[0]) continue;
      if (!have_previous || prepared < oldest) prepared = most(oldest, 1 - p.depths), have_previous = false;
      for (; prepared <= least(newest, c.in[0] - 1); ++prepared) {
        const int64_t slot = (prepared + p.depths + ring) % ring;
        turn_slices(c, p, x_event, prepared, have_previous ? x + (slot + ring - 1) % ring * slice : nullptr,
                    x + slot * slice);
        have_previous = true;
      }
      pair_slice(c, p, g.dy + (event * c.out[0] + d) * c.out[1] * c.out[2] * c.c_out, dy);
      for (int64_t strip_tap = 0; strip_tap < divide_up(p.chunks, p.strip) * c.kernel[1]; ++strip_tap) {
        const int64_t b = strip_tap % c.kernel[1];
        int64_t n_tiles = 0;
        for (int64_t a = first; a < last; ++a) {
          const int64_t s = d - c.low[0] + a * p.depths;
          if (s + p.depths <= 0 || s >= c.in[0]) continue;
          for (int64_t i = 0; i < p.row_tiles; ++i, ++n_tiles) {
            rows[n_tiles] = x + (s + p.depths + ring) % ring * slice + i * kTile * p.length;
            to[n_tiles] = sums + (a * c.kernel[1] + b) * tap + i * p.col_tiles * 256;
          }
        }
        add_row_tiles(c, p, rows, to, n_tiles, dy, b, strip_tap / c.kernel[1]);
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
        const int64_t row = a % p.depths * c.c_in + i, col = t * c.c_out + o;
        const int64_t tap = a / p.depths * c.kernel[1] + b;
        const float* from =
            g.sums + ((tap * p.row_tiles + row / kTile) * p.col_tiles + col / kTile) * 256 +
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

}  // namespace
}  // namespace hepjax
