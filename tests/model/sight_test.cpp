#include "model/sight.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "catch.h"
#include "goldens.h"

using namespace templora;

TEST_CASE("causal_attention: blocks of a window equal one masked product, forward and backward", "[unit]") {
  const at::TensorOptions options(at::kDouble);
  for (const auto& [seq, window] :
       {std::pair{1200, 300}, {1200, 1}, {700, 690}, {513, 512}, {40, 7}, {40, 40}, {40, 1000}}) {
    INFO(seq << " rows, window " << window);
    std::vector<at::Tensor> given, wanted;
    for (int i = 0; i < 3; ++i) {
      given.push_back(at::randn({2, 3, seq, 4}, options).requires_grad_());
      wanted.push_back(given.back().detach().clone().requires_grad_());
    }
    const at::Tensor weights = at::randn({2, 3, seq, 4}, options);
    const at::Tensor got = causal_attention(given[0], given[1], given[2], window);
    const at::Tensor mask = sight_mask_behind(0, seq, window, options);
    const at::Tensor reference = at::scaled_dot_product_attention(wanted[0], wanted[1], wanted[2], mask);
    (got * weights).sum().backward();
    (reference * weights).sum().backward();
    CHECK(goldens::largest_difference(got.detach(), reference.detach()) < 1e-12);
    for (int i = 0; i < 3; ++i)
      CHECK(goldens::largest_difference(given[std::size_t(i)].grad(), wanted[std::size_t(i)].grad()) < 1e-11);
  }
}

TEST_CASE("sight_mask: a row of it is the rule", "[unit]") {
  const at::Tensor mask = sight_mask_behind(9, 4, 5, at::TensorOptions(at::kFloat));  // slots 9 … 12 over keys 5 … 12
  REQUIRE(mask.sizes() == at::IntArrayRef({4, 8}));
  for (std::int64_t row = 0; row < 4; ++row)
    for (std::int64_t key = 0; key < 8; ++key)
      CHECK((mask[row][key].item<float>() == 0) == sees(9 + row, 5 + key, std::int64_t{5}));
}
