// Every family and every kind of window against transformers 5 and PEFT, and against itself over kept keys.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "../model/goldens.h"
#include "catch.h"
#include "experiment/context_cache.h"
#include "experiment/temp_lora.h"
#include "generate/decoder.h"
#include "generate/score.h"
#include "made_config.h"
#include "model/load.h"
#include "plan/chunks.h"
#include "small_loop.h"

using namespace templora;
using namespace templora_test;

namespace {

using Tokens = std::vector<std::int64_t>;

const Json& index_of() {
  static const Json index = goldens::json("families/index.json");
  return index;
}

Llama open_family(const std::string& name, at::ScalarType dtype) {
  return load_llama(goldens::folder("families/" + name), dtype, at::kCPU);
}

at::Tensor stored(const std::string& name, const std::string& tensor) {
  return goldens::tensor("families/" + name + "/expected.safetensors", tensor);
}

at::Tensor row_of(const Tokens& tokens) { return at::tensor(at::ArrayRef<std::int64_t>(tokens)).unsqueeze(0); }

std::string targets_of(LlamaImpl& model) {
  return model.config().layer(0).fused_names
             ? R"(["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])"
             : R"(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])";
}

Config family_config(LlamaImpl& model, const std::vector<Override>& more) {
  return made_config({{"lora.rank", "2"},
                      {"lora.alpha", "4"},
                      {"lora.dropout", "0"},
                      {"lora.targets", targets_of(model)},
                      {"window.chunk_tokens", "12"},
                      {"train.prefix_tokens", "20"}},
                     more);
}

}  // namespace

TEST_CASE("families: logits, loss and every gradient equal transformers' and PEFT's", "[parity]") {
  for (const Json& variant : index_of().at("variants")) {
    const std::string name = variant.at("name");
    INFO(name);
    Llama model = open_family(name, at::kFloat);
    const at::Tensor ids = stored(name, "input_ids");
    const double tolerance = variant.at("tolerance");
    {
      const at::NoGradGuard no_grad;
      const at::Tensor logits = model->logits(model->forward(ids.unsqueeze(0), 0, ids.size(0))).squeeze(0);
      CHECK(goldens::largest_difference(logits, stored(name, "logits")) <= tolerance);
    }
    LoraAdapter adapter(*model, family_config(*model, {}).lora, 1);
    load_peft_folder(adapter, goldens::folder("families/" + name + "/adapter"));
    const at::Tensor loss =
        token_nll(*model, ids.unsqueeze(0), index_of().at("labelled_tokens").get<std::int64_t>()).mean();
    loss.backward();
    CHECK(std::abs(loss.item<double>() - stored(name, "loss").item<double>()) <= tolerance);
    double largest = 0;
    for (const LoraAdapter::Named& named : adapter.named_tensors()) {
      const std::string peft = "grad.base_model.model." + named.module;
      INFO(named.module);
      CHECK(goldens::largest_difference(named.a_grad, stored(name, peft + ".lora_A.weight")) <= tolerance);
      CHECK(goldens::largest_difference(named.b_grad, stored(name, peft + ".lora_B.weight")) <= tolerance);
      largest = std::max(largest, named.b_grad.abs().max().item<double>());
    }
    CHECK(largest > 1e-3);
  }
}

TEST_CASE("families: greedy texts equal transformers', step by step, in fixed steps and while the cache grows",
          "[parity]") {
  for (const Json& variant : index_of().at("variants")) {
    const std::string name = variant.at("name");
    Llama model = open_family(name, at::kDouble);
    const auto prompts = variant.at("prompts").get<std::vector<Tokens>>(),
               wanted = variant.at("texts").get<std::vector<Tokens>>();
    for (const bool fixed : {false, true}) {
      DecodeOptions options;
      options.max_new_tokens = 20;
      options.fixed_steps = fixed;
      KvCache cache(*model, {.sequences = 2, .capacity = 4, .block_tokens = 5});
      SamplingStreams streams(1, 2);
      const std::vector<Decoded> texts = decode(*model, cache, prompts, options, streams);
      INFO(name << (fixed ? ", fixed steps" : ""));
      for (std::size_t i = 0; i < 2; ++i) CHECK(texts[i].tokens == wanted[i]);
    }
  }
}

TEST_CASE("families: ten chunks of the loop equal transformers + PEFT", "[parity]") {
  for (const Json& variant : index_of().at("variants")) {
    const std::string name = variant.at("name");
    INFO(name);
    Llama model = open_family(name, at::kFloat);
    std::vector<Override> overrides{{"lora.init_from", goldens::folder("families/" + name + "/adapter").string()}};
    for (const Override& key : keys_of(index_of().at("loop"))) overrides.push_back(key);
    Book book;
    book.name = name;
    book.tokens = variant.at("tokens").get<Tokens>();
    const Config config = family_config(*model, overrides);
    TempLora document(*model, config, book, 0);
    const Json& chunks = variant.at("chunks");
    REQUIRE(document.chunk_count() == std::int64_t(chunks.size()));
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const ChunkRecord record = document.step().record;
      INFO("chunk " << i);
      CHECK(std::abs(*record.base_nll - chunks[i].at("base_nll").get<double>()) <= 1e-4);
      CHECK(std::abs(*record.lora_nll - chunks[i].at("lora_nll").get<double>()) <= 1e-4);
    }
  }
}

TEST_CASE("families: kept keys give what the whole text gives, in any pieces and row kernels", "[unit]") {
  const at::NoGradGuard no_grad;
  const Tokens text = made_text(60, 48);
  for (const Json& variant : index_of().at("variants")) {
    const std::string name = variant.at("name");
    for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-9}, {at::kFloat, 2e-4}}) {
      Llama model = open_family(name, dtype);
      const at::Tensor whole = model->forward(row_of(text), 0, 60).squeeze(0);
      for (const std::int64_t block : {4, 13, 60}) {  // rows of the program's own kernels, and the library's
        KvCache cache(*model, {.capacity = 60, .block_tokens = block});
        std::vector<at::Tensor> hidden;
        for (const auto& [first, last] : {std::pair{0, 20}, {20, 45}, {45, 46}, {46, 60}})
          hidden.push_back(cache.append(*model, {{0, {text.begin() + first, text.begin() + last}}}, Rows::all, 0));
        INFO(name << ", dtype " << int(dtype) << ", block " << block);
        CHECK(goldens::largest_difference(at::cat(hidden), whole) <= tolerance);
        cache.truncate(0, 30);
        const at::Tensor last = cache.append(*model, {{0, {text.begin() + 30, text.end()}}}, Rows::last, 0);
        CHECK(goldens::largest_difference(last[0], whole[59]) <= tolerance);
      }
    }
  }
}

TEST_CASE("families: cache policies score through a window as if nothing were kept, and nothing is stale", "[unit]") {
  const Tokens text = made_text(100, 48);
  const std::vector<std::vector<Override>> policies{
      {{"cache.policy", "refill"}, {"cache.refill_tokens", "10"}, {"cache.window_tokens", "50"}},
      {{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "3"}, {"window.context_tokens", "14"}},
      {{"cache.policy", "last_n"}, {"cache.window_tokens", "40"}, {"cache.sink_tokens", "2"}}};
  for (const char* name : {"mistral_window", "smollm3_window", "olmo3", "qwen3_window"}) {
    Llama model = open_family(name, at::kFloat);
    for (const auto& policy : policies) {
      const Config config = family_config(*model, policy);
      ContextCache cache(*model, config);
      const std::vector<Chunk> chunks = cut_chunks(100, 12, 12);
      for (const Chunk& chunk : chunks) {
        INFO(name << " " << policy[0].value << " chunk at " << chunk.first);
        const std::int64_t context = cache.open(text, chunk.first, chunk.count, 0);
        const at::Tensor nll = cache.score(text, chunk, 0);
        if (const auto staleness = cache.measure_staleness(text, chunks, std::size_t(chunk.first / 12), 0))
          CHECK(std::abs(staleness->kl) < 1e-5);
        if (policy[0].value == "last_n") continue;  // its slots move: no plain window sees the same
        const Window seen = window_of(chunk, context);
        const at::NoGradGuard no_grad;
        const at::Tensor plain = token_nll(
            *model, row_of({text.begin() + seen.first, text.begin() + seen.first + seen.length}), seen.labelled);
        CHECK(at::allclose(nll, plain.squeeze(0), 1e-4, 1e-4));
      }
    }
  }
}

TEST_CASE("families: slots that move are turned and seen by where they now are", "[unit]") {
  // With one layer a slot's key does not depend on what was seen before it, so the moved cache is that of the kept
  // tokens.
  const at::NoGradGuard no_grad;
  const Tokens text = made_text(40, 48);
  for (const char* name : {"mistral_window", "smollm3_window", "olmo3", "qwen3_window"}) {
    LlamaConfig config = read_llama_config(goldens::folder("families/") / name / "config.json");
    config.layer_specs = {config.layer_specs.back()};
    config.layers = 1;
    Llama model(config, at::TensorOptions(at::kDouble));
    init_random_weights(*model, 3, 0.3);
    KvCache moved(*model, {.capacity = 60, .movable = true}), fresh(*model, {.capacity = 60});
    moved.append(*model, {{0, text}}, Rows::none, 0);
    moved.keep_last(0, 3, 20);
    Tokens kept(text.begin(), text.begin() + 3);
    kept.insert(kept.end(), text.end() - 20, text.end());
    fresh.append(*model, {{0, kept}}, Rows::none, 0);
    const Tokens next = made_text(7, 48);
    INFO(name);
    CHECK(goldens::largest_difference(moved.append(*model, {{0, next}}, Rows::all, 0),
                                      fresh.append(*model, {{0, next}}, Rows::all, 0)) < 1e-9);
  }
}

TEST_CASE("families: a second graph over the same weights computes the same", "[unit]") {
  const at::NoGradGuard no_grad;
  for (const Json& variant : index_of().at("variants")) {
    const std::string name = variant.at("name");
    Llama model = open_family(name, at::kFloat), shared = share_weights(*model);
    const at::Tensor ids = row_of(made_text(30, 48));
    INFO(name);
    CHECK(at::equal(model->forward(ids, 0, 30), shared->forward(ids, 0, 30)));
    CHECK(weights_hash(*model) == weights_hash(*shared));
  }
}
