// Runs an exported generator as a Geant4 fast-simulation model does: one shower a call, every thread
// on its own, one session for all of them. No Python.
//
//   generator MODEL.onnx INPUTS LAYERS [SHOWERS [THREADS]]
//
// INPUTS  file of float32 numbers: for each shower those of all inputs of the model in their order,
//         such as the energy and then the noise. It is read again from the beginning if it ends.
// LAYERS  cells of a shower along the last axis, which is the depth in a box or a mesh of Par04.
//
// It prints times, memory, and the mean energy of each layer in the unit of the model.

#include <onnxruntime_cxx_api.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static double megabytes() {
  long total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

// A model whose open sizes are 1, and the numbers that it is given.
struct Generator {
  Ort::Env env{ORT_LOGGING_LEVEL_WARNING, "hepjax"};
  Ort::Session session{nullptr};
  std::vector<std::string> names;
  std::vector<std::vector<int64_t>> shapes;
  std::vector<size_t> sizes;
  std::string output;
  std::vector<float> inputs;
  size_t numbers = 0;  // of one shower

  Generator(const char* model, const char* file) {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    options.SetInterOpNumThreads(1);
    session = Ort::Session(env, model, options);
    Ort::AllocatorWithDefaultOptions allocator;
    for (size_t k = 0; k < session.GetInputCount(); numbers += sizes[k++]) {
      names.push_back(session.GetInputNameAllocated(k, allocator).get());
      shapes.push_back(session.GetInputTypeInfo(k).GetTensorTypeAndShapeInfo().GetShape());
      sizes.push_back(1);
      for (auto& size : shapes[k]) sizes[k] *= size = std::max<int64_t>(size, 1);
    }
    output = session.GetOutputNameAllocated(0, allocator).get();
    std::ifstream stream(file, std::ios::binary | std::ios::ate);
    const long bytes = stream ? static_cast<long>(stream.tellg()) : 0, one = 4 * numbers;
    if (bytes == 0 || bytes % one)
      throw std::runtime_error(std::string(file) + ": expected a multiple of " +
                               std::to_string(one) + " bytes, found " + std::to_string(bytes));
    inputs.resize(bytes / 4);
    stream.seekg(0).read(reinterpret_cast<char*>(inputs.data()), bytes);
  }

  // Adds the energies of showers first, first + step, ... to those of the layers.
  void run(int first, int showers, int step, std::vector<double>& layers) {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const char* wanted = output.c_str();
    std::vector<const char*> asked;
    for (const auto& name : names) asked.push_back(name.c_str());
    for (int shower = first; shower < showers; shower += step) {
      float* next = inputs.data() + shower % (inputs.size() / numbers) * numbers;
      std::vector<Ort::Value> given;
      for (size_t k = 0; k < names.size(); next += sizes[k++])
        given.push_back(Ort::Value::CreateTensor<float>(memory, next, sizes[k], shapes[k].data(),
                                                        shapes[k].size()));
      const auto answer = session.Run(Ort::RunOptions{nullptr}, asked.data(), given.data(),
                                      given.size(), &wanted, 1);
      const float* cells = answer[0].GetTensorData<float>();
      const size_t count = answer[0].GetTensorTypeAndShapeInfo().GetElementCount();
      for (size_t cell = 0; cell < count; ++cell) layers[cell % layers.size()] += cells[cell];
    }
  }
};

static void simulate(const char* model, const char* file, int depth, int showers, int threads) {
  const double empty = megabytes();
  Generator generator(model, file);
  std::vector<std::vector<double>> layers(threads + 1, std::vector<double>(depth));
  generator.run(0, 1, 1, layers[threads]);  // the first call prepares
  const double one = megabytes();
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t busy = std::clock();
  std::vector<std::thread> others;
  for (int t = 0; t < threads; ++t)
    others.emplace_back(&Generator::run, &generator, t, showers, threads, std::ref(layers[t]));
  for (auto& other : others) other.join();
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
  std::printf("%.3f ms a shower, %.3f ms of processor time\n", passed.count() / showers,
              1e3 * (std::clock() - busy) / CLOCKS_PER_SEC / showers);
  std::printf("%.1f MB for the model and a shower, %.1f MB a thread\n", one - empty,
              (megabytes() - one) / threads);
  for (int layer = 0; layer < depth; ++layer) {
    double sum = 0;
    for (int t = 0; t < threads; ++t) sum += layers[t][layer];
    std::printf("%d %.9g\n", layer, sum / showers);
  }
}

int main(int argc, char** argv) {
  const int depth = argc > 3 ? std::atoi(argv[3]) : 0;
  const int showers = argc > 4 ? std::atoi(argv[4]) : 1000;
  const int threads = argc > 5 ? std::atoi(argv[5]) : 1;
  if (depth < 1 || showers < 1 || threads < 1) {
    std::fprintf(stderr, "generator: expected MODEL.onnx INPUTS LAYERS [SHOWERS [THREADS]]\n");
    return 2;
  }
  try {
    simulate(argv[1], argv[2], depth, showers, threads);
  } catch (const std::exception& error) {  // ONNX Runtime's among them
    std::fprintf(stderr, "generator: %s\n", error.what());
    return 2;
  }
}
