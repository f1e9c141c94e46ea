#include "generate/decoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/core/PhiloxRNGEngine.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <unordered_set>

#include "core/check.h"
#include "core/error.h"
#include "generate/static_decode_step.h"
#include "model/skinny_gemm.h"

namespace templora {
namespace {

// One sequence while it is decoded.
struct Sequence {
  std::int64_t index;
  std::vector<std::int64_t> next;                // to be fed
  std::vector<std::int64_t> seen;                // every token that occurred, once
  std::unordered_set<std::int64_t> seen_lookup;

  void see(std::int64_t token) {
    if (seen_lookup.insert(token).second) seen.push_back(token);
  }
};

// Rows of unequal length are filled up with a token of their own, which changes nothing.
at::Tensor seen_tokens(const std::vector<Sequence>& active, const at::Device& device) {
  std::size_t most = 0;
  for (const Sequence& s : active) most = std::max(most, s.seen.size());
  std::vector<std::int64_t> flat;
  for (const Sequence& s : active) {
    flat.insert(flat.end(), s.seen.begin(), s.seen.end());
    flat.insert(flat.end(), most - s.seen.size(), s.seen[0]);
  }
  return at::tensor(at::ArrayRef<std::int64_t>(flat))
      .view({std::int64_t(active.size()), std::int64_t(most)})
      .to(device);
}

std::vector<std::int64_t> choose(at::Tensor logits, const std::vector<Sequence>& active, bool may_stop,
                                 const DecodeOptions& options, SamplingStreams& streams) {
  const SamplingOptions& sampling = options.sampling;
  if (sampling.repetition_penalty != 1)
    logits = repetition_penalty(logits, seen_tokens(active, logits.device()), sampling.repetition_penalty);
  if (!may_stop) logits = suppress(logits, options.stop_tokens);
  at::Tensor chosen;  // [active]
  if (sampling.temperature == 0) {
    chosen = likeliest(logits);
  } else {
    std::vector<double> uniform;
    for (const Sequence& s : active) uniform.push_back(streams.next(s.index));
    chosen = sample(warp(logits, sampling), at::tensor(at::ArrayRef<double>(uniform)).to(logits.device()));
  }
  const at::Tensor host = chosen.cpu();  // on CUDA the step's only synchronisation: the stop test needs the token
  const auto* first = host.const_data_ptr<std::int64_t>();
  check_chosen({first, std::size_t(host.numel())}, logits.size(1));
  return {first, first + host.numel()};
}

// Steps of fixed shapes for what is active; sequences that have ended already take part, but their slots stay.
std::unique_ptr<StaticDecodeStep> static_decode_step(LlamaImpl& model, KvCache& cache,
                                                     const std::vector<Sequence>& active, std::size_t sequences,
                                                     std::int64_t steps, const DecodeOptions& options) {
  std::vector<StaticDecodeStep::Start> starts(sequences);
  std::vector<bool> ended(sequences, true);
  std::int64_t longest = 0;
  for (const Sequence& s : active) {
    starts[std::size_t(s.index)] = {s.next[0], s.seen};
    ended[std::size_t(s.index)] = false;
  }
  for (std::size_t i = 0; i < sequences; ++i) {
    if (ended[i]) starts[i].seen = {0};
    longest = std::max(longest, cache.length(std::int64_t(i)));
  }
  cache.reserve(longest + steps + 1);
  auto step = std::make_unique<StaticDecodeStep>(model, cache, options, starts);
  for (std::size_t i = 0; i < sequences; ++i)
    if (ended[i]) step->end(std::int64_t(i));
  return step;
}

// → hidden states behind what was to be fed, [active, hidden].
at::Tensor feed(LlamaImpl& model, KvCache& cache, std::vector<Sequence>& active, std::int64_t version) {
  std::vector<Append> fed;
  for (Sequence& s : active) fed.push_back({s.index, std::move(s.next)});
  return cache.append(model, fed, Rows::last, version);
}

// One fixed step → the tokens of the active sequences.
std::vector<std::int64_t> repeat_step(StaticDecodeStep& step, KvCache& cache, const std::vector<Sequence>& active,
                                      std::size_t sequences, bool may_stop, const DecodeOptions& options,
                                      SamplingStreams& streams) {
  std::vector<double> uniform(sequences);
  if (options.sampling.temperature != 0)
    for (const Sequence& s : active) uniform[std::size_t(s.index)] = streams.next(s.index);
  const std::vector<std::int64_t>& all = step.next(may_stop, uniform);
  std::vector<std::int64_t> chosen;
  for (const Sequence& s : active) {
    chosen.push_back(all[std::size_t(s.index)]);
    cache.filled(s.index, options.version);
  }
  return chosen;
}

}  // namespace

SamplingStreams::SamplingStreams(std::uint64_t seed, std::int64_t sequences)
    : seed_(seed), streams_(std::size_t(sequences)), drawn_(std::size_t(sequences)) {
  std::iota(streams_.begin(), streams_.end(), std::int64_t{0});
}

SamplingStreams::SamplingStreams(std::uint64_t seed, std::vector<std::int64_t> streams)
    : seed_(seed), streams_(std::move(streams)), drawn_(streams_.size()) {}

double SamplingStreams::next(std::int64_t sequence) {
  const std::uint64_t count = std::uint64_t(drawn_.at(std::size_t(sequence))++),
                      stream = std::uint64_t(streams_[std::size_t(sequence)]);
  at::Philox4_32 words(seed_, stream);
  words.set_offset(count);
  const std::uint64_t first = words(), second = words();
  // 48 bits: times a sum below 2 the product still rounds to less than the sum.
  return double((first << 16) | (second >> 16)) * 0x1p-48;
}

void SamplingStreams::set_drawn(std::vector<std::int64_t> drawn) {
  TEMPLORA_CHECK(drawn.size() == drawn_.size(), "one count a stream");
  drawn_ = std::move(drawn);
}

at::Tensor next_logits(LlamaImpl& model, const at::Tensor& hidden) {
  const at::NoGradGuard no_grad;
  const at::Tensor& head = model.head_weight();
  if (is_skinny(hidden, head)) return skinny_gemm(hidden, head, {}, at::kFloat);
  return at::linear(hidden, head).to(at::kFloat);
}

std::vector<Decoded> decode(LlamaImpl& model, KvCache& cache, const std::vector<std::vector<std::int64_t>>& prompts,
                            const DecodeOptions& options, SamplingStreams& streams) {
  const at::NoGradGuard no_grad;
  std::vector<Decoded> results(prompts.size());
  std::vector<Sequence> active;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const std::int64_t index = std::int64_t(i), held = cache.length(index);
    if (prompts[i].empty())
      throw Error(Exit::usage, fmt::format("prompt {}: got no tokens, wanted at least one to go on from", i));
    TEMPLORA_CHECK(held < std::int64_t(prompts[i].size()), "the cache holds a beginning of the prompt, not all of it");
    Sequence& s = active.emplace_back();
    s.index = index;
    s.next.assign(prompts[i].begin() + std::ptrdiff_t(held), prompts[i].end());
    for (const std::int64_t token : prompts[i]) s.see(token);
  }

  const bool fixed = cache.can_reserve() && options.fixed_steps.value_or(model.options().device().is_cuda());
  std::unique_ptr<StaticDecodeStep> step;
  for (std::int64_t count = 0; count < options.max_new_tokens && !active.empty(); ++count) {
    if (options.interrupted && options.interrupted()) {
      for (const Sequence& s : active) results[std::size_t(s.index)].finish = Finish::interrupted;
      break;
    }
    const bool may_stop = count >= options.min_new_tokens;
    if (fixed && count == 1)
      step = static_decode_step(model, cache, active, prompts.size(), options.max_new_tokens - count, options);
    const std::vector<std::int64_t> chosen =
        step ? repeat_step(*step, cache, active, prompts.size(), may_stop, options, streams)
             : choose(next_logits(model, feed(model, cache, active, options.version)), active, may_stop, options,
                      streams);

    std::vector<Sequence> going_on;
    for (std::size_t a = 0; a < active.size(); ++a) {
      Sequence& s = active[a];
      Decoded& result = results[std::size_t(s.index)];
      const std::int64_t token = chosen[a];
      result.tokens.push_back(token);
      if (options.on_token) options.on_token(s.index, token);
      if (std::count(options.stop_tokens.begin(), options.stop_tokens.end(), token) > 0) {
        result.finish = Finish::stop_token;
      } else if (options.stop && count + 1 >= options.min_new_tokens && options.stop(s.index, result.tokens)) {
        result.finish = Finish::stop_test;
      } else {
        s.see(token);
        s.next = {token};
        going_on.push_back(std::move(s));
        continue;
      }
      if (step) step->end(s.index);
    }
    active = std::move(going_on);
  }
  return results;
}

}  // namespace templora
