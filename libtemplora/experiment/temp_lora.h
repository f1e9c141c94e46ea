#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/file.h"
#include "core/json.h"
#include "experiment/context_cache.h"
#include "experiment/controls.h"
#include "experiment/neural_cache.h"
#include "experiment/phase_timer.h"
#include "experiment/standing_prefix.h"
#include "experiment/temporary_adapter.h"
#include "model/llama.h"
#include "plan/document_plan.h"
#include "plan/score_rules.h"
#include "run/record.h"
#include "text/books.h"
#include "text/passages.h"

namespace templora {

/// What came out of one chunk: its record and the NLLs of its scored tokens, nats.
struct ChunkResult {
  ChunkRecord record;
  std::vector<float> base_nll;  ///< empty if score.base is off
  std::vector<float> lora_nll;  ///< empty if score.adapter is off
  std::map<Arm, std::vector<float>> control_nll;  ///< of the kFurtherArms that there are
};

/// One document's stream through a model with a temporary adapter (the paper's algorithm 1): the adapter is
/// created with this object, trained once after each chunk, and discarded with it. The model is used, never
/// changed. Controls are further adapters that start alike and live alike, but learn their own segments.
class TempLora {
 public:
  /// Starts document number `book_index` of a run. Same seed and index, same adapter, whatever ran before.
  /// The book and the controls' books must outlive this object, and a control has a segment for each chunk. `make`
  /// gives each adapter its optimizer; one that `train.optimizer` does not name is another program's to record.
  /// `before` is what go_on_with()'s adapters have read.
  /// Throws Error(usage / bad_input) as LoraAdapter and its loaders do.
  TempLora(LlamaImpl& model, const Config& config, const Book& book, std::int64_t book_index,
           ControlSegments controls = {}, MakeOptimizer make = make_optimizer, const ReadBefore& before = {});

  std::int64_t chunk_count() const { return plan_.size(); }
  std::int64_t next_chunk() const { return next_chunk_; }
  std::int64_t tokens_done() const;

  /// The adapters as they stand: the temporary one, then the controls'.
  std::vector<std::shared_ptr<TemporaryAdapter>> adapters() const;
  /// Takes over those of the document before, which learn on: lora.reset_every_tokens -1. To be called before the first
  /// step; whose they were must not step any more.
  void go_on_with(const std::vector<std::shared_ptr<TemporaryAdapter>>& adapters);

  /// Takes the base model's NLLs of the whole book, nats, in order, instead of computing them; to be called before the
  /// first step, and not with kept keys. Their number must be base_nll_count().
  void use_base_nll(std::vector<float> nll);
  /// How many NLLs the base model gives of this book.
  std::int64_t base_nll_count() const { return plan_.scored_before(chunk_count()); }

  /// Scores the next chunk, then trains. Throws Error(numerics) naming book and chunk where an NLL, loss or
  /// gradient is not finite.
  ChunkResult step();

  /// State between two chunks; with it, a new object on the same document goes on bit for bit.
  Json state() const;
  void save_tensors_to(const fs::path& file) const;
  void restore(const Json& state, const fs::path& tensors);

  /// Between two chunks: calls `use(arm, version)` for the base model and then for each adapter as it stands, attached
  /// to the model meanwhile. What is computed there must not change the adapters.
  void lend(const std::function<void(Arm arm, std::int64_t version)>& use);

  /// Writes the adapter as it stands as a PEFT folder.
  void save_adapter(const fs::path& folder) const;

 private:
  /// One adapter that is scored, and what it learns from.
  struct ScoredAdapter {
    Arm arm = Arm::lora;
    std::vector<ControlSegment> segments;                // a control's, one a chunk; none: the document's own chunks
    std::shared_ptr<TemporaryAdapter> adapter;  // attached during its pass only
    std::unique_ptr<ContextCache> cache;  // of the keys that it made itself; none where windows are computed anew, or
                                          // where its rows are the chunk's alone, behind the base's keys
    bool control() const { return arm != Arm::lora; }
  };
  /// What the base's pass over a chunk left on the device; undefined where there was none.
  struct BasePass {
    at::Tensor nll;
    at::Tensor cached;  // what the neural cache makes of the same tokens, where there is one
    at::Tensor with_passage;  // NLLs with an earlier passage in sight (bm25)
  };
  /// What an adapter's pass over a chunk left there.
  struct ChunkPass {
    at::Tensor nll;
    std::optional<Learnt> learnt;
  };

  at::Tensor tokens_of(std::int64_t first, std::int64_t length) const;
  void start_adapter(ScoredAdapter& scored, std::int64_t number) const;
  BasePass score_base(PhaseTimer& timer, ChunkRecord& record);
  at::Tensor score_with_passage() const;
  ChunkPass pass(ScoredAdapter& scored, PhaseTimer& timer, ChunkRecord& record);
  at::Tensor score_cached(ContextCache& cache, std::int64_t version, const char* opened, PhaseTimer& timer,
                          ChunkRecord& record);
  at::Tensor score_window(const Window& seen) const;
  NllPass pass_over(const Book& book, const Window& window) const;
  NllPass pass_behind_base() const;
  NllPass with_replay(NllPass pass, const ScoredAdapter& scored, std::int64_t index, std::int64_t steps) const;
  void add_to_rules(const at::Tensor& nll, ChunkRecord& record);
  std::optional<Learnt> learn(ScoredAdapter& scored, std::optional<ScoredChunk> first_forward, PhaseTimer& timer,
                              ChunkRecord& record);
  void read(const BasePass& base, const std::vector<ChunkPass>& passes, ChunkResult& result);

  LlamaImpl& model_;
  const Config& config_;
  const Book& book_;
  DocumentPlan plan_;
  ScoreRules rules_;
  at::Tensor tokens_;  // [book tokens] int64 on the model's device
  std::vector<float> base_nll_;  // of the whole book, where they are known already
  std::unique_ptr<ContextCache> base_cache_;  // the base sees the same tokens; its keys stand before the chunk's rows
  std::unique_ptr<StandingPrefix> prefix_;    // of windows whose prefix has no graph
  std::unique_ptr<NeuralCache> neural_cache_;
  std::unique_ptr<Passages> passages_;  // of bm25
  MakeOptimizer make_optimizer_;
  std::vector<ScoredAdapter> scored_;  // the temporary adapter, then the controls; none where score.adapter is off
  std::int64_t book_index_ = 0;
  std::int64_t next_chunk_ = 0;
};

}  // namespace templora
