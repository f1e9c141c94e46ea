// Runs where there is a CUDA device; elsewhere each test says that it skips. See scripts/gpu-check.

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>

#include <cmath>
#include <iostream>

#include "../model/goldens.h"
#include "catch.h"
#include "experiment/generation.h"
#include "experiment/temp_lora.h"
#include "experiment/translation.h"
#include "generate/decoder.h"
#include "generate/static_decode_step.h"
#include "model/load.h"

using namespace templora;

namespace {

bool has_gpu() {
  if (at::hasCUDA()) return true;
  std::cout << "skipped: no CUDA device\n";
  return false;
}

const at::Device kGpu(at::kCUDA, 0);
constexpr double kNllTolerance = 1e-3;  // float32, TF32 off

Book golden_book(std::int64_t count) {
  const at::Tensor ids = goldens::tensor("loop/tokens.safetensors", "tokens");
  Book book;
  book.name = "golden";
  book.tokens.assign(ids.const_data_ptr<std::int64_t>(), ids.const_data_ptr<std::int64_t>() + count);
  return book;
}

std::vector<double> lora_nlls(const at::Device& device, at::ScalarType dtype, const Config& config) {
  Llama model = load_llama(goldens::folder("loop/model"), dtype, device);
  const std::string hash = weights_hash(*model);
  const Book book = golden_book(240);
  std::vector<double> nlls;
  {
    TempLora document(*model, config, book, 0);
    while (document.next_chunk() < document.chunk_count()) nlls.push_back(*document.step().record.lora_nll);
  }
  CHECK(weights_hash(*model) == hash);
  return nlls;
}

Config loop_config(const std::vector<Override>& overrides = {}) {
  return parse_config(
             R"({"model": {"path": "m"}, "data": {"books": ["b"]}, "window": {"chunk_tokens": 24, "context_tokens": 40},
                          "lora": {"rank": 4, "alpha": 16, "dropout": 0},
                          "train": {"prefix_tokens": 40, "learning_rate": 0.005}})",
             "test", "/tmp", overrides)
      .config;
}

std::vector<WrittenChunk> written(const at::Device& device, const std::vector<Override>& overrides) {
  std::vector<Override> all{{"experiment", "generation"},
                            {"generate.prompt", "x"},
                            {"generate.tokens", "100"},
                            {"generate.temperature", "1"}};
  all.insert(all.end(), overrides.begin(), overrides.end());
  const Config config = loop_config(all);
  Llama model = load_llama(goldens::folder("loop/model"), at::kFloat, device);
  Generation generation(*model, config, {5, 17, 3, 42, 8, 29, 11}, -1);
  std::vector<WrittenChunk> chunks;
  while (!generation.finished()) chunks.push_back(generation.step());
  return chunks;
}

std::vector<TranslatedChunk> translated(const at::Device& device) {
  const Config config = parse_config(R"({"experiment": "translation", "model": {"path": "m"}, "data": {"novels": ["n"]},
                                         "lora": {"rank": 4, "alpha": 16, "dropout": 0},
                                         "train": {"prefix_tokens": 60, "learning_rate": 0.005},
                                         "translation": {"prompt": "plain"},
                                         "generate": {"max_new_tokens": 12, "repetition_penalty": 1.12}})",
                                     "test", "/tmp", {})
                            .config;
  const Tokenizer tokenizer(fs::path(TEMPLORA_SOURCE_DIR) / "tests/text/goldens/tokenizers/bare");
  const TranslationPrompts prompts(tokenizer, chat_template("plain"), kTranslateIntoEnglish, false);
  const Novel novel = read_novel(goldens::folder("translation/novel.train"), "k1", 3);
  Llama model = load_llama(goldens::folder("translation/model"), at::kFloat, device);
  NovelTranslation translation(*model, config, tokenizer, prompts, novel, 0);
  std::vector<TranslatedChunk> chunks;
  while (translation.next_chunk() < translation.chunk_count()) chunks.push_back(translation.step().value());
  return chunks;
}

}  // namespace

TEST_CASE("CUDA: float32 logits equal transformers' for every supported config", "[gpu]") {
  if (!has_gpu()) return;
  at::globalContext().setAllowTF32CuBLAS(false);
  const Json index = goldens::json("model/index.json");  // a loop over part of a temporary would outlive it
  for (const Json& variant : index.at("variants")) {
    const std::string name = variant.at("name");
    Llama model = load_llama(goldens::folder("model/" + name), at::kFloat, kGpu);
    const at::NoGradGuard no_grad;
    for (const Json& item : variant.at("cases")) {
      const std::string file = "model/" + name + "/" + item.at("file").get<std::string>();
      const at::Tensor ids = goldens::tensor(file, "input_ids").to(kGpu);
      const at::Tensor logits = model->logits(model->forward(ids.unsqueeze(0), 0, ids.size(0))).squeeze(0).cpu();
      INFO(file);
      CHECK(goldens::largest_difference(logits, goldens::tensor(file, "logits")) <= 1e-4);
    }
  }
}

TEST_CASE("CUDA: the loop gives the CPU's numbers in float32 and follows them in bfloat16", "[gpu]") {
  if (!has_gpu()) return;
  at::globalContext().setAllowTF32CuBLAS(false);
  const std::vector<double> cpu = lora_nlls(at::kCPU, at::kFloat, loop_config());
  const std::vector<double> gpu = lora_nlls(kGpu, at::kFloat, loop_config());
  const std::vector<double> bf16 = lora_nlls(kGpu, at::kBFloat16, loop_config());
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    CHECK(std::abs(gpu[i] - cpu[i]) <= kNllTolerance);
    CHECK(std::abs(bf16[i] - cpu[i]) <= 0.1);
  }
}

TEST_CASE("CUDA: dropout draws from the module's own generator, so a seed repeats a run", "[gpu]") {
  if (!has_gpu()) return;
  Config config = loop_config();
  config.lora.dropout = 0.1;
  const std::vector<double> first = lora_nlls(kGpu, at::kFloat, config), second = lora_nlls(kGpu, at::kFloat, config);
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(std::abs(first[i] - second[i]) <= 1e-4);
}

TEST_CASE("CUDA: decoding by captured steps gives the CPU's tokens in float32", "[gpu]") {
  if (!has_gpu()) return;
  at::globalContext().setAllowTF32CuBLAS(false);
  const std::vector<std::vector<std::int64_t>> prompts = {{5, 17, 40}, {9}, {3, 4, 5, 6, 7, 8}};
  const auto texts = [&](const at::Device& device) {
    Llama model = load_llama(goldens::folder("loop/model"), at::kFloat, device);
    KvCache cache(*model, {.sequences = 3, .capacity = 16});
    SamplingStreams streams(1, 3);
    DecodeOptions options;
    options.max_new_tokens = 24;
    options.sampling.repetition_penalty = 1.2;
    return decode(*model, cache, prompts, options, streams);
  };
  const std::vector<Decoded> cpu = texts(at::kCPU), gpu = texts(kGpu);
  for (std::size_t i = 0; i < prompts.size(); ++i) CHECK(gpu[i].tokens == cpu[i].tokens);
}

TEST_CASE("CUDA: a captured step goes on unharmed while the model computes other lengths", "[gpu]") {
  if (!has_gpu()) return;
  at::globalContext().setAllowTF32CuBLAS(false);
  const auto tokens = [](const at::Device& device) {
    const at::NoGradGuard no_grad;
    Llama model = load_llama(goldens::folder("loop/model"), at::kFloat, device);
    KvCache cache(*model, {.sequences = 1, .capacity = 32});
    StaticDecodeStep step(*model, cache, DecodeOptions{}, {StaticDecodeStep::Start{5, {5}}});
    std::vector<std::int64_t> chosen;
    for (int i = 0; i < 24; ++i) {
      chosen.push_back(step.next(false, {}).front());
      const at::Tensor other = at::ones({1, 20 + i}, at::TensorOptions(at::kLong).device(device));
      model->forward(other, 0, 20 + i);  // tables of more lengths than the model keeps
    }
    return chosen;
  };
  CHECK(tokens(kGpu) == tokens(at::kCPU));
}

TEST_CASE("CUDA: kept keys and values give the CPU's numbers under every policy", "[gpu]") {
  if (!has_gpu()) return;
  at::globalContext().setAllowTF32CuBLAS(false);
  const std::vector<std::vector<Override>> ways{
      {{"cache.policy", "refill"},
       {"cache.refill_tokens", "30"},
       {"cache.window_tokens", "100"},
       {"train.lag_chunks", "1"}},
      {{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "2"}},
      {{"cache.policy", "last_n"}, {"cache.window_tokens", "70"}, {"cache.sink_tokens", "3"}}};
  for (const auto& way : ways) {
    const std::vector<double> cpu = lora_nlls(at::kCPU, at::kFloat, loop_config(way)),
                              gpu = lora_nlls(kGpu, at::kFloat, loop_config(way));
    INFO(way.front().value);
    for (std::size_t i = 0; i < cpu.size(); ++i) CHECK(std::abs(gpu[i] - cpu[i]) <= kNllTolerance);
  }
}

TEST_CASE("CUDA: learning on a second stream gives what a serial run with a lag of one chunk gives", "[gpu]") {
  if (!has_gpu()) return;
  at::globalContext().setAllowTF32CuBLAS(false);
  const std::vector<std::vector<Override>> caches{
      {},
      {{"cache.policy", "last_n"}, {"cache.window_tokens", "70"}},
      {{"cache.policy", "refill"}, {"cache.refill_tokens", "20"}, {"cache.window_tokens", "100"}}};
  for (const auto& cache : caches) {
    std::vector<Override> serial_way = cache, parallel_way = cache;
    serial_way.push_back({"train.lag_chunks", "1"});
    parallel_way.push_back({"generate.schedule", "parallelized"});
    const auto serial = written(kGpu, serial_way), parallel = written(kGpu, parallel_way);
    REQUIRE(serial.size() == parallel.size());
    for (std::size_t i = 0; i < serial.size(); ++i) {
      CHECK(serial[i].tokens == parallel[i].tokens);
      CHECK(serial[i].record.adapter_version == parallel[i].record.adapter_version);
      CHECK(std::abs(*serial[i].record.lora_nll - *parallel[i].record.lora_nll) <= kNllTolerance);
      REQUIRE(serial[i].record.train_loss.size() == parallel[i].record.train_loss.size());
      for (std::size_t e = 0; e < serial[i].record.train_loss.size(); ++e)
        CHECK(std::abs(serial[i].record.train_loss[e] - parallel[i].record.train_loss[e]) <= kNllTolerance);
    }
  }
}

TEST_CASE("CUDA: a novel's chunks are scored and learnt as on the CPU", "[gpu]") {
  if (!has_gpu()) return;
  at::globalContext().setAllowTF32CuBLAS(false);
  const std::vector<TranslatedChunk> cpu = translated(at::kCPU), gpu = translated(kGpu);
  REQUIRE(cpu.size() == gpu.size());
  for (std::size_t c = 0; c < cpu.size(); ++c) {
    for (std::size_t e = 0; e < cpu[c].record.train_loss.size(); ++e)
      CHECK(std::abs(gpu[c].record.train_loss[e] - cpu[c].record.train_loss[e]) <= kNllTolerance);
    for (std::size_t i = 0; i < cpu[c].pairs.size(); ++i) {
      const PairRecord &here = cpu[c].pairs[i], &there = gpu[c].pairs[i];
      if (here.skipped) continue;
      CHECK(std::abs(*there.base_nll - *here.base_nll) <= kNllTolerance);
      CHECK(std::abs(*there.lora_nll - *here.lora_nll) <= kNllTolerance);
      CHECK(there.base_ids.size() == here.base_ids.size());  // greedy choices of a random model may be ties
    }
  }
}
