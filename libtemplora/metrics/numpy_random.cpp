#include "metrics/numpy_random.h"

#include <array>

namespace templora {
namespace {

constexpr std::uint32_t kShift = 16;

/// One step of SeedSequence's hash; the constant changes with each.
std::uint32_t hashed(std::uint32_t value, std::uint32_t& constant, std::uint32_t factor) {
  value ^= constant;
  constant *= factor;
  value *= constant;
  return value ^ (value >> kShift);
}

std::uint32_t mixed(std::uint32_t x, std::uint32_t y) {
  const std::uint32_t result = 0xca01f9ddu * x - 0x4973f715u * y;
  return result ^ (result >> kShift);
}

/// SeedSequence(seed).generate_state(4, uint64).
std::array<std::uint64_t, 4> seed_words(std::uint64_t seed) {
  constexpr std::uint32_t kFactor = 0x931e8875u;
  std::uint32_t constant = 0x43b0d7e5u;
  std::array<std::uint32_t, 4> pool{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32), 0, 0};
  for (std::uint32_t& word : pool) word = hashed(word, constant, kFactor);
  for (std::size_t from = 0; from < pool.size(); ++from)
    for (std::size_t to = 0; to < pool.size(); ++to)
      if (from != to) pool[to] = mixed(pool[to], hashed(pool[from], constant, kFactor));
  constant = 0x8b51f9ddu;
  std::array<std::uint64_t, 4> words{};
  for (std::size_t i = 0; i < 8; ++i)
    words[i / 2] |= std::uint64_t{hashed(pool[i % 4], constant, 0x58f38dedu)} << (32 * (i % 2));
  return words;
}

}  // namespace

NumpyRandom::NumpyRandom(std::uint64_t seed) {
  const std::array<std::uint64_t, 4> words = seed_words(seed);
  increment_ = (Wide{words[2]} << 64 | words[3]) << 1 | 1;
  next64();
  state_ += Wide{words[0]} << 64 | words[1];
  next64();
}

std::uint64_t NumpyRandom::next64() {
  constexpr Wide kFactor = Wide{2549297995355413924ull} << 64 | 4865540595714422341ull;
  state_ = state_ * kFactor + increment_;
  const auto folded = static_cast<std::uint64_t>(state_ >> 64) ^ static_cast<std::uint64_t>(state_);
  const auto turn = static_cast<unsigned>(state_ >> 122);
  return folded >> turn | folded << (-turn & 63);
}

std::uint32_t NumpyRandom::next32() {
  if (has_kept_) {
    has_kept_ = false;
    return kept_;
  }
  const std::uint64_t both = next64();
  kept_ = static_cast<std::uint32_t>(both >> 32);
  has_kept_ = true;
  return static_cast<std::uint32_t>(both);
}

// Lemire 2019: the high half of a product, drawn again where the low half would favour some.
std::uint32_t NumpyRandom::below(std::uint64_t n) {
  if (n == 1) return 0;
  std::uint64_t product = next32() * n;
  if (static_cast<std::uint32_t>(product) < n) {
    const std::uint64_t least = (0x100000000ull - n) % n;
    while (static_cast<std::uint32_t>(product) < least) product = next32() * n;
  }
  return static_cast<std::uint32_t>(product >> 32);
}

bool NumpyRandom::flip() {
  if (bits_left_ == 0) {
    bits_ = next32();
    bits_left_ = 31;
  } else {
    bits_ >>= 1;
    --bits_left_;
  }
  return bits_ & 1;
}

}  // namespace templora
