#include "sweep/expression.h"

#include "../core/fixtures.h"
#include "catch.h"

using namespace templora;
using namespace templora_test;

namespace {

Json value_of(const std::string& text) {
  return Expression(text, "f: set.k").value([](const std::string& key) -> Json {
    if (key == "window.chunk_tokens") return 64;
    if (key == "train.learning_rate") return 0.5;
    if (key == "order") return 7;  // begins like an operator
    if (key == "model.dtype") return "float32";
    if (key == "score.base") return true;
    return nullptr;
  });
}

std::string error_in(const std::string& text) {
  return refusal([&] { value_of(text); }, Exit::usage);
}

}  // namespace

TEST_CASE("Expression: arithmetic keeps integers where the result is one", "[unit]") {
  CHECK(value_of("4096 - window.chunk_tokens") == 4032);
  CHECK(value_of("4096 - window.chunk_tokens").is_number_integer());
  CHECK(value_of("2 + 3 * 4 - 10 / 5") == 12);
  CHECK(value_of("(2 + 3) * 4") == 20);
  CHECK(value_of("7 / 2") == 3.5);
  CHECK(value_of("7 % 4") == 3);
  CHECK(value_of("-window.chunk_tokens * 2") == -128);
  CHECK(value_of("10 - 4 - 3") == 3);
  CHECK(value_of("1e-3 * 2") == 0.002);
  CHECK(value_of("train.learning_rate * 4") == 2.0);
  CHECK(value_of("min(window.chunk_tokens, 32, 100)") == 32);
  CHECK(value_of("max(1.5, 1)") == 1.5);
  CHECK(value_of("order - 1") == 6);
  CHECK(value_of("'text'") == "text");
}

TEST_CASE("Expression: conditions compare numbers, text and booleans", "[unit]") {
  CHECK(value_of("window.chunk_tokens == 64.0") == true);
  CHECK(value_of("window.chunk_tokens < 64 || model.dtype == 'float32'") == true);
  CHECK(value_of("not (window.chunk_tokens >= 64) or false") == false);
  CHECK(value_of("score.base and window.chunk_tokens != 65") == true);
  CHECK(value_of("!score.base") == false);
  CHECK(value_of("window.context_tokens == null") == true);
  CHECK(value_of("1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3") == true);
}

TEST_CASE("Expression: a refusal shows the place and what is wrong", "[unit]") {
  CHECK(error_in("1 +").find("character 4: got the end") != std::string::npos);
  CHECK(error_in("1 + * 2").find("character 5: got '* 2'") != std::string::npos);
  CHECK(error_in("(1").find("no )") != std::string::npos);
  CHECK(error_in("1 2").find("character 3: got '2'") != std::string::npos);
  CHECK(error_in("1 < 2 < 3").find("second comparison") != std::string::npos);
  CHECK(error_in("'open").find("closing quote") != std::string::npos);
  CHECK(error_in("12x").find("wanted a number") != std::string::npos);
  CHECK(error_in("5 / (window.chunk_tokens - 64)").find("character 3: division by zero") != std::string::npos);
  CHECK(error_in("9223372036854775807 + 1").find("beyond 64 bits") != std::string::npos);
  CHECK(error_in("1e308 * 1e308").find("no finite number") != std::string::npos);
  CHECK(error_in("model.dtype + 1").find("model.dtype: got a text, wanted a number") != std::string::npos);
  CHECK(error_in("window.context_tokens * 2").find("null") != std::string::npos);
  CHECK(error_in("model.dtype == 3").find("two of a kind") != std::string::npos);
  CHECK(error_in("1 && true").find("wanted true or false") != std::string::npos);
  CHECK(error_in(std::string(100, '(').append("1")).find("levels") != std::string::npos);
  CHECK(error_in(std::string(3000, '1')).find("3000 bytes") != std::string::npos);
  CHECK(error_in("").find("got the end") != std::string::npos);
  CHECK(error_in("1 + $").find("f: set.k: ") == 0);
}
