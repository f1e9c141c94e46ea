#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/json.h"
#include "io/safetensors.h"
#include "lora/lora_adapter.h"
#include "lora/peft_folder.h"
#include "model/llama.h"
#include "plan/learning_rates.h"
#include "train/chunk_trainer.h"

namespace templora {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Optimizer steps that were made on a chunk.
struct Learnt {
  ChunkUpdate update;
  double learning_rate;  ///< of the last step
};

/// What learns a text while it streams by, and goes with it: a LoRA on the model's projections, the trainer of its
/// parameters, and how many chunks these have learnt. Every experiment learns through it.
class TemporaryAdapter {
 public:
  /// Attached, with PEFT's first weights by `seed`, or those of lora.init_from. Throws as LoraAdapter and its loader
  /// do.
  TemporaryAdapter(LlamaImpl& model, const Config& config, std::uint64_t seed,
                   const MakeOptimizer& make = make_optimizer);

  /// Several adapters of one model take turns: only one is attached.
  void attach() { lora_.attach(); }
  void detach() { lora_.detach(); }

  /// A pass with a graph, whose NLLs are scores too, and that the first step of learn() may use.
  ScoredChunk forward(const NllPass& pass) { return trainer_.forward(pass); }

  /// Makes `steps` steps on the mean NLL that `pass` gives, at the rates of a chunk that stands at `place` in
  /// what this adapter reads; with train.moments "reset" the optimizer begins anew. Dropout is drawn here only.
  Learnt learn(const NllPass& pass, const Place& place, std::int64_t steps, std::optional<ScoredChunk> first = {},
               const OnPart& on_part = {});

  std::int64_t version() const { return version_; }         ///< chunks learnt
  std::int64_t steps() const { return trainer_.steps(); }   ///< optimizer steps made
  FlatParameters& parameters() { return lora_.parameters(); }

  /// What has to be kept between two chunks: `<name>.weights`, the optimizer's tensors as `<name>.<its name>`, and the
  /// dropout generator as `<name>.generator`. version() and steps() are the caller's to record.
  void add_state(NamedTensors& tensors, const std::string& name) const;
  /// Puts it back. Throws Error(bad_input) naming file and tensor where one is missing or does not fit.
  void restore(const SafetensorsFiles& files, const std::string& name, std::int64_t version, std::int64_t steps);

  /// Writes a PEFT folder.
  void save_peft(const std::filesystem::path& folder) const { save_peft_folder(lora_, folder, config_.model.path); }

 private:
  const Config& config_;
  mutable LoraAdapter lora_;
  mutable ChunkTrainer trainer_;
  std::int64_t version_ = 0;
};

}  // namespace templora
