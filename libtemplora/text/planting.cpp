#include "text/planting.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "core/ascii_letters.h"
#include "core/error.h"
#include "core/hash.h"

namespace templora {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n'; }

/// A sentence to be planted.
struct Line {
  std::size_t fact = 0;
  FactForm form = FactForm::planted;
  std::string text;
};

/// All sentences in a random order, but corrections behind what they correct.
std::vector<Line> lines_of(const FactDesign& design, std::uint64_t seed) {
  std::vector<Line> lines;
  for (std::size_t f = 0; f < design.facts.size(); ++f) {
    const Fact& fact = design.facts[f];
    const FactNames& names = design.names_of(fact);
    for (std::int64_t i = 0; i < fact.times; ++i)
      lines.push_back({f, FactForm::planted, fact_sentence(fact, FactForm::planted, names.planted[fact.answer])});
    if (fact.corrected)
      lines.push_back(
          {f, FactForm::correction, fact_sentence(fact, FactForm::correction, names.planted[fact.corrected_answer])});
  }
  std::mt19937_64 random(seed);
  for (std::size_t i = lines.size(); i > 1; --i) std::swap(lines[i - 1], lines[random() % i]);
  for (std::size_t f = 0; f < design.facts.size(); ++f) {
    if (!design.facts[f].corrected) continue;
    const auto is = [&](FactForm form) {
      return std::find_if(lines.begin(), lines.end(),
                          [&](const Line& line) { return line.fact == f && line.form == form; });
    };
    const auto said = is(FactForm::planted), corrected = is(FactForm::correction);
    if (corrected < said) std::swap(*said, *corrected);
  }
  return lines;
}

/// Index of the first token that goes beyond the first `bytes` bytes.
std::int64_t token_at(const EncodedText& encoded, std::size_t bytes) {
  return std::upper_bound(encoded.ends.begin(), encoded.ends.end(), bytes) - encoded.ends.begin();
}

/// One of each of `count` equal parts of the candidates.
std::vector<std::size_t> spread(const std::vector<std::size_t>& candidates, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t first = i * candidates.size() / count, end = (i + 1) * candidates.size() / count;
    chosen.push_back(candidates[first + random() % (end - first)]);
  }
  return chosen;
}

}  // namespace

std::vector<std::size_t> sentence_ends(std::string_view text) {
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; i + 2 < text.size(); ++i) {
    if ((text[i] != '.' && text[i] != '!' && text[i] != '?') || !is_space(text[i + 1])) continue;
    std::size_t word = i;
    while (word > 0 && is_lower_ascii(text[word - 1])) --word;
    std::size_t next = i + 1;
    while (next < text.size() && is_space(text[next])) ++next;
    // "Mr." is no end, and neither is "i.e."
    const bool ends_word = i - word >= 2 && (word == 0 || is_space(text[word - 1]));
    if (ends_word && next < text.size() && is_upper_ascii(text[next])) ends.push_back(i + 1);
  }
  return ends;
}

Planting plant_facts(std::string_view text, const std::string& name, const Tokenizer& tokenizer,
                     const PlantOptions& options) {
  Planting planting;
  planting.unplanted_hash = hash_hex(text);
  planting.design = design_facts(tokenizer, text, options.facts);
  const std::vector<Line> lines = lines_of(planting.design, options.facts.seed + 1);

  std::int64_t planted_tokens = 0;
  for (const Line& line : lines) planted_tokens += std::int64_t(ids_behind_sentence(tokenizer, line.text).size());
  const EncodedText before = tokenizer.encode_with_ends(text, true);
  std::vector<std::size_t> candidates;
  for (const std::size_t end : sentence_ends(text))
    if (const std::int64_t token = token_at(before, end);
        token >= options.from_tokens && token + planted_tokens <= options.to_tokens)
      candidates.push_back(end);
  if (candidates.size() < lines.size())
    throw Error(Exit::bad_input,
                fmt::format("{}: got {} ends of sentences between tokens {} and {}, where {} sentences of {} tokens in "
                            "all are to be planted; wanted one each: choose recall.plant_from_tokens and "
                            "plant_to_tokens further apart, or leave the book out",
                            name, candidates.size(), options.from_tokens, options.to_tokens, lines.size(),
                            planted_tokens));

  const std::vector<std::size_t> places = spread(candidates, lines.size(), options.facts.seed + 2);
  std::vector<std::size_t> first_bytes;
  std::size_t copied = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    planting.text.append(text.substr(copied, places[i] - copied));
    first_bytes.push_back(planting.text.size());
    planting.text += lines[i].text;
    copied = places[i];
  }
  planting.text.append(text.substr(copied));

  const EncodedText after = tokenizer.encode_with_ends(planting.text, true);
  planting.mentions.resize(planting.design.facts.size());
  for (std::size_t i = 0; i < lines.size(); ++i)
    planting.mentions[lines[i].fact].push_back({token_at(after, first_bytes[i]),
                                                token_at(after, first_bytes[i] + lines[i].text.size() - 1) + 1});
  for (const std::size_t end : sentence_ends(planting.text)) planting.gaps.push_back(token_at(after, end));
  return planting;
}

}  // namespace templora
