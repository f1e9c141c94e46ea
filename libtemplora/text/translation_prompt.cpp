#include "text/translation_prompt.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "core/error.h"
#include "core/utf8.h"

namespace templora {
namespace {

constexpr std::string_view kLineEnd = "\n";

/// What `make(removed)` gives for the smallest number of removed pairs, from 0 to `pairs`, with which its ids are at
/// most `most`; with all of them removed where none fits. Removing a pair never makes a text longer.
template <class Make>
auto fitted(std::size_t pairs, std::int64_t most, Make&& make) {
  auto text = make(std::size_t{0});
  const auto fits = [&] { return std::int64_t(text.ids.size()) <= most; };
  if (fits() || pairs == 0) return text;
  std::size_t low = 1, high = pairs;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    text = make(middle);
    if (fits())
      high = middle;
    else
      low = middle + 1;
  }
  return make(low);
}

[[noreturn]] void refuse_length(std::string_view sentence, std::size_t length, std::int64_t most) {
  throw Error(Exit::bad_input, fmt::format("\"{}\": got {} tokens with the instruction alone, wanted at most {}; raise "
                                           "translation.window_tokens or lower generate.max_new_tokens",
                                           printable(sentence, 60), length, most));
}

}  // namespace

ChatTemplate chat_template(std::string_view name) {
  if (name == "chatml")
    return {"<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>", {"<|im_start|>", "<|im_end|>"}};
  // Behind the mark stands a line end, not the usual space: a prompt that ends in a space takes it from its first word.
  if (name == "llama2") return {"[INST] ", " [/INST]\n", "</s>", {"</s>"}};
  if (name == "llama3")
    return {"<|start_header_id|>user<|end_header_id|>\n\n",
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
            "<|eot_id|>",
            {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}};
  TEMPLORA_CHECK(name == "plain", fmt::format("no chat template {}", name));
  return {"", "\n\n", "\n", {}};
}

TranslationPrompts::TranslationPrompts(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                       const std::string& instruction, bool official)
    : tokenizer_(tokenizer), chat_(chat), head_(chat.head + instruction + "\n"), official_(official) {
  for (const std::string& token : chat.tokens)
    if (tokenizer.token_id(token) < 0)
      throw Error(Exit::usage,
                  fmt::format("translation.prompt: got a chat template with {}, which the tokenizer does not know; "
                              "choose the template that the model was trained with, or \"plain\"",
                              token));
  line_end_ = tokenizer.encode(kLineEnd, false);
  if (tokenizer.adds_bos()) head_ids_.push_back(tokenizer.bos_id());
  append(head_ids_, tokenizer.encode(head_, false));
  middle_ids_ = part(chat_.middle);
  tail_ids_ = part(chat_.tail);
}

void TranslationPrompts::append(Ids& out, const Ids& ids) const { out.insert(out.end(), ids.begin(), ids.end()); }

std::vector<std::int64_t> TranslationPrompts::line_ids(std::string_view text) const {
  const Ids ids = tokenizer_.encode(std::string(kLineEnd) + std::string(text), false);
  const bool behind = ids.size() >= line_end_.size() && std::equal(line_end_.begin(), line_end_.end(), ids.begin());
  // A piece that holds a line end and what follows it leaves no boundary: then the text stands on its own.
  return behind ? Ids(ids.begin() + std::ptrdiff_t(line_end_.size()), ids.end()) : tokenizer_.encode(text, false);
}

std::vector<std::int64_t> TranslationPrompts::part(std::string_view text) const {
  return official_ ? tokenizer_.encode(text, false) : line_ids(text);
}

std::vector<std::int64_t> TranslationPrompts::sentence(std::string_view text, bool line_end) const {
  if (official_) return tokenizer_.encode(std::string(text) + (line_end ? "\n" : ""), false);
  Ids ids = line_ids(text);
  if (line_end) append(ids, line_ids(kLineEnd));
  return ids;
}

std::vector<std::int64_t> TranslationPrompts::prompt_ids(std::span<const SentencePair> history,
                                                         std::string_view zh) const {
  if (official_) {
    std::string text = head_;
    for (const SentencePair& pair : history) text += pair.zh + "\n";
    text.append(zh).append(chat_.middle);
    for (const SentencePair& pair : history) text += pair.en + "\n";
    Ids ids;
    if (tokenizer_.adds_bos()) ids.push_back(tokenizer_.bos_id());
    append(ids, tokenizer_.encode(text, false));
    return ids;
  }
  Ids ids = head_ids_;
  for (const SentencePair& pair : history) append(ids, sentence(pair.zh, true));
  append(ids, sentence(zh, false));
  append(ids, middle_ids_);
  for (const SentencePair& pair : history) append(ids, sentence(pair.en, true));
  return ids;
}

TranslationPrompt TranslationPrompts::prompt(std::span<const SentencePair> history, std::string_view zh,
                                             std::int64_t most_tokens) const {
  TranslationPrompt prompt = fitted(history.size(), most_tokens, [&](std::size_t removed) {
    return TranslationPrompt{prompt_ids(history.subspan(removed), zh), std::int64_t(removed)};
  });
  if (std::int64_t(prompt.ids.size()) > most_tokens) refuse_length(zh, prompt.ids.size(), most_tokens);
  return prompt;
}

std::vector<std::int64_t> TranslationPrompts::reference(std::string_view en) const { return sentence(en, false); }

TranslationSegment TranslationPrompts::segment_ids(std::span<const SentencePair> pairs, std::size_t chunk_pairs) const {
  TranslationSegment segment{head_ids_, 0, 0};
  for (std::size_t i = 0; i < pairs.size(); ++i) append(segment.ids, sentence(pairs[i].zh, i + 1 < pairs.size()));
  append(segment.ids, middle_ids_);
  std::size_t first_label = segment.ids.size();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (i + chunk_pairs == pairs.size()) first_label = segment.ids.size();
    append(segment.ids, sentence(pairs[i].en, i + 1 < pairs.size()));
  }
  append(segment.ids, tail_ids_);
  segment.labelled = std::int64_t(segment.ids.size() - first_label);
  return segment;
}

TranslationSegment TranslationPrompts::training_segment(std::span<const SentencePair> pairs, std::size_t chunk_pairs,
                                             std::int64_t most_tokens) const {
  TEMPLORA_CHECK(chunk_pairs > 0 && chunk_pairs <= pairs.size(),
                 fmt::format("{} of {} pairs", chunk_pairs, pairs.size()));
  TranslationSegment segment = fitted(pairs.size() - 1, most_tokens, [&](std::size_t removed) {
    const auto kept = pairs.subspan(removed);
    TranslationSegment made = segment_ids(kept, std::min(chunk_pairs, kept.size()));
    made.cut_pairs = std::int64_t(removed);
    return made;
  });
  if (std::int64_t(segment.ids.size()) > most_tokens) refuse_length(pairs.back().zh, segment.ids.size(), most_tokens);
  return segment;
}

std::vector<std::string> TranslationPrompts::stops() const {
  return chat_.tail == kLineEnd ? std::vector<std::string>{chat_.tail}
                                : std::vector<std::string>{chat_.tail, std::string(kLineEnd)};
}

std::string TranslationPrompts::clean(std::span<const std::int64_t> generated,
                                      std::span<const std::int64_t> stop_tokens) const {
  Ids ids(generated.begin(), generated.end());
  // The tail is taken off as text: the tokenizer spaces the special tokens before it differently where it is missing.
  const bool stopped =
      !ids.empty() && std::find(stop_tokens.begin(), stop_tokens.end(), ids.back()) != stop_tokens.end();
  if (stopped && tail_ids_ != Ids{ids.back()}) ids.pop_back();
  std::string text = tokenizer_.decode(ids, false);
  if (!strip(chat_.tail).empty())
    for (std::size_t at = text.find(chat_.tail); at != std::string::npos; at = text.find(chat_.tail, at))
      text.erase(at, chat_.tail.size());
  return std::string(strip(text));
}

}  // namespace templora
