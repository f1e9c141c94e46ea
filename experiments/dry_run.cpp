#include "dry_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "commands.h"
#include "config/config_fields.h"
#include "config/config_inputs.h"
#include "core/log.h"
#include "cost/run_seconds.h"
#include "cost_command.h"
#include "experiment/machine.h"
#include "generation.h"
#include "perplexity.h"
#include "plan/document_plan.h"
#include "plan/scored_arms.h"
#include "pretrain.h"
#include "probe.h"
#include "report/markdown.h"
#include "run/run_folder.h"
#include "run_books.h"
#include "run_record.h"
#include "translation.h"

namespace templora {
namespace {

struct Text {
  std::string name;
  std::int64_t tokens = 0;
  std::int64_t chunks = 0;
};

/// A file or folder that the run would write.
struct Written {
  std::string what;
  double bytes = 0;  ///< about
};

/// Everything that was found out.
struct Findings {
  Machine machine;
  std::vector<Text> texts;
  std::optional<CostReport> cost;  ///< none of a translation
  std::optional<Probe> probe;
  std::vector<Written> written;
};

std::string megabytes(double bytes) {
  if (bytes < 1e6) return fmt::format("{:.0f} kB", bytes / 1e3);
  return bytes < 1e9 ? fmt::format("{:.1f} MB", bytes / 1e6) : fmt::format("{:.1f} GB", bytes / 1e9);
}

std::string readable(double seconds) {
  if (seconds > 1 && seconds < 10) return fmt::format("{:.1f} s", seconds);
  if (seconds < 1) return fmt::format("{:.0f} ms", 1e3 * seconds);
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  return seconds < 7200 ? fmt::format("{:.0f} minutes", seconds / 60) : fmt::format("{:.1f} hours", seconds / 3600);
}

std::int64_t sum_of(const std::vector<Text>& texts, std::int64_t Text::*member) {
  std::int64_t sum = 0;
  for (const Text& text : texts) sum += text.*member;
  return sum;
}

std::vector<Written> written_by(const Config& config, const Findings& found) {
  constexpr double kRecordBytes = 700, kTableBytes = 2e5;  // of a line of chunks.jsonl; tables and figure
  std::vector<Written> files;
  const double tokens = double(sum_of(found.texts, &Text::tokens));
  const double chunks = double(std::max<std::int64_t>(1, sum_of(found.texts, &Text::chunks)));
  const ExperimentKind kind = config.experiment;
  const bool scores = kind == ExperimentKind::perplexity || kind == ExperimentKind::translation;
  files.push_back({"run.json and records", 2e4 + kRecordBytes * chunks});
  if (scores) {
    files.push_back({"nll/", 4 * double(scored_arms(config).size()) * tokens});
  }
  if (found.cost) {
    const MemoryNeed& memory = found.cost->per_token.memory;
    const bool pretrain = kind == ExperimentKind::pretrain;
    // Masters without their gradients, moments and kept keys; the last two states are kept.
    const double weights = pretrain ? 4 * found.cost->shape.parameters() : memory.module / 2;
    const double moments = pretrain ? 2 * weights : memory.moments;
    files.push_back({"state/, for --resume", 2 * (weights + moments + memory.cache)});
    if (config.lora.save_final && !pretrain)
      files.push_back({"adapters/", weights * double(std::max<std::size_t>(1, found.texts.size()))});
    const double number_bytes = config.model.dtype == Dtype::bfloat16 ? 2 : 4;
    if (pretrain) files.push_back({"model/", found.cost->shape.parameters() * number_bytes});
  } else {
    files.push_back({"state/, for --resume", 0});
  }
  files.push_back({"tables, figure and summary.json", kTableBytes});
  return files;
}

void say_what_is_measured(const char* part) {
  log_line(fmt::format("computes a {0} or some to see how fast this machine is: for {1:.0f} s at most, or one {0} "
                       "where that takes longer; --device NAME tells a floor instead, and computes nothing",
                       part, kMostProbeSeconds));
}

void look_at_books(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model, LlamaImpl* weights,
                   const ModelShape& shape, CostInput& input, Findings& found) {
  const std::vector<fs::path> paths = expand_globs(config.data.books, ".");
  const std::vector<Book> books = read_books(config, paths, tokenizer, model).books;
  const std::vector<Book> control_books = read_control_books(config, tokenizer, model);
  check_distinct_books(paths, books, false);
  for (std::size_t i = 0; i < books.size(); ++i) {
    run_segments(config, books, control_books, std::int64_t(i));  // all have segments
    const auto tokens = std::int64_t(books[i].tokens.size());
    found.texts.push_back({books[i].name, tokens, DocumentPlan(config, tokens).size()});
    input.document_tokens.push_back(tokens);
  }
  if (weights == nullptr) return;
  say_what_is_measured("chunk");
  found.probe = probe_perplexity(*weights, config, shape, books, control_books);
}

void look_at_prompt(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model, LlamaImpl* weights,
                    const ModelShape& shape, CostInput& input, Findings& found) {
  const GenerationStart start = read_start(config, tokenizer, model);
  const std::int64_t tokens = config.generate.tokens - start.written, chunk = config.window.chunk_tokens;
  found.texts.push_back({fmt::format("to write, behind {} tokens", start.text.size()), tokens,
                         (tokens + chunk - 1) / chunk});
  input.document_tokens = {tokens};
  input.prompt_tokens = std::int64_t(start.text.size());
  if (weights == nullptr) return;
  say_what_is_measured("chunk");
  found.probe = probe_generation(*weights, config, shape, start.text);
}

void look_at_corpus(const Config& config, const Tokenizer& tokenizer, bool measure, const ModelShape& shape,
                    CostInput& input, Findings& found) {
  const PretrainLength length = pretrain_length(config, tokenizer);
  found.texts.push_back({fmt::format("to learn, of a corpus of {} tokens", grouped(length.training_tokens)),
                         length.tokens, length.steps});
  input.document_tokens = {length.tokens};
  if (!measure) return;
  say_what_is_measured("step");
  found.probe = probe_pretraining(config, shape, found.machine);
}

Findings look(const LoadedConfig& loaded, const DryRun& asked) {
  const Config& config = loaded.config;
  Findings found;
  const bool pretrain = config.experiment == ExperimentKind::pretrain, measure = asked.device.empty();
  found.machine = set_up_machine(config.model, config.run);
  const Tokenizer tokenizer = open_run_tokenizer(config.model);
  CostInput input;
  if (pretrain) {
    const ModelShape shape = pretrain_shape(config.pretrain, tokenizer.size());
    look_at_corpus(config, tokenizer, measure, shape, input, found);
    found.cost = predicted_report(config, asked.config, shape, asked.device, input);
    return found;
  }
  const bool translates = config.experiment == ExperimentKind::translation;
  Llama weights{nullptr};
  if (measure && !translates) weights = open_model(config.model, found.machine);
  const LlamaConfig model = weights ? weights->config()
                                    : read_llama_config(fs::path(config.model.path) / "config.json",
                                                        config.model.rope_scaling);
  if (translates) {
    for (const BookRecord& record : translation_texts(config, tokenizer, model))
      found.texts.push_back({record.book, record.tokens, 0});
    return found;
  }
  check_windows(config, model);
  const ModelShape shape = read_model_shape(config.model.path);
  LlamaImpl* const probed = weights ? weights.get() : nullptr;
  if (config.experiment == ExperimentKind::generation)
    look_at_prompt(config, tokenizer, model, probed, shape, input, found);
  else
    look_at_books(config, tokenizer, model, probed, shape, input, found);
  found.cost = predicted_report(config, asked.config, shape, asked.device, input);
  return found;
}

std::string time_text(const Findings& found) {
  if (found.probe) {
    const Probe& probe = *found.probe;
    const double seconds = seconds_at(*found.cost->run, probe.cost);
    return fmt::format("Time: about {} on this machine ({}, {} thread{}), at the speed of {}, which took {} now.\n",
                       readable(seconds), found.machine.device_name, found.machine.threads,
                       found.machine.threads == 1 ? "" : "s", probe.what, readable(probe.seconds));
  }
  if (!found.cost) return "Time: what a translation computes only its answers tell; a run counts it as it goes.\n";
  double floor = 0;
  for (const auto& [phase, work] : found.cost->run->phases)
    floor += floor_seconds(work, *found.cost->device, found.cost->dtype);
  return fmt::format("Time: at least {} on {}, by its peaks, which no run reaches.\n", readable(floor),
                     found.cost->device->name);
}

std::string text_of(const Config& config, const DryRun& asked, const Findings& found) {
  constexpr std::size_t kMostTexts = 40;
  const bool pretrain = config.experiment == ExperimentKind::pretrain;
  std::string out = fmt::format("# What a run of {} would do\n\nNothing was written. ", escaped(asked.config));
  if (found.cost)
    out += fmt::format("Model {}: {} layers, hidden {}, {:.4g} G weights, {}. ", escaped(found.cost->shape.name),
                       found.cost->shape.layers, found.cost->shape.hidden, found.cost->shape.parameters() / 1e9,
                       enum_name(config.model.dtype));
  out += fmt::format("{}.\n\n| text | tokens | {} |\n| --- | ---: | ---: |\n", windows_text(config),
                     pretrain ? "steps" : "chunks");
  const auto line = [&](const std::string& name, std::int64_t tokens, std::int64_t chunks) {
    out += fmt::format("| {} | {} | {} |\n", name, grouped(tokens), chunks > 0 ? grouped(chunks) : kDash);
  };
  for (std::size_t i = 0; i < std::min(kMostTexts, found.texts.size()); ++i)
    line(escaped(found.texts[i].name), found.texts[i].tokens, found.texts[i].chunks);
  if (found.texts.size() > 1)
    line(fmt::format("all {}", found.texts.size()), sum_of(found.texts, &Text::tokens),
         sum_of(found.texts, &Text::chunks));
  if (found.cost) out += whole_run_markdown(*found.cost);
  out += fmt::format("\n## Time\n\n{}", time_text(found));
  out += fmt::format("\n## What would be written\n\nInto {}, a new folder:\n\n| what | about |\n| --- | ---: |\n",
                     printable(asked.folder ? asked.folder->string() : asked.default_folder, 4000));
  for (const Written& file : found.written)
    out += fmt::format("| {} | {} |\n", file.what, file.bytes > 0 ? megabytes(file.bytes) : kDash);
  for (const auto& [key, folder] : {std::pair{"score.base_scores", config.score.base_scores},
                                    {"pretrain.token_cache", config.pretrain.token_cache}})
    if (folder) out += fmt::format("\n{} keeps more in {}.\n", key, escaped(*folder, kLongText));
  return out;
}

Json json_of(const DryRun& asked, const Findings& found) {
  Json texts = Json::array(), written = Json::array();
  for (const Text& text : found.texts)
    texts.push_back({{"name", text.name}, {"tokens", text.tokens}, {"chunks", text.chunks}});
  for (const Written& file : found.written) written.push_back({{"what", file.what}, {"bytes", file.bytes}});
  Json json{{"texts", texts},
            {"folder", asked.folder ? asked.folder->string() : asked.default_folder},
            {"written", written},
            {"cost", found.cost ? to_json(*found.cost) : Json()},
            {"seconds", nullptr},
            {"probe", nullptr}};
  if (found.probe) {
    json["seconds"] = seconds_at(*found.cost->run, found.probe->cost);
    json["probe"] = {{"what", found.probe->what},
                     {"chunks", found.probe->chunks},
                     {"seconds", found.probe->seconds},
                     {"processor", found.machine.device_name},
                     {"threads", found.machine.threads}};
  }
  return json;
}

}  // namespace

Probe probe_run(const LoadedConfig& loaded) {
  require_inputs(loaded);
  return look(loaded, DryRun{}).probe.value();
}

void dry_run(const LoadedConfig& loaded, const DryRun& asked) {
  require_inputs(loaded);
  check_cost(loaded.config);
  if (asked.folder) RunFolder::require_new(*asked.folder);
  Findings found = look(loaded, asked);
  found.written = written_by(loaded.config, found);
  print_out(asked.json ? dump_json_pretty(json_of(asked, found), "dry run") : text_of(loaded.config, asked, found));
}

}  // namespace templora
