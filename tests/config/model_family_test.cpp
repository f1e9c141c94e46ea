#include "config/model_family.h"

#include "../core/fixtures.h"
#include "catch.h"
#include "config/model_shape.h"

using namespace templora;
using templora_test::Thrown;
using templora_test::thrown_by;

namespace {

using Rope = LayerSpec::Rope;

ModelShape shape_of(const Json& extra) {
  Json json{{"model_type", "llama"},  {"vocab_size", 64},         {"hidden_size", 32},       {"intermediate_size", 48},
            {"num_hidden_layers", 4}, {"num_attention_heads", 4}, {"num_key_value_heads", 2}};
  json.update(extra);
  return model_shape_of({json, "config.json", kModelAdvice});
}

std::vector<std::int64_t> windows_of(const Json& extra) {
  std::vector<std::int64_t> windows;
  for (const LayerSpec& layer : shape_of(extra).layer_specs)
    windows.push_back(layer.window == kNoWindow ? 0 : layer.window);
  return windows;
}

void check_refused(const Json& extra, const std::vector<std::string>& parts) {
  const Thrown error = thrown_by([&] { shape_of(extra); });
  CHECK(error.code == Exit::bad_input);
  for (const std::string& part : parts) {
    INFO(extra.dump() << " wants " << part);
    CHECK(error.says(part));
  }
}

using Windows = std::vector<std::int64_t>;
const Json kSlidingFull = {"sliding_attention", "full_attention", "sliding_attention", "full_attention"};

}  // namespace

TEST_CASE("model family: windows are for the layers that transformers gives them to", "[unit]") {
  CHECK(windows_of(Json::object()) == Windows{0, 0, 0, 0});
  CHECK(windows_of({{"model_type", "mistral"}}) == Windows(4, 4096));  // where the key is absent
  CHECK(windows_of({{"model_type", "mistral"}, {"sliding_window", nullptr}}) == Windows(4, 0));
  CHECK(windows_of({{"model_type", "phi3"}}) == Windows(4, 0));
  CHECK(windows_of({{"model_type", "phi3"}, {"sliding_window", 7}}) == Windows(4, 7));
  CHECK(windows_of({{"model_type", "qwen2"}, {"sliding_window", 7}}) == Windows(4, 0));  // not in use
  const Json qwen{{"model_type", "qwen2"}, {"use_sliding_window", true}, {"sliding_window", 7}};
  const auto with = [](Json json, const char* key, const Json& value) { return json[key] = value, json; };
  CHECK(windows_of(qwen) == Windows(4, 0));  // max_window_layers is 28
  CHECK(windows_of(with(qwen, "max_window_layers", 1)) == Windows{0, 7, 7, 7});
  CHECK(windows_of(with(qwen, "layer_types", kSlidingFull)) == Windows{7, 0, 7, 0});
  CHECK(windows_of(with(with(qwen, "max_window_layers", 0), "sliding_window", nullptr)) == Windows(4, 0));
  CHECK(windows_of({{"model_type", "olmo3"}}) == Windows{4096, 4096, 4096, 0});
  CHECK(windows_of({{"model_type", "olmo3"}, {"layer_types", kSlidingFull}, {"sliding_window", 5}}) ==
        Windows{5, 0, 5, 0});
  CHECK(windows_of({{"model_type", "smollm3"}, {"use_sliding_window", true}, {"sliding_window", 9}}) ==
        Windows{0, 0, 0, 9});
  CHECK(shape_of({{"model_type", "olmo3"}}).layer(0).rope == Rope::sliding);
  CHECK(shape_of({{"model_type", "olmo3"}}).layer(3).rope == Rope::full);
}

TEST_CASE("model family: layers without a rotation", "[unit]") {
  const auto turns = [](const Json& extra) {
    Json json{{"model_type", "smollm3"}};
    json.update(extra);
    std::vector<bool> all;
    for (const LayerSpec& layer : shape_of(json).layer_specs) all.push_back(layer.rope != Rope::none);
    return all;
  };
  CHECK(turns(Json::object()) == std::vector<bool>{true, true, true, false});
  CHECK(turns({{"no_rope_layer_interval", 2}}) == std::vector<bool>{true, false, true, false});
  CHECK(turns({{"no_rope_layers", {1, 0, 0, 1, 0}}}) == std::vector<bool>{true, false, false, true});
  check_refused({{"model_type", "smollm3"}, {"no_rope_layers", {1, 0}}}, {"no_rope_layers: got 2 entries"});
  check_refused({{"model_type", "smollm3"}, {"no_rope_layers", {1, 0, 2, 1}}}, {"no_rope_layers: got 2"});
  check_refused({{"model_type", "smollm3"}, {"no_rope_layer_interval", 0}}, {"no_rope_layer_interval"});
}

TEST_CASE("model family: defaults and biases are the family's", "[unit]") {
  CHECK(shape_of({{"model_type", "qwen3"}}).head_dim == 128);
  CHECK(shape_of({{"model_type", "qwen2"}}).head_dim == 8);
  CHECK(shape_of({{"model_type", "smollm3"}}).tied_embeddings);
  CHECK(shape_of({{"model_type", "qwen2"}}).max_positions == 32768);
  CHECK(shape_of({{"model_type", "qwen2"}, {"num_key_value_heads", nullptr}}).kv_heads == 4);
  const LayerSpec qwen2 =
      shape_of({{"model_type", "qwen2"}, {"attention_bias", false}}).layer(0);  // which it does not read
  CHECK((qwen2.qkv_bias && !qwen2.out_bias));
  const LayerSpec qwen3 = shape_of({{"model_type", "qwen3"}, {"attention_bias", true}}).layer(0);
  CHECK((qwen3.qkv_bias && qwen3.out_bias && qwen3.qk_norm == LayerSpec::QkNorm::head));
  const LayerSpec olmo2 = shape_of({{"model_type", "olmo2"}}).layer(0);
  CHECK((olmo2.norm_after && olmo2.qk_norm == LayerSpec::QkNorm::projection));
  CHECK(shape_of({{"model_type", "phi3"}}).layer(0).fused_names);
  CHECK(shape_of({{"model_type", "mistral"}, {"sliding_window", nullptr}, {"attention_bias", true}}).layer(0) ==
        LayerSpec{});
}

TEST_CASE("model family: other models, and keys that contradict each other, are refused by name", "[unit]") {
  check_refused({{"model_type", "gemma2"}}, {"gemma2", "llama, mistral, qwen2, qwen3, smollm3, olmo2, olmo3, phi3"});
  check_refused({{"model_type", "qwen2_moe"}}, {"qwen2_moe"});
  check_refused({{"sliding_window", 4096}}, {"sliding_window", "llama has no windows"});
  check_refused({{"layer_types", kSlidingFull}}, {"layer_types", "llama has no windows"});
  check_refused({{"model_type", "mistral"}, {"layer_types", kSlidingFull}}, {"layer_types", "sliding_window"});
  check_refused({{"model_type", "qwen2"}, {"sliding_window", 7}, {"layer_types", kSlidingFull}},
                {"layer_types", "use_sliding_window"});
  check_refused({{"model_type", "qwen3"},
                 {"use_sliding_window", true},
                 {"sliding_window", nullptr},
                 {"layer_types", kSlidingFull}},
                {"layer_types", "sliding_window"});
  check_refused({{"model_type", "olmo3"}, {"sliding_window", nullptr}}, {"sliding_window"});
  check_refused({{"model_type", "qwen2"}, {"layer_types", {"full_attention"}}},
                {"layer_types: got 1 entries", "num_hidden_layers 4"});
  check_refused({{"model_type", "olmo3"},
                 {"layer_types", {"chunked_attention", "full_attention", "full_attention", "full_attention"}}},
                {"chunked_attention"});
  check_refused({{"model_type", "mistral"}, {"sliding_window", 0}}, {"sliding_window: got 0"});
}
