#include "core/json_fields.h"

#include <limits>

#include "catch.h"
#include "fixtures.h"

using namespace templora;
using templora_test::thrown_by;

namespace {

const Json kModel = parse_json(
    R"({"layers": 3, "theta": 1e4, "negative": -2.5, "bias": true, "kind": "llama", "none": null,
        "sizes": [4, 0], "half": 2.5})",
    "x");

JsonFields fields_of(const Json& json) { return {json, "config.json", "is it a model?"}; }

}  // namespace

TEST_CASE("JsonFields: what is there is given, what is not comes from the fallback", "[unit]") {
  const JsonFields fields = fields_of(kModel);
  CHECK(fields.size("layers") == 3);
  CHECK(fields.size("layers", 7, 3, 3) == 3);
  CHECK(fields.size("absent", 7) == 7);
  CHECK(fields.size("none", 7) == 7);
  CHECK(fields.number("negative") == -2.5);
  CHECK(fields.positive("theta") == 10000);
  CHECK(fields.number("absent", 0.5) == 0.5);
  CHECK(fields.boolean("bias", false));
  CHECK(fields.boolean("absent", true));
  CHECK(fields.text("kind", "mistral") == "llama");
  CHECK(fields.text("none", "mistral") == "mistral");
  CHECK((fields.has("layers") && !fields.has("none") && !fields.has("absent")));
  CHECK((fields.raw("absent").is_null() && fields.at("none").is_null()));
  CHECK_NOTHROW(fields.must_be("kind", "llama"));
}

TEST_CASE("JsonFields: each refusal names object, field, what was got and what was wanted", "[unit]") {
  const JsonFields fields = fields_of(kModel);
  const auto line = [](auto&& read) {
    const auto error = thrown_by(read);
    CHECK(error.code == Exit::bad_input);
    return error.message;
  };
  CHECK(line([&] { fields.size("absent"); }) ==
        "config.json: absent: got nothing, wanted an integer from 1 to 268435456; is it a model?");
  CHECK(line([&] { fields.size("none"); }) ==
        "config.json: none: got null, wanted an integer from 1 to 268435456; is it a model?");
  CHECK(line([&] { fields.at("absent"); }) == "config.json: absent: got nothing, wanted a value; is it a model?");
  CHECK(line([&] { fields.size("layers", {}, 4, 8); }) == "config.json: layers: got 3, wanted an integer from 4 to 8");
  CHECK(line([&] { fields.size("half"); }).find("half: got 2.5, wanted an integer") != std::string::npos);
  CHECK(line([&] { fields.size_of("sizes", fields.raw("sizes").at(1)); }).find("sizes: got 0, wanted") !=
        std::string::npos);
  CHECK(line([&] { fields.number("kind"); }) == "config.json: kind: got \"llama\", wanted a finite number");
  CHECK(line([&] { fields.positive("negative"); }) == "config.json: negative: got -2.5, wanted a number above 0");
  CHECK(line([&] { fields.boolean("layers", true); }) == "config.json: layers: got 3, wanted true or false");
  CHECK(line([&] { fields.text("bias", ""); }) == "config.json: bias: got true, wanted a string");
  CHECK(line([&] { fields.must_be("kind", "bert"); }) ==
        "config.json: kind: got \"llama\", wanted \"bert\": no other setting is supported");
  CHECK(line([&] { fields_of(kModel.at("sizes")); }) == "config.json: not a JSON object");
}

TEST_CASE("JsonFields: a foreign file's huge integers and NaN are refused where they are read", "[unit]") {
  const Json json = parse_foreign_json(
      R"({"layers": 1000000000000000019884624838656, "theta": NaN, "scale": -Infinity, "wide": 9223372036854775808})",
      "x");
  const JsonFields fields = fields_of(json);
  CHECK(thrown_by([&] { fields.size("layers"); }).says("config.json: layers: got 1e+30, wanted an integer from 1"));
  CHECK(thrown_by([&] { fields.size("wide"); }).says("wide: got 9.2"));
  CHECK(thrown_by([&] { fields.number("theta"); }).says("theta: got nan, wanted a finite number"));
  CHECK(thrown_by([&] { fields.number("scale"); }).says("scale: got -inf, wanted a finite number"));
  CHECK(fields.number("layers") == 1e30);
}

TEST_CASE("JsonFields: numbers at the edge and foreign text", "[unit]") {
  const Json json{{"huge", std::numeric_limits<std::int64_t>::max()},
                  {"infinite", std::numeric_limits<double>::infinity()},
                  {"long", std::string(5000, 'a')}};
  const JsonFields fields = fields_of(json);
  CHECK(thrown_by([&] { fields.size("huge"); }).says("got 9223372036854775807"));
  CHECK(thrown_by([&] { fields.number("infinite"); }).says("wanted a finite number"));
  CHECK(thrown_by([&] { fields.number("long"); }).message.size() < 300);
}
