// Runs where there is a CUDA device; elsewhere each test says that it skips. See scripts/gpu-check.

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <iostream>

#include "../model/goldens.h"
#include "catch.h"
#include "experiment/temp_lora.h"
#include "generate/decoder.h"
#include "model/load.h"

using namespace templora;

namespace {

bool has_gpu() {
  if (at::hasCUDA()) return true;
  std::cout << "skipped: no CUDA device\n";
  return false;
}

const at::Device kGpu(at::kCUDA, 0);

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

Config loop_config() {
  return parse_config(R"({"model": {"path": "m"}, "data": {"books": ["b"]}, "window": {"chunk_tokens": 24, "context_tokens": 40},
                          "lora": {"rank": 4, "alpha": 16, "dropout": 0},
                          "train": {"prefix_tokens": 40, "learning_rate": 0.005}})", "test", "/tmp", {}).config;
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
    CHECK(std::abs(gpu[i] - cpu[i]) <= 1e-3);
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
