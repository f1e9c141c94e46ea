#include "core/error.h"

#include <string>
#include <vector>

#include "catch.h"

using namespace templora;

TEST_CASE("Error: a message is a line, of a list of messages each", "[unit]") {
  CHECK(Error(Exit::usage, "a\nb\x1b[31m").what() == std::string("a?b?[31m"));
  CHECK(Error(Exit::usage, std::vector<std::string>{"a\nb", "c"}).what() == std::string("a?b\nc"));
}
