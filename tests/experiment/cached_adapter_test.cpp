#include <ATen/core/grad_mode.h>

#include "../generate/models.h"
#include "../model/goldens.h"
#include "catch.h"
#include "generate/decoder.h"
#include "lora/lora_adapter.h"

using namespace templora;

namespace {

LoraConfig lora_config() {
  LoraConfig config;
  config.rank = 6;
  config.alpha = 12;
  config.dropout = 0;
  return config;
}

/// An adapter that moves the model, as if it had learned.
void make_up_weights(LoraAdapter& adapter) {
  const at::NoGradGuard no_grad;
  adapter.parameters().value.uniform_(-0.2, 0.2);
}

}  // namespace

TEST_CASE("KvCache: with an adapter on, a text read in pieces gives what the whole text gives", "[unit]") {
  const small::Tokens tokens = small::text(40);
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-10}, {at::kFloat, 1e-5}, {at::kBFloat16, 0.2}}) {
    Llama model = small::model(dtype);
    LoraAdapter adapter(*model, lora_config(), 1);
    make_up_weights(adapter);
    const at::NoGradGuard no_grad;
    const at::Tensor whole = small::plain_forward(*model, tokens);
    KvCache cache(*model, {.capacity = 40});
    const at::Tensor prompt = cache.append(*model, {{0, small::part(tokens, 0, 30)}}, Rows::last, 0);
    CHECK(small::difference(prompt[0], whole[29]) <= tolerance);
    for (std::int64_t i = 30; i < 40; ++i) {
      const at::Tensor row = cache.append(*model, {{0, {tokens[std::size_t(i)]}}}, Rows::last, 0);
      INFO("dtype " << int(dtype) << ", token " << i);
      CHECK(small::difference(row[0], whole[i]) <= tolerance);
      if (dtype == at::kDouble) {
        const AdapterOff off(*model);
        CHECK(small::difference(small::plain_forward(*model, small::part(tokens, 0, i + 1))[i], whole[i]) > 1e-3);
      }
    }
  }
}
