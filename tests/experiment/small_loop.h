#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../model/goldens.h"
#include "model/load.h"
#include "text/books.h"

// What tests of the loop share: the goldens' small model and its text, and texts that are made up.
namespace templora_test {

inline templora::Llama loop_model() {
  return templora::load_llama(templora::goldens::folder("loop/model"), at::kFloat, at::kCPU);
}

/// Gives a book of ids a text: a word for each token, with white space before it.
inline templora::Book spelled(templora::Book book) {
  for (const std::int64_t id : book.tokens) {
    book.text += " w" + std::to_string(id);
    book.ends.push_back(book.text.size());
  }
  return book;
}

/// The first `tokens` of a golden text.
inline templora::Book golden_book(const std::string& file, std::int64_t tokens) {
  const at::Tensor ids = templora::goldens::tensor(file, "tokens");
  templora::Book book;
  book.name = "golden";
  for (std::int64_t i = 0; i < tokens; ++i) book.tokens.push_back(ids[i].item<std::int64_t>());
  return spelled(std::move(book));
}

/// A text of tokens that a small vocabulary has.
inline std::vector<std::int64_t> made_text(std::int64_t tokens, std::int64_t vocab) {
  std::vector<std::int64_t> text;
  for (std::int64_t t = 0; t < tokens; ++t) text.push_back((t * 7 + t * t % 13) % vocab);
  return text;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace templora_test
