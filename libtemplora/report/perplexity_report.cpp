// The paper's PG-19 table: model × Δ × cache reuse × segment.

#include <fmt/format.h>

#include <algorithm>

#include "report/markdown.h"
#include "report/paper_value.h"
#include "report/report.h"
#include "report/run_groups.h"

namespace templora {
namespace {

/// Which of the two definitions of perplexity a table shows.
struct Definition {
  const char* id;
  const char* title;
  const char* prefix;  // of the measures' names
  std::optional<double> Perplexity::*value;
  std::optional<double> SegmentRow::*change;
};

const Definition kDefinitions[] = {{"pg19", "Perplexity by segment: base and + Temp-LoRA", "", &Perplexity::corpus,
                                    &SegmentRow::change_corpus_percent},
                                   {"pg19_chunk_mean", "The same, averaged as the released code does", "chunk_mean_",
                                    &Perplexity::chunk_mean, &SegmentRow::change_chunk_mean_percent}};

constexpr const char* kCorpusNote =
    "PPL is exp(ΣNLL / Σtokens) over the scored tokens of a segment; a token belongs to the segment in which its "
    "position lies. Change is "
    "Temp-LoRA against the base on the same tokens, negative where Temp-LoRA is better. The mean change counts every "
    "book alike; its 95 % "
    "interval is over books: bootstrap-t from 8 books on, exact sign-flip at 6 and 7, none below; with several seeds a "
    "book's change is its "
    "mean over them. Growth is the difference from the first segment's change, of the books that are in both. † fewer "
    "than 3 books say "
    "nothing about others. The paper's change is over all models where it gives none for this one.";

constexpr const char* kChunkMeanNote =
    "Σ(exp(mean NLL of a chunk) · tokens) / Σtokens, which is what the released code prints and never smaller than the "
    "PPL of the tokens. "
    "Rows \"released\" use its weights too (fidelity official).";

std::string cache_name(const RunSummary& run) {
  const std::string policy = run.setting("cache.policy");
  if (policy.empty() || policy == "rebuild") return "no";
  return policy == "refill" ? fmt::format("yes, R {}", run.setting("cache.refill_tokens")) : policy;
}

/// What a group's label says beyond the columns of the table.
std::string other_settings(const std::vector<RunSummary>& runs, const RunGroup& group,
                           const std::vector<std::string>& differing) {
  std::string out;
  const RunSummary& run = runs[group.runs.front()];
  for (const std::string& key : differing) {
    if (key == "model.path" || key == "window.chunk_tokens" || key.starts_with("cache.")) continue;
    if (key == "window.context_tokens" && cache_name(run) == "no") continue;  // W says it
    out += (out.empty() ? "" : ", ") + setting_text(run, key);
  }
  return out;
}

const SegmentRow& row_of(const RunSummary& run, std::size_t row) { return run.table->all[row]; }

/// A number of a segment's row.
template <class Get>
NumberOf of_row(std::size_t row, Get get) {
  return [row, get](const RunSummary& run) { return get(row_of(run, row)); };
}

class Builder {
 public:
  Builder(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups, const Definition& definition)
      : runs_(runs), groups_(groups), definition_(definition) {
    std::vector<std::size_t> all;
    for (const RunGroup& group : groups) all.insert(all.end(), group.runs.begin(), group.runs.end());
    differing_ = naming_keys(runs, all);
    for (const RunGroup& group : groups) {
      settings_ |= !other_settings(runs, group, differing_).empty();
      for (const auto& [control, perplexity] : runs[group.runs.front()].table->all.back().controls)
        if (std::find(controls_.begin(), controls_.end(), control) == controls_.end()) controls_.push_back(control);
    }
  }

  ReportTable table() {
    const std::string prefix = definition_.prefix;
    corpus_ = prefix.empty();
    table_.id = definition_.id;
    table_.title = definition_.title;
    table_.note = corpus_ ? kCorpusNote : kChunkMeanNote;
    table_.columns = {Column::setting("model", "model"), Column::setting("Δ", "chunk_tokens"),
                      Column::setting("W", "window_tokens"), Column::setting("cache reuse", "cache_reuse")};
    if (settings_) table_.columns.push_back(Column::setting("other settings", "settings"));
    for (const Column& column :
         {Column::setting("segment", "segment"), Column::remark("books"), Column::remark("tokens"),
          Column::of("base PPL", prefix + "base", "{:.3f}"), Column::of("Temp-LoRA PPL", prefix + "lora", "{:.3f}"),
          Column::of("change %", prefix + "change_percent", "{:+.2f}")})
      table_.columns.push_back(column);
    if (corpus_) {
      table_.columns.push_back(
          Column::mean_over("books", "mean change over books %", "mean_change_percent", "{:+.2f}"));
      table_.columns.push_back(
          Column::mean_over("books", "growth since the first segment %", "growth_percent", "{:+.2f}"));
      table_.columns.push_back(
          Column::of("first segment's change %, same books", "first_segment_change_percent", "{:+.2f}"));
      for (const Arm control : controls_)
        table_.columns.push_back(Column::of(fmt::format("{} change %", arm_name(control)),
                                            fmt::format("{}_change_percent", arm_name(control)), "{:+.2f}"));
    }
    for (const char* head : {"paper base PPL", "paper Temp-LoRA PPL", "paper change %", "paper version"})
      table_.columns.push_back(Column::of_paper(head));
    for (const RunGroup& group : groups_) add_group(group);
    leave_out_unknown_paper(table_);
    table_.aside = !corpus_;
    return std::move(table_);
  }

 private:
  std::vector<Cell> head_of(const RunGroup& group, const std::string& segment) const {
    const RunSummary& run = runs_[group.runs.front()];
    std::vector<Cell> row{Cell::of(run.model()), Cell::of(run.setting("window.chunk_tokens")),
                          Cell::of(window_tokens(run)), Cell::of(cache_name(run))};
    if (settings_) row.push_back(Cell::of(other_settings(runs_, group, differing_)));
    row.push_back(Cell::of(segment));
    return row;
  }

  void add_paper(const RunSummary& run, const std::string& segment, std::vector<Cell>& row) const {
    const std::string name = segment == "all" ? "mean" : segment;
    row.push_back(Cell::of(shown(paper_value(run.record, {"paper_value", name, "base"}), "{:.2f}")));
    row.push_back(Cell::of(shown(paper_value(run.record, {"paper_value", name, "temp_lora"}), "{:.2f}")));
    row.push_back(Cell::of(shown(paper_change(run.record, segment), "{:+.1f}")));
    row.push_back(Cell::of(paper_versions(run.record)));
  }

  void add_group(const RunGroup& group) {
    const RunSummary& run = runs_[group.runs.front()];
    for (std::size_t s = 0; s < run.table->all.size(); ++s) {
      const SegmentRow& first = row_of(run, s);
      if (first.tokens == 0 && first.label != "all") continue;
      std::vector<Cell> row = head_of(group, first.label);
      row.push_back(Cell::of(fmt::format("{}{}", first.books, first.books < kFewBooks ? "†" : "")));
      row.push_back(Cell::of(grouped(first.tokens)));
      const std::size_t measured = row.size();
      const std::string paper_name = first.label == "all" ? "mean" : first.label;
      const auto ppl = [this](const std::optional<Perplexity>& p) {
        return p ? (*p).*definition_.value : std::nullopt;
      };
      row.push_back(mean_cell(runs_, group.runs, of_row(s, [&](const SegmentRow& r) { return ppl(r.base); })));
      row.back().paper = paper_value(run.record, {"paper_value", paper_name, "base"});
      row.push_back(mean_cell(runs_, group.runs, of_row(s, [&](const SegmentRow& r) { return ppl(r.lora); })));
      row.back().paper = paper_value(run.record, {"paper_value", paper_name, "temp_lora"});
      row.push_back(
          mean_cell(runs_, group.runs, of_row(s, [&](const SegmentRow& r) { return r.*definition_.change; })));
      row.back().paper = paper_change(run.record, first.label);
      if (corpus_) add_corpus_cells(group, s, row);
      for (std::size_t c = measured; c < row.size(); ++c) row[c].books = first.books, row[c].tokens = first.tokens;
      add_paper(run, first.label, row);
      table_.rows.push_back(std::move(row));
    }
    if (!corpus_ && run.table->official_base) add_released(group);
  }

  void add_corpus_cells(const RunGroup& group, std::size_t s, std::vector<Cell>& row) const {
    row.push_back(book_cell(runs_, group.runs, s, Arm::lora));
    row.push_back(book_cell(runs_, group.runs, s, Arm::lora, true));
    row.push_back(
        mean_cell(runs_, group.runs, of_row(s, [](const SegmentRow& r) { return r.first_segment_change_percent; })));
    for (const Arm control : controls_)
      row.push_back(mean_cell(runs_, group.runs, of_row(s, [control](const SegmentRow& r) {
        const auto found = r.controls.find(control);
        return found == r.controls.end() ? std::nullopt : change_percent(r.base, found->second);
      })));
  }

  /// One row of what the released code would print.
  void add_released(const RunGroup& group) {
    const RunSummary& run = runs_[group.runs.front()];
    std::vector<Cell> row = head_of(group, "released");
    row.push_back(Cell::of(std::to_string(run.table->all.back().books)));
    row.push_back(Cell::of(grouped(run.table->all.back().tokens)));
    row.push_back(mean_cell(runs_, group.runs, [](const RunSummary& r) { return r.table->official_base; }));
    row.push_back(mean_cell(runs_, group.runs, [](const RunSummary& r) { return r.table->official_lora; }));
    row.push_back(mean_cell(runs_, group.runs, [](const RunSummary& r) -> std::optional<double> {
      return change_percent(r.table->official_base, r.table->official_lora);
    }));
    add_paper(run, "all", row);
    table_.rows.push_back(std::move(row));
  }

  const std::vector<RunSummary>& runs_;
  const std::vector<RunGroup>& groups_;
  const Definition& definition_;
  std::vector<std::string> differing_;
  std::vector<Arm> controls_;
  bool settings_ = false, corpus_ = true;
  ReportTable table_;
};

/// Whole books on scales that do not depend on the tokenizer.
ReportTable scales_table(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups) {
  ReportTable table{
      "pg19_scales",
      "Whole books on other scales",
      "The mean over books counts every book's PPL alike. PPL per word is exp(ΣNLL / Σwords), as PG-19 is "
      "reported; it and bits per byte do not "
      "depend on the tokenizer, and are known only where books were read to their end. Tokens that were not "
      "scored count as the "
      "others' mean. – also where texts have no spaces between words, or no number is large enough.",
      {},
      {Column::setting("model", "model"), Column::setting("settings", "settings"), Column::remark("books")},
      {}};
  struct Scale {
    const char* head;
    const char* name;
    const char* format;
    std::optional<double> (*of)(const Perplexity&);
  };
  const Scale scales[] = {
      {"mean over books", "book_mean", "{:.3f}", [](const Perplexity& p) { return p.book_mean; }},
      {"PPL per word", "word_level", "{:.2f}", [](const Perplexity& p) { return p.word_level; }},
      {"bits per byte", "bits_per_byte", "{:.4f}", [](const Perplexity& p) { return p.bits_per_byte; }}};
  const std::pair<const char*, std::optional<Perplexity> SegmentRow::*> sides[] = {{"base", &SegmentRow::base},
                                                                                   {"lora", &SegmentRow::lora}};
  for (const Scale& scale : scales)
    for (const auto& [side, member] : sides)
      table.columns.push_back(
          Column::of(fmt::format("{}, {}", scale.head, side == sides[0].first ? "base" : "Temp-LoRA"),
                     fmt::format("{}_{}", side, scale.name), scale.format));
  table.aside = true;
  for (const RunGroup& group : groups) {
    const SegmentRow& all = runs[group.runs.front()].table->all.back();
    std::vector<Cell> row{Cell::of(runs[group.runs.front()].model()), Cell::of(group.label),
                          Cell::of(std::to_string(all.books))};
    for (const Scale& scale : scales)
      for (const auto& side : sides) {
        row.push_back(mean_cell(runs, group.runs, [&](const RunSummary& run) {
          const std::optional<Perplexity>& p = run.table->all.back().*(side.second);
          return p ? scale.of(*p) : std::nullopt;
        }));
        row.back().books = all.books;
        row.back().tokens = all.tokens;
      }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::vector<ReportTable> perplexity_tables(const std::vector<RunSummary>& runs) {
  std::vector<RunGroup> groups = group_runs(runs, "perplexity");
  std::erase_if(groups, [&](const RunGroup& group) {
    return std::any_of(group.runs.begin(), group.runs.end(), [&](std::size_t i) { return !runs[i].table; });
  });
  std::vector<ReportTable> tables;
  if (groups.empty()) return tables;
  for (const Definition& definition : kDefinitions) tables.push_back(Builder(runs, groups, definition).table());
  tables.push_back(scales_table(runs, groups));
  return tables;
}

}  // namespace templora
