#include "text/nfc.h"

#include <string>

#include "catch.h"
#include "text/code_points.h"

using namespace templora;

TEST_CASE("nfc: composes, orders marks, and says which bytes changed", "[unit]") {
  const NfcText text = nfc("ae\u0301b\u0323\u0307c");
  CHECK(text.text == "a\u00e9\u1e05\u0307c");
  REQUIRE(text.changes.size() == 2);
  CHECK((text.changes[0].from == 1 && text.changes[0].to == 4 && text.changes[0].out_from == 1 &&
         text.changes[0].out_to == 3));
  CHECK(nfc("a\u0307\u0323").text == "\u1ea1\u0307");
  CHECK(nfc("\u1100\u1161\u11a8 \uac00\u11a8").text == "\uac01 \uac01");
  CHECK(nfc("\u212b\u0344").text == "\u00c5\u0308\u0301");
  CHECK(nfc("\u0958").text == "\u0915\u093c");  // excluded from composition
}

TEST_CASE("nfc: text in that form is left alone", "[unit]") {
  for (const std::string text : {"", "plain", "\u00e9\u4f60\U0001f600", "\u0301", "\u0928\u093f"}) {
    CAPTURE(text);
    CHECK(nfc(text).text == text);
    CHECK(nfc(text).changes.empty());
  }
  CHECK(surely_nfc("na\u00efve \u4f60\u597d"));
  CHECK_FALSE(surely_nfc("e\u0301"));
}

TEST_CASE("utf8_with_replacements: one U+FFFD for each broken character", "[unit]") {
  CHECK(utf8_with_replacements("a\xe4\xbd\xa0") == "a\u4f60");
  CHECK(utf8_with_replacements("a\xe4\xbd") == "a\ufffd");
  CHECK(utf8_with_replacements("\xf0\x9f\x98x\xff\xc0\x80") == "\ufffdx\ufffd\ufffd\ufffd");
  CHECK(utf8_with_replacements("\xed\xa0\x80\xe4\xbd\xe4") == "\ufffd\ufffd\ufffd\ufffd\ufffd");
}
