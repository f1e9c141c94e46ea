#include "core/json.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "fixtures.h"

using namespace templora;
using templora_test::thrown_by;

namespace {

std::string nested(std::size_t levels, const std::string& open, const std::string& core, const std::string& close) {
  std::string out;
  for (std::size_t i = 0; i < levels; ++i) out += open;
  out += core;
  for (std::size_t i = 0; i < levels; ++i) out += close;
  return out;
}

}  // namespace

TEST_CASE("parse_json: values and the order of keys survive", "[unit]") {
  const std::string text = R"({"z":1,"a":[true,null,-2.5,"ü\n"],"m":{"k":-7},"e":{},"l":[[]]})";
  const Json value = parse_json(text, "x");
  CHECK(dump_json(value, "x") == text);
  CHECK(value.at("m").at("k").get<int>() == -7);
  CHECK(parse_json(" 3 \n", "x") == 3);
}

TEST_CASE("parse_json: a key that stands twice is refused by name and line", "[unit]") {
  const auto error = thrown_by(
      [] { parse_json("{\"a\": {\"rank\": 1},\n \"b\": {\"rank\": 1, \"rank\": 2}}", "run.json", Exit::usage); });
  CHECK(error.code == Exit::usage);
  CHECK(error.says("run.json: line 2, column "));
  CHECK(error.says("\"rank\""));
  CHECK(thrown_by([] { parse_json(R"({"a":1,"\u0061":2})", "x"); }).says("\"a\""));
  CHECK(parse_json(R"([{"a":1},{"a":1}])", "x").size() == 2);
}

TEST_CASE("parse_json: 64 levels are read and one more is refused", "[unit]") {
  CHECK(parse_json(nested(64, "[", "", "]"), "x").is_array());
  CHECK(parse_json(nested(64, "{\"a\":", "1", "}"), "x").is_object());
  CHECK(thrown_by([] { parse_json(nested(65, "[", "", "]"), "x"); }).says("64 levels"));
  CHECK(thrown_by([] { parse_json(nested(65, "{\"a\":", "1", "}"), "x"); }).says("64 levels"));
  CHECK(thrown_by([] { parse_json(std::string(3000000, '['), "x"); }).says("line 1, column 65: "));
}

TEST_CASE("parse_json: what is not strict JSON is refused with line and column", "[unit]") {
  const auto refused = [](std::string_view text) { return thrown_by([&] { parse_json(text, "f.json"); }); };
  CHECK(refused("{\n  \"a\": 1,\n  oops}").says("f.json: line 3, column 3: "));
  CHECK(refused("{\n  \"a\": 1,\n  oops}").code == Exit::bad_input);
  for (const std::string_view text :
       {"", " ", "{", "[1,]", "{\"a\":1,}", "1 2", "// c\n1", "NaN", "01", "'a'", "{a:1}", "[1", "tru", "1e999"}) {
    CAPTURE(text);
    CHECK(refused(text).says("f.json: line "));
  }
  CHECK(refused(std::string_view("1\0", 2)).says("NUL"));
  CHECK(refused(std::string_view("1\0garbage", 9)).says("column 2"));
  CHECK(refused("\"\xff\"").says("UTF-8"));
  CHECK(refused("\"\xc0\x80\"").says("UTF-8"));
  CHECK(refused("\"\xed\xa0\x80\"").says("UTF-8"));
  CHECK(refused("\"\\ud800\"").says("line 1"));
  const auto huge = refused("\"" + std::string(100000, 'x') + "\n");
  CHECK(huge.message.size() < 400);
  CHECK(huge.message.find('\n') == std::string::npos);
}

TEST_CASE("parse_json: integers beyond 64 signed bits are refused, not rounded", "[unit]") {
  CHECK(parse_json("9223372036854775807", "x").get<std::int64_t>() == INT64_MAX);
  CHECK(parse_json("-9223372036854775808", "x").get<std::int64_t>() == INT64_MIN);
  for (const std::string text :
       {"9223372036854775808", "18446744073709551616", "-9223372036854775809", "1000000000000000000000000"}) {
    CHECK(thrown_by([&] { parse_json(text, "x"); }).says(text));
  }
  CHECK(parse_json("1e30", "x").is_number_float());
}

TEST_CASE("parse_foreign_json: the last of two equal keys wins, at the first one's place", "[unit]") {
  const std::string twice = R"({"a": 1, "b": {"x": [1]}, "c": 2, "b": {"y": 3}, "\u0061": [4, {"d": 5}]})";
  const Json value = parse_foreign_json(twice, "x");
  CHECK(dump_json(value, "x") == R"({"a":[4,{"d":5}],"b":{"y":3},"c":2})");
  CHECK(dump_json(parse_foreign_json(R"([{"a":1,"b":2,"a":{"a":3,"a":4}}])", "x"), "x") == R"([{"a":{"a":4},"b":2}])");
}

TEST_CASE("parse_foreign_json: NaN, infinities and huge integers are read and are no sizes", "[unit]") {
  const std::string digits(400, '9');
  const std::string start = R"({"nan": NaN, "up":Infinity,"down":[-Infinity,1], "over": 9223372036854775808,
    "max": 1000000000000000019884624838656, "under": -9223372036854775809, "most": 9223372036854775807, "digits": )";
  const std::string rest = R"(, "far": -1e999, "text": "NaN, \"Infinity\" 1e999\\", "point": 1.5e3})";
  const Json value = parse_foreign_json(start + digits + rest, "x");
  CHECK(std::isnan(value.at("nan").get<double>()));
  CHECK(value.at("up").get<double>() == std::numeric_limits<double>::infinity());
  CHECK(value.at("down").at(0).get<double>() == -std::numeric_limits<double>::infinity());
  CHECK(value.at("max").get<double>() == 1e30);
  for (const char* key : {"nan", "up", "max", "over", "under", "digits", "far"}) {
    CAPTURE(key);
    CHECK(value.at(key).is_number_float());
  }
  CHECK(std::isinf(value.at("digits").get<double>()));
  CHECK(value.at("most").get<std::int64_t>() == INT64_MAX);
  CHECK(value.at("text") == "NaN, \"Infinity\" 1e999\\");
  CHECK(value.at("point") == 1500.0);
  CHECK(parse_foreign_json("NaN", "x").is_number_float());
  CHECK(shown_json(parse_foreign_json("NaN", "x")) == "nan");
}

TEST_CASE("parse_foreign_json: what Python's json refuses is refused with line and column", "[unit]") {
  for (const std::string_view text :
       {"", "{", "[1,]", "{NaN: 1}", "{-Infinity:1}", "nan", "+1", "NaN1", "-NaN", "Infinity2", "01", "01e999",
        "1e999e", ".1e999", "{1e999: 1}", "[1e999 1]", "\"NaN", "\"\\", "--Infinity", "{\"a\" NaN}"}) {
    CAPTURE(text);
    CHECK(thrown_by([&] { parse_foreign_json(text, "f.json"); }).says("f.json: line 1, column "));
  }
  CHECK(thrown_by([] { parse_foreign_json("{\"a\": NaN,\n  oops}", "f.json"); }).says("f.json: line 2, column 3: "));
  CHECK(thrown_by([] { parse_foreign_json("\"\xff\"", "x"); }).says("UTF-8"));
  CHECK(thrown_by([] { parse_foreign_json(nested(65, "[", "", "]"), "x"); }).says("64 levels"));
}

TEST_CASE("dump_json: a NaN or infinity is refused with its place", "[unit]") {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    Json record;
    record["chunks"] = Json::array({1.0, {{"loss", bad}}});
    const auto error = thrown_by([&] { dump_json(record, "records.jsonl"); });
    CHECK(error.code == Exit::numerics);
    CHECK(error.says("records.jsonl: /chunks/1/loss: "));
    CHECK(thrown_by([&] { dump_json_pretty(record, "x"); }).code == Exit::numerics);
  }
  CHECK(thrown_by([] { dump_json(Json("\xff"), "x"); }).code == Exit::bad_input);
}

TEST_CASE("dump_json: doubles come back bit for bit and what was dumped can be parsed", "[unit]") {
  for (const double value : {0.1, 1e-320, 1.7976931348623157e308, -0.0, 3.0}) {
    const double back = parse_json(dump_json(Json(value), "x"), "x").get<double>();
    CHECK(back == value);
    CHECK(std::signbit(back) == std::signbit(value));
  }
  Json deep = 1;
  for (int level = 0; level < 64; ++level) deep = Json::array({deep});
  CHECK(parse_json(dump_json(deep, "x"), "x") == deep);
  deep = Json::array({deep});
  CHECK(thrown_by([&] { dump_json(deep, "x"); }).says("64 levels"));
  CHECK(dump_json_pretty(Json{{"a", 1}}, "x") == "{\n  \"a\": 1\n}\n");
}
