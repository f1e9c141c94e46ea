#include "translation.h"

#include <fmt/format.h>

#include "comet/comet.h"
#include "commands.h"
#include "config/config_fields.h"
#include "core/log.h"
#include "core/stop.h"
#include "core/utf8.h"
#include "cost/run_cost.h"
#include "experiment/machine.h"
#include "experiment/memory_peaks.h"
#include "experiment/translation.h"
#include "metrics/translation.h"
#include "model/load.h"
#include "report/translation_table.h"
#include "run/run_data.h"
#include "run/run_folder.h"
#include "run_loop.h"
#include "run_place.h"
#include "run_record.h"

namespace templora {
namespace {

constexpr std::int64_t kMostPromptTokens = std::int64_t(kMostTokens);

/// A novel and what its references amount to.
struct Source {
  Novel novel;
  BookRecord record;
};

/// Finds what a run cannot translate or learn in a sentence, with file, record and pair in the message.
class SentenceChecks {
 public:
  SentenceChecks(const Config& config, const TranslationPrompts& prompts, const LlamaConfig& model)
      : config_(config), prompts_(prompts), model_(model), window_(translation_window(config, model)) {}

  /// → length of the reference. A pair with an empty side is never translated: it may be of any length.
  std::int64_t check_prompt(const SentencePair& pair, const std::string& where) const {
    const std::vector<std::int64_t> prompt = prompts_.prompt({}, pair.zh, kMostPromptTokens).ids;
    const std::vector<std::int64_t> reference = prompts_.reference(pair.en);
    check_ids(prompt, where + ".zh", model_);
    check_ids(reference, where + ".en", model_);
    if (has_empty_side(pair)) return 0;
    const std::int64_t behind = tokens_behind_prompt(config_, std::int64_t(reference.size()));
    if (std::int64_t(prompt.size()) > window_ - behind)
      throw Error(Exit::bad_input,
                  fmt::format("{}: got {} tokens with the instruction alone and {} behind them for the answer or the "
                              "reference, wanted at most {} in all; raise translation.window_tokens, lower "
                              "generate.max_new_tokens or split the sentence",
                              where, prompt.size(), behind, window_));
    return std::int64_t(reference.size());
  }

  /// Of a chunk's last pair: all others are cut from a training text that is too long. What the model writes in the
  /// reference's place, with another history, is not known yet.
  void check_segment(const SentencePair& pair, const std::string& where) const {
    if (!config_.score.adapter || !config_.train.enabled) return;
    if (config_.translation.history.reference_share < 1 && !has_empty_side(pair)) return;
    const TranslationSegment segment = prompts_.training_segment({&pair, 1}, 1, kMostPromptTokens);
    check_ids(segment.ids, where, model_);
    if (std::int64_t(segment.ids.size()) > window_)
      throw Error(Exit::bad_input,
                  fmt::format("{}: got a training text of {} tokens from this pair alone, wanted at most {}; raise "
                              "translation.window_tokens or split the sentence",
                              where, segment.ids.size(), window_));
  }

  /// Of a pair that is only context.
  void check_context(const SentencePair& pair, const std::string& where) const {
    check_ids(prompts_.line_ids(pair.zh), where + ".zh", model_);
    check_ids(prompts_.line_ids(pair.en), where + ".en", model_);
  }

 private:
  const Config& config_;
  const TranslationPrompts& prompts_;
  const LlamaConfig& model_;
  std::int64_t window_;
};

// All novels are read and encoded before anything runs: bad input is found at once, and progress knows the total.
Source read_source(const fs::path& path, const Config& config, const Tokenizer& tokenizer,
                   const TranslationPrompts& prompts, const LlamaConfig& model, std::int64_t index) {
  const std::string context(enum_name(config.translation.context));
  Source source{read_novel(path, context, config.data.max_chunks), {}};
  BookRecord& record = source.record;
  record.book = source.novel.name;
  record.book_index = index;
  record.text_hash = source.novel.text_hash;
  const SentenceChecks checks(config, prompts, model);
  const bool may_lack_ids = tokenizer.size() > model.vocab_size;  // else the contexts, which are long, need no look
  for (std::size_t c = 0; c < source.novel.chunks.size(); ++c) {
    const NovelChunk& chunk = source.novel.chunks[c];
    const std::string where = fmt::format("{}: record {}", path.string(), c);
    for (std::size_t i = 0; may_lack_ids && i < chunk.context.size(); ++i)
      checks.check_context(chunk.context[i], fmt::format("{}: contexts.{}[{}]", where, context, i));
    for (std::size_t i = 0; i < chunk.pairs.size(); ++i) {
      const SentencePair& pair = chunk.pairs[i];
      const std::string place = fmt::format("{}: inference[{}]", where, i);
      const std::int64_t reference_tokens = checks.check_prompt(pair, place);
      if (i + 1 == chunk.pairs.size()) checks.check_segment(pair, place);
      if (has_empty_side(pair)) continue;
      record.tokens += reference_tokens;
      record.text_bytes += std::int64_t(pair.en.size());
      record.words += count_words(pair.en);
    }
  }
  return source;
}

std::vector<Source> read_sources(const Config& config, const std::vector<fs::path>& paths, const Tokenizer& tokenizer,
                                 const TranslationPrompts& prompts, const LlamaConfig& model) {
  std::vector<Source> sources;
  for (const fs::path& path : paths)
    sources.push_back(read_source(path, config, tokenizer, prompts, model, std::int64_t(sources.size())));
  return sources;
}

TranslationPrompts prompts_of(const Config& config, const Tokenizer& tokenizer) {
  return TranslationPrompts(tokenizer, chat_template(enum_name(config.translation.prompt)),
                            config.translation.instruction.value_or(kTranslateIntoEnglish),
                            config.translation.tokenization == Tokenization::official);
}

Json chunk_line(const TranslatedChunk& chunk) {
  Json line = to_json(chunk.record);
  line["pairs"] = chunk.pairs.size();
  line["lesson_tokens"] = chunk.lesson_tokens;
  line["labelled_tokens"] = chunk.labelled_tokens;
  line["lesson_cut_pairs"] = chunk.lesson_cut_pairs;
  return line;
}

// Why there will be no COMET; "" where its weights are there.
std::string comet_note(const Config& config) {
  const std::string how = "docs/comet.md says how to get and convert weights";
  if (!config.translation.comet_model) return "no COMET: translation.comet_model is null; " + how;
  const std::string missing = Comet::missing(*config.translation.comet_model);
  return missing.empty() ? "" : "no COMET: " + missing;
}

std::vector<CometRecord> comet_records(const std::vector<PairRecord>& pairs, const Comet& comet) {
  std::vector<CometRecord> records;
  for (const PairRecord& pair : pairs) records.push_back({pair.novel_index, pair.chunk, pair.pair, {}, {}});
  std::vector<CometSegment> segments;
  std::vector<std::optional<double>*> places;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    for (const auto& [text, place] : {std::pair{&pairs[i].base_text, &records[i].base_comet},
                                      std::pair{&pairs[i].lora_text, &records[i].lora_comet}}) {
      if (!*text) continue;
      segments.push_back({std::string(strip(pairs[i].zh)), **text, std::string(strip(pairs[i].en))});
      places.push_back(place);
    }
  const std::vector<double> scores = comet.scores(segments);
  for (std::size_t i = 0; i < scores.size(); ++i) *places[i] = scores[i];
  return records;
}

// Scores every translation, and keeps the scores in the folder: the table can be made again without the weights.
std::vector<CometRecord> judge(const RunFolder& folder, const std::vector<PairRecord>& pairs,
                               const std::string& comet_model, const at::Device& device) {
  const std::vector<CometRecord> records = comet_records(pairs, Comet(comet_model, device));
  std::string lines;
  for (const CometRecord& record : records) lines += to_json(record).dump() + "\n";
  write_file_atomically(folder.path() / "comet.jsonl", lines);
  return records;
}

TranslationTable scored_table(const RunFolder& folder, const std::vector<PairRecord>& pairs, const Config& config,
                              const at::Device& device) {
  const std::string note = comet_note(config);
  std::vector<CometRecord> comet;
  if (note.empty()) comet = judge(folder, pairs, *config.translation.comet_model, device);
  TranslationTable table = translation_table(pairs, comet);
  table.comet_note = note;
  return table;
}

void write_table(RunFolder& folder, const TranslationTable& table, const Config& config, const Json& run,
                 Json summary) {
  summary.update(to_json(table));
  summary["comet_model"] = table.comet_note.empty() ? Json(*config.translation.comet_model) : Json(nullptr);
  const std::string markdown = translation_markdown(table, run);
  folder.write_summary(summary, markdown);
  show_result(markdown);
}

void finish(RunFolder& folder, const Config& config, const std::string& hash_before, LlamaImpl& model) {
  Json summary = unchanged_weights(model, hash_before);
  const RunData data = read_run(folder.path());
  const std::vector<PairRecord> pairs = read_pairs(folder.path());
  const TranslationTable table = scored_table(folder, pairs, config, model.options().device());
  std::map<std::string, double> seconds;
  for (const ChunkRecord& chunk : data.chunks)
    for (const auto& [phase, spent] : chunk.seconds) seconds[phase] += spent;
  summary["phase_seconds"] = seconds;
  const MeasuredMemory memory = measured_memory(model.options().device());
  record_cost(
      folder,
      run_cost(pairs, read_segments(folder.path()), seconds, config, read_model_shape(config.model.path), memory),
      memory, summary);
  write_table(folder, table, config, data.run, std::move(summary));
}

// A finished run. Weights for COMET that were not there when it ended complete its table: no translation is made again.
void show_finished_translation(RunFolder& folder, const Config& config, const at::Device& device) {
  Json summary = parse_json(read_file(folder.path() / "summary.json"), (folder.path() / "summary.json").string());
  const JsonFields fields(summary, (folder.path() / "summary.json").string());
  if (fields.text("comet_note", "").empty() || !comet_note(config).empty())
    return show_finished(folder, "table", "table.md");
  log_line(fmt::format("{} is finished; its translations are judged by COMET:", folder.path().string()));
  const std::vector<PairRecord> pairs = read_pairs(folder.path());
  const TranslationTable table = scored_table(folder, pairs, config, device);
  write_table(folder, table, config, read_run(folder.path()).run, std::move(summary));
}

void report_cut(const TranslatedChunk& chunk) {
  std::int64_t cut = 0;
  for (const PairRecord& pair : chunk.pairs) cut += pair.cut_pairs > 0;
  if (cut > 0 || chunk.lesson_cut_pairs > 0)
    log_line(fmt::format(
        "{}: chunk {}: the window had no room for the whole history of {} of {} pairs, nor for the oldest {} pairs of "
        "the training text; they were cut from the left",
        chunk.record.book, chunk.record.chunk, cut, chunk.pairs.size(), chunk.lesson_cut_pairs));
}

// The novels of a run as stream_documents() reads them.
class NovelStreams {
 public:
  NovelStreams(LlamaImpl& model, const Config& config, const Tokenizer& tokenizer, const TranslationPrompts& prompts,
               const std::vector<Source>& sources, RunFolder& folder)
      : model_(model),
        config_(config),
        tokenizer_(tokenizer),
        prompts_(prompts),
        sources_(sources),
        folder_(folder) {}

  std::int64_t tokens(std::int64_t index) const { return source(index).record.tokens; }
  const BookRecord& record(std::int64_t index) const { return source(index).record; }

  NovelTranslation open(std::int64_t index) const {
    return NovelTranslation(model_, config_, tokenizer_, prompts_, source(index).novel, index);
  }

  void begun(const NovelTranslation&, std::int64_t) const {}

  std::optional<ChunkRecord> step(NovelTranslation& stream, std::int64_t index) const {
    const std::optional<TranslatedChunk> chunk = stream.step(stop_requested);
    if (!chunk) return std::nullopt;
    if (config_.score.base) folder_.append_nll(index, Arm::base, chunk->base_nll);
    if (config_.score.adapter) folder_.append_nll(index, Arm::lora, chunk->lora_nll);
    for (const PairRecord& pair : chunk->pairs) folder_.append_line("pairs.jsonl", to_json(pair));
    folder_.append_line("chunks.jsonl", chunk_line(*chunk));
    report_cut(*chunk);
    return chunk->record;
  }

  void ended(std::int64_t) const {}

 private:
  const Source& source(std::int64_t index) const { return sources_[std::size_t(index)]; }

  LlamaImpl& model_;
  const Config& config_;
  const Tokenizer& tokenizer_;
  const TranslationPrompts& prompts_;
  const std::vector<Source>& sources_;
  RunFolder& folder_;
};

}  // namespace

std::vector<BookRecord> translation_texts(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model) {
  std::vector<BookRecord> records;
  for (const Source& source : read_sources(config, expand_globs(config.data.novels, "."), tokenizer,
                                           prompts_of(config, tokenizer), model))
    records.push_back(source.record);
  return records;
}

void run_translation(const LoadedConfig& loaded, const RunPlace& place) {
  const fs::path& path = place.folder;
  const bool resume = place.resume;
  const Config& config = loaded.config;
  check_cost(config);
  const Machine machine = set_up_machine(config.model, config.run);
  const Tokenizer tokenizer = open_run_tokenizer(config.model);
  const TranslationPrompts prompts = prompts_of(config, tokenizer);
  Llama model = open_model(config.model, machine);
  const std::vector<fs::path> paths = expand_globs(config.data.novels, ".");
  const std::vector<Source> sources = read_sources(config, paths, tokenizer, prompts, model->config());
  const std::string hash = weights_hash(*model);
  std::vector<std::string> text_hashes;
  for (const Source& source : sources) text_hashes.push_back(source.record.text_hash);
  check_distinct_texts(paths, text_hashes, "data.novels", resume && fs::exists(path / "run.json"));
  Json record = run_record(loaded, machine, hash, tokenizer, text_hashes, {});
  std::int64_t total = 0;
  for (const Source& source : sources) total += source.record.tokens;
  describe(place, total, record);
  // What no run can start with is found before a folder is made.
  if (!resume) NovelTranslation(*model, config, tokenizer, prompts, sources.front().novel, 0);
  if (const std::string note = comet_note(config); !note.empty())
    log_line(note);
  else
    Comet(*config.translation.comet_model);  // a damaged folder is found now and not after days of translating
  RunFolder folder = open_run_folder(path, record, loaded, resume);
  if (folder.finished()) return show_finished_translation(folder, config, machine.device);
  NovelStreams streams(*model, config, tokenizer, prompts, sources, folder);
  stream_documents(streams, std::int64_t(sources.size()), total, folder, config);
  finish(folder, config, hash, *model);
}

}  // namespace templora
