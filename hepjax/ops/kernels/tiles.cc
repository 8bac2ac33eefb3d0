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
constexpr int64_t kStripBytes = 192 << 10;  // of dy at work, in the second cache

// The intrinsics are assembly that neither the optimiser nor AddressSanitizer looks into: tell the
// first that memory is read and written, and touch all of a tile for the second.
inline void touch_tile([[maybe_unused]] const void* base, [[maybe_unused]] int64_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  for (int64_t row = 0; row < kTile; ++row)
    for (int64_t i = 0; i < 64; ++i)
      (void)static_cast<const volatile char*>(base)[row * bytes + i];
#endif
  __asm__ volatile("" ::: "memory");
}
#define LOAD_TILE(tile, base, bytes) \
  do {                               \
    touch_tile(base, bytes);         \
    _tile_loadd(tile, base, bytes);  \
  } while (0)
#define STORE_TILE(tile, base, bytes) \
  do {                                \
    touch_tile(base, bytes);          \
    _tile_stored(tile, base, bytes);  \
  } while (0)

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

}  // namespace
}  // namespace hepjax

#include "tiles_forward.h"
#include "tiles_gradient.h"

namespace hepjax {
namespace {

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
