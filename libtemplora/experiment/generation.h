#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/file.h"
#include "core/json.h"
#include "experiment/context_cache.h"
#include "experiment/phase_timer.h"
#include "experiment/standing_prefix.h"
#include "experiment/temporary_adapter.h"
#include "generate/decoder.h"
#include "metrics/text_statistics.h"
#include "model/llama.h"
#include "plan/document_plan.h"
#include "run/record.h"

namespace templora {

/// What came out of one chunk: its record and its tokens.
struct WrittenChunk {
  GenerationRecord record;
  std::vector<std::int64_t> tokens;
};

/// One text that a model with a temporary adapter writes, chunk by chunk, learning each chunk that it wrote.
///
/// cascaded: write chunk c, train on it, go on. parallelized: train on chunk c - 1 while chunk c is written, in a
/// second graph over the same weights and on a second thread; the adapter that writes is replaced between chunks.
/// That is a fixed lag of one chunk: the result is that of cascaded with train.lag_chunks 1, bit for bit on the CPU.
class Generation {
 public:
  /// `prompt` opens the text and is not empty; `end_token` (-1: none) is never written. The prompt is not learnt
  /// here, whatever generate.learn_prompt says: that is learn_prompt().
  Generation(LlamaImpl& model, const Config& config, std::vector<std::int64_t> prompt, std::int64_t end_token);
  ~Generation();

  /// Asked whether the text is finished, with all tokens written so far, after each of them (stop strings).
  std::function<bool(const std::vector<std::int64_t>& written)> stop;
  /// Told each token as it is chosen.
  std::function<void(std::int64_t token)> on_token;

  /// Learns those of the prompt's own chunks that are not learnt yet, in order, as if they had been written: for a text
  /// that begins, before its first step(). `after_chunk` is told how many of the prompt's tokens lie behind; it may
  /// save the state, and end the learning by throwing. Throws Error(numerics) where a loss or gradient is not finite.
  void learn_prompt(const std::function<void(std::int64_t tokens)>& after_chunk = {});

  bool finished() const { return finished_ || std::int64_t(text_.size()) - prompt_tokens_ >= config_.generate.tokens; }

  /// Lets a text that was ended before its length go on.
  void go_on() { finished_ = false; }

  /// Writes a chunk, then trains. Throws Error(numerics) where an NLL, loss or gradient is not finite.
  WrittenChunk step();

  /// Prompt and everything written.
  const std::vector<std::int64_t>& text() const { return text_; }
  std::int64_t prompt_tokens() const { return prompt_tokens_; }
  std::int64_t next_chunk() const { return plan_.size(); }

  /// State between two chunks; with it, a new object goes on bit for bit. restore() throws Error(bad_input) or a JSON
  /// exception where the state does not fit.
  Json state() const;
  void save_tensors_to(const fs::path& file) const;
  void restore(const Json& state, const fs::path& tensors);

  /// Writes the adapter as it stands as a PEFT folder; nothing where there is none.
  void save_adapter(const fs::path& folder) const;

 private:
  struct Adapters;

  std::int64_t version() const;
  std::vector<std::int64_t> write(std::int64_t tokens, const OnPart& on_part);
  std::vector<std::int64_t> write_and_learn(std::int64_t tokens, std::optional<Learnt>& learnt);
  std::optional<Learnt> learn(std::int64_t chunk, const OnPart& on_part = {});
  void learn_now(std::int64_t chunk);
  void score(GenerationRecord& record);
  std::optional<double> window_nll(std::int64_t chunk, bool with_adapter);
  std::optional<double> finite_nll(const at::Tensor& nll, std::int64_t chunk, bool with_adapter);
  void open_context(std::int64_t end, std::int64_t tokens);
  bool chunk_rows() const { return adapters_ && config_.lora.rows == AdapterRows::chunk; }
  at::Tensor read_by_base(std::int64_t chunk);
  NllPass learning_pass(std::int64_t chunk);
  std::vector<double> finite_values(const std::vector<at::Tensor>& scalars, const char* what, std::int64_t chunk);
  at::Tensor tokens_of(const Window& window) const;

  LlamaImpl& model_;
  const Config& config_;
  std::vector<std::int64_t> text_;
  std::int64_t prompt_tokens_;
  std::int64_t end_token_;
  DocumentPlan plan_;  // of the chunks written so far, the prompt's own before them where those are learnt
  std::unique_ptr<Adapters> adapters_;  // none where score.adapter is off
  ContextCache context_;                    // its keys are the writer's, or with lora.rows "chunk" the base's
  std::unique_ptr<StandingPrefix> prefix_;  // of a chunk that context_ does not stand before any more
  SamplingStreams streams_;
  RepetitionCounter repetition_;
  std::int64_t opened_chunk_ = -1;     // that context_ was opened for
  std::int64_t learnt_ = 0;            // chunks that were offered to the adapter
  bool finished_ = false;
};

}  // namespace templora
