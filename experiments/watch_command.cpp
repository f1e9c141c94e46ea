// `templora watch`.

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "browse/http_server.h"
#include "browse/site.h"
#include "commands.h"
#include "core/log.h"
#include "core/stop.h"

namespace templora {
namespace {

struct WatchArguments {
  std::string folder;
  std::int64_t port = 0, every_s = 5;
};

void watch(const WatchArguments& arguments) {
  install_stop_handlers();
  Site site(arguments.folder, int(arguments.every_s));
  const HttpServer server(int(arguments.port), [&](const WebRequest& request) { return site.answer(request); });
  log_line(fmt::format("http://127.0.0.1:{}/ shows {} to this machine until Ctrl-C", server.port(),
                       printable(arguments.folder, 1000)));
  while (!stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

}  // namespace

void add_watch_command(CommandLine& line) {
  const auto arguments = std::make_shared<WatchArguments>();
  Command command = line.command("watch", "serve a page of running and finished runs to this machine's browser");
  command.option("folder", arguments->folder, "folder with runs and sweeps in it, at any depth").required();
  command.option("--port", arguments->port, "port on 127.0.0.1; default: a free one").between(0, 65535);
  command.option("--every", arguments->every_s, "seconds between two looks of the page; default: 5").between(1, 3600);
  command.examples({"templora watch runs", "templora watch runs/delta_window --port 8080"});
  command.action([arguments] { watch(*arguments); });
}

}  // namespace templora
