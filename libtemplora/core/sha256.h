#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace templora {

/// Streaming SHA-256 (FIPS 180-4): what publishers give beside their files. Own code, because nothing that the program
/// is linked with has it, and a library more for this one function would be one more to install, find and collect.
class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// 64 lower-case hex digits of everything so far; more may follow.
  std::string hex() const;

 private:
  static constexpr std::size_t kBlock = 64;
  void take_block(const std::byte* block);

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, kBlock> rest_{};  // bytes of a block that is not full
  std::uint64_t bytes_ = 0;
};

/// Whether `text` is 64 lower-case hex digits.
bool is_sha256(std::string_view text);

}  // namespace templora
