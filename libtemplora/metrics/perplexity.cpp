#include "metrics/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace templora {
namespace {

/// ΣNLL, Σ(exp(mean NLL) · tokens) and tokens of one set, for one arm.
struct Sums {
  double nll = 0;
  double weighted = 0;
  std::int64_t tokens = 0;

  /// One chunk, or the part of one that lies in the set.
  void add_part(double part_nll, std::int64_t part_tokens) {
    if (part_tokens == 0) return;
    const auto n = static_cast<double>(part_tokens);
    nll += part_nll;
    weighted += std::exp(part_nll / n) * n;
    tokens += part_tokens;
  }
  void add(const Sums& other) {
    nll += other.nll;
    weighted += other.weighted;
    tokens += other.tokens;
  }
  double mean() const { return nll / static_cast<double>(tokens); }
  std::optional<Perplexity> perplexity() const {
    if (tokens == 0) return std::nullopt;
    const auto n = static_cast<double>(tokens);
    return Perplexity{perplexity_of(nll / n), finite(weighted / n), tokens, perplexity_of(nll / n), {}, {}};
  }
};

/// A book's sums by one arm.
struct ArmSums {
  std::vector<Sums> rows;  // one a segment, then one for the whole book
  std::vector<std::vector<ChunkSum>> parts;  // [row]: of each chunk that lies in it, in order
  double official_sum = 0, official_weight = 0;
};

struct BookSums {
  std::string name;
  std::int64_t book_tokens = 0;
  std::int64_t words = 0, text_bytes = 0;  // 0 where the book was not read to its end
  std::map<Arm, ArmSums> arms;

  bool has_word_spaces() const {
    return templora::has_word_spaces(static_cast<double>(words), static_cast<double>(text_bytes));
  }
  std::int64_t tokens(std::size_t row) const {
    std::int64_t most = 0;
    for (const auto& [arm, sums] : arms) most = std::max(most, sums.rows[row].tokens);
    return most;
  }
};

/// What the table needs of a run's config.
struct Settings {
  std::vector<std::int64_t> edges;
  std::int64_t chunk_tokens = 0, window_tokens = 0;
  bool official = false;
};

Settings settings_of(const Json& run) {
  try {
    const Json& config = run.at("config");
    const Json& window = config.at("window");
    Settings s;
    s.edges = config.at("score").at("segment_edges").get<std::vector<std::int64_t>>();
    s.chunk_tokens = window.at("chunk_tokens").get<std::int64_t>();
    s.window_tokens = s.chunk_tokens + window.at("context_tokens").get<std::int64_t>();
    s.official = config.at("fidelity") == "official";
    if (!s.edges.empty() && s.edges[0] == 0) return s;
  } catch (const nlohmann::json::exception&) {
  }
  throw Error(Exit::bad_input,
              "run.json: config: score.segment_edges, window.chunk_tokens, window.context_tokens or fidelity is "
              "missing or of the wrong type, wanted the effective config of a run");
}

void add_chunk(ArmSums& sums, const ChunkRecord& chunk, const float* nll, std::int64_t book_tokens,
               const Settings& settings) {
  const std::int64_t first_scored = chunk.first_token + chunk.tokens - chunk.scored_tokens;
  const std::int64_t end = chunk.first_token + chunk.tokens;
  double whole = 0;
  for (std::size_t s = 0; s < settings.edges.size(); ++s) {
    const std::int64_t from = std::max(first_scored, settings.edges[s]);
    const std::int64_t to = s + 1 < settings.edges.size() ? std::min(end, settings.edges[s + 1]) : end;
    double part = 0;
    for (std::int64_t t = from; t < to; ++t) part += nll[t - first_scored];
    if (to > from) sums.rows[s].add_part(part, to - from), sums.parts[s].push_back({part, to - from});
    whole += part;
  }
  if (chunk.scored_tokens == 0) return;
  sums.rows.back().add_part(whole, chunk.scored_tokens);
  sums.parts.back().push_back({whole, chunk.scored_tokens});
  // The released code counts the unscored first token too, and weights a book's first chunk with Δ whatever
  // its own length is, unless the whole book is shorter.
  const auto weight =
      static_cast<double>(chunk.chunk == 0 ? std::min(book_tokens, settings.chunk_tokens) : chunk.tokens);
  sums.official_sum += std::exp(whole / static_cast<double>(chunk.scored_tokens)) * weight;
  sums.official_weight += weight;
}

std::string position_name(std::int64_t tokens) {
  return tokens > 0 && tokens % 1000 == 0 ? fmt::format("{}K", tokens / 1000) : std::to_string(tokens);
}

/// Corpus change of one row summed over the books that `counts` lets in.
template <class Counts>
std::optional<double> change_over(const std::vector<const BookSums*>& books, std::size_t row, Counts&& counts) {
  Sums base, lora;
  for (const BookSums* book : books) {
    if (!counts(*book) || !book->arms.contains(Arm::base) || !book->arms.contains(Arm::lora)) continue;
    base.add(book->arms.at(Arm::base).rows[row]);
    lora.add(book->arms.at(Arm::lora).rows[row]);
  }
  const auto from = base.perplexity(), to = lora.perplexity();
  return change_percent(from, to);
}

/// A mean of differences as a change in percent; nothing where it is none that a double holds.
template <class Mean>
std::optional<Mean> in_percent(Mean mean) {
  const std::optional<double> change = percent_of(mean.mean);
  if (!change) return std::nullopt;
  mean.mean = *change;
  if (mean.low) {
    mean.low = percent_of(*mean.low);
    mean.high = percent_of(*mean.high);
    if (!mean.low || !mean.high) mean.low.reset(), mean.high.reset();
  }
  return mean;
}

/// A arm's mean NLL less the base's on the same tokens, where both have some.
std::optional<double> difference(const BookSums& book, Arm arm, std::size_t row) {
  const auto base = book.arms.find(Arm::base), other = book.arms.find(arm);
  if (arm == Arm::base || base == book.arms.end() || other == book.arms.end()) return std::nullopt;
  const Sums &from = base->second.rows[row], &to = other->second.rows[row];
  if (from.tokens == 0 || to.tokens == 0) return std::nullopt;
  return to.mean() - from.mean();
}

/// Each arm against the base, book by book.
std::map<Arm, BookDifferences> differences(const std::vector<const BookSums*>& books, std::size_t row) {
  std::map<Arm, BookDifferences> found;
  for (const Arm arm : kArms)
    for (std::size_t b = 0; b < books.size(); ++b)
      if (const auto value = difference(*books[b], arm, row)) found[arm][b] = *value;
  return found;
}

std::map<Arm, BookMean> mean_changes(const std::map<Arm, BookDifferences>& of_arms) {
  std::map<Arm, BookMean> means;
  for (const auto& [arm, books] : of_arms)
    if (const auto mean = mean_change(books)) means.emplace(arm, *mean);
  return means;
}

/// Each arm against the base within one book.
std::map<Arm, BlockMean> within_book(const BookSums& book, std::size_t row) {
  std::map<Arm, BlockMean> means;
  for (const Arm arm : kArms) {
    if (!difference(book, arm, row)) continue;
    const auto &from = book.arms.at(Arm::base).parts[row], &to = book.arms.at(arm).parts[row];
    std::vector<ChunkSum> parts;
    for (std::size_t c = 0; c < std::min(from.size(), to.size()); ++c)
      parts.push_back({to[c].sum - from[c].sum, to[c].tokens});
    if (const auto mean = in_percent(mean_within_book(parts))) means.emplace(arm, *mean);
  }
  return means;
}

/// How much of a book's NLL counts for its words and bytes: every token but the first, which nothing
/// predicts. Where chunks begin without context, their first tokens were not scored and stand in at the mean
/// of the others.
double unscored_share(const BookSums& book, const Sums& scored, int version) {
  if (version < kVersionOfUnscoredTokens) return 1;
  return static_cast<double>(book.book_tokens - 1) / static_cast<double>(scored.tokens);
}

/// Perplexity of one arm over books, with what only whole books have.
std::optional<Perplexity> perplexity_over(const std::vector<const BookSums*>& books, Arm arm, std::size_t row,
                                          bool whole_books, int version) {
  Sums sums;
  double of_books = 0, words = 0, bytes = 0, whole_nll = 0;
  std::int64_t counted = 0;
  bool complete = whole_books, spaced = true;
  for (const BookSums* book : books) {
    const auto found = book->arms.find(arm);
    if (found == book->arms.end() || found->second.rows[row].tokens == 0) continue;
    const Sums& own = found->second.rows[row];
    sums.add(own);
    of_books += std::exp(own.mean());
    ++counted;
    complete = complete && book->words > 0 && book->text_bytes > 0;
    spaced = spaced && (version < kVersionOfUnscoredTokens || book->has_word_spaces());
    words += static_cast<double>(book->words);
    bytes += static_cast<double>(book->text_bytes);
    whole_nll += own.nll * unscored_share(*book, own, version);
  }
  std::optional<Perplexity> perplexity = sums.perplexity();
  if (!perplexity) return perplexity;
  perplexity->book_mean = finite(of_books / static_cast<double>(counted));
  if (complete) {
    if (spaced) perplexity->word_level = perplexity_of(whole_nll / words);
    perplexity->bits_per_byte = finite(whole_nll / std::numbers::ln2 / bytes);
  }
  return perplexity;
}

std::vector<SegmentRow> rows_of(const std::vector<const BookSums*>& books,
                                const std::vector<std::int64_t>& edges, bool single, int version) {
  std::vector<SegmentRow> rows;
  for (std::size_t s = 0; s <= edges.size(); ++s) {
    SegmentRow row;
    const bool is_all = s == edges.size();
    if (is_all) {
      row.label = "all";
    } else {
      row.first_token = edges[s];
      if (s + 1 < edges.size()) row.end_token = edges[s + 1];
      row.label = row.end_token ? fmt::format("{}-{}", position_name(edges[s]), position_name(*row.end_token))
                                : fmt::format("{}+", position_name(edges[s]));
    }
    for (const BookSums* book : books) {
      const std::int64_t tokens = book->tokens(s);
      row.tokens += tokens;
      row.books += tokens > 0;
    }
    row.base = perplexity_over(books, Arm::base, s, is_all, version);
    row.lora = perplexity_over(books, Arm::lora, s, is_all, version);
    for (const Arm control : kFurtherArms)
      if (const auto found = perplexity_over(books, control, s, is_all, version)) row.controls[control] = *found;
    row.book_differences = differences(books, s);
    row.over_books = mean_changes(row.book_differences);
    if (s > 0 && !is_all) {
      std::map<Arm, BookDifferences> growth;
      for (const auto& [arm, here] : row.book_differences) growth[arm] = less(here, rows[0].book_differences[arm]);
      row.against_first_segment = mean_changes(growth);
    }
    if (single) row.within_book = within_book(*books.front(), s);
    if (row.base && row.lora) {
      row.change_corpus_percent = change_percent(row.base->corpus, row.lora->corpus);
      row.change_chunk_mean_percent = change_percent(row.base->chunk_mean, row.lora->chunk_mean);
    }
    if (!is_all)
      row.first_segment_change_percent =
          change_over(books, 0, [s](const BookSums& book) { return book.tokens(s) > 0; });
    rows.push_back(std::move(row));
  }
  return rows;
}

std::optional<double> official(const std::vector<BookSums>& books, Arm arm) {
  double sum = 0, weight = 0;
  for (const BookSums& book : books) {
    const auto found = book.arms.find(arm);
    if (found == book.arms.end()) continue;
    sum += found->second.official_sum;
    weight += found->second.official_weight;
  }
  if (!(weight > 0)) return std::nullopt;
  return finite(sum / weight);
}

bool lacks_a_number(const Perplexity& p) { return !p.corpus || !p.chunk_mean || !p.book_mean; }

/// Why numbers of whole texts are missing: texts without spaces between words, and what no double holds.
std::vector<std::string> notes_on(const PerplexityTable& table, const std::vector<BookSums>& books) {
  std::vector<std::string> notes;
  const auto unspaced = [](const BookSums& book) {
    return book.words > 0 && book.text_bytes > 0 && !book.has_word_spaces();
  };
  const auto first = std::find_if(books.begin(), books.end(), unspaced);
  if (first != books.end()) {
    const auto others = std::count_if(books.begin(), books.end(), unspaced) - 1;
    notes.push_back(
        fmt::format("There is no word-level PPL with {}{}: {} bytes between white space on average, where "
                    "words have at most {}.",
                    first->name, others > 0 ? fmt::format(" and {} other texts", others) : "",
                    first->text_bytes / first->words, kMostBytesAWord));
  }
  bool missing = false;
  const auto look = [&](const std::vector<SegmentRow>& rows) {
    for (const SegmentRow& row : rows) {
      for (const auto* p : {&row.base, &row.lora}) missing = missing || (*p && lacks_a_number(**p));
      for (const auto& [control, p] : row.controls) missing = missing || lacks_a_number(p);
    }
  };
  look(table.all);
  for (const auto& [name, rows] : table.books) look(rows);
  const bool complete = std::all_of(
      books.begin(), books.end(), [](const BookSums& book) { return book.words > 0 && book.text_bytes > 0; });
  for (const auto* p : {&table.all.back().base, &table.all.back().lora})
    missing = missing || (*p && complete && first == books.end() && !(*p)->word_level);
  if (missing)
    notes.push_back(fmt::format("{}: more than 709 nats a token, or a word.", kNoPerplexity));
  return notes;
}

}  // namespace

std::optional<BookMean> mean_change(const BookDifferences& books) {
  std::vector<double> values;
  for (const auto& [book, value] : books) values.push_back(value);
  if (values.empty()) return std::nullopt;
  std::optional<BookMean> mean = in_percent(mean_over_books(values));
  if (mean)
    for (double& value : mean->values) value = percent_of(value).value_or(std::numeric_limits<double>::infinity());
  return mean;
}

BookDifferences less(const BookDifferences& books, const BookDifferences& others) {
  BookDifferences left;
  for (const auto& [book, value] : books)
    if (const auto other = others.find(book); other != others.end()) left[book] = value - other->second;
  return left;
}

std::optional<double> change_percent(const std::optional<Perplexity>& from, const std::optional<Perplexity>& to) {
  return from && to ? change_percent(from->corpus, to->corpus) : std::nullopt;
}

PerplexityTable perplexity_table(const RunData& run, int version) {
  const Settings settings = settings_of(run.run);
  PerplexityTable table;
  table.version = version;
  std::vector<BookSums> books;
  for (const BookRecord& record : run.books) {
    BookSums& book = books.emplace_back();
    book.name = record.book;
    book.book_tokens = record.tokens;
    if (record.tokens <= settings.window_tokens) table.no_gain_possible.push_back(record.book);
    std::int64_t read = 0;
    for (const ChunkRecord& chunk : run.chunks)
      if (chunk.book_index == record.book_index) read += chunk.tokens;
    if (read == record.tokens) book.words = record.words, book.text_bytes = record.text_bytes;
    const auto nll = run.nll.find(record.book_index);
    if (nll == run.nll.end()) continue;
    for (const auto& [arm, values] : nll->second) {
      ArmSums& sums = book.arms[arm];
      sums.rows.resize(settings.edges.size() + 1);
      sums.parts.resize(settings.edges.size() + 1);
      std::size_t at = 0;
      for (const ChunkRecord& chunk : run.chunks) {
        if (chunk.book_index != record.book_index) continue;
        add_chunk(sums, chunk, values.data() + at, record.tokens, settings);
        at += static_cast<std::size_t>(chunk.scored_tokens);
      }
    }
  }

  std::vector<const BookSums*> all;
  for (const BookSums& book : books) {
    all.push_back(&book);
    table.books.emplace_back(book.name, rows_of({&book}, settings.edges, true, version));
  }
  table.all = rows_of(all, settings.edges, false, version);
  if (settings.official) {
    table.official_base = official(books, Arm::base);
    table.official_lora = official(books, Arm::lora);
  }
  if (version >= kVersionOfUnscoredTokens) table.notes = notes_on(table, books);
  return table;
}

}  // namespace templora
