#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/file.h"
#include "core/json.h"
#include "experiment/sentence_batch.h"
#include "experiment/temporary_adapter.h"
#include "model/llama.h"
#include "run/record.h"
#include "text/novels.h"
#include "text/translation_prompt.h"

namespace templora {

/// Tokens that the longest sequence may have: translation.window_tokens, or the model's positions. Throws Error(usage)
/// where the model has fewer, or where generate.max_new_tokens leaves no room for a prompt.
std::int64_t translation_window(const Config& config, const LlamaConfig& model);

/// Tokens that are kept free behind a prompt: for the answer or the reference, whichever is longer.
inline std::int64_t tokens_behind_prompt(const Config& config, std::int64_t reference_tokens) {
  return std::max(config.generate.max_new_tokens, reference_tokens);
}

/// What came out of one chunk of a novel.
struct TranslatedChunk {
  ChunkRecord record;              ///< tokens are those of the references; context_tokens the first prompt's length
  std::int64_t lesson_tokens = 0;  ///< length of the training text
  std::int64_t labelled_tokens = 0;
  std::int64_t lesson_cut_pairs = 0;  ///< oldest pairs that it had no room for
  std::vector<PairRecord> pairs;
  std::vector<float> base_nll, lora_nll;  ///< of the references' tokens, in order
};

/// One novel's stream through a model with a temporary adapter: each chunk is translated, and its references are
/// scored, by the base and by the adapter; then the adapter learns the chunk once. The adapter starts with this object
/// and ends with it. With history "reference" the sentences of a chunk do not depend on each other and are one batch
/// (translation.batch_sentences at a time); else each waits for the ones before it.
///
/// Of the earlier sentences, a translator sees the reference's English or, by translation.history, what it wrote
/// itself; a file's contexts are taken over where they repeat earlier pairs of the novel. Base and adapter see each
/// its own. Where answers are sampled, a pair's random numbers depend on the seed, the novel and the pair alone, and
/// are the same for both.
class NovelTranslation {
 public:
  /// Starts novel number `novel_index` of a run. Same seed and index, same adapter and draws, whatever ran before.
  /// Everything referred to must outlive this object. Throws Error(usage / bad_input) as LoraAdapter and its loaders
  /// do.
  NovelTranslation(LlamaImpl& model, const Config& config, const Tokenizer& tokenizer,
                   const TranslationPrompts& prompts, const Novel& novel, std::int64_t novel_index);
  NovelTranslation(const NovelTranslation&) = delete;  // the stop test asks this very object
  NovelTranslation& operator=(const NovelTranslation&) = delete;

  std::int64_t chunk_count() const { return std::int64_t(novel_.chunks.size()); }
  std::int64_t next_chunk() const { return next_chunk_; }
  std::int64_t tokens_done() const { return first_token_; }  ///< of the references

  /// Translates and scores the next chunk, then trains. `interrupted` is asked between tokens; once it says true
  /// before training, nothing is returned and the state is that before the chunk. Throws Error(numerics) naming novel
  /// and chunk where an NLL, probability, loss or gradient is not finite, Error(bad_input) naming novel, record and
  /// pair for a sentence that no window holds.
  std::optional<TranslatedChunk> step(const std::function<bool()>& interrupted = {});

  /// State between two chunks; with it, a new object on the same novel goes on bit for bit.
  Json state() const;
  void save_tensors_to(const fs::path& file) const;
  void restore(const Json& state, const fs::path& tensors);

  /// Writes the adapter as it stands as a PEFT folder.
  void save_adapter(const fs::path& folder) const;

 private:
  enum class Who { base, lora };
  /// The last pairs of the novel as a translator takes them, as many as a context can repeat.
  using Memory = std::vector<SentencePair>;
  /// One translator's work on a chunk.
  struct Work {
    std::vector<SentencePair> context;
    std::vector<SentencePair> history;  // the chunk's pairs as later sentences see them
    // One a pair, empty for skipped pairs:
    std::vector<SentenceTask> tasks;
    std::vector<std::int64_t> cut_pairs;
    std::vector<SentenceAnswer> answers;
    std::vector<std::string> texts;
  };

  void set_stops(const std::vector<std::string>& stops);
  std::optional<Work> translate(Who who, const NovelChunk& chunk, const std::optional<Work>& base, PhaseTimer& timer,
                                const std::function<bool()>& interrupted);
  void make_tasks(const NovelChunk& chunk, std::size_t first, std::size_t end, Work& work) const;
  bool translate_pairs(Who who, const NovelChunk& chunk, std::size_t first, std::size_t end, Work& work,
                       PromptCache& read, PhaseTimer& timer, const std::function<bool()>& interrupted);
  std::vector<SentencePair> context_of(const NovelChunk& chunk, const Memory& memory) const;
  void remember(Memory& memory, const std::vector<SentencePair>& pairs) const;
  bool sees_reference(std::size_t pair) const;
  /// Whether sentences do not depend on what was written.
  bool independent() const { return config_.translation.history.reference_share == 1; }
  std::string text_of(const std::vector<std::int64_t>& ids) const;
  std::optional<Learnt> learn(const Work& work, PhaseTimer& timer, TranslatedChunk& result);
  void fill_records(const NovelChunk& chunk, const std::optional<Work>& base, const std::optional<Work>& lora,
                    const std::optional<Learnt>& learnt, TranslatedChunk& result) const;

  LlamaImpl& model_;
  const Config& config_;
  const Tokenizer& tokenizer_;
  const TranslationPrompts& prompts_;
  const Novel& novel_;
  DecodeOptions decoding_;
  std::vector<std::string> stop_texts_;  // stops that are looked for in the text: all but marks
  std::int64_t window_ = 0;
  std::unique_ptr<TemporaryAdapter> adapter_;  // none where score.adapter is off
  Memory base_memory_, lora_memory_;
  std::size_t longest_context_ = 0;
  std::int64_t novel_index_ = 0;
  std::int64_t next_chunk_ = 0;
  std::int64_t first_pair_ = 0;   // of the next chunk, counted in the novel
  std::int64_t first_token_ = 0;  // reference tokens before the next chunk
};

}  // namespace templora
