#include "model/out_of_memory.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "catch.h"
#include "goldens.h"

using namespace templora;

namespace {

template <class Work>
bool runs_out_of_memory(Work&& work) {
  try {
    work();
  } catch (const c10::Error& error) {
    INFO(error.what_without_backtrace());
    return is_out_of_memory(error);
  }
  FAIL("no error");
  return false;
}

}  // namespace

TEST_CASE("is_out_of_memory: what LibTorch throws where memory is exhausted", "[unit]") {
  CHECK(runs_out_of_memory([] { at::empty({std::int64_t(1) << 50}); }));
  CHECK(runs_out_of_memory(
      [] { at::empty({std::int64_t(1) << 40, std::int64_t(1) << 40}); }));  // bytes that no number holds
  CHECK(
      runs_out_of_memory([] { TORCH_CHECK_WITH(OutOfMemoryError, false, "the device's allocator has nothing left"); }));
  CHECK(runs_out_of_memory([] { TORCH_CHECK(false, "CUDA error: out of memory\nCUDA kernel errors might be"); }));
}

TEST_CASE("is_out_of_memory: an error that speaks of memory is not one of memory", "[unit]") {
  at::Tensor overlapping = at::zeros({1}).expand({4});
  const at::Tensor ones = at::ones({4});
  CHECK_FALSE(runs_out_of_memory([&] { overlapping.copy_(ones); }));  // "refers to a single memory location"
  CHECK_FALSE(runs_out_of_memory([] { TORCH_CHECK(false, "CUDA error: an illegal memory access was encountered"); }));
  CHECK_FALSE(runs_out_of_memory([] { TORCH_CHECK(false, "unsupported memory format option Contiguous"); }));
}
