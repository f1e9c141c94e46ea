#include "comet/comet_config.h"

#include "../core/fixtures.h"
#include "catch.h"
#include "core/error.h"
#include "goldens.h"

using namespace templora;

namespace {

std::string refused_config(const Json& config) {
  return templora_test::refusal([&] { comet_config_from_json(config, "config.json"); });
}

}  // namespace

TEST_CASE("CometConfig: the converted file's values arrive", "[unit]") {
  const CometConfig config = read_comet_config(goldens::folder() / "config-softsign.json");
  CHECK(config.encoder.hidden_size == 32);
  CHECK(config.encoder.layers == 3);
  CHECK(config.encoder.layer_norm_eps == 1e-5);
  CHECK(config.encoder.max_tokens() == 126);
  CHECK(config.layer_transformation == LayerTransformation::sparsemax);
  CHECK(config.hidden_sizes == std::vector<std::int64_t>{40, 16});
  CHECK(config.activation == Activation::softsign);
  CHECK(config.final_activation == Activation::sigmoid);
  CHECK(!read_comet_config(goldens::folder() / "config-softmax.json").final_activation);
}

TEST_CASE("CometConfig: what is not computed is refused by name", "[unit]") {
  const Json good = goldens::json("config-softmax.json");
  CHECK(refused_config(good).empty());
  const auto top = [&](const char* key, const Json& value) {
    Json config = good;
    config[key] = value;
    const std::string line = refused_config(config);
    INFO(line);
    CHECK(line.find(std::string("config.json: ") + key + ": got " + value.dump()) == 0);
  };
  top("class_identifier", "referenceless_regression_metric");
  top("pool", "cls");
  top("layer", 12);
  top("layer_norm", true);
  top("layer_transformation", "sparsemax_patch");
  top("hidden_sizes", Json::array());
  top("hidden_sizes", 3);
  top("activations", "ReLU");
  top("activations", nullptr);
  top("final_activation", 3);
  for (const Json& size : {Json(0), Json("4"), Json(2.5)}) {
    Json config = good;
    config["hidden_sizes"] = Json::array({3, size});
    CHECK(refused_config(config).find("config.json: hidden_sizes: got " + size.dump()) == 0);
  }
  const auto encoder = [&](const char* key, const Json& value) {
    Json config = good;
    config["encoder"][key] = value;
    const std::string line = refused_config(config);
    INFO(line);
    CHECK(line.find(std::string("config.json: encoder: ") + key + ": got " + value.dump()) == 0);
  };
  encoder("model_type", "bert");
  encoder("hidden_act", "relu");
  encoder("position_embedding_type", "relative_key");
  encoder("pad_token_id", 0);
  encoder("hidden_size", 33);
  encoder("num_attention_heads", -1);
  encoder("vocab_size", std::int64_t{1} << 40);
  encoder("max_position_embeddings", 4);
  encoder("layer_norm_eps", 0);
  encoder("num_hidden_layers", "3");
  CHECK(refused_config(Json::array()) == "config.json: not a JSON object");
}

TEST_CASE("CometConfig: an absent key is named", "[unit]") {
  const Json good = goldens::json("config-softmax.json");
  for (const auto& [key, value] : good.items()) {
    Json config = good;
    config.erase(key);
    CHECK(refused_config(config).find(key + ": got nothing") != std::string::npos);
  }
}
