#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "lora/lora_linear.h"
#include "model/flat_parameters.h"
#include "model/llama.h"

namespace templora {

/// The temporary adapter: low-rank updates on a model's projections, or with `lora.update` "full" whole ones. It is
/// attached from the start until detach(); its destruction is the end of the temporary LoRA, and the model, whose
/// weights it never wrote to, computes what it computed before. Weights are float32 whatever the model's dtype, in one
/// flat buffer.
class LoraAdapter {
 public:
  /// Attaches to `config.targets` in `config.layers` with PEFT's initialisation from `seed`: A uniform in
  /// ±1/√in (Kaiming uniform, a = √5), B zero; a full update starts as zero. Throws Error(usage) for a layer or a
  /// target that the model has not.
  LoraAdapter(LlamaImpl& model, const LoraConfig& config, std::uint64_t seed);
  ~LoraAdapter();
  LoraAdapter(const LoraAdapter&) = delete;
  LoraAdapter& operator=(const LoraAdapter&) = delete;

  /// Several adapters of one model take turns: detach() leaves the slots, attach() takes them again, which must
  /// then be free. An adapter that is not attached keeps its weights and takes no part.
  void attach();
  void detach();

  /// What the optimizer updates.
  FlatParameters& parameters() { return parameters_; }

  /// Makes B zero: the adapter changes nothing any more, and learns from A on as it stands.
  void forget_b();

  /// With true, dropout is drawn; with false (the start) the adapter is deterministic.
  void set_training(bool training) { training_ = training; }

  /// One update's tensors under PEFT's name of the module ("model.layers.3.self_attn.q_proj").
  struct Named {
    std::string module;
    at::Tensor a, b;            ///< [rank, in], [rows, rank]: views of the flat buffer; full: none, [rows, in]
    at::Tensor a_grad, b_grad;  ///< views of the flat gradient
  };
  std::vector<Named> named_tensors() const;

  /// State of the dropout generator, a byte tensor, for exact resume.
  at::Tensor generator_state() const;
  void set_generator_state(const at::Tensor& state);

  const LoraConfig& config() const { return config_; }

 private:
  class Group;  // the LinearAdapter on one fused group
  void init_weights(std::uint64_t seed);
  bool is_low_rank() const { return config_.low_rank(); }

  LoraConfig config_;
  bool training_ = false;
  mutable at::Generator generator_;  // its state is read under its own mutex
  FlatParameters parameters_;
  std::vector<std::unique_ptr<Group>> groups_;
};

}  // namespace templora
