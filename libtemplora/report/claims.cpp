#include "report/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "metrics/recall.h"
#include "report/arm_price.h"
#include "report/markdown.h"
#include "run/run_data.h"

namespace templora {
namespace {

constexpr double kLevel = 0.05;
constexpr double kKept = 0.8;  // of the full method's gain, by the chunk's rows

/// Runs of one kind, which split the books among them.
struct Kind {
  const char* name;
  std::vector<const RunSummary*> runs;
  std::vector<RunData> data;
  std::map<std::string, std::pair<std::size_t, const BookRecord*>> books;  // by text: the run and its record

  std::vector<float> nll(const std::string& text, Arm arm) const {
    const auto found = books.find(text);
    if (found == books.end()) return {};
    return nll_by_position(data[found->second.first], *found->second.second, arm);
  }
};

/// Whether runs may differ in this setting and still be parts of one whole.
bool of_the_texts(const std::string& key) {
  return key == "texts" || key == "control texts" || key.starts_with("data.") || key.starts_with("control");
}

/// A setting that two runs of a kind differ in; "" where there is none.
std::string difference(const RunSummary& a, const RunSummary& b) {
  for (const auto* side : {&a, &b})
    for (const auto& [key, value] : side->settings) {
      const auto &other = side == &a ? b.settings : a.settings;
      const auto found = other.find(key);
      if (!of_the_texts(key) && (found == other.end() || found->second != value)) return key;
    }
  return "";
}

void add(Kind& kind, const RunSummary& run) {
  if (!kind.runs.empty())
    if (const std::string key = difference(*kind.runs.front(), run); !key.empty())
      throw Error(Exit::usage, fmt::format("--claims: {} and {} differ in {}; wanted runs of one setting for {}",
                                           kind.runs.front()->name, run.name, key, kind.name));
  kind.runs.push_back(&run);
  kind.data.push_back(read_run(run.folder));
}

void index_books(Kind& kind) {
  for (std::size_t r = 0; r < kind.data.size(); ++r)
    for (const BookRecord& book : kind.data[r].books)
      if (!kind.books.emplace(book.text_hash, std::pair(r, &book)).second)
        throw Error(Exit::usage, fmt::format("--claims: {} is read twice by runs of {}, wanted each book once",
                                             printable(book.book), kind.name));
}

/// Means over the tokens from `from` up to `to` (0: the end) that every side scored; none where there is no such token.
std::optional<std::vector<double>> means_of(const std::vector<std::vector<float>>& sides, std::int64_t from,
                                            std::int64_t to) {
  std::size_t end = to > 0 ? static_cast<std::size_t>(to) : sides.front().size();
  for (const auto& side : sides) end = std::min(end, side.size());
  std::vector<double> sums(sides.size(), 0);
  std::int64_t count = 0;
  for (auto t = static_cast<std::size_t>(from); t < end; ++t) {
    if (std::any_of(sides.begin(), sides.end(), [&](const auto& side) { return std::isnan(side[t]); })) continue;
    for (std::size_t i = 0; i < sides.size(); ++i) sums[i] += static_cast<double>(sides[i][t]);
    ++count;
  }
  if (count == 0) return std::nullopt;
  for (double& sum : sums) sum /= static_cast<double>(count);
  return sums;
}

/// Temp-LoRA and its references in one book.
struct Sides {
  std::vector<float> lora;
  std::vector<std::vector<float>> references;

  /// Temp-LoRA less the better reference, nats a token.
  std::optional<double> this_text(std::int64_t from, std::int64_t to) const {
    std::vector<std::vector<float>> all{lora};
    all.insert(all.end(), references.begin(), references.end());
    const auto means = means_of(all, from, to);
    if (!means) return std::nullopt;
    return means->front() - *std::min_element(means->begin() + 1, means->end());
  }
};

void test(Claim& claim, const std::vector<double>& of_books) {
  if (of_books.empty()) {
    claim.remark = "the runs share no book with the tokens for it";
    return;
  }
  claim.nats = mean_over_books(of_books);
  claim.p = sign_flip_p_below(of_books);
}

std::optional<double> flops(const Kind& kind, bool with_base) {
  double sum = 0, tokens = 0;
  for (std::size_t r = 0; r < kind.runs.size(); ++r) {
    const auto adapter = arm_price(kind.data[r], kind.runs[r]->summary, true).flops;
    const auto base = arm_price(kind.data[r], kind.runs[r]->summary, false).flops;
    if (!adapter || (with_base && !base)) return std::nullopt;
    const auto count = static_cast<double>(kind.runs[r]->tokens);
    sum += (*adapter + (with_base ? *base : 0)) * count;
    tokens += count;
  }
  return tokens > 0 ? std::optional(sum / tokens) : std::nullopt;
}

void test_chunk_rows(Claim& claim, const Kind& full, const Kind& chunk) {
  if (chunk.runs.empty()) {
    claim.remark = "no run with lora.rows \"chunk\"";
    return;
  }
  std::vector<double> of_books;
  for (const auto& [text, place] : full.books) {
    if (!chunk.books.contains(text)) continue;
    const auto means =
        means_of({full.nll(text, Arm::base), full.nll(text, Arm::lora), chunk.nll(text, Arm::lora)}, 0, 0);
    if (!means) continue;
    const double base = (*means)[0], whole = (*means)[1], rows = (*means)[2];
    of_books.push_back((rows - base) - kKept * (whole - base));
  }
  test(claim, of_books);
  if (!claim.nats) return;
  // The base's pass belongs to the chunk's rows, which stand on its keys.
  const auto ours = flops(chunk, true), whole = flops(full, false);
  if (!ours || !whole) {
    claim.prevented = true;
    claim.remark = "FLOPs a token are not known";
    return;
  }
  claim.remark =
      fmt::format("{:.2f} GFLOP a token, the base's pass included, against {:.2f}", *ours / 1e9, *whole / 1e9);
  claim.prevented = *ours >= *whole;
}

void test_recall(Claim& claim, const std::vector<RunSummary>& runs) {
  std::vector<RecallData> data;
  const RunSummary* first = nullptr;
  for (const RunSummary& run : runs) {
    if (!run.counted || !fs::exists(run.folder / "facts.jsonl")) continue;
    if (first != nullptr)
      if (const std::string key = difference(*first, run); !key.empty())
        throw Error(Exit::usage, fmt::format("--claims: {} and {} differ in {}; wanted runs of one setting with facts",
                                             first->name, run.name, key));
    first = &run;
    data.push_back(read_recall(run.folder));
  }
  const RecallTable table = recall_table(data);
  const auto row = std::find_if(table.rows.begin(), table.rows.end(), [](const RecallRow& r) {
    return r.rung == "choice" && r.times == 1 && r.arms.contains("lora");
  });
  if (row == table.rows.end()) {
    claim.remark = "no run with facts that were said once";
    return;
  }
  const RecallScore& score = row->arms.at("lora");
  claim.remark = fmt::format("{} of {} right, {} tokens after they left the window", score.correct, score.asked,
                             grouped(row->distance_tokens));
  const RecallGate* gate = table.gate("choice");
  if (gate != nullptr && !gate->passed()) {
    claim.remark += fmt::format("; not measurable with this model: {} of {} in its window", gate->correct, gate->asked);
    return;
  }
  claim.p = score.p;
}

}  // namespace

std::optional<bool> Claim::holds() const {
  if (!p) return std::nullopt;
  return !prevented && adjusted && *adjusted <= kLevel && (!nats || nats->mean < 0);
}

ClaimTable claim_table(const std::vector<RunSummary>& runs) {
  Kind full{"the full method", {}, {}, {}}, chunk{"the chunk's rows", {}, {}, {}},
      adapted{"the adapted base", {}, {}, {}};
  std::string weights;
  for (const RunSummary& run : runs) {
    if (!run.counted || run.experiment() != "perplexity" || fs::exists(run.folder / "facts.jsonl")) continue;
    const std::string of_run = run.setting("weights");
    if (weights.empty()) weights = of_run;
    if (of_run != weights)
      add(adapted, run);
    else
      add(run.setting("lora.rows") == "chunk" ? chunk : full, run);
  }
  if (full.runs.empty() && std::none_of(runs.begin(), runs.end(), [](const RunSummary& run) {
        return run.counted && fs::exists(run.folder / "facts.jsonl");
      }))
    throw Error(Exit::usage, "--claims: got no finished perplexity run, wanted some; docs/memory.md says which");
  for (Kind* kind : {&full, &chunk, &adapted}) index_books(*kind);

  ClaimTable table;
  table.claims = {{"H1", "this text is learnt", {}, {}, {}, "", false},
                  {"H2", "the gain grows with position", {}, {}, {}, "", false},
                  {"H3", "the chunk's rows keep 80 % of the gain at fewer FLOPs", {}, {}, {}, "", false},
                  {"H4", "what was said once is recalled", {}, {}, {}, "", false}};
  std::vector<double> all, growth;
  std::vector<std::int64_t> edges;
  if (!full.runs.empty())
    edges = full.runs.front()->record.at("config").at("score").at("segment_edges").get<std::vector<std::int64_t>>();
  bool with_other = false, with_adapted = false;
  for (const auto& [text, place] : full.books) {
    Sides sides{full.nll(text, Arm::lora), {}};
    if (auto other = full.nll(text, Arm::other_book); !other.empty()) {
      sides.references.push_back(std::move(other));
      with_other = true;
    }
    if (auto base = adapted.nll(text, Arm::base); !base.empty()) {
      sides.references.push_back(std::move(base));
      with_adapted = true;
    }
    if (sides.references.empty() || sides.lora.empty()) continue;
    if (const auto whole = sides.this_text(0, 0)) all.push_back(*whole);
    if (edges.size() < 2) continue;
    const auto first = sides.this_text(edges[0], edges[1]), last = sides.this_text(edges.back(), 0);
    if (first && last) growth.push_back(*last - *first);
  }
  table.books = static_cast<std::int64_t>(all.size());
  const std::string base = with_adapted ? adapted.runs.front()->model() : "";
  table.reference = with_other && with_adapted ? "the better of other_book and " + base
                    : with_other               ? "other_book"
                                               : base;
  if (table.reference.empty())
    table.claims[0].remark = table.claims[1].remark = "no reference: wanted the control other_book or an adapted base";
  else
    test(table.claims[0], all);
  if (!table.reference.empty() && edges.size() < 2)
    table.claims[1].remark = "one segment: wanted score.segment_edges";
  else if (!table.reference.empty())
    test(table.claims[1], growth);
  test_chunk_rows(table.claims[2], full, chunk);
  test_recall(table.claims[3], runs);

  std::vector<double> p;
  for (const Claim& claim : table.claims) p.push_back(claim.p.value_or(1));
  const std::vector<double> adjusted = holm(p);
  for (std::size_t i = 0; i < adjusted.size(); ++i)
    if (table.claims[i].p) table.claims[i].adjusted = adjusted[i];
  return table;
}

std::string claims_markdown(const ClaimTable& table) {
  std::string out = fmt::format("# Claims\n\n{} books; reference of H1 and H2: {}.\n\n", table.books,
                                table.reference.empty() ? kDash : escaped(table.reference));
  out += "| | claim | nats a token | p | Holm | holds | |\n| --- | --- | ---: | ---: | ---: | --- | --- |\n";
  for (const Claim& claim : table.claims) {
    const auto holds = claim.holds();
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", claim.name, claim.what,
                       claim.nats ? with_interval(*claim.nats, "{:+.4f}") : kDash, cell(claim.p, "{:.4f}"),
                       cell(claim.adjusted, "{:.4f}"), holds ? (*holds ? "yes" : "no") : "not tested",
                       claim.remark.empty() ? kDash : escaped(claim.remark));
  }
  return out +
         "\nH1: Temp-LoRA less the better reference, all tokens. H2: that of the last segment less that of the first. "
         "H3: (chunk's rows − base) − 0.8 · (full method − base). Negative is in the claim's favour. Brackets: 95 % "
         "over books. p is one-sided, by sign-flip over books; of H4 by permutation. docs/memory.md.\n";
}

Json to_json(const ClaimTable& table) {
  const auto optional = [](const auto& value) { return value ? Json(*value) : Json(); };
  Json claims = Json::array();
  for (const Claim& claim : table.claims)
    claims.push_back({{"name", claim.name},
                      {"claim", claim.what},
                      {"nats", claim.nats ? Json(claim.nats->mean) : Json()},
                      {"low", claim.nats ? optional(claim.nats->low) : Json()},
                      {"high", claim.nats ? optional(claim.nats->high) : Json()},
                      {"books", claim.nats ? Json(claim.nats->books) : Json()},
                      {"p", optional(claim.p)},
                      {"p_holm", optional(claim.adjusted)},
                      {"holds", optional(claim.holds())},
                      {"remark", claim.remark}});
  return {{"claims", claims}, {"books", table.books}, {"reference", table.reference}};
}

}  // namespace templora
