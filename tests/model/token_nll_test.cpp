#include "model/token_nll.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "catch.h"
#include "config/model_shape.h"
#include "goldens.h"

using namespace templora;

TEST_CASE("linear_nll: blocks of rows equal the whole, forward and backward", "[unit]") {
  constexpr std::int64_t kVocab = 150000, kRows = 150;
  REQUIRE(logit_block_rows(kVocab) < kRows);
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-11}, {at::kFloat, 2e-5}}) {
    at::Tensor hidden = at::randn({kRows, 8}, at::TensorOptions(dtype)).requires_grad_();
    const at::Tensor plain = hidden.detach().clone().requires_grad_();
    const at::Tensor weight = at::randn({kVocab, 8}, at::TensorOptions(dtype)),
                     factors = at::randn({kRows}, at::TensorOptions(dtype));
    const at::Tensor targets = at::randint(kVocab, {kRows}, at::kLong);
    const at::Tensor nll = linear_nll(hidden, weight, targets);
    const at::Tensor wanted = at::cross_entropy_loss(at::linear(plain, weight), targets, {}, at::Reduction::None);
    (nll * factors).sum().backward();
    (wanted * factors).sum().backward();
    CHECK(goldens::largest_difference(nll.detach(), wanted.detach()) < tolerance);
    CHECK(goldens::largest_difference(hidden.grad(), plain.grad()) < tolerance);
    const at::NoGradGuard no_grad;
    CHECK(at::equal(linear_nll(hidden, weight, targets), nll.detach()));  // with a graph or without
  }
}

TEST_CASE("linear_nll: the gradient of a mean has the bits that autograd over all logits gives", "[unit]") {
  constexpr std::int64_t kVocab = 1000, kRows = 255;  // one block; a number of rows whose reciprocal is rounded
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    at::Tensor hidden = at::randn({kRows, 32}, at::TensorOptions(dtype)).requires_grad_();
    const at::Tensor plain = hidden.detach().clone().requires_grad_();
    const at::Tensor weight = at::randn({kVocab, 32}, at::TensorOptions(dtype));
    const at::Tensor targets = at::randint(kVocab, {kRows}, at::kLong);
    linear_nll(hidden, weight, targets).mean().backward();
    at::cross_entropy_loss(at::linear(plain, weight).to(at::kFloat), targets, {}, at::Reduction::None)
        .mean()
        .backward();
    CHECK(at::equal(hidden.grad(), plain.grad()));
  }
}

TEST_CASE("logit_block_rows: as many as before for small vocabularies, few for large ones", "[unit]") {
  CHECK(logit_block_rows(96) == 512);
  CHECK(logit_block_rows(32000) == 512);
  CHECK(logit_block_rows(151936) == 110);
  CHECK(logit_block_rows(std::int64_t{1} << 28) == 64);
}
