#pragma once

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "config/model_shape.h"

namespace templora {

/// The convention behind every figure, to be printed beside each ratio.
inline constexpr const char* kCountingConvention =
    "A product of [m, k] by [k, n] counts 2mnk FLOPs. Attention counts 4·d·L for each query-key pair that the causal "
    "mask "
    "lets through (d: heads · head_dim, L: layers), and 2.5 times that backward. Norms, rotations, softmax and the "
    "optimizer "
    "count none.";

/// Counts up where a formula changes what it gives for a run that could be made before: `templora verify` counts a run
/// again only by the formulas that priced it. A record without a number is of version 1, which put the gradient of what
/// enters the head into the backward pass and all logits of a chunk into memory.
inline constexpr int kCostFormulas = 2;

/// What some computation does.
struct Work {
  double gemm_flops = 0;       ///< matrix products, LoRA's and the output projection's included
  double attention_flops = 0;  ///< by kCountingConvention
  double bytes = 0;            ///< moved to and from memory if every operand of every step is read and written once

  double flops() const { return gemm_flops + attention_flops; }
  Work& operator+=(const Work& other);
};
Work operator+(Work a, const Work& b);
Work operator-(const Work& a, const Work& b);
Work operator*(double times, const Work& work);

/// How the products are arranged. The default is what this program does.
struct Execution {
  std::int64_t base_scores = 1;      ///< scoring passes of the base a chunk, where score.base is on
  std::int64_t adapter_scores = 1;   ///< of the adapter
  bool all_logits = false;           ///< the output projection of all rows, not of labelled ones only
  bool trims_last_layer = true;      ///< what follows the last attention for labelled rows only
  bool skips_input_gradient = true;  ///< no gradient below the lowest adapter
  bool shares_forward = true;        ///< where that is exact, the scored pass is the first step's

  /// The authors' code as it runs: base and adapter scored twice, logits of all rows, nothing shared.
  static Execution released() { return {2, 2, true, false, false, false}; }
};

/// Rows of a pass over a cache whose last layer is finished (model/llama.h has the same words).
enum class AskedRows { none, last, all };

/// Work of the passes through one model with one adapter. Formulas and their numbers: docs/cost.md.
class ModelWork {
 public:
  ModelWork(const ModelShape& shape, const LoraConfig& lora, Dtype dtype, const Execution& execution = {});

  /// One pass that keeps nothing over `length` tokens, logits for the last `labelled` rows (formula 2). `held` slots
  /// stand before them as constants (LlamaImpl::forward_behind()).
  Work forward(std::int64_t length, std::int64_t labelled, bool adapter, std::int64_t held = 0) const;
  /// The same with the adapter and a graph: the gradient of what enters the head is made beside the logits.
  Work learning_forward(std::int64_t length, std::int64_t labelled, std::int64_t held = 0) const;
  /// Its backward pass into the adapter's weights (formula 3), from what entered the head on.
  Work backward(std::int64_t length, std::int64_t labelled, std::int64_t held = 0) const;
  /// `tokens` more behind `held` slots of a cache, in blocks of at most `block` rows (formula 4); logits not included.
  Work cached(std::int64_t tokens, std::int64_t held, AskedRows rows, bool adapter, std::int64_t block) const;
  /// `tokens` tokens decoded one after the other behind `held` slots, a row of logits each.
  Work decoded(std::int64_t tokens, std::int64_t held, bool adapter) const;
  /// The output projection for `rows` rows, and their NLLs (formula 1).
  Work logits(std::int64_t rows) const;
  /// `rows` hidden states compared with `kept` ones and with each other (neural_cache).
  Work look_up(std::int64_t rows, std::int64_t kept) const;
  /// One clipped step of the optimizer over the adapter (formula 5): bytes only.
  Work optimizer(const TrainConfig& train) const;

  double lora_parameters() const { return lora_parameters_; }
  /// Layers that a backward pass reaches.
  std::int64_t graph_layers() const;
  /// Bytes of a number in the model's dtype.
  double element_bytes() const { return element_; }

 private:
  /// A fused group: its product, and its adapter's where it has one.
  struct Group {
    double in, out;
    double parts;     // adapted projections in it
    double lora_out;  // Σ of their output rows
    bool tail;        // in the last layer, after its attention
    bool wants_dx;    // a gradient of its input is needed
    bool has_graph;   // something at or below it is adapted
  };
  /// Layers whose queries see alike.
  struct Sight {
    std::int64_t window;
    double layers, graph_layers;  // all of them; those whose backward pass is needed
  };
  Work passed(double wide_rows, double tail_rows, bool adapter) const;  // one reading of all weights
  double pairs(std::int64_t tokens, std::int64_t held) const;           // over all layers
  double slots_read(std::int64_t tokens, std::int64_t held, std::int64_t block) const;
  double weight_bytes(bool tail, bool adapter) const;
  double update_parameters(const Group& group) const;

  ModelShape shape_;
  Execution execution_;
  double element_;
  bool low_rank_;
  double rank_, lora_parameters_ = 0;
  std::vector<Sight> sights_;
  double attention_layers_ = 0;           // whose backward pass is needed
  double d_, kv_;                         // heads · head_dim, kv_heads · head_dim
  std::vector<Group> groups_;
  // Sums over groups, for all rows (wide) and for those of the last layer behind its attention (tail).
  struct Sums { double weights = 0, lora = 0, row_elements = 0, lora_row_elements = 0; };
  Sums wide_, tail_;
};

/// float32 numbers that the optimizer keeps for each weight: moments, and the first weights where it decays to them.
double moments_of(const TrainConfig& train);

}  // namespace templora
