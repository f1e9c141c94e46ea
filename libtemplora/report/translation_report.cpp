// The paper's GuoFeng table, and small ones for generations and pretraining.

#include <fmt/format.h>

#include "metrics/derived.h"
#include "report/markdown.h"
#include "report/paper_value.h"
#include "report/report.h"
#include "report/run_groups.h"
#include "run/json_lines.h"

namespace templora {
namespace {

struct ReportedMeasure {
  const char* name;
  const char* key;    // in summary.json
  const char* paper;  // in the notes; null: the paper has none
  const char* format;
};

const ReportedMeasure kReportedMeasures[] = {{"PPL of the reference", "perplexity", nullptr, "{:.3f}"},
                             {"PPL, mean over sentences", "sentence_perplexity", "ppl", "{:.3f}"},
                             {"BLEU", "bleu", "bleu", "{:.2f}"},
                             {"BLEU of the released script (0–1)", "released_bleu", nullptr, "{:.4f}"},
                             {"chrF2", "chrf2", nullptr, "{:.2f}"},
                             {"COMET", "comet", "comet", "{:.4f}"}};

Cell formatted(Cell cell, const char* format) {
  cell.format = format;
  return cell;
}

std::vector<PaperValue> paper_of(const RunSummary& run, const ReportedMeasure& measure, const char* side) {
  return measure.paper == nullptr ? std::vector<PaperValue>()
                                  : paper_value(run.record, {"paper_value", side, measure.paper});
}

void add_group(const std::vector<RunSummary>& runs, const RunGroup& group, ReportTable& table) {
  const RunSummary& run = runs[group.runs.front()];
  const auto novels = run.summary.contains("novels") && run.summary["novels"].is_array()
                          ? static_cast<std::int64_t>(run.summary["novels"].size())
                          : 0;
  const auto tokens = static_cast<std::int64_t>(number_at(run.summary, "/all/tokens").value_or(0));
  for (const ReportedMeasure& measure : kReportedMeasures) {
    const auto of = [&](const char* side) {
      return
          [&, side](const RunSummary& r) { return number_at(r.summary, fmt::format("/all/{}/{}", side, measure.key)); };
    };
    std::vector<Cell> row{Cell::of(run.model()),
                          Cell::of(run.setting("translation.context")),
                          Cell::of(run.setting("translation.history")),
                          Cell::of(group.label),
                          Cell::of(measure.name),
                          Cell::of(std::to_string(novels)),
                          Cell::of(grouped(tokens))};
    const std::size_t first = row.size();
    row.push_back(formatted(mean_cell(runs, group.runs, of("base")), measure.format));
    row.back().paper = paper_of(run, measure, "base");
    row.push_back(formatted(mean_cell(runs, group.runs, of("lora")), measure.format));
    row.back().paper = paper_of(run, measure, "temp_lora");
    row.push_back(mean_cell(runs, group.runs, [&](const RunSummary& r) -> std::optional<double> {
      return change_percent(of("base")(r), of("lora")(r));
    }));
    row.back().paper = paper_of(run, measure, "change_percent");
    for (std::size_t c = first; c < row.size(); ++c) row[c].books = novels, row[c].tokens = tokens;
    for (std::size_t c = 0; c < 3; ++c)
      row.push_back(Cell::of(shown(row[first + c].paper, c < 2 ? "{:.2f}" : "{:+.1f}")));
    row.push_back(Cell::of(paper_versions(run.record)));
    table.rows.push_back(std::move(row));
  }
}

/// Of each run, whether the two systems differ by more than chance.
ReportTable tests_table(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups) {
  ReportTable table{
      "guofeng_tests",
      "Translation: is the difference more than chance?",
      "Difference is Temp-LoRA less the base. Its mean over novels counts every novel alike, with the 95 % interval "
      "over novels (bootstrap-t from 8 novels on, exact sign-flip at 6 and 7, none below). The two p are those of "
      "sacreBLEU 2.6's paired tests over sentence pairs: bootstrap resampling (1,000 draws) and approximate "
      "randomisation (10,000 trials). They take pairs to be independent, which those of one novel are not.",
      {},
      {Column::setting("run", "run"), Column::setting("model", "model"), Column::setting("other settings", "settings"),
       Column::setting("seed", "seed"), Column::setting("score", "score"), Column::remark("pairs"),
       Column::of("base", "paired_base", "{:.4g}"), Column::of("Temp-LoRA", "paired_lora", "{:.4g}"),
       Column::of("difference", "difference", "{:+.3g}"),
       Column::mean_over("novels", "mean difference over novels", "mean_difference_over_novels", "{:+.3g}"),
       Column::of("p, bootstrap", "bootstrap_p", "{:.4f}"),
       Column::of("p, randomisation", "randomization_p", "{:.4f}")},
      {}};
  for (const RunGroup& group : groups)
    for (const std::size_t i : group.runs)
      for (const TranslationTest& test : runs[i].tests) {
        const char* name = test.score == "bleu" ? "BLEU" : test.score == "chrf2" ? "chrF2" : "COMET";
        std::vector<Cell> row{Cell::of(std::to_string(i + 1)), Cell::of(runs[i].model()), Cell::of(group.label),
                              Cell::of(runs[i].setting("seed")), Cell::of(name), Cell::of(grouped(test.pairs))};
        const std::size_t first = row.size();
        for (const double value : {test.test.first, test.test.second, test.test.second - test.test.first,
                                   test.over_novels.mean, test.test.bootstrap_p, test.test.randomization_p})
          row.push_back(Cell::of(std::optional(value)));
        Cell& mean = row[first + 3];
        mean.low = test.over_novels.low;
        mean.high = test.over_novels.high;
        mean.method = test.over_novels.method;
        for (std::size_t c = first; c < row.size(); ++c) row[c].books = test.over_novels.books, row[c].runs = {i};
        table.rows.push_back(std::move(row));
      }
  return table;
}

/// One row a group, one column a number of summary.json.
struct SummaryColumn {
  const char* head;
  const char* name;
  const char* pointer;
  const char* format;
  bool exponentiate = false;  // a mean NLL that is shown as a perplexity
};

ReportTable summary_table(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups,
                          const std::string& id, const std::string& title, const std::string& note,
                          const std::vector<SummaryColumn>& numbers) {
  ReportTable table{id, title, note, {}, {Column::setting("model", "model"), Column::setting("settings", "settings")},
                    {}};
  for (const SummaryColumn& number : numbers)
    table.columns.push_back(Column::of(number.head, number.name, number.format));
  for (const RunGroup& group : groups) {
    const RunSummary& run = runs[group.runs.front()];
    std::vector<Cell> row{Cell::of(run.model()), Cell::of(group.label)};
    for (const SummaryColumn& number : numbers)
      row.push_back(mean_cell(runs, group.runs, [&](const RunSummary& r) -> std::optional<double> {
        const auto value = number_at(r.summary, number.pointer);
        return value && number.exponentiate ? perplexity_of(*value) : value;
      }));
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::vector<ReportTable> translation_tables(const std::vector<RunSummary>& runs) {
  const std::vector<RunGroup> groups = group_runs(runs, "translation");
  if (groups.empty()) return {};
  ReportTable table{
      "guofeng",
      "Translation: base and + Temp-LoRA",
      "PPL is that of the references, each behind the prompt that asks for it. BLEU and chrF2 are those of one corpus. "
      "Change is "
      "Temp-LoRA against the base. The paper's PPL is taken to be the mean over sentences, which is what the released "
      "code prints.",
      {},
      {Column::setting("model", "model"), Column::setting("context", "context"), Column::setting("history", "history"),
       Column::setting("other settings", "settings"), Column::setting("score", "score"), Column::remark("novels"),
       Column::remark("reference tokens"), Column::of("base", "base", "{:.4g}"),
       Column::of("Temp-LoRA", "lora", "{:.4g}"), Column::of("change %", "change_percent", "{:+.1f}"),
       Column::of_paper("paper base"), Column::of_paper("paper Temp-LoRA"), Column::of_paper("paper change %"),
       Column::of_paper("paper version")},
      {}};
  for (const RunGroup& group : groups) add_group(runs, group, table);
  leave_out_unknown_paper(table);
  std::vector<ReportTable> tables{table, tests_table(runs, groups)};
  if (tables.back().rows.empty()) tables.pop_back();  // one side alone
  return tables;
}

std::vector<ReportTable> other_tables(const std::vector<RunSummary>& runs) {
  std::vector<ReportTable> tables;
  if (const auto groups = group_runs(runs, "generation"); !groups.empty())
    tables.push_back(summary_table(
        runs, groups, "generation", "Generated texts",
        "Means over the text weighted with tokens. A text drifts where its last quarter differs from its first.",
        {{"tokens", "tokens", "/all/tokens", "{:.0f}"},
         {"base PPL", "base", "/all/base_nll", "{:.3f}", true},
         {"Temp-LoRA PPL", "lora", "/all/lora_nll", "{:.3f}", true},
         {"base PPL, last quarter", "base_last_quarter", "/last_quarter/base_nll", "{:.3f}", true},
         {"repeated 4-grams", "repeated_4grams", "/all/repeated_4grams", "{:.3f}"},
         {"repeated 4-grams, last quarter", "repeated_4grams_last_quarter", "/last_quarter/repeated_4grams",
          "{:.3f}"}}));
  if (const auto groups = group_runs(runs, "pretrain"); !groups.empty())
    tables.push_back(summary_table(runs, groups, "pretrain", "Pretraining",
                                   "Held-out texts, all of them, after the last step.",
                                   {{"steps", "steps", "/steps", "{:.0f}"},
                                    {"tokens", "tokens", "/tokens", "{:.0f}"},
                                    {"validation PPL", "validation_perplexity", "/validation/perplexity", "{:.3f}"},
                                    {"bits per byte", "bits_per_byte", "/validation/bits_per_byte", "{:.4f}"}}));
  return tables;
}

}  // namespace templora
