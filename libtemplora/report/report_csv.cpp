#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "report/markdown.h"
#include "report/report_formats.h"
#include "run/json_lines.h"
#include "run/record.h"

namespace templora {
namespace {

std::string number(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? fmt::format("{}", *value) : "";
}

/// Names of all settings that the tables know, in the order in which they are met.
std::vector<std::string> setting_names(const std::vector<ReportTable>& tables) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const ReportTable& table : tables) {
    if (names_runs(table)) continue;
    for (const auto& [key, value] : table.keys) add(key);
    for (const Column& column : table.columns) {
      if (column.key) add(column.name);
      for (const auto& [key, value] : column.keys) add(key);
    }
  }
  return names;
}

/// The settings of one cell.
std::map<std::string, std::string> settings_of(const ReportTable& table, const std::vector<Cell>& row,
                                               const Column& column) {
  std::map<std::string, std::string> settings(table.keys.begin(), table.keys.end());
  for (std::size_t c = 0; c < row.size(); ++c)
    if (table.columns[c].key) settings[table.columns[c].name] = row[c].text;
  for (const auto& [key, value] : column.keys) settings[key] = value;
  return settings;
}

/// The newest version with a value; versions sort by name.
PaperValue newest(const std::vector<PaperValue>& values) {
  PaperValue best;
  for (const PaperValue& paper : values)
    if (paper.value && (!best.value || paper.version >= best.version)) best = paper;
  if (best.value || values.empty()) return best;
  return {values.back().version, std::nullopt};
}

std::string all_versions(const std::vector<PaperValue>& values) {
  std::string out;
  for (const PaperValue& paper : values)
    out += fmt::format("{}{}={}", out.empty() ? "" : ";", paper.version, number(paper.value));
  return out;
}

std::string json_field(const Json& record, const char* name) {
  const auto found = record.find(name);
  if (found == record.end() || found->is_null()) return "";
  return found->is_string() ? csv_field(found->get<std::string>()) : found->is_primitive() ? found->dump() : "";
}

/// Mean of an array of numbers; empty for none.
std::string mean_field(const Json& record, const char* name) {
  const auto found = record.find(name);
  if (found == record.end() || !found->is_array() || found->empty()) return "";
  double sum = 0;
  for (const Json& value : *found) sum += value.get<double>();
  return fmt::format("{}", sum / static_cast<double>(found->size()));
}

/// Of a chunk's record, in the order of columns: those of the first version, then what other arms there are.
std::vector<std::string> plain_fields() {
  std::vector<std::string> fields{"book",           "book_index",      "chunk",           "first_token",
                                  "tokens",         "scored_tokens",   "context_tokens",  "base_nll",
                                  "lora_nll",       "other_book_nll",  "mixed_books_nll", "adapter_version",
                                  "learning_rate"};
  for (const Arm arm : kArms)
    if (const std::string name = std::string(arm_name(arm)) + "_nll";
        std::find(fields.begin(), fields.end(), name) == fields.end())
      fields.push_back(name);
  return fields;
}

}  // namespace

std::string csv_field(const std::string& raw) {
  std::string text = printable(raw, kLongText);
  char* end = nullptr;
  const bool formula = !text.empty() && std::string_view("=+-@").find(text[0]) != std::string_view::npos;
  if (formula && (std::strtod(text.c_str(), &end), *end != '\0')) text.insert(text.begin(), '\'');
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

std::string cells_csv(const Report& report) {
  const std::vector<std::string> names = setting_names(report.tables);
  std::string out = "table";
  for (const std::string& name : names) out += "," + csv_field(name);
  out +=
      ",measure,value,low,high,method,over,seed_sd,seeds,books,tokens,paper_value,paper_version,paper_all,runs,config_"
      "hashes\n";
  for (const ReportTable& table : report.tables) {
    if (names_runs(table)) continue;
    for (const auto& row : table.rows)
      for (std::size_t c = 0; c < row.size(); ++c) {
        const Column& column = table.columns[c];
        const Cell& cell = row[c];
        if (column.key || column.name.empty()) continue;
        const auto settings = settings_of(table, row, column);
        out += table.id;
        for (const std::string& name : names) {
          const auto found = settings.find(name);
          out += "," + (found == settings.end() ? "" : csv_field(found->second));
        }
        const PaperValue paper = newest(cell.paper);
        std::string runs, hashes;
        for (const std::size_t i : cell.runs) {
          runs += (runs.empty() ? "" : ";") + report.runs[i].name;
          hashes += (hashes.empty() ? "" : ";") + report.runs[i].config_hash();
        }
        out += fmt::format(
            ",{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", csv_field(column.name), number(cell.value),
            number(cell.low), number(cell.high), csv_field(cell.method), cell.low ? csv_field(column.over) : "",
            number(cell.seed_sd),
            cell.seeds > 0 ? std::to_string(cell.seeds) : "", cell.books > 0 ? std::to_string(cell.books) : "",
            cell.tokens > 0 ? std::to_string(cell.tokens) : "", number(paper.value), csv_field(paper.version),
            csv_field(all_versions(cell.paper)), csv_field(runs), csv_field(hashes));
      }
  }
  return out;
}

std::string chunks_csv(const std::vector<RunSummary>& runs) {
  std::set<std::string> phases;
  for (const RunSummary& run : runs)
    for (const auto& [phase, spent] : run.seconds) phases.insert(phase);
  const std::vector<std::string> plain = plain_fields();
  std::string out = "run,config_hash,experiment";
  for (const std::string& field : plain) out += "," + field;
  out += ",train_loss,grad_norm";
  for (const std::string& phase : phases) out += ",seconds_" + csv_field(phase);
  out += "\n";
  const auto add_seconds = [&](const Json& record) {
    const std::map<std::string, double> seconds = phase_seconds(record);
    for (const std::string& phase : phases) {
      const auto found = seconds.find(phase);
      out += "," + (found == seconds.end() ? "" : Json(found->second).dump());
    }
    out += "\n";
  };
  for (const RunSummary& run : runs) {
    if (!run.counted) continue;
    const std::string start =
        fmt::format("{},{},{}", csv_field(run.name), csv_field(run.config_hash()), csv_field(run.experiment()));
    for_each_record(run.folder / "chunks.jsonl", [&](const Json& record) {
      out += start;
      for (const std::string& field : plain) out += "," + json_field(record, field.c_str());
      out += "," + mean_field(record, "train_loss") + "," + mean_field(record, "grad_norm");
      add_seconds(record);
    });
    for_each_record(run.folder / "steps.jsonl", [&](const Json& record) {
      out += start;
      for (const std::string& field : plain)
        out += "," + (field == "chunk"                                ? json_field(record, "step")
                      : field == "tokens" || field == "learning_rate" ? json_field(record, field.c_str())
                                                                      : "");
      out += "," + json_field(record, "loss") + "," + json_field(record, "grad_norm");
      add_seconds(record);
    });
  }
  return out;
}

}  // namespace templora
