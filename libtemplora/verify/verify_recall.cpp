#include "verify/verify_recall.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "metrics/recall.h"
#include "plan/recall_plan.h"
#include "plan/scored_arms.h"
#include "report/recall_table.h"

namespace templora {
namespace {

/// Index of a fact in its book, checked against what the config plants.
void check_facts(const UnverifiedRun& run, const std::vector<FactRecord>& facts, Verification& v) {
  const RecallConfig& config = run.config->recall;
  std::map<std::int64_t, std::int64_t> next, asked;
  for (const FactRecord& fact : facts) {
    const std::string where = fmt::format("{}: book {}: fact {}", kFactsName, fact.book_index, fact.fact);
    v.expect(fact.fact == next[fact.book_index]++, "facts", where + ": got it out of order");
    const BookRecord* book = run.book(fact.book_index);
    v.expect(book != nullptr && book->book == fact.book, "facts", where + ": got no book of books.jsonl");
    asked[fact.book_index] += fact.asked && !fact.first_answer;
    const auto said = fact.times + (fact.first_answer ? 1 : 0);
    v.expect(std::int64_t(fact.mentions.size()) == said, "facts",
             fmt::format("{}: got {} sentences, wanted {}", where, fact.mentions.size(), said));
    std::int64_t end = config.plant_from_tokens;
    for (const auto& [first, last] : fact.mentions) {
      v.expect(first >= end && last > first && last <= config.plant_to_tokens, "facts",
               fmt::format("{}: got tokens {} to {}, wanted some between recall.plant_from_tokens and plant_to_tokens, "
                           "behind the sentence before",
                           where, first, last));
      end = last;
    }
  }
  for (const BookRecord& book : run.books)
    v.expect(asked[book.book_index] == config.facts || !run.finished, "facts",
             fmt::format("{}: {}: got {} facts to ask for, wanted recall.facts, {}", kFactsName, book.book,
                         asked[book.book_index], config.facts));
}

std::vector<std::string> arms_of(const Config& config) {
  std::vector<std::string> arms{"base", kInWindow, kBm25};
  for (const Arm arm : scored_arms(config))
    if (arm == Arm::lora || is_control(arm)) arms.emplace_back(arm_name(arm));
  return arms;
}

std::vector<std::string> rungs_of(const Config& config, const FactRecord& fact) {
  if (fact.first_answer) return {"conflict"};
  std::vector<std::string> rungs{"repeat", "choice", "paraphrase_1", "paraphrase_2", "familiar"};
  if (config.recall.answer_tokens > 0) rungs.emplace_back("greedy");
  return rungs;
}

using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::string, std::string>;
Key key_of(const ProbeRecord& p) { return {p.book_index, p.chunk, p.fact, p.distance_tokens, p.rung, p.arm}; }

std::string text_of(const Key& key) {
  return fmt::format("book {}, chunk {}, fact {}, distance {}, {}, {}", std::get<0>(key), std::get<1>(key),
                     std::get<2>(key), std::get<3>(key), std::get<4>(key), std::get<5>(key));
}

/// What the plan asks for after the chunks that are there, and how far out of sight it then is.
std::map<Key, std::int64_t> planned(const UnverifiedRun& run, const std::vector<FactRecord>& facts) {
  const Config& config = *run.config;
  std::map<Key, std::int64_t> wanted;
  const std::vector<std::string> arms = arms_of(config);
  for (const BookRecord& book : run.books) {
    std::vector<FactRecord> of_book;
    std::vector<std::int64_t> ends;
    for (const FactRecord& fact : facts)
      if (fact.book_index == book.book_index) {
        of_book.push_back(fact);
        ends.push_back(fact.asked ? fact.last_mention_end() : -1);
      }
    const std::vector<Chunk> chunks = plan_of(run, book).chunks();
    const RecallPlan plan(config, chunks, ends);
    for (const ChunkRecord& chunk : run.chunks) {
      if (chunk.book_index != book.book_index || chunk.chunk < 0 || chunk.chunk >= std::int64_t(chunks.size()))
        continue;
      for (const AskedFact& asked : plan.after(chunk.chunk))
        for (const std::string& rung : rungs_of(config, of_book[asked.fact]))
          for (const std::string& arm : arms)
            wanted[{book.book_index, chunk.chunk, std::int64_t(asked.fact), asked.distance_tokens, rung, arm}] =
                asked.tokens_since;
    }
  }
  return wanted;
}

void check_value(const ProbeRecord& p, const FactRecord* fact, const std::string& where, Verification& v) {
  v.expect(std::isfinite(p.nll) && p.nll >= -1e-3 && p.tokens > 0, "probe-values",
           fmt::format("{}: got an NLL of {} over {} tokens", where, p.nll, p.tokens));
  const bool chooses = p.of.has_value();
  v.expect(chooses == !p.answers_nll.empty(), "probe-values", where + ": got a choice without answers, or the reverse");
  if (!chooses || p.answers_nll.empty()) return;
  const auto right = std::size_t(p.rung == "familiar" || fact == nullptr ? 0 : fact->answer_index);
  if (!v.expect(right < p.answers_nll.size() && *p.of == std::int64_t(p.answers_nll.size()), "probe-values",
                fmt::format("{}: got {} answers, wanted {}", where, p.answers_nll.size(), *p.of)))
    return;
  const std::int64_t rank = rank_of(p.answers_nll, right);
  v.expect(p.rank == rank && p.correct == (rank == 1) && std::abs(p.nll - p.answers_nll[right]) <= 1e-6, "probe-rank",
           fmt::format("{}: got rank {}, {} and an NLL of {}, wanted rank {} and {}, as its answers' NLLs give", where,
                       p.rank.value_or(0), p.correct.value_or(false) ? "right" : "wrong", p.nll, rank,
                       p.answers_nll[right]));
}

void check_probes(const UnverifiedRun& run, const RecallData& data, Verification& v) {
  std::map<Key, std::int64_t> wanted = planned(run, data.facts);
  std::map<std::pair<std::int64_t, std::int64_t>, const FactRecord*> facts;
  for (const FactRecord& fact : data.facts) facts[{fact.book_index, fact.fact}] = &fact;
  std::map<std::pair<std::int64_t, std::int64_t>, const ChunkRecord*> chunks;
  for (const ChunkRecord& chunk : run.chunks) chunks[{chunk.book_index, chunk.chunk}] = &chunk;
  std::set<Key> seen;
  for (const ProbeRecord& p : data.probes) {
    const Key key = key_of(p);
    const std::string where = fmt::format("{}: {}", kProbesName, text_of(key));
    v.expect(seen.insert(key).second, "probe-plan", where + ": got it a second time");
    const auto chunk = chunks.find({p.book_index, p.chunk});
    const bool at_end = chunk == chunks.end() && !run.finished;  // the chunk's own record is written behind its probes
    if (at_end) continue;
    if (p.rung != "locality") {
      const auto planned_at = wanted.find(key);
      v.expect(planned_at != wanted.end(), "probe-plan", where + ": got a question that the plan does not ask there");
      if (planned_at != wanted.end())
        v.expect(planned_at->second == p.tokens_since, "probe-plan",
                 fmt::format("{}: tokens_since: got {}, wanted {}", where, p.tokens_since, planned_at->second));
    }
    if (p.arm == "lora" && chunk != chunks.end()) {
      const ChunkRecord& record = *chunk->second;
      const std::int64_t version = record.adapter_version + (record.trained_chunk ? 1 : 0);
      v.expect(p.adapter_version == version, "probe-plan",
               fmt::format("{}: adapter_version: got {}, wanted {}, as after its chunk", where, p.adapter_version,
                           version));
    }
    const auto fact = facts.find({p.book_index, p.fact});
    check_value(p, fact == facts.end() || p.rung == "locality" ? nullptr : fact->second, where, v);
  }
  for (const auto& [key, since] : wanted)
    v.expect(seen.contains(key), "probe-plan", fmt::format("{}: {}: missing", kProbesName, text_of(key)));
}

}  // namespace

void verify_recall(const UnverifiedRun& run, Verification& v) {
  if (run.config->recall.facts == 0) return;
  v.check({"facts", "probe-plan", "probe-rank", "probe-values"});
  RecallData data;
  try {
    data = read_recall(run.folder);
  } catch (const Error& error) {
    return v.found("record-fields", error.what());
  }
  check_facts(run, data.facts, v);
  check_probes(run, data, v);
  if (!run.finished) return;
  v.check("recall-table");
  if (!v.sound("facts") || !v.sound("probe-plan") || !v.sound("probe-values"))
    return v.not_checked("recall-table", "the records do not fit together, see above");
  const RecallTable table = recall_table({data});
  Json got;
  try {
    got = parse_json(read_file(run.folder / "recall.json"), "recall.json");
  } catch (const Error& error) {
    return v.found("recall-table", error.what());
  }
  const std::string difference = first_difference(got, to_json(table));
  v.expect(difference.empty(), "recall-table", "recall.json: " + difference + ", as facts.jsonl and probes.jsonl give");
  expect_text(
      run, "recall.md", [&](const Json& record) { return recall_markdown(table, record); }, "recall-table", v);
}

}  // namespace templora
