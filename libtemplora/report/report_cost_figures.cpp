// What settings cost: against their quality, and by phase.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cost/cost.h"
#include "report/figures.h"
#include "report/run_groups.h"
#include "run/json_lines.h"

namespace templora {
namespace {

constexpr std::size_t kMostBars = 24;

/// FLOPs a token of the plain model in a run's own window, with keys kept as the run keeps them; none in older runs.
std::optional<double> plain_flops(const RunSummary& run) {
  const std::string window = window_tokens(run);
  const Json::json_pointer at("/cost/references");
  if (window.empty() || !run.summary.is_object() || !run.summary.contains(at) || !run.summary.at(at).is_array())
    return std::nullopt;
  const bool kept = run.setting("cache.policy") != "rebuild";
  for (const Json& plain : run.summary.at(at))
    if (number_at(plain, "/window") == std::stod(window) && plain.value("cached", false) == kept)
      return number_at(plain, "/flops_per_token");
  return std::nullopt;
}

/// Where settings stand by their cost and their quality: with Temp-LoRA, and the plain model in the same window.
class CostPoints {
 public:
  CostPoints(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups) : runs_(runs) {
    flops_ = std::all_of(groups.begin(), groups.end(),
                         [&](const RunGroup& group) { return mean(group, "flops").value.has_value(); });
    const auto of_groups = [&](bool learns) {
      std::vector<std::size_t> among;
      for (const RunGroup& group : groups)
        if (!learns || mean(group, "lora").value) among.insert(among.end(), group.runs.begin(), group.runs.end());
      return among;
    };
    learning_keys_ = naming_keys(runs, of_groups(true));
    const std::vector<std::string> all = differing_keys(runs, of_groups(false));
    chunks_differ_ = std::find(all.begin(), all.end(), "window.chunk_tokens") != all.end();
    for (const RunGroup& group : groups) add(group);
  }

  bool flops() const { return flops_; }
  /// By text: perplexities of different ones do not compare.
  const std::map<std::string, std::vector<CostPoint>>& by_text() const { return by_text_; }

 private:
  Cell mean(const RunGroup& group, const std::string& name) const {
    return mean_cell(runs_, group.runs, [&](const RunSummary& r) {
      const auto found = r.measures.find(name);
      return found == r.measures.end() ? std::nullopt : std::optional(found->second);
    });
  }

  void add(const RunGroup& group) {
    const auto cost = mean(group, flops_ ? "flops" : "seconds").value;
    const Cell lora = mean(group, "lora"), base = mean(group, "base");
    const RunSummary& run = runs_[group.runs.front()];
    const double unit = flops_ ? 1e-9 : 1000;
    if (lora.value && cost && *cost > 0) put(run, {learning_name(run), *cost * unit, *lora.value, lora.seed_sd});
    if (!base.value) return;
    // A run without an adapter is a plain model by its own cost; beside an adapter the base has scored for comparison.
    const auto own = lora.value ? flops_ ? plain_flops(run) : std::nullopt : cost;
    if (own && *own > 0) put(run, {plain_name(run), *own * unit, *base.value, {}, true});
  }

  /// What differs among those that learn: "Δ 64, rank 8".
  std::string learning_name(const RunSummary& run) const {
    std::string name;
    for (const std::string& key : learning_keys_)
      name += (name.empty() ? "" : ", ") + (key == "model.path" ? run.model() : setting_text(run, key));
    return name.empty() ? "Temp-LoRA" : name;
  }

  /// What a model that learns nothing sees.
  std::string plain_name(const RunSummary& run) const {
    const std::string window = window_tokens(run), policy = run.setting("cache.policy");
    const std::string first = run.setting("cache.sink_tokens");
    return fmt::format("plain{}{}{}{}{}", policy == "rebuild" ? "" : ", " + policy,
                       policy == "rebuild" || first.empty() || first == "0" ? "" : " with the first " + first,
                       chunks_differ_ ? ", Δ " + run.setting("window.chunk_tokens") : "",
                       window.empty() ? "" : ", W ", window);
  }

  /// Settings of one window and chunk share their plain model.
  void put(const RunSummary& run, CostPoint point) {
    auto& points = by_text_[run.setting("texts") + " " + run.setting("data.max_tokens")];
    const auto same = [&](const CostPoint& other) {
      return point.plain && other.plain && other.cost == point.cost && other.quality == point.quality;
    };
    if (std::none_of(points.begin(), points.end(), same)) points.push_back(std::move(point));
  }

  const std::vector<RunSummary>& runs_;
  std::map<std::string, std::vector<CostPoint>> by_text_;
  std::vector<std::string> learning_keys_;
  bool flops_ = false, chunks_differ_ = false;
};

void add_cost(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups, const std::string& experiment,
              std::vector<Figure>& figures) {
  const CostPoints costs(runs, groups);
  std::size_t number = 0;
  for (const auto& [text, points] : costs.by_text()) {
    if (points.size() < 2) continue;
    const std::string title =
        fmt::format("Cost against quality{}", experiment == "perplexity" ? "" : ": " + experiment);
    const bool plain = std::any_of(points.begin(), points.end(), [](const CostPoint& p) { return p.plain; });
    figures.push_back({fmt::format("cost_{}_{}", experiment, ++number), title, "",
                       cost_figure(points, title,
                                   costs.flops() ? "GFLOP a token" : "seconds for 1,000 tokens, as measured",
                                   plain ? "perplexity" : "Temp-LoRA PPL",
                                   {common_settings(runs, runs_of(groups)),
                                    "Each point is one setting on the same texts; on the dashed line no other is both "
                                    "cheaper and better. A name that has no room is its point's tooltip."})});
  }
}

/// What a phase of chunks.jsonl is called where people read.
std::string phase_words(const std::string& phase) {
  static const std::map<std::string, std::string> kWords{
      {"score_base", "scoring, base model"},
      {"recompute_base", "context anew, base model"},
      {"score", "scoring, Temp-LoRA"},
      {"recompute", "context anew, Temp-LoRA"},
      {"train_forward", "learning, forward"},
      {"train_backward", "learning, backward"},
      {"gradient", "learning, both ways"},
      {"optimizer", "optimizer step"},
      {"score_controls", "scoring, controls"},
      {"train_controls", "learning, controls"},
      {"staleness", "measuring stale keys"},
      {"read", "reading texts"},
      {"prompts", "making prompts"},
      {"prefill", "reading the context"},
      {"decode", "writing"},
      {"write_and_train", "writing and learning at once"},
      {"base_prefill", "reading prompts, base model"},
      {"base_score", "scoring, base model"},
      {"base_decode", "translating, base model"},
      {"lora_prefill", "reading prompts, Temp-LoRA"},
      {"lora_score", "scoring, Temp-LoRA"},
      {"lora_decode", "translating, Temp-LoRA"},
      {"step", "optimizer step, all of it"}};
  const auto found = kWords.find(phase);
  return found == kWords.end() ? phase : found->second;
}

/// Phases as a chunk goes through them; those of no known place come last.
std::vector<std::string> in_order(const std::map<std::string, double>& seconds) {
  std::vector<std::string> names;
  for (const char* phase : kCostPhases)
    if (seconds.contains(phase)) names.push_back(phase);
  for (const auto& [phase, spent] : seconds)
    if (std::find(names.begin(), names.end(), phase) == names.end()) names.push_back(phase);
  return names;
}

void add_phases(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups, const std::string& experiment,
                std::vector<Figure>& figures) {
  std::vector<StackedBar> bars;
  // What one of them computed for the others is no cost of its setting.
  const bool taken_over = base_is_shared(runs, runs_of(groups));
  for (const RunGroup& group : groups) {
    if (bars.size() == kMostBars) break;
    const RunSummary& run = runs[group.runs.front()];
    if (run.tokens == 0 || run.seconds.empty()) continue;
    StackedBar bar{group_name(runs, group), {}};
    for (const std::string& phase : in_order(run.seconds))
      if (!taken_over || phase != kBasePhase)
        bar.parts.emplace_back(phase_words(phase), 1000 * run.seconds.at(phase) / static_cast<double>(run.tokens));
    bars.push_back(std::move(bar));
  }
  if (bars.empty()) return;
  const std::string title = fmt::format("Time by phase{}", experiment == "perplexity" ? "" : ": " + experiment);
  std::string marks =
      "Wall seconds as measured, on a machine that may have had other work. The first seed of each setting.";
  if (taken_over) marks += " Without scoring the base model, which one run did for others.";
  figures.push_back(
      {"phases_" + experiment, title, "",
       bar_figure(bars, title, "seconds for 1,000 tokens", {common_settings(runs, runs_of(groups)), marks})});
}

}  // namespace

std::vector<Figure> cost_figures(const std::vector<RunSummary>& runs) {
  std::vector<Figure> figures;
  for (const char* experiment : kExperiments) {
    const std::vector<RunGroup> groups = group_runs(runs, experiment);
    add_cost(runs, groups, experiment, figures);
    add_phases(runs, groups, experiment, figures);
  }
  return figures;
}

}  // namespace templora
