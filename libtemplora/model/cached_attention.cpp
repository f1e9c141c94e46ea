#include "model/cached_attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_put.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <cmath>
#include <cstring>

#include "core/check.h"
#include "model/ops.h"
#include "model/row_kernels.h"
#include "model/sight.h"
#include "model/simd.h"

namespace templora {
namespace {

// Segments of more tokens than this go to the library's attention, which shares keys among rows.
constexpr std::int64_t kFewTokens = 8;

// One row of the kernels' own attention: the query at `row` sees `slots` slots of `sequence` from `first` on; its
// result goes to row `out`.
struct RowTask {
  std::int64_t row, out, sequence, first, slots;
};

template <class T>
void attend_rows(const std::vector<RowTask>& tasks, const at::Tensor& keys, const at::Tensor& values,
                 const at::Tensor& queries, at::Tensor& out) {
  using cpu::raw;
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const std::int64_t kv_heads = keys.size(1), capacity = keys.size(2), dim = keys.size(3);
  const std::int64_t heads = queries.size(1), group = heads / kv_heads;
  const float scale = float(1.0 / std::sqrt(double(dim)));
  const auto* k = raw(keys.const_data_ptr<T>());
  const auto* v = raw(values.const_data_ptr<T>());
  const auto* q = raw(queries.const_data_ptr<T>());
  auto* y = raw(out.mutable_data_ptr<T>());
  const auto one = [&](const RowTask& task, std::int64_t kv_head, std::vector<float>& scores,
                       std::vector<float>& wide) {
    const std::int64_t base = ((task.sequence * kv_heads + kv_head) * capacity + task.first) * dim;
    const auto* query = q + task.row * queries.stride(0) + kv_head * group * dim;
    scores.resize(std::size_t(group * task.slots));
    wide.resize(std::size_t(group * dim));
    if constexpr (sizeof(T) == sizeof(float)) {
      kernels.dots_f32(k + base, task.slots, dim, query, dim, group, scores.data(), task.slots);
    } else if (kernels.bf16_pairs) {
      kernels.dots_bf16(k + base, task.slots, dim, query, dim, group, scores.data(), task.slots);
    } else {
      for (std::int64_t i = 0; i < group * dim; ++i) wide[std::size_t(i)] = cpu::load(query[i]);
      kernels.dots_bf16(k + base, task.slots, dim, wide.data(), dim, group, scores.data(), task.slots);
    }
    for (std::int64_t h = 0; h < group; ++h) {
      float* weights = scores.data() + h * task.slots;
      kernels.softmax(weights, task.slots, scale);
      if constexpr (sizeof(T) == sizeof(float))
        kernels.mix_f32(v + base, task.slots, dim, weights, wide.data());
      else
        kernels.mix_bf16(v + base, task.slots, dim, weights, wide.data());
      auto* to = y + (task.out * heads + kv_head * group + h) * dim;
      for (std::int64_t i = 0; i < dim; ++i) cpu::store(to[i], wide[std::size_t(i)]);
    }
  };
  std::int64_t all_slots = 0;
  for (const RowTask& task : tasks) all_slots += task.slots;
  // Query-key pairs and heads · head_dim, for whoever counts operations.
  RECORD_FUNCTION("templora::row_attention", c10::ArrayRef<const c10::IValue>({all_slots, heads * dim}));
  const std::int64_t count = std::int64_t(tasks.size()) * kv_heads;
  constexpr std::int64_t kElementsPerTask = 16 * 1024;  // less is not worth another thread
  const std::int64_t elements = all_slots * dim / std::int64_t(tasks.size());
  at::parallel_for(0, count, std::max<std::int64_t>(1, kElementsPerTask / std::max<std::int64_t>(1, elements)),
                   [&](std::int64_t a, std::int64_t b) {
                     thread_local std::vector<float> scores, wide;
                     for (std::int64_t i = a; i < b; ++i)
                       one(tasks[std::size_t(i / kv_heads)], i % kv_heads, scores, wide);
                   });
}

// The same for a long segment, by the library. `is_causal` is right only where nothing was held before: it is
// aligned to the first key.
at::Tensor attend_segment(const at::Tensor& keys, const at::Tensor& values, const at::Tensor& queries,
                          const at::Tensor& mask, bool is_causal) {
  const std::int64_t times = queries.size(1) / keys.size(0);
  const at::Tensor q = queries.transpose(0, 1).unsqueeze(0);                           // [1, heads, tokens, head_dim]
  const at::Tensor k = repeat_heads(keys.unsqueeze(0), times), v = repeat_heads(values.unsqueeze(0), times);
  return at::scaled_dot_product_attention(q, k, v, mask.defined() ? std::optional(mask) : std::nullopt, 0.0, is_causal)
      .squeeze(0)
      .transpose(0, 1);                                                                // [tokens, heads, head_dim]
}

// All rows of a step_pass() at once, over all slots. Query heads that share keys are rows of one product.
at::Tensor attend_steps(const at::Tensor& mask, const at::Tensor& keys, const at::Tensor& values,
                        const at::Tensor& queries) {
  const std::int64_t rows = queries.size(0), heads = queries.size(1), kv_heads = keys.size(1), dim = keys.size(3);
  const at::Tensor q = queries.reshape({rows, kv_heads, heads / kv_heads, dim});
  return at::scaled_dot_product_attention(q, keys.narrow(0, 0, rows), values.narrow(0, 0, rows), mask)
      .reshape({rows, heads * dim});
}

template <class T>
void store_in_slots(const CachedPass& pass, const at::Tensor& rows, at::Tensor& buffer) {
  const std::int64_t kv_heads = buffer.size(1), capacity = buffer.size(2), dim = buffer.size(3);
  const T* from = rows.const_data_ptr<T>();
  T* to = buffer.mutable_data_ptr<T>();
  const std::int64_t* sequences = pass.row_sequences.const_data_ptr<std::int64_t>();
  const std::int64_t* slots = pass.row_slots.const_data_ptr<std::int64_t>();
  for (std::int64_t r = 0; r < rows.size(0); ++r)
    for (std::int64_t h = 0; h < kv_heads; ++h)
      std::memcpy(to + ((sequences[r] * kv_heads + h) * capacity + slots[r]) * dim, from + r * rows.stride(0) + h * dim,
                  std::size_t(dim) * sizeof(T));
}

void store(const CachedPass& pass, const at::Tensor& rows, at::Tensor& buffer) {
  const bool packed_heads = rows.stride(2) == 1 && rows.stride(1) == rows.size(2);
  if (has_cpu_loops(rows) && packed_heads) {
    if (rows.scalar_type() == at::kFloat)
      store_in_slots<float>(pass, rows, buffer);
    else
      store_in_slots<at::BFloat16>(pass, rows, buffer);
  } else {
    at::Tensor by_slot = buffer.transpose(1, 2);  // [sequences, capacity, kv_heads, head_dim]
    by_slot.index_put_({pass.row_sequences, pass.row_slots}, rows);
  }
}

}  // namespace

at::Tensor repeat_heads(const at::Tensor& x, std::int64_t times) {
  if (times == 1) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), times, x.size(2), x.size(3)})
      .reshape({x.size(0), x.size(1) * times, x.size(2), x.size(3)});
}

CachedPass cached_pass(const std::vector<Segment>& segments, KvSlots& slots, const std::set<std::int64_t>& windows,
                       const at::TensorOptions& options) {
  CachedPass pass{segments, slots, {}, {}, {}, {}, {}};
  std::vector<std::int64_t> sequences, places, last;
  for (const Segment& segment : segments) {
    const std::int64_t held = slots.lengths.at(std::size_t(segment.sequence)), seen = held + segment.tokens;
    TEMPLORA_CHECK(segment.tokens > 0 && seen <= slots.capacity, "a segment must fit into its sequence's slots");
    sequences.insert(sequences.end(), std::size_t(segment.tokens), segment.sequence);
    for (std::int64_t slot = held; slot < seen; ++slot) places.push_back(slot);
    last.push_back(std::int64_t(places.size()) - 1);
    for (const std::int64_t window : windows) {
      at::Tensor mask;
      const bool causal = held == 0 && seen <= window;  // the library's own mode
      if (segment.tokens > 1 && !causal)
        mask = sight_mask_behind(held, segment.tokens, window, options).unsqueeze(0).unsqueeze(0);
      pass.masks[window].push_back(mask);
    }
  }
  const auto on_device = [&](const std::vector<std::int64_t>& numbers) {
    return at::tensor(at::ArrayRef<std::int64_t>(numbers)).to(options.device(), /*non_blocking=*/true);
  };
  pass.row_sequences = on_device(sequences);
  pass.row_slots = on_device(places);
  pass.last_rows = on_device(last);
  return pass;
}

CachedPass step_pass(KvSlots& slots, const at::Tensor& row_slots, const std::set<std::int64_t>& windows,
                     const at::TensorOptions& options) {
  static const std::vector<Segment> kNone;
  CachedPass pass{kNone, slots, at::arange(row_slots.size(0), row_slots.options()), row_slots, {}, {}, {}};
  for (const std::int64_t window : windows) {
    const at::Tensor mask = sight_mask(row_slots, 0, slots.capacity, window, options);  // [rows, capacity]
    pass.slot_masks[window] = mask.view({row_slots.size(0), 1, 1, slots.capacity});
  }
  return pass;
}

void store_rows(const CachedPass& pass, std::size_t layer, const at::Tensor& keys, const at::Tensor& plain_keys,
                const at::Tensor& values) {
  store(pass, keys, pass.slots.keys[layer]);
  store(pass, values, pass.slots.values[layer]);
  if (!pass.slots.plain_keys.empty()) store(pass, plain_keys, pass.slots.plain_keys[layer]);
}

at::Tensor cached_attention(const CachedPass& pass, std::size_t layer, std::int64_t window, const at::Tensor& queries,
                            Rows rows) {
  const std::int64_t heads = queries.size(1), dim = queries.size(2);
  const at::Tensor &keys = pass.slots.keys[layer], &values = pass.slots.values[layer];
  if (!pass.slot_masks.empty()) return attend_steps(pass.slot_masks.at(window), keys, values, queries);
  const bool last_only = rows == Rows::last, own = has_cpu_loops(queries);
  const std::int64_t asked = last_only ? std::int64_t(pass.segments.size()) : queries.size(0);
  TEMPLORA_CHECK(queries.stride(2) == 1 && queries.stride(1) == dim, "heads of a row must lie one after another");
  at::Tensor out = at::empty({asked, heads, dim}, queries.options());
  std::vector<RowTask> tasks;
  std::int64_t row = 0, out_row = 0;
  for (std::size_t s = 0; s < pass.segments.size(); ++s) {
    const auto [sequence, tokens] = pass.segments[s];
    const std::int64_t seen = pass.slots.lengths[std::size_t(sequence)] + tokens;
    const std::int64_t here = last_only ? 1 : tokens;  // the last rows of the segment
    if (own && here <= kFewTokens) {
      for (std::int64_t i = 0; i < here; ++i) {
        const std::int64_t slot = seen - here + i, first = first_seen(slot, window);
        tasks.push_back({row + tokens - here + i, out_row + i, sequence, first, slot + 1 - first});
      }
    } else {
      const std::int64_t first = first_seen(seen - here, window);
      const at::Tensor k = keys.select(0, sequence).narrow(1, first, seen - first);    // [kv_heads, slots, head_dim]
      const at::Tensor v = values.select(0, sequence).narrow(1, first, seen - first);  // [kv_heads, slots, head_dim]
      const at::Tensor q = queries.narrow(0, row + tokens - here, here);
      const at::Tensor mask = here == tokens ? pass.masks.at(window)[s] : at::Tensor();
      out.narrow(0, out_row, here).copy_(attend_segment(k, v, q, mask, here > 1 && !mask.defined()));
    }
    row += tokens;
    out_row += here;
  }
  if (!tasks.empty()) {
    if (queries.scalar_type() == at::kFloat)
      attend_rows<float>(tasks, keys, values, queries, out);
    else
      attend_rows<at::BFloat16>(tasks, keys, values, queries, out);
  }
  return out.view({asked, heads * dim});
}

}  // namespace templora
