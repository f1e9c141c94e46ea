#include "report/recall_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "report/markdown.h"
#include "report/report.h"

namespace templora {
namespace {

/// In the order of columns, with their heads.
const std::pair<const char*, const char*> kArmHeads[] = {{"base", "base"},
                                                         {"lora", "Temp-LoRA"},
                                                         {"other_book", "other_book"},
                                                         {"mixed_books", "mixed_books"},
                                                         {"shuffled_words", "shuffled_words"},
                                                         {kInWindow, "in window"},
                                                         {kBm25, "BM25"}};

constexpr const char* kNotMeasurable = "not measurable with this model";

std::string times_text(const RecallRow& row) { return row.times ? fmt::format("{} ×", *row.times) : "all"; }

std::string distance_text(const RecallRow& row) {
  return row.rung == "locality" ? std::string(kDash) : grouped(row.distance_tokens);
}

bool is_nll(const RecallRow& row) { return row.rung == "repeat" || row.rung == "locality"; }

/// "7/24", or mean nats where there is nothing right or wrong.
std::string score_text(const RecallRow& row, const std::string& arm) {
  const auto found = row.arms.find(arm);
  if (found == row.arms.end()) return kDash;
  const RecallScore& score = found->second;
  if (is_nll(row)) return fmt::format("{:.2f}", score.mean_nll);
  std::string text = fmt::format("{}/{}", score.correct, score.asked);
  if (score.upper) text += fmt::format(" (< {:.0f} %)", 100 * *score.upper);
  return text;
}

/// What Temp-LoRA's part between floor and ceiling is; or why there is none.
std::string recalled_text(const RecallTable& table, const RecallRow& row) {
  const RecallGate* gate = table.gate(row.rung);
  if (gate != nullptr && !gate->passed()) return kNotMeasurable;
  return row.recalled ? fmt::format("{:.0f} %", 100 * *row.recalled) : kDash;
}

std::string p_text(const std::optional<double>& p) {
  if (!p) return kDash;
  return *p < 0.0001 ? "< 0.0001" : fmt::format("{:.4f}", *p);
}

const RecallScore* lora_of(const RecallRow& row) {
  const auto found = row.arms.find("lora");
  return found == row.arms.end() ? nullptr : &found->second;
}

/// Temp-LoRA less the base: of choices the number that is then right, of nats the mean difference.
std::string less_base_text(const RecallRow& row) {
  const RecallScore* lora = lora_of(row);
  if (lora == nullptr) return kDash;
  if (lora->correct_less_base)
    return fmt::format("{}/{} (p {})", *lora->correct_less_base, lora->asked, p_text(lora->p_less_base));
  if (!lora->less_base) return kDash;
  const BookMean& mean = *lora->less_base;
  return mean.low ? fmt::format("{:+.2f} [{:+.2f}, {:+.2f}]", mean.mean, *mean.low, *mean.high)
                  : fmt::format("{:+.2f}", mean.mean);
}

std::vector<std::string> arms_of(const RecallTable& table) {
  std::set<std::string> there;
  for (const RecallRow& row : table.rows)
    for (const auto& [arm, score] : row.arms) there.insert(arm);
  std::vector<std::string> arms;
  for (const auto& [arm, head] : kArmHeads)
    if (there.contains(arm)) arms.emplace_back(arm);
  return arms;
}

const char* head_of(const std::string& arm) {
  for (const auto& [name, head] : kArmHeads)
    if (arm == name) return head;
  return "";
}

std::string gate_text(const RecallGate& gate) {
  return fmt::format("{}: {}/{} by the base with the fact in its window, {:.0f} % wanted: {}", gate.rung, gate.correct,
                     gate.asked, 100 * gate.wanted, gate.passed() ? "measurable" : kNotMeasurable);
}

/// What the numbers are, for below a table.
std::string note_of(const RecallTable& table) {
  std::string note = fmt::format(
      "Right answers of all asked, by distance in tokens from where the fact's last sentence left the last L_X tokens; "
      "\"repeat\" and \"locality\" are nats a sentence. (< x %) is the 95 % upper bound of a share of which nothing "
      "was right. Recalled: (Temp-LoRA − floor) / (in window − floor), the floor being {}. p: Temp-LoRA's right "
      "answers by chance, over all ways to deal the answers out within each book. Less base: answers' NLL taken as far "
      "as it lies below the base's. ",
      table.floor == "base" ? "the base" : "other_book, the adapter of another text");
  for (const RecallGate& gate : table.gates) note += gate_text(gate) + ". ";
  note.pop_back();
  return note;
}

std::vector<std::string> cells_of(const RecallTable& table, const RecallRow& row,
                                  const std::vector<std::string>& arms) {
  const RecallScore* lora = lora_of(row);
  std::vector<std::string> cells{row.rung, distance_text(row), times_text(row),
                                 row.chance ? fmt::format("{:.1f} %", 100 * *row.chance) : std::string(kDash)};
  for (const std::string& arm : arms) cells.push_back(score_text(row, arm));
  cells.push_back(recalled_text(table, row));
  cells.push_back(lora == nullptr ? kDash : p_text(lora->p));
  cells.push_back(less_base_text(row));
  return cells;
}

std::vector<std::string> heads_of(const std::vector<std::string>& arms) {
  std::vector<std::string> heads{"rung", "distance", "said", "chance"};
  for (const std::string& arm : arms) heads.emplace_back(head_of(arm));
  heads.insert(heads.end(), {"recalled", "p", "less base"});
  return heads;
}

ReportTable report_table(const RecallTable& table, const std::string& id, const std::string& title, std::size_t run) {
  const std::vector<std::string> arms = arms_of(table);
  ReportTable out{id, title, note_of(table), {}, {}, {}};
  for (const std::string& head : heads_of(arms)) out.columns.push_back(Column::remark(head));
  for (const RecallRow& row : table.rows) {
    std::vector<Cell> cells;
    for (const std::string& text : cells_of(table, row, arms)) {
      cells.push_back(Cell::of(text));
      cells.back().runs = {run};
    }
    out.rows.push_back(std::move(cells));
  }
  return out;
}

/// Runs whose books may be taken together: all but seed and texts are alike.
std::string settings_of(const RunSummary& run) {
  std::string all;
  for (const auto& [key, value] : run.settings)
    if (key != "seed" && key != "texts" && key != "control texts" && key != "data.books" && key != "data.control_books")
      all += key + "=" + value + "\n";
  return all;
}

}  // namespace

std::string recall_markdown(const RecallTable& table, const Json& run_record) {
  std::string out = "# What was recalled\n\n";
  const Json config = run_record.contains("config") ? run_record.at("config") : Json();
  out += fmt::format("Δ {} · L_X {} · L_T {} · learning rate {} · {} facts in {} {}, half said {} times\n\n",
                     setting(config, "window", "chunk_tokens"), setting(config, "window", "context_tokens"),
                     setting(config, "train", "prefix_tokens"), setting(config, "train", "learning_rate"), table.facts,
                     table.books, table.books == 1 ? "book" : "books", setting(config, "recall", "repeats"));
  const std::vector<std::string> arms = arms_of(table), heads = heads_of(arms);
  std::string rule = "|";
  out += "|";
  for (std::size_t i = 0; i < heads.size(); ++i) {
    out += " " + as_written(heads[i]) + " |";
    rule += i == 0 ? " --- |" : " ---: |";
  }
  out += "\n" + rule + "\n";
  for (const RecallRow& row : table.rows) {
    out += "|";
    for (const std::string& text : cells_of(table, row, arms)) out += " " + as_written(text) + " |";
    out += "\n";
  }
  return out + "\n" + as_written(note_of(table), kLongText) + "\n";
}

std::vector<ReportTable> recall_tables(const std::vector<RunSummary>& runs) {
  std::vector<ReportTable> tables;
  std::map<std::string, std::vector<std::size_t>> alike;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!runs[i].counted || !fs::exists(runs[i].folder / "facts.jsonl")) continue;
    const RecallData data = read_recall(runs[i].folder);
    if (data.probes.empty()) continue;
    tables.push_back(report_table(recall_table({data}), fmt::format("recall_{}", i + 1),
                                  fmt::format("Recall: {}", runs[i].name), i));
    alike[settings_of(runs[i])].push_back(i);
  }
  for (const auto& [settings, group] : alike) {
    if (group.size() < 2) continue;
    std::vector<RecallData> data;
    std::string id = "recall";
    for (const std::size_t i : group) {
      data.push_back(read_recall(runs[i].folder));
      id += fmt::format("_{}", i + 1);
    }
    ReportTable table = report_table(recall_table(data), id, fmt::format("Recall: {} runs together", group.size()),
                                     group.front());
    for (auto& row : table.rows)
      for (Cell& cell : row) cell.runs = group;
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace templora
