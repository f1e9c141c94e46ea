#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace templora {

/// A window that hides nothing: more slots than any text has.
inline constexpr std::int64_t kNoWindow = std::int64_t{1} << 40;

/// What one decoder layer does where the families differ; the default is Llama's. A family is data of this kind: model/
/// computes it and cost/ counts it, by the same description.
struct LayerSpec {
  enum class QkNorm {
    none,
    head,       ///< RMSNorm over each query and key head, before the rotation
    projection  ///< the same over all query heads together, and over all key heads
  };
  enum class Rope {
    none,    ///< queries and keys are not turned
    full,    ///< by the model's angles
    sliding  ///< by those of its layers with a window
  };

  bool qkv_bias = false;
  bool out_bias = false;
  bool mlp_bias = false;
  QkNorm qk_norm = QkNorm::none;
  bool norm_after = false;   ///< norms on what attention and MLP give, none on what they get
  bool fused_names = false;  ///< the checkpoint has qkv_proj and gate_up_proj in one piece each
  Rope rope = Rope::full;
  std::int64_t window = kNoWindow;  ///< keys that a query sees, its own included

  /// What the projections of attention and MLP are called in a checkpoint and in lora.targets, in order.
  std::vector<std::string> projections() const {
    if (fused_names) return {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"};
    return {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  }

  bool operator==(const LayerSpec&) const = default;
};

/// The projections of all families, each once.
inline std::vector<std::string> all_projections() {
  std::vector<std::string> names = LayerSpec{}.projections();
  for (const std::string& name : LayerSpec{.fused_names = true}.projections())
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

// What a query sees. Positions are slots: the j-th token that a sequence sees is in slot j. Masks, kept keys and costs
// all ask the functions below.

/// Whether the query in `slot` sees the key in slot `key`: itself and the window - 1 before it. For numbers and for
/// tensors of numbers, which are broadcast.
template <class Query, class Key>
auto sees(const Query& slot, const Key& key, std::int64_t window) {
  return (key <= slot) & (key > slot - window);
}

/// The first slot that the query in `slot` sees.
constexpr std::int64_t first_seen(std::int64_t slot, std::int64_t window) {
  return std::max<std::int64_t>(0, slot - window + 1);
}

/// Query-key pairs of `tokens` queries in the slots from `held` on.
constexpr double seen_pairs(std::int64_t tokens, std::int64_t held, std::int64_t window) {
  // Up to slot window - 1 a query sees all slots up to its own; from there on, `window` of them.
  const std::int64_t whole = std::clamp<std::int64_t>(window - held, 0, tokens);
  return double(whole) * double(held) + double(whole) * double(whole + 1) / 2 + double(tokens - whole) * double(window);
}

}  // namespace templora
