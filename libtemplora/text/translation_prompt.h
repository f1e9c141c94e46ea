#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/novels.h"
#include "text/tokenizer.h"

namespace templora {

/// The fixed parts of a chat: head, the instruction, a line end, the Chinese lines, middle, the English lines, tail.
struct ChatTemplate {
  std::string head, middle, tail;
  std::vector<std::string> tokens;  ///< what the tokenizer must know as single ids
};

/// "chatml" (Yi), "llama2", "llama3" or "plain" (no marks, for base models). A fixed list: nothing is read from a
/// model folder's chat_template, which is a program. Another name is a broken promise of the caller.
ChatTemplate chat_template(std::string_view name);

/// The released code's instruction: "translate the text below into English", in Chinese.
inline constexpr const char* kTranslateIntoEnglish = "请将下面的文本翻译成英文。";

/// A prompt, and how many of the oldest pairs were left out for it to fit.
struct TranslationPrompt {
  std::vector<std::int64_t> ids;
  std::int64_t cut_pairs = 0;
};

/// A training text; its last `labelled` ids are the chunk's English and the tail.
struct TranslationSegment {
  std::vector<std::int64_t> ids;
  std::int64_t labelled = 0;
  std::int64_t cut_pairs = 0;
};

/// Makes the token streams of the GuoFeng experiment (the paper's section on translation; the released loop).
///
/// A prompt is head, zh of all earlier pairs each followed by a line end, the zh to translate, middle, en of all
/// earlier pairs each followed by a line end; the model goes on with the translation. A training text is head, zh of
/// all pairs, middle, en of all pairs, tail; the last zh and the last en have no line end.
///
/// How these texts become ids:
/// - official: a prompt is tokenised as one string, the reference on its own, a training text sentence by sentence,
///   each with its line end, as the released code does. Ids of one sentence may differ between the three.
/// - corrected: every sentence, line end and fixed part is tokenised as it stands behind a line end, so a sentence
///   has the same ids wherever it occurs, and what is trained on is what is generated and scored.
///
/// BOS stands once, at the start, where the tokenizer adds one.
class TranslationPrompts {
 public:
  /// The tokenizer must outlive this object. Throws Error(usage) where it lacks a token of the template.
  TranslationPrompts(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& instruction,
                     bool official);

  /// Asks for the translation of `zh` after `history`. Where the prompt is longer than `most_tokens`, the oldest
  /// pairs go, both sides, until it fits. Throws Error(bad_input) where it does not fit without history either.
  TranslationPrompt prompt(std::span<const SentencePair> history, std::string_view zh, std::int64_t most_tokens) const;

  /// The reference as it is appended to a prompt, without the tail.
  std::vector<std::int64_t> reference(std::string_view en) const;

  /// Training text of the last `chunk_pairs` of `pairs`, the others being context. Cut as prompt() cuts, context
  /// first, then the chunk's oldest pairs, of which one stays.
  TranslationSegment training_segment(std::span<const SentencePair> pairs, std::size_t chunk_pairs,
                                      std::int64_t most_tokens) const;

  /// Ids of `text` as it stands behind a line end.
  std::vector<std::int64_t> line_ids(std::string_view text) const;

  /// Where a translation ends unless told otherwise: the tail, a line end.
  std::vector<std::string> stops() const;

  /// A generated text as it is compared and kept: decoded, without the tail and the token of `stop_tokens` that ended
  /// it, without outer white space.
  std::string clean(std::span<const std::int64_t> generated, std::span<const std::int64_t> stop_tokens) const;

 private:
  using Ids = std::vector<std::int64_t>;
  Ids prompt_ids(std::span<const SentencePair> history, std::string_view zh) const;
  TranslationSegment segment_ids(std::span<const SentencePair> pairs, std::size_t chunk_pairs) const;
  Ids sentence(std::string_view text, bool line_end) const;
  Ids part(std::string_view text) const;
  void append(Ids& out, const Ids& ids) const;

  const Tokenizer& tokenizer_;
  ChatTemplate chat_;
  std::string head_;  // with the instruction and its line end
  bool official_;
  Ids line_end_, head_ids_, middle_ids_, tail_ids_;
};

}  // namespace templora
