// The command line: starts what it asks for, turns errors into one line and an exit code.

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <new>
#include <string>
#include <system_error>

#include "bleu_command.h"
#include "commands.h"
#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/log.h"
#include "core/utf8.h"
#include "model/out_of_memory.h"

namespace {

using namespace templora;

// A closed standard stream's number would go to the next file opened, and log lines into that run's records.
void open_standard_streams() {
  int fd = 0;
  do fd = ::open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) ::close(fd);
}

// Of a config with several mistakes each is a line.
int report(Exit code, const std::string& message) {
  for (std::size_t start = 0, end = 0; end != message.npos; start = end + 1) {
    end = message.find('\n', start);
    log_line(message.substr(start, end - start));
  }
  return int(code);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  CommandLine line("templora: Temp-LoRA (arXiv 2401.11504), a temporary LoRA trained on a text as it streams by",
                   "templora " TEMPLORA_VERSION);

  add_init_command(line);
  add_run_command(line);
  add_generate_command(line);
  add_schema_command(line);
  add_cost_command(line);
  add_compare_command(line);
  add_pool_command(line);
  add_verify_command(line);
  add_sweep_command(line);
  add_status_command(line);
  add_report_command(line);
  add_tokenize_command(line);
  add_data_command(line);
  add_bleu_command(line);
  add_completion_command(line);
  try {
    return int(line.run(argc, argv) ? Exit::done : Exit::usage);
  } catch (const Error& error) {
    return report(error.exit_code(), error.what());
  } catch (const std::bad_alloc&) {
    return report(Exit::resources, "out of memory; use a smaller model, window or batch");
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    const std::string line = what.substr(0, what.find('\n'));
    return is_out_of_memory(error) ? report(Exit::resources, "out of memory: " + line)
                                   : report(Exit(1), "LibTorch: " + line);
  } catch (const std::filesystem::filesystem_error& error) {
    // A name that cannot be followed is wrong input; the rest is the disk's.
    const std::error_code code = error.code();
    const bool name = code == std::errc::too_many_symbolic_link_levels || code == std::errc::filename_too_long ||
                      code == std::errc::not_a_directory || code == std::errc::no_such_file_or_directory;
    return report(name ? Exit::bad_input : Exit::resources,
                  fmt::format("{}: {}", printable(error.path1().string(), 1000), code.message()));
  } catch (const std::system_error& error) {
    return report(Exit::resources, error.what());  // standard output, most likely
  } catch (const std::exception& error) {
    return report(Exit(1), fmt::format("unexpected error: {}", error.what()));
  }
}
