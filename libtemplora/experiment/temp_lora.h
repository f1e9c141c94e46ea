#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "experiment/context_cache.h"
#include "experiment/controls.h"
#include "experiment/window.h"
#include "lora/lora_adapter.h"
#include "model/llama.h"
#include "run/config.h"
#include "run/record.h"
#include "text/books.h"
#include "train/chunk_trainer.h"

namespace templora {

/// What came out of one chunk: its record and the NLLs of its scored tokens, nats.
struct ChunkResult {
  ChunkRecord record;
  std::vector<float> base_nll;  ///< empty if score.base is off
  std::vector<float> lora_nll;  ///< empty if score.adapter is off
  std::map<Scorer, std::vector<float>> control_nll;  ///< of the controls that there are
};

/// One document's stream through a model with a temporary module (the paper's algorithm 1): the module is
/// created with this object, trained once after each chunk, and discarded with it. The model is used, never
/// changed. Controls are further modules that start alike and live alike, but learn their own lessons.
class TempLora {
 public:
  /// Starts document number `book_index` of a run. Same seed and index, same module, whatever ran before.
  /// The book and the controls' books must outlive this object, and a control has a lesson for each chunk.
  /// Throws Error(usage / bad_input) as LoraAdapter and its loaders do.
  TempLora(LlamaImpl& model, const Config& config, const Book& book, std::int64_t book_index, ControlLessons controls = {});

  std::int64_t chunk_count() const { return std::int64_t(chunks_.size()); }
  std::int64_t next_chunk() const { return next_chunk_; }
  std::int64_t tokens_done() const;

  /// Takes the base model's NLLs of the whole book, nats, in order, instead of computing them; to be called before the
  /// first step, and not with kept keys. Their number must be base_nll_count().
  void use_base_nll(std::vector<float> nll);
  /// How many NLLs the base model gives of this book.
  std::int64_t base_nll_count() const { return base_nll_before(chunk_count()); }

  /// Scores the next chunk, then trains. Throws Error(numerics) naming book and chunk where an NLL, loss or
  /// gradient is not finite.
  ChunkResult step();

  /// State between two chunks; with it, a new object on the same document goes on bit for bit.
  Json state() const;
  void save_tensors_to(const fs::path& file) const;
  void restore(const Json& state, const fs::path& tensors);

  /// Writes the module as it stands as a PEFT folder.
  void save_adapter(const fs::path& folder) const;

 private:
  /// One module with its optimizer and what it learns from.
  struct Learner {
    Scorer scorer = Scorer::lora;
    std::vector<Lesson> lessons;            // a control's, one a chunk; none: the document's own chunks
    std::unique_ptr<LoraAdapter> adapter;   // attached during its turn only
    std::unique_ptr<ChunkTrainer> trainer;
    std::unique_ptr<ContextCache> cache;    // none where cache.policy is rebuild: windows are computed anew
    std::int64_t version = 0;               // chunks that the module was trained on
  };
  /// What a learner's turn at a chunk left on the device.
  struct Turn {
    at::Tensor nll;
    std::optional<ChunkUpdate> update;
  };

  at::Tensor tokens_of(std::int64_t first, std::int64_t length) const;
  at::Tensor score_base(const Window& seen, ChunkRecord& record);
  at::Tensor score(Learner& learner, const Window& seen, std::optional<ScoredChunk>& first_forward, ChunkRecord& record);
  at::Tensor score_cached(ContextCache& cache, std::int64_t version, ChunkRecord& record);
  std::optional<ChunkUpdate> train(Learner& learner, std::int64_t chunk, std::optional<ScoredChunk> first_forward, ChunkRecord& record);
  void start_module(Learner& learner, std::int64_t number);
  std::int64_t module_number(std::int64_t chunk) const;
  std::int64_t number_in_module(std::int64_t chunk) const;
  Window lesson_of(const Chunk& chunk) const;
  bool may_train_on(std::int64_t chunk) const;
  std::int64_t base_nll_before(std::int64_t chunk) const;
  bool trains_on(std::int64_t chunk) const;
  /// Whether what is learnt depends on how a chunk was scored.
  bool asks_for_scores() const { return config_.train.hard_quantile > 0 && !learners_.empty(); }
  bool shares_forward(const Learner& learner, std::int64_t chunk) const;

  LlamaImpl& model_;
  const Config& config_;
  const Book& book_;
  std::vector<Chunk> chunks_;
  at::Tensor tokens_;  // [book tokens] int64 on the model's device
  std::vector<float> base_nll_;  // of the whole book, where they are known already
  std::unique_ptr<ContextCache> base_cache_;  // as Learner::cache: the base sees the same tokens
  std::vector<Learner> learners_;  // the temporary module, then the controls; none where score.adapter is off
  std::vector<std::optional<double>> means_;  // the module's mean NLL of each chunk done, if any; where asks_for_scores()
  std::function<void(const char* part)> mark_;  // ends a part of the present chunk's time; null outside its turn
  std::int64_t book_index_ = 0;
  std::int64_t next_chunk_ = 0;
};

}  // namespace templora
