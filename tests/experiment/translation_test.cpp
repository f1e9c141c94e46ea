#include "experiment/translation.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <set>

#include "../model/goldens.h"
#include "catch.h"
#include "config/config_fields.h"
#include "core/utf8.h"
#include "model/load.h"

// Goldens come from scripts/reference/translation_goldens.py.

using namespace templora;

namespace {

struct Setting {
  Config config;
  Tokenizer tokenizer;
  TranslationPrompts prompts;
  Novel novel;

  Setting(const Json& variant, const std::vector<Override>& more = {})
      : config(config_of(variant, more)),
        tokenizer(fs::path(TEMPLORA_SOURCE_DIR) / "tests/text/goldens/tokenizers" /
                  variant.at("tokenizer").get<std::string>()),
        prompts(tokenizer, chat_template(enum_name(config.translation.prompt)), kTranslateIntoEnglish,
                variant.at("official")),
        novel(read_novel(goldens::folder("translation/novel.train"), std::string(enum_name(config.translation.context)),
                         config.data.max_chunks)) {}

  static Config config_of(const Json& variant, const std::vector<Override>& more) {
    const Json& settings = variant.at("settings");
    std::vector<Override> overrides{{"lora.rank", "4"}, {"lora.alpha", "16"}, {"lora.dropout", "0"},
                                    {"lora.init_from", goldens::folder("translation/adapter").string()},
                                    {"translation.prompt", variant.at("template")}};
    for (const auto& [key, value] : settings.items()) {
      const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      const bool translation = key == "context" || key == "history";
      overrides.push_back(
          {key.find('.') != std::string::npos ? key : (translation ? "translation." : "generate.") + key, text});
    }
    overrides.insert(overrides.end(), more.begin(), more.end());
    return parse_config(R"({"experiment": "translation", "model": {"path": "m"}, "data": {"novels": ["n"]}})", "test",
                        "/tmp", overrides)
        .config;
  }
};

Json variant_named(const std::string& name) {
  const Json expected = goldens::json("translation/expected.json");
  for (const Json& variant : expected.at("variants"))
    if (variant.at("name") == name) return variant;
  FAIL("no variant " << name);
  return {};
}

Llama translation_model() { return load_llama(goldens::folder("translation/model"), at::kFloat, at::kCPU); }

std::vector<TranslatedChunk> translate_all(LlamaImpl& model, const Setting& setting) {
  NovelTranslation novel(model, setting.config, setting.tokenizer, setting.prompts, setting.novel, 0);
  std::vector<TranslatedChunk> chunks;
  while (novel.next_chunk() < novel.chunk_count()) chunks.push_back(novel.step().value());
  return chunks;
}

// Records without times, as text.
std::string lines_of(const std::vector<TranslatedChunk>& chunks) {
  std::string text;
  for (const TranslatedChunk& chunk : chunks) {
    for (const PairRecord& pair : chunk.pairs) text += to_json(pair).dump() + "\n";
    Json record = to_json(chunk.record);
    record.erase("seconds");
    text += record.dump() + "\n";
  }
  return text;
}

// `ids` are of the answer `wanted`, or leave it where the reference's own choice was nearly a tie.
void check_ids(const std::vector<std::int64_t>& ids, const Json& wanted) {
  if (ids != wanted.at("ids").get<std::vector<std::int64_t>>()) CHECK(wanted.at("smallest_gap").get<double>() < 1e-4);
}

}  // namespace

TEST_CASE("NovelTranslation: every answer and reference score equals the released loop on transformers + PEFT",
          "[parity]") {
  Llama model = translation_model();
  const double tolerance = 1e-4;
  const Json expected = goldens::json("translation/expected.json");
  CHECK(expected.at("variants").size() == 6);
  for (const Json& variant : expected.at("variants")) {
    const Setting setting(variant);
    const std::vector<TranslatedChunk> chunks = translate_all(*model, setting);
    REQUIRE(chunks.size() == variant.at("chunks").size());
    double moved = 0;
    for (std::size_t c = 0; c < chunks.size(); ++c) {
      const Json& wanted = variant.at("chunks")[c];
      INFO(variant.at("name") << " chunk " << c);
      CHECK(chunks[c].lesson_tokens == wanted.at("lesson_tokens"));
      CHECK(chunks[c].labelled_tokens == wanted.at("labelled_tokens"));
      for (std::size_t e = 0; e < 2; ++e) {
        CHECK(std::abs(chunks[c].record.train_loss[e] - wanted.at("train_loss")[e].get<double>()) <= tolerance);
        CHECK(chunks[c].record.grad_norm[e] == Approx(wanted.at("grad_norm")[e].get<double>()).epsilon(1e-3));
      }
      for (std::size_t i = 0; i < chunks[c].pairs.size(); ++i) {
        INFO("pair " << i);
        const PairRecord& pair = chunks[c].pairs[i];
        const Json &base = wanted.at("base")[i], &lora = wanted.at("lora")[i];
        CHECK(pair.skipped == base.is_null());
        if (pair.skipped) continue;
        CHECK(pair.reference_tokens == base.at("reference_tokens"));
        CHECK(pair.base_prompt_tokens == base.at("prompt_tokens"));
        CHECK(pair.lora_prompt_tokens == lora.at("prompt_tokens"));
        CHECK(std::abs(*pair.base_nll - base.at("nll").get<double>()) <= tolerance);
        CHECK(std::abs(*pair.lora_nll - lora.at("nll").get<double>()) <= tolerance);
        check_ids(pair.base_ids, base);
        check_ids(pair.lora_ids, lora);
        if (pair.base_ids == base.at("ids").get<std::vector<std::int64_t>>())
          CHECK(*pair.base_text == base.at("text").get<std::string>());
        moved = std::max(moved, std::abs(*pair.base_nll - *pair.lora_nll));
      }
    }
    CHECK(moved >= 0.03);  // an adapter that does nothing would agree too
  }
}

// Its stop test points at the object itself.
static_assert(!std::is_move_constructible_v<NovelTranslation> && !std::is_copy_constructible_v<NovelTranslation>);

TEST_CASE("NovelTranslation: restored between chunks, it goes on bit for bit", "[unit]") {
  Llama model = translation_model();
  const std::vector<std::vector<Override>> all{
      {{"translation.history", "reference"}, {"lora.dropout", "0.1"}},
      {{"translation.history", "own"}, {"lora.dropout", "0.1"}},
      {{"translation.history", "0.5"}, {"lora.dropout", "0.1"}},
      {{"lora.update", "full"},
       {"lora.init_from", "null"},
       {"train.optimizer", "sgd"},
       {"train.learning_rate", "0.05"}}};
  std::set<std::string> results;
  for (const std::vector<Override>& overrides : all) {
    INFO(overrides[0].value);
    const Setting setting(variant_named("official_k1"), overrides);
    const std::string whole = lines_of(translate_all(*model, setting));
    std::vector<TranslatedChunk> parts;
    Json state;
    const fs::path tensors = fs::temp_directory_path() / fmt::format("templora-translation-{}.safetensors", ::getpid());
    while (parts.size() < setting.novel.chunks.size()) {
      NovelTranslation novel(*model, setting.config, setting.tokenizer, setting.prompts, setting.novel, 0);
      if (!parts.empty()) novel.restore(state, tensors);
      parts.push_back(novel.step().value());
      state = Json::parse(novel.state().dump());
      novel.save_tensors_to(tensors);
    }
    fs::remove(tensors);
    CHECK(lines_of(parts) == whole);
    CHECK(results.insert(whole).second);
  }
}

TEST_CASE("NovelTranslation: whole projections learn a novel, and the base's own scores stay", "[unit]") {
  Llama model = translation_model();
  const auto translated = [&](const char* rate) {
    return translate_all(*model, Setting(variant_named("official_k1"), {{"lora.update", "full"},
                                                                        {"lora.init_from", "null"},
                                                                        {"train.optimizer", "sgd"},
                                                                        {"train.learning_rate", rate}}));
  };
  const auto still = translated("0"), learnt = translated("0.05");
  REQUIRE(learnt.size() == still.size());
  for (std::size_t c = 0; c < learnt.size(); ++c)
    for (std::size_t p = 0; p < learnt[c].pairs.size(); ++p) {
      const PairRecord &a = still[c].pairs[p], &b = learnt[c].pairs[p];
      CHECK(a.base_nll == b.base_nll);
      CHECK(a.base_ids == b.base_ids);
      if (a.skipped) continue;
      CHECK(*a.lora_nll == Approx(*a.base_nll).margin(1e-5));
      if (c == 0) CHECK(*b.lora_nll == *a.lora_nll);
      if (c > 0) CHECK(*b.lora_nll != *a.lora_nll);
    }
}

TEST_CASE("NovelTranslation: an interrupted chunk leaves no trace", "[unit]") {
  Llama model = translation_model();
  const Setting setting(variant_named("own"));
  const std::string undisturbed = lines_of(translate_all(*model, setting));
  NovelTranslation novel(*model, setting.config, setting.tokenizer, setting.prompts, setting.novel, 0);
  int asked = 0;
  CHECK_FALSE(novel.step([&] { return ++asked == 60; }).has_value());
  CHECK(asked == 60);
  CHECK(novel.next_chunk() == 0);
  std::vector<TranslatedChunk> chunks;
  while (novel.next_chunk() < novel.chunk_count()) chunks.push_back(novel.step().value());
  CHECK(lines_of(chunks) == undisturbed);
}

TEST_CASE("NovelTranslation: sentences translated at once are those translated one by one", "[unit]") {
  Llama model = translation_model();
  const Json variant = variant_named("official_k1");
  const std::vector<TranslatedChunk> at_once = translate_all(*model, Setting(variant));
  const std::vector<TranslatedChunk> single =
      translate_all(*model, Setting(variant, {{"translation.batch_sentences", "1"}}));
  for (std::size_t c = 0; c < at_once.size(); ++c)
    for (std::size_t i = 0; i < at_once[c].pairs.size(); ++i) {
      CHECK(at_once[c].pairs[i].lora_text == single[c].pairs[i].lora_text);
      CHECK(at_once[c].pairs[i].base_nll.value_or(0) == Approx(single[c].pairs[i].base_nll.value_or(0)).epsilon(1e-5));
    }
}

TEST_CASE("NovelTranslation: a mixture draws the reference or the own text by seed, for both translators alike",
          "[unit]") {
  Llama model = translation_model();
  const auto draws = [&](const char* seed) {
    std::string drawn;
    for (const TranslatedChunk& chunk :
         translate_all(*model, Setting(variant_named("official_k1"), {{"translation.history", "0.5"}, {"seed", seed}})))
      for (const PairRecord& pair : chunk.pairs) drawn += pair.reference_history ? 'r' : 'o';
    return drawn;
  };
  const std::string first = draws("1");
  CHECK(first == draws("1"));
  CHECK(first.find('r') != std::string::npos);
  CHECK(first.find('o') != std::string::npos);
  CHECK(draws("2") != first);
}

TEST_CASE("NovelTranslation: a history longer than the window is cut from the left and counted", "[unit]") {
  Llama model = translation_model();
  const Setting setting(variant_named("corrected_k3"), {{"translation.window_tokens", "160"}});
  std::int64_t cut = 0, cut_pairs = 0;
  for (const TranslatedChunk& chunk : translate_all(*model, setting)) {
    CHECK(chunk.lesson_tokens <= 160);
    cut_pairs += chunk.lesson_cut_pairs;
    for (const PairRecord& pair : chunk.pairs) {
      cut += pair.cut_pairs;
      CHECK(pair.lora_prompt_tokens + setting.config.generate.max_new_tokens <= 160);
    }
  }
  CHECK(cut > 0);
  CHECK(cut_pairs > 0);
  const Setting narrow(variant_named("corrected_k3"), {{"translation.window_tokens", "30"}});
  CHECK_THROWS_AS(translate_all(*model, narrow), Error);
  const Setting beyond(variant_named("corrected_k3"), {{"translation.window_tokens", "4000"}});
  CHECK_THROWS_AS(translate_all(*model, beyond), Error);
}

TEST_CASE("NovelTranslation: stop strings end an answer and are cut off; one that is never met ends it at the length",
          "[unit]") {
  Llama model = translation_model();
  const Json variant = variant_named("official_k1");
  const std::vector<TranslatedChunk> free =
      translate_all(*model, Setting(variant, {{"generate.stop", R"(["never in a thousand years"])"}}));
  for (const PairRecord& pair : free[0].pairs) {
    CHECK_FALSE(pair.base_stopped);
    CHECK(pair.base_ids.size() == 24);
  }
  // One stop that is a single token, and one that is not.
  const std::string text = *free[0].pairs[0].base_text;
  std::vector<std::size_t> starts;
  for (std::size_t at = 0; at < text.size(); at += code_point_at(text, at).bytes) starts.push_back(at);
  REQUIRE(starts.size() > 5);
  for (const std::size_t length : {1, 3}) {
    const std::string stop = text.substr(starts[2], starts[2 + length] - starts[2]);
    INFO("stop " << stop);
    const std::vector<TranslatedChunk> stopped =
        translate_all(*model, Setting(variant, {{"generate.stop", Json::array({stop}).dump()}}));
    CHECK(*stopped[0].pairs[0].base_text == strip(text.substr(0, text.find(stop))));
    CHECK(stopped[0].pairs[0].base_stopped);
    CHECK(stopped[0].pairs[0].base_ids.size() < 24);
  }
}

TEST_CASE("NovelTranslation: a stop that is one piece ends an answer by that piece and by one that contains it",
          "[unit]") {
  Llama model = translation_model();
  const Json variant = variant_named("official_k1");
  const std::vector<TranslatedChunk> free =
      translate_all(*model, Setting(variant, {{"generate.stop", R"(["<|im_end|>"])"}}));
  const Setting setting(variant, {{"generate.stop", R"(["<|im_end|>", "e"])"}});
  const std::int64_t piece = setting.tokenizer.token_id("e");
  REQUIRE(piece >= 0);
  REQUIRE(setting.prompts.line_ids("e") == std::vector<std::int64_t>{piece});
  const std::vector<TranslatedChunk> stopped = translate_all(*model, setting);
  int by_piece = 0, by_other = 0;
  // The base's answers do not depend on what the adapter learns meanwhile.
  for (std::size_t c = 0; c < free.size(); ++c)
    for (std::size_t i = 0; i < free[c].pairs.size(); ++i) {
      const PairRecord &whole = free[c].pairs[i], &pair = stopped[c].pairs[i];
      if (pair.skipped) continue;
      INFO("chunk " << c << " pair " << i << ": " << *whole.base_text);
      const std::size_t at = whole.base_text->find('e');
      CHECK(*pair.base_text == strip(whole.base_text->substr(0, at)));
      if (at == std::string::npos) continue;
      CHECK(pair.base_stopped);
      ++(pair.base_ids.back() == piece ? by_piece : by_other);
    }
  CHECK(by_piece > 0);
  CHECK(by_other > 0);
}

TEST_CASE("NovelTranslation: a mark as a stop is met by its token", "[unit]") {
  Llama model = translation_model();
  const Setting setting(variant_named("official_k1"), {{"generate.stop", R"(["<|im_end|>"])"}});
  const std::int64_t mark = setting.tokenizer.special_token_id("<|im_end|>");
  REQUIRE(mark >= 0);
  int met = 0;
  for (const TranslatedChunk& chunk : translate_all(*model, setting))
    for (const PairRecord& pair : chunk.pairs) {
      if (pair.skipped) continue;
      CHECK(pair.base_stopped == (pair.base_ids.back() == mark));
      CHECK(pair.base_text->find("im_end") == std::string::npos);
      met += pair.base_stopped;
    }
  CHECK(met > 0);
}

TEST_CASE("NovelTranslation: a sampled text depends on the seed and its pair, not on its batch or on who translates",
          "[unit]") {
  Llama model = translation_model();
  const auto sampled = [&](const char* batch, const char* seed) {
    return translate_all(*model, Setting(variant_named("official_k1"), {{"generate.temperature", "1"},
                                                                        {"translation.batch_sentences", batch},
                                                                        {"seed", seed},
                                                                        {"lora.init_from", "null"},
                                                                        {"train.enabled", "false"}}));
  };
  const std::vector<TranslatedChunk> four = sampled("4", "1"), single = sampled("1", "1"), other = sampled("4", "2");
  bool seed_matters = false;
  for (std::size_t c = 0; c < four.size(); ++c)
    for (std::size_t i = 0; i < four[c].pairs.size(); ++i) {
      const PairRecord &a = four[c].pairs[i], &b = single[c].pairs[i];
      INFO("chunk " << c << " pair " << i);
      CHECK(a.base_ids == b.base_ids);
      CHECK(a.lora_ids == b.lora_ids);
      CHECK(a.base_text == b.base_text);
      CHECK(a.lora_text == b.lora_text);
      CHECK(a.base_text == a.lora_text);  // an adapter that has learnt nothing
      seed_matters |= a.base_text != other[c].pairs[i].base_text;
    }
  CHECK(seed_matters);
}

TEST_CASE("NovelTranslation: without the adapter only the base translates, and the other way round", "[unit]") {
  Llama model = translation_model();
  const Json variant = variant_named("official_k1");
  const TranslatedChunk both = translate_all(*model, Setting(variant))[1];
  const TranslatedChunk base = translate_all(*model, Setting(variant, {{"score.adapter", "false"}}))[1];
  const TranslatedChunk lora = translate_all(*model, Setting(variant, {{"score.base", "false"}}))[1];
  CHECK(base.pairs[0].base_text == both.pairs[0].base_text);
  CHECK_FALSE(base.pairs[0].lora_text.has_value());
  CHECK(base.record.train_loss.empty());
  CHECK(lora.pairs[0].lora_text == both.pairs[0].lora_text);
  CHECK(lora.pairs[0].lora_nll == both.pairs[0].lora_nll);
  CHECK_FALSE(lora.pairs[0].base_nll.has_value());
  CHECK(lora.pairs[0].reference_tokens == both.pairs[0].reference_tokens);
}
