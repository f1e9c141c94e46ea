#include "core/json_comments.h"

#include "catch.h"
#include "fixtures.h"

using namespace templora;
using templora_test::thrown_by;

TEST_CASE("parse_commented_json: comments stand where white space may, and nowhere in strings", "[unit]") {
  const Json value = parse_commented_json(
      "// first\n{\"a\": /* one */ 1, // \"b\": 2\n \"u\": \"http://x/*y*/ \\\" // z\" /**/ , \"c\"/***/:[1,/* // "
      "*/2]} //",
      "c.json");
  CHECK(value == Json{{"a", 1}, {"u", "http://x/*y*/ \" // z"}, {"c", {1, 2}}});
  CHECK(parse_commented_json("3/* ü \n */", "c.json") == 3);
}

TEST_CASE("parse_commented_json: a comment that never ends is one line with the line where it begins", "[unit]") {
  for (const std::string text : {"{\n\"a\": 1, /* never\nends\n}", "1\n/*/", "1\n/*"}) {
    const auto error = thrown_by([&] { parse_commented_json(text, "c.json"); });
    CAPTURE(text, error.message);
    CHECK(error.code == Exit::usage);
    CHECK(error.says("c.json: line 2: a comment begins with /* and never ends"));
    CHECK(error.message.find('\n') == std::string::npos);
  }
}

TEST_CASE("parse_commented_json: other mistakes have the line and column that they have in the file", "[unit]") {
  CHECK(thrown_by([] {
          parse_commented_json("/* a\n b */ { // c\n  oops}", "c.json");
        }).says("c.json: line 3, column 3: "));
  CHECK(thrown_by([] { parse_commented_json("{\"a\": 1 / 2}", "c.json"); }).says("c.json: line 1, column 9"));
  CHECK(thrown_by([] { parse_commented_json("{\"a\": \"x // y\n}", "c.json"); }).says("c.json: line 1"));
  CHECK(thrown_by([] { parse_commented_json("// only", "c.json"); }).says("c.json: line 1"));
  CHECK(thrown_by([] { parse_commented_json(std::string_view("1 // \0", 6), "c.json"); }).says("NUL"));
  CHECK(thrown_by([] { parse_json("1 // c", "run.json"); }).says("run.json: line 1"));
}
