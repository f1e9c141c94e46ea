// An optimizer of one's own in the Temp-LoRA loop: Lion (Chen et al. 2023, arXiv 2302.06675), which templora has not.
// Prints perplexities of the text by the base model, by the config's optimizer and by Lion, after every chunk.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <cstdio>
#include <numeric>

#include "core/error.h"
#include "experiment/machine.h"
#include "experiment/temp_lora.h"

using namespace templora;

namespace {

/// θ ← θ - η sign(0.9 m + 0.1 g), m ← 0.99 m + 0.01 g. All of the adapter's weights are one tensor, and so is g.
class Lion : public Optimizer {
 public:
  explicit Lion(FlatParameters& parameters) : parameters_(parameters), momentum_(at::zeros_like(parameters.value)) {}

  at::Tensor step(double learning_rate) override {
    const at::NoGradGuard no_grad;
    const at::Tensor norm = parameters_.grad.norm();
    parameters_.value.sub_(at::lerp(momentum_, parameters_.grad, 0.1).sign_(), learning_rate);
    momentum_.lerp_(parameters_.grad, 0.01);
    parameters_.grad.zero_();  // in place: autograd adds into this very tensor
    return norm;
  }
  void reset() override { momentum_.zero_(); }
  std::vector<std::pair<std::string, at::Tensor>> state() const override { return {{"momentum", momentum_}}; }

 private:
  FlatParameters& parameters_;
  at::Tensor momentum_;
};

double sum(const std::vector<float>& nll) { return std::accumulate(nll.begin(), nll.end(), 0.0); }

void compare_optimizers(const Config& config) {
  const Machine machine = set_up_machine(config.model, config.run);
  const Tokenizer tokenizer = open_tokenizer(config.model);
  Llama model = open_model(config.model, machine);
  check_windows(config, model->config());
  Config with_lion = config;
  with_lion.train.learning_rate /= 5;  // each weight moves by the whole rate: Lion wants a smaller one than AdamW
  with_lion.score.base = false;
  std::printf("tokens\tbase\tconfig's\tLion\n");
  std::int64_t index = 0;
  for (const fs::path& path : expand_globs(config.data.books, ".")) {
    const Book book = read_book(path, tokenizer, {config.data.strip, config.data.max_tokens});
    TempLora named(*model, config, book, index);
    TempLora own(*model, with_lion, book, index++, {}, [](FlatParameters& parameters, const TrainConfig&) {
      return std::make_unique<Lion>(parameters);
    });
    double tokens = 0, base = 0, by_config = 0, by_lion = 0;
    while (named.next_chunk() < named.chunk_count()) {
      const ChunkResult chunk = named.step();
      tokens += double(chunk.record.scored_tokens);
      base += sum(chunk.base_nll);
      by_config += sum(chunk.lora_nll);
      by_lion += sum(own.step().lora_nll);
      std::printf("%.0f\t%.4f\t%.4f\t%.4f\n", tokens, std::exp(base / tokens), std::exp(by_config / tokens),
                  std::exp(by_lion / tokens));
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw Error(Exit::usage, "usage: own_updater CONFIG [KEY=VALUE]…, such as train.epochs=1");
  std::vector<Override> overrides{{"experiment", "perplexity"}, {"score.base", "true"}, {"score.adapter", "true"}};
  for (const std::string& word : std::vector<std::string>(argv + 2, argv + argc))
    overrides.push_back({word.substr(0, word.find('=')), word.substr(word.find('=') + 1)});
  compare_optimizers(load_config(argv[1], overrides).config);
} catch (const Error& error) {
  std::fprintf(stderr, "own_updater: %s\n", error.what());
  return int(error.exit_code());
}
