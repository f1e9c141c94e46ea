#include "model/sight.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace templora {
namespace {

constexpr std::int64_t kBlockRows = 512;  // queries of a block: their mask and scores stay small

}  // namespace

at::Tensor sight_mask(const at::Tensor& slots, std::int64_t first_key, std::int64_t keys, std::int64_t window,
                      const at::TensorOptions& options) {
  const at::Tensor key_slots = at::arange(first_key, first_key + keys, slots.options());
  return at::zeros({slots.size(0), keys}, options)
      .masked_fill_(sees(slots.unsqueeze(1), key_slots, window).logical_not(),
                    -std::numeric_limits<double>::infinity());
}

at::Tensor sight_mask_behind(std::int64_t held, std::int64_t rows, std::int64_t window,
                             const at::TensorOptions& options) {
  const at::Tensor slots = at::arange(held, held + rows, at::TensorOptions(at::kLong).device(options.device()));
  const std::int64_t first = first_seen(held, window);
  return sight_mask(slots, first, held + rows - first, window, options);
}

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window) {
  const std::int64_t seq = k.size(2), held = seq - q.size(2);
  if (held == 0 && seq <= window) return at::scaled_dot_product_attention(q, k, v, {}, 0.0, /*is_causal=*/true);
  std::vector<at::Tensor> blocks;
  for (std::int64_t first = held; first < seq; first += kBlockRows) {
    const std::int64_t rows = std::min(kBlockRows, seq - first), from = first_seen(first, window);
    const std::int64_t keys = first + rows - from;
    const bool causal = first == 0 && rows <= window;
    std::optional<at::Tensor> mask;
    if (!causal) mask = sight_mask_behind(first, rows, window, q.options().requires_grad(false));
    blocks.push_back(at::scaled_dot_product_attention(q.narrow(2, first - held, rows), k.narrow(2, from, keys),
                                                      v.narrow(2, from, keys), mask, 0.0, causal));
  }
  return blocks.size() == 1 ? blocks[0] : at::cat(blocks, 2);
}

}  // namespace templora
