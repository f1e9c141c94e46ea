// What runs cost: seconds by phase, memory, FLOPs where they were counted.

#include <fmt/format.h>

#include <set>

#include "report/markdown.h"
#include "report/report.h"
#include "report/run_groups.h"

namespace templora {
namespace {

std::optional<double> measure(const RunSummary& run, const std::string& name) {
  const auto found = run.measures.find(name);
  return found == run.measures.end() ? std::nullopt : std::optional(found->second);
}

std::optional<double> scaled(std::optional<double> value, double factor) {
  return value ? std::optional(*value * factor) : std::nullopt;
}

/// Seconds of 1,000 tokens of all phases but the base model's scoring.
std::optional<double> seconds_without_base(const RunSummary& run) {
  double sum = 0;
  for (const auto& [phase, spent] : run.seconds) sum += phase == kBasePhase ? 0 : spent;
  return run.tokens > 0 && sum > 0 ? std::optional(1000 * sum / static_cast<double>(run.tokens)) : std::nullopt;
}

ReportTable cost_table(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups,
                       const std::string& experiment) {
  std::set<std::string> phases;
  bool flops = false;
  for (const RunGroup& group : groups)
    for (const std::size_t i : group.runs) {
      for (const auto& [phase, spent] : runs[i].seconds) phases.insert(phase);
      flops |= runs[i].measures.contains("flops");
    }
  std::vector<std::size_t> all;
  for (const RunGroup& group : groups) all.insert(all.end(), group.runs.begin(), group.runs.end());
  // What one of them computed for the others is no cost of its setting, and without it their times compare.
  const bool shared = base_is_shared(runs, all);
  if (shared) phases.erase(kBasePhase);
  ReportTable table{
      "cost_" + experiment,
      "Cost: " + experiment,
      "Wall seconds of 1,000 tokens of text, by phase, as measured; they depend on the machine and on what else ran on "
      "it. "
      "Memory is the peak of the process.",
      {},
      {Column::setting("model", "model"), Column::setting("Δ", "chunk_tokens"), Column::setting("W", "window_tokens"),
       Column::setting("settings", "settings"), Column::remark("tokens"),
       Column::of("s / 1K tokens", "seconds_per_1k_tokens", "{:.3g}")},
      {}};
  table.aside = true;
  if (shared) table.note += " Without scoring the base model, which one run did for others.";
  for (const std::string& phase : phases)
    table.columns.push_back(Column::of(phase, "seconds_per_1k_tokens_" + phase, "{:.3g}"));
  if (flops) table.columns.push_back(Column::of("GFLOP / token", "gflop_per_token", "{:.4g}"));
  table.columns.push_back(Column::of("peak memory [MB]", "peak_rss_mb", "{:.0f}"));
  table.columns.push_back(Column::of("PPL change %", "change_percent", "{:+.2f}"));
  for (const RunGroup& group : groups) {
    const RunSummary& run = runs[group.runs.front()];
    std::vector<Cell> row{Cell::of(run.model()), Cell::of(run.setting("window.chunk_tokens")),
                          Cell::of(window_tokens(run)), Cell::of(group.label), Cell::of(grouped(run.tokens))};
    const std::size_t first = row.size();
    const auto add = [&](const NumberOf& number) { row.push_back(mean_cell(runs, group.runs, number)); };
    add([&](const RunSummary& r) { return shared ? seconds_without_base(r) : scaled(measure(r, "seconds"), 1000); });
    for (const std::string& phase : phases)
      add([&](const RunSummary& r) -> std::optional<double> {
        const auto found = r.seconds.find(phase);
        if (found == r.seconds.end() || r.tokens == 0) return std::nullopt;
        return 1000 * found->second / static_cast<double>(r.tokens);
      });
    if (flops) add([](const RunSummary& r) { return scaled(measure(r, "flops"), 1e-9); });
    add([](const RunSummary& r) -> std::optional<double> {
      if (!r.summary.is_object() || !r.summary.contains("peak_rss_bytes") || !r.summary["peak_rss_bytes"].is_number())
        return std::nullopt;
      return r.summary["peak_rss_bytes"].get<double>() / 1e6;
    });
    add([](const RunSummary& r) { return measure(r, "change"); });
    for (std::size_t c = first; c < row.size(); ++c) row[c].tokens = run.tokens;
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// A member of summary.json's cost object; null where the run has none.
const Json& cost_of(const RunSummary& run) {
  static const Json kNone;
  if (!run.summary.is_object()) return kNone;
  const auto found = run.summary.find("cost");
  return found == run.summary.end() ? kNone : *found;
}

std::optional<double> number(const Json& object, const char* name) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

/// What the paper says of one number of a run whose Δ and W are those of one of its settings.
std::vector<PaperValue> claims(const Json& cost, const char* name) {
  std::vector<PaperValue> values;
  if (cost.is_object() && cost.contains("paper") && cost["paper"].is_array())
    for (const Json& claim : cost["paper"])
      if (claim.is_object()) values.push_back({claim.value("paper_version", std::string()), number(claim, name)});
  return values;
}

/// FLOPs and memory against a plain model, for each reference that the run's cost names.
std::vector<ReportTable> against_plain(const std::vector<RunSummary>& runs) {
  ReportTable table{
      "cost_against_plain",
      "Cost against a plain model",
      "",
      {},
      {Column::setting("run", "run"), Column::setting("model", "model"), Column::setting("Δ", "chunk_tokens"),
       Column::setting("W", "window_tokens"), Column::setting("plain window", "reference_window"),
       Column::setting("its K/V", "reference_cache"), Column::of("FLOPs change %", "flops_change_percent", "{:+.1f}"),
       Column::of_paper("paper FLOPs change %"), Column::of("memory change %", "memory_change_percent", "{:+.1f}"),
       Column::of_paper("paper memory change %"), Column::of("PPL change %", "change_percent", "{:+.2f}"),
       Column::of_paper("paper PPL change %")},
      {}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Json& cost = cost_of(runs[i]);
    if (!cost.is_object() || !cost.contains("references") || !cost["references"].is_array()) continue;
    if (table.note.empty() && cost.contains("convention") && cost["convention"].is_string())
      table.note = "Computed from the config, Temp-LoRA alone against the plain model. " +
                   cost["convention"].get<std::string>() +
                   " Which plain model the paper compared with is unknown; its change of PPL is its own setting's, "
                   "ours the run's.";
    for (const Json& reference : cost["references"]) {
      std::vector<Cell> row{Cell::of(std::to_string(i + 1)),
                            Cell::of(runs[i].model()),
                            Cell::of(runs[i].setting("window.chunk_tokens")),
                            Cell::of(window_tokens(runs[i])),
                            Cell::of(fmt::format("{:.0f}", number(reference, "window").value_or(0))),
                            Cell::of(reference.value("cached", false) ? "cached" : "recomputed")};
      for (const auto& [value, name] : {std::pair{number(reference, "flops_change_percent"), "flops_change_percent"},
                                        {number(reference, "memory_change_percent"), "memory_change_percent"},
                                        {measure(runs[i], "change"), "perplexity_change_percent"}}) {
        Cell cell = Cell::of(value);
        cell.paper = claims(cost, name);
        cell.runs = {i};
        const std::string paper = shown(cell.paper, "{:+.1f}");
        row.push_back(std::move(cell));
        row.push_back(Cell::of(paper));
      }
      table.rows.push_back(std::move(row));
    }
  }
  if (table.rows.empty()) return {};
  leave_out_unknown_paper(table);
  return {table};
}

}  // namespace

std::vector<ReportTable> cost_tables(const std::vector<RunSummary>& runs) {
  std::vector<ReportTable> tables;
  for (const char* experiment : kExperiments)
    if (const auto groups = group_runs(runs, experiment); !groups.empty())
      tables.push_back(cost_table(runs, groups, experiment));
  for (ReportTable& table : against_plain(runs)) tables.push_back(std::move(table));
  return tables;
}

}  // namespace templora
