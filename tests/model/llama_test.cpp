#include "model/llama.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/all.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>

#include "catch.h"
#include "goldens.h"
#include "model/load.h"
#include "model/rope.h"
#include "model/tensors.h"

using namespace templora;

namespace {

LlamaConfig small_config() {
  LlamaConfig config;
  config.vocab_size = 61;
  config.hidden_size = 32;
  config.ffn_size = 48;
  config.layers = 3;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.max_positions = 256;
  return config;
}

Llama random_model(const LlamaConfig& config, at::ScalarType dtype = at::kFloat) {
  Llama model(config, at::TensorOptions(dtype));
  init_random_weights(*model, 7, 0.2);
  return model;
}

}  // namespace

TEST_CASE("Llama: logits equal transformers' for every supported config", "[parity]") {
  const Json index = goldens::json("model/index.json");  // a loop over part of a temporary would outlive it
  for (const Json& variant : index.at("variants")) {
    const std::string name = variant.at("name");
    Llama model = load_llama(goldens::folder("model/" + name), at::kFloat, at::kCPU);
    const at::NoGradGuard no_grad;
    for (const Json& item : variant.at("cases")) {
      const std::string file = "model/" + name + "/" + item.at("file").get<std::string>();
      const at::Tensor ids = goldens::tensor(file, "input_ids"), wanted = goldens::tensor(file, "logits");
      const at::Tensor hidden = model->forward(ids.unsqueeze(0), 0, ids.size(0));
      const double difference = goldens::largest_difference(model->logits(hidden).squeeze(0), wanted);
      INFO(file << ": " << difference);
      CHECK(difference <= variant.at("tolerance").get<double>());
    }
  }
}

TEST_CASE("Llama: model.rope_scaling of the run replaces the model's own", "[parity]") {
  // The yarn golden's weights behind a config without scaling, stretched by the override.
  Json config = goldens::json("model/yarn/config.json");
  const Json scaling = config.at("rope_scaling");
  config["rope_scaling"] = nullptr;
  const LlamaConfig plain = llama_config_from_json(config, "config.json");
  CHECK(plain.rope.scaling.type == RopeScaling::Type::none);
  const LlamaConfig stretched = llama_config_from_json(config, "config.json", scaling);
  CHECK(stretched.rope.scaling.type == RopeScaling::Type::yarn);
  CHECK(stretched.rope.scaling.factor == scaling.at("factor").get<double>());

  const auto refused = [&](const char* given, const char* part) {
    try {
      llama_config_from_json(config, "config.json", parse_json(given, "given"));
      FAIL("accepted " << given);
    } catch (const Error& error) {
      CHECK(error.exit_code() == Exit::usage);
      CHECK_THAT(error.what(), Catch::Matchers::Contains("model.rope_scaling") && Catch::Matchers::Contains(part));
    }
  };
  refused(R"({"rope_type": "yarn", "factor": 4, "original_max_positions": 32})", "original_max_position_embeddings");
  refused(R"({"rope_type": "yern", "factor": 4})", "yern");
  refused(R"({"rope_type": "yarn"})", "factor");
}

TEST_CASE("Llama: positions stretched by the run may be used", "[parity]") {
  Json config = goldens::json("model/yarn/config.json");
  config["rope_scaling"] = nullptr;
  const auto positions = [&](const char* scaling) {
    return llama_config_from_json(config, "config.json", parse_json(scaling, "scaling")).max_positions;
  };
  CHECK(positions(R"({"rope_type": "linear", "factor": 4})") == 4 * 128);
  CHECK(positions(R"({"rope_type": "yarn", "factor": 8, "original_max_position_embeddings": 32})") == 8 * 32);
  CHECK(positions(R"({"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 32})") == 128);
  CHECK(positions(R"({"rope_type": "ntk", "factor": 4})") == 4 * 128);
  CHECK(positions(R"({"rope_type": "default"})") == 128);
}

TEST_CASE("Llama: a written config.json says how positions are stretched", "[unit]") {
  const Json config = goldens::json("model/llama2/config.json");
  for (
      const char* scaling :
      {R"({"rope_type": "default"})", R"({"rope_type": "linear", "factor": 2.5})",
       R"({"rope_type": "dynamic", "factor": 2})", R"({"rope_type": "ntk", "factor": 4})",
       R"({"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 32, "beta_fast": 6,
           "truncate": false})",
       R"({"rope_type": "yarn", "factor": 4, "attention_factor": 0.8})",
       R"({"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
           "original_max_position_embeddings": 32})"}) {
    INFO(scaling);
    const LlamaConfig stretched = llama_config_from_json(config, "config.json", parse_json(scaling, "scaling"));
    const LlamaConfig again = llama_config_from_json(to_json(stretched, "float32"), "config.json");
    const RopeTable a = rope_table(stretched.rope, stretched.head_dim, 300, at::kCPU),
                    b = rope_table(again.rope, again.head_dim, 300, at::kCPU);
    CHECK(at::equal(a.cos, b.cos));
    CHECK(at::equal(a.sin, b.sin));
    const bool dynamic = stretched.rope.scaling.type == RopeScaling::Type::dynamic;
    if (!dynamic) CHECK(again.max_positions == stretched.max_positions);
  }
}

TEST_CASE("Llama: tables of positions outlive those of later lengths for whoever holds them", "[unit]") {
  static_assert(!std::is_reference_v<decltype(std::declval<LlamaImpl>().turns(1))>);  // the kept ones come and go
  Llama model = random_model(small_config(), at::kFloat);
  const Turns held = model->turns(20);
  const at::Tensor cos = held.full.cos.clone(), sin = held.full.sin.clone();
  for (std::int64_t seq = 21; seq < 40; ++seq) model->turns(seq);
  CHECK(at::equal(held.full.cos, cos));
  CHECK(at::equal(held.full.sin, sin));
  CHECK(at::equal(model->turns(20).full.cos, cos));
}

TEST_CASE("Llama: rows asked for are those of the whole pass", "[unit]") {
  Llama model = random_model(small_config(), at::kDouble);
  const at::NoGradGuard no_grad;
  const at::Tensor tokens = at::randint(61, {2, 20}, at::kLong);
  const at::Tensor all = model->forward(tokens, 0, 20), some = model->forward(tokens, 11, 4);
  CHECK(goldens::largest_difference(all.narrow(1, 11, 4), some) < 1e-12);
}

TEST_CASE("Llama: no token changes a prediction before it", "[unit]") {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Llama model = random_model(small_config(), dtype);
    const at::NoGradGuard no_grad;
    const at::Tensor tokens = at::arange(40, at::kLong).remainder(61).unsqueeze(0);
    const at::Tensor before = token_nll(*model, tokens, 39);
    for (const std::int64_t t : {5, 20, 38}) {
      at::Tensor changed = tokens.clone();
      changed.narrow(1, t, 40 - t).add_(13).remainder_(61);
      const at::Tensor after = token_nll(*model, changed, 39);
      INFO("position " << t);
      // Token j is predicted by entry j - 1: those before t must keep their bits, the one of t must not.
      CHECK(at::equal(before.narrow(1, 0, t - 1), after.narrow(1, 0, t - 1)));
      CHECK_FALSE(at::equal(before.narrow(1, t - 1, 1), after.narrow(1, t - 1, 1)));
    }
  }
}

TEST_CASE("Llama: registered names are views of the fused storage", "[unit]") {
  Llama model = random_model(small_config());
  at::Tensor k = model->named_parameters()["model.layers.1.self_attn.k_proj.weight"];
  CHECK(k.sizes() == at::IntArrayRef({16, 32}));
  const at::NoGradGuard no_grad;
  k.fill_(3);
  const Projections& qkv = model->layer(1).self_attn->qkv;
  CHECK(qkv.weight().narrow(0, 32, 16).eq(3).all().item<bool>());
}

TEST_CASE("Llama: a saved model is opened with the same weights", "[unit]") {
  const fs::path folder = fs::temp_directory_path() / ("templora-save-" + std::to_string(getpid()));
  Llama model = random_model(small_config());
  save_llama(*model, folder);
  Llama again = load_llama(folder, at::kFloat, at::kCPU);
  CHECK(weights_hash(*again) == weights_hash(*model));
  fs::remove_all(folder);
}

TEST_CASE("Llama: of a tied model either of the two weights is enough, and two that differ are two", "[unit]") {
  const fs::path folder = fs::temp_directory_path() / ("templora-tied-" + std::to_string(getpid()));
  LlamaConfig config = small_config();
  config.tied_embeddings = true;
  Llama model = random_model(config);
  save_llama(*model, folder);
  const auto store = [&](const char* name, bool with_embedding, double added) {
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const auto& item : model->named_parameters())
      if (with_embedding || item.key() != "model.embed_tokens.weight") tensors.emplace_back(item.key(), item.value());
    tensors.emplace_back(name, model->head_weight() + added);
    save_tensors(folder / "model.safetensors", tensors);
    return load_llama(folder, at::kFloat, at::kCPU);
  };
  CHECK(weights_hash(*store("lm_head.weight", true, 0)) == weights_hash(*model));
  CHECK(weights_hash(*store("lm_head.weight", false, 0)) == weights_hash(*model));
  Llama untied = store("lm_head.weight", true, 1);
  CHECK_FALSE(untied->config().tied_embeddings);
  CHECK(at::equal(untied->head_weight(), model->head_weight() + 1));
  CHECK_THROWS_WITH(store("other.weight", false, 0), Catch::Matchers::Contains("model.embed_tokens.weight"));
  fs::remove_all(folder);
}
