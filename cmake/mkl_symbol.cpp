// MKL, inside libtorch_cpu, asks this function whether it runs on an Intel CPU, and takes slow code
// where the answer is no, also on AMD CPUs that have the same instructions. libtorch_cpu does not bind
// the call to its own copy, so the one in the executable answers. It says yes only where the
// instructions that the fast code needs are there.

#include <atomic>

namespace {
std::atomic<int> calls{0};
}

extern "C" __attribute__((visibility("default"))) int mkl_serv_intel_cpu_true() {
  calls.fetch_add(1, std::memory_order_relaxed);
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") ? 1 : 0;
#else
  return 0;
#endif
}

/// How often MKL has asked so far; a test sees by it that the symbol took effect.
extern "C" __attribute__((visibility("default"))) int templora_mkl_calls() { return calls.load(); }
