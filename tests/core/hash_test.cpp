#include "core/hash.h"

#include "catch.h"
#include "core/error.h"

using namespace templora;

TEST_CASE("Hasher: gives the published XXH3-128 of the empty text", "[unit]") {
  CHECK(hash_hex("") == "99aa06d3014798d86001c324468d497f");
}

TEST_CASE("Hasher: pieces hash like the whole, and a changed bit shows", "[unit]") {
  std::string text(5000, 'a');
  Hasher hasher;
  for (std::size_t at = 0; at < text.size(); at += 7) hasher.update(std::string_view(text).substr(at, 7));
  CHECK(hasher.hex() == hash_hex(text));
  CHECK(hasher.hex() == hash_hex(text));
  text[4321] ^= 1;
  CHECK(hasher.hex() != hash_hex(text));
  CHECK(hash_hex(text).size() == 32);
}

TEST_CASE("printable: control characters and broken UTF-8 are masked, long text is cut at a character", "[unit]") {
  CHECK(printable("a\nb\xff\x1b[31m\xe4\xb8\xad") == "a?b??[31m\xe4\xb8\xad");
  CHECK(printable("\xc3") == "?");
  CHECK(printable("\xc2\x9b" "2J\xc2\xa0") == "?2J\xc2\xa0");  // a C1 control, which some terminals obey
  CHECK(printable("\xed\xa0\x80") == "???");
  CHECK(printable("\xe4\xb8\xad\xe4\xb8\xad", 5) == "\xe4\xb8\xad...");
  CHECK(printable("abc", 3) == "abc");
  // Line and paragraph separators end a line; an override turns round what follows.
  CHECK(printable("a\xe2\x80\xa8" "b\xe2\x80\xae" "c\xe2\x81\xa6") == "a?b?c?");
}
