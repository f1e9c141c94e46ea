#include "report/run_result.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "core/log.h"
#include "metrics/interval.h"
#include "report/markdown.h"
#include "report/perplexity_table.h"

namespace templora {
namespace {

std::string segments(const std::vector<SegmentRow>& rows) {
  const std::map<Arm, Perplexity> controls = rows.empty() ? std::map<Arm, Perplexity>() : rows.back().controls;
  std::string out = "| segment | books | tokens | base PPL | Temp-LoRA PPL | change % |", line;
  for (const auto& [control, perplexity] : controls) {
    out += fmt::format(" {} change % |", arm_name(control));
    line += " ---: |";
  }
  out += "\n| --- | ---: | ---: | ---: | ---: | ---: |" + line + "\n";
  for (const SegmentRow& row : rows) {
    const auto ppl = [](const std::optional<Perplexity>& p) { return cell(p ? p->corpus : std::nullopt, "{:.3f}"); };
    out += fmt::format("| {} | {} | {} | {} | {} | {} |", row.label, book_count(row), grouped(row.tokens),
                       ppl(row.base), ppl(row.lora), cell(row.change_corpus_percent, "{:+.2f}"));
    for (const auto& [control, perplexity] : controls) {
      const auto found = row.controls.find(control);
      out += fmt::format(" {} |", cell(found == row.controls.end() ? std::nullopt
                                                                   : change_percent(row.base, found->second),
                                       "{:+.2f}"));
    }
    out += '\n';
  }
  return out;
}

std::string sentence(const SegmentRow& all) {
  if (!all.base || !all.lora || !all.base->corpus || !all.lora->corpus || !all.change_corpus_percent) return "";
  Cell mean;
  if (const auto found = all.over_books.find(Arm::lora); found != all.over_books.end()) {
    mean.value = found->second.mean;
    mean.low = found->second.low;
    mean.high = found->second.high;
  }
  return fmt::format("{} {}.\n", change_words(*all.change_corpus_percent, *all.base->corpus, *all.lora->corpus),
                     basis_words(all, mean));
}

std::string speed_words(double tokens_per_second) {
  return tokens_per_second >= 100 ? grouped(std::int64_t(tokens_per_second)) : fmt::format("{:.3g}", tokens_per_second);
}

}  // namespace

std::string change_words(double change_percent, double base, double lora) {
  return fmt::format("Temp-LoRA changes perplexity by {:+.2f} %, from {:.3f} to {:.3f},", change_percent, base, lora);
}

std::string basis_words(const SegmentRow& row, const Cell& mean) {
  const std::string tokens = fmt::format("over {} tokens of", grouped(row.tokens));
  if (row.books == 1) return tokens + " one book: no interval, and no word on other books";
  if (row.books < kFewestBooks)
    return fmt::format("{} {} books, too few for an interval (from {} on)", tokens, row.books, kFewestBooks);
  if (!mean.value) return fmt::format("{} {} books", tokens, row.books);
  const std::string interval =
      mean.low && mean.high ? fmt::format(" [{:+.2f}, {:+.2f}], 95 % over books", *mean.low, *mean.high) : "";
  return fmt::format("{} {} books; mean over books {:+.2f} %{}", tokens, row.books, *mean.value, interval);
}

std::string run_result(const PerplexityTable& table, const std::optional<RunCost>& cost,
                       const std::filesystem::path& folder) {
  std::string out = segments(printed_rows(table)) + "\n";
  if (!table.all.empty()) out += sentence(table.all.back());
  for (const std::string& note : table.notes) out += escaped(note, kLongText) + "\n";
  if (!table.no_gain_possible.empty())
    out += fmt::format("No longer than one window, so that little is out of the model's sight: {} of {} texts, {}\n",
                       table.no_gain_possible.size(), table.books.size(),
                       escaped(fmt::format("{}", fmt::join(table.no_gain_possible, ", ")), 400));
  if (cost && cost->tokens > 0 && cost->seconds > 0)
    out += fmt::format("{} tokens in {}, {} tokens a second; {:.3g} GB of memory at most.\n", grouped(cost->tokens),
                       duration_text(cost->seconds), speed_words(double(cost->tokens) / cost->seconds),
                       double(cost->measured.peak_device_bytes.value_or(cost->measured.peak_rss_bytes)) / 1e9);
  const std::string name = printable(folder.string(), 4000);
  return out + fmt::format("All measures are in {0}/table.md, times and FLOPs in cost.md, the curve in perplexity.svg; "
                           "templora report {0} makes pages and figures.\n",
                           name);
}

}  // namespace templora
