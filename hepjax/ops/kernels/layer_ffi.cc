// The kernels of a layer as XLA custom calls.
#include "layer.h"
#include "pool.h"
#include "xla/ffi/api/ffi.h"

namespace hepjax {
namespace {

namespace ffi = xla::ffi;
using In = ffi::Buffer<ffi::F32>;
using Out = ffi::Result<ffi::Buffer<ffi::F32>>;

const LayerKernels* kernel_set() {
  static const LayerKernels* const best = [] {
    const LayerKernels* found = nullptr;
#ifdef HEPJAX_LAYER_AVX512
    if (!found) found = layer_avx512_kernels();
#endif
#ifdef HEPJAX_LAYER_AVX2
    if (!found) found = layer_avx2_kernels();
#endif
    return found ? found : layer_portable_kernels();
  }();
  return best;
}

ffi::Error read(Layer& l, In& x, In& w, In& scale, In& shift, float epsilon) {
  auto in = x.dimensions(), kernel = w.dimensions();
  if (in.size() != 2 || kernel.size() != 2 || kernel[0] != in[1] ||
      static_cast<int64_t>(scale.element_count()) != kernel[1] ||
      static_cast<int64_t>(shift.element_count()) != kernel[1])
    return ffi::Error::InvalidArgument("hepjax layer: shapes do not fit");
  l = {in[0], in[1], kernel[1], epsilon, x.typed_data(), w.typed_data(), scale.typed_data(), shift.typed_data()};
  return ffi::Error::Success();
}

// Whether an array (rows, out) is given once for all rows.
ffi::Error read_added(const Layer& l, ffi::AnyBuffer::Dimensions added, bool& alike) {
  if (added.size() != 2 || added[1] != l.out || (added[0] != 1 && added[0] != l.rows))
    return ffi::Error::InvalidArgument("hepjax layer: shapes do not fit");
  alike = added[0] == 1;
  return ffi::Error::Success();
}

ffi::Error finish(bool ok) {
  return ok ? ffi::Error::Success()
            : ffi::Error(ffi::ErrorCode::kResourceExhausted, "hepjax layer: out of memory");
}

ffi::Error forward(ffi::ThreadPool pool, In x, In w, In added, In scale, In shift, Out y, Out normal,
                   Out inverse, float epsilon) {
  Layer l{};
  LayerForward f{added.typed_data(), false, y->typed_data(), nullptr, nullptr};
  if (auto error = read(l, x, w, scale, shift, epsilon); error.failure()) return error;
  if (auto error = read_added(l, added.dimensions(), f.alike); error.failure()) return error;
  if (normal->element_count() > 0) f.normal = normal->typed_data(), f.inverse = inverse->typed_data();
  return finish(kernel_set()->forward(l, f, runner(pool)));
}

ffi::Error gradient(ffi::ThreadPool pool, In x, In w, In scale, In shift, In normal, In inverse, In dy,
                    Out dx, Out dw, Out dadded, Out dscale, Out dshift, float epsilon) {
  Layer l{};
  LayerGradient g{normal.typed_data(), inverse.typed_data(),  dy.typed_data(),      dx->typed_data(),
                  dw->typed_data(),    dscale->typed_data(), dshift->typed_data(), dadded->typed_data(),
                  false};
  if (auto error = read(l, x, w, scale, shift, epsilon); error.failure()) return error;
  if (auto error = read_added(l, dadded->dimensions(), g.alike); error.failure()) return error;
  return finish(kernel_set()->gradient(l, g, runner(pool)));
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(hepjax_layer, forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Ret<In>()
                                  .Ret<In>()
                                  .Ret<In>()
                                  .Attr<float>("epsilon"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(hepjax_layer_gradient, gradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Arg<In>()
                                  .Ret<In>()
                                  .Ret<In>()
                                  .Ret<In>()
                                  .Ret<In>()
                                  .Ret<In>()
                                  .Attr<float>("epsilon"));

}  // namespace hepjax
