#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/flat_parameters.h"
#include "model/llama.h"
#include "train/adamw.h"

namespace templora {

/// How a Pretrainer computes.
struct PretrainerOptions {
  std::int64_t workers = 1;          ///< threads that each compute whole micro-batches with a model copy of their own
  std::int64_t micro_sequences = 4;  ///< sequences of a micro-batch
  AdamOptions adam;                  ///< weight_decay is for matrices only; norms and biases have none
};

/// One optimizer step.
struct PretrainStep {
  double loss = 0;       ///< mean NLL of the batch before the step, nats
  double grad_norm = 0;  ///< before clipping
};

/// Trains all weights of a Llama on given tokens. The weights are float32 in one buffer; the model computes
/// in its own dtype on copies of them that are refreshed after each step. Sequences are shared out to the
/// workers by their place in the batch and gradients are added in a fixed order, so that the same calls on
/// the same number of workers give the same bits.
class Pretrainer {
 public:
  /// Starts from random weights (init_random_weights). Throws Error(resources) where they do not fit.
  Pretrainer(const LlamaConfig& config, at::ScalarType dtype, const at::Device& device,
             const PretrainerOptions& options, std::uint64_t seed, double init_std);
  Pretrainer(const Pretrainer&) = delete;
  Pretrainer& operator=(const Pretrainer&) = delete;

  /// One step on sequences [batch, seq + 1] int64 on the CPU: each token after the first is predicted.
  PretrainStep step(const at::Tensor& sequences, double learning_rate);

  /// Called when a part of a step ends: "gradient" (both directions of all workers), "optimizer".
  std::function<void(const char* part)> on_part;

  /// Loss and gradient without a step: fills `gradient()`. → mean NLL.
  double loss_and_gradient(const at::Tensor& sequences);

  /// Σ NLL in nats over all predicted tokens of [any, seq + 1] int64 on the CPU.
  double total_nll(const at::Tensor& sequences);

  /// The model as it stands.
  LlamaImpl& model() { return *models_.front(); }

  /// What a resumed run needs, by name: weights, moments, step counts. After writing into the tensors call
  /// refresh().
  std::vector<std::pair<std::string, at::Tensor>> state() const;
  /// Copies the weights into the models.
  void refresh();

  /// The float32 weights and gradient of storage_tensors() entry `name`, views of the buffers.
  at::Tensor weights(const std::string& name) const { return view(parameters_.value, name); }
  at::Tensor gradient(const std::string& name) const { return view(parameters_.grad, name); }

 private:
  struct Place {
    std::string name;
    std::size_t index;  // in storage_tensors()
    std::int64_t offset, count;
    std::vector<std::int64_t> shape;
  };
  std::size_t place_of(const std::string& name) const;
  at::Tensor view(const at::Tensor& flat, const std::string& name) const;
  double micro_batch(std::size_t worker, const at::Tensor& sequences, double scale);
  template <class Work>
  double share_out(const at::Tensor& sequences, Work&& work);

  std::vector<Llama> models_;                       // one a worker
  std::vector<std::vector<at::Tensor>> storages_;   // by worker, in the order of places_
  std::vector<Place> places_;                       // matrices first, then what is not decayed
  std::size_t embedding_ = 0, head_ = 0;            // places; one where they are tied
  FlatParameters parameters_;
  std::vector<at::Tensor> worker_grads_;            // [Σ numel] float32 of each worker but the first
  FlatParameters decayed_, undecayed_;              // the two ranges of parameters_
  std::unique_ptr<AdamW> decayed_adam_, undecayed_adam_;
  PretrainerOptions options_;
};

}  // namespace templora
