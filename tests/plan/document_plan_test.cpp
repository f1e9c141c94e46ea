#include "plan/document_plan.h"

#include <algorithm>
#include <random>

#include "catch.h"
#include "config/lengths.h"
#include "plan/cache_plan.h"

using namespace templora;

// A second derivation of what each chunk sees and learns, token by token and without the plan's code: slow, plain, and
// the reason why a run's plan may be executed, priced and verified by one piece of code.
namespace {

/// The text's positions that are in sight before each chunk, as cache.policy is described in docs/config.md.
class SightOracle {
 public:
  explicit SightOracle(const Config& c) : c_(c) {}

  std::vector<std::int64_t> before(const Chunk& chunk) {
    const std::int64_t end = chunk.first;
    if (end > 0) {
      switch (c_.cache.policy) {
        case CachePolicy::rebuild: keep_last(*c_.window.context_tokens, end); break;
        case CachePolicy::refill:
          if (std::int64_t(seen_.size()) + chunk.count > window()) keep_last(c_.cache.refill_tokens, end);
          break;
        case CachePolicy::every_k: {
          const std::int64_t most =
              *c_.window.context_tokens +
              c_.cache.rebuild_every_chunks * std::max(c_.window.chunk_tokens, *c_.window.first_chunk_tokens);
          if (chunks_ >= c_.cache.rebuild_every_chunks || std::int64_t(seen_.size()) + chunk.count > most)
            keep_last(*c_.window.context_tokens, end), chunks_ = 0;
          break;
        }
        case CachePolicy::last_n:
          while (std::int64_t(seen_.size()) > std::max<std::int64_t>(window() - chunk.count, 1)) {
            const auto allowed = std::max<std::int64_t>(window() - chunk.count, 1);
            seen_.erase(seen_.begin() + std::min(c_.cache.sink_tokens, allowed - 1));
          }
          break;
      }
    }
    ++chunks_;
    const std::vector<std::int64_t> before = seen_;
    for (std::int64_t t = chunk.first; t < chunk.end(); ++t) seen_.push_back(t);
    return before;
  }

 private:
  std::int64_t window() const {
    return c_.cache.window_tokens.value_or(*c_.window.context_tokens + c_.window.chunk_tokens);
  }
  void keep_last(std::int64_t tokens, std::int64_t end) {
    seen_.clear();
    for (std::int64_t t = std::max<std::int64_t>(0, end - tokens); t < end; ++t) seen_.push_back(t);
  }
  const Config& c_;
  std::vector<std::int64_t> seen_;
  std::int64_t chunks_ = 0;
};

/// Carries out a cache's steps on positions alone: what holds a slot, and the last token in sight, which has none.
struct Slots {
  std::vector<std::int64_t> seen;
  void carry_out(const CacheStep& step) {
    const auto held = std::max<std::int64_t>(0, std::int64_t(seen.size()) - 1);
    switch (step.kind) {
      case CacheStep::Kind::forget: seen.clear(); break;
      case CacheStep::Kind::start:
        REQUIRE(seen.empty());
        seen = {step.first};
        break;
      case CacheStep::Kind::drop:
        REQUIRE((step.first >= 0 && step.tokens > 0 && step.first + step.tokens <= held));
        seen.erase(seen.begin() + step.first, seen.begin() + step.first + step.tokens);
        break;
      case CacheStep::Kind::feed:
        REQUIRE(step.tokens > 0);
        REQUIRE(step.held == held);
        REQUIRE(seen.back() == step.first);  // the pass begins with the token that has no slot yet
        for (std::int64_t t = step.first + 1; t <= step.first + step.tokens; ++t) seen.push_back(t);
        break;
    }
  }
};

Config random_config(std::mt19937& draw) {
  const auto one_of = [&](std::initializer_list<std::int64_t> values) {
    return *(values.begin() + draw() % values.size());
  };
  Config c;
  c.experiment = ExperimentKind::perplexity;
  c.window.chunk_tokens = one_of({1, 3, 8, 10});
  c.window.first_chunk_tokens = one_of({1, 4, 8, 13});
  c.window.context_tokens = one_of({0, 1, 7, 20});
  c.train.prefix_tokens = one_of({0, 7, 20});
  c.train.label_prefix = one_of({0, 0, 1}) == 1;
  c.train.enabled = one_of({0, 1, 1, 1}) == 1;
  c.train.lag_chunks = one_of({0, 0, 1});
  c.train.update_every_chunks = one_of({1, 1, 2, 3});
  c.train.stop_after_tokens = one_of({0, 0, 40, 77});
  c.lora.reset_every_tokens = one_of({0, 0, 16, 50});
  c.lora.dropout = one_of({0, 0, 1}) * 0.1;
  c.cache.policy = CachePolicy(draw() % 4);
  c.cache.refill_tokens = one_of({1, 4, 12});
  c.cache.rebuild_every_chunks = one_of({1, 2, 5});
  c.cache.sink_tokens = one_of({0, 2, 4});
  if (draw() % 2) c.cache.window_tokens = one_of({14, 25, 40});
  return c;
}

}  // namespace

TEST_CASE("DocumentPlan: each chunk sees, scores and learns what a plain reading of the config says", "[unit]") {
  std::mt19937 draw(7);
  for (int round = 0; round < 400; ++round) {
    const Config c = random_config(draw);
    const std::int64_t tokens = 1 + std::int64_t(draw() % 150);
    const DocumentPlan plan(c, tokens);
    std::int64_t next = 0, adapter = 0, place = 0;
    std::vector<std::int64_t> places, adapters;
    for (std::int64_t i = 0; i < plan.size(); ++i) {
      const PlannedChunk& got = plan[i];
      // Chunks follow each other without a gap, the first with a length of its own.
      REQUIRE(got.chunk.first == next);
      REQUIRE(got.chunk.count ==
              std::min(tokens - next, i == 0 ? *c.window.first_chunk_tokens : c.window.chunk_tokens));
      next += got.chunk.count;
      const auto behind = [&](std::int64_t context) { return std::min(context, got.chunk.first); };
      const auto labels = [&](std::int64_t context) { return got.chunk.count - (behind(context) == 0 ? 1 : 0); };
      REQUIRE(got.seen.first == got.chunk.first - behind(*c.window.context_tokens));
      REQUIRE(got.seen.length == behind(*c.window.context_tokens) + got.chunk.count);
      REQUIRE(got.seen.labelled == labels(*c.window.context_tokens));
      REQUIRE(got.segment.length == behind(c.train.prefix_tokens) + got.chunk.count);
      REQUIRE(got.segment.labelled == (c.train.label_prefix ? got.segment.length - 1 : labels(c.train.prefix_tokens)));

      const std::int64_t number = c.lora.reset_every_tokens ? got.chunk.first / c.lora.reset_every_tokens : 0;
      place = i > 0 && number != adapter ? 0 : i == 0 ? 0 : place + 1;
      adapter = number;
      places.push_back(place);
      adapters.push_back(adapter);
      const std::int64_t learnt = i - c.train.lag_chunks;
      bool learns = c.train.enabled && learnt >= 0;
      if (learns) {
        const PlannedChunk& segment = plan[learnt];
        if (c.train.stop_after_tokens && segment.chunk.end() > c.train.stop_after_tokens) learns = false;
        if (adapters[std::size_t(learnt)] != adapter) learns = false;  // it is gone
        if (places[std::size_t(learnt)] % c.train.update_every_chunks) learns = false;
        if (segment.segment.labelled == 0) learns = false;
      }
      REQUIRE(plan.learns_after(i) == (learns ? std::optional(learnt) : std::nullopt));
      const bool same_pass = learns && learnt == i && c.lora.dropout == 0 && c.cache.policy == CachePolicy::rebuild &&
                             got.seen.length == got.segment.length && got.seen.labelled == got.segment.labelled;
      REQUIRE(plan.shares_forward(i) == same_pass);
    }
    REQUIRE(next == tokens);
  }
}

TEST_CASE("DocumentPlan: one adapter for all documents counts its chunks and what is left over all of them", "[unit]") {
  std::mt19937 draw(3);
  for (int round = 0; round < 100; ++round) {
    Config c = random_config(draw);
    c.lora.reset_every_tokens = kOneForAll;
    std::vector<std::int64_t> texts;
    std::int64_t all = 0;
    for (auto left = 1 + draw() % 4; left > 0; --left) {
      texts.push_back(1 + std::int64_t(draw() % 90));
      all += texts.back();
    }
    std::int64_t chunk = 0, token = 0;
    for (std::size_t t = 0; t < texts.size(); ++t) {
      const DocumentPlan plan(c, texts[t], 0, read_before(c, texts, t));
      for (std::int64_t i = 0; i < plan.size(); ++i, ++chunk) {
        REQUIRE(plan[i].place == chunk);
        REQUIRE(plan[i].adapter == 0);
        REQUIRE_FALSE(plan.starts_adapter(i));
        REQUIRE(plan.place_of(i).chunk == chunk);
        REQUIRE(plan.place_of(i).left == Approx(double(all - token) / double(all)));
        token += plan[i].chunk.count;
      }
    }
    // A document of its own has nothing before it.
    c.lora.reset_every_tokens = 0;
    const DocumentPlan plan(c, texts.back(), 0, read_before(c, texts, texts.size() - 1));
    REQUIRE(plan[0].place == 0);
    REQUIRE(plan.place_of(0).left == 1);
    const std::int64_t last = plan.size() - 1;
    REQUIRE(plan.place_of(last).left == Approx(double(plan[last].chunk.count) / double(texts.back())));
  }
}

TEST_CASE("CachePlan: its steps leave in sight what the policy says, and score each token once", "[unit]") {
  std::mt19937 draw(11);
  for (int round = 0; round < 600; ++round) {
    const Config c = random_config(draw);
    const std::vector<Chunk> chunks = DocumentPlan(c, 1 + std::int64_t(draw() % 150)).chunks();
    SightOracle oracle(c);
    CachePlan plan(c);
    Slots slots;
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const Chunk& chunk = chunks[i];
      for (const CacheStep& step : plan.open(chunk.first, chunk.count)) slots.carry_out(step);
      const std::vector<std::int64_t> sight = slots.seen;
      REQUIRE(sight == oracle.before(chunk));
      REQUIRE(plan.visible() == std::int64_t(sight.size()));
      if (draw() % 3 == 0) {  // a resumed run goes on alike
        CachePlan resumed(c);
        resumed.restore(plan.visible(), sight.empty() ? 0 : sight.back() + 1, plan.chunks_since_rebuild());
        plan = resumed;
      }
      const std::vector<CacheStep> fresh = fresh_steps(c, chunks, i, plan.visible());
      REQUIRE(fresh.empty() == (sight.size() < 2));
      Slots anew;
      for (std::size_t s = 0; s + 1 < fresh.size(); ++s) anew.carry_out(fresh[s]);
      if (!fresh.empty()) REQUIRE(anew.seen == sight);

      std::int64_t fed = 0;
      for (const CacheStep& step : plan.score(chunk)) {
        slots.carry_out(step);
        if (step.kind == CacheStep::Kind::feed) fed += step.tokens;
      }
      REQUIRE(fed == chunk.count - (sight.empty() ? 1 : 0));
      REQUIRE(std::int64_t(slots.seen.size()) - 1 <= CachePlan::capacity(c));  // the last one has no slot
    }
  }
}

TEST_CASE("cut_chunks: covers every token once", "[unit]") {
  const auto shape = [](std::int64_t tokens, std::int64_t chunk, std::int64_t first) {
    std::vector<std::pair<std::int64_t, std::int64_t>> out;
    for (const Chunk& c : cut_chunks(tokens, chunk, first)) out.emplace_back(c.first, c.count);
    return out;
  };
  using Shape = std::vector<std::pair<std::int64_t, std::int64_t>>;
  CHECK(shape(0, 4, 4) == Shape{});
  CHECK(shape(3, 4, 8) == Shape{{0, 3}});
  CHECK(shape(8, 4, 8) == Shape{{0, 8}});
  CHECK(shape(10, 4, 4) == Shape{{0, 4}, {4, 4}, {8, 2}});
  CHECK(shape(10, 4, 1) == Shape{{0, 1}, {1, 4}, {5, 4}, {9, 1}});
}
