#include "text/xlmr_tokenizer.h"

#include <fmt/format.h>

#include <array>

#include "core/check.h"
#include "core/error.h"
#include "core/file.h"
#include "core/utf8.h"

namespace templora {
namespace {

constexpr std::array<std::string_view, 5> kSpecial{"<s>", "<pad>", "</s>", "<unk>", "<mask>"};
constexpr std::size_t kMask = 4;  // its place in kSpecial; its id depends on the model

// The special token that starts `text`, or kSpecial.size(). None is the start of another.
std::size_t special_at(std::string_view text) {
  std::size_t which = 0;
  while (which < kSpecial.size() && !text.starts_with(kSpecial[which])) ++which;
  return which;
}

}  // namespace

XlmrTokenizer::XlmrTokenizer(const std::filesystem::path& model_file)
    : model_(read_file(model_file), model_file.string(), /*without_dummy_prefix=*/false) {
  constexpr std::array<std::string_view, 3> kFirst{"<unk>", "<s>", "</s>"};
  for (std::size_t id = 0; id < kFirst.size(); ++id) {
    const auto signed_id = static_cast<std::int64_t>(id);
    if (model_.size() > signed_id && model_.piece(signed_id) == kFirst[id]) continue;
    throw Error(Exit::bad_input,
                fmt::format("{}: piece {}: got \"{}\", wanted \"{}\"; is this XLM-R's sentencepiece.bpe.model?",
                            model_file.string(), id,
                            model_.size() > signed_id ? printable(model_.piece(signed_id)) : "", kFirst[id]));
  }
}

void XlmrTokenizer::append_pieces(std::string_view text, std::vector<std::int64_t>& ids) const {
  if (text.empty()) return;
  for (const Piece& piece : model_.encode(text)) {
    // sentencepiece: <unk> <s> </s> ","…; XLM-R: <s> <pad> </s> <unk> ","…
    const std::int64_t id = model_.id(piece.text);
    ids.push_back(id > kEnd ? id + 1 : id == 0 ? kUnknown : id == 1 ? kBegin : kEnd);
  }
}

std::vector<std::int64_t> XlmrTokenizer::encode(std::string_view text, std::size_t max_tokens) const {
  TEMPLORA_CHECK(max_tokens >= 2, "no room for <s> and </s>");
  if (const std::size_t wrong = utf8_error(text); wrong != kValidUtf8)
    throw Error(Exit::bad_input, fmt::format("text: byte {} is not UTF-8, wanted UTF-8; convert it", wrong));
  std::vector<std::int64_t> ids{kBegin};
  std::size_t done = 0;
  // A token after the last one kept changes nothing, so the rest of an over-long text is cut off at a special token.
  for (std::size_t at = text.find('<'); at != std::string_view::npos && ids.size() < max_tokens;
       at = text.find('<', at)) {
    const std::size_t which = special_at(text.substr(at));
    if (which == kSpecial.size()) {
      ++at;
      continue;
    }
    const std::string_view before = text.substr(done, at - done);
    append_pieces(which == kMask ? strip_right(before) : before, ids);
    ids.push_back(which == kMask ? size() - 1 : static_cast<std::int64_t>(which));
    done = at += kSpecial[which].size();
  }
  append_pieces(text.substr(done), ids);
  if (ids.size() > max_tokens - 1) ids.resize(max_tokens - 1);
  ids.push_back(kEnd);
  return ids;
}

}  // namespace templora
