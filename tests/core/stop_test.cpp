#include "core/stop.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "catch.h"
#include "core/error.h"

using namespace templora;

namespace {

/// Runs `action` in a process of its own, because handlers and the flag last; gives its wait status.
template <class Action>
int in_child(const Action& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal_number : {SIGINT, SIGTERM, SIGUSR1}) ::signal(signal_number, SIG_DFL);
    ::_exit(action() ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

bool exited_well(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

}  // namespace

TEST_CASE("stop handlers: each signal is noted by name and ends nothing", "[unit]") {
  for (const auto& [number, name] : {std::pair{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGUSR1, "SIGUSR1"}}) {
    CHECK(exited_well(in_child([number = number, name = std::string(name)] {
      install_stop_handlers();
      const bool quiet_before = !stop_requested() && std::string(stop_signal_name()).empty();
      ::raise(number);
      return quiet_before && stop_requested() && stop_signal_name() == name;
    })));
  }
}

TEST_CASE("stop handlers: a second SIGINT ends the program at once", "[unit]") {
  const int status = in_child([] {
    install_stop_handlers();
    ::raise(SIGINT);
    if (!stop_requested()) return false;
    ::raise(SIGINT);
    return true;
  });
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGINT);
}

TEST_CASE("stop handlers: SIGTERM may come again and the first signal keeps its name", "[unit]") {
  CHECK(exited_well(in_child([] {
    install_stop_handlers();
    ::raise(SIGTERM);
    ::raise(SIGTERM);
    ::raise(SIGINT);
    return stop_signal_name() == std::string("SIGTERM");
  })));
}
