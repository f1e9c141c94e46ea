#include "catch.h"
#include "config/config_fields.h"
#include "config/config_inputs.h"

using namespace templora;

namespace {

std::vector<std::string> keys_with(Role role) {
  std::vector<std::string> keys;
  for (const auto& [key, info] : config_keys())
    if (info.role == role) keys.push_back(key);
  return keys;
}

LoadedConfig loaded(const Json& changes) {
  std::vector<Override> overrides;
  for (const auto& item : changes.items()) overrides.push_back({item.key(), item.value().dump()});
  return parse_config(R"({"model": {"path": "m"}, "data": {"books": ["b"]}, "generate": {"prompt": "p"}})", "test",
                      "/x", overrides);
}

}  // namespace

// A key is a number's unless it says otherwise. These are all that do: another one wants a thought.
TEST_CASE("config keys: what changes no number is listed", "[unit]") {
  using Keys = std::vector<std::string>;
  CHECK(keys_with(Role::input) == Keys{"model.path", "model.tokenizer", "data.books", "data.validation",
                                       "data.control_books", "data.novels", "translation.comet_model", "lora.init_from",
                                       "generate.prompt_file", "generate.from_snapshot"});
  CHECK(keys_with(Role::presentation) ==
        Keys{"score.segment_edges", "cost.reference_window", "cost.device", "cost.shape", "notes"});
  CHECK(keys_with(Role::bookkeeping) == Keys{"score.base_scores", "score.keep_tokens", "pretrain.save_every_steps",
                                             "pretrain.token_cache", "generate.snapshot_every_chunks",
                                             "run.save_every_chunks"});
  for (const auto& [key, info] : config_keys()) {
    INFO(key);
    CHECK((info.users != 0 && (info.users & info.refused) == 0));
    CHECK((info.role != Role::input || info.path));
  }
}

TEST_CASE("config keys: only what counts in an experiment is in its hash; 0.1's had more", "[unit]") {
  const LoadedConfig perplexity = loaded({}), generation = loaded({{"experiment", "generation"}});
  for (const Json& passed_over :
       {Json{{"pretrain.layers", 2}}, Json{{"generate.temperature", 1}}, Json{{"cache.refill_tokens", 9}},
        Json{{"train.rms_eps", 1e-3}}, Json{{"data.control_books", {"c"}}}, Json{{"cost.device", "H100"}}}) {
    INFO(passed_over.dump());
    CHECK(loaded(passed_over).hash == perplexity.hash);
    CHECK(loaded(passed_over).hash_of_0_1 == perplexity.hash_of_0_1);
  }
  for (const Json& counts : {Json{{"train.adam_eps", 1e-3}}, Json{{"train.label_prefix", true}},
                             Json{{"run.threads", 2}}, Json{{"data.strip", false}}, Json{{"control", "other_book"}}})
    CHECK(loaded(counts).hash != perplexity.hash);
  const LoadedConfig other = loaded({{"experiment", "generation"}, {"data.books", {"c"}}, {"data.strip", false}});
  CHECK(other.hash == generation.hash);
  CHECK(other.hash_of_0_1 != generation.hash_of_0_1);
}

TEST_CASE("erase_key: takes a section away with its last key", "[unit]") {
  Json config{{"a", {{"b", 1}, {"c", 2}}}, {"d", 3}};
  erase_key(config, "a.x");
  erase_key(config, "d.b");
  erase_key(config, "a.b");
  CHECK(config == Json{{"a", {{"c", 2}}}, {"d", 3}});
  erase_key(config, "a.c");
  erase_key(config, "d");
  CHECK(config == Json::object());
}
