#include "../browse/web.h"
#include "catch.h"
#include "program.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

/// The port that the program's first line names; 0 where it says none.
int port_in(const World& world) {
  for (int i = 0; i < 20000; ++i) {
    const std::string log = world.content("log"), mark = "http://127.0.0.1:";
    const std::size_t at = log.find(mark);
    if (at != std::string::npos && log.find('\n', at) != std::string::npos)
      return std::stoi(log.substr(at + mark.size()));
    if (log.find("built without a web server") != std::string::npos) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return 0;
}

/// What Chromium makes of a page: its text, or "" where there is no Chromium that starts.
std::string in_chromium(const World& world, const std::string& url) {
  const std::string out = (world.folder / "dom").string();
  const std::string command = "timeout 120 chromium --headless --no-sandbox --disable-gpu --user-data-dir='" +
                              (world.folder / "profile").string() + "' --dump-dom '" + url + "' > '" + out +
                              "' 2> /dev/null";
  if (std::system("command -v chromium > /dev/null 2>&1") != 0 || std::system(command.c_str()) != 0) return "";
  return world.content("dom");
}

}  // namespace

TEST_CASE("templora watch: shows runs as they go to this machine's browser, and nothing else to anybody", "[cli]") {
  const World world;
  REQUIRE(world.run_config("runs/first").code == 0);
  world.write("secret.txt", "secret");
  bool served = false;
  std::string dom;
  const Ended ended = world.run({"watch", "runs", "--every", "1"}, {}, [&](pid_t child) {
    const int port = port_in(world);
    served = port != 0;
    if (served) {
      const std::string page = request(port, "/");
      CHECK(status_of(page) == 200);
      CHECK(has(page, "<svg"));
      CHECK(has(page, "finished"));
      CHECK(status_of(request(port, "/runs/first")) == 200);
      CHECK(status_of(request(port, "/files/first/table.md")) == 200);
      CHECK(status_of(request(port, "/files/%2e%2e/secret.txt")) == 404);
      CHECK(status_of(request(port, "/", "POST", "127.0.0.1", "x")) == 405);
      dom = in_chromium(world, "http://127.0.0.1:" + std::to_string(port) + "/");
    }
    ::kill(child, SIGINT);
  });
  INFO(ended.text);
  if (!served) {
    CHECK(ended.code == 4);
    WARN("skipped: built without libcpp-httplib-dev");
    return;
  }
  CHECK(ended.code == 0);
  if (dom.empty()) {
    WARN("Chromium is left out: it is not here, or does not start");
  } else {
    CHECK(has(dom, "/runs/first"));
    CHECK(has(dom, "<svg"));
  }
  world.refuses({"watch", "nowhere"}, 3, "no such folder");
  CHECK(world.run({"watch", "runs", "--port", "70000"}).code == 2);
}
