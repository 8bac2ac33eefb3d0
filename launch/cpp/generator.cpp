// Runs an exported generator as a Geant4 fast-simulation model does: one shower a call, one thread.
//
//   hepjax export RUN --format onnx --target par04 --out model.onnx
//   ./generator model.onnx 1000          prints ms a shower, MB, and the mean visible energy
//
// The input is that of the target par04 with noise inside: [E GeV, phi, theta, five geometries].

#include <onnxruntime_cxx_api.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

static double megabytes() {
  long total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * 4096.0 / 1e6;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "generator: expected MODEL.onnx [SHOWERS], found nothing\n");
    return 2;
  }
  const int showers = argc > 2 ? std::atoi(argv[2]) : 1000;
  const double before = megabytes();
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "hepjax");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  options.SetInterOpNumThreads(1);
  Ort::Session session(env, argv[1], options);

  Ort::AllocatorWithDefaultOptions allocator;
  const auto in_name = session.GetInputNameAllocated(0, allocator);
  const auto out_name = session.GetOutputNameAllocated(0, allocator);
  const char* inputs[] = {in_name.get()};
  const char* outputs[] = {out_name.get()};
  std::vector<float> asked = {50.f, 0.f, 1.5707963f, 1.f, 0.f, 0.f, 0.f, 0.f};
  const std::vector<int64_t> shape = {1, static_cast<int64_t>(asked.size())};
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto tensor = Ort::Value::CreateTensor<float>(
      memory, asked.data(), asked.size(), shape.data(), shape.size());

  double visible = 0;
  std::chrono::steady_clock::time_point start;
  for (int shower = -1; shower < showers; ++shower) {  // the first call prepares
    if (shower == 0) start = std::chrono::steady_clock::now();
    auto answer = session.Run(Ort::RunOptions{nullptr}, inputs, &tensor, 1, outputs, 1);
    const float* cells = answer[0].GetTensorData<float>();
    const size_t count = answer[0].GetTensorTypeAndShapeInfo().GetElementCount();
    if (shower >= 0) visible += std::accumulate(cells, cells + count, 0.0);
  }
  const std::chrono::duration<double, std::milli> spent =
      std::chrono::steady_clock::now() - start;
  std::printf("%.3f ms a shower, %.0f MB, %.4f GeV visible of %.0f GeV\n",
              spent.count() / showers, megabytes() - before, visible / showers, asked[0]);
  return 0;
}
