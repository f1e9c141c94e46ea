#include <ATen/ATen.h>

#include "catch.h"

extern "C" int templora_mkl_calls();
extern "C" int mkl_serv_intel_cpu_true();

namespace {

/// A float64 product of the same numbers, summed in plain order.
at::Tensor plain_product(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor product = at::zeros({a.size(0), b.size(1)}, at::kDouble);
  const at::Tensor left = a.to(at::kDouble), right = b.to(at::kDouble);
  for (int64_t k = 0; k < a.size(1); ++k) product.add_(at::outer(left.select(1, k), right.select(0, k)));
  return product;
}

}  // namespace

TEST_CASE("MKL symbol: MKL asks the executable which CPU it runs on, and the products are right", "[unit]") {
  const int before = templora_mkl_calls();
  const at::Tensor a = at::randn({96, 128}), b = at::randn({128, 160});
  const at::Tensor product = at::mm(a, b);
  if (at::hasMKL()) CHECK(templora_mkl_calls() > before);
  const at::Tensor wanted = plain_product(a, b);
  CHECK((product.to(at::kDouble) - wanted).abs().max().item<double>() < 1e-4);
}

TEST_CASE("MKL symbol: it says yes where the CPU has AVX2 only", "[unit]") {
#if defined(__x86_64__)
  CHECK(mkl_serv_intel_cpu_true() == (__builtin_cpu_supports("avx2") ? 1 : 0));
#endif
}
