#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "../model/goldens.h"
#include "catch.h"
#include "model/load.h"
#include "text/tokenizer.h"

using namespace templora;

TEST_CASE("The shipped model: transformers opens it with the same ids and logits", "[parity]") {
  const fs::path folder = fs::path(TEMPLORA_SOURCE_DIR) / "models/small-6m";
  const Json wanted = goldens::json("shipped/text.json");
  const auto ids = wanted.at("ids").get<std::vector<std::int64_t>>();
  CHECK(Tokenizer(folder).encode(wanted.at("text").get<std::string>(), true) == ids);

  Llama model = load_llama(folder, at::kFloat, at::kCPU);
  const at::Tensor tokens = at::tensor(at::ArrayRef<std::int64_t>(ids)).unsqueeze(0);  // [1, seq]
  const auto count = std::int64_t(ids.size()) - 1;
  INFO("a model that was trained on needs scripts/make_goldens.py shipped once more");
  const at::Tensor nll = token_nll(*model, tokens, count).squeeze(0);  // [count]
  const auto wanted_nll = wanted.at("nll").get<std::vector<double>>();
  REQUIRE(wanted_nll.size() == std::size_t(count));
  double largest = 0;
  for (std::int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::abs(nll[i].item<double>() - wanted_nll[std::size_t(i)]));
  CHECK(largest < 2e-5);
  const at::Tensor row = model->logits(model->forward(tokens, count, 1)).view({-1});  // [vocab]
  REQUIRE(wanted.at("last_row").size() == 64);
  for (const Json& one : wanted.at("last_row"))
    CHECK(std::abs(row[one.at(0).get<std::int64_t>()].item<double>() - one.at(1).get<double>()) < 2e-5);
}

// As 0.1 recorded them: where one of these changes, no run of this model can be resumed or verified any more.
TEST_CASE("The shipped model: the hashes of its weights and tokenizer are those of 0.1", "[unit]") {
  const fs::path folder = fs::path(TEMPLORA_SOURCE_DIR) / "models/small-6m";
  CHECK(Tokenizer(folder).hash() == "2015c9de7ce7c5f86838656e663af870");
  CHECK(weights_hash(*load_llama(folder, at::kBFloat16, at::kCPU)) == "33aa499b9120249a746ca7b22543ab20");
}
