#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// A table of a report, independent of the format it will be written in.

namespace templora {

/// Settings by name, such as {"window.chunk_tokens", "256"}, in the order in which they are shown.
using Keys = std::vector<std::pair<std::string, std::string>>;

/// What a version of the paper says; no value where it is unknown.
struct PaperValue {
  std::string version;  ///< "v1"
  std::optional<double> value;
};

/// One cell: a text, or a number with all that stands behind it.
struct Cell {
  std::string text;                 ///< shown where there is no value; a dash if empty
  std::optional<double> value;
  std::string format;               ///< for this value, where it is not the column's
  std::optional<double> low, high;  ///< 95 % interval
  std::string method;               ///< of the interval: "bootstrap-t", "sign-flip", "none"
  std::optional<double> seed_sd;    ///< standard deviation over seeds, of which `value` is the mean; none of one seed
  std::int64_t seeds = 0;           ///< behind the number; 0: not told
  std::vector<PaperValue> paper;    ///< what the paper says of this very number
  std::int64_t books = 0;           ///< behind the number; 0: not told
  std::int64_t tokens = 0;
  std::vector<std::size_t> runs;    ///< indices into Report::runs

  static Cell of(std::string text) { Cell c; c.text = std::move(text); return c; }
  static Cell of(std::optional<double> value) { Cell c; c.value = value; return c; }
};

/// A column holds one measure, or a setting that belongs to the measures beside it, or a remark for readers only.
/// `keys` are settings that hold for all its cells.
struct Column {
  std::string head;
  std::string name;            ///< of the measure or the setting, in the tidy CSV; empty: a remark
  std::string format = "{}";   ///< of fmt's, for values
  bool key = false;            ///< a setting
  Keys keys;

  static Column setting(std::string head, std::string name) {
    return {std::move(head), std::move(name), "{}", true, {}};
  }
  static Column remark(std::string head, std::string format = "{}") {
    return {std::move(head), "", std::move(format), false, {}};
  }
  static Column of(std::string head, std::string measure, std::string format) {
    return {std::move(head), std::move(measure), std::move(format), false, {}};
  }
};

struct ReportTable {
  std::string id;     ///< "pg19", "sweep_1": a name for files and for the tidy CSV
  std::string title;
  std::string note;   ///< one paragraph under the table: what the numbers are
  Keys keys;          ///< settings that hold for the whole table
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
};

/// A cell as people read it: its text, or its value in its own or the column's format with "[low, high]" behind it, and
/// "± 0.012" where its seeds differ.
std::string shown(const Cell& cell, const Column& column);

/// A paper's values as people read them, "-3.6 (v1)", a dash where none is known.
std::string shown(const std::vector<PaperValue>& values, const char* format);

/// Indices of all runs behind a table, ascending, each once.
std::vector<std::size_t> runs_behind(const ReportTable& table);

}  // namespace templora
