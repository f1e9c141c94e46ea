#include "generate/sampling.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isinf.h>
#include <ATen/ops/tensor.h>

#include <limits>
#include <string>
#include <vector>

#include "../model/goldens.h"
#include "catch.h"
#include "core/error.h"
#include "models.h"

using namespace templora;

TEST_CASE("Sampling: distributions equal transformers' processors on the same logits", "[parity]") {
  const std::string file = "decode/processors.safetensors";
  const at::Tensor logits = goldens::tensor(file, "logits"), seen = goldens::tensor(file, "seen");
  const Json index = goldens::json("decode/index.json");  // a loop over part of a temporary would outlive it
  for (const Json& item : index.at("processors")) {
    const at::Tensor wanted = goldens::tensor(file, item.at("name").get<std::string>());
    SamplingOptions options;
    options.temperature = item.at("temperature").get<double>();
    options.top_k = item.at("top_k").get<std::int64_t>();
    options.top_p = item.at("top_p").get<double>();
    options.min_p = item.at("min_p").get<double>();
    const double penalty = item.at("repetition_penalty").get<double>();
    const at::Tensor penalized = penalty == 1 ? logits : repetition_penalty(logits, seen, penalty);
    const at::Tensor ended = suppress(penalized, item.at("suppressed").get<std::vector<std::int64_t>>());
    const at::Tensor distribution = warp(ended, options).softmax(1);
    INFO(item.dump());
    CHECK(small::difference(distribution, wanted) <= 1e-6);
    CHECK(at::equal(distribution > 0, wanted > 0));
  }
}

TEST_CASE("Sampling: tokens are drawn as often as their probabilities say, and never at probability 0", "[unit]") {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const at::Tensor logits = at::tensor({kNever, 0.3, 1.7, kNever, -2.0, 0.0, kNever}, at::kFloat).unsqueeze(0);
  constexpr std::int64_t kDraws = 20000;
  const at::Tensor uniform = at::arange(kDraws, at::kDouble) / double(kDraws);
  const at::Tensor drawn = sample(logits.expand({kDraws, 7}), uniform);
  const at::Tensor shares = at::bincount(drawn, {}, 7).to(at::kDouble) / double(kDraws);
  CHECK(small::difference(shares, logits.to(at::kDouble).softmax(1)[0]) <= 2.0 / kDraws);
  const at::Tensor ends = sample(logits.expand({2, 7}), at::tensor({0.0, 1 - 0x1p-48}, at::kDouble));
  CHECK(ends[0].item<std::int64_t>() == 1);
  CHECK(ends[1].item<std::int64_t>() == 5);
}

TEST_CASE("Sampling: probabilities that are NaN are an error of numerics, not a token", "[unit]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<double> uniform = {0.5};
  const at::Tensor drawn =
      sample(at::tensor({0.5f, nan, 0.25f}, at::kFloat).unsqueeze(0), at::tensor(at::ArrayRef<double>(uniform)));
  REQUIRE(drawn[0].item<std::int64_t>() == 3);
  const at::Tensor rows = at::tensor({0.5f, nan, 0.25f, 0.5f, 0.75f, 0.75f, nan, nan, nan}, at::kFloat).view({3, 3});
  const at::Tensor greedy = likeliest(rows);
  CHECK(small::Tokens{greedy[0].item<std::int64_t>(), greedy[1].item<std::int64_t>(), greedy[2].item<std::int64_t>()} ==
        small::Tokens{3, 1, 3});
  const small::Tokens chosen = {1, 3}, good = {0, 2};
  CHECK_NOTHROW(check_chosen(good, 3));
  try {
    check_chosen(chosen, 3);
    FAIL("accepted a token beyond the vocabulary");
  } catch (const Error& error) {
    CHECK(error.exit_code() == Exit::numerics);
    CHECK(std::string(error.what()).find("NaN") != std::string::npos);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
  }
}
