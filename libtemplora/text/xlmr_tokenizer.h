#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "text/piece_model.h"

namespace templora {

/// XLM-R's tokenizer over a `sentencepiece.bpe.model` (a unigram model in spite of its name). Ids are those of
/// transformers' XLMRobertaTokenizer: four fixed ones, the pieces from the fourth on moved up by one, <mask> last.
class XlmrTokenizer {
 public:
  static constexpr std::int64_t kBegin = 0;    ///< <s>
  static constexpr std::int64_t kPad = 1;      ///< <pad>
  static constexpr std::int64_t kEnd = 2;      ///< </s>
  static constexpr std::int64_t kUnknown = 3;  ///< <unk>

  /// Throws Error(bad_input) naming the file; also where the model's first pieces are not XLM-R's.
  explicit XlmrTokenizer(const std::filesystem::path& model_file);

  /// <s> text </s>, of a longer text its first `max_tokens` - 2 tokens between them; max_tokens is at least 2.
  /// The five special tokens are recognised in the text, as the reference does it.
  /// Throws Error(bad_input) if the text is not UTF-8.
  std::vector<std::int64_t> encode(std::string_view text, std::size_t max_tokens) const;

  /// Number of ids: every id is below it.
  std::int64_t size() const { return model_.size() + 2; }

 private:
  void append_pieces(std::string_view text, std::vector<std::int64_t>& ids) const;

  PieceModel model_;
};

}  // namespace templora
