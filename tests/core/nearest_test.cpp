#include "core/nearest.h"

#include "catch.h"
#include "core/error.h"

using namespace templora;

TEST_CASE("nearest_name: a mistyped key finds the one that was meant, in another section too", "[unit]") {
  const std::vector<std::string> keys{"lora.rank", "train.epochs", "window.chunk_tokens", "window.context_tokens"};
  CHECK(nearest_name("window.chunk_tokns", keys) == "window.chunk_tokens");
  CHECK(nearest_name("rank", keys) == "lora.rank");
  CHECK(nearest_name("lora.epochs", keys) == "train.epochs");
  CHECK(nearest_name("", {"only"}) == "only");
  CHECK_THROWS_AS(nearest_name("rank", {}), Error);
}
