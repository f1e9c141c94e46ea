#include "experiment/temp_lora.h"

#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "catch.h"
#include "experiment/chunk_values.h"
#include "generate/score.h"
#include "made_config.h"
#include "small_loop.h"

using namespace templora;
using namespace templora_test;

namespace {

Config golden_config(const Json& settings, const std::string& group) {
  return made_config({{"lora.rank", "4"}, {"lora.alpha", "16"}, {"lora.dropout", "0"},
                      {"lora.init_from", goldens::folder(group + "/adapter").string()}},
                     keys_of(settings));
}

std::vector<ChunkResult> run(LlamaImpl& model, const Config& config, const Book& book) {
  TempLora document(model, config, book, 0);
  std::vector<ChunkResult> results;
  while (document.next_chunk() < document.chunk_count()) results.push_back(document.step());
  return results;
}

Config config_with(const Json& extra) {
  Json settings{{"window.chunk_tokens", 24},
                {"window.context_tokens", 40},
                {"train.prefix_tokens", 40},
                {"train.learning_rate", 0.005}};
  settings.update(extra);
  return golden_config(settings, "loop");
}

Config small_config(const std::string& extra_key = "train.epochs", const std::string& extra_value = "2") {
  return config_with({{extra_key, Json::parse(extra_value)}});
}

// Every rule of learning that is not the paper's.
const std::vector<Json> kAblations{
    {{"train.label_prefix", true}},
    {{"train.update_every_chunks", 3}},
    {{"train.hard_quantile", 0.5}, {"train.hard_after_chunks", 2}},
    {{"train.hard_quantile", 0.5}, {"train.hard_after_chunks", 2}, {"train.lag_chunks", 1}},
    {{"train.steps_by_gap", true}, {"train.gap_context_tokens", 8}},
    {{"train.steps_by_gap", true}, {"train.gap_context_tokens", 8}, {"train.lag_chunks", 1}, {"train.warmup_steps", 9}},
    {{"train.optimizer", "sgd"}, {"train.learning_rate", 0.5}},
    {{"train.optimizer", "sgd"},
     {"train.learning_rate", 0.5},
     {"train.decay_to_start", 0.05},
     {"lora.reset_every_tokens", 72},
     {"lora.init_from", nullptr}},
    {{"train.optimizer", "rms"}},
    {{"train.optimizer", "rms"}, {"train.decay_to_start", 0.05}, {"lora.init_from", nullptr}},
    {{"train.optimizer", "rms"}, {"train.moments", "reset"}},
    {{"lora.rows", "chunk"}},
    {{"lora.rows", "chunk"}, {"lora.dropout", 0.1}, {"train.replay_share", 0.3}},
    {{"lora.rows", "chunk"}, {"lora.reset_every_tokens", 72}, {"lora.init_from", nullptr}},
    {{"lora.rows", "chunk"}, {"cache.policy", "refill"}, {"cache.refill_tokens", 20}, {"cache.window_tokens", 90}},
    {{"lora.rows", "chunk"}, {"cache.policy", "last_n"}, {"cache.sink_tokens", 3}},
    {{"train.prefix_gradient", false}},
    {{"train.replay_share", 0.25}, {"train.lag_chunks", 1}},
    {{"neural_cache.entries", 50}},
    {{"bm25.passage_tokens", 10}, {"bm25.query_tokens", 6}},
    {{"train.decay_to_start", 0.05}},
    {{"train.decay_to_start", 0.05}, {"lora.init_parts", "a"}, {"train.moments", "reset"}},
    {{"train.rate_decay", "sqrt"}, {"lora.reset_every_tokens", 72}},
    {{"train.rate_decay", "linear"}, {"train.lag_chunks", 1}},
    {{"lora.update", "full"}, {"lora.init_from", nullptr}, {"train.optimizer", "sgd"}, {"train.learning_rate", 0.1}},
    {{"lora.update", "full"},
     {"lora.init_from", nullptr},
     {"train.optimizer", "rms"},
     {"train.decay_to_start", 0.02},
     {"lora.reset_every_tokens", 72},
     {"lora.rows", "chunk"}}};

}  // namespace

TEST_CASE("TempLora: every variant of the loop equals transformers + PEFT chunk by chunk", "[parity]") {
  Llama model = loop_model();
  const Json index = goldens::json("loop/expected.json");  // a loop over part of a temporary would outlive it
  for (const Json& variant : index.at("variants")) {
    const Config config = golden_config(variant.at("settings"), "loop");
    const std::vector<ChunkResult> results =
        run(*model, config, golden_book("loop/tokens.safetensors", variant.at("tokens")));
    const Json& chunks = variant.at("chunks");
    REQUIRE(results.size() == chunks.size());
    const double tolerance = variant.at("tolerance");
    double moved = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
      const ChunkRecord& got = results[i].record;
      const Json& wanted = chunks[i];
      INFO(variant.at("name") << " chunk " << i);
      CHECK(got.first_token == wanted.at("first_token"));
      CHECK(got.scored_tokens == wanted.at("scored_tokens"));
      CHECK(got.context_tokens == wanted.at("context_tokens"));
      CHECK(got.adapter_version == wanted.at("adapter_version"));
      CHECK((got.trained_chunk ? Json(*got.trained_chunk) : Json(nullptr)) == wanted.at("trained_chunk"));
      REQUIRE(got.train_loss.size() == wanted.at("train_loss").size());
      for (std::size_t e = 0; e < got.train_loss.size(); ++e)
        CHECK(std::abs(got.train_loss[e] - wanted.at("train_loss")[e].get<double>()) <= tolerance);
      if (got.scored_tokens == 0) continue;
      CHECK(std::abs(*got.base_nll - wanted.at("base_nll").get<double>()) <= tolerance);
      CHECK(std::abs(*got.lora_nll - wanted.at("lora_nll").get<double>()) <= tolerance);
      for (std::size_t t = 0; t < results[i].lora_nll.size(); ++t)
        CHECK(std::abs(results[i].lora_nll[t] - wanted.at("lora_token_nll")[t].get<double>()) <= 10 * tolerance);
      moved = std::max(moved, std::abs(*got.lora_nll - *got.base_nll));
    }
    CHECK(moved >= 0.05);  // an adapter that does nothing would agree too
  }
}

TEST_CASE("TempLora: official fidelity trains and scores as the released code", "[parity]") {
  Llama model = load_llama(goldens::folder("official/model"), at::kFloat, at::kCPU);
  const Json golden = goldens::json("official/expected.json");
  const Config config = golden_config(golden.at("settings"), "official");
  CHECK(*config.window.first_chunk_tokens == 1024);
  for (const Json& document : golden.at("documents")) {
    const std::vector<ChunkResult> results =
        run(*model, config, golden_book("official/tokens.safetensors", document.at("tokens")));
    REQUIRE(results.size() == document.at("chunks").size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      INFO(document.at("name") << " chunk " << i);
      CHECK(std::abs(*results[i].record.base_nll - document.at("chunks")[i].at("base_nll").get<double>()) <= 1e-4);
      CHECK(std::abs(*results[i].record.lora_nll - document.at("chunks")[i].at("lora_nll").get<double>()) <= 1e-4);
    }
  }
}

TEST_CASE("TempLora: the shared forward pass gives the loop without it", "[unit]") {
  // With dropout so small that no entry is ever dropped, the pass is not shared but computes the same.
  Llama model = loop_model();
  const Book book = golden_book("loop/tokens.safetensors", 240);
  const auto shared = run(*model, small_config(), book),
             apart = run(*model, small_config("lora.dropout", "1e-12"), book);
  REQUIRE(shared.back().record.shared_forward);
  REQUIRE_FALSE(apart.back().record.shared_forward);
  for (std::size_t i = 0; i < shared.size(); ++i)
    CHECK(std::abs(*shared[i].record.lora_nll - *apart[i].record.lora_nll) <= 1e-5);
}

TEST_CASE("TempLora: changing a token leaves every NLL before it bit-identical, in every mode", "[unit]") {
  std::vector<Json> modes{{{"train.epochs", 2}},
                          {{"lora.dropout", 0.1}},
                          {{"train.lag_chunks", 1}},
                          {{"window.context_tokens", 0}},
                          {{"train.prefix_tokens", 0}},
                          {{"train.moments", "reset"}},
                          {{"train.enabled", false}},
                          {{"window.first_chunk_tokens", 7}},
                          {{"train.warmup_chunks", 2}}};
  modes.insert(modes.end(), kAblations.begin(), kAblations.end());
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Llama model = load_llama(goldens::folder("loop/model"), dtype, at::kCPU);
    for (const Json& mode : modes) {
      const Config config = config_with(mode);
      const Book book = golden_book("loop/tokens.safetensors", 120);
      const std::int64_t t = 77;  // inside the fourth chunk
      Book changed = book;
      for (std::int64_t i = t; i < 120; ++i)
        changed.tokens[std::size_t(i)] = (changed.tokens[std::size_t(i)] + 31) % 256;
      const auto before = run(*model, config, book), after = run(*model, config, changed);
      std::vector<float> a, b;
      for (const auto& r : before) a.insert(a.end(), r.lora_nll.begin(), r.lora_nll.end());
      for (const auto& r : after) b.insert(b.end(), r.lora_nll.begin(), r.lora_nll.end());
      REQUIRE(a.size() == b.size());
      std::int64_t scored_before_t = 0;  // tokens t' < t that are scored
      for (const auto& r : before) {
        const std::int64_t first_scored = r.record.first_token + r.record.tokens - r.record.scored_tokens;
        for (std::int64_t i = first_scored; i < r.record.first_token + r.record.tokens; ++i) scored_before_t += i < t;
      }
      INFO(mode.dump());
      CHECK(std::memcmp(a.data(), b.data(), std::size_t(scored_before_t) * sizeof(float)) == 0);
      CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) != 0);
    }
  }
}

TEST_CASE("TempLora: a chunk's rows see the base's kept keys as a window over all that is in sight", "[unit]") {
  Llama model = loop_model();
  const Book book = golden_book("loop/tokens.safetensors", 120);
  const Json chunk_rows{{"lora.rows", "chunk"}};
  Json anew = chunk_rows, kept = chunk_rows, short_window = chunk_rows;
  anew.update(Json{{"window.context_tokens", 120}, {"train.prefix_tokens", 120}});
  kept.update(Json{{"cache.policy", "refill"}, {"cache.refill_tokens", 20}, {"cache.window_tokens", 150}});
  const auto by_window = run(*model, config_with(anew), book), by_cache = run(*model, config_with(kept), book),
             narrower = run(*model, config_with(short_window), book);
  for (std::size_t i = 0; i < by_window.size(); ++i) {
    INFO("chunk " << i);
    CHECK(by_cache[i].record.context_tokens == by_window[i].record.context_tokens);
    CHECK(std::abs(*by_cache[i].record.base_nll - *by_window[i].record.base_nll) <= 1e-5);
    CHECK(std::abs(*by_cache[i].record.lora_nll - *by_window[i].record.lora_nll) <= 1e-4);
    CHECK(by_cache[i].record.shared_forward);
  }
  CHECK(std::abs(*by_window.back().record.lora_nll - *narrower.back().record.lora_nll) > 1e-4);
}

TEST_CASE("TempLora: a control that learns the text's own chunks learns a chunk's rows as the text's adapter does",
          "[unit]") {
  Llama model = loop_model();
  const Book book = golden_book("loop/tokens.safetensors", 240);
  for (const Json& mode : {Json{{"lora.rows", "chunk"}}, Json{{"lora.rows", "chunk"}, {"train.replay_share", 0.4}},
                           Json{{"train.prefix_gradient", false}}, Json{{"train.replay_share", 0.4}}}) {
    INFO(mode.dump());
    Json settings = mode;
    settings["control"] = {"other_book"};
    const Config config = config_with(settings);
    ControlSegments same;
    for (const Chunk& chunk : cut_chunks(240, 24, 24)) same[Arm::other_book].push_back({&book, chunk});
    TempLora document(*model, config, book, 0, same);
    while (document.next_chunk() < document.chunk_count()) {
      const ChunkRecord record = document.step().record;
      CHECK(std::abs(*record.lora_nll - *record.controls.at(Arm::other_book).nll) <= 1e-4);
    }
  }
}

TEST_CASE("TempLora: a restored document goes on bit for bit", "[unit]") {
  const fs::path file = fs::temp_directory_path() / ("templora-state-" + std::to_string(getpid()) + ".safetensors");
  Llama model = loop_model();
  std::vector<Json> modes{{{"lora.dropout", 0.2}}};  // dropout: the generator's state counts too
  modes.push_back({{"train.hard_quantile", 0.5}, {"score.adapter", false}});  // a rule with nobody to follow it
  modes.insert(modes.end(), kAblations.begin(), kAblations.end());
  for (const Json& mode : modes) {
    INFO(mode.dump());
    const Config config = config_with(mode);
    const Book book = golden_book("loop/tokens.safetensors", 240);
    const auto whole = run(*model, config, book);
    Json state;
    {
      TempLora first(*model, config, book, 0);
      for (int i = 0; i < 4; ++i) first.step();
      state = Json::parse(first.state().dump());
      first.save_tensors_to(file);
    }
    TempLora second(*model, config, book, 0);
    second.restore(state, file);
    for (std::size_t i = 4; i < whole.size(); ++i) CHECK(same_bits(second.step().lora_nll, whole[i].lora_nll));
  }
  fs::remove(file);
}

TEST_CASE("TempLora: with update_every_chunks each module learns its chunks 0, k, 2k, ...", "[unit]") {
  Llama model = loop_model();
  const Config config =
      config_with({{"train.update_every_chunks", 3}, {"lora.reset_every_tokens", 120}});  // a fresh module at chunk 5
  std::int64_t version = 0;
  for (const ChunkResult& result : run(*model, config, golden_book("loop/tokens.safetensors", 240))) {
    const std::int64_t chunk = result.record.chunk;
    if (chunk == 5) version = 0;
    CHECK(result.record.adapter_version == version);
    const bool learnt = chunk % 5 % 3 == 0;
    CHECK(result.record.trained_chunk == (learnt ? std::optional(chunk) : std::nullopt));
    CHECK(result.record.train_loss.empty() == !learnt);
    CHECK(result.record.shared_forward == learnt);
    version += learnt;
  }
}

TEST_CASE("TempLora: with hard_quantile a record's own NLLs say which chunks were learnt", "[unit]") {
  Llama model = loop_model();
  const Config config = config_with({{"train.hard_quantile", 0.5}, {"train.hard_after_chunks", 2}});
  std::vector<double> seen;
  std::int64_t skipped = 0, hard = 0;
  for (const ChunkResult& result : run(*model, config, golden_book("loop/tokens.safetensors", 240))) {
    const double own = *result.record.lora_nll;
    std::vector<double> earlier = seen;
    std::sort(earlier.begin(), earlier.end());
    const bool learnt = earlier.size() < 2 || own >= earlier[(earlier.size() + 1) / 2 - 1];
    CHECK(result.record.trained_chunk.has_value() == learnt);
    if (seen.size() >= 2) ++(learnt ? hard : skipped);
    seen.push_back(own);
  }
  CHECK(skipped > 0);
  CHECK(hard > 0);
}

TEST_CASE("TempLora: with steps_by_gap a record's own NLLs say how often a chunk was learnt", "[unit]") {
  Llama model = loop_model();
  const Config config = config_with({{"train.steps_by_gap", true}, {"train.gap_context_tokens", 8}});
  const Book book = golden_book("loop/tokens.safetensors", 240);
  double sum = 0, count = 0;
  std::set<std::size_t> made;
  for (const ChunkResult& result : run(*model, config, book)) {
    const ChunkRecord& record = result.record;
    REQUIRE(record.short_context_nll.has_value() == (record.context_tokens > 8));
    std::size_t wanted = 2;
    if (record.short_context_nll) {
      const double gap = *record.short_context_nll - *record.lora_nll;
      sum += gap, ++count;
      if (sum > 0) wanted = std::size_t(std::clamp(std::round(2 * gap / (sum / count)), 1.0, 8.0));
    }
    CHECK(record.train_loss.size() == wanted);
    CHECK(record.shared_forward);  // the first step is still the scored pass
    made.insert(wanted);
  }
  CHECK(made.size() > 1);
  // What stands behind the short context is what a plain pass of that length says, before anything was learnt.
  const ChunkResult second = run(
      *model, config_with({{"train.steps_by_gap", true}, {"train.gap_context_tokens", 8}, {"train.learning_rate", 0}}),
      book)[1];
  const ChunkResult plain = run(*model, config_with({{"window.context_tokens", 8}, {"train.enabled", false}}), book)[1];
  CHECK(*second.record.short_context_nll == Approx(*plain.record.lora_nll).epsilon(1e-6));
}

TEST_CASE("TempLora: bm25 puts the passage that the last words find in the oldest tokens' place", "[unit]") {
  Llama model = loop_model();
  const Book book = golden_book("loop/tokens.safetensors", 240);
  constexpr std::int64_t kPassage = 8, kQuery = 6;
  const Config config = config_with({{"bm25.passage_tokens", kPassage}, {"bm25.query_tokens", kQuery}});
  const auto plain = run(*model, config_with(Json::object()), book), with = run(*model, config, book);
  std::set<std::int64_t> found;
  for (std::size_t i = 0; i < with.size(); ++i) {
    const ChunkRecord& record = with[i].record;
    INFO("chunk " << i);
    CHECK(same_bits(with[i].base_nll, plain[i].base_nll));
    CHECK(same_bits(with[i].lora_nll, plain[i].lora_nll));
    const std::vector<float>& got = with[i].control_nll.at(Arm::base_bm25);
    REQUIRE(std::int64_t(got.size()) == record.scored_tokens);
    if (record.context_tokens <= kPassage) {
      CHECK(same_bits(got, with[i].base_nll));  // nothing is out of sight yet
      continue;
    }
    const std::int64_t sight = record.first_token - record.context_tokens + kPassage;
    Bm25 passages;
    for (std::int64_t first = 0; first + kPassage <= sight; first += kPassage)
      passages.add(book.text_of(first, kPassage));
    const auto best =
        std::int64_t(passages.best(book.text_of(record.first_token - kQuery, kQuery), passages.size())) * kPassage;
    found.insert(record.first_token - best);
    std::vector<std::int64_t> ids(book.tokens.begin() + best, book.tokens.begin() + best + kPassage);
    ids.insert(ids.end(), book.tokens.begin() + sight, book.tokens.begin() + record.first_token + record.tokens);
    const at::NoGradGuard no_grad;
    const at::Tensor wanted =
        token_nll(*model, ids_on(at::kCPU, ids).unsqueeze(0), record.scored_tokens).squeeze(0);
    for (std::size_t n = 0; n < got.size(); ++n)
      CHECK(std::abs(got[n] - wanted[std::int64_t(n)].item<float>()) <= 1e-6f);
  }
  CHECK(found.size() > 2);  // it does not always take the same one
}

TEST_CASE("TempLora: controls learn at the chunks at which the module does", "[unit]") {
  Llama model = loop_model();
  const Config config = config_with({{"train.hard_quantile", 0.5}, {"train.hard_after_chunks", 2}});
  const Book book = golden_book("loop/tokens.safetensors", 240);
  Book other = book;
  other.name = "other";
  std::reverse(other.tokens.begin(), other.tokens.end());
  ControlSegments segments;
  for (const Chunk& chunk : cut_chunks(240, 24, 24)) segments[Arm::other_book].push_back({&other, chunk});
  TempLora document(*model, config, book, 0, segments);
  while (document.next_chunk() < document.chunk_count()) {
    const ChunkRecord record = document.step().record;
    CHECK(record.controls.at(Arm::other_book).trained_book.empty() != record.trained_chunk.has_value());
  }
}

TEST_CASE("TempLora: a labelled prefix keeps the scoring pass apart, but for the first chunk", "[unit]") {
  Llama model = loop_model();
  for (const ChunkResult& result :
       run(*model, small_config("train.label_prefix", "true"), golden_book("loop/tokens.safetensors", 120)))
    CHECK(result.record.shared_forward == (result.record.chunk == 0));
}

TEST_CASE("TempLora: a reset starts a fresh module, which knows nothing of what was before", "[unit]") {
  Llama model = loop_model();
  const Config config = small_config("lora.reset_every_tokens", "96");  // every fourth chunk of 24
  const auto results = run(*model, config, golden_book("loop/tokens.safetensors", 240));
  for (const ChunkResult& result : results) {
    CHECK(result.record.adapter_version == result.record.chunk % 4);
    CHECK(same_bits(result.base_nll, result.lora_nll) == (result.record.chunk % 4 == 0));  // B = 0 again
  }
}

TEST_CASE("TempLora: with a lag, no chunk is carried over a reset", "[unit]") {
  Llama model = loop_model();
  Config config = small_config("lora.reset_every_tokens", "96");
  config.train.lag_chunks = 1;
  for (const auto& result : run(*model, config, golden_book("loop/tokens.safetensors", 240)))
    CHECK(result.record.trained_chunk.has_value() == (result.record.chunk % 4 != 0));
}

TEST_CASE("TempLora: after stop_after_tokens the module stays as it is", "[unit]") {
  Llama model = loop_model();
  const auto results =
      run(*model, small_config("train.stop_after_tokens", "100"), golden_book("loop/tokens.safetensors", 240));
  for (const auto& result : results) {
    CHECK(result.record.train_loss.empty() == (result.record.first_token + result.record.tokens > 100));
    CHECK(result.record.adapter_version == std::min<std::int64_t>(result.record.chunk, 4));
  }
}

TEST_CASE("TempLora: the model is bit-identical after the document", "[unit]") {
  Llama model = loop_model();
  const std::string hash = weights_hash(*model);
  run(*model, small_config(), golden_book("loop/tokens.safetensors", 100));
  CHECK(weights_hash(*model) == hash);
}

TEST_CASE("TempLora: a diverging module stops the run with book and chunk named", "[unit]") {
  Llama model = loop_model();
  const Config config = small_config("train.learning_rate", "1e30");
  const Book book = golden_book("loop/tokens.safetensors", 240);
  CHECK_THROWS_WITH(run(*model, config, book), Catch::Matchers::Contains("golden: chunk"));
}
