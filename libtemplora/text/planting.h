#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/facts.h"
#include "text/tokenizer.h"

namespace templora {

/// Which facts are planted, and between which tokens of the book.
struct PlantOptions {
  FactOptions facts;
  std::int64_t from_tokens = 0;  ///< no sentence begins before this token of the planted book,
  std::int64_t to_tokens = 0;    ///< and none ends behind this one
};

/// Where a sentence stands in the planted book: tokens [first_token, end_token).
struct Mention {
  std::int64_t first_token = 0;
  std::int64_t end_token = 0;
  bool operator==(const Mention&) const = default;
};

/// A text with facts in it.
struct Planting {
  std::string unplanted_hash;  ///< of the text as it was
  std::string text;            ///< with the sentences
  FactDesign design;
  /// By fact, in the order of the text; a correction stands last.
  std::vector<std::vector<Mention>> mentions;
  /// Tokens of the planted book at which a sentence may be put in without cutting another one, ascending.
  std::vector<std::int64_t> gaps;
};

/// Makes facts for a text (normalised, as a Book's text_hash has it) and puts their sentences behind sentences of it,
/// evenly spread between the two tokens, in an order drawn from the seed. Same text, tokenizer and options, same
/// planting. `name` is the book's, for errors. Throws Error(bad_input) where the text has too few ends of sentences
/// there, and as design_facts() does.
Planting plant_facts(std::string_view text, const std::string& name, const Tokenizer& tokenizer,
                     const PlantOptions& options);

/// Bytes behind the marks of a text that end a sentence of running prose: a word in small letters before it, white
/// space and a capital behind it.
std::vector<std::size_t> sentence_ends(std::string_view text);

}  // namespace templora
