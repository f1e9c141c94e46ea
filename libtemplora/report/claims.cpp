#include "report/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "metrics/recall.h"
#include "report/books_of_runs.h"
#include "report/markdown.h"
#include "run/json_lines.h"
#include "run/run_data.h"

namespace templora {
namespace {

constexpr double kLevel = 0.05;
constexpr double kKept = 0.8;  // of the full method's gain, by the chunk's rows

/// Runs of one kind, which split the books among them.
struct Kind {
  const char* name;
  std::vector<const RunSummary*> runs = {};
  BooksOfRuns books = {};
};

/// Settings that runs may differ in and still be parts of one whole: which texts are read and learnt.
const std::vector<std::string> kOfTexts{"texts", "control texts", "control", "data.books", "data.control_books"};
/// What may differ beside them: between the methods, and between the bases.
const std::vector<std::string> kOfRows{"lora.rows"};
const std::vector<std::string> kOfBases{"weights", "model.path", "model config", "adapter",
                                        "lora.",   "train.",     "score."};

/// The first setting that two runs differ in and should not; "" where there is none. Paths count by what was read
/// there.
std::string difference(const RunSummary& a, const RunSummary& b, const std::vector<std::string>& allowed = {}) {
  const auto may_differ = [&](const std::string& key) {
    const auto covers = [&](const std::string& name) {
      return name.back() == '.' ? key.starts_with(name) : key == name;
    };
    return (a.read.contains(key) && b.read.contains(key)) || std::any_of(kOfTexts.begin(), kOfTexts.end(), covers) ||
           std::any_of(allowed.begin(), allowed.end(), covers);
  };
  for (const auto* side : {&a, &b})
    for (const auto& [key, value] : side->settings) {
      const auto& other = side == &a ? b.settings : a.settings;
      const auto found = other.find(key);
      if (!may_differ(key) && (found == other.end() || found->second != value)) return key;
    }
  return "";
}

void require_alike(const RunSummary& a, const RunSummary& b, const std::vector<std::string>& allowed, const char* of) {
  if (const std::string key = difference(a, b, allowed); !key.empty())
    throw Error(Exit::usage,
                fmt::format("--claims: {} and {} differ in {}; wanted runs of one setting{}", a.name, b.name, key, of));
}

void add(Kind& kind, const RunSummary& run) {
  if (!kind.runs.empty()) require_alike(*kind.runs.front(), run, {}, "");
  kind.runs.push_back(&run);
  kind.books.add(read_run(run.folder), fmt::format("--claims: runs of {}", kind.name));
}

/// Temp-LoRA and its references in one book.
struct Sides {
  std::vector<float> lora;
  std::vector<std::vector<float>> references;

  /// Temp-LoRA less the better reference, nats a token.
  std::optional<double> this_text(std::int64_t from, std::int64_t to) const {
    std::vector<std::vector<float>> all{lora};
    all.insert(all.end(), references.begin(), references.end());
    const auto means = common_means(all, from, to);
    if (!means) return std::nullopt;
    return means->nll.front() - *std::min_element(means->nll.begin() + 1, means->nll.end());
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

/// FLOPs a token of the method alone (docs/cost.md), over a kind's runs.
std::optional<double> flops(const Kind& kind) {
  double sum = 0, tokens = 0;
  for (const RunSummary* run : kind.runs) {
    const auto own = number_at(run->summary, "/cost/method_flops_per_token");
    if (!own) return std::nullopt;
    sum += *own * static_cast<double>(run->tokens);
    tokens += static_cast<double>(run->tokens);
  }
  return tokens > 0 ? std::optional(sum / tokens) : std::nullopt;
}

void test_chunk_rows(Claim& claim, const Kind& full, const Kind& chunk) {
  if (chunk.runs.empty()) {
    claim.remark = "no run with lora.rows \"chunk\"";
    return;
  }
  std::vector<double> of_books;
  for (const std::string& text : full.books.texts()) {
    if (!chunk.books.contains(text)) continue;
    const auto means = common_means(
        {full.books.nll(text, Arm::base), full.books.nll(text, Arm::lora), chunk.books.nll(text, Arm::lora)});
    if (!means) continue;
    const double base = means->nll[0], whole = means->nll[1], rows = means->nll[2];
    of_books.push_back((rows - base) - kKept * (whole - base));
  }
  test(claim, of_books);
  if (!claim.nats) return;
  const auto ours = flops(chunk), whole = flops(full);
  if (!ours || !whole) {
    claim.prevented = true;
    claim.remark = "FLOPs a token are not known";
    return;
  }
  claim.remark = fmt::format("{:.2f} GFLOP a token against {:.2f}", *ours / 1e9, *whole / 1e9);
  claim.prevented = *ours >= *whole;
}

void test_recall(Claim& claim, const std::vector<RunSummary>& runs) {
  std::vector<RecallData> data;
  const RunSummary* first = nullptr;
  for (const RunSummary& run : runs) {
    if (!run.counted || !fs::exists(run.folder / "facts.jsonl")) continue;
    if (first != nullptr) require_alike(*first, run, {"seed"}, " with facts");
    first = &run;
    data.push_back(read_recall(run.folder));
  }
  // Where all facts were said once, the table has one row for them all.
  const bool all_once = std::all_of(data.begin(), data.end(), [](const RecallData& of_run) {
    return std::all_of(of_run.facts.begin(), of_run.facts.end(), [](const FactRecord& f) { return f.times == 1; });
  });
  const RecallTable table = recall_table(data);
  const auto row = std::find_if(table.rows.begin(), table.rows.end(), [&](const RecallRow& r) {
    return r.rung == "choice" && (r.times == 1 || (all_once && !r.times)) && r.arms.contains("lora");
  });
  if (row == table.rows.end()) {
    claim.remark = "no run with facts that were said once";
    return;
  }
  const RecallScore& score = row->arms.at("lora");
  claim.remark = fmt::format("{} of {} right, {} tokens after they left the window", score.correct, score.asked,
                             grouped(row->distance_tokens));
  const RecallGate* gate = table.gate("choice");
  if (gate == nullptr || !gate->passed()) {
    claim.remark += gate == nullptr ? "; nothing was asked with the fact in the window, so nothing is known"
                                    : fmt::format("; not measurable with this model: {} of {} in its window",
                                                  gate->correct, gate->asked);
    return;
  }
  claim.p = score.p;
}

}  // namespace

std::optional<bool> Claim::holds() const {
  if (!p) return std::nullopt;
  return !prevented && adjusted && *adjusted <= kLevel && (!nats || nats->mean < 0);
}

ClaimTable claim_table(const std::vector<RunSummary>& runs, const std::vector<RunSummary>& of_adapted,
                       std::vector<std::int64_t> edges) {
  Kind full{"the full method"}, chunk{"the chunk's rows"}, adapted{"the adapted base"};
  const auto counts = [](const RunSummary& run) {
    return run.counted && run.experiment() == "perplexity" && !fs::exists(run.folder / "facts.jsonl");
  };
  for (const RunSummary& run : runs)
    if (counts(run)) add(run.setting("lora.rows") == "chunk" ? chunk : full, run);
  for (const RunSummary& run : of_adapted)
    if (counts(run)) add(adapted, run);
  if (!full.runs.empty() && !chunk.runs.empty())
    require_alike(*full.runs.front(), *chunk.runs.front(), kOfRows, " but rows");
  if (!full.runs.empty() && !adapted.runs.empty())
    require_alike(*full.runs.front(), *adapted.runs.front(), kOfBases, " but the base's");
  if (full.runs.empty() && std::none_of(runs.begin(), runs.end(), [](const RunSummary& run) {
        return run.counted && fs::exists(run.folder / "facts.jsonl");
      }))
    throw Error(Exit::usage, "--claims: got no finished perplexity run, wanted some; docs/memory.md says which");

  ClaimTable table;
  table.claims = {{"H1", "this text is learnt", {}, {}, {}, "", false},
                  {"H2", "the gain grows with position", {}, {}, {}, "", false},
                  {"H3", "the chunk's rows keep 80 % of the gain at fewer FLOPs", {}, {}, {}, "", false},
                  {"H4", "what was said once is recalled", {}, {}, {}, "", false}};
  std::vector<double> all, growth;
  if (!full.runs.empty() && edges.empty())
    edges = full.runs.front()->record.at("config").at("score").at("segment_edges").get<std::vector<std::int64_t>>();
  bool with_other = false, with_adapted = false;
  for (const std::string& text : full.books.texts()) {
    Sides sides{full.books.nll(text, Arm::lora), {}};
    if (auto other = full.books.nll(text, Arm::other_book); !other.empty()) {
      sides.references.push_back(std::move(other));
      with_other = true;
    }
    if (auto base = adapted.books.nll(text, Arm::base); !base.empty()) {
      sides.references.push_back(std::move(base));
      with_adapted = true;
    }
    if (sides.references.empty() || sides.lora.empty()) continue;
    if (auto raw = full.books.nll(text, Arm::base); !raw.empty()) sides.references.push_back(std::move(raw));
    if (const auto whole = sides.this_text(0, 0)) all.push_back(*whole);
    if (edges.size() < 2) continue;
    const auto first = sides.this_text(edges[0], edges[1]), last = sides.this_text(edges.back(), 0);
    if (first && last) growth.push_back(*last - *first);
  }
  table.books = static_cast<std::int64_t>(all.size());
  const std::string base = with_adapted ? adapted.runs.front()->model() : "";
  table.reference = with_other && with_adapted ? "the best of the raw base, other_book and " + base
                    : with_other               ? "the better of the raw base and other_book"
                    : with_adapted             ? "the better of the raw base and " + base
                                               : "";
  if (table.reference.empty())
    table.claims[0].remark = table.claims[1].remark =
        "no reference: wanted the control other_book, or runs of an adapted base with --adapted";
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
         "\nH1: Temp-LoRA less the best reference, all tokens. H2: that of the last segment less that of the first. "
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
