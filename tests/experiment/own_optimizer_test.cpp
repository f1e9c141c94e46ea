#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <unistd.h>

#include "catch.h"
#include "experiment/temp_lora.h"
#include "made_config.h"
#include "small_loop.h"

using namespace templora;
using namespace templora_test;

namespace {

/// Gradient descent with momentum, which train.optimizer has no name for; with 0 it is "sgd" without clipping.
class Momentum : public Optimizer {
 public:
  Momentum(FlatParameters& parameters, double momentum)
      : parameters_(parameters), momentum_(momentum), velocity_(at::zeros_like(parameters.value)) {}
  at::Tensor step(double learning_rate) override {
    const at::NoGradGuard no_grad;
    const at::Tensor norm = parameters_.grad.norm();
    velocity_.mul_(momentum_).add_(parameters_.grad);
    parameters_.value.add_(velocity_, -learning_rate);
    parameters_.grad.zero_();
    return norm;
  }
  void reset() override { velocity_.zero_(); }
  std::vector<std::pair<std::string, at::Tensor>> state() const override { return {{"velocity", velocity_}}; }

 private:
  FlatParameters& parameters_;
  double momentum_;
  at::Tensor velocity_;
};

MakeOptimizer momentum_of(double momentum) {
  return [momentum](FlatParameters& parameters, const TrainConfig&) {
    return std::make_unique<Momentum>(parameters, momentum);
  };
}

Config stepped_by(const std::string& optimizer) {
  return made_config({{"lora.rank", "4"},
                      {"lora.dropout", "0"},
                      {"window.chunk_tokens", "24"},
                      {"window.context_tokens", "40"},
                      {"train.prefix_tokens", "40"},
                      {"train.learning_rate", "0.5"},
                      {"train.clip_norm", "0"},
                      {"train.optimizer", optimizer},
                      {"lora.reset_every_tokens", "120"}});  // a fresh adapter, and its optimizer, at chunk 5
}

std::vector<std::vector<float>> nlls(TempLora& document) {
  std::vector<std::vector<float>> nlls;
  while (document.next_chunk() < document.chunk_count()) nlls.push_back(document.step().lora_nll);
  return nlls;
}

}  // namespace

TEST_CASE("TempLora: an optimizer of one's own steps in the loop as a named one of the same rule", "[unit]") {
  Llama model = loop_model();
  const Config sgd = stepped_by("sgd"), adamw = stepped_by("adamw");
  const Book book = golden_book("loop/tokens.safetensors", 240);
  TempLora named(*model, sgd, book, 0);
  const auto wanted = nlls(named);
  TempLora own(*model, adamw, book, 0, {}, momentum_of(0));  // train.optimizer has no say
  CHECK(nlls(own) == wanted);
  TempLora faster(*model, adamw, book, 0, {}, momentum_of(0.9));
  CHECK(nlls(faster) != wanted);
}

TEST_CASE("TempLora: the state of an optimizer of one's own is saved and goes on bit for bit", "[unit]") {
  const fs::path file = fs::temp_directory_path() / ("templora-own-" + std::to_string(getpid()) + ".safetensors");
  Llama model = loop_model();
  const Config config = stepped_by("adamw");
  const Book book = golden_book("loop/tokens.safetensors", 240);
  TempLora whole(*model, config, book, 0, {}, momentum_of(0.9));
  const auto wanted = nlls(whole);
  TempLora first(*model, config, book, 0, {}, momentum_of(0.9));
  for (int i = 0; i < 3; ++i) first.step();
  const Json state = first.state();
  first.save_tensors_to(file);
  TempLora second(*model, config, book, 0, {}, momentum_of(0.9));
  second.restore(state, file);
  CHECK(nlls(second) == std::vector(wanted.begin() + 3, wanted.end()));

  // Of another optimizer it is refused by name.
  TempLora adam(*model, config, book, 0);
  CHECK_THROWS_WITH(adam.restore(state, file), Catch::Matchers::Contains("lora.exp_avg"));
  fs::remove(file);
}
