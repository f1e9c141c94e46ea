#include "config/adapter_sites.h"

#include "../core/fixtures.h"
#include "catch.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

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
