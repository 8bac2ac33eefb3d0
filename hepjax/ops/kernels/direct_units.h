// Part of direct.cc: what is multiplied at once, a float or a pair of bfloat16 values.
//
// With HEPJAX_PAIRS the processor's dot product of bfloat16 adds two products to each float lane.
// A unit is then a pair: two channels of a cell, two cells of a row that has one channel, or, in the
// kernel gradient, two neighbouring outputs.
#pragma once

namespace hepjax {
namespace {

template <typename P>
inline vec load(const P* p) {
  vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, vec v) { __builtin_memcpy(p, &v, sizeof v); }

inline void zero(void* p, int64_t units) { memset(p, 0, static_cast<size_t>(units) * 4); }

#ifdef HEPJAX_PAIRS

constexpr int64_t kPer = 2;  // values in a unit
typedef uint32_t unit;
typedef bfloat value;  // of a row that is read in any direction

inline vec add_products(vec sum, vec a, vec b) {
  return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
inline vec add_products(vec sum, unit s, vec b) {
  return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)b, (__m512bh)_mm512_set1_epi32((int)s));
}
inline unit pair(bfloat first, bfloat second) {
  return static_cast<unit>(first) | static_cast<unit>(second) << 16;
}

// Units of a cell of c channels; with one channel a unit is this cell and the next one.
inline int64_t units_of(int64_t c) { return divide_up(c, 2); }
// Units of so many taps of c channels.
inline int64_t units_of(int64_t taps, int64_t c) {
  return c == 1 ? divide_up(taps, 2) : taps * units_of(c);
}
// Where the value (tap, channel) lies among the units of the taps: 2 * unit + place in it.
inline int64_t place_of(int64_t tap, int64_t i, int64_t c) {
  return c == 1 ? tap : 2 * (tap * units_of(c) + i / 2) + i % 2;
}
inline void put(unit* units, int64_t unit_step, int64_t place, float v) {
  from_float(v, reinterpret_cast<bfloat*>(units + place / 2 * unit_step) + place % 2);
}
// Unit i of the cell at `from`; `last` says that no cell follows in the row.
inline unit unit_at(const bfloat* from, int64_t i, int64_t c, bool last) {
  if (c == 1) return pair(from[0], last ? bfloat{0} : from[1]);
  return pair(from[2 * i], 2 * i + 1 < c ? from[2 * i + 1] : bfloat{0});
}
inline void stage(bfloat from, bfloat* to) { *to = from; }

// Pairs of values that are `apart` in a row; past the end of the row stands zero.
inline void pair_up(const bfloat* row, int64_t length, int64_t apart, unit* out) {
  const int64_t both = most(0, length - apart);
  for (int64_t i = 0; i < both; ++i) out[i] = pair(row[i], row[i + apart]);
  for (int64_t i = both; i < length; ++i) out[i] = row[i];
}

#else

constexpr int64_t kPer = 1;
typedef float unit;
typedef float value;

inline vec add_products(vec sum, vec a, vec b) { return sum + a * b; }
inline vec add_products(vec sum, unit s, vec b) { return sum + s * b; }
inline int64_t units_of(int64_t c) { return c; }
inline int64_t units_of(int64_t taps, int64_t c) { return taps * c; }
inline int64_t place_of(int64_t tap, int64_t i, int64_t c) { return tap * c + i; }
inline void put(unit* units, int64_t unit_step, int64_t place, float v) { units[place * unit_step] = v; }
template <typename T>
inline unit unit_at(const T* from, int64_t i, int64_t, bool) {
  return to_float(from[i]);
}
template <typename T>
inline void stage(T from, float* to) {
  *to = to_float(from);
}
inline void pair_up(const float* row, int64_t length, int64_t, unit* out) {
  memcpy(out, row, static_cast<size_t>(length) * 4);
}

#endif

}  // namespace
}  // namespace hepjax
