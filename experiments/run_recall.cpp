#include "run_recall.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "config/lengths.h"
#include "core/log.h"
#include "metrics/recall.h"
#include "report/recall_table.h"
#include "run_record.h"

namespace templora {

RunRecall::RunRecall(LlamaImpl& model, const Config& config, const Tokenizer& tokenizer, const RunBooks& books)
    : model_(model), config_(config), tokenizer_(tokenizer), books_(books) {
  std::int64_t longest = 0;
  for (std::size_t i = 0; i < books.plantings.size(); ++i) {
    const BookRecall book(config, tokenizer, books.books[i], books.plantings[i], std::int64_t(i));
    longest = std::max(longest, book.longest_tokens());
    for (const std::int64_t distance : config.recall.ask_after_tokens)
      if (book.plan().asked(distance) == 0)
        log_line(fmt::format("recall.ask_after_tokens: {} ends before any fact could be asked for {} tokens after it "
                             "left the window",
                             printable(books.books[i].name), distance));
  }
  if (books.plantings.empty()) return;
  const std::int64_t tokens = context_tokens(config) + longest, positions = model.config().max_positions;
  if (tokens > positions && !config.model.allow_beyond_positions)
    throw Error(Exit::usage,
                fmt::format("window.context_tokens: got {}, and questions and answers of recall.facts up to {} tokens "
                            "long; wanted no more than the model's {} positions together; shorten the context",
                            context_tokens(config), longest, positions));
  completer_ =
      std::make_unique<ModelCompleter>(model, BookRecall::kMostAnswers, tokens, config.cache.prefill_block_tokens);
}

void RunRecall::begin(const TempLora& stream, std::int64_t book_index, RunFolder& folder) {
  book_.reset();
  if (!completer_) return;
  const auto index = std::size_t(book_index);
  const Book& book = books_.books[index];
  book_.emplace(config_, tokenizer_, book, books_.plantings[index], book_index);
  if (stream.next_chunk() > 0) return;
  for (const FactRecord& fact : fact_records(books_.plantings[index], book.name, book_index))
    folder.append_line(kFactsName, to_json(fact));
}

std::vector<ProbeRecord> RunRecall::ask(TempLora& stream, ChunkRecord& record) {
  if (!book_ || book_->plan().after(record.chunk).empty()) return {};
  const auto started = std::chrono::steady_clock::now();
  const LendAdapters lend = [&](const auto& use) {
    stream.lend([&](Arm arm, std::int64_t version) { use(arm_name(arm), version); });
  };
  std::vector<ProbeRecord> probes = book_->ask(record.chunk, lend, *completer_);
  record.seconds["recall"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return probes;
}

void write_recall_tables(const RunFolder& folder, const Json& run_record) {
  const RecallTable table = recall_table({read_recall(folder.path())});
  write_file_atomically(folder.path() / "recall.json", dump_json_pretty(to_json(table), "recall.json"));
  write_file_atomically(folder.path() / "recall.md", recall_markdown(table, run_record));
}

}  // namespace templora
