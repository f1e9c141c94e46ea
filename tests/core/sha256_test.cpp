#include "core/sha256.h"

#include "catch.h"

using namespace templora;

namespace {

std::string sha256(std::string_view text) {
  Sha256 hasher;
  hasher.update(text);
  return hasher.hex();
}

}  // namespace

// FIPS 180-4's examples, as NIST publishes them.
TEST_CASE("Sha256: gives the published hashes", "[unit]") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("Sha256: pieces of any length hash like the whole, and hex() does not end it", "[unit]") {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7);
  for (const std::size_t piece : {1, 55, 56, 63, 64, 65, 129}) {
    Sha256 hasher;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      hasher.update(std::string_view(text).substr(at, piece));
      CHECK(hasher.hex() == sha256(text.substr(0, at + piece)));
    }
  }
}

TEST_CASE("is_sha256: 64 lower-case hex digits and nothing else", "[unit]") {
  CHECK(is_sha256(sha256("")));
  CHECK_FALSE(is_sha256(""));
  CHECK_FALSE(is_sha256(sha256("").substr(1)));
  CHECK_FALSE(is_sha256("E" + sha256("").substr(1)));
}
