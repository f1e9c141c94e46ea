#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "model/flat_parameters.h"
#include "model/llama.h"
#include "train/optimizer.h"

namespace templora {

/// A pass over some tokens by the present weights: NLLs of those that are labelled, [count] float32, nats; with a graph
/// where grad mode is on.
using NllPass = std::function<at::Tensor()>;
/// The last `labelled` of `tokens` ([seq] int64), each predicted from what precedes it. `model` outlives the pass.
NllPass pass_over(LlamaImpl& model, const at::Tensor& tokens, std::int64_t labelled);

/// A forward pass whose graph is still alive.
struct ScoredChunk {
  at::Tensor nll;             ///< [count] float32, nats, differentiable
  std::int64_t at_step = 0;   ///< optimizer steps made before it: it may serve the next step only
};

/// Optimizer steps on one chunk. Scalars stay on the device until somebody reads them.
struct ChunkUpdate {
  std::vector<at::Tensor> loss;       ///< mean NLL of the labelled tokens before each step
  std::vector<at::Tensor> grad_norm;  ///< before clipping
};

/// Told the name of each part of an update as it ends: "train_forward", "train_backward", "optimizer". Null: nobody.
using OnPart = std::function<void(const char* part)>;

/// Updates given parameters of a model on given tokens, chunk after chunk. It knows nothing of what the
/// parameters are; whoever owns them sets dropout before calling.
class ChunkTrainer {
 public:
  /// All arguments but `make`, which says how to step, outlive it.
  ChunkTrainer(LlamaImpl& model, FlatParameters& parameters, const TrainConfig& config,
               const MakeOptimizer& make = make_optimizer);

  /// Scores the last `count` of tokens ([seq] int64) with the graph kept: these NLLs are what a pass
  /// without gradients would give (to rounding where so few rows have kernels of their own, skinny_gemm.h), and
  /// `update` can start from them.
  ScoredChunk forward(const at::Tensor& tokens, std::int64_t count) {
    return forward(pass_over(model_, tokens, count));
  }
  ScoredChunk forward(const NllPass& pass);

  /// One optimizer step for each learning rate, on the mean NLL of the last `count` of tokens. A `first`
  /// forward of the same tokens by the current weights serves as the first step's.
  ChunkUpdate update(const at::Tensor& tokens, std::int64_t count, const std::vector<double>& learning_rates,
                     std::optional<ScoredChunk> first = {}, const OnPart& on_part = {}) {
    return update(pass_over(model_, tokens, count), learning_rates, std::move(first), on_part);
  }
  /// The same on the mean of what `pass` gives; it is asked anew for each step but one that `first` serves.
  ChunkUpdate update(const NllPass& pass, const std::vector<double>& learning_rates,
                     std::optional<ScoredChunk> first = {}, const OnPart& on_part = {});

  /// Optimizer steps made so far.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }  ///< of a resumed run
  Optimizer& optimizer() { return *optimizer_; }

 private:
  LlamaImpl& model_;
  std::unique_ptr<Optimizer> optimizer_;
  std::int64_t steps_ = 0;
};

}  // namespace templora
