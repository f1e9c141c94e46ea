#include "report/translation_table.h"

#include "catch.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

TranslationScores scores(double ppl, double bleu, std::int64_t not_stopped) {
  TranslationScores s;
  s.perplexity = ppl;
  s.sentence_perplexity = ppl + 1;
  s.bleu.score = bleu;
  s.bleu.signature = "nrefs:1";
  s.chrf.score = 2 * bleu;
  s.chrf.signature = "nc:6";
  s.released_bleu = bleu / 100;
  s.not_stopped = not_stopped;
  return s;
}

TranslationTable small_table() {
  TranslationTable table;
  table.all = {"all", 1500, 2, 40000, 3, scores(8, 10, 4), scores(6, 15, 0)};
  table.novels = {{"a_b.train", 1500, 2, 40000, 3, scores(8, 10, 4), scores(6, 15, 0)}};
  table.comet_note = "no COMET: translation.comet_model is null";
  return table;
}

}  // namespace

TEST_CASE("translation_markdown: both sides, the change, signatures and what was left out", "[unit]") {
  const Json run{
      {"config",
       {{"model", {{"path", "/m/Yi-6B-Chat"}}}, {"translation", {{"context", "k1"}, {"history", "reference"}}}}}};
  const std::string text = translation_markdown(small_table(), run);
  check_has(text, "Model Yi-6B-Chat · context k1 · history reference");
  check_has(text, "| PPL of the reference | 8.000 | 6.000 | -25.0 |");
  check_has(text, "| BLEU | 10.00 | 15.00 | +50.0 |");
  check_has(text, "| BLEU of the released script (0–1) | 0.1000 | 0.1500 | +50.0 |");
  check_has(text, "| COMET | – | – | – |");
  check_has(text, "no COMET: translation.comet\\_model is null.");
  check_has(text, "BLEU: nrefs:1. chrF2: nc:6.");
  check_has(text, "| a\\_b.train | 1,500 | 40,000 | 8.000 | 6.000 | 10.00 | 15.00 | 20.00 | 30.00 | – | – |");
  check_has(text, "2 pairs have an empty side");
  check_has(text, "whole history of 3 pairs");
  check_has(text, "4 translations by base met no stop");
  CHECK_FALSE(has(text, "by Temp-LoRA met no stop"));
}

TEST_CASE("translation_markdown: one side alone leaves dashes", "[unit]") {
  TranslationTable table = small_table();
  table.all.lora.reset();
  table.novels[0].lora.reset();
  const std::string text = translation_markdown(table, Json());
  check_has(text, "| PPL of the reference | 8.000 | – | – |");
  check_has(text, "| a\\_b.train | 1,500 | 40,000 | 8.000 | – |");
}
