#include "metrics/run_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "core/recent_rate.h"
#include "metrics/derived.h"
#include "run/json_lines.h"
#include "run/run_failure.h"
#include "run/run_folder.h"

namespace templora {
namespace {

/// Seconds of a line of chunks.jsonl or steps.jsonl.
double seconds_of(const Json& line) {
  const auto found = line.find("seconds");
  if (found == line.end()) return 0;
  if (found->is_number()) return found->get<double>();
  double sum = 0;
  for (const auto& [phase, spent] : found->items()) sum += spent.get<double>();
  return sum;
}

/// Of a finished run: as its table has them.
void read_summary(const fs::path& folder, RunProgress& progress) {
  const std::string file = (folder / "summary.json").string();
  const Json summary = parse_json(read_file(file), file);
  const Json::json_pointer rows("/all");
  if (summary.contains(rows) && summary.at(rows).is_array() && !summary.at(rows).empty()) {
    const Json& all = summary.at(rows).back();
    progress.base = number_at(all, "/base/corpus");
    progress.lora = number_at(all, "/lora/corpus");
  } else if (const auto validation = number_at(summary, "/validation/perplexity")) {
    progress.validation = validation;
  } else {
    progress.base = number_at(summary, "/all/base/perplexity");
    progress.lora = number_at(summary, "/all/lora/perplexity");
  }
}

/// Of a run that is under way: what its records say so far.
void read_records(const fs::path& folder, RunProgress& progress) {
  RecentRate rate;
  PerplexitySoFar so_far;
  double seconds = 0;
  rate.add(0, 0);
  for_each_record(folder / "chunks.jsonl", [&](const Json& chunk) {
    const auto tokens = chunk.at("tokens").get<std::int64_t>();
    progress.tokens += tokens;
    rate.add(seconds += seconds_of(chunk), double(progress.tokens));
    so_far.add(chunk.value("scored_tokens", tokens), number_at(chunk, "/base_nll"),
               number_at(chunk, "/lora_nll"));
  });
  for_each_record(folder / "steps.jsonl", [&](const Json& step) {
    progress.tokens = step.at("tokens").get<std::int64_t>();
    rate.add(seconds += seconds_of(step), double(progress.tokens));
  });
  // A pretraining may be made longer on the way.
  for_each_record(folder / "schedule.jsonl",
                  [&](const Json& length) { progress.total_tokens = length.at("tokens").get<std::int64_t>(); });
  for_each_record(folder / "validation.jsonl",
                  [&](const Json& validation) { progress.validation = number_at(validation, "/perplexity"); });
  if (so_far.base()) progress.base = so_far.base();
  if (so_far.lora()) progress.lora = so_far.lora();
  const std::optional<double> speed = rate.per_second();
  if (progress.total_tokens && speed)
    progress.seconds_left = double(std::max<std::int64_t>(0, *progress.total_tokens - progress.tokens)) / *speed;
}

}  // namespace

const char* run_state_name(RunState state) {
  switch (state) {
    case RunState::finished: return "finished";
    case RunState::running: return "running";
    case RunState::interrupted: return "interrupted";
    case RunState::failed: return "failed";
  }
  return "";
}

void PerplexitySoFar::add(std::int64_t scored_tokens, std::optional<double> base_nll, std::optional<double> lora_nll) {
  const auto tokens = double(scored_tokens);
  if (base_nll) base_tokens_ += tokens, base_nll_ += *base_nll * tokens;
  if (lora_nll) lora_tokens_ += tokens, lora_nll_ += *lora_nll * tokens;
}

std::optional<double> PerplexitySoFar::base() const {
  return base_tokens_ > 0 ? perplexity_of(base_nll_ / base_tokens_) : std::nullopt;
}

std::optional<double> PerplexitySoFar::lora() const {
  return lora_tokens_ > 0 ? perplexity_of(lora_nll_ / lora_tokens_) : std::nullopt;
}

std::string perplexities_text(const std::optional<double>& base, const std::optional<double>& lora) {
  std::string text;
  if (base) text = fmt::format("base {:.2f}", *base);
  if (lora) text += fmt::format("{}Temp-LoRA {:.2f}", base ? ", " : "", *lora);
  if (const auto change = change_percent(base, lora))
    text += fmt::format(" ({}{:.1f} %)", *change < -0.05 ? "−" : *change < 0.05 ? "±" : "+", std::abs(*change));
  return text;
}

std::optional<double> RunProgress::change_percent() const { return templora::change_percent(base, lora); }

std::optional<double> RunProgress::share() const {
  if (state == RunState::finished) return 1;
  if (!total_tokens || *total_tokens <= 0) return std::nullopt;
  return std::min(1.0, double(tokens) / double(*total_tokens));
}

RunProgress run_progress(const fs::path& folder, const Json& record) {
  RunProgress progress;
  std::error_code ignored;
  if (const auto total = number_at(record, "/total_tokens")) progress.total_tokens = std::int64_t(*total);
  // The lock first: a run that ends between the two looks is finished, not interrupted.
  const bool locked = is_run_locked(folder);
  if (fs::exists(folder / "summary.json", ignored)) {
    progress.state = RunState::finished;
  } else if (locked) {
    progress.state = RunState::running;
  } else if (const auto failure = read_failure_file(run_failure_file(folder))) {
    progress.state = RunState::failed;
    progress.problem = failure->line;
  }
  try {
    if (progress.state == RunState::finished) {
      progress.tokens = progress.total_tokens.value_or(0);
      read_summary(folder, progress);
    } else {
      read_records(folder, progress);
    }
  } catch (const std::exception& error) {  // damaged records, or a number that is none
    if (progress.problem.empty()) progress.problem = error.what();
  }
  return progress;
}

std::optional<RunProgress> run_progress(const fs::path& folder) {
  const fs::path file = folder / "run.json";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return std::nullopt;
  try {
    return run_progress(folder, parse_json(read_file(file), file.string()));
  } catch (const Error& error) {
    RunProgress damaged;
    damaged.problem = error.what();
    return damaged;
  }
}

Json to_json(const RunProgress& progress) {
  return {{"state", run_state_name(progress.state)},
          {"tokens", progress.tokens},
          {"total_tokens", optional_json(progress.total_tokens)},
          {"share", optional_json(progress.share())},
          {"seconds_left", optional_json(progress.seconds_left)},
          {"base", optional_json(progress.base)},
          {"lora", optional_json(progress.lora)},
          {"change_percent", optional_json(progress.change_percent())},
          {"validation", optional_json(progress.validation)},
          {"problem", progress.problem},
          {"text", progress_text(progress)}};
}

std::string progress_text(const RunProgress& progress) {
  const bool finished = progress.state == RunState::finished;
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (const auto share = progress.share(); share && !finished) add(fmt::format("{:.0f} %", std::floor(100 * *share)));
  if (progress.seconds_left && !finished) add(duration_text(*progress.seconds_left) + " left");
  const std::string numbers = perplexities_text(progress.base, progress.lora);
  if (!numbers.empty()) add((finished ? "PPL " : "PPL so far: ") + numbers);
  if (progress.validation) add(fmt::format("validation PPL {:.2f}", *progress.validation));
  return text;
}

}  // namespace templora
