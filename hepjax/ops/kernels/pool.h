// Tasks on XLA's own pool of threads.
#pragma once
#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "conv.h"
#include "xla/ffi/api/ffi.h"

namespace hepjax {
namespace {

struct Work {
  std::atomic<int64_t> next{0}, done{0};
  int64_t tasks;
  void (*body)(void*, int64_t);
  void* arg;
  void take() {
    for (int64_t i = next++; i < tasks; i = next++) {
      body(arg, i);
      done.fetch_add(1, std::memory_order_release);
    }
  }
};

// The caller works too and waits only for tasks that another thread has begun: a pool whose threads
// are all busy, or waiting here themselves, delays nothing. Late helpers find no task left.
inline void run_on_pool(void* pool, int64_t tasks, void (*body)(void*, int64_t), void* arg) {
  auto* threads = static_cast<xla::ffi::ThreadPool*>(pool);
  auto work = std::make_shared<Work>();
  work->tasks = tasks, work->body = body, work->arg = arg;
  const int64_t helpers = std::min<int64_t>(threads->num_threads(), tasks) - 1;
  for (int64_t i = 0; i < helpers; ++i) threads->Schedule([work] { work->take(); });
  work->take();
  while (work->done.load(std::memory_order_acquire) < tasks) std::this_thread::yield();
}

inline Runner runner(xla::ffi::ThreadPool& pool) {
  return {run_on_pool, &pool, std::max<int64_t>(1, pool.num_threads())};
}

}  // namespace
}  // namespace hepjax
