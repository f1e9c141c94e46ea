#include "text/translation_prompt.h"

#include <fmt/format.h>

#include <filesystem>

#include "../core/fixtures.h"
#include "catch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "text/tokenizer_goldens.h"
#include "text_parts.h"

// Goldens come from scripts/reference/prompts_goldens.py.

using namespace templora;
using namespace templora_test;

namespace {

constexpr std::int64_t kAll = 1 << 20;

using Ids = std::vector<std::int64_t>;

Json golden(const std::string& name) {
  const fs::path path = kSource / "tests/goldens/prompts" / name;
  return parse_json(read_file(path), path.string());
}

std::vector<SentencePair> pairs_of(const Json& json) {
  std::vector<SentencePair> pairs;
  for (const Json& pair : json) pairs.push_back({pair.at("zh").get<std::string>(), pair.at("en").get<std::string>()});
  return pairs;
}

std::vector<SentencePair> joined(std::vector<SentencePair> a, const std::vector<SentencePair>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("TranslationPrompts: prompts, references and segments have the ids of the released loop", "[parity]") {
  const Json expected = golden("expected.json");
  const std::vector<SentencePair> context = pairs_of(expected.at("context")), chunk = pairs_of(expected.at("chunk"));
  const std::vector<SentencePair> all = joined(context, chunk);
  for (const Json& entry : expected.at("cases")) {
    const std::string tokenizer_name = entry.at("tokenizer"), chat = entry.at("template");
    const bool official = entry.at("official");
    CAPTURE(tokenizer_name, chat, official);
    const Tokenizer tokenizer(kTokenizers / tokenizer_name);
    const TranslationPrompts prompts(tokenizer, chat_template(chat), kTranslateIntoEnglish, official);
    for (const auto& item : entry.at("prompts").items()) {
      const auto i = std::size_t(std::stoul(item.key()));
      CAPTURE(i);
      CHECK(prompts.prompt(std::span(all).first(context.size() + i), chunk[i].zh, kAll).ids == item.value().get<Ids>());
    }
    for (std::size_t i = 0; i < chunk.size(); ++i)
      CHECK(prompts.reference(chunk[i].en) == entry.at("references")[i].get<Ids>());
    const TranslationSegment segment = prompts.training_segment(all, chunk.size(), kAll);
    CHECK(segment.ids == entry.at("lesson").get<Ids>());
    CHECK(segment.labelled == entry.at("labelled").get<std::int64_t>());
  }
  CHECK(expected.at("cases").size() == 18);
}

TEST_CASE("TranslationPrompts: Yi's ids of the shared novels are those of the released loop", "[parity]") {
  if (!fs::exists(kShared / "tokenizers/yi-6b-chat") || !fs::exists(kShared / "guofeng")) {
    WARN("skipped: ../shared/data is not there");
    return;
  }
  const Tokenizer tokenizer(kShared / "tokenizers/yi-6b-chat");
  for (const Json& entry : golden("shared-yi-6b-chat.json")) {
    const TranslationPrompts prompts(tokenizer, chat_template("chatml"), kTranslateIntoEnglish, entry.at("official"));
    const Novel novel = read_novel(kShared / "guofeng" / entry.at("novel").get<std::string>(), entry.at("context"), 0);
    for (std::size_t c = 0; c < entry.at("chunks").size(); ++c) {
      const Json& wanted = entry.at("chunks")[c];
      const NovelChunk& chunk = novel.chunks[c];
      const std::vector<SentencePair> all = joined(chunk.context, chunk.pairs);
      Ids made, references;
      for (std::size_t i = 0; i < chunk.pairs.size(); ++i) {
        const Ids ids = prompts.prompt(std::span(all).first(chunk.context.size() + i), chunk.pairs[i].zh, kAll).ids;
        made.insert(made.end(), ids.begin(), ids.end());
        const Ids reference = prompts.reference(chunk.pairs[i].en);
        references.insert(references.end(), reference.begin(), reference.end());
      }
      const TranslationSegment segment = prompts.training_segment(all, chunk.pairs.size(), kAll);
      CAPTURE(entry.at("novel").get<std::string>(), c);
      CHECK(hash_ids(made) == wanted.at("prompts").get<std::string>());
      CHECK(hash_ids(references) == wanted.at("references").get<std::string>());
      CHECK(hash_ids(segment.ids) == wanted.at("lesson").get<std::string>());
      CHECK(segment.labelled == wanted.at("labelled").get<std::int64_t>());
    }
  }
}

TEST_CASE("TranslationPrompts: corrected ids of a sentence are the same in prompts, references and segments",
          "[unit]") {
  const Tokenizer tokenizer(kTokenizers / "bare");
  const TranslationPrompts prompts(tokenizer, chat_template("plain"), kTranslateIntoEnglish, false);
  const std::vector<SentencePair> pairs{{"one", "The voice of him"}, {"two", " that crieth"}};
  const Ids reference = prompts.reference(pairs[1].en);
  Ids scored = prompts.prompt(std::span(pairs).first(1), pairs[1].zh, kAll).ids;
  scored.insert(scored.end(), reference.begin(), reference.end());
  const TranslationSegment segment = prompts.training_segment(pairs, 1, kAll);
  // What is trained on is what was scored, and the tail.
  REQUIRE(segment.ids.size() >= scored.size());
  CHECK(Ids(segment.ids.begin(), segment.ids.begin() + std::ptrdiff_t(scored.size())) == scored);
  CHECK(segment.labelled == std::int64_t(segment.ids.size() - scored.size() + reference.size()));
}

TEST_CASE("TranslationPrompts: what is longer than the window loses its oldest pairs, both sides", "[unit]") {
  const Tokenizer tokenizer(kTokenizers / "no-prefix");
  const TranslationPrompts prompts(tokenizer, chat_template("chatml"), kTranslateIntoEnglish, true);
  std::vector<SentencePair> pairs;
  for (int i = 0; i < 9; ++i) pairs.push_back({fmt::format("zh {}", i), fmt::format("The sun also ariseth, {}.", i)});
  const auto length_without = [&](std::size_t cut) {
    return std::int64_t(prompts.prompt(std::span(pairs).subspan(cut), "last", kAll).ids.size());
  };
  for (const std::size_t cut : {0u, 1u, 4u, 9u}) {
    const TranslationPrompt fitted = prompts.prompt(pairs, "last", length_without(cut));
    CHECK(fitted.cut_pairs == std::int64_t(cut));
    CHECK(fitted.ids == prompts.prompt(std::span(pairs).subspan(cut), "last", kAll).ids);
    if (cut > 0) CHECK(prompts.prompt(pairs, "last", length_without(cut) + 1).cut_pairs == std::int64_t(cut));
  }
  CHECK(thrown_by([&] { prompts.prompt(pairs, "last", length_without(9) - 1); }).says("translation.window_tokens"));

  const TranslationSegment whole = prompts.training_segment(pairs, 3, kAll);
  const auto segment_without = [&](std::size_t cut, std::size_t chunk) {
    return prompts.training_segment(std::span(pairs).subspan(cut), chunk, kAll);
  };
  CHECK(prompts.training_segment(pairs, 3, std::int64_t(whole.ids.size())).cut_pairs == 0);
  const TranslationSegment less = prompts.training_segment(pairs, 3, std::int64_t(whole.ids.size()) - 1);
  CHECK(less.cut_pairs == 1);
  CHECK(less.ids == segment_without(1, 3).ids);
  CHECK(less.labelled == whole.labelled);
  const TranslationSegment least = prompts.training_segment(pairs, 3, std::int64_t(segment_without(8, 1).ids.size()));
  CHECK(least.cut_pairs == 8);
  CHECK(least.labelled == segment_without(8, 1).labelled);
  CHECK_THROWS_AS(prompts.training_segment(pairs, 3, 5), Error);
}

TEST_CASE("TranslationPrompts: a template whose marks the tokenizer does not know is refused by name", "[unit]") {
  const Tokenizer tokenizer(kTokenizers / "bare");
  for (const auto& [chat, mark] : {std::pair{"chatml", "<|im_start|>"}, std::pair{"llama3", "<|start_header_id|>"}}) {
    const Thrown thrown =
        thrown_by([&, chat = chat] { TranslationPrompts(tokenizer, chat_template(chat), "Translate.", true); });
    check_has(thrown.message, mark);
    check_has(thrown.message, "translation.prompt");
  }
  CHECK_NOTHROW(TranslationPrompts(tokenizer, chat_template("plain"), "Translate.", true));
}

TEST_CASE("TranslationPrompts: a generated text loses its end mark and outer white space", "[unit]") {
  const Tokenizer tokenizer(kTokenizers / "no-prefix");
  const TranslationPrompts prompts(tokenizer, chat_template("chatml"), kTranslateIntoEnglish, true);
  CHECK(prompts.clean(tokenizer.encode(" The sun ariseth. <|im_end|>\n", false), {}) == "The sun ariseth.");
  CHECK(prompts.clean({}, {}) == "");
  CHECK(prompts.line_ids("<|im_end|>") == Ids{tokenizer.token_id("<|im_end|>")});
  CHECK(prompts.line_ids("\n").size() == 1);
}

TEST_CASE("TranslationPrompts: a spelled-out mark keeps the spaces that the tokenizer writes before the end mark",
          "[unit]") {
  const Tokenizer tokenizer(kTokenizers / "no-prefix");
  const TranslationPrompts prompts(tokenizer, chat_template("chatml"), kTranslateIntoEnglish, true);
  const std::int64_t start = tokenizer.token_id("<|im_start|>"), end = tokenizer.token_id("<|im_end|>");
  Ids ids{start};
  for (const std::int64_t id : tokenizer.encode(" The sun.", false)) ids.push_back(id);
  CHECK(prompts.clean(ids, Ids{end}) == "<|im_start|> The sun.");
  const std::int64_t last = ids.back();
  CHECK(prompts.clean(ids, Ids{last}) == "<|im_start|> The sun");  // any other stop is no part of the text
  ids.push_back(end);
  CHECK(prompts.clean(ids, Ids{end}) == "<|im_start|>  The sun.");
}
