#include "report/run_summary.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/config_fields.h"
#include "config/model_name.h"
#include "core/hash.h"
#include "metrics/derived.h"
#include "metrics/translation.h"
#include "report/recorded_run.h"
#include "run/json_lines.h"
#include "run/run_data.h"

namespace templora {
namespace {

void flatten(const Json& json, const std::string& parent, std::map<std::string, std::string>& out) {
  for (const auto& [name, value] : json.items()) {
    const std::string key = parent.empty() ? name : parent + "." + name;
    if (value.is_object() && key != "model.rope_scaling")
      flatten(value, key, out);
    else
      out[key] = value.dump();
  }
}

/// Of a run's identity, and what these inputs are called among its settings.
const std::pair<const char*, const char*> kInputHashes[] = {{"model_config_hash", "model config"},
                                                            {"weights_hash", "weights"},
                                                            {"init_from_hash", "adapter"},
                                                            {"tokenizer_hash", "tokenizer"},
                                                            {"prompt_hash", "prompt"},
                                                            {"training_hash", "training texts"},
                                                            {"validation_hash", "validation texts"}};

/// Settings that change a run's numbers, and hashes of its inputs.
void read_settings(RunSummary& run) {
  const Json& record = run.record;
  Json config = with_later_keys(record.at("config"));
  const Experiments experiment = recorded_experiment(config);
  const Json controls = config.value("control", Json::array());
  const bool has_controls = std::any_of(controls.begin(), controls.end(), [](const Json& control) {
    return control != Json(enum_name(Control::shuffled_words));  // which learns no other text
  });
  for (const auto& [key, info] : config_keys())
    if (!info.counts_in(experiment) || (key == "data.control_books" && !has_controls)) erase_key(config, key);
  erase_key(config, "run.threads");  // which changes last digits
  flatten(config, "", run.settings);
  if (const auto identity = record.find("identity"); identity != record.end() && identity->is_object()) {
    for (const auto& [key, info] : config_keys())
      if (is_recorded(info, *identity)) run.read.insert(key);
    std::string texts, control_texts;
    for (const auto& [name, value] : identity->items()) {
      if (name.starts_with("text_")) texts += value.dump();
      if (name.starts_with("control_text_")) control_texts += value.dump();
    }
    if (!texts.empty()) run.settings["texts"] = hash_hex(texts).substr(0, 12);
    if (!control_texts.empty()) run.settings["control texts"] = hash_hex(control_texts).substr(0, 12);
    for (const auto& [name, input] : kInputHashes)
      if (const auto found = identity->find(name); found != identity->end() && found->is_string())
        run.settings[input] = found->get<std::string>().substr(0, 12);
  }
}

void read_seconds(RunSummary& run) {
  const Json::json_pointer kept("/config/score/base_scores");
  const bool keeps_base =
      run.experiment() == "perplexity" && run.record.contains(kept) && !run.record.at(kept).is_null();
  for_each_record(run.folder / "chunks.jsonl", [&](const Json& chunk) {
    run.tokens += chunk.value("tokens", std::int64_t{0});
    const std::map<std::string, double> seconds = phase_seconds(chunk);
    for (const auto& [phase, spent] : seconds) run.seconds[phase] += spent;
    const auto base = chunk.find("base_nll");
    if (keeps_base && base != chunk.end() && base->is_number() && !seconds.contains("score_base"))
      run.base_taken_over = true;
  });
  for_each_record(run.folder / "steps.jsonl", [&](const Json& step) {
    run.tokens = step.value("tokens", std::int64_t{0});
    for (const auto& [phase, spent] : phase_seconds(step)) run.seconds[phase] += spent;
  });
}

void read_perplexity(RunSummary& run, const std::vector<std::int64_t>& edges) {
  RunData data = read_run(run.folder);
  if (!edges.empty()) data.run["config"]["score"]["segment_edges"] = edges;
  run.table = perplexity_table(data);
  run.bins = position_bins(data);
  const SegmentRow& all = run.table->all.back();
  if (all.base && all.base->corpus) run.measures["base"] = *all.base->corpus;
  if (all.lora && all.lora->corpus) run.measures["lora"] = *all.lora->corpus;
  if (all.change_corpus_percent) run.measures["change"] = *all.change_corpus_percent;
}

void read_measures(RunSummary& run) {
  double seconds = number_at(run.summary, "/cost/seconds").value_or(0);
  if (seconds == 0)  // unfinished, or older than costs
    for (const auto& [phase, spent] : run.seconds) seconds += spent;
  if (run.tokens > 0 && seconds > 0 && !run.base_taken_over)
    run.measures["seconds"] = seconds / static_cast<double>(run.tokens);
  // Temp-LoRA alone where that is known, else all that the run did.
  if (const auto own = number_at(run.summary, "/cost/method_flops_per_token"))
    run.measures["flops"] = *own;
  else if (const auto all = number_at(run.summary, "/cost/flops"); all && run.tokens > 0)
    run.measures["flops"] = *all / static_cast<double>(run.tokens);
  if (run.experiment() != "translation") return;
  for (const auto& [name, measure] :
       {std::pair{"base", "perplexity"}, {"base_bleu", "bleu"}, {"base_comet", "comet"}}) {
    const auto base = number_at(run.summary, fmt::format("/all/base/{}", measure));
    const auto lora = number_at(run.summary, fmt::format("/all/lora/{}", measure));
    const std::string of_lora = "lora" + std::string(name).substr(4);
    if (base) run.measures[name] = *base;
    if (lora) run.measures[of_lora] = *lora;
    const auto change = change_percent(base, lora);
    if (std::string(name) == "base" && change) run.measures["change"] = *change;
  }
}

}  // namespace

std::map<std::string, double> phase_seconds(const Json& record) {
  std::map<std::string, double> seconds;
  const auto of_step = record.find("phase_seconds"), found = of_step != record.end() ? of_step : record.find("seconds");
  if (found == record.end()) return seconds;
  if (found->is_number()) seconds["step"] = found->get<double>();
  if (found->is_object())
    for (const auto& [phase, spent] : found->items())
      if (spent.is_number()) seconds[phase] = spent.get<double>();
  return seconds;
}

std::string RunSummary::experiment() const { return setting("experiment"); }

std::string RunSummary::config_hash() const {
  const Json::json_pointer at("/identity/config_hash");
  return record.contains(at) && record.at(at).is_string() ? record.at(at).get<std::string>() : "";
}

std::string RunSummary::setting(const std::string& key) const {
  const auto found = settings.find(key);
  if (found == settings.end() || found->second == "null") return "";
  const std::string& text = found->second;
  return text.size() >= 2 && text.front() == '"' ? Json::parse(text).get<std::string>() : text;
}

std::string RunSummary::model() const { return model_name(setting("model.path")); }

std::vector<RunSummary> read_report_runs(const std::vector<RunSource>& sources, std::vector<std::int64_t> edges,
                                         bool unfinished_too) {
  std::vector<RunSummary> runs;
  std::map<std::string, std::size_t> seen;  // folder -> its run
  for (const RunSource& source : sources) {
    const auto [there, is_new] = seen.emplace(fs::weakly_canonical(source.folder).string(), runs.size());
    if (!is_new) {
      auto& combinations = runs[there->second].combinations;
      if (!source.values.empty() &&
          std::find(combinations.begin(), combinations.end(), source.values) == combinations.end())
        combinations.push_back(source.values);
      continue;
    }
    runs.push_back(read_report_run(source, edges.empty() ? source.edges : edges, unfinished_too));
    if (edges.empty() && runs.back().table) edges = source.edges;
    const Json::json_pointer at("/config/score/segment_edges");
    if (!edges.empty() || !runs.back().table || !runs.back().record.contains(at)) continue;
    try {
      edges = runs.back().record.at(at).get<std::vector<std::int64_t>>();
    } catch (const nlohmann::json::exception&) {
      throw Error(Exit::bad_input, fmt::format("{}: config: score.segment_edges: wanted an array of integers",
                                               (source.folder / "run.json").string()));
    }
  }
  return runs;
}

RunSummary read_run_record(const RunSource& source) {
  RunSummary run;
  run.name = source.name;
  run.folder = source.folder;
  if (!source.values.empty()) run.combinations.push_back(source.values);
  const fs::path file = source.folder / "run.json";
  if (!fs::exists(file))
    throw Error(Exit::bad_input,
                fmt::format("{}: no run.json in it, wanted a run's or a sweep's folder", source.folder.string()));
  run.record = parse_json(read_file(file), file.string());
  if (!run.record.is_object() || !run.record.contains("config") || !run.record["config"].is_object())
    throw Error(Exit::bad_input,
                fmt::format("{}: config: missing, wanted the effective config of a run", file.string()));
  read_settings(run);
  run.finished = fs::exists(source.folder / "summary.json");
  return run;
}

RunSummary read_report_run(const RunSource& source, const std::vector<std::int64_t>& edges, bool unfinished_too) {
  RunSummary run = read_run_record(source);
  run.counted = run.finished || unfinished_too;
  if (!run.counted) return run;
  try {
    if (run.finished) {
      const fs::path summary = source.folder / "summary.json";
      run.summary = parse_json(read_file(summary), summary.string());
    }
    read_seconds(run);
    if (run.experiment() == "perplexity") read_perplexity(run, edges);
    if (run.experiment() == "translation") {
      const std::vector<PairRecord> pairs = read_pairs(run.folder);
      if (run.finished)
        run.tests = translation_tests(pairs, read_comet(run.folder, pairs.size()));
      else
        run.summary = to_json(translation_table(pairs));  // of the pairs so far
    }
    read_measures(run);
  } catch (const Error& error) {
    if (run.finished) throw;
    run.problem = error.what();
    run.table.reset();
    run.bins.reset();
    run.measures.clear();
  }
  return run;
}

}  // namespace templora
