#include "core/utf8.h"

#include <string>

#include "catch.h"

using namespace templora;

TEST_CASE("utf8_error: names the first byte that is not UTF-8", "[unit]") {
  CHECK(utf8_error("") == kValidUtf8);
  CHECK(utf8_error("a\u00e9\u4e2d\U0010ffff\ud7ff\ue000") == kValidUtf8);
  CHECK(utf8_error(std::string("a\0b", 3)) == kValidUtf8);
  CHECK(utf8_error("ab\xff") == 2);
  CHECK(utf8_error("ab\x80") == 2);            // continuation without a lead
  CHECK(utf8_error("\xc0\xaf") == 0);          // overlong forms
  CHECK(utf8_error("\xc1\xbf") == 0);
  CHECK(utf8_error("x\xe0\x80\xaf") == 1);
  CHECK(utf8_error("x\xf0\x80\x80\x80") == 1);
  CHECK(utf8_error("\xed\xa0\x80") == 0);      // a surrogate
  CHECK(utf8_error("\xf4\x90\x80\x80") == 0);  // past U+10FFFF
  CHECK(utf8_error("\xf5\x80\x80\x80") == 0);
  CHECK(utf8_error("abc\xe4\xb8") == 3);       // cut short
  CHECK(utf8_error("\xe4\xb8" "a") == 0);
}

TEST_CASE("strip: removes what Python's str.strip() removes", "[unit]") {
  CHECK(strip(" \t\r\n\x0b\x0c\x1c\x1f\u0085\u00a0\u1680\u2003\u2028\u202f\u205f\u3000 x y \u3000\n") == "x y");
  CHECK(strip("\u200bx\ufeff") == "\u200bx\ufeff");
  CHECK(strip(" \u3000 ").empty());
  CHECK(strip("").empty());
  CHECK(strip_left(" x ") == "x ");
  CHECK(strip_right(" \u4e2d\u3000") == " \u4e2d");
}

TEST_CASE("count_words: words are runs between any white space", "[unit]") {
  CHECK(count_words("") == 0);
  CHECK(count_words(" \n ") == 0);
  CHECK(count_words("one") == 1);
  CHECK(count_words(" one\u00a0two\n\nthree, -- four\u3000") == 5);
}
