#include "report/perplexity_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/model_name.h"
#include "report/markdown.h"

namespace templora {
namespace {

std::string corpus(const std::optional<Perplexity>& p) { return cell(p ? p->corpus : std::nullopt, "{:.3f}"); }
std::string chunk_mean(const std::optional<Perplexity>& p) { return cell(p ? p->chunk_mean : std::nullopt, "{:.3f}"); }
std::string change(const std::optional<double>& percent) { return cell(percent, "{:+.2f}"); }

std::string perplexity_header(const Json& config) {
  const auto of = [&](const char* section, const char* name) { return escaped(setting(config, section, name)); };
  const auto fidelity = config.is_object() ? config.find("fidelity") : config.end();
  return fmt::format(
      "Model {} · Δ {} · L_X {} · L_T {} · rank {} · learning rate {} · epochs {} · fidelity {}\n\n",
      escaped(model_name(setting(config, "model", "path"))), of("window", "chunk_tokens"),
      of("window", "context_tokens"), of("train", "prefix_tokens"), rank_text(config),
      of("train", "learning_rate"), of("train", "epochs"),
      fidelity != config.end() && fidelity->is_string() ? escaped(fidelity->get<std::string>()) : kDash);
}

void append_all(const std::vector<SegmentRow>& rows, std::string& out) {
  const std::string first = rows.empty() ? "" : rows.front().label;
  out += fmt::format(
      "| segment | books | tokens | base PPL | Temp-LoRA PPL | change % | base PPL (chunk mean) | "
      "Temp-LoRA PPL (chunk mean) | change % (chunk mean) | {} change % of the same books |\n"
      "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
      first);
  for (const SegmentRow& row : rows)
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", row.label, book_count(row),
                       grouped(row.tokens), corpus(row.base), corpus(row.lora), change(row.change_corpus_percent),
                       chunk_mean(row.base), chunk_mean(row.lora), change(row.change_chunk_mean_percent),
                       change(row.first_segment_change_percent));
}

/// Scorers besides the base that some row has, in their fixed order.
std::vector<Arm> learners_of(const std::vector<SegmentRow>& rows) {
  std::vector<Arm> found;
  for (const Arm arm : kArms)
    for (const SegmentRow& row : rows)
      if (row.over_books.contains(arm)) {
        found.push_back(arm);
        break;
      }
  return found;
}

const char* title(Arm arm) { return arm == Arm::lora ? "Temp-LoRA" : arm_name(arm); }

template <class Mean>
std::string interval(const Mean& mean) {
  const std::string ends = mean.low ? fmt::format(" [{:+.2f}, {:+.2f}]", *mean.low, *mean.high) : "";
  return fmt::format("{:+.2f}{}", mean.mean, ends);
}

/// Every measure of the whole texts, a line for each arm.
void append_measures(const SegmentRow& all, std::string& out) {
  out +=
      "\n## Measures of the whole texts\n\n| scorer | corpus PPL | chunk mean | mean over books | word-level PPL | "
      "bits per byte |\n"
      "| --- | ---: | ---: | ---: | ---: | ---: |\n";
  const auto line = [&](const char* name, const Perplexity& p) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} |\n", name, cell(p.corpus, "{:.3f}"),
                       cell(p.chunk_mean, "{:.3f}"), cell(p.book_mean, "{:.3f}"),
                       cell(p.word_level, "{:.3f}"), cell(p.bits_per_byte, "{:.4f}"));
  };
  if (all.base) line("base", *all.base);
  if (all.lora) line(title(Arm::lora), *all.lora);
  for (const auto& [control, perplexity] : all.controls) line(title(control), perplexity);
}

/// What else scored the same tokens, each against the base.
void append_controls(const std::vector<SegmentRow>& rows, std::string& out) {
  std::string head = "| segment | base PPL | Temp-LoRA change % |", line = "| --- | ---: | ---: |", body;
  for (const Arm control : kFurtherArms)
    if (!rows.empty() && rows.back().controls.contains(control)) {
      head += fmt::format(" {0} PPL | {0} change % |", arm_name(control));
      line += " ---: | ---: |";
    }
  for (const SegmentRow& row : rows) {
    body += fmt::format("| {} | {} | {} |", row.label, corpus(row.base), change(row.change_corpus_percent));
    for (const Arm control : kFurtherArms) {
      if (!rows.back().controls.contains(control)) continue;
      const auto found = row.controls.find(control);
      const auto perplexity = found == row.controls.end() ? std::nullopt : std::optional(found->second);
      body += fmt::format(" {} | {} |", corpus(perplexity), change(change_percent(row.base, perplexity)));
    }
    body += '\n';
  }
  const auto has = [&](auto&& kind) {
    return !rows.empty() && std::any_of(rows.back().controls.begin(), rows.back().controls.end(),
                                        [&](const auto& arm) { return kind(arm.first); });
  };
  out += "\n## Controls\n\n";
  if (has(is_control)) out += "Modules that learnt something else, scored on the same tokens.\n";
  if (has([](Arm arm) { return arm == Arm::base_bm25; }))
    out +=
        "The base with the earlier passage that BM25 finds in the place of its window's oldest tokens (base_bm25).\n";
  if (has([](Arm arm) { return arm == Arm::base_cache; }))
    out += "A cache of the base's hidden states, which learns nothing but its share, mixed into the base (base_cache) "
           "or into Temp-LoRA (lora_cache).\n";
  out += '\n' + head + '\n' + line + '\n' + body;
}

/// A line for each segment: its books, then each arm's mean over them.
void append_means(const std::vector<SegmentRow>& rows, const std::map<Arm, BookMean> SegmentRow::*means,
                  std::string& out) {
  const std::vector<Arm> learners = learners_of(rows);
  out += "| segment | books |";
  for (const Arm arm : learners) out += fmt::format(" {} |", title(arm));
  out += "\n| --- | ---: |";
  for (std::size_t i = 0; i < learners.size(); ++i) out += " ---: |";
  out += '\n';
  for (const SegmentRow& row : rows) {
    if ((row.*means).empty()) continue;
    out += fmt::format("| {} | {} |", row.label, book_count(row));
    for (const Arm arm : learners)
      out += fmt::format(" {} |", (row.*means).contains(arm) ? interval((row.*means).at(arm)) : kDash);
    out += '\n';
  }
}

/// The change of each arm as a mean over books, and whether it grows with the position.
void append_over_books(const std::vector<SegmentRow>& rows, std::string& out) {
  out +=
      "\n## Mean over books\n\nChange of PPL against the base in percent, every book counting alike, with the 95 % "
      "interval over "
      "books where there are enough (bootstrap-t from 8, sign-flip test at 6 and 7).\n\n";
  append_means(rows, &SegmentRow::over_books, out);
  const bool grows =
      std::any_of(rows.begin(), rows.end(), [](const SegmentRow& row) { return !row.against_first_segment.empty(); });
  if (!grows) return;
  out += fmt::format(
      "\nThe same against segment {} of the same books: negative where the gain grows with the position.\n\n",
      rows.front().label);
  append_means(rows, &SegmentRow::against_first_segment, out);
}

/// Intervals of single books, which speak for no other book.
void append_within_books(const PerplexityTable& table, std::string& out) {
  std::string body;
  for (const auto& [name, rows] : table.books)
    for (const SegmentRow& row : rows) {
      const auto found = row.within_book.find(Arm::lora);
      if (found == row.within_book.end() || !found->second.low || (rows.size() == 2 && row.label != "all")) continue;
      body += fmt::format("| {} | {} | {} | {} | {} |\n", escaped(name), row.label, found->second.chunks,
                          found->second.block_chunks, interval(found->second));
    }
  if (body.empty()) return;
  out +=
      "\n## Within each book\n\nChange of PPL in percent with a 95 % interval from moving blocks of neighbouring "
      "chunks. It says how "
      "sure the change is in this book, and nothing about other books.\n\n"
      "| book | segment | chunks | chunks a block | Temp-LoRA change % |\n| --- | --- | ---: | ---: | ---: |\n" +
      body;
}

/// One table for all books: a line for each segment that a book reaches, then its whole.
void append_books(const PerplexityTable& table, std::string& out) {
  out +=
      "| book | segment | tokens | base PPL | Temp-LoRA PPL | change % | change % (chunk mean) |";
  const auto controls = table.all.empty() ? std::map<Arm, Perplexity>() : table.all.back().controls;
  for (const auto& [control, perplexity] : controls) out += fmt::format(" {} change % |", arm_name(control));
  out += "\n| --- | --- | ---: | ---: | ---: | ---: | ---: |";
  for (std::size_t i = 0; i < controls.size(); ++i) out += " ---: |";
  out += '\n';
  for (const auto& [name, rows] : table.books)
    for (const SegmentRow& row : rows) {
      if (row.tokens == 0 && row.label != "all") continue;
      out += fmt::format("| {} | {} | {} | {} | {} | {} | {} |", escaped(name), row.label, grouped(row.tokens),
                         corpus(row.base), corpus(row.lora), change(row.change_corpus_percent),
                         change(row.change_chunk_mean_percent));
      for (const auto& [control, perplexity] : controls) {
        const auto found = row.controls.find(control);
        out += fmt::format(
            " {} |", change(found == row.controls.end() ? std::nullopt : change_percent(row.base, found->second)));
      }
      out += '\n';
    }
}

}  // namespace

std::string book_count(const SegmentRow& row) {
  return fmt::format("{}{}", row.books, row.books > 0 && row.books < kFewBooks ? " †" : "");
}

std::vector<SegmentRow> printed_rows(const PerplexityTable& table) {
  std::vector<SegmentRow> rows = table.all;
  if (table.version >= kVersionWithoutEmptySegments)
    std::erase_if(rows, [](const SegmentRow& row) { return row.tokens == 0 && row.label != "all"; });
  return rows;
}

std::string perplexity_markdown(const PerplexityTable& table, const Json& run_record) {
  const auto found = run_record.is_object() ? run_record.find("config") : run_record.end();
  const Json config = found == run_record.end() ? Json() : *found;
  std::string out = "# Perplexity with and without Temp-LoRA\n\n";
  out += perplexity_header(config);
  const std::vector<SegmentRow> rows = printed_rows(table);
  append_all(rows, out);
  if (table.official_base || table.official_lora)
    out += fmt::format("\nAs the released code prints it: base {}, Temp-LoRA {}.\n",
                       cell(table.official_base, "{:.3f}"), cell(table.official_lora, "{:.3f}"));
  const auto few = [](const SegmentRow& row) { return row.books > 0 && row.books < kFewBooks; };
  if (std::any_of(table.all.begin(), table.all.end(), few))
    out += fmt::format("\n† fewer than {} books: no basis for other books.\n", kFewBooks);
  if (!table.all.empty() && (table.all.back().base || table.all.back().lora)) append_measures(table.all.back(), out);
  for (const std::string& note : table.notes) out += fmt::format("\n{}\n", escaped(note, kLongText));
  if (!table.all.empty() && !table.all.back().controls.empty()) append_controls(rows, out);
  if (table.books.size() > 1 && !learners_of(table.all).empty()) append_over_books(rows, out);
  if (!table.books.empty()) {
    out += "\n## Each book\n\n";
    append_books(table, out);
  }
  append_within_books(table, out);
  if (!table.no_gain_possible.empty()) {
    out +=
        "\n## Texts of one window\n\nThese texts are no longer than one window, L_X + Δ tokens: where windows are "
        "computed "
        "anew, less than a chunk of what the module learnt is ever out of the model's sight. They say little of what a "
        "module "
        "remembers, and are part of the table.\n\n";
    for (const std::string& book : table.no_gain_possible) out += fmt::format("- {}\n", escaped(book));
  }
  out +=
      "\n## What the numbers are\n\n"
      "PPL is exp(ΣNLL / Σtokens) over the scored tokens of a segment; a token belongs to the segment in which its "
      "position in the book lies. The chunk mean is Σ(exp(mean NLL of a chunk) · tokens) / Σ tokens, never smaller; "
      "a chunk across an edge counts on both sides with its tokens there. Change is Temp-LoRA against the base on the "
      "same tokens, negative where Temp-LoRA is better. The last column is the first segment's change of only those "
      "books that reach the row's segment: it tells a growing gain from a change of books. Word-level PPL is exp(ΣNLL "
      "/ words), "
      "bits per byte is ΣNLL / ln 2 / bytes, both of the whole texts";
  if (table.version >= kVersionOfUnscoredTokens) out += ", where tokens that were not scored count as the others' mean";
  out += ". Every token was scored before anything was trained on it.\n";
  return out;
}

}  // namespace templora
