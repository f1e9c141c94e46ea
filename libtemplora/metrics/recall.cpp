#include "metrics/recall.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "core/check.h"
#include "core/error.h"

namespace templora {
namespace {

constexpr std::size_t kAnswers = 8;

bool is_choice(const std::string& rung) {
  return rung == "choice" || rung == "paraphrase_1" || rung == "paraphrase_2" || rung == "conflict";
}
bool is_nll(const std::string& rung) { return rung == "repeat" || rung == "locality"; }

/// A probe and what it asks for.
struct Asked {
  std::size_t run;
  const ProbeRecord* probe;
  const FactRecord* fact;   // none of "locality"
  const ProbeRecord* base;  // the base's answer to the same question
};

/// Index of the best answer; none where two are equal.
std::optional<std::size_t> chosen(const std::vector<double>& nll) {
  const auto best = std::min_element(nll.begin(), nll.end());
  if (best == nll.end() || std::count(nll.begin(), nll.end(), *best) != 1) return std::nullopt;
  return std::size_t(best - nll.begin());
}

std::vector<double> less(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  for (std::size_t i = 0; i < a.size(); ++i) out.push_back(a[i] - b[i]);
  return out;
}

/// Index of the answer that was chosen.
std::optional<std::size_t> choice_of(const Asked& asked, bool less_base) {
  const std::vector<double>& nll = asked.probe->answers_nll;
  return chosen(less_base ? less(nll, asked.base->answers_nll) : nll);
}

/// Hits by chance, of all groups within which answers may be dealt out anew.
HitDistribution chance_of(const std::vector<Asked>& all, const std::string& rung, bool less_base) {
  HitDistribution total{1};
  if (rung == "familiar") {  // chance planted one of each pair of names
    std::map<std::tuple<std::size_t, std::int64_t, std::string, std::int64_t>, std::pair<std::int64_t, std::int64_t>>
        pairs;
    for (const Asked& asked : all) {
      auto& [hits, count] =
          pairs[{asked.run, asked.fact->book_index, asked.fact->kind, asked.fact->answer_index}];
      hits += *asked.probe->correct;
      ++count;
    }
    for (const auto& [pair, found] : pairs) {
      HitDistribution flipped(std::size_t(found.second) + 1, 0.0);
      flipped[std::size_t(found.first)] += 0.5;
      flipped[std::size_t(found.second - found.first)] += 0.5;
      total = convolve(total, flipped);
    }
    return total;
  }
  std::map<std::tuple<std::size_t, std::int64_t, std::string>, std::vector<std::vector<std::int64_t>>> groups;
  for (const Asked& asked : all) {
    auto& counts = groups[{asked.run, asked.fact->book_index, asked.fact->kind}];
    counts.resize(kAnswers, std::vector<std::int64_t>(kAnswers));
    if (const auto choice = choice_of(asked, less_base)) ++counts[std::size_t(asked.fact->answer_index)][*choice];
  }
  for (const auto& [group, counts] : groups) total = convolve(total, dealt_out(counts));
  return total;
}

RecallScore score_of(const std::vector<Asked>& all, const std::string& rung, const std::string& arm) {
  RecallScore score;
  score.asked = std::int64_t(all.size());
  double f1 = 0;
  std::int64_t less_base = 0, old = 0;
  bool has_base = arm != "base";
  std::map<std::pair<std::size_t, std::int64_t>, std::pair<double, double>> by_book;  // sum of differences, count
  for (const Asked& asked : all) {
    const ProbeRecord& probe = *asked.probe;
    score.mean_nll += probe.nll / double(all.size());
    score.correct += probe.correct.value_or(false);
    f1 += probe.f1.value_or(0);
    has_base &= asked.base != nullptr;
    if (!has_base) continue;
    auto& [sum, count] = by_book[{asked.run, probe.book_index}];
    sum += probe.nll - asked.base->nll;
    ++count;
    if (is_choice(rung)) less_base += choice_of(asked, true) == std::size_t(asked.fact->answer_index);
  }
  if (rung == "greedy") score.mean_f1 = f1 / double(all.size());
  if (is_nll(rung)) {
    if (!has_base) return score;
    std::vector<double> means;
    for (const auto& [book, found] : by_book) means.push_back(found.first / found.second);
    score.less_base = mean_over_books(means);
    return score;
  }
  if (rung == "conflict")
    for (const Asked& asked : all)
      old += asked.fact->first_answer && choice_of(asked, false) == std::size_t(*asked.fact->first_answer);
  if (rung == "conflict") score.old_answers = old;
  if (rung != "greedy") score.p = upper_tail(chance_of(all, rung, false), score.correct);
  if (score.correct == 0) score.upper = clopper_pearson_upper(0, score.asked);
  if (is_choice(rung) && has_base) {
    score.correct_less_base = less_base;
    score.p_less_base = upper_tail(chance_of(all, rung, true), less_base);
  }
  return score;
}

std::optional<double> recalled(const RecallRow& row, const std::string& floor_arm) {
  const auto lora = row.arms.find("lora"), floor = row.arms.find(floor_arm), ceiling = row.arms.find(kInWindow);
  if (lora == row.arms.end() || floor == row.arms.end() || ceiling == row.arms.end()) return std::nullopt;
  const bool nll = is_nll(row.rung);
  const auto value = [&](const RecallScore& score) { return nll ? -score.mean_nll : score.share(); };
  constexpr double kLeastRoom = 0.05;  // of the floor's nats: what the window hardly helps with tells nothing
  const double from = value(floor->second), room = value(ceiling->second) - from;
  if (!(room > (nll ? kLeastRoom * floor->second.mean_nll : 0))) return std::nullopt;
  return (value(lora->second) - from) / room;
}

/// All probes of a question, by arm, with the base's beside them.
using Row = std::tuple<std::int64_t, std::string, std::optional<std::int64_t>>;  // distance, rung, times
std::map<Row, std::map<std::string, std::vector<Asked>>> grouped(const std::vector<RecallData>& runs) {
  std::map<Row, std::map<std::string, std::vector<Asked>>> rows;
  std::set<std::int64_t> times;
  for (const RecallData& run : runs)
    for (const FactRecord& fact : run.facts)
      if (fact.asked) times.insert(fact.times);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    std::map<std::pair<std::int64_t, std::int64_t>, const FactRecord*> facts;
    for (const FactRecord& fact : runs[r].facts) facts[{fact.book_index, fact.fact}] = &fact;
    std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::string>, const ProbeRecord*> base;
    const auto question = [](const ProbeRecord& p) {
      return std::tuple{p.book_index, p.chunk, p.fact, p.distance_tokens, p.rung};
    };
    for (const ProbeRecord& probe : runs[r].probes)
      if (probe.arm == "base") base[question(probe)] = &probe;
    for (const ProbeRecord& probe : runs[r].probes) {
      Asked asked{r, &probe, nullptr, nullptr};
      if (const auto found = base.find(question(probe)); found != base.end()) asked.base = found->second;
      if (probe.rung != "locality") {
        const auto fact = facts.find({probe.book_index, probe.fact});
        if (fact == facts.end() || fact->second->answer_index >= std::int64_t(kAnswers))
          throw Error(Exit::bad_input, "probes.jsonl: a fact that is not in facts.jsonl");
        asked.fact = fact->second;
        const bool answers = !is_choice(probe.rung) || probe.answers_nll.size() == kAnswers;
        if (!answers || (!is_nll(probe.rung) && !probe.correct) ||
            (asked.base && asked.base->answers_nll.size() != probe.answers_nll.size()))
          throw Error(Exit::bad_input, "probes.jsonl: " + probe.rung + ": wanted eight answers and which was chosen");
      }
      rows[{probe.distance_tokens, probe.rung, std::nullopt}][probe.arm].push_back(asked);
      if (asked.fact && probe.rung != "conflict" && times.size() > 1)
        rows[{probe.distance_tokens, probe.rung, asked.fact->times}][probe.arm].push_back(asked);
    }
  }
  return rows;
}

}  // namespace

const std::vector<std::string>& recall_rungs() {
  static const std::vector<std::string> rungs{"repeat",   "choice",   "paraphrase_1", "paraphrase_2",
                                              "familiar", "greedy",   "conflict",     "locality"};
  return rungs;
}

std::int64_t rank_of(const std::vector<double>& nll, std::size_t right) {
  TEMPLORA_CHECK(right < nll.size(), "the right answer is one of them");
  std::int64_t rank = 1;
  for (std::size_t i = 0; i < nll.size(); ++i) rank += i != right && !(nll[i] > nll[right]);
  return rank;
}

double word_f1(const std::vector<std::string>& got, const std::vector<std::string>& wanted) {
  std::map<std::string, std::int64_t> left;
  for (const std::string& word : wanted) ++left[word];
  std::int64_t shared = 0;
  for (const std::string& word : got)
    if (auto found = left.find(word); found != left.end() && found->second > 0) --found->second, ++shared;
  return shared == 0 ? 0 : 2.0 * double(shared) / double(got.size() + wanted.size());
}

HitDistribution convolve(const HitDistribution& a, const HitDistribution& b) {
  HitDistribution out(a.size() + b.size() - 1, 0.0);
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < b.size(); ++j) out[i + j] += a[i] * b[j];
  while (out.size() > 1 && out.back() == 0) out.pop_back();
  return out;
}

double upper_tail(const HitDistribution& distribution, std::int64_t hits) {
  double sum = 0;
  for (std::size_t k = distribution.size(); k-- > 0 && std::int64_t(k) >= hits;) sum += distribution[k];
  return std::min(1.0, sum);
}

// One right answer after the other takes one of the choices that are left: by the set of those taken, the distribution
// of hits so far.
HitDistribution dealt_out(const std::vector<std::vector<std::int64_t>>& counts) {
  const std::size_t n = counts.size();
  TEMPLORA_CHECK(n > 0 && n <= 16, "few answers");
  std::vector<HitDistribution> taken(std::size_t{1} << n);
  taken[0] = {1};
  for (std::size_t set = 0; set + 1 < taken.size(); ++set) {
    std::size_t answer = 0;
    for (std::size_t c = 0; c < n; ++c) answer += set >> c & 1;
    const double way = 1.0 / double(n - answer);
    for (std::size_t c = 0; c < n; ++c) {
      if (set >> c & 1) continue;
      HitDistribution& next = taken[set | std::size_t{1} << c];
      const auto hits = std::size_t(counts[answer][c]);
      if (next.size() < taken[set].size() + hits) next.resize(taken[set].size() + hits, 0.0);
      for (std::size_t k = 0; k < taken[set].size(); ++k) next[k + hits] += way * taken[set][k];
    }
  }
  return taken.back();
}

double clopper_pearson_upper(std::int64_t hits, std::int64_t asked, double level) {
  TEMPLORA_CHECK(asked > 0 && hits >= 0 && hits <= asked, "a share of something");
  if (hits == asked) return 1;
  const auto at_most = [&](double share) {  // P(no more than `hits`)
    double sum = 0;
    for (std::int64_t k = 0; k <= hits; ++k)
      sum += std::exp(std::lgamma(double(asked + 1)) - std::lgamma(double(k + 1)) - std::lgamma(double(asked - k + 1)) +
                      double(k) * std::log(share) + double(asked - k) * std::log1p(-share));
    return sum;
  };
  double low = double(hits) / double(asked), high = 1;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (middle > 0 && at_most(middle) <= level ? high : low) = middle;
  }
  return high;
}

const RecallGate* RecallTable::gate(const std::string& rung) const {
  const std::string& of = rung == "conflict" ? "choice" : rung;
  const auto found = std::find_if(gates.begin(), gates.end(), [&](const RecallGate& gate) { return gate.rung == of; });
  return found == gates.end() ? nullptr : &*found;
}

RecallTable recall_table(const std::vector<RecallData>& runs) {
  constexpr double kChoice = 0.8, kGreedy = 0.5;
  RecallTable table;
  std::set<std::pair<std::size_t, std::int64_t>> books;
  for (std::size_t r = 0; r < runs.size(); ++r)
    for (const FactRecord& fact : runs[r].facts) {
      books.insert({r, fact.book_index});
      table.facts += fact.asked && !fact.first_answer;
    }
  table.books = std::int64_t(books.size());
  const auto rows = grouped(runs);
  bool other = false;
  for (const auto& [key, arms] : rows) other |= arms.contains("other_book");
  table.floor = other ? "other_book" : "base";
  for (const std::string& rung : recall_rungs()) {
    RecallGate gate{rung, rung == "greedy" ? kGreedy : kChoice, 0, 0};
    for (const auto& [key, arms] : rows) {
      if (std::get<1>(key) != rung) continue;
      RecallRow row;
      std::tie(row.distance_tokens, row.rung, row.times) = key;
      if (rung == "familiar") row.chance = 0.5;
      if (is_choice(rung)) row.chance = 1.0 / double(kAnswers);
      for (const auto& [arm, asked] : arms) row.arms[arm] = score_of(asked, rung, arm);
      row.recalled = recalled(row, table.floor);
      if (const auto ceiling = row.arms.find(kInWindow); ceiling != row.arms.end() && !row.times) {
        gate.asked += ceiling->second.asked;
        gate.correct += ceiling->second.correct;
      }
      table.rows.push_back(std::move(row));
    }
    if (gate.asked > 0 && !is_nll(rung) && rung != "familiar" && rung != "conflict") table.gates.push_back(gate);
  }
  return table;
}

namespace {

Json to_json(const RecallScore& score) {
  Json json{{"asked", score.asked}, {"correct", score.correct}, {"mean_nll", score.mean_nll}};
  const auto add = [&](const char* name, const auto& value) {
    if (value) json[name] = *value;
  };
  add("mean_f1", score.mean_f1);
  add("p", score.p);
  add("upper", score.upper);
  add("correct_less_base", score.correct_less_base);
  add("p_less_base", score.p_less_base);
  add("old_answers", score.old_answers);
  if (score.less_base)
    json["less_base"] = {{"mean", score.less_base->mean},
                         {"low", optional_json(score.less_base->low)},
                         {"high", optional_json(score.less_base->high)},
                         {"books", score.less_base->books},
                         {"method", score.less_base->method}};
  return json;
}

}  // namespace

Json to_json(const RecallTable& table) {
  Json rows = Json::array(), gates = Json::array();
  for (const RecallRow& row : table.rows) {
    Json arms = Json::object();
    for (const auto& [arm, score] : row.arms) arms[arm] = to_json(score);
    rows.push_back({{"distance_tokens", row.distance_tokens},
                    {"rung", row.rung},
                    {"times", optional_json(row.times)},
                    {"chance", optional_json(row.chance)},
                    {"arms", arms},
                    {"recalled", optional_json(row.recalled)}});
  }
  for (const RecallGate& gate : table.gates)
    gates.push_back({{"rung", gate.rung},
                     {"wanted", gate.wanted},
                     {"asked", gate.asked},
                     {"correct", gate.correct},
                     {"passed", gate.passed()}});
  return {{"books", table.books}, {"facts", table.facts}, {"floor", table.floor}, {"gates", gates}, {"rows", rows}};
}

}  // namespace templora
