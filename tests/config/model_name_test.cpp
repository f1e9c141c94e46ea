#include "config/model_name.h"

#include "catch.h"

using namespace templora;

TEST_CASE("model_name: a folder's own name, and a hub snapshot's repository", "[unit]") {
  const std::string commit = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
  CHECK(model_name("/models/small-6m") == "small-6m");
  CHECK(model_name("/models/small-6m/") == "small-6m");
  CHECK(model_name("/hub/models--demo--small-6m/snapshots/" + commit) == "demo/small-6m");
  CHECK(model_name("/hub/models--demo--small-6m/snapshots/" + commit + "/") == "demo/small-6m");
  CHECK(model_name("/hub/models--gpt2/snapshots/" + commit) == "gpt2");
  CHECK(model_name("/hub/models--demo--small-6m/refs/" + commit) == commit);
  CHECK(model_name("/hub/models--demo--small-6m/snapshots/main") == "main");
  CHECK(model_name("/hub/datasets--a--b/snapshots/" + commit) == commit);
  CHECK(model_name("/" + commit) == commit);
  CHECK(model_name("") == "");
}
