// Part of direct.cc: the gradient to the kernel.
#pragma once

namespace hepjax {
namespace {

// dw[a, b] is a matrix product over all outputs: u (in lanes, N vectors) times v (M scalars), where
// {u, v} are the run (tap, channel) of x from the output on, and dy, whichever fills lanes better.
struct GradientPlan {
  bool run_in_lanes;
  int64_t run, lanes, scalars, vectors, vector_blocks, m, m_blocks, tile, size;
};

typedef void (*GradientTile)(const unit* u, int64_t u_step, int64_t u_row, const unit* v,
                             int64_t v_step, int64_t v_row, int64_t rows, int64_t cells, float* sums);

template <int M, int N>
void gradient_tile(const unit* u, int64_t u_step, int64_t u_row, const unit* v, int64_t v_step,
                   int64_t v_row, int64_t rows, int64_t cells, float* sums) {
  vec acc[M][N];
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) acc[m][n] = load(sums + (m * N + n) * V);
  for (int64_t r = 0; r < rows; ++r, u += u_row, v += v_row) {
    const unit *up = u, *vp = v;
    for (int64_t i = 0; i < cells; i += kPer, up += u_step, vp += v_step) {
      vec uv[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) uv[n] = load(up + n * V);
#pragma GCC unroll 28
      for (int m = 0; m < M; ++m) {
        const unit s = vp[m];
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) acc[m][n] = add_products(acc[m][n], s, uv[n]);
      }
    }
  }
#pragma GCC unroll 28
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) store(sums + (m * N + n) * V, acc[m][n]);
}

template <int M = kAccumulators / kMaxVectors, int N = kMaxVectors>
GradientTile find_gradient_tile(int64_t m, int64_t n) {
  if constexpr (N == 0) return nullptr;
  else if constexpr (M == 0) return find_gradient_tile<kAccumulators / most(1, N - 1), N - 1>(m, n);
  else if (n != N) return find_gradient_tile<0, N>(m, n);
  else return m == M ? gradient_tile<M, N> : find_gradient_tile<M - 1, N>(m, n);
}

GradientPlan make_gradient_plan(const Conv& c) {
  GradientPlan best{};
  double best_cost = 0;
  for (int side = 0; side < 2; ++side) {
    for (int64_t n = 1; n <= kMaxVectors; ++n) {
      for (int64_t m = 1; m <= kAccumulators / n; ++m) {
        GradientPlan p{};
        p.run_in_lanes = side == 0;
        p.run = c.kernel[2] * c.c_in;
        p.lanes = side == 0 ? p.run : c.c_out;
        p.scalars = side == 0 ? c.c_out : p.run;
        p.vectors = n;
        p.vector_blocks = divide_up(divide_up(p.lanes, V), n);
        p.m = m;
        p.m_blocks = divide_up(p.scalars, m);
        p.tile = m * n * V;
        p.size = c.kernel[0] * c.kernel[1] * p.vector_blocks * p.m_blocks * p.tile;
        double products = 0.5 * static_cast<double>(m * n);
        double loads = 0.5 * static_cast<double>(m + n);
        double cycles = products > loads ? products : loads;
        double cost = (cycles > 4 ? cycles : 4) * static_cast<double>(p.vector_blocks * p.m_blocks);
        if (best.m == 0 || cost < best_cost) best = p, best_cost = cost;
      }
    }
  }
  return best;
}

template <typename T>
struct Gradient {
  const Conv& c;
  GradientPlan plan;
  int64_t groups, depth_tasks;  // tasks are (group of events, depth taps)
  const T* x;
  const T* dy;
  T* dw;
  float* sums;  // [group][a][b][vector block][m block][m][lane]
  volatile bool failed;
};

template <typename T>
void gradient_task(void* arg, int64_t task) {
  Gradient<T>& g = *static_cast<Gradient<T>*>(arg);
  const Conv& c = g.c;
  const GradientPlan& p = g.plan;
  const int64_t group = task / g.depth_tasks, part = task % g.depth_tasks;
  const int64_t a_first = c.kernel[0] * part / g.depth_tasks;
  const int64_t a_last = c.kernel[0] * (part + 1) / g.depth_tasks;
  const int64_t width = (c.out[2] - 1) * c.stride[2] + c.kernel[2], row = width * c.c_in;
  const int64_t ring = least(c.in[0], c.kernel[0]), slice = c.in[1] * row;
  // Slack: the last vector and the last block of scalars reach past the end of a run.
  const int64_t slack = p.vector_blocks * p.vectors * V + p.m_blocks * p.m;
  const int64_t dy_row = c.out[2] * c.c_out, dy_slice = c.out[1] * dy_row;
  const int64_t strip = most(1, 4 * kStripBytes / ((c.stride[1] * row + dy_row) * 4));
  Buffer x_buffer, dy_buffer, row_buffer;
  if (!x_buffer.allocate((ring * slice + slack) * 4) || !dy_buffer.allocate((dy_slice + slack) * 4) ||
      !row_buffer.allocate(most(row, dy_row) * sizeof(value))) {
    g.failed = true;
    return;
  }
  unit* const x = reinterpret_cast<unit*>(x_buffer.data);
  unit* const dy = reinterpret_cast<unit*>(dy_buffer.data);
  value* const values = reinterpret_cast<value*>(row_buffer.data);
  zero(x + ring * slice, slack);
  zero(dy + dy_slice, slack);
  float* const sums = g.sums + group * p.size;
  const int64_t block_tiles = p.vector_blocks * p.m_blocks;
  memset(sums + a_first * c.kernel[1] * block_tiles * p.tile, 0,
         static_cast<size_t>((a_last - a_first) * c.kernel[1] * block_tiles * p.tile) * 4);
  const GradientTile run = find_gradient_tile(p.m, p.vectors);

  for (int64_t event = c.n * group / g.groups; event < c.n * (group + 1) / g.groups; ++event) {
    int64_t prepared = 0;
    for (int64_t d = 0; d < c.out[0]; ++d) {
      Taps a = valid_taps(c, 0, d);
      a = {most(a.first, a_first), least(a.last, a_last)};
      if (a.first >= a.last) continue;
      const int64_t at_d = d * c.stride[0] - c.low[0];
      prepared = most(prepared, at_d + a.first);
      for (; prepared < at_d + a.last; ++prepared)
        for (int64_t h = 0; h < c.in[1]; ++h) {
          const T* from = g.x + (((event * c.in[0] + prepared) * c.in[1] + h) * c.in[2]) * c.c_in;
          pad_row(c, from, width, values);
          pair_up(values, row, c.stride[2] * c.c_in, x + (prepared % ring) * slice + h * row);
        }
      const T* from = g.dy + (event * c.out[0] + d) * dy_slice;
      for (int64_t h = 0; h < c.out[1]; ++h) {
        for (int64_t i = 0; i < dy_row; ++i) stage(from[h * dy_row + i], values + i);
        pair_up(values, dy_row, c.c_out, dy + h * dy_row);
      }
      for (int64_t top = 0; top < c.out[1]; top += strip)
        for (int64_t i = a.first; i < a.last; ++i)
          for (int64_t b = 0; b < c.kernel[1]; ++b) {
            Taps h = valid_outputs(c, 1, b);
            h = {most(h.first, top), least(h.last, top + strip)};
            if (h.first >= h.last) continue;
            const unit* xp = x + ((at_d + i) % ring) * slice +
                              (h.first * c.stride[1] + b - c.low[1]) * row;
            const unit* dyp = dy + h.first * dy_row;
            float* to = sums + (i * c.kernel[1] + b) * block_tiles * p.tile;
            for (int64_t n = 0; n < p.vector_blocks; ++n)
              for (int64_t m = 0; m < p.m_blocks; ++m, to += p.tile) {
                const int64_t dy_step = c.c_out * kPer;
                const int64_t lane = n * p.vectors * V, scalar = m * p.m;
                const int64_t x_step = c.stride[2] * c.c_in * kPer, x_row = c.stride[1] * row;
                if (p.run_in_lanes)
                  run(xp + lane, x_step, x_row, dyp + scalar, dy_step, dy_row, h.last - h.first,
                      c.out[2], to);
                else
                  run(dyp + lane, dy_step, dy_row, xp + scalar, x_step, x_row, h.last - h.first,
                      c.out[2], to);
              }
          }
    }
  }
}

template <typename T>
void add_groups_task(void* arg, int64_t ab) {
  Gradient<T>& g = *static_cast<Gradient<T>*>(arg);
  const Conv& c = g.c;
  const GradientPlan& p = g.plan;
  for (int64_t r = 0; r < p.run; ++r)
    for (int64_t o = 0; o < c.c_out; ++o) {
      const int64_t lane = p.run_in_lanes ? r : o, scalar = p.run_in_lanes ? o : r;
      const int64_t n = lane / (p.vectors * V), m = scalar / p.m;
      const float* from = g.sums + ((ab * p.vector_blocks + n) * p.m_blocks + m) * p.tile +
                          (scalar % p.m) * p.vectors * V + lane % (p.vectors * V);
      float sum = 0;
      for (int64_t group = 0; group < g.groups; ++group) sum += from[group * p.size];
      from_float(sum, g.dw + (ab * p.run + r) * c.c_out + o);
    }
}

template <typename T>
bool kernel_gradient_of(const Conv& c, const void* x, const void* dy, void* dw, const Runner& runner) {
  const GradientPlan p = make_gradient_plan(c);
  const int64_t groups = least(c.n, kGroups);
  const bool split = groups % runner.threads != 0 && groups < 4 * runner.threads;
  Buffer sums;
  if (!sums.allocate(groups * p.size * 4)) return false;
  Gradient<T> g{c, p, groups, split ? c.kernel[0] : 1, static_cast<const T*>(x),
                static_cast<const T*>(dy), static_cast<T*>(dw), reinterpret_cast<float*>(sums.data),
                false};
  runner.run(runner.pool, groups * g.depth_tasks, gradient_task<T>, &g);
  if (g.failed) return false;
  runner.run(runner.pool, c.kernel[0] * c.kernel[1], add_groups_task<T>, &g);
  return true;
}

}  // namespace
}  // namespace hepjax
