#include "generate/kv_cache.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/check.h"
#include "core/error.h"
#include "model/ops.h"
#include "model/out_of_memory.h"

namespace templora {
namespace {

constexpr std::int64_t kLongest = 1 << 30;  // of a stored sequence: keeps sums far from overflow

at::Tensor int_tensor(const std::vector<std::int64_t>& numbers) {
  return at::tensor(at::ArrayRef<std::int64_t>(numbers));
}

std::vector<std::int64_t> int_vector(const at::Tensor& tensor, const char* name) {
  if (tensor.scalar_type() != at::kLong)
    throw Error(Exit::bad_input, fmt::format("{}: got {}, wanted int64", name, at::toString(tensor.scalar_type())));
  const at::Tensor host = tensor.cpu().contiguous();
  const auto* first = host.const_data_ptr<std::int64_t>();
  return {first, first + host.numel()};
}

}  // namespace

KvCache::KvCache(const LlamaImpl& model, const KvCacheOptions& options)
    : config_(model.config()), tensor_options_(model.options()), options_(options) {
  TEMPLORA_CHECK(options.sequences > 0 && options.capacity > 0 && options.block_tokens > 0, "a cache of nothing");
  slots_.lengths.assign(std::size_t(options.sequences), 0);
  versions_.resize(std::size_t(options.sequences));
  allocate(options.capacity);
}

std::vector<std::vector<at::Tensor>*> KvCache::buffers() {
  std::vector<std::vector<at::Tensor>*> all{&slots_.keys, &slots_.values};
  if (options_.movable) all.push_back(&slots_.plain_keys);
  return all;
}

// New buffers of `capacity` slots with what the old ones held.
void KvCache::allocate(std::int64_t capacity) {
  // transformers measures dynamic scaling against max_position_embeddings, for all layers alike.
  const bool full_grows = config_.rope.scaling.type == RopeScaling::Type::dynamic;
  const RopeScaling& scaling = full_grows ? config_.rope.scaling : config_.sliding_rope.scaling;
  if (config_.angles_grow() && capacity > scaling.original_positions)
    throw Error(
        Exit::usage,
        fmt::format(
            "rope_scaling: got dynamic, which turns all keys anew when a text of more than {} tokens grows, and kept "
            "keys of {} tokens; wanted a shorter window, another kind of scaling, or cache.policy rebuild "
            "without decoding beyond that length",
            scaling.original_positions, capacity));
  try {
    for (std::vector<at::Tensor>* buffer : buffers()) {
      buffer->resize(std::size_t(config_.layers));
      for (at::Tensor& old : *buffer) {
        // Zeros, as a mask times what was never written must not be NaN.
        at::Tensor grown = at::zeros({sequences(), config_.kv_heads, capacity, config_.head_dim}, tensor_options_);
        if (old.defined()) grown.narrow(2, 0, old.size(2)).copy_(old);
        old = grown;
      }
    }
  } catch (const c10::Error& error) {
    if (!is_out_of_memory(error)) throw;
    throw Error(
        Exit::resources,
        fmt::format("cache of {} sequences of {} tokens: no memory on {} ({}); use a smaller window, fewer sequences "
                    "or bfloat16",
                    sequences(), capacity, tensor_options_.device().str(), error.what_without_backtrace()));
  }
  slots_.capacity = capacity;
}

void KvCache::reserve(std::int64_t capacity) {
  if (capacity > slots_.capacity) allocate(capacity);
}

void KvCache::make_room(const std::vector<Append>& appends) {
  std::int64_t needed = 0;
  std::set<std::int64_t> taken;
  for (const Append& piece : appends) {
    TEMPLORA_CHECK(taken.insert(piece.sequence).second && !piece.tokens.empty(), "each sequence once, with tokens");
    needed = std::max(needed, length(piece.sequence) + std::int64_t(piece.tokens.size()));
  }
  if (needed <= slots_.capacity) return;
  allocate(can_reserve() ? std::max(needed, slots_.capacity * 3 / 2) : needed);
}

at::Tensor KvCache::append(LlamaImpl& model, const std::vector<Append>& appends, Rows rows, std::int64_t version) {
  const at::NoGradGuard no_grad;
  make_room(appends);
  std::vector<at::Tensor> wanted;
  std::size_t piece = 0, first = 0;  // the next token is appends[piece].tokens[first]
  while (piece < appends.size()) {
    std::vector<Segment> segments;
    std::vector<std::int64_t> tokens;
    std::int64_t finished = 0;  // segments that reach the end of their piece: all, or all but the last
    while (piece < appends.size() && std::int64_t(tokens.size()) < options_.block_tokens) {
      const Append& from = appends[piece];
      const std::size_t room = std::size_t(options_.block_tokens) - tokens.size();
      const std::size_t count = std::min(from.tokens.size() - first, room);
      tokens.insert(tokens.end(), from.tokens.begin() + std::ptrdiff_t(first),
                    from.tokens.begin() + std::ptrdiff_t(first + count));
      segments.push_back({from.sequence, std::int64_t(count)});
      first += count;
      if (first < from.tokens.size()) break;
      ++finished;
      ++piece;
      first = 0;
    }
    const Rows asked = rows == Rows::last && finished == 0 ? Rows::none : rows;
    at::Tensor hidden = model.forward_cached(int_tensor(tokens).to(tensor_options_.device()), segments, slots_, asked);
    for (const Segment& segment : segments)
      versions_[std::size_t(segment.sequence)].resize(std::size_t(length(segment.sequence)), version);
    if (asked == Rows::none) continue;
    if (asked == Rows::last) hidden = hidden.narrow(0, 0, finished);
    wanted.push_back(hidden);
  }
  if (wanted.empty()) return {};
  return wanted.size() == 1 ? wanted[0] : at::cat(wanted);
}

at::Tensor KvCache::step(LlamaImpl& model, const at::Tensor& tokens, const at::Tensor& row_slots) {
  const at::NoGradGuard no_grad;
  return model.forward_step(tokens, row_slots, slots_);
}

void KvCache::filled(std::int64_t sequence, std::int64_t version) {
  TEMPLORA_CHECK(length(sequence) < slots_.capacity, "a step needs a slot");
  ++slots_.lengths[std::size_t(sequence)];
  versions_[std::size_t(sequence)].push_back(version);
}

void KvCache::truncate(std::int64_t sequence, std::int64_t length) {
  TEMPLORA_CHECK(length >= 0 && length <= this->length(sequence), "truncate only shortens");
  slots_.lengths[std::size_t(sequence)] = length;
  versions_[std::size_t(sequence)].resize(std::size_t(length));
}

void KvCache::copy_prefix(std::int64_t from, std::int64_t to, std::int64_t length) {
  TEMPLORA_CHECK(length <= this->length(from) && from != to, "only what is there can be copied");
  const at::NoGradGuard no_grad;
  for (std::vector<at::Tensor>* buffer : buffers())
    for (at::Tensor& layer : *buffer)
      layer.select(0, to).narrow(1, 0, length).copy_(layer.select(0, from).narrow(1, 0, length));
  slots_.lengths[std::size_t(to)] = length;
  const auto& source = versions_[std::size_t(from)];
  versions_[std::size_t(to)].assign(source.begin(), source.begin() + std::ptrdiff_t(length));
}

void KvCache::keep_last(std::int64_t sequence, std::int64_t sinks, std::int64_t last) {
  TEMPLORA_CHECK(options_.movable, "slots move only in a cache that keeps unrotated keys");
  const std::int64_t held = length(sequence);
  if (held <= sinks + last) return;
  const at::NoGradGuard no_grad;
  const auto table = [&](const Rope& rope) {
    const RopeTable all = rope_table(rope, config_.head_dim, sinks + last, tensor_options_.device());
    return RopeTable{all.cos.narrow(0, sinks, last), all.sin.narrow(0, sinks, last)};
  };
  const Turns turns{table(config_.rope), table(config_.sliding_rope), last};
  for (std::size_t layer = 0; layer < slots_.keys.size(); ++layer) {
    const auto moved = [&](at::Tensor& buffer) {
      const at::Tensor slots = buffer.select(0, sequence);  // [kv_heads, capacity, head_dim]
      at::Tensor to = slots.narrow(1, sinks, last);
      to.copy_(slots.narrow(1, held - last, last).clone());  // the two may overlap
      return to;
    };
    moved(slots_.values[layer]);
    const at::Tensor plain =
        moved(slots_.plain_keys[layer]).transpose(0, 1).unsqueeze(0);  // [1, last, kv_heads, head_dim]
    at::Tensor keys = slots_.keys[layer].select(0, sequence).narrow(1, sinks, last);
    const LayerSpec::Rope rope = config_.layer(std::int64_t(layer)).rope;
    keys.copy_((rope == LayerSpec::Rope::none ? plain : rotate(plain, turns.of(rope))).squeeze(0).transpose(0, 1));
  }
  slots_.lengths[std::size_t(sequence)] = sinks + last;
  auto& versions = versions_[std::size_t(sequence)];
  versions.erase(versions.begin() + std::ptrdiff_t(sinks), versions.end() - std::ptrdiff_t(last));
}

std::vector<std::pair<std::string, at::Tensor>> KvCache::tensors() const {
  std::vector<std::pair<std::string, at::Tensor>> all{{"cache.lengths", int_tensor(slots_.lengths)}};
  std::vector<std::int64_t> versions;
  for (const auto& of_sequence : versions_) versions.insert(versions.end(), of_sequence.begin(), of_sequence.end());
  all.emplace_back("cache.versions", int_tensor(versions));
  const std::int64_t longest = *std::max_element(slots_.lengths.begin(), slots_.lengths.end());
  const auto add = [&](const char* name, const std::vector<at::Tensor>& buffer) {
    for (std::size_t layer = 0; layer < buffer.size(); ++layer)
      all.emplace_back(fmt::format("cache.{}.{}", name, layer), buffer[layer].narrow(2, 0, longest));
  };
  add("keys", slots_.keys);
  add("values", slots_.values);
  add("plain_keys", slots_.plain_keys);
  return all;
}

void KvCache::restore(const std::function<at::Tensor(const std::string&)>& stored) {
  const at::NoGradGuard no_grad;
  const std::vector<std::int64_t> lengths = int_vector(stored("cache.lengths"), "cache.lengths");
  const std::vector<std::int64_t> versions = int_vector(stored("cache.versions"), "cache.versions");
  std::int64_t total = 0, longest = 0;
  for (const std::int64_t length : lengths) {
    if (length < 0 || length > kLongest)
      throw Error(Exit::bad_input, fmt::format("cache.lengths: got {}, wanted the length of a text", length));
    total += length;
    longest = std::max(longest, length);
  }
  if (std::int64_t(lengths.size()) != sequences() || total != std::int64_t(versions.size()))
    throw Error(Exit::bad_input,
                fmt::format("cache.lengths: got {} sequences of {} tokens with {} versions, wanted {} sequences "
                            "and a version a token; was the state written by another config?",
                            lengths.size(), total, versions.size(), sequences()));
  reserve(longest);
  const auto take = [&](const char* name, std::vector<at::Tensor>& buffer) {
    for (std::size_t layer = 0; layer < buffer.size(); ++layer) {
      const std::string full = fmt::format("cache.{}.{}", name, layer);
      const at::Tensor from = stored(full);
      at::Tensor to = buffer[layer].narrow(2, 0, longest);
      if (from.sizes() != to.sizes() || from.scalar_type() != to.scalar_type())
        throw Error(Exit::bad_input,
                    fmt::format("{}: another shape or dtype than this model's; was the state written by "
                                "another config?",
                                full));
      to.copy_(from);
    }
  };
  take("keys", slots_.keys);
  take("values", slots_.values);
  take("plain_keys", slots_.plain_keys);
  slots_.lengths = lengths;
  auto next = versions.begin();
  for (std::size_t s = 0; s < lengths.size(); next += std::ptrdiff_t(lengths[s]), ++s)
    versions_[s].assign(next, next + std::ptrdiff_t(lengths[s]));
}

}  // namespace templora
