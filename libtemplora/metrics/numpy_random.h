#pragma once

#include <cstdint>

namespace templora {

/// The numbers that numpy.random.default_rng(seed) draws (PCG64, O'Neill 2014, seeded by a SeedSequence), so that a
/// test that is defined by them gives the same result here.
class NumpyRandom {
 public:
  explicit NumpyRandom(std::uint64_t seed);
  /// As integers(n) and choice(n) draw one: from 0 to n - 1. `n` is from 1 to 2^32.
  std::uint32_t below(std::uint64_t n);
  /// As integers(2, dtype=bool) draws one.
  bool flip();

 private:
  __extension__ using Wide = unsigned __int128;

  std::uint64_t next64();
  std::uint32_t next32();

  Wide state_ = 0, increment_ = 0;
  std::uint32_t kept_ = 0, bits_ = 0;
  bool has_kept_ = false;
  int bits_left_ = 0;
};

}  // namespace templora
