#include "perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "commands.h"
#include "core/log.h"
#include "core/stop.h"
#include "experiment/memory_peaks.h"
#include "experiment/machine.h"
#include "experiment/temp_lora.h"
#include "metrics/perplexity.h"
#include "cost/run_cost.h"
#include "model/load.h"
#include "plan/document_plan.h"
#include "report/cost_table.h"
#include "report/perplexity_plot.h"
#include "report/perplexity_table.h"
#include "run/base_scores.h"
#include "config/lengths.h"
#include "run/run_data.h"
#include "run/run_folder.h"
#include "run_record.h"

namespace templora {

// All books are read before anything runs: bad input is found at once, and progress knows the total.
std::vector<Book> read_run_books(const Config& config, const std::vector<fs::path>& paths, const Tokenizer& tokenizer,
                             const LlamaConfig& model) {
  std::vector<Book> books;
  for (const fs::path& path : paths) {
    books.push_back(read_book(path, tokenizer, {config.data.strip, config.data.max_tokens}));
    check_ids(books.back().tokens, path.string(), model);
  }
  return books;
}

namespace {

std::vector<std::string> text_hashes(const std::vector<Book>& books) {
  std::vector<std::string> hashes;
  for (const Book& book : books) hashes.push_back(book.text_hash);
  return hashes;
}

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
      std::any_of(books.begin(), books.end(), [&](const Book& other) { return other.text_hash != book.text_hash; });
  for (const Control control : config.control) {
    const bool own = control_books.empty() || (control == Control::other_book && has_others);
    segments[arm_of(control)] =
        control_segments(control, own ? books : control_books, book, index, chunks, config.seed);
  }
  return segments;
}

namespace {

// Where the base model's NLLs are kept between runs. With kept keys they are computed: a state holds the base's keys
// too.
std::optional<BaseScores> base_scores(const LoadedConfig& loaded, const Json& record) {
  const Config& config = loaded.config;
  if (!config.score.base || !config.score.base_scores || config.cache.policy != CachePolicy::rebuild)
    return std::nullopt;
  return BaseScores(*config.score.base_scores, loaded.effective, record.at("identity"),
                    record.at("processor").get<std::string>());
}

void finish(RunFolder& folder, const Config& config, const std::string& hash_before, LlamaImpl& model) {
  const Json weights = unchanged_weights(model, hash_before);
  const RunData data = read_run(folder.path());
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
  folder.write_summary(summary, markdown);
  show_result(markdown + "\n" + cost_markdown(cost));
}

}  // namespace

void run_perplexity(const LoadedConfig& loaded, const std::filesystem::path& path, bool resume) {
  const Config& config = loaded.config;
  check_cost(config);
  const Machine machine = set_up_machine(config.model, config.run);
  const Tokenizer tokenizer = open_run_tokenizer(config.model);
  Llama model = open_model(config.model, machine);
  check_windows(config, model->config());
  const std::vector<fs::path> paths = expand_globs(config.data.books, ".");
  const std::vector<Book> books = read_run_books(config, paths, tokenizer, model->config());
  check_distinct_texts(paths, text_hashes(books), "data.books", resume && fs::exists(path / "run.json"));
  const std::vector<Book> control_books =
      config.control.empty()
          ? std::vector<Book>()
          : read_run_books(config, expand_globs(config.data.control_books, "."), tokenizer, model->config());
  for (std::size_t i = 0; i < books.size(); ++i)
    run_segments(config, books, control_books, std::int64_t(i));  // all have segments
  const std::string hash = weights_hash(*model);
  const Json record = run_record(loaded, machine, hash, tokenizer, text_hashes(books), text_hashes(control_books));
  // An adapter that cannot be made (a layer the model has not, a damaged init_from) is found before a folder is.
  if (config.score.adapter && !resume) TempLora(*model, config, books.front(), 0);
  RunFolder folder = resume ? RunFolder::resume(path, record, loaded.hash_of_0_1) : RunFolder::create(path, record);
  if (folder.finished()) {
    log_line(fmt::format("{} is finished; its table:", path.string()));
    show_result(read_file(path / "table.md"));
    return;
  }

  std::int64_t total = 0, before = 0;
  for (const Book& book : books) total += std::int64_t(book.tokens.size());
  Progress progress(total);
  const std::optional<BaseScores> kept_scores = base_scores(loaded, record);
  const std::optional<Json> saved = folder.saved_state();
  std::int64_t index = saved ? saved->at("book_index").get<std::int64_t>() : 0;
  for (std::int64_t i = 0; i < index; ++i) before += std::int64_t(books[std::size_t(i)].tokens.size());

  for (; index < std::int64_t(books.size()); ++index) {
    const Book& book = books[std::size_t(index)];
    TempLora document(*model, config, book, index, run_segments(config, books, control_books, index));
    if (saved && saved->at("book_index") == index)
      document.restore(*saved, folder.saved_tensors());
    else
      folder.append_book(book_record(config, book, index));
    const auto save = [&] {
      folder.save_state(document.state(), [&](const fs::path& file) { document.save_tensors_to(file); });
    };
    const std::int64_t book_tokens = std::int64_t(book.tokens.size());
    bool scores_known = false;
    if (kept_scores) {
      if (auto nll = kept_scores->find(book.text_hash, book_tokens, document.base_nll_count())) {
        document.use_base_nll(std::move(*nll));
        scores_known = true;
      }
    }
    RunningTotals running;
    while (document.next_chunk() < document.chunk_count()) {
      const ChunkResult result = document.step();
      if (config.score.base) folder.append_nll(index, Arm::base, result.base_nll);
      if (config.score.adapter) folder.append_nll(index, Arm::lora, result.lora_nll);
      for (const auto& [arm, nll] : result.control_nll) folder.append_nll(index, arm, nll);
      folder.append_chunk(result.record);
      running.add(result.record);
      progress.update(before + document.tokens_done(), fmt::format("{} chunk {}/{}{}", book.name, document.next_chunk(),
                                                                   document.chunk_count(), running.text()));
      if (stop_requested()) {
        save();
        end_stopped(path);
      }
      if (document.next_chunk() % config.run.save_every_chunks == 0) save();
    }
    save();
    if (kept_scores && !scores_known)
      kept_scores->keep(book.text_hash, book_tokens, read_floats(path / "nll" / fmt::format("{}-base.f32", index)));
    if (config.lora.save_final) document.save_adapter(path / "adapters" / std::to_string(index));
    before += book_tokens;
  }
  finish(folder, config, hash, *model);
}

}  // namespace templora
