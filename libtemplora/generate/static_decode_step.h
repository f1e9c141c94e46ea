#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "generate/decoder.h"
#include "generate/kv_cache.h"
#include "model/rope.h"

namespace templora {

/// A decoding step of fixed shapes: every sequence takes part in each step, tokens, slots, penalties and choices stay
/// on the device, and the host reads the chosen tokens only. On CUDA the first step runs as it is, the second is
/// captured in a graph, and all others repeat the graph (where the build has the CUDA headers; else each runs as it
/// is). Choices equal those of decode()'s own steps but for the rounding of attention.
class StaticDecodeStep {
 public:
  /// A sequence when the steps begin: what is fed first, and every token that occurred.
  struct Start {
    std::int64_t token = 0;
    std::vector<std::int64_t> seen;
  };

  /// The first starts.size() sequences of `cache` are decoded; it must have a free slot for each step and one more.
  /// The adapter that is attached at the first two steps is the one that computes with.
  StaticDecodeStep(LlamaImpl& model, KvCache& cache, const DecodeOptions& options, const std::vector<Start>& starts);
  ~StaticDecodeStep();
  StaticDecodeStep(const StaticDecodeStep&) = delete;
  StaticDecodeStep& operator=(const StaticDecodeStep&) = delete;

  /// One step. may_stop: whether stop tokens may be chosen; uniform: one number a sequence, not read where greedy.
  /// → the chosen tokens of all sequences, on the host. Those of ended ones mean nothing.
  const std::vector<std::int64_t>& next(bool may_stop, const std::vector<double>& uniform);

  /// The sequence's slots stay as they are from now on.
  void end(std::int64_t sequence);

 private:
  class Graph;

  void compute();

  LlamaImpl& model_;
  KvCache& cache_;
  Turns
      turns_;  // a captured graph reads these tables at their addresses, whatever lengths the model computes meanwhile
  SamplingOptions sampling_;
  std::vector<std::int64_t> stop_tokens_;
  at::Tensor tokens_;     // [sequences] int64: what is fed
  at::Tensor slots_;      // [sequences] int64: the slots that they fill
  at::Tensor going_on_;   // [sequences] int64: 1, or 0 where ended
  at::Tensor seen_;       // [sequences, vocab] bool, undefined without a penalty
  at::Tensor
      stop_bias_;  // [vocab]: minus infinity for stop tokens as long as none may be chosen, undefined without any
  at::Tensor uniform_;    // [sequences] float64, undefined where greedy
  at::Tensor host_uniform_;  // where they come from; page-locked on CUDA, so that the host does not wait for the copy
  bool may_stop_ = false;
  std::vector<std::int64_t> chosen_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace templora
