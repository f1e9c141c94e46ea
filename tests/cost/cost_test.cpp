#include "cost/cost.h"

#include <cmath>

#include "../core/fixtures.h"
#include "catch.h"
#include "core/error.h"
#include "core/file.h"
#include "cost/device_peaks.h"
#include "made_config.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

Config config_of(const std::vector<Override>& keys) { return made_config({{"model.dtype", "bfloat16"}}, keys); }

struct Setting {
  std::int64_t chunk, context;
};

Config config_of(const Setting& setting, const std::vector<Override>& more) {
  std::vector<Override> all{{"window.chunk_tokens", std::to_string(setting.chunk)},
                            {"train.prefix_tokens", std::to_string(setting.context)}};
  all.insert(all.end(), more.begin(), more.end());
  return config_of(all);
}

double gflop_per_token(const Config& config, const Execution& execution = {}) {
  return cost_per_token(config, named_model_shape("llama2-7b"), execution).total().flops() / 1e9;
}

ModelShape tiny() { return {"tiny", 60, 32, 48, 3, 4, 2, 8, 256, false, {}}; }

}  // namespace

TEST_CASE("Cost: GFLOP per new token of Llama2-7B are the published ones of every variant within 1 %", "[unit]") {
  const Setting settings[] = {{1024, 3072}, {1024, 1024}, {2048, 2048}};
  const double given[6][3] = {{480, 228, 240}, {304, 144, 152}, {246, 116, 124},
                              {241, 114, 122}, {56, 27, 28},    {15.1, 14.0, 14.8}};
  Execution untrimmed;
  untrimmed.trims_last_layer = untrimmed.skips_input_gradient = false;
  for (int column = 0; column < 3; ++column) {
    const Setting& at = settings[column];
    const std::vector<Override> plain{{"score.adapter", "false"}}, module{{"score.base", "false"}};
    const double ours[6] = {gflop_per_token(config_of(at, {}), Execution::released()),
                            gflop_per_token(config_of(at, module), untrimmed),
                            gflop_per_token(config_of(at, {{"score.base", "false"}, {"lora.dropout", "0"}}), untrimmed),
                            gflop_per_token(config_of(at, {{"score.base", "false"}, {"lora.dropout", "0"}})),
                            gflop_per_token(config_of(at, plain)),
                            gflop_per_token(config_of(at, {{"score.adapter", "false"}, {"cache.policy", "last_n"}}))};
    for (int row = 0; row < 6; ++row) {
      INFO("row " << row << " column " << column << ": " << ours[row] << " against " << given[row][column]);
      CHECK(std::abs(ours[row] / given[row][column] - 1) <= 0.01);
    }
  }
}

TEST_CASE("Cost: the total is what is counted by hand for two chunks", "[unit]") {
  // Rank 2 on the query and down projections of the last layer only; the first chunk has no context.
  const Config config = config_of({{"window.chunk_tokens", "10"},
                                   {"train.prefix_tokens", "5"},
                                   {"lora.rank", "2"},
                                   {"lora.dropout", "0"},
                                   {"lora.targets", R"(["q_proj", "down_proj"])"},
                                   {"lora.layers", "[2]"},
                                   {"train.epochs", "1"}});
  CostInput input;
  input.document_tokens = {20};
  const CostPrediction cost = predict_cost(config, tiny(), input);
  const double qkv = 32 * 64, out = 32 * 32, gates = 32 * 96, down = 48 * 32, head = 32 * 60;
  const double layer = qkv + out + gates + down, tail = out + gates + down;
  // n rows, r of them labelled: everything but the last layer's tail for all rows.
  const auto base = [&](double n, double r) { return 2 * (n * (2 * layer + qkv) + r * (tail + head)); };
  const double lora_q = 2 * (32 + 32), lora_down = 2 * (48 + 32);
  const auto with_module = [&](double n, double r) { return base(n, r) + 2 * (n * lora_q + r * lora_down); };
  CHECK(cost.phases.at("score_base").gemm_flops == base(10, 9) + base(15, 10));
  // The scored passes are the first steps': the gradient of what enters the head is made with its logits.
  const double shared = 2 * head * (9 + 10);
  CHECK(cost.phases.at("score").gemm_flops == with_module(10, 9) + with_module(15, 10) + shared);
  CHECK(cost.phases.at("score").attention_flops == 4 * 32 * 3 * (55 + 120));
  CHECK(cost.phases.at("train_forward").flops() == 0);  // shared with the score
  // Backward: no gradient of x at the lowest adapter, whose group still has those of A and B.
  const auto backward = [&](double n, double r) {
    return n * (4 * 2 * 32 + 2 * 2 * 32) + 2 * r * tail + r * (4 * 2 * 32 + 4 * 2 * 48);
  };
  CHECK(cost.phases.at("train_backward").gemm_flops == backward(10, 9) + backward(15, 10));
  CHECK(cost.phases.at("train_backward").attention_flops == 2.5 * 4 * 32 * 1 * (55 + 120));
  CHECK(cost.optimizer_steps == 2);
  CHECK(cost.tokens == 20);
}

TEST_CASE("Cost: what a config leaves out costs nothing, and what it adds is added", "[unit]") {
  const std::vector<Override> base{{"window.chunk_tokens", "8"}, {"train.prefix_tokens", "16"}, {"lora.rank", "4"}};
  const auto predict = [&](const std::vector<Override>& more, const CostInput& input = {{200}, 1, {}, {}}) {
    std::vector<Override> all = base;
    all.insert(all.end(), more.begin(), more.end());
    return predict_cost(config_of(all), tiny(), input);
  };
  const CostPrediction all = predict({});
  CHECK(predict({{"score.base", "false"}}).phases.count("score_base") == 0);
  CHECK(predict({{"score.adapter", "false"}}).phases.size() == 1);
  const CostPrediction frozen = predict({{"train.enabled", "false"}});
  CHECK(frozen.optimizer_steps == 0);
  CHECK(frozen.total().flops() == all.phases.at("score").flops() + all.phases.at("score_base").flops());
  CHECK(predict({{"train.epochs", "4"}}).phases.at("train_backward").flops() ==
        2 * all.phases.at("train_backward").flops());
  CHECK(predict({{"train.stop_after_tokens", "80"}}).optimizer_steps == 20);
  CHECK(predict({{"train.lag_chunks", "1"}}).optimizer_steps == 48);
  CHECK(predict({{"train.update_every_chunks", "5"}}).optimizer_steps == 10);
  CHECK(predict({{"train.hard_quantile", "0.5"}, {"train.hard_after_chunks", "5"}}).optimizer_steps == 2 * (5 + 10));
  CostInput measured{{200}, 1, [](std::size_t, std::int64_t chunk) { return std::int64_t(chunk < 3 ? 2 : 0); }, {}};
  CHECK(predict({{"train.hard_quantile", "0.5"}}, measured).optimizer_steps == 6);
  const Config controls = [&] {
    Config config = config_of(base);
    config.control = {Control::other_book, Control::mixed_books};
    return config;
  }();
  const CostPrediction three = predict_cost(controls, tiny(), {{200}, 1, {}, {}});
  CHECK(three.phases.at("score_controls").flops() == 2 * all.phases.at("score").flops());
  CHECK(three.memory.moments == 3 * all.memory.moments);
  CHECK(predict({{"train.optimizer", "sgd"}}).memory.moments == 0);
  // Whole projections: a master, a gradient and an optimizer's moments of each of their weights, and no product's rows.
  const std::string targets = R"(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])";
  const std::vector<Override> everywhere{
      {"lora.targets", targets}, {"lora.layers", "null"}, {"model.dtype", "float32"}};
  std::vector<Override> full = everywhere;
  full.push_back({"lora.update", "full"});
  const auto whole = predict(full), product = predict(everywhere);
  const double weights = 3 * (32 * 64 + 32 * 32 + 32 * 96 + 48 * 32);
  CHECK(whole.memory.module == 8 * weights);
  CHECK(whole.memory.moments == 8 * weights);
  CHECK(whole.memory.activations < product.memory.activations);
  // A prefix that stands keeps its keys and values for the backward pass, and no row.
  for (const char* key : {"lora.rows", "train.prefix_gradient"}) {
    const auto stands = predict({{key, std::string(key) == "lora.rows" ? "chunk" : "false"}});
    CHECK(stands.memory.activations < all.memory.activations);
    CHECK(stands.phases.at("train_backward").flops() < all.phases.at("train_backward").flops());
  }
}

TEST_CASE("Cost: kept keys and values cost a rebuild now and then, not every chunk", "[unit]") {
  const auto tokens = [](const std::vector<Override>& more) {
    std::vector<Override> all{{"window.chunk_tokens", "10"}, {"train.prefix_tokens", "30"}};
    all.insert(all.end(), more.begin(), more.end());
    const Config config = config_of(all);
    std::int64_t rebuilt = 0;
    for (const PricedChunk& chunk : priced_chunks(config, {{400}, 1, {}, {}}, 0))
      for (const CacheStep& step : chunk.recompute) rebuilt += step.kind == CacheStep::Kind::feed ? step.tokens : 0;
    return rebuilt;
  };
  CHECK(tokens({{"cache.policy", "last_n"}}) == 0);
  // 40 chunks: the first four fill the window; then one rebuild of R - 1 tokens every (W - R) / Δ = 3 chunks.
  CHECK(tokens({{"cache.policy", "refill"}, {"cache.refill_tokens", "10"}}) == 9 * 12);
  CHECK(tokens({{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "2"}}) > 9 * 12);
}

TEST_CASE("Cost: a generation decodes each token once and learns each chunk", "[unit]") {
  const Config config =
      parse_config(R"({"experiment": "generation", "model": {"path": "m"}, "generate": {"prompt": "p"},
    "window": {"chunk_tokens": 8}, "train": {"prefix_tokens": 16}, "lora": {"rank": 2},
    "cache": {"policy": "last_n"}})",
                   "test", "/tmp", {})
          .config;
  const CostPrediction cost = predict_cost(config, tiny(), {{24}, 5, {}, {}});
  CHECK(cost.tokens == 24);
  CHECK(cost.optimizer_steps == 6);
  const ModelWork model(tiny(), config.lora, config.model.dtype);
  CHECK(cost.phases.at("prefill").gemm_flops == model.cached(4, 0, AskedRows::none, true, 512).gemm_flops);
  CHECK(cost.phases.at("decode").gemm_flops == Approx(24 * model.decoded(1, 0, true).gemm_flops));
}

TEST_CASE("Cost: what happens once in millions of chunks costs nothing a token, and no time to find out", "[unit]") {
  const Setting at{64, 64};
  const auto flops = [&](const std::vector<Override>& more) {
    return cost_per_token(config_of(at, more), tiny()).total().flops();
  };
  const auto with = [](std::vector<Override> all, const Override& one) {
    all.push_back(one);
    return all;
  };
  const double unlearnt = flops({{"train.enabled", "false"}}), learnt = flops({});
  CHECK(flops({{"train.update_every_chunks", "3000000"}}) == Approx(unlearnt));
  CHECK(flops({{"train.hard_quantile", "0.5"}, {"train.hard_after_chunks", "1000000000"}}) <= learnt);
  const std::vector<Override> grown{{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "1000"}};
  CHECK(flops(with(grown, {"train.update_every_chunks", "1000000000"})) ==
        Approx(flops(with(grown, {"train.enabled", "false"}))));
}

TEST_CASE("Cost: weights of the published models", "[unit]") {
  CHECK(named_model_shape("llama2-7b").parameters() == 6738415616.0);
  CHECK(named_model_shape("llama2-13b").parameters() == 13015864320.0);
  CHECK(named_model_shape("yi-6b").parameters() == 6061035520.0);
  check_has(refusal([] { named_model_shape("gpt"); }, Exit::usage), "llama2-7b, llama2-13b, yi-6b");
}

TEST_CASE("Cost: a model folder is read for its sizes", "[unit]") {
  const ModelShape shape = read_model_shape(fs::path(TEMPLORA_SOURCE_DIR) / "models/small-6m");
  CHECK(shape.parameters() == 5795072.0);
  CHECK(shape.vocab == 4096);
  CHECK_THROWS_AS(read_model_shape(fs::path(TEMPLORA_SOURCE_DIR) / "docs"), Error);
}

TEST_CASE("Cost: devices are named or described, and what is wrong is said", "[unit]") {
  CHECK(device_peaks("h100").bytes_per_s == 3.35e12);
  CHECK(device_peaks("bf16_flops=2e14,fp32_flops=1e13,bytes_per_s=1e12,memory_bytes=2.4e10").flops(Dtype::float32) ==
        1e13);
  const auto refused = [](const char* device) { return refusal([&] { device_peaks(device); }, Exit::usage); };
  check_has(refused("H300"), "H200, H100, A100, L40S, 4090, cpu");
  check_has(refused("bf16_flops=2e14,fp32_flops=1e13,memory_bytes=2e10"), "bytes_per_s is missing");
  check_has(refused("bf16_flops=two"), "bf16_flops: got \"two\"");
  check_has(refused("flops=1"), "got \"flops=1\"");
  check_has(refused("fp32_flops=1,fp32_flops=2"), "each once");
}
