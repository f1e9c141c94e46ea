#include "perplexity.h"

#include <fmt/format.h>

#include <algorithm>

#include "commands.h"
#include "config/config_fields.h"
#include "config/lengths.h"
#include "config/model_name.h"
#include "cost/run_cost.h"
#include "experiment/machine.h"
#include "experiment/memory_peaks.h"
#include "experiment/temp_lora.h"
#include "metrics/perplexity.h"
#include "model/load.h"
#include "plan/document_plan.h"
#include "report/cost_table.h"
#include "report/markdown.h"
#include "report/perplexity_plot.h"
#include "report/perplexity_table.h"
#include "report/run_result.h"
#include "run/base_scores.h"
#include "run/run_data.h"
#include "run/run_folder.h"
#include "run/token_ids.h"
#include "run_books.h"
#include "run_loop.h"
#include "run_place.h"
#include "run_recall.h"
#include "run_record.h"

namespace templora {

namespace {

BookRecord book_record(const Config& config, const Book& book, std::int64_t index) {
  BookRecord record;
  record.book = book.name;
  record.book_index = index;
  record.tokens = std::int64_t(book.tokens.size());
  record.text_bytes = book.text_bytes;
  record.words = book.words;
  record.text_hash = book.text_hash;
  record.fits_one_window = fits_one_window(config, record.tokens);
  return record;
}

}  // namespace

ControlSegments run_segments(const Config& config, const std::vector<Book>& books,
                             const std::vector<Book>& control_books, std::int64_t index) {
  ControlSegments segments;
  const Book& book = books[std::size_t(index)];
  const std::vector<Chunk> chunks = DocumentPlan(config, std::int64_t(book.tokens.size())).chunks();
  const bool has_others =
      std::any_of(books.begin(), books.end(), [&](const Book& other) { return other.same_text() != book.same_text(); });
  for (const Control control : config.control) {
    const bool own = control_books.empty() || (control == Control::other_book && has_others);
    segments[arm_of(control)] =
        control_segments(control, own ? books : control_books, book, index, chunks, config.seed);
  }
  return segments;
}

namespace {

// Where the base model's NLLs are kept between runs. With kept keys, or kept hidden states, they are computed: these
// come with the pass.
std::optional<BaseScores> base_scores(const LoadedConfig& loaded, const Json& record) {
  const Config& config = loaded.config;
  if (!config.score.base || !config.score.base_scores || reads_through_cache(config) ||
      config.neural_cache.entries > 0)
    return std::nullopt;
  return BaseScores(*config.score.base_scores, loaded.effective, record.at("identity"),
                    record.at("processor").get<std::string>());
}

void finish(RunFolder& folder, const Config& config, const std::vector<Book>& books, const std::string& hash_before,
            LlamaImpl& model, bool verbose) {
  const Json weights = unchanged_weights(model, hash_before);
  const RunData data = read_run(folder.path());
  // All at the end: a resumed run has them whole, whatever its config said before.
  for (std::size_t i = 0; config.score.keep_tokens && i < books.size(); ++i)
    write_token_ids(folder.path(), std::int64_t(i), scored_ids(data.chunks, std::int64_t(i), books[i].tokens));
  const PerplexityTable table = perplexity_table(data);
  double seconds = 0;
  for (const ChunkRecord& chunk : data.chunks)
    for (const auto& [phase, spent] : chunk.seconds) seconds += spent;
  Json summary = to_json(table);
  summary.update(weights);
  summary["chunk_seconds"] = seconds;
  const MeasuredMemory memory = measured_memory(model.options().device());
  const RunCost cost = run_cost(data, table, config, read_model_shape(config.model.path), memory);
  record_cost(folder, cost, memory, summary);
  const std::string markdown = perplexity_markdown(table, data.run);
  write_file_atomically(folder.path() / "perplexity.svg", perplexity_svg(data));
  if (config.recall.facts > 0) write_recall_tables(folder, data.run);
  folder.write_summary(summary, markdown);
  show_result(verbose ? markdown + "\n" + cost_markdown(cost) : run_result(table, cost, folder.path()));
  if (config.recall.facts > 0) show_result("\n" + read_file(folder.path() / "recall.md"));
}

// The books of a run as stream_documents() reads them.
class BookStreams {
 public:
  BookStreams(LlamaImpl& model, const Config& config, const std::vector<Book>& books,
              const std::vector<Book>& control_books, const std::optional<BaseScores>& kept_scores, RunRecall& recall,
              RunFolder& folder)
      : model_(model),
        config_(config),
        books_(books),
        control_books_(control_books),
        kept_scores_(kept_scores),
        recall_(recall),
        folder_(folder) {}

  std::int64_t tokens(std::int64_t index) const { return std::int64_t(book(index).tokens.size()); }
  BookRecord record(std::int64_t index) const { return book_record(config_, book(index), index); }

  TempLora open(std::int64_t index) const {
    return TempLora(model_, config_, book(index), index, run_segments(config_, books_, control_books_, index),
                    make_optimizer, read_before(config_, token_counts(books_), std::size_t(index)));
  }

  void begun(TempLora& stream, std::int64_t index) {
    if (!adapters_.empty()) stream.go_on_with(adapters_);
    if (one_for_all(config_)) adapters_ = stream.adapters();
    recall_.begin(stream, index, folder_);
    scores_known_ = false;
    if (!kept_scores_) return;
    auto nll = kept_scores_->find(book(index).text_hash, tokens(index), stream.base_nll_count());
    if (!nll) return;
    stream.use_base_nll(std::move(*nll));
    scores_known_ = true;
  }

  std::optional<ChunkRecord> step(TempLora& stream, std::int64_t index) {
    ChunkResult result = stream.step();
    if (config_.score.base) folder_.append_nll(index, Arm::base, result.base_nll);
    if (config_.score.adapter) folder_.append_nll(index, Arm::lora, result.lora_nll);
    for (const auto& [arm, nll] : result.control_nll) folder_.append_nll(index, arm, nll);
    for (const ProbeRecord& probe : recall_.ask(stream, result.record))
      folder_.append_line(kProbesName, to_json(probe));
    folder_.append_chunk(result.record);
    return result.record;
  }

  void ended(std::int64_t index) const {
    if (!kept_scores_ || scores_known_) return;
    kept_scores_->keep(book(index).text_hash, tokens(index),
                       read_floats(folder_.path() / "nll" / fmt::format("{}-base.f32", index)));
  }

 private:
  const Book& book(std::int64_t index) const { return books_[std::size_t(index)]; }

  LlamaImpl& model_;
  const Config& config_;
  const std::vector<Book>&books_, &control_books_;
  const std::optional<BaseScores>& kept_scores_;
  RunRecall& recall_;
  RunFolder& folder_;
  bool scores_known_ = false;  // of the book that is read
  std::vector<std::shared_ptr<TemporaryAdapter>> adapters_;  // that go on from book to book
};

}  // namespace

void run_perplexity(const LoadedConfig& loaded, const RunPlace& place) {
  const fs::path& path = place.folder;
  const bool resume = place.resume;
  const Config& config = loaded.config;
  check_cost(config);
  const Machine machine = set_up_machine(config.model, config.run);
  const Tokenizer tokenizer = open_run_tokenizer(config.model);
  Llama model = open_model(config.model, machine);
  check_windows(config, model->config());
  // All books are read before anything runs: bad input is found at once, and progress knows the total.
  const std::vector<fs::path> paths = expand_globs(config.data.books, ".");
  const RunBooks read = read_books(config, paths, tokenizer, model->config());
  const std::vector<Book>& books = read.books;
  RunRecall recall(*model, config, tokenizer, read);
  check_distinct_books(paths, books, resume && fs::exists(path / "run.json"));
  const std::vector<Book> control_books = read_control_books(config, tokenizer, model->config());
  for (std::size_t i = 0; i < books.size(); ++i)
    run_segments(config, books, control_books, std::int64_t(i));  // all have segments
  const std::string hash = weights_hash(*model);
  Json record = run_record(loaded, machine, hash, tokenizer, text_hashes(books), text_hashes(control_books));
  add_hashes_before(config, read, record.at("identity"));
  std::int64_t total = 0;
  for (const Book& book : books) total += std::int64_t(book.tokens.size());
  describe(place, total, record);
  // An adapter that cannot be made (a layer the model has not, a damaged init_from) is found before a folder is.
  if (config.score.adapter && !resume) TempLora(*model, config, books.front(), 0);
  RunFolder folder = open_run_folder(path, record, loaded, resume);
  if (folder.finished()) {
    if (place.verbose) return show_finished(folder, "table", "table.md");
    log_line(fmt::format("{} is finished; its result:", path.string()));
    return show_result(run_result(perplexity_table(read_run(path)), std::nullopt, path));
  }
  log_line(fmt::format("{} text{}, {} tokens; model {}, {}, on {}, {} thread{}; {}", books.size(),
                       books.size() == 1 ? "" : "s", grouped(total), model_name(config.model.path),
                       enum_name(config.model.dtype), machine.device_name, machine.threads,
                       machine.threads == 1 ? "" : "s", windows_text(config)));
  const std::optional<BaseScores> kept_scores = base_scores(loaded, record);
  BookStreams streams(*model, config, books, control_books, kept_scores, recall, folder);
  stream_documents(streams, std::int64_t(books.size()), total, folder, config);
  finish(folder, config, books, hash, *model, place.verbose);
}

}  // namespace templora
