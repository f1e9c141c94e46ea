#include "config/config_keys.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "../core/fixtures.h"
#include "catch.h"
#include "made_config.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

LoadedConfig parse(const std::string& text, const std::vector<Override>& overrides = {}) {
  return parse_config(text, "test.json", "/base", overrides);
}

LoadedConfig with(const std::vector<Override>& overrides) { return parse(kMinimal, overrides); }

/// The message of the usage error that a config gives; "" where it is accepted.
std::string refused(const std::string& text, const std::vector<Override>& overrides = {}) {
  return templora_test::refusal([&] { parse(text, overrides); }, Exit::usage);
}

std::string refused_set(const std::string& key, const std::string& value) { return refused(kMinimal, {{key, value}}); }

}  // namespace

TEST_CASE("Config: the defaults are the corrected reading of the paper", "[unit]") {
  const LoadedConfig loaded = parse(kMinimal);
  CHECK(loaded.config.window.context_tokens == 3072);
  CHECK(loaded.config.window.first_chunk_tokens == 1024);
  CHECK(loaded.config.train.warmup_steps == 2);
  CHECK(!loaded.config.train.warmup_chunks);
  CHECK(loaded.set_by_fidelity.empty());
  CHECK(loaded.effective.at("train").at("warmup_chunks").is_null());
  CHECK(loaded.effective.at("window").at("context_tokens") == 3072);
}

TEST_CASE("Config: official fidelity sets what was not given and lists it", "[unit]") {
  const LoadedConfig all =
      with({{"fidelity", "official"}, {"window.chunk_tokens", "512"}, {"train.prefix_tokens", "700"}});
  CHECK(all.set_by_fidelity ==
        std::vector<std::string>{"train.warmup_chunks", "window.first_chunk_tokens", "window.context_tokens"});
  CHECK(all.config.train.warmup_chunks == 2);
  CHECK(!all.config.train.warmup_steps);
  CHECK(all.config.window.first_chunk_tokens == 1024);
  CHECK(all.config.window.context_tokens == 700);

  const LoadedConfig some =
      with({{"fidelity", "official"}, {"train.warmup_steps", "5"}, {"window.context_tokens", "0"}});
  CHECK(some.set_by_fidelity == std::vector<std::string>{"window.first_chunk_tokens"});
  CHECK(some.config.train.warmup_steps == 5);
  CHECK(!some.config.train.warmup_chunks);
  CHECK(some.config.window.context_tokens == 0);
}

TEST_CASE("Config: both warm-ups at once are refused", "[unit]") {
  check_has(refused(kMinimal, {{"train.warmup_steps", "2"}, {"train.warmup_chunks", "2"}}), "warmup_chunks");
}

TEST_CASE("Config: the effective config holds every key and gives itself when read again", "[unit]") {
  const LoadedConfig first =
      with({{"fidelity", "official"}, {"train.learning_rate", "3e-5"}, {"model.tokenizer", "t"}});
  const LoadedConfig again = parse(first.effective.dump());
  CHECK(again.effective == first.effective);
  std::size_t fields = 0;
  TrainConfig train;
  visit_fields(train, [&](auto&&...) { ++fields; });
  CHECK(first.effective.at("train").size() == fields);
  CHECK(first.effective.contains("notes"));
}

TEST_CASE("Config: an unknown key names the nearest known one", "[unit]") {
  const std::string nested = refused(R"({"model": {"path": "m"}, "data": {"books": ["b"]}, "lora": {"rnak": 3}})");
  check_has(nested, "test.json: lora.rnak");
  check_has(nested, "lora.rank");
  check_has(refused(R"({"modle": {}, "data": {"books": ["b"]}})"), "is model");
  check_has(refused_set("lora.learning_rate", "1"), "is train.learning_rate");
  check_has(refused_set("rank", "1"), "is lora.rank");
  check_has(refused(R"({"model": {"path": "m"}, "data": {"books": ["b"]}, "train.epochs": 3})"), "nested");
  check_has(refused_set("train.epochz", "1"), "train.epochs");
}

TEST_CASE("Config: wrong types are refused by key, value and wanted type", "[unit]") {
  for (const char* value : {"1.5", "true", "\"3\"", "null", "[1]", "three", "1e3", "99999999999999999999"}) {
    INFO(value);
    const std::string message = refused_set("train.epochs", value);
    check_has(message, "train.epochs");
    check_has(message, "an integer of at least 1 steps");
  }
  check_has(refused_set("train.learning_rate", "true"), "got true, wanted a number");
  check_has(refused_set("data.strip", "1"), "true or false");
  check_has(refused_set("data.books", "a.txt"), "an array of strings");
  check_has(refused_set("data.books", "[3]"), "data.books[0]: got 3");
  check_has(refused_set("score.segment_edges", "[0, 1.5]"), "score.segment_edges[1]");
  check_has(refused_set("model", "3"), "wanted an object");
  check_has(refused("[]"), "wanted one");
  check_has(refused(R"({"model": {"path": 3}, "data": {"books": ["b"]}})"), "model.path: got 3, wanted a string");
  check_has(refused(R"({"model": {"path": null}, "data": {"books": ["b"]}})"), "model.path: got null");
}

TEST_CASE("Config: numbers out of range are refused with the range", "[unit]") {
  check_has(refused_set("lora.dropout", "1"), "from 0 to 0.999");
  check_has(refused_set("train.adam_eps", "0"), "above 0 and at most 1");
  check_has(refused_set("train.lag_chunks", "2"), "from 0 to 1 chunks");
  check_has(refused_set("window.chunk_tokens", "0"), "window.chunk_tokens: got 0");
  check_has(refused_set("window.context_tokens", "-1"), "window.context_tokens");
  check_has(refused_set("window.chunk_tokens", "4611686018427387904"), "window.chunk_tokens");
  check_has(refused_set("lora.layers", "[-1]"), "lora.layers[0]");
}

TEST_CASE("Config: a float field takes an integer", "[unit]") {
  CHECK(with({{"train.learning_rate", "1"}}).config.train.learning_rate == 1.0);
}

TEST_CASE("Config: enums go by name and the error lists the names", "[unit]") {
  CHECK(with({{"model.dtype", "bfloat16"}}).config.model.dtype == Dtype::bfloat16);
  CHECK(with({{"train.moments", "\"reset\""}}).config.train.moments == Moments::reset);
  check_has(refused_set("model.dtype", "float16"), "\"float32\", \"bfloat16\"");
  check_has(refused_set("fidelity", "3"), "\"corrected\", \"official\"");
}

TEST_CASE("Config: control takes a name or an array of names, and mixed_books wants its books", "[unit]") {
  CHECK(with({{"control", "other_book"}}).config.control == std::vector{Control::other_book});
  const auto both = with({{"control", R"(["mixed_books", "other_book"])"}, {"data.control_books", R"(["c.txt"])"}});
  CHECK(both.config.control.size() == 2);
  CHECK(both.effective.at("control") == Json({"mixed_books", "other_book"}));
  CHECK(both.config.data.control_books[0] == "/base/c.txt");
  check_has(refused_set("control", "another_book"), "\"other_book\", \"mixed_books\", \"shuffled_words\"");
  check_has(refused_set("control", R"(["other_book", "other_book"])"), "twice");
  check_has(refused_set("control", "3"), "or an array of them");
  check_has(refused_set("control", "mixed_books"), "data.control_books");
  check_has(refused(kMinimal, {{"control", "other_book"}, {"score.adapter", "false"}}), "score.adapter");
}

TEST_CASE("Config: bm25 wants room in the window for what it asks by, and windows that are computed anew", "[unit]") {
  CHECK(with({{"bm25.passage_tokens", "100"}, {"window.context_tokens", "101"}}).config.bm25.query_tokens == 64);
  CHECK(with({{"bm25.query_tokens", "8"}}).hash == with({}).hash);  // without a passage it decides nothing
  CHECK(with({{"bm25.passage_tokens", "100"}}).hash != with({}).hash);
  check_has(refused(kMinimal, {{"bm25.passage_tokens", "100"}, {"window.context_tokens", "100"}}),
            "less than window.context_tokens, 100");
  check_has(refused(kMinimal, {{"bm25.passage_tokens", "100"}, {"cache.policy", "last_n"}}), "kept keys");
  check_has(refused_set("bm25.passage_tokens", "-1"), "bm25.passage_tokens");
  check_has(refused_set("bm25.query_tokens", "0"), "bm25.query_tokens");
  check_has(refused_set("data.swap_names", "1"), "data.swap_names");
}

TEST_CASE("Config: a run without controls keeps its hash whatever control_books says", "[unit]") {
  CHECK(with({{"data.control_books", R"(["c.txt"])"}}).hash == with({}).hash);
  CHECK(with({{"control", "other_book"}}).hash != with({}).hash);
}

TEST_CASE("Config: keys given twice are refused", "[unit]") {
  check_has(refused(R"({"seed": 1, "seed": 2})"), "seed");
}

TEST_CASE("Config: rules between keys are checked", "[unit]") {
  check_has(refused(R"({"data": {"books": ["b"]}})"), "model.path");
  check_has(refused(R"({"model": {"path": "m"}})"), "data.books");
  check_has(refused_set("data.books", "[]"), "data.books");
  check_has(refused_set("data.books", "[\"\"]"), "data.books[0]");
  check_has(refused_set("lora.targets", "[]"), "lora.targets");
  check_has(refused_set("lora.targets", R"(["q_proj", "q_proj"])"), "none twice");
  check_has(refused_set("lora.targets", R"(["lm_head"])"), "lm_head");
  check_has(refused_set("lora.layers", "[1, 1]"), "lora.layers");
  check_has(refused_set("lora.layers", "[]"), "lora.layers");
  check_has(refused_set("score.segment_edges", "[1, 2]"), "start at 0");
  check_has(refused_set("score.segment_edges", "[0, 2, 2]"), "increase");
  check_has(refused_set("score.segment_edges", "[]"), "score.segment_edges");
  check_has(refused(kMinimal, {{"score.base", "false"}, {"score.adapter", "false"}}), "score.");
  check_has(refused_set("model.device", "gpu"), "cuda:N");
  check_has(refused_set("model.rope_scaling", "3"), "model.rope_scaling");
  CHECK(with({{"model.device", "cuda:1"}}).config.model.device == "cuda:1");
  CHECK(with({{"score.segment_edges", "[0]"}}).config.score.segment_edges == std::vector<std::int64_t>{0});
}

TEST_CASE("Config: --set parses JSON, takes the rest as text and makes sections", "[unit]") {
  CHECK(with({{"model.path", "13"}}).config.model.path == "/base/13");
  CHECK(with({{"model.path", "true"}}).config.model.path == "/base/true");
  CHECK(with({{"model.path", "\"quoted\""}}).config.model.path == "/base/quoted");
  CHECK(with({{"lora.init_from", "7"}}).config.lora.init_from == "/base/7");
  CHECK(!with({{"lora.init_from", "x"}, {"lora.init_from", "null"}}).config.lora.init_from);
  CHECK(with({{"lora.layers", "[0, 2]"}}).config.lora.layers == std::vector<std::int64_t>{0, 2});
  CHECK(with({{"model.rope_scaling.factor", "4"}}).config.model.rope_scaling == Json({{"factor", 4}}));
  CHECK(with({{"notes.paper_value", "null"}}).config.notes->contains("paper_value"));
  check_has(refused_set("train.epochs", "0"), "--set train.epochs=0");
  check_has(refused_set("train..epochs", "1"), "empty name");
  check_has(refused_set("", "1"), "empty name");
  check_has(refused_set("model.path.x", "1"), "model.path");
}

TEST_CASE("Config: relative paths are relative to the config's folder, also those of --set", "[unit]") {
  const LoadedConfig loaded = parse(R"({"model": {"path": "../m/", "tokenizer": "/t/tokenizer.model"},
    "data": {"books": ["b/*.txt", "/x/y.txt"]}, "lora": {"init_from": "./a"}})", {});
  CHECK(loaded.config.model.path == "/m");
  CHECK(loaded.config.model.tokenizer == "/t/tokenizer.model");
  CHECK(loaded.config.data.books == std::vector<std::string>{"/base/b/*.txt", "/x/y.txt"});
  CHECK(loaded.config.lora.init_from == "/base/a");
  CHECK(loaded.effective.at("data").at("books")[0] == "/base/b/*.txt");

  const auto folder = std::filesystem::temp_directory_path() / "templora-config-test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "c.json") << kMinimal;
  CHECK(load_config((folder / "c.json").string(), {}).config.model.path == (folder / "m").string());
  std::filesystem::remove_all(folder);
  CHECK_THROWS_AS(load_config((folder / "c.json").string(), {}), Error);
}

TEST_CASE("Config: the hash follows what is run, not where the checkout lies", "[unit]") {
  const std::string hash = parse(kMinimal).hash;
  CHECK(hash.size() == 12);
  CHECK(parse_config(kMinimal, "other.json", "/elsewhere", {}).hash == hash);
  CHECK(with({{"notes", "a remark"}}).hash == hash);
  CHECK(with({{"run.save_every_chunks", "7"}}).hash == hash);
  CHECK(with({{"train.warmup_steps", "2"}}).hash == hash);  // the default, written down
  CHECK(with({{"seed", "43"}}).hash != hash);
  CHECK(with({{"model.path", "n"}}).hash != hash);
  CHECK(with({{"run.threads", "2"}}).hash != hash);
}

TEST_CASE("Config: keys of other experiments and of a cache that is not kept leave the hash alone", "[unit]") {
  const std::string hash = parse(kMinimal).hash;
  CHECK(hash == "ca638d8a23e5");  // as it was before these sections existed
  CHECK(with({{"generate.temperature", "0.5"}}).hash == hash);
  CHECK(with({{"cache.refill_tokens", "512"}}).hash == hash);
  CHECK(with({{"cache.policy", "every_k"}}).hash != hash);
}

TEST_CASE("Config: cache policies that would reuse nothing are refused", "[unit]") {
  const std::vector<Override> refill = {
      {"cache.policy", "refill"}, {"window.chunk_tokens", "100"}, {"window.context_tokens", "700"}};
  const auto refill_with = [&](const char* key, const char* value) {
    std::vector<Override> all = refill;
    all.push_back({key, value});
    return all;
  };
  check_has(refused(kMinimal, refill_with("cache.refill_tokens", "601")),
            "cache.refill_tokens: got 601, wanted at most");
  CHECK(parse(kMinimal, refill_with("cache.refill_tokens", "600")).config.cache.refill_tokens == 600);
  check_has(refused(kMinimal, refill_with("cache.window_tokens", "1223")), "cache.refill_tokens");
  CHECK(parse(kMinimal, refill_with("cache.window_tokens", "1224")).config.cache.window_tokens == 1224);
  check_has(refused(kMinimal, {{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "1"}}), "at least 2");
  check_has(
      refused(kMinimal, {{"cache.policy", "last_n"}, {"cache.window_tokens", "1028"}, {"cache.sink_tokens", "4"}}),
      "cache.window_tokens");
  check_has(refused(kMinimal, {{"generate.prompt", "a"}, {"generate.prompt_file", "b"}}), "remove one");
  check_has(refused_set("cache.sink_tokens", "4"),
            "cache.sink_tokens: got 4 beside cache.policy \"rebuild\", wanted 0");
  check_has(refused(kMinimal, refill_with("cache.sink_tokens", "4")),
            "cache.sink_tokens: got 4 beside cache.policy \"refill\"");
  CHECK(with({{"cache.policy", "last_n"}, {"cache.sink_tokens", "4"}}).config.cache.sink_tokens == 4);
  check_has(refused_set("generate.min_new_tokens", "257"), "max_new_tokens = 256");
  check_has(refused_set("generate.schedule", "both"), "\"cascaded\", \"parallelized\"");
}

TEST_CASE("Config: schema and reference name every key", "[unit]") {
  const Json schema = config_schema();
  const LoadedConfig loaded = parse(kMinimal);
  const std::string reference = config_reference();
  CHECK(schema.at("$schema") == "https://json-schema.org/draft/2020-12/schema");
  CHECK(schema.at("additionalProperties") == false);
  CHECK(schema.at("anyOf")[0].at("required") == Json::array({"model"}));  // a generation has no data
  CHECK(schema.at("anyOf")[1].at("required") == Json::array({"extends"}));
  CHECK(schema.at("properties").at("experiment").at("enum").back().is_null());
  CHECK(schema.at("properties").at("lora").at("type") == Json::array({"object", "null"}));
  for (const auto& section : loaded.effective.items()) {
    INFO(section.key());
    const Json& in_schema = schema.at("properties").at(section.key());
    if (!section.value().is_object()) {
      check_has(reference, "| `" + section.key() + "` |");
      continue;
    }
    CHECK(in_schema.at("additionalProperties") == false);
    for (const auto& field : section.value().items()) {
      INFO(field.key());
      CHECK(in_schema.at("properties").contains(field.key()));
      check_has(reference, "| `" + section.key() + "." + field.key() + "` |");
    }
  }
  CHECK(schema.at("properties").at("train").at("properties").at("adam_eps").at("exclusiveMinimum") == 0);
  const Json& layers = schema.at("properties").at("lora").at("properties").at("layers");
  CHECK(layers.at("anyOf")[0].at("type") == "array");
  CHECK(layers.at("anyOf")[1].at("type") == "null");
}

TEST_CASE("Config: translation reads novels, and its history is a word or a probability", "[unit]") {
  const std::string minimal =
      R"({"experiment": "translation", "model": {"path": "m"}, "data": {"novels": ["n/*.train"]}})";
  const LoadedConfig loaded = parse(minimal);
  CHECK(loaded.config.data.novels == std::vector<std::string>{"/base/n/*.train"});
  CHECK(loaded.config.translation.tokenization == Tokenization::corrected);
  CHECK(loaded.effective.at("translation").at("history") == "reference");
  const auto share = [&](const std::string& value) {
    return parse(minimal, {{"translation.history", value}}).config.translation.history.reference_share;
  };
  CHECK(share("own") == 0);
  CHECK(share("reference") == 1);
  CHECK(share("0.25") == 0.25);
  CHECK(share("\"0.25\"") == 0.25);
  const LoadedConfig quarter = parse(minimal, {{"translation.history", "0.25"}});
  CHECK(parse(quarter.effective.dump()).effective == quarter.effective);
  CHECK(quarter.hash != loaded.hash);
  for (const char* wrong : {"1.5", "-0.1", "never", "null", "[1]", "\"nan\""})
    check_has(refused(minimal, {{"translation.history", wrong}}), "translation.history");

  const LoadedConfig official = parse(minimal, {{"fidelity", "official"}});
  CHECK(official.set_by_fidelity == std::vector<std::string>{"train.warmup_chunks", "translation.tokenization"});
  CHECK(official.config.translation.tokenization == Tokenization::official);
  check_has(refused(R"({"experiment": "translation", "model": {"path": "m"}})"), "data.novels");
  check_has(refused(minimal, {{"train.lag_chunks", "1"}}), "train.lag_chunks");
  check_has(refused(minimal, {{"cache.policy", "refill"}}),
            "cache.policy: got \"refill\", wanted \"rebuild\": a translation");
  check_has(refused(minimal, {{"cache.window_tokens", "512"}}), "cache.window_tokens: got 512, wanted null");
  check_has(refused(minimal, {{"cache.measure_staleness", "true"}}), "cache.measure_staleness: got true");
  check_has(refused_set("data.books", "[]"), "data.books");
  // Keys of the other experiments leave the hash alone.
  CHECK(parse(minimal, {{"window.chunk_tokens", "7"}}).hash == loaded.hash);
  CHECK(with({{"translation.context", "k3"}}).hash == parse(kMinimal).hash);
}

TEST_CASE("Config: a generation refuses what it does not know", "[unit]") {
  const std::string written = R"({"experiment": "generation", "model": {"path": "m"}, "generate": {"prompt": "p"}})";
  check_has(refused(written, {{"generate.min_new_tokens", "3"}}), "generate.min_new_tokens: got 3, wanted 0");
  check_has(refused(written, {{"generate.max_new_tokens", "3000"}}),
            "generate.max_new_tokens: got 3000, wanted 256: the length of a generation");
  check_has(refused(written, {{"window.first_chunk_tokens", "512"}}),
            "window.first_chunk_tokens: got 512, wanted null");
  const std::vector<Override> policy = {{"cache.policy", "every_k"}, {"cache.measure_staleness", "true"}};
  check_has(refused(written, policy), "cache.measure_staleness: got true, wanted false");
  check_has(refused(written, {{"lora.reset_every_tokens", "7"}}), "lora.reset_every_tokens");
  check_has(refused(written, {{"control", "other_book"}}), "control");
  check_has(refused(written, {{"train.prefix_tokens", "0"}}), "window.context_tokens: got 0");
  check_has(refused(written, {{"window.context_tokens", "0"}, {"cache.policy", "every_k"}}),
            "window.context_tokens: got 0");
  CHECK(parse(written, {{"train.prefix_tokens", "0"}, {"window.context_tokens", "8"}}).config.train.prefix_tokens == 0);
  // What is filled in is taken when it is read again.
  for (const char* fidelity : {"corrected", "official"}) {
    const LoadedConfig loaded = parse(written, {{"fidelity", fidelity}, {"window.chunk_tokens", "300"}});
    CHECK(parse(loaded.effective.dump()).effective == loaded.effective);
  }
}

TEST_CASE("Config: of two --set for one key, the later one counts and is named", "[unit]") {
  CHECK(with({{"train.epochs", "2"}, {"train.epochs", "3"}}).config.train.epochs == 3);
  check_has(refused(kMinimal, {{"train.epochs", "2"}, {"train.epochs", "-1"}}), "--set train.epochs=-1");
}

TEST_CASE("Config: rules of learning that contradict each other are refused", "[unit]") {
  const auto both = [](const Override& a, const Override& b) { return refused(kMinimal, {a, b}); };
  check_has(both({"train.optimizer", "sgd"}, {"train.weight_decay", "0.1"}),
            "train.weight_decay: got 0.1 beside train.optimizer \"sgd\"");
  check_has(refused_set("train.decay_to_start", "1.5"), "train.decay_to_start: got 1.5, wanted a number from 0 to 1");
  check_has(refused_set("train.rate_decay", "cosine"), "\"none\", \"sqrt\", \"linear\"");
  check_has(both({"train.rate_decay", "linear"}, {"lora.reset_every_tokens", "500"}),
            "train.rate_decay: got \"linear\" beside lora.reset_every_tokens 500");
  check_has(refused_set("lora.init_parts", "b"), "\"both\", \"a\"");
  check_has(refused_set("lora.update", "whole"), "\"low_rank\", \"full\"");
  check_has(both({"lora.update", "full"}, {"lora.save_final", "true"}),
            "lora.save_final: got true beside lora.update \"full\"");
  check_has(both({"lora.update", "full"}, {"lora.init_from", "\"x\""}),
            "lora.init_from: got a folder beside lora.update \"full\"");
  check_has(refused_set("lora.init_parts", "a"), "lora.init_parts: got \"a\" without lora.init_from");
  check_has(refused_set("lora.reset_every_tokens", "-2"), "lora.reset_every_tokens: got -2");
  check_has(both({"lora.reset_every_tokens", "-1"}, {"control", "other_book"}),
            "control: got controls beside lora.reset_every_tokens -1");
  check_has(both({"train.optimizer", "sgd"}, {"train.moments", "reset"}), "keeps no moments");
  check_has(both({"train.label_prefix", "true"}, {"train.prefix_tokens", "0"}), "no prefix to label");
  check_has(both({"train.hard_quantile", "0.5"}, {"train.enabled", "false"}), "train.hard_quantile: got a rule");
  check_has(both({"train.update_every_chunks", "2"}, {"train.enabled", "false"}),
            "train.update_every_chunks: got a rule");
  check_has(refused_set("train.hard_quantile", "1"), "from 0 to 0.999999");
  check_has(both({"train.steps_by_gap", "true"}, {"train.gap_context_tokens", "3072"}),
            "wanted less than window.context_tokens, 3072");
  check_has(refused_set("train.update_every_chunks", "0"), "a number from 1 to");
  check_has(refused_set("train.optimizer", "lion"), "\"adamw\", \"sgd\", \"rms\"");
  const std::string written = R"({"experiment": "generation", "model": {"path": "m"}, "generate": {"prompt": "p"}})";
  check_has(refused(written, {{"train.hard_quantile", "0.5"}}),
            "train.hard_quantile: got 0.5, wanted 0.0: a generation does not know it (used by perplexity)");
  check_has(refused(written, {{"train.label_prefix", "true"}}), "train.label_prefix");
  check_has(refused(written, {{"train.rate_decay", "linear"}}), "train.rate_decay: got \"linear\", wanted \"none\" or");
  check_has(refused(written, {{"lora.reset_every_tokens", "-1"}}), "lora.reset_every_tokens: got -1, wanted 0");
  CHECK(parse(written, {{"train.rate_decay", "sqrt"}}).config.train.rate_decay == RateDecay::sqrt);
  CHECK(parse(written, {{"train.optimizer", "rms"}, {"train.decay_to_start", "0.01"}}).config.train.decay_to_start ==
        0.01);
}

TEST_CASE("Config: an ablation's keys change a run's hash only where they change the run", "[unit]") {
  const std::string plain = with({}).hash;
  CHECK(with({{"train.rms_eps", "0.1"}}).hash == plain);
  CHECK(with({{"train.hard_after_chunks", "3"}}).hash == plain);
  CHECK(with({{"train.optimizer", "adamw"}}).hash == plain);
  for (const Override& change : std::vector<Override>{{"train.optimizer", "sgd"},
                                                      {"train.label_prefix", "true"},
                                                      {"train.rate_decay", "sqrt"},
                                                      {"train.decay_to_start", "0.1"},
                                                      {"lora.reset_every_tokens", "-1"},
                                                      {"train.update_every_chunks", "2"},
                                                      {"train.hard_quantile", "0.5"}})
    CHECK(with({change}).hash != plain);
  CHECK(with({{"train.decay_to_start", "0"}}).hash == plain);
  CHECK(with({{"train.rate_decay", "none"}}).hash == plain);
  CHECK(with({{"lora.init_parts", "both"}}).hash == plain);
  CHECK(with({{"lora.update", "low_rank"}}).hash == plain);
  CHECK(with({{"lora.update", "full"}}).hash != plain);
  CHECK(with({{"lora.init_from", "x"}, {"lora.init_parts", "a"}}).hash != with({{"lora.init_from", "x"}}).hash);
  const auto rms = [](const Override& change) { return with({{"train.optimizer", "rms"}, change}).hash; };
  CHECK(rms({"train.rms_eps", "0.1"}) != rms({"train.decay_to_start", "0"}));
  CHECK(rms({"train.decay_to_start", "0.1"}) != rms({"train.decay_to_start", "0"}));
  CHECK(rms({"train.adam_eps", "0.1"}) == rms({"train.decay_to_start", "0"}));
  CHECK(with({{"train.hard_quantile", "0.5"}, {"train.hard_after_chunks", "3"}}).hash !=
        with({{"train.hard_quantile", "0.5"}}).hash);
}
