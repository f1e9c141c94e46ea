#include "cost/work.h"

#include <algorithm>

namespace templora {
namespace {

// Backward attention as flash attention does it: five products where forward has two.
constexpr double kBackwardAttention = 2.5;

}  // namespace

Work& Work::operator+=(const Work& other) {
  gemm_flops += other.gemm_flops;
  attention_flops += other.attention_flops;
  bytes += other.bytes;
  return *this;
}
Work operator+(Work a, const Work& b) { return a += b; }
Work operator-(const Work& a, const Work& b) { return a + -1.0 * b; }
Work operator*(double times, const Work& work) {
  return {times * work.gemm_flops, times * work.attention_flops, times * work.bytes};
}

ModelWork::ModelWork(const ModelShape& shape, const LoraConfig& lora, Dtype dtype, const Execution& execution)
    : shape_(shape),
      execution_(execution),
      element_(dtype == Dtype::bfloat16 ? 2 : 4),
      low_rank_(lora.low_rank()),
      rank_(double(lora.rank)),
      d_(double(shape.heads * shape.head_dim)),
      kv_(double(shape.kv_heads * shape.head_dim)) {
  const double h = double(shape.hidden), f = double(shape.ffn);
  double head_norms = 0;  // layers that have them
  const auto targeted = [&](const char* name) {
    return std::count(lora.targets.begin(), lora.targets.end(), name) > 0;
  };
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const bool adapted = !lora.layers || std::count(lora.layers->begin(), lora.layers->end(), layer) > 0;
    const bool last = layer + 1 == shape.layers;
    const LayerSpec spec = shape.layer(layer);
    head_norms += spec.qk_norm == LayerSpec::QkNorm::none ? 0 : 1;
    const auto add = [&](double in, double out, const std::vector<std::pair<const char*, double>>& parts, bool tail) {
      Group group{in, out, 0, 0, tail, false, false};
      for (const auto& [name, rows] : parts)
        if (adapted && targeted(name)) {
          group.parts += 1;
          group.lora_out += rows;
        }
      groups_.push_back(group);
    };
    using Parts = std::vector<std::pair<const char*, double>>;
    const bool fused = spec.fused_names;
    const Parts qkv =
        fused ? Parts{{"qkv_proj", d_ + 2 * kv_}} : Parts{{"q_proj", d_}, {"k_proj", kv_}, {"v_proj", kv_}};
    add(h, d_ + 2 * kv_, qkv, false);
    add(d_, h, {{"o_proj", h}}, last);
    add(h, 2 * f, fused ? Parts{{"gate_up_proj", 2 * f}} : Parts{{"gate_proj", f}, {"up_proj", f}}, last);
    add(f, h, {{"down_proj", h}}, last);
  }
  bool below = !execution.skips_input_gradient, graph = below;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    Group& group = groups_[i];
    group.wants_dx = below;
    graph = graph || group.parts > 0;
    group.has_graph = graph;
    below = graph;
    if (i % 4 == 0) {
      const std::int64_t window = shape.layer(std::int64_t(i) / 4).window;
      const auto alike = [&](const Sight& known) { return known.window == window; };
      auto sight = std::find_if(sights_.begin(), sights_.end(), alike);
      if (sight == sights_.end()) sight = sights_.insert(sights_.end(), {window, 0, 0});
      sight->layers += 1;
      sight->graph_layers += graph ? 1 : 0;
      attention_layers_ += graph ? 1 : 0;
    }
    Sums& sums = group.tail ? tail_ : wide_;
    sums.weights += group.in * group.out;
    sums.row_elements += group.in + group.out;
    sums.lora += update_parameters(group);
    if (group.parts > 0)
      sums.lora_row_elements += group.in + 2 * group.lora_out + (low_rank_ ? 2 * group.parts * rank_ : 0);
  }
  // Element-wise passes: the first norm and the rotation before attention; two sums, a norm and the gate after it.
  const double layers = double(shape.layers), after = 8 * h + 3 * f;
  wide_.row_elements += layers * (2 * h + 2 * (d_ + kv_)) + head_norms * 2 * (d_ + kv_) + (layers - 1) * after;
  tail_.row_elements += after + 2 * h;
  lora_parameters_ = wide_.lora + tail_.lora;
}

double ModelWork::update_parameters(const Group& group) const {
  return low_rank_ ? rank_ * (group.parts * group.in + group.lora_out) : group.in * group.lora_out;
}

Work ModelWork::passed(double wide_rows, double tail_rows, bool adapter) const {
  Work work;
  work.gemm_flops = 2 * (wide_rows * wide_.weights + tail_rows * tail_.weights);
  work.bytes = weight_bytes(tail_rows > 0, adapter) +
               element_ * (wide_rows * wide_.row_elements + tail_rows * tail_.row_elements);
  if (adapter) {
    work.gemm_flops += 2 * (wide_rows * wide_.lora + tail_rows * tail_.lora);
    work.bytes += element_ * (wide_rows * wide_.lora_row_elements + tail_rows * tail_.lora_row_elements);
  }
  return work;
}

// All weights once; the adapter's float32 masters are cast for each product.
double ModelWork::weight_bytes(bool tail, bool adapter) const {
  return element_ * (wide_.weights + (tail ? tail_.weights : 0)) +
         (adapter ? (4 + 2 * element_) * (wide_.lora + (tail ? tail_.lora : 0)) : 0);
}

double ModelWork::pairs(std::int64_t tokens, std::int64_t held) const {
  double sum = 0;
  for (const Sight& sight : sights_) sum += sight.layers * seen_pairs(tokens, held, sight.window);
  return sum;
}

// Slots whose keys are read, over all layers: every block reads what its rows see.
double ModelWork::slots_read(std::int64_t tokens, std::int64_t held, std::int64_t block) const {
  const double n = double(tokens), blocks = double((tokens + block - 1) / block);
  double sum = 0;
  for (const Sight& sight : sights_) {
    double slots = blocks * double(held) + n * (blocks + 1) / 2;
    if (sight.window < held + tokens) {
      slots = 0;
      for (std::int64_t done = 0; done < tokens; done += block)
        slots += double(held + std::min(done + block, tokens) - first_seen(held + done, sight.window));
    }
    sum += sight.layers * slots;
  }
  return sum;
}

Work ModelWork::logits(std::int64_t rows) const {
  const double r = double(rows), v = double(shape_.vocab), h = double(shape_.hidden);
  // The head once; logits in the model's dtype, read once and written as float32, read by the softmax.
  return {2 * r * h * v, 0, rows == 0 ? 0 : element_ * (v * h + r * h + 2 * r * v) + 8 * r * v};
}

Work ModelWork::forward(std::int64_t length, std::int64_t labelled, bool adapter, std::int64_t held) const {
  const double n = double(length), tail = execution_.trims_last_layer ? double(labelled) : n,
               layers = double(shape_.layers);
  Work work = passed(n, tail, adapter) + logits(execution_.all_logits ? length : labelled);
  work.attention_flops = 4 * d_ * pairs(length, held);
  work.bytes += element_ * layers * (n * (2 * d_ + 2 * kv_) + double(held) * 2 * kv_);
  return work;
}

Work ModelWork::learning_forward(std::int64_t length, std::int64_t labelled, std::int64_t held) const {
  return forward(length, labelled, true, held) + logits(execution_.all_logits ? length : labelled);
}

Work ModelWork::backward(std::int64_t length, std::int64_t labelled, std::int64_t held) const {
  const double n = double(length), tail = execution_.trims_last_layer ? double(labelled) : n;
  Work work;
  for (const Group& group : groups_) {
    if (!group.has_graph) continue;
    const double rows = group.tail ? tail : n;
    if (group.wants_dx) {
      work.gemm_flops += 2 * rows * group.in * group.out;
      work.bytes += element_ * (group.in * group.out + rows * (group.in + group.out));
    }
    // Low rank: gradients of B and of its input, then of A and of x. Full: of the weights and of x.
    work.gemm_flops += low_rank_ ? 4 * rows * rank_ * group.lora_out +
                                       (group.wants_dx ? 4 : 2) * rows * rank_ * group.parts * group.in
                                 : (group.wants_dx ? 4 : 2) * rows * group.lora_out * group.in;
    if (group.parts > 0)
      work.bytes += element_ * rows *
                        (2 * group.lora_out + (low_rank_ ? 4 * group.parts * rank_ : 0) +
                         (group.wants_dx ? 3 : 1) * group.in) +
                    (4 + 2 * element_) * update_parameters(group);
  }
  for (const Sight& sight : sights_)
    work.attention_flops += kBackwardAttention * 4 * d_ * sight.graph_layers * seen_pairs(length, held, sight.window);
  // Element-wise passes read what forward saved beside the gradient.
  const double h = double(shape_.hidden), f = double(shape_.ffn);
  work.bytes += element_ * attention_layers_ * double(held) * 4 * kv_;  // keys and values read, their gradients written
  work.bytes += element_ * attention_layers_ * n * (5 * d_ + 4 * kv_ + 2 * (d_ + kv_) + 12 * h + 5 * f);
  return work;
}

Work ModelWork::cached(std::int64_t tokens, std::int64_t held, AskedRows rows, bool adapter, std::int64_t block) const {
  if (tokens == 0) return {};
  const double n = double(tokens);
  const double tail = rows == AskedRows::all ? n : rows == AskedRows::last ? 1 : 0;
  // The last layer attends for the rows that are asked for.
  const std::int64_t window = shape_.layer(shape_.layers - 1).window;
  const double asked = rows == AskedRows::all ? seen_pairs(tokens, held, window)
                       : rows == AskedRows::last ? seen_pairs(1, held + tokens - 1, window)
                                                 : 0;
  Work work = passed(n, tail, adapter);
  work.attention_flops = 4 * d_ * (pairs(tokens, held) - seen_pairs(tokens, held, window) + asked);
  // Every block reads the weights again, and what is held up to its end.
  const double blocks = double((tokens + block - 1) / block);
  work.bytes += (blocks - 1) * weight_bytes(tail > 0, adapter);
  work.bytes +=
      element_ * (double(shape_.layers) * (2 * n * d_ + 2 * kv_ * n) + 2 * kv_ * slots_read(tokens, held, block));
  return work;
}

Work ModelWork::decoded(std::int64_t tokens, std::int64_t held, bool adapter) const {
  if (tokens == 0) return {};
  const double n = double(tokens), seen = pairs(tokens, held);
  Work work = n * (passed(1, 1, adapter) + logits(1));
  work.attention_flops = 4 * d_ * seen;
  work.bytes += element_ * (double(shape_.layers) * (2 * n * d_ + 2 * kv_ * n) + 2 * kv_ * seen);
  return work;
}

Work ModelWork::look_up(std::int64_t rows, std::int64_t kept) const {
  const double n = double(rows), all = double(kept + rows), h = double(shape_.hidden);
  return {2 * n * all * h, 0, 4 * (2 * all * h + 3 * n * all)};
}

Work ModelWork::optimizer(const TrainConfig& train) const {
  // Norm (1), clipping (2), reading weight and gradient and writing the weight (3), moments read and written, zeroing
  // (1).
  return {0, 0, 4 * (7 + 2 * moments_of(train)) * lora_parameters_};
}

std::int64_t ModelWork::graph_layers() const {
  const auto reached =
      std::count_if(groups_.begin(), groups_.end(), [](const Group& group) { return group.has_graph; });
  return (reached + 3) / 4;
}

double moments_of(const TrainConfig& train) {
  switch (train.optimizer) {
    case OptimizerKind::adamw: return train.decay_to_start > 0 ? 3 : 2;
    case OptimizerKind::rms: return train.decay_to_start > 0 ? 2 : 1;
    case OptimizerKind::sgd: return train.decay_to_start > 0 ? 1 : 0;
  }
  return 0;
}

}  // namespace templora
