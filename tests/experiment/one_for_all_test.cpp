// Adapters that start from others' A, rates that fall, and one adapter that reads several documents.

#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <random>

#include "../core/fixtures.h"
#include "catch.h"
#include "config/lengths.h"
#include "experiment/temp_lora.h"
#include "lora/peft_folder.h"
#include "made_config.h"
#include "small_loop.h"

using namespace templora;
using namespace templora_test;

namespace {

/// The next tokens of the loop's golden text, cut into documents.
std::vector<Book> golden_books(const std::vector<std::int64_t>& lengths) {
  const at::Tensor ids = goldens::tensor("loop/tokens.safetensors", "tokens");
  std::vector<Book> books;
  std::int64_t next = 0;
  for (const std::int64_t length : lengths) {
    Book& book = books.emplace_back();
    book.name = "golden " + std::to_string(books.size());
    for (const std::int64_t end = next + length; next < end; ++next)
      book.tokens.push_back(ids[next].item<std::int64_t>());
  }
  return books;
}

Config documents_config(const Json& settings, const fs::path& adapter = goldens::folder("loop/adapter")) {
  return made_config({{"lora.rank", "4"},
                      {"lora.alpha", "16"},
                      {"lora.dropout", "0"},
                      {"window.chunk_tokens", "24"},
                      {"train.prefix_tokens", "40"},
                      {"train.learning_rate", "0.005"},
                      {"lora.init_from", adapter.string()}},
                     keys_of(settings));
}

TempLora open_document(LlamaImpl& model, const Config& config, const std::vector<Book>& books, std::size_t index) {
  std::vector<std::int64_t> tokens;
  for (const Book& book : books) tokens.push_back(std::int64_t(book.tokens.size()));
  return TempLora(model, config, books[index], std::int64_t(index), {}, make_optimizer,
                  read_before(config, tokens, index));
}

/// All chunks of all documents, by one adapter where the config says so.
std::vector<std::vector<ChunkResult>> read_all(LlamaImpl& model, const Config& config, const std::vector<Book>& books) {
  std::vector<std::vector<ChunkResult>> results;
  std::vector<std::shared_ptr<TemporaryAdapter>> adapters;
  for (std::size_t i = 0; i < books.size(); ++i) {
    TempLora document = open_document(model, config, books, i);
    if (!adapters.empty() && one_for_all(config)) document.go_on_with(adapters);
    results.emplace_back();
    while (document.next_chunk() < document.chunk_count()) results.back().push_back(document.step());
    adapters = document.adapters();
  }
  return results;
}

std::vector<float> lora_nll(const std::vector<ChunkResult>& results) {
  std::vector<float> all;
  for (const ChunkResult& result : results) all.insert(all.end(), result.lora_nll.begin(), result.lora_nll.end());
  return all;
}

void agree(const ChunkResult& result, const Json& wanted, double tolerance) {
  const ChunkRecord& got = result.record;
  CHECK(got.first_token == wanted.at("first_token"));
  CHECK(got.adapter_version == wanted.at("adapter_version"));
  const Json& rates = wanted.at("learning_rate");
  CHECK(got.trained_chunk.has_value() != rates.empty());
  if (!rates.empty()) CHECK(got.learning_rate == Approx(rates.back().get<double>()).epsilon(1e-7));
  REQUIRE(got.train_loss.size() == wanted.at("train_loss").size());
  for (std::size_t e = 0; e < got.train_loss.size(); ++e)
    CHECK(std::abs(got.train_loss[e] - wanted.at("train_loss")[e].get<double>()) <= tolerance);
  if (got.scored_tokens == 0) return;
  CHECK(std::abs(*got.base_nll - wanted.at("base_nll").get<double>()) <= tolerance);
  CHECK(std::abs(*got.lora_nll - wanted.at("lora_nll").get<double>()) <= tolerance);
}

}  // namespace

TEST_CASE("TempLora: falling rates, AdamW drawn back and one adapter for all documents equal transformers + PEFT",
          "[parity]") {
  Llama model = loop_model();
  const Json golden = goldens::json("decay/expected.json");
  for (const Json& variant : golden.at("variants")) {
    const auto results = read_all(*model, documents_config(variant.at("settings")),
                                  golden_books(variant.at("tokens").get<std::vector<std::int64_t>>()));
    const Json& documents = variant.at("documents");
    REQUIRE(results.size() == documents.size());
    for (std::size_t d = 0; d < results.size(); ++d) {
      REQUIRE(results[d].size() == documents[d].size());
      for (std::size_t i = 0; i < results[d].size(); ++i) {
        INFO(variant.at("name") << " document " << d << " chunk " << i);
        agree(results[d][i], documents[d][i], variant.at("tolerance"));
      }
    }
  }
}

TEST_CASE("TempLora: from A alone an adapter starts as the base, and goes on as PEFT's with B = 0 does", "[parity]") {
  const TempFolder folder;
  StoredAdapter other = read_stored_adapter(goldens::folder("loop/adapter"));
  for (auto& [module, factors] : other.modules) factors.b.fill_(0.05);
  write_peft_files(other, folder.path());
  Llama model = loop_model();
  const std::vector<Book> books = golden_books({240});
  const auto both = read_all(*model, documents_config({}, folder.path()), books).front();
  const auto a = read_all(*model, documents_config({{"lora.init_parts", "a"}}, folder.path()), books).front();
  CHECK_FALSE(same_bits(both[0].lora_nll, both[0].base_nll));
  CHECK(same_bits(a[0].lora_nll, a[0].base_nll));
  const Json golden = goldens::json("loop/expected.json");
  const Json& wanted = golden.at("variants")[0];
  REQUIRE(wanted.at("name") == "default");
  for (std::size_t i = 0; i < a.size(); ++i) agree(a[i], wanted.at("chunks")[i], wanted.at("tolerance"));
}

TEST_CASE("TempLora: an adapter that is drawn back to a start without B is drawn to zero", "[unit]") {
  // Drawn back the whole way before each step, it never goes further than one step from its start.
  const TempFolder folder;
  StoredAdapter other = read_stored_adapter(goldens::folder("loop/adapter"));
  for (auto& [module, factors] : other.modules) factors.b.fill_(0.05);
  write_peft_files(other, folder.path());
  Llama model = loop_model();
  const Config config = documents_config(
      {{"lora.init_parts", "a"}, {"train.decay_to_start", 1}, {"train.learning_rate", 1e-4}}, folder.path());
  const std::vector<Book> books = golden_books({120});
  TempLora document = open_document(*model, config, books, 0);
  while (document.next_chunk() < document.chunk_count()) document.step();
  document.save_adapter(folder / "end");
  const StoredAdapter end = read_stored_adapter(folder / "end");
  for (const auto& [module, factors] : end.modules) {
    CHECK(factors.b.abs().max().item<double>() <= 2e-4);
    CHECK(goldens::largest_difference(factors.a, other.modules.at(module).a) <= 2e-4);
  }
}

TEST_CASE("TempLora: one adapter for all documents keeps its version and knows nothing of what comes later", "[unit]") {
  Llama model = loop_model();
  const std::vector<Book> books = golden_books({101, 72, 67});
  for (const Json& mode : std::vector<Json>{Json::object(),
                                            {{"train.rate_decay", "linear"}},
                                            {{"lora.dropout", 0.1}, {"train.lag_chunks", 1}},
                                            {{"cache.policy", "refill"}, {"cache.refill_tokens", 10}}}) {
    INFO(mode.dump());
    Json settings = mode;
    settings["lora.reset_every_tokens"] = kOneForAll;
    const auto results = read_all(*model, documents_config(settings), books);
    std::int64_t version = 0;
    for (const auto& document : results)
      for (const ChunkResult& result : document) {
        CHECK(result.record.adapter_version == version);
        version += result.record.trained_chunk.has_value();
      }
    // What a document of its own would be, from its first chunk on.
    settings["lora.reset_every_tokens"] = 0;
    settings["train.rate_decay"] = "none";
    const auto apart = read_all(*model, documents_config(settings), books);
    CHECK_FALSE(same_bits(results[1][0].lora_nll, apart[1][0].lora_nll));
    CHECK(same_bits(apart[1][0].lora_nll, apart[1][0].base_nll));

    std::vector<Book> changed = books;
    const std::size_t t = 30;  // in the second chunk of the second document
    for (std::size_t i = t; i < changed[1].tokens.size(); ++i) changed[1].tokens[i] = (changed[1].tokens[i] + 31) % 256;
    settings = mode;
    settings["lora.reset_every_tokens"] = kOneForAll;
    const auto after = read_all(*model, documents_config(settings), changed);
    CHECK(same_bits(lora_nll(results[0]), lora_nll(after[0])));
    const std::vector<float> a = lora_nll(results[1]), b = lora_nll(after[1]);
    const std::size_t before_t = t - (results[1][0].record.tokens - results[1][0].record.scored_tokens);
    CHECK(std::memcmp(a.data(), b.data(), before_t * sizeof(float)) == 0);
    CHECK_FALSE(same_bits(a, b));
    CHECK_FALSE(same_bits(lora_nll(results[2]), lora_nll(after[2])));  // which learnt another second document
  }
}

TEST_CASE("TempLora: one adapter for all documents goes on bit for bit from a saved state", "[unit]") {
  const TempFolder folder;
  const fs::path file = folder / "state.safetensors";
  Llama model = loop_model();
  const std::vector<Book> books = golden_books({101, 72, 67});
  const Config config = documents_config({{"lora.reset_every_tokens", kOneForAll},
                                          {"train.rate_decay", "linear"},
                                          {"train.decay_to_start", 0.05},
                                          {"lora.dropout", 0.2}});
  const auto whole = read_all(*model, config, books);
  std::vector<std::shared_ptr<TemporaryAdapter>> adapters;
  for (const std::int64_t stop : {0, 2, 3}) {  // before, in and behind the second document
    INFO("stopped after " << stop << " chunks");
    Json state;
    std::size_t book = stop == 0 ? 0 : 1;
    {
      TempLora first = open_document(*model, config, books, 0);
      while (first.next_chunk() < first.chunk_count()) first.step();
      if (stop == 0) state = Json::parse(first.state().dump()), first.save_tensors_to(file);
      if (stop > 0) {
        TempLora second = open_document(*model, config, books, 1);
        second.go_on_with(first.adapters());
        for (std::int64_t i = 0; i < stop; ++i) second.step();
        state = Json::parse(second.state().dump());
        second.save_tensors_to(file);
      }
    }
    adapters.clear();
    for (bool resumed = false; book < books.size(); ++book, resumed = true) {
      TempLora document = open_document(*model, config, books, book);
      if (resumed)
        document.go_on_with(adapters);
      else
        document.restore(state, file);
      while (document.next_chunk() < document.chunk_count()) {
        const std::size_t chunk = std::size_t(document.next_chunk());
        CHECK(same_bits(document.step().lora_nll, whole[book][chunk].lora_nll));
      }
      adapters = document.adapters();
    }
  }
}
