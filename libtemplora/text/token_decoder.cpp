#include "text/token_decoder.h"

#include <array>
#include <optional>
#include <utility>

#include "core/utf8.h"
#include "text/code_points.h"

namespace templora {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";

bool printable_byte(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

/// Bytes that print as themselves stand for themselves, the others are numbered from U+0100 on.
const std::array<char32_t, 256>& byte_characters() {
  static const std::array<char32_t, 256> table = [] {
    std::array<char32_t, 256> out{};
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) out[std::size_t(byte)] = printable_byte(byte) ? char32_t(byte) : next++;
    return out;
  }();
  return table;
}

std::optional<char> fallback_byte(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : {token[3], token[4]}) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<char>(static_cast<unsigned char>(value));
}

std::vector<std::string> join_bytes(const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (utf8_error(bytes) == kValidUtf8)
      out.push_back(bytes);
    else
      out.insert(out.end(), bytes.size(), kReplacement);
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (const auto byte = fallback_byte(token)) {
      bytes += *byte;
      continue;
    }
    flush();
    out.push_back(token);
  }
  flush();
  return out;
}

std::string strip(const std::string& token, const DecoderStep& step) {
  std::size_t begin = 0, end = token.size();
  const std::string_view text = token;
  for (std::size_t i = 0; i < step.start && text.substr(begin).starts_with(step.content); ++i)
    begin += step.content.size();
  for (std::size_t i = 0; i < step.stop && end > begin && text.substr(begin, end - begin).ends_with(step.content); ++i)
    end -= step.content.size();
  return token.substr(begin, end - begin);
}

std::string replaced(const std::string& token, const TextPattern& pattern, const std::string& by) {
  std::vector<Span> spans;
  pattern.split(token, 0, spans);
  std::string out;
  for (const Span& span : spans) out += span.match ? by : token.substr(span.begin, span.end - span.begin);
  return out;
}

void apply(std::vector<std::string>& tokens, const DecoderStep& step) {
  using Kind = DecoderStep::Kind;
  if (step.kind == Kind::byte_fallback) {
    tokens = join_bytes(tokens);
  } else if (step.kind == Kind::fuse || step.kind == Kind::byte_level) {
    std::string all, bytes;
    for (const std::string& token : tokens)
      all += step.kind == Kind::byte_level && byte_level_bytes(token, bytes) ? bytes : token;
    tokens = {step.kind == Kind::byte_level ? utf8_with_replacements(all) : all};
  } else {
    TextPattern space;
    space.literal = step.replacement;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (step.kind == Kind::replace) tokens[i] = replaced(tokens[i], step.pattern, step.content);
      if (step.kind == Kind::strip) tokens[i] = strip(tokens[i], step);
      if (step.kind == Kind::metaspace) tokens[i] = replaced(tokens[i], space, i == 0 && step.drops_first ? "" : " ");
    }
  }
}

}  // namespace

char32_t byte_level_character(unsigned char byte) { return byte_characters()[byte]; }

bool byte_level_bytes(std::string_view piece, std::string& out) {
  static const auto bytes = [] {  // of the characters below U+0180; -1 where there is none
    std::array<int, 0x180> table;
    table.fill(-1);
    for (int byte = 0; byte < 256; ++byte) table[byte_characters()[std::size_t(byte)]] = byte;
    return table;
  }();
  out.clear();
  for (const char* at = piece.data(); at < piece.data() + piece.size();) {
    const char32_t character = next_code_point(at);
    if (character >= bytes.size() || bytes[character] < 0) return false;
    out += static_cast<char>(static_cast<unsigned char>(bytes[character]));
  }
  return true;
}

std::string decode_tokens(std::vector<std::string> tokens, const std::vector<DecoderStep>& steps) {
  for (const DecoderStep& step : steps) apply(tokens, step);
  std::string out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && steps.empty()) out += ' ';
    out += tokens[i];
  }
  return out;
}

}  // namespace templora
