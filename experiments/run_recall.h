#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "experiment/recall.h"
#include "experiment/temp_lora.h"
#include "run/run_folder.h"
#include "run_books.h"

namespace templora {

/// What asks for the planted facts of a run while it goes on. Without recall.facts it does nothing.
class RunRecall {
 public:
  /// Everything must outlive it. Throws Error(usage) where windows have no room for the questions, and as KvCache does.
  RunRecall(LlamaImpl& model, const Config& config, const Tokenizer& tokenizer, const RunBooks& books);

  /// A book is opened, at its beginning or where a stopped run goes on.
  void begin(const TempLora& stream, std::int64_t book_index, RunFolder& folder);
  /// After the chunk of `record` was learnt: asks what is to be asked there. The time goes into the record, as
  /// "recall". → the lines for probes.jsonl.
  std::vector<ProbeRecord> ask(TempLora& stream, ChunkRecord& record);

 private:
  LlamaImpl& model_;
  const Config& config_;
  const Tokenizer& tokenizer_;
  const RunBooks& books_;
  std::unique_ptr<ModelCompleter> completer_;
  std::optional<BookRecall> book_;
};

/// recall.json and recall.md of a finished run that planted facts.
void write_recall_tables(const RunFolder& folder, const Json& run_record);

}  // namespace templora
