#include "train/chunk_trainer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/mean.h>

#include "core/check.h"

namespace templora {

ChunkTrainer::ChunkTrainer(LlamaImpl& model, FlatParameters& parameters, const TrainConfig& config,
                           const MakeOptimizer& make)
    : model_(model), optimizer_(make(parameters, config)) {}

NllPass pass_over(LlamaImpl& model, const at::Tensor& tokens, std::int64_t labelled) {
  return [&model, tokens, labelled] { return token_nll(model, tokens.unsqueeze(0), labelled).squeeze(0); };
}

ScoredChunk ChunkTrainer::forward(const NllPass& pass) {
  const at::AutoGradMode with_graph(true);
  return {pass(), steps_};
}

ChunkUpdate ChunkTrainer::update(const NllPass& pass, const std::vector<double>& learning_rates,
                                 std::optional<ScoredChunk> first, const OnPart& on_part) {
  ChunkUpdate result;
  const auto ended = [&](const char* part) {
    if (on_part) on_part(part);
  };
  for (const double learning_rate : learning_rates) {
    ScoredChunk scored = first ? std::move(*first) : forward(pass);
    first.reset();
    // The fused step writes weights without telling autograd: a stale graph would give silent nonsense.
    TEMPLORA_CHECK(scored.at_step == steps_, "this forward pass was made by older weights");
    const at::Tensor loss = scored.nll.mean();
    ended("train_forward");
    loss.backward();
    result.loss.push_back(loss.detach());
    ended("train_backward");
    result.grad_norm.push_back(optimizer_->step(learning_rate));
    ++steps_;
    ended("optimizer");
  }
  return result;
}

}  // namespace templora
