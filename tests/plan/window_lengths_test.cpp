#include "plan/window_lengths.h"

#include <algorithm>

#include "catch.h"
#include "config/windows.h"
#include "made_config.h"

using namespace templora;
using templora_test::made_config;

namespace {

Config window_config(const std::vector<Override>& keys) {
  return made_config({{"data.control_books", R"(["c"])"}}, keys);
}

std::int64_t longest(const Config& config) {
  std::int64_t most = 0;
  for (const WindowLength& length : window_lengths(config)) most = std::max(most, length.tokens);
  return most;
}

}  // namespace

TEST_CASE("windows_for: the paper's windows, and less where there are fewer positions", "[unit]") {
  const auto check = [](std::int64_t positions, std::int64_t chunk, std::int64_t context) {
    const Windows windows = windows_for(positions);
    INFO(positions);
    CHECK(windows.chunk_tokens == chunk);
    CHECK(windows.context_tokens == context);
  };
  check(4096, 1024, 3072);
  check(131072, 1024, 3072);
  check(2048, 1024, 1024);
  check(512, 256, 256);
  check(1, 1, 0);
}

TEST_CASE("window_lengths: everything that needs positions, by its keys", "[unit]") {
  const std::vector<WindowLength> lengths = window_lengths(window_config({{"window.first_chunk_tokens", "100"}}));
  REQUIRE(lengths.size() == 3);
  CHECK(lengths[0].keys == "window.context_tokens + window.chunk_tokens");
  CHECK(lengths[0].tokens == 4096);
  CHECK(lengths[1].tokens == 100);
  CHECK(lengths[2].keys == "train.prefix_tokens + window.chunk_tokens");
  CHECK(window_lengths(window_config({{"train.enabled", "false"}})).size() == 2);
  CHECK(window_lengths(window_config({{"cache.policy", "last_n"}})).back().keys == "cache.window_tokens");
  CHECK(longest(window_config({{"cache.policy", "every_k"}})) == 3072 + 2 * 1024);
  CHECK(longest(window_config({{"control", "mixed_books"}, {"window.first_chunk_tokens", "2000"}})) == 3072 + 2000);
}

TEST_CASE("fitting_windows: what it gives fits, is accepted as a config, and is no smaller than it must be", "[unit]") {
  using Keys = std::vector<Override>;
  const std::vector<Keys> kinds{{},
                                {{"window.chunk_tokens", "100"}},
                                {{"window.context_tokens", "5000"}},
                                {{"train.prefix_tokens", "0"}, {"window.context_tokens", "9000"}},
                                {{"window.first_chunk_tokens", "9000"}},
                                {{"fidelity", "official"}},
                                {{"control", "mixed_books"}, {"window.first_chunk_tokens", "2000"}},
                                {{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "4"}},
                                {{"cache.policy", "refill"}},
                                {{"cache.policy", "refill"}, {"cache.window_tokens", "9000"}},
                                {{"cache.policy", "last_n"}, {"cache.sink_tokens", "4"}},
                                {{"cache.policy", "last_n"}, {"cache.window_tokens", "6000"}}};
  for (const std::int64_t positions : {64, 128, 512, 2048, 4096})
    for (const Keys& keys : kinds) {
      const Config config = window_config(keys);
      CAPTURE(positions, keys.empty() ? "" : keys.front().key + "=" + keys.front().value);
      const auto changes = fitting_windows(config, positions);
      if (longest(config) <= positions) {
        CHECK(changes.empty());
        continue;
      }
      REQUIRE(!changes.empty());
      Keys fitting = keys;
      for (const auto& [key, tokens] : changes) fitting.push_back({key, std::to_string(tokens)});
      const Config fit = window_config(fitting);
      CHECK(longest(fit) <= positions);
      CHECK(longest(fit) * 2 >= positions);  // the model's positions are used
      CHECK(fitting_windows(fit, positions).empty());
    }
}

TEST_CASE("fitting_windows: only what has to change changes", "[unit]") {
  using Changes = std::vector<std::pair<std::string, std::int64_t>>;
  CHECK(fitting_windows(window_config({}), 4096).empty());
  CHECK(fitting_windows(window_config({}), 2048) ==
        Changes{{"window.context_tokens", 1024}, {"train.prefix_tokens", 1024}});
  CHECK(fitting_windows(window_config({}), 128) ==
        Changes{{"window.chunk_tokens", 64}, {"window.context_tokens", 64}, {"train.prefix_tokens", 64}});
  CHECK(fitting_windows(window_config({{"window.context_tokens", "4000"}}), 4096) ==
        Changes{{"window.context_tokens", 3072}});
  const std::string sinks = "100";  // more than there are positions: no values are known
  CHECK(fitting_windows(window_config({{"cache.policy", "last_n"}, {"cache.sink_tokens", sinks}}), 64).empty());
}
