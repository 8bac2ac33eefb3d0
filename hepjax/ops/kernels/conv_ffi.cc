// The kernels of the convolution as XLA custom calls: reads buffers and attributes, and picks the
// instruction set.
#include <cstring>

#include "conv.h"
#include "pool.h"
#include "xla/ffi/api/ffi.h"

namespace hepjax {
namespace {

namespace ffi = xla::ffi;

const Kernels* kernel_set([[maybe_unused]] bool bf16) {
  static const Kernels* const vectors = [] {
    const Kernels* best = nullptr;
#ifdef HEPJAX_AVX512
    if (!best) best = avx512_kernels();
#endif
#ifdef HEPJAX_AVX2
    if (!best) best = avx2_kernels();
#endif
    return best ? best : portable_kernels();
  }();
#ifdef HEPJAX_AMX
  static const Kernels* const tiles = amx_kernels();
  if (bf16 && tiles) return tiles;
#endif
#ifdef HEPJAX_BF16
  static const Kernels* const pairs = bf16_kernels();
  if (bf16 && pairs) return pairs;
#endif
  return vectors;
}

ffi::Error read(Conv& c, ffi::AnyBuffer x, ffi::AnyBuffer::Dimensions kernel, ffi::AnyBuffer::Dimensions out,
                ffi::Span<const int64_t> strides, ffi::Span<const int64_t> low) {
  auto in = x.dimensions();
  if (in.size() != 5 || kernel.size() != 5 || out.size() != 5 || strides.size() != 3 || low.size() != 3)
    return ffi::Error::InvalidArgument("hepjax conv3d: expected arrays of rank 5");
  if (x.element_type() != ffi::DataType::F32 && x.element_type() != ffi::DataType::BF16)
    return ffi::Error::InvalidArgument("hepjax conv3d: expected float32 or bfloat16");
  c.bf16 = x.element_type() == ffi::DataType::BF16;
  c.n = in[0];
  for (int i = 0; i < 3; ++i) {
    c.in[i] = in[i + 1], c.kernel[i] = kernel[i], c.out[i] = out[i + 1];
    c.stride[i] = strides[i], c.low[i] = low[i];
  }
  return ffi::Error::Success();
}

ffi::Error finish(bool ok) {
  return ok ? ffi::Error::Success()
            : ffi::Error(ffi::ErrorCode::kResourceExhausted, "hepjax conv3d: out of memory");
}

ffi::Error forward(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer w, ffi::Result<ffi::AnyBuffer> y,
                   ffi::Span<const int64_t> strides, ffi::Span<const int64_t> low, bool flipped) {
  Conv c{};
  if (auto error = read(c, x, w.dimensions(), y->dimensions(), strides, low); error.failure()) return error;
  c.flipped = flipped;
  c.c_in = w.dimensions()[flipped ? 4 : 3];
  c.c_out = w.dimensions()[flipped ? 3 : 4];
  if (c.c_in != x.dimensions()[4] || c.c_out != y->dimensions()[4] || c.n != y->dimensions()[0])
    return ffi::Error::InvalidArgument("hepjax conv3d: shapes do not fit");
  if (y->element_count() == 0) return ffi::Error::Success();
  return finish(kernel_set(c.bf16)->forward(c, x.untyped_data(), w.untyped_data(), y->untyped_data(), runner(pool)));
}

ffi::Error kernel_gradient(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer dy,
                           ffi::Result<ffi::AnyBuffer> dw, ffi::Span<const int64_t> strides,
                           ffi::Span<const int64_t> low) {
  Conv c{};
  if (auto error = read(c, x, dw->dimensions(), dy.dimensions(), strides, low); error.failure()) return error;
  c.c_in = dw->dimensions()[3], c.c_out = dw->dimensions()[4];
  if (c.c_in != x.dimensions()[4] || c.c_out != dy.dimensions()[4] || c.n != dy.dimensions()[0])
    return ffi::Error::InvalidArgument("hepjax conv3d: shapes do not fit");
  if (dy.element_count() == 0) {
    std::memset(dw->untyped_data(), 0, dw->size_bytes());
    return ffi::Error::Success();
  }
  return finish(
      kernel_set(c.bf16)->kernel_gradient(c, x.untyped_data(), dy.untyped_data(), dw->untyped_data(), runner(pool)));
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(hepjax_conv3d, forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const int64_t>>("strides")
                                  .Attr<ffi::Span<const int64_t>>("low")
                                  .Attr<bool>("flipped"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(hepjax_conv3d_kernel_gradient, kernel_gradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const int64_t>>("strides")
                                  .Attr<ffi::Span<const int64_t>>("low"));

extern "C" const char* hepjax_kernel_set(int bf16) { return kernel_set(bf16 != 0)->name; }

}  // namespace hepjax
