#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "generate/kv_cache.h"
#include "generate/sampling.h"

namespace templora {

struct DecodeOptions {
  SamplingOptions sampling;
  std::int64_t max_new_tokens = 256;
  /// Before a sequence has so many new tokens, its stop tokens have probability 0 and `stop` is not asked.
  std::int64_t min_new_tokens = 0;
  /// A sequence ends with the first of these, which is part of its output.
  std::vector<std::int64_t> stop_tokens;
  /// Asked after each new token: whether this sequence is finished. Stop strings are tests of the caller, who
  /// knows the text of tokens. Null: never.
  std::function<bool(std::int64_t sequence, const std::vector<std::int64_t>& new_tokens)> stop;
  /// Told each new token as soon as it is chosen, in sequence order within a step. Null: nobody.
  std::function<void(std::int64_t sequence, std::int64_t token)> on_token;
  /// Asked before each step: true ends all sequences (a stop signal). Null: never.
  std::function<bool()> interrupted;
  /// Version of the weights, for the cache.
  std::int64_t version = 0;
  /// Steps of fixed shapes (generate/static_decode_step.h) after the first: what a GPU repeats without the host. Null:
  /// on CUDA. A cache that cannot make room ahead has none.
  std::optional<bool> fixed_steps;
};

enum class Finish { length, stop_token, stop_test, interrupted };

struct Decoded {
  std::vector<std::int64_t> tokens;  ///< the new ones
  Finish finish = Finish::length;
};

/// Random numbers for sampling, one independent stream a sequence, so that what a sequence draws does not depend
/// on its neighbours. The state can be saved.
class SamplingStreams {
 public:
  SamplingStreams(std::uint64_t seed, std::int64_t sequences);
  /// Sequence i draws from stream number streams[i]; without numbers, from stream i.
  SamplingStreams(std::uint64_t seed, std::vector<std::int64_t> streams);

  /// The next number of a sequence's stream, uniform in [0, 1): Philox 4×32-10 (Salmon et al. 2011), the seed
  /// its key, stream and number its counter.
  double next(std::int64_t sequence);

  /// Numbers drawn so far in each stream: with the seed that it was made from, the whole state.
  const std::vector<std::int64_t>& drawn() const { return drawn_; }
  void set_drawn(std::vector<std::int64_t> drawn);

 private:
  std::uint64_t seed_;
  std::vector<std::int64_t> streams_;
  std::vector<std::int64_t> drawn_;
};

/// Continues each prompt, all sequences of a step as one batch; a finished sequence costs nothing more.
/// prompts[i]: every token that sequence i sees, of which the cache holds the first cache.length(i), fewer than
/// all; the rest is fed first, so a long prompt is best read before (generate/prompt_cache.h). The repetition penalty
/// covers the prompt and what was generated. An empty prompt throws Error(usage).
/// Afterwards the cache of a sequence holds the prompt and all new tokens but the last.
/// Ties go to the lowest token id. → one result a prompt.
std::vector<Decoded> decode(LlamaImpl& model, KvCache& cache, const std::vector<std::vector<std::int64_t>>& prompts,
                            const DecodeOptions& options, SamplingStreams& streams);

/// Logits of the next token for rows of hidden states, float32 whatever the model's dtype.
/// hidden: [rows, hidden] → [rows, vocab].
at::Tensor next_logits(LlamaImpl& model, const at::Tensor& hidden);

}  // namespace templora
