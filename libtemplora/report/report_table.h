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
  std::string over = {};       ///< what its intervals are over: "books", "novels"
  bool paper = false;          ///< a remark that says what the paper has

  static Column setting(std::string head, std::string name) {
    return {std::move(head), std::move(name), "{}", true, {}, {}, false};
  }
  static Column remark(std::string head, std::string format = "{}") {
    return {std::move(head), "", std::move(format), false, {}, {}, false};
  }
  static Column of(std::string head, std::string measure, std::string format) {
    return {std::move(head), std::move(measure), std::move(format), false, {}, {}, false};
  }
  static Column mean_over(std::string what, std::string head, std::string measure, std::string format) {
    return {std::move(head), std::move(measure), std::move(format), false, {}, std::move(what), false};
  }
  static Column of_paper(std::string head) { return {std::move(head), "", "{}", false, {}, {}, true}; }
};

struct ReportTable {
  std::string id;     ///< "pg19", "sweep_1": a name for files and for the tidy CSV
  std::string title;
  std::string note;   ///< one paragraph under the table: what the numbers are
  Keys keys;          ///< settings that hold for the whole table
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
  bool aside = false;  ///< what few readers ask for first: a page folds it
};

/// A table as people read it: what is the same in all rows stands once above it.
struct Presented {
  Keys above;                        ///< heads and texts of settings and remarks that all rows share
  std::vector<std::size_t> columns;  ///< indices of those that are left, in order; at least one
};
Presented presented(const ReportTable& table);

/// What stands above a table: "model small-6m · W 512"; empty where nothing does.
std::string above_text(const Presented& shown);

/// A column's head, with what its intervals are of where it has any: "mean change % [95 % over books]".
std::string head_of(const ReportTable& table, std::size_t column);

/// Takes out the columns of what the paper says where that is unknown in all rows; one sentence of the note says which
/// they are, where the runs name the paper's versions.
void leave_out_unknown_paper(ReportTable& table);

/// A cell as people read it: its text, or its value in its own or the column's format with "[low, high]" behind it, and
/// "± 0.012" where its seeds differ.
std::string shown(const Cell& cell, const Column& column);

/// A paper's values as people read them, "-3.6 (v1)", a dash where none is known.
std::string shown(const std::vector<PaperValue>& values, const char* format);

/// Indices of all runs behind a table, ascending, each once.
std::vector<std::size_t> runs_behind(const ReportTable& table);

}  // namespace templora
