#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// A text that is longer is refused.
inline constexpr std::size_t kLargestTextBytes = std::size_t{1} << 30;

/// Ids of a text and where in it they end.
struct EncodedText {
  std::vector<std::int64_t> ids;
  std::vector<std::size_t> ends;  ///< bytes; as many as ids
};

/// What Tokenizer asks of the two kinds there are; see there for what each function gives. Texts are valid UTF-8.
class TokenizerEngine {
 public:
  virtual ~TokenizerEngine() = default;
  virtual EncodedText encode(std::string_view text, bool special_tokens) const = 0;
  virtual std::string decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const = 0;
  virtual std::int64_t token_id(std::string_view token) const = 0;
  virtual std::int64_t special_token_id(std::string_view token) const = 0;
  virtual std::int64_t size() const = 0;
  virtual std::int64_t bos_id() const = 0;
  virtual std::int64_t eos_id() const = 0;
  virtual bool adds_bos() const = 0;
  virtual std::string hash() const = 0;
};

}  // namespace templora
