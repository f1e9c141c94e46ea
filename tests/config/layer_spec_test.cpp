#include "config/layer_spec.h"

#include "../core/fixtures.h"
#include "catch.h"
#include "config/adapter_sites.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("what a query sees: one rule, counted and cut out alike", "[unit]") {
  for (const std::int64_t window : {std::int64_t{1}, std::int64_t{2}, std::int64_t{5}, std::int64_t{20}, kNoWindow})
    for (std::int64_t held = 0; held < 12; ++held) {
      std::int64_t pairs = 0;
      for (std::int64_t slot = held; slot < held + 9; ++slot) {
        std::int64_t seen = 0, first = -1;
        for (std::int64_t key = 0; key < 40; ++key)
          if (sees(slot, key, window)) {
            if (first < 0) first = key;
            ++seen;
          }
        CHECK(sees(slot, slot, window));
        CHECK(first == first_seen(slot, window));
        CHECK(seen == slot + 1 - first);
        CHECK(seen <= window);
        pairs += seen;
        CHECK(seen_pairs(slot - held + 1, held, window) == double(pairs));
      }
      CHECK(seen_pairs(0, held, window) == 0);
    }
}

TEST_CASE("check_adapter_sites: a target or a layer that the model has not", "[unit]") {
  const LayerSpec llama, phi3{.fused_names = true};
  LoraConfig lora;
  const auto refused = [&](const LayerSpec& layer) {
    return refusal([&] { check_adapter_sites(lora, layer, 4); }, Exit::usage);
  };
  CHECK(refused(llama).empty());
  CHECK(refused(phi3) == "lora.targets: got \"q_proj\", but the model has qkv_proj, o_proj, gate_up_proj, down_proj; "
                         "set lora.targets to some of these");
  lora.targets = {"qkv_proj", "down_proj"};
  CHECK(refused(phi3).empty());
  CHECK(has(refused(llama), "qkv_proj"));
  lora.layers = {0, 4};
  CHECK(refused(phi3) == "lora.layers: got 4, but the model has layers 0 to 3");
  CHECK(all_projections().size() == 9);
}
