#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/split_pattern.h"

namespace templora {

/// A text made of a piece of another one, and which of that one's bytes each of its bytes stands for.
class AlignedText {
 public:
  /// `original` unchanged, which starts at byte `begin` of the whole text.
  AlignedText(std::string_view original, std::size_t begin) : text_(original), begin_(begin) {}

  const std::string& text() const { return text_; }
  /// How many first bytes of the whole text the first `bytes` bytes stand for, of a character only once all of it does.
  std::size_t end_of(std::size_t bytes) const;
  /// Where in the whole text it starts.
  std::size_t begin() const { return begin_; }

 private:
  friend class AlignedTextBuilder;
  std::string text_;
  std::vector<std::uint32_t> ends_;  // what end_of gives for 1, 2, …; empty for an unchanged text
  std::size_t begin_;
};

/// Makes an AlignedText out of another one's parts and new text.
class AlignedTextBuilder {
 public:
  /// The new text begins at byte `begin` of the old one.
  explicit AlignedTextBuilder(const AlignedText& from, std::size_t begin = 0)
      : from_(from), out_({}, from.end_of(begin)) {}

  void keep(std::size_t begin, std::size_t end);                          ///< bytes of the old text as they are
  void replace(std::size_t begin, std::size_t end, std::string_view by);  ///< bytes of the old text by others
  void insert(std::string_view text, std::size_t at) { replace(at, at, text); }
  std::size_t size() const { return out_.text_.size(); }
  AlignedText take();

 private:
  const AlignedText& from_;
  AlignedText out_;
};

/// A text and the pieces of it that a pre-tokenizer has made so far; what lies outside of them was dropped.
struct TextPieces {
  AlignedText aligned;
  std::vector<Span> spans;

  std::string_view piece(const Span& span) const {
    return std::string_view(aligned.text()).substr(span.begin, span.end - span.begin);
  }
};

}  // namespace templora
