#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace templora {

/// Streaming XXH3-128. Not cryptographic: it detects accidents, not forgery.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// 32 lower-case hex digits of everything so far.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 32 lower-case hex digits.
std::string hash_hex(std::string_view text);

}  // namespace templora
